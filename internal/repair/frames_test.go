package repair

import (
	"strings"
	"testing"

	"livego/internal/codec"
	"livego/internal/media"
)

// Frames of MP3 of 8 kbit/s at 24 kHz mono, 24 bytes and 24 ms, and of AC-3 of 32 kbit/s at 48 kHz,
// 128 bytes and 32 ms.
var (
	mp3Frame = "fff314c0" + strings.Repeat("5a", 20)
	mp3Other = "fff314c0" + strings.Repeat("3c", 20)
	ac3Frame = "0b77000000402f84" + strings.Repeat("5a", 120)
	ac3Other = "0b77000000402f84" + strings.Repeat("3c", 120)
)

// TestSoundFrames: of MP3 and AC-3 each frame has a message of its own.
func TestSoundFrames(t *testing.T) {
	for _, c := range []struct {
		codec       media.Codec
		one, other  string
		second      string
		rate, frame int
	}{
		{media.MP3, mp3Frame, mp3Other, "24 ", 24000, 576},
		{media.AC3, ac3Frame, ac3Other, "32 ", 48000, 1536},
	} {
		for _, m := range []struct {
			name, data string
			want       []string
			fault      string
		}{
			{"one", c.one, []string{"0 " + c.one}, ""},
			{"two", c.one + c.other, []string{"0 " + c.one, c.second + c.other}, faultFrames},
			{"two and the begin of one", c.one + c.other + c.one[:10], []string{"0 " + c.one, c.second + c.other}, faultFrames},
			{"one and a byte", c.one + "00", []string{"0 " + c.one + "00"}, ""},
			{"one that is cut off", c.one[:30], []string{"0 " + c.one[:30]}, ""},
			{"a tag", "494433040000000000025454", nil, faultNoSound},
			{"a tag and two", "4944330400000000000254ff" + c.one + c.other, []string{"0 " + c.one, c.second + c.other}, faultNoSound},
		} {
			tr := &media.Track{Kind: media.Audio, Codec: c.codec, Parsed: true, SampleRate: c.rate, SamplesPerFrame: c.frame}
			if size := codec.FrameSize(c.codec, unhex(t, c.one)); size != len(c.one)/2 {
				t.Fatalf("%s: a frame of %d bytes", c.codec, size)
			}
			r := begin(t)
			r.send(tr, message{data: c.one})
			r.out = nil
			r.send(tr, message{data: m.data})
			name := string(c.codec) + ", " + m.name
			r.check(name, m.want...)
			if m.fault == "" {
				r.reported(name)
			} else {
				r.reported(name, m.fault)
			}
		}
		// What cannot be read from the begin on may be known to others.
		tr := &media.Track{Kind: media.Audio, Codec: c.codec}
		r := begin(t)
		r.send(tr, message{data: "aabbccddeeff"})
		r.check("unknown", "0 aabbccddeeff")
		r.reported("unknown")
	}
}

// TestFramesOfNoBytes are left out of all codecs. A message of no bytes says that there is no
// sound.
func TestFramesOfNoBytes(t *testing.T) {
	for _, c := range []media.Codec{media.AAC, media.MP3, media.AC3, media.EAC3, media.FLAC} {
		tr := &media.Track{Kind: media.Audio, Codec: c, Parsed: true}
		r := begin(t)
		r.send(tr, message{ms: 20})
		r.check(string(c))
		r.reported(string(c), faultNoFrame)
		r.out = r.Append(nil, []media.AccessUnit{{Track: tr, Body: []byte{}}})
		if len(r.out) != 1 {
			t.Errorf("%s: silence is left out", c)
		}
	}
}
