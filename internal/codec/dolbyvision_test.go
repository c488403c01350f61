package codec

import (
	"fmt"
	"slices"
	"strings"
	"testing"

	"livego/internal/media"
)

// The heads of reference processing units, from the start code of their NAL unit on.
const (
	rpu5 = "7c01 19 0809 0040 61b6 5060" // 10 bits, full range, no residual
	rpu8 = "7c01 19 0809 0840 6136 5060" // the same family as 7, no residual
	rpu7 = "7c01 19 0809 0840 6136 50a0" // with a residual, at half the size
)

// nals packs NAL units with lengths of 4 bytes.
func nals(t testing.TB, units ...string) (b []byte) {
	for _, u := range units {
		n := unhex(t, u)
		b = append(b, 0, 0, byte(len(n)>>8), byte(len(n)))
		b = append(b, n...)
	}
	return b
}

func TestDolbyVision(t *testing.T) {
	const slice = "2601 af"
	hevc := &media.Track{Kind: media.Video, Codec: media.HEVC, Parsed: true, NALLengthSize: 4}
	for _, c := range []struct {
		name    string
		picture []byte
		want    uint8
	}{
		{"none", nals(t, slice), 0},
		{"profile 5", nals(t, slice, rpu5), 5},
		{"profile 8", nals(t, slice, rpu8), 8},
		{"profile 8, before other units", nals(t, "4e01 05", slice, rpu8, "5001"), 8},
		{"profile 5 with emulation prevention", nals(t, slice, "7c01 19 0800 0003 4061 b650 60"), 5},
		{"profile 7", nals(t, slice, rpu7), 0},
		{"a second layer that the metadata do not tell of", nals(t, slice, rpu8, "7e01 2601"), 0},
		{"profile 5 with a residual", nals(t, slice, "7c01 19 0809 0040 61b6 5020"), 0},
		{"family of profile 5, narrow range", nals(t, slice, "7c01 19 0809 0040 6136 5060"), 0},
		{"a family of the future", nals(t, slice, "7c01 19 0809 1040 6136 5060"), 0},
		{"another format", nals(t, slice, "7c01 19 0889 0840 6136 5060"), 0},
		{"another type", nals(t, slice, "7c01 19 0c09 0840 6136 5060"), 0},
		{"another use of the NAL unit type", nals(t, slice, "7c01 1a 0809 0840 6136 5060"), 0},
		{"without sequence information", nals(t, slice, "7c01 19 0809 0800 6136 5060"), 0},
		{"of 17 bits", nals(t, slice, "7c01 19 0809 0840 6104 9560 00"), 0},
		{"cut off", nals(t, slice, "7c01 19 0809 0840 61"), 0},
		{"no content", nals(t, slice, "7c01"), 0},
		{"behind a NAL unit that is cut off", append(nals(t, rpu8), 0, 0, 1, 0, 0x26), 8},
		{"nothing but zeros", make([]byte, 64), 0},
	} {
		if got := DolbyVision(hevc, c.picture); got != c.want {
			t.Errorf("%s: profile %d, want %d", c.name, got, c.want)
		}
	}
	for _, other := range []*media.Track{
		{Kind: media.Video, Codec: media.H264, Parsed: true, NALLengthSize: 4},
		{Kind: media.Video, Codec: media.HEVC, NALLengthSize: 4},
		{Kind: media.Video, Codec: media.AV1, Parsed: true},
	} {
		if got := DolbyVision(other, nals(t, rpu8)); got != 0 {
			t.Errorf("%+v: profile %d", other, got)
		}
	}
}

// bitWriter packs fields in a row.
type bitWriter struct {
	b    []byte
	free int
}

func (w *bitWriter) put(n int, v uint32) {
	for n--; n >= 0; n-- {
		if w.free == 0 {
			w.b, w.free = append(w.b, 0), 8
		}
		w.free--
		w.b[len(w.b)-1] |= byte(v>>n&1) << w.free
	}
}

// variable is how ETSI TS 102 366 annex H writes numbers: groups of n bits with a flag behind each,
// one less for each group that follows.
func (w *bitWriter) variable(n int, v uint32) {
	groups := []uint32{v & (1<<n - 1)}
	for v >>= n; v > 0; v >>= n {
		v--
		groups = append(groups, v&(1<<n-1))
	}
	for i := len(groups) - 1; i >= 0; i-- {
		w.put(n, groups[i])
		w.put(1, uint32(min(i, 1)))
	}
}

// emdf is what an EMDF container says.
type emdf struct {
	version, key, id, extension, flags, size uint32
}

// dolbyOBU packs what follows the prefix of an RPU in a metadata OBU of AV1, with what the
// container says changed.
func dolbyOBU(t testing.TB, rpu string, change func(*emdf)) []byte {
	_, content, _ := strings.Cut(rpu, " 19 ")
	payload := append(unhex(t, content), make([]byte, 300)...) // more than one group of bits tells
	e := emdf{key: 6, id: 31, extension: 225, flags: 1, size: uint32(len(payload))}
	if change != nil {
		change(&e)
	}
	w := bitWriter{b: unhex(t, "b5 003b 00000800")}
	w.put(2, e.version)
	w.put(3, e.key)
	w.put(5, e.id)
	w.variable(5, e.extension)
	w.put(5, e.flags)
	w.variable(8, e.size)
	for _, v := range payload {
		w.put(8, uint32(v))
	}
	w.put(5+2+2+8, 1<<10) // the end of payloads, and protection
	return metadataOBU(w.b)
}

func metadataOBU(message []byte) []byte {
	const header, t35, trailing = 5<<3 | 2, 4, 0x80
	n := len(message) + 2
	return append(append([]byte{header, byte(n&0x7F | 0x80), byte(n >> 7), t35}, message...), trailing)
}

func TestDolbyVisionInAV1(t *testing.T) {
	const start, frame = "1200 0a03000000", "3204 10 123456"
	av1 := &media.Track{Kind: media.Video, Codec: media.AV1, Parsed: true}
	unit := func(obus ...[]byte) []byte { return slices.Concat(obus...) }
	head, picture := unhex(t, start), unhex(t, frame)
	for _, c := range []struct {
		name string
		unit []byte
		want uint8
	}{
		{"none", unit(head, picture), 0},
		{"alone", unit(head, dolbyOBU(t, rpu5, nil), picture), 5},
		{"beside pictures that play without", unit(head, dolbyOBU(t, rpu8, nil), picture), 8},
		{"with a second layer", unit(head, dolbyOBU(t, rpu7, nil), picture), 0},
		{"between two frames", unit(head, picture, dolbyOBU(t, rpu8, nil), picture), 8},
		{"beside captions", unit(metadataOBU([]byte("\xB5\x00\x31GA94\x03")), dolbyOBU(t, rpu5, nil), metadataOBU([]byte("\xB5\x00\x31GA94\x03")), picture), 5},
		{"another type of RPU", dolbyOBU(t, " 19 0c09 0840 6136 5060", nil), 0},
		{"another version", dolbyOBU(t, rpu8, func(e *emdf) { e.version = 1 }), 0},
		{"another key", dolbyOBU(t, rpu8, func(e *emdf) { e.key = 5 }), 0},
		{"another payload", dolbyOBU(t, rpu8, func(e *emdf) { e.id = 30 }), 0},
		{"another extended payload", dolbyOBU(t, rpu8, func(e *emdf) { e.extension = 224 }), 0},
		{"with a group", dolbyOBU(t, rpu8, func(e *emdf) { e.flags = 5 }), 0},
		{"longer than the message", dolbyOBU(t, rpu8, func(e *emdf) { e.size += 4 }), 0},
		{"much longer", dolbyOBU(t, rpu8, func(e *emdf) { e.size = 1 << 30 }), 0},
		{"shorter than its head", dolbyOBU(t, rpu8, func(e *emdf) { e.size = 7 }), 0},
		{"as long as its head", dolbyOBU(t, rpu8, func(e *emdf) { e.size = 8 }), 8},
		{"empty", dolbyOBU(t, rpu8, func(e *emdf) { e.size = 0 }), 0},
		{"message cut in the container", metadataOBU(unhex(t, "b5 003b 00000800 37cd")), 0},
		{"message cut in the size", metadataOBU(unhex(t, "b5 003b 00000800 37cd083f ffffff")), 0},
		{"message cut in its head", metadataOBU(unhex(t, "b5 003b 0000")), 0},
		{"another provider", metadataOBU(unhex(t, "b5 003c 00000800 37cd0820")), 0},
		{"nothing but zeros", make([]byte, 64), 0},
	} {
		if got := DolbyVision(av1, c.unit); got != c.want {
			t.Errorf("%s: profile %d, want %d", c.name, got, c.want)
		}
	}
	// How the container begins is the same for all (libdovi, FFmpeg).
	if got := fmt.Sprintf("%x", dolbyOBU(t, rpu5, nil)[4:15]); got != "b5003b0000080037cd0820" {
		t.Errorf("message %s", got)
	}
	if n := testing.AllocsPerRun(100, func() { DolbyVision(av1, picture) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestUnescape(t *testing.T) {
	for in, want := range map[string]string{
		"000003": "0000", "00000301": "000001", "000300": "000300", "0000030000030003": "0000000000" + "03", "010203": "010203", "00000003": "000000",
	} {
		if got := fmt.Sprintf("%x", unescape(make([]byte, 0, 16), unhex(t, in))); got != want {
			t.Errorf("%s: %s, want %s", in, got, want)
		}
	}
	if got := unescape(make([]byte, 0, 2), []byte{1, 2, 3}); len(got) != 2 {
		t.Errorf("%x is longer than there is room", got)
	}
}

// FuzzDolbyVision checks that a picture is not changed, and that what precedes its last metadata
// changes nothing.
func FuzzDolbyVision(f *testing.F) {
	for _, rpu := range []string{rpu5, rpu7, rpu8} {
		f.Add(nals(f, "2601", rpu), false)
		f.Add(dolbyOBU(f, rpu, nil), true)
	}
	f.Fuzz(func(t *testing.T, picture []byte, av1 bool) {
		track, others := media.Track{Kind: media.Video, Codec: media.HEVC, Parsed: true, NALLengthSize: 4}, nals(t, "2601", "4001")
		if av1 {
			track.Codec, others = media.AV1, unhex(t, "1200 3202 1000")
		}
		before := string(picture)
		got := DolbyVision(&track, picture)
		if string(picture) != before || got != 0 && got != 5 && got != 8 {
			t.Fatalf("profile %d", got)
		}
		if again := DolbyVision(&track, append(others, picture...)); again != got && len(picture) < 2000 { // AV1: within the bound on OBUs
			t.Fatalf("profile %d behind others, else %d", again, got)
		}
	})
}
