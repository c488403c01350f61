package nal

import (
	"bytes"
	"encoding/hex"
	"strings"
	"testing"

	"livego/internal/media"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// TestKindOf reads headers as H.264 §7.3.1, H.265 §7.3.1.2 and H.266 §7.3.1.2 lay them out.
func TestKindOf(t *testing.T) {
	for _, c := range []struct {
		codec media.Codec
		unit  string
		kind  Kind
		ok    bool
	}{
		{media.H264, "41 9a", Slice, true},
		{media.H264, "65 88", SyncSlice, true},
		{media.H264, "06 05", SEI, true},
		{media.H264, "67 64", SPS, true},
		{media.H264, "68 ee", PPS, true},
		{media.H264, "09 f0", Delimiter, true},
		{media.H264, "0a", End, true},
		{media.H264, "0b", End, true},
		{media.H264, "0c ff", Filler, true},
		{media.H264, "74 00", Other, true}, // 20: a slice of another view
		{media.H264, "e5 88", Other, false},
		{media.H264, "", Other, false},
		{media.HEVC, "02 01", Slice, true},
		{media.HEVC, "26 01", SyncSlice, true}, // 19: IDR_W_RADL
		{media.HEVC, "2a 01", SyncSlice, true}, // 21: CRA
		{media.HEVC, "40 01", VPS, true},
		{media.HEVC, "42 01", SPS, true},
		{media.HEVC, "44 01", PPS, true},
		{media.HEVC, "46 01", Delimiter, true},
		{media.HEVC, "48 01", End, true},
		{media.HEVC, "4c 01", Filler, true},
		{media.HEVC, "4e 01", SEI, true},
		{media.HEVC, "50 01", SuffixSEI, true},
		{media.HEVC, "7c 01", Other, true},  // 62: Dolby Vision
		{media.HEVC, "26 09", Other, true},  // of layer 1
		{media.HEVC, "27 01", Other, true},  // of layer 32
		{media.HEVC, "26 00", Other, false}, // temporal id plus 1 is 0
		{media.HEVC, "a6 01", Other, false},
		{media.HEVC, "26", Other, false},
		{media.VVC, "00 01", Slice, true},
		{media.VVC, "00 39", SyncSlice, true},     // 7: IDR_W_RADL
		{media.VVC, "00 49", SyncSlice, true},     // 9: CRA
		{media.VVC, "00 51", RecoverySlice, true}, // 10: GDR
		{media.VVC, "00 19", SkippedSlice, true},  // 3: RASL
		{media.HEVC, "10 01", SkippedSlice, true}, // 8: RASL_N
		{media.HEVC, "12 01", SkippedSlice, true}, // 9: RASL_R
		{media.HEVC, "0e 01", Slice, true},        // 7: RADL_R
		{media.VVC, "00 71", VPS, true},
		{media.VVC, "00 79", SPS, true},
		{media.VVC, "00 81", PPS, true},
		{media.VVC, "00 99", PictureHeader, true},
		{media.VVC, "00 a1", Delimiter, true},
		{media.VVC, "00 a9", End, true},
		{media.VVC, "00 b9", SEI, true},
		{media.VVC, "00 c1", SuffixSEI, true},
		{media.VVC, "00 c9", Filler, true},
		{media.VVC, "01 39", Other, true}, // of layer 1
		{media.VVC, "00 00", Other, false},
	} {
		kind, ok := KindOf(c.codec, unhex(t, c.unit))
		if ok != c.ok || ok && kind != c.kind {
			t.Errorf("%s %s: %d %v, want %d %v", c.codec, c.unit, kind, ok, c.kind, c.ok)
		}
	}
}

func TestBeginsPicture(t *testing.T) {
	for _, c := range []struct {
		codec media.Codec
		unit  string
		want  bool
	}{
		{media.H264, "65 88 84", true},
		{media.H264, "41 9a", true},
		{media.H264, "41 5a", false}, // first_mb_in_slice is 1
		{media.H264, "41", false},
		{media.H264, "09 f0", false},
		{media.HEVC, "26 01 af", true},
		{media.HEVC, "26 01 2f", false},
		{media.HEVC, "26 01", false},
		{media.VVC, "00 99 80", true},
		{media.VVC, "00 39 80", true},
		{media.VVC, "00 39 40", false}, // its picture header stands alone
	} {
		unit := unhex(t, c.unit)
		kind, _ := KindOf(c.codec, unit)
		if got := BeginsPicture(c.codec, kind, unit); got != c.want {
			t.Errorf("%s %s: %v", c.codec, c.unit, got)
		}
	}
}

func TestNext(t *testing.T) {
	for _, c := range []struct {
		size            int
		in, units, rest string
	}{
		{4, "00000001 aa 00000002 bbcc", "aa bbcc", ""},
		{4, "00000000 00000001 aa", "- aa", ""},
		{4, "00000001 aa 00", "aa", "00"},
		{4, "00000001 aa 00000003 bbcc", "aa", "00000003 bbcc"},
		{4, "ffffffff aa", "", "ffffffff aa"},
		{3, "000001 aa 000000 000002 bbcc", "aa - bbcc", ""},
		{2, "0001 aa 0002 bbcc", "aa bbcc", ""},
		{1, "01 aa 02 bbcc 03", "aa bbcc", "03"},
		{0, "01 aa", "", "01 aa"},
		{4, "", "", ""},
	} {
		var units []string
		rest := unhex(t, c.in)
		for {
			unit, tail, ok := Next(rest, c.size)
			rest = tail
			if !ok {
				break
			}
			units = append(units, name(unit))
		}
		if got := strings.Join(units, " "); got != c.units || !bytes.Equal(rest, unhex(t, c.rest)) {
			t.Errorf("%s in %d: %q, rest %x", c.in, c.size, got, rest)
		}
	}
}

func name(unit []byte) string {
	if len(unit) == 0 {
		return "-"
	}
	return hex.EncodeToString(unit)
}

func TestNextInStream(t *testing.T) {
	for in, want := range map[string]string{
		"000001 aa 00000001 bbcc":    "aa bbcc",
		"0000000001 aa 0000 000001":  "aa -",
		"000001 000001 aa":           "- aa",
		"00000001 aa 000000":         "aa",
		"00000001 aa0000 03 01":      "aa00000301",
		"aabb 000001 cc":             "aabb cc",
		"0000":                       "-",
		"000001":                     "-",
		"":                           "",
		"00000001 aa 000001 bb 0001": "aa bb0001",
	} {
		var units []string
		for rest := unhex(t, in); ; {
			unit, tail, ok := NextInStream(rest)
			if !ok {
				break
			}
			rest = tail
			units = append(units, name(unit))
		}
		if got := strings.Join(units, " "); got != want {
			t.Errorf("%s: %q, want %q", in, got, want)
		}
	}
}

// FuzzNext: units and what is left make up the input, whatever it is.
func FuzzNext(f *testing.F) {
	f.Add([]byte{0, 0, 0, 1, 0xaa, 0, 0, 0, 0}, uint8(4))
	f.Add([]byte{0, 0, 1, 0xaa, 0, 0, 1}, uint8(3))
	f.Fuzz(func(t *testing.T, b []byte, size uint8) {
		n := int(size%4) + 1
		rest, taken := b, 0
		for {
			unit, tail, ok := Next(rest, n)
			if !ok {
				break
			}
			taken += n + len(unit)
			for _, codec := range []media.Codec{media.H264, media.HEVC, media.VVC} {
				if kind, ok := KindOf(codec, unit); ok && BeginsPicture(codec, kind, unit) && !kind.IsSlice() && kind != PictureHeader {
					t.Fatalf("%s: %x of kind %d begins a picture", codec, unit, kind)
				}
			}
			rest = tail
		}
		if taken+len(rest) != len(b) {
			t.Fatalf("%d bytes taken and %d left of %d", taken, len(rest), len(b))
		}
		var stream []byte
		count := 0
		for rest := b; ; count++ {
			unit, tail, ok := NextInStream(rest)
			if !ok {
				break
			}
			if HoldsStartCode(unit) || len(unit) > 0 && unit[len(unit)-1] == 0 || len(tail) >= len(rest) {
				t.Fatalf("%x: unit %x", b, unit)
			}
			stream, rest = append(append(stream, 0, 0, 1), unit...), tail
		}
		again := 0
		for rest := stream; ; again++ {
			unit, tail, ok := NextInStream(rest)
			if !ok {
				break
			}
			if !bytes.HasPrefix(stream[len(stream)-len(rest):], append([]byte{0, 0, 1}, unit...)) {
				t.Fatalf("%x does not come back from %x", unit, stream)
			}
			rest = tail
		}
		if again != count {
			t.Fatalf("%x: %d units, then %d", b, count, again)
		}
	})
}
