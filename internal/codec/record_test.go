package codec

import (
	"bytes"
	"fmt"
	"testing"

	"livego/internal/media"
	"livego/internal/nal"
)

// Records that FFmpeg made of what x264, x265 and libaom encoded, and their parameter sets.
const (
	avcSPS  = "6764000dacd94141fb011000000300100000030320f1429960"
	avcPPS  = "68ebe3cb22c0"
	avcC    = "0164000dffe10019" + avcSPS + "010006" + avcPPS + "fdf8f800"
	mainSPS = "674d400ceca0a0cfcf80880000030008000003019078a14cb0"

	hevcVPSUnit = "40010c01ffff0408000003009e0800000300003c959809"
	hevcSPSUnit = "4201010408000003009e0800000300003c90014101e2cb2b349265780b7020200040000003004000000642"
	hevcPPSUnit = "4401c172860c4624"
	hvcC        = "0104080000009e08000000003cf000fcfff8f800000f03200001 0017" + hevcVPSUnit +
		"210001002b" + hevcSPSUnit + "2200010008" + hevcPPSUnit

	av1Header = "0a0b000000043cffbc02f80040"
	av1C      = "81000c00" + av1Header
)

// VVC parameter sets by the standard, H.266 §7.3.2: there is no encoder here.
const (
	vvcVPSUnit = "0071 00"
	// id 0, VPS 0, 1 sublayer, 4:2:0, CTU 128, profile present; Main 10, tier 0, level 51, frame
	// only, no constraints, no sub-profiles; no GDR, no resampling, 1280 x 720, no window, no
	// subpictures, 10 bits
	vvcSPSUnit = "0079 00 0d 02 33 80 00 " + vvcSizes
	vvcPPSUnit = "0081 00 80"
)

// vvcSizes is 0 0 | ue(1280) 0000000000 10100000001 | ue(720) 000000000 1011010001 | 0 0 | ue(2)
// 011 | 1.
const vvcSizes = "000a 0200 b447"

func sets(t testing.TB, units ...string) (all [][]byte) {
	for _, u := range units {
		all = append(all, unhex(t, u))
	}
	return all
}

func TestRecord(t *testing.T) {
	for _, c := range []struct {
		name  string
		codec media.Codec
		sets  []string
		want  string
	}{
		{"High", media.H264, []string{avcSPS, avcPPS}, avcC},
		{"in any order, among others", media.H264, []string{"09f0", avcPPS, "0605", avcSPS, "6588"}, avcC},
		{"Main has no extension", media.H264, []string{mainSPS, avcPPS}, "014d400cffe10019" + mainSPS + "010006" + avcPPS},
		{"several sets", media.H264, []string{avcSPS, mainSPS, avcPPS, "68ee"},
			"0164000dffe2 0019" + avcSPS + "0019" + mainSPS + "02 0006" + avcPPS + "0002 68ee fdf8f800"},
		{"HEVC", media.HEVC, []string{hevcVPSUnit, hevcSPSUnit, hevcPPSUnit}, hvcC},
		{"HEVC without VPS", media.HEVC, []string{hevcSPSUnit, hevcPPSUnit},
			"0104080000009e08000000003cf000fcfff8f800000f02 210001002b" + hevcSPSUnit + "2200010008" + hevcPPSUnit},
		{"VVC", media.VVC, []string{vvcVPSUnit, vvcSPSUnit, vvcPPSUnit},
			"ff 0011 5f 01 02 33 80 00 0500 02d0 0000 03 0e 0001 0003" + vvcVPSUnit + "0f 0001 000e" + vvcSPSUnit + "10 0001 0004" + vvcPPSUnit},
	} {
		got, err := Record(c.codec, sets(t, c.sets...))
		if err != nil || !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s: %x, %v", c.name, got, err)
			continue
		}
		track := &media.Track{Kind: media.Video, Codec: c.codec}
		if Configure(track, got); !track.Parsed || track.NALLengthSize != 4 || track.Width == 0 {
			t.Errorf("%s: %+v", c.name, track)
		}
	}
}

func TestWithLengths(t *testing.T) {
	for _, c := range []struct {
		codec        media.Codec
		config, want string
	}{
		{media.H264, "0164000dfde1", "0164000dffe1"},
		{media.HEVC, "0104080000009e08000000003cf000fcfff8f800000d03", "0104080000009e08000000003cf000fcfff8f800000f03"},
		{media.VVC, "fb00", "ff00"},
		{media.VVC, "", ""},
	} {
		if got := WithLengths(&media.Track{Codec: c.codec, Config: unhex(t, c.config)}, 4); !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s %s: %x", c.codec, c.config, got)
		}
	}
}

func TestRecordErrors(t *testing.T) {
	many := make([]string, maxSets+1)
	for i := range many {
		many[i] = fmt.Sprintf("68%02x", i+1)
	}
	long := append(unhex(t, avcPPS), make([]byte, maxSetSize)...)
	for name, all := range map[string][][]byte{
		"none":           nil,
		"no SPS":         sets(t, avcPPS),
		"no PPS":         sets(t, avcSPS),
		"SPS cut off":    sets(t, "6764", avcPPS),
		"many":           sets(t, append(many, avcSPS)...),
		"a long one":     append(sets(t, avcSPS), long),
		"nothing but it": sets(t, ""),
	} {
		if b, err := Record(media.H264, all); err == nil {
			t.Errorf("%s: %x", name, b)
		}
	}
	for _, c := range []media.Codec{media.HEVC, media.VVC} {
		for _, unit := range []string{"4201", "420101", "0079", "00790d"} {
			if b, err := Record(c, sets(t, unit, "4401c1", "0081")); err == nil {
				t.Errorf("%s %s: %x", c, unit, b)
			}
		}
	}
}

// TestVVCRecordOfAllFields has an SPS with what most have not: constraints, sublayers with levels,
// sub-profiles, resampling, a window and subpictures.
func TestVVCRecordOfAllFields(t *testing.T) {
	var w writer
	w.put(16, 0x0079)
	w.put(4+4, 0)
	w.put(3, 2) // 3 sublayers
	w.put(2+2+1, 1<<3|1<<1|1)
	w.put(7+1, 1<<1|1) // Main 10, high tier
	w.put(8, 80)
	w.put(2, 1) // multilayer
	w.put(1, 1)
	for range 71 {
		w.put(1, 1)
	}
	w.put(8, 3)
	w.put(3, 5)
	for w.pos%8 != 0 {
		w.put(1, 0)
	}
	w.put(2, 1) // the lower one has a level
	for w.pos%8 != 0 {
		w.put(1, 0)
	}
	w.put(8, 48)
	w.put(8, 1)
	w.put(32, 0x11223344)
	w.put(3, 3)        // resampling, with change
	w.put(17, 257)     // ue(256)
	w.put(17, 257)     //
	w.put(5, 1<<4|0xF) // window of 0 0 0 0
	w.put(1, 1)
	w.put(3, 2) // ue(1): 2 subpictures
	w.put(2, 0) // neither independent nor of one size
	// of 4 x 4 CTUs: size of the first, 2 + 2 bits, and 2 flags; place of the second, and 2 flags
	w.put(4+2+4+2, 0)
	w.put(1+1+1, 1<<2|1<<1|1) // ids of ue(0) + 1 bits, which are there
	w.put(2, 1)
	w.put(3, 3) // ue(2): 10 bits
	w.put(8, 0x80)
	got, err := Record(media.VVC, [][]byte{w.b, unhex(t, vvcPPSUnit)})
	// 01, 1, 71 ones, 00000011, 101 and one zero: 11 bytes
	want := "ff 0031 5f 0b 03 50" + "7fffffffffffffffff c0 e8" + "40 30 01 11223344" + "0100 0100 0000"
	if err != nil || !bytes.HasPrefix(got, unhex(t, want)) {
		t.Errorf("%x, %v, want %x", got, err, unhex(t, want))
	}
}

func TestSetID(t *testing.T) {
	for _, c := range []struct {
		codec media.Codec
		kind  nal.Kind
		set   string
		want  uint32
	}{
		{media.H264, nal.SPS, avcSPS, 0},
		{media.H264, nal.SPS, "6764000d 40", 1},
		{media.H264, nal.PPS, avcPPS, 0},
		{media.H264, nal.PPS, "68 60", 2},
		{media.HEVC, nal.VPS, hevcVPSUnit, 0},
		{media.HEVC, nal.SPS, hevcSPSUnit, 0},
		// two more sublayers, one with profile and level, one with a level
		{media.HEVC, nal.SPS, "420105 0408000003009e0800000300003c d000 0408000003009e080000030000 3c 3c 40", 1},
		{media.HEVC, nal.PPS, "4401 30", 5},
		{media.VVC, nal.VPS, "0071 30", 3},
		{media.VVC, nal.SPS, "0079 70", 7},
		{media.VVC, nal.PPS, "0081 14", 5},
	} {
		if got, ok := SetID(c.codec, c.kind, unhex(t, c.set)); !ok || got != c.want {
			t.Errorf("%s %s: %d %v, want %d", c.codec, c.set, got, ok, c.want)
		}
	}
	if _, ok := SetID(media.H264, nal.SPS, []byte{0x67, 0x64}); ok {
		t.Error("a set of two bytes has an id")
	}
}

func TestAV1Record(t *testing.T) {
	got, err := AV1Record(unhex(t, av1Header))
	if err != nil || !bytes.Equal(got, unhex(t, av1C)) {
		t.Errorf("%x, %v", got, err)
	}
	if _, err := AV1Record(unhex(t, "0a02 0000")); err == nil {
		t.Error("a header that is cut off")
	}
}

// FuzzRecord: what is made parses, or has a profile that does not.
func FuzzRecord(f *testing.F) {
	for _, c := range [][2]string{{avcSPS, avcPPS}, {hevcSPSUnit, hevcPPSUnit}, {vvcSPSUnit, vvcPPSUnit}} {
		f.Add(unhex(f, c[0]), unhex(f, c[1]))
	}
	f.Fuzz(func(t *testing.T, sps, pps []byte) {
		for _, c := range []media.Codec{media.H264, media.HEVC, media.VVC} {
			record, err := Record(c, [][]byte{sps, pps})
			if err != nil {
				continue
			}
			track := &media.Track{Kind: media.Video, Codec: c}
			if Configure(track, record); !track.Parsed || len(track.ParameterSets) != 2 {
				t.Fatalf("%s: %q of %x", c, track.Err, record)
			}
			for _, set := range track.ParameterSets {
				kind, _ := nal.KindOf(c, set)
				if id, ok := SetID(c, kind, set); ok && id > maxSetID {
					t.Fatalf("id %d", id)
				}
			}
		}
	})
}
