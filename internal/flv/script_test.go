package flv

import (
	"strings"
	"testing"
)

func TestExpected(t *testing.T) {
	type expect struct {
		video, audio int
		known        bool
	}
	const number1 = "00 3ff0000000000000"
	const number0 = "00 0000000000000000"
	for _, c := range []struct {
		name, properties string
		want             expect
	}{
		{"nothing", "", expect{}},
		{"neither kind", "0008 'duration'" + number1, expect{}},
		{"both", "000c 'videocodecid' 00 401c000000000000 000c 'audiocodecid' 00 4024000000000000", expect{1, 1, true}},
		{"codecs by name", "000c 'videocodecid' 02 0004 'avc1' 000c 'audiocodecid' 02 0004 'mp4a'", expect{1, 1, true}},
		{"size only", "0005 'width'" + number1 + "0006 'height'" + number1, expect{1, 0, true}},
		{"rate only", "000d 'audiodatarate'" + number1, expect{0, 1, true}},
		{"id 0 is absent", "000c 'videocodecid'" + number0 + "000c 'audiocodecid' 00 4024000000000000", expect{0, 1, true}},
		{"id 0 with a rate is linear PCM", "000c 'audiocodecid'" + number0 + "000f 'audiosamplerate' 00 40e5888000000000", expect{0, 1, true}},
		{"null and empty are absent", "000c 'videocodecid' 05 000c 'audiocodecid' 02 0000", expect{}},
		{"false decides", "0008 'hasVideo' 01 00 0005 'width'" + number1 + "0008 'hasAudio' 01 01", expect{0, 1, true}},
		{"track maps", "0013 'videoTrackIdInfoMap' 03 0001 '1' 03 000009 000009 0013 'audioTrackIdInfoMap' 03 000009", expect{1, 0, true}},
		{"track maps and track 0", "0005 'width'" + number1 +
			"0013 'videoTrackIdInfoMap' 03 0001 '1' 03 000009 0002 '20' 03 000009 000009 0013 'audioTrackIdInfoMap' 03 0001 '0' 03 000009 0001 '1' 05 000009", expect{3, 2, true}},
		{"a map with track 0", "0005 'width'" + number1 + "0013 'videoTrackIdInfoMap' 03 0001 '0' 03 000009 0001 '1' 03 000009 000009", expect{2, 0, true}},
	} {
		for _, begin := range []string{"03", "08 00000000"} {
			var d Demuxer
			one(t, &d, 18, 0, unhex(t, setDataFrame+"02 000a 'onMetaData'"+begin+c.properties+"000009"))
			var got expect
			got.video, got.audio, got.known = d.Expected()
			if got != c.want {
				t.Errorf("%s: got %+v, want %+v", c.name, got, c.want)
			}
		}
	}
	var d Demuxer
	one(t, &d, 18, 0, unhex(t, "02 000a 'onMetaData'"))
	if _, _, known := d.Expected(); known {
		t.Error("onMetaData without values names no track")
	}
}

func TestEncoder(t *testing.T) {
	long := ""
	for range maxEncoder + 1 {
		long += "61"
	}
	for properties, want := range map[string]string{
		"":                                   "",
		"0007 'encoder' 02 0003 'OBS'":       "OBS",
		"0007 'encoder' 00 3ff0000000000000": "",
		"0007 'encoder' 02 0004 4f4253 ff":   "OBS",
		"0007 'encoder' 02 0081 " + long:     strings.Repeat("a", maxEncoder),
	} {
		var d Demuxer
		one(t, &d, 18, 0, unhex(t, "02 000a 'onMetaData' 03"+properties+"000009"))
		if got := d.Encoder(); got != want {
			t.Errorf("%s: %q, want %q", properties, got, want)
		}
	}
}
