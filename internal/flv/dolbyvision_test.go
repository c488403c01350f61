package flv

import (
	"fmt"
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
		if got := dolbyVision(hevc, c.picture); got != c.want {
			t.Errorf("%s: profile %d, want %d", c.name, got, c.want)
		}
	}
	for _, other := range []*media.Track{
		{Kind: media.Video, Codec: media.H264, Parsed: true, NALLengthSize: 4},
		{Kind: media.Video, Codec: media.HEVC, NALLengthSize: 4},
	} {
		if got := dolbyVision(other, nals(t, rpu8)); got != 0 {
			t.Errorf("%+v: profile %d", other, got)
		}
	}
}

// TestDolbyVisionOfTrack: the key frames tell, whatever stands in other pictures.
func TestDolbyVisionOfTrack(t *testing.T) {
	var d Demuxer
	for i, c := range []struct {
		start string
		data  []byte
		want  uint8
	}{
		{"90 'hvc1'" + hvcC, nil, 0}, {"93 'hvc1'", nals(t, "2601", rpu8), 8}, {"a3 'hvc1'", nals(t, "0201"), 8}, {"a3 'hvc1'", nals(t, "0201", rpu5), 8},
		{"93 'hvc1'", nals(t, "2601", rpu8), 8}, {"93 'hvc1'", nals(t, "2601"), 0}, {"a3 'hvc1'", nals(t, "0201", rpu5), 0}, {"93 'hvc1'", nals(t, "2601", rpu5), 5},
	} {
		units, err := d.Append(nil, TypeVideo, uint32(40*i), append(unhex(t, c.start), c.data...))
		if err != nil || len(units) != 1 || units[0].Track.DolbyVision != c.want {
			t.Errorf("message %d: %v, want %d: %s", i, err, c.want, fmt.Sprint(units))
		}
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

// FuzzDolbyVision checks that a picture is not changed, and that what follows its last metadata changes nothing.
func FuzzDolbyVision(f *testing.F) {
	for _, rpu := range []string{rpu5, rpu7, rpu8} {
		f.Add(nals(f, "2601", rpu))
	}
	hevc := &media.Track{Kind: media.Video, Codec: media.HEVC, Parsed: true, NALLengthSize: 4}
	f.Fuzz(func(t *testing.T, picture []byte) {
		before := string(picture)
		got := dolbyVision(hevc, picture)
		if string(picture) != before || got != 0 && got != 5 && got != 8 {
			t.Fatalf("profile %d", got)
		}
		if again := dolbyVision(hevc, append(nals(t, "2601", "4001"), picture...)); again != got {
			t.Fatalf("profile %d behind other NAL units, else %d", again, got)
		}
	})
}
