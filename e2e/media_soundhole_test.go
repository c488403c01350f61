package e2e

import (
	"slices"
	"testing"
	"time"
)

// heAAC says in the header of a clip's sound that it is HE-AAC of one channel (ISO/IEC 14496-3
// §1.6.2.1): object type 5 at 24 kHz, extended to 48 kHz, on object type 2.
func heAAC(clip []tag) []tag {
	clip = slices.Clone(clip)
	for i := range clip {
		if clip[i].kind == typeAudio && clip[i].isHeader() {
			clip[i].body = []byte{0xAF, 0, 0b00101_011, 0b0_0001_001, 0b1_00010_00, 0}
		}
	}
	return clip
}

// TestHoleInSound takes 0.9 s of sound out of each five seconds: hls.js plays on, in one buffered
// range, and with sound behind each hole.
func TestHoleInSound(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		clip string
		ts   bool
	}{
		"AAC": {"h264-aac", false}, "FLAC": {"h264-flac", false}, "HE-AAC": {"h264-he-aac", false}, "MP3 in MPEG-TS": {"h264-mp3", true},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := shared(t), roomOf(t)
			tags := wrap(t, clip(t, c.clip, 5, "mp4"), wrapping{})
			if c.clip == "h264-he-aac" {
				tags = heAAC(tags)
			}
			tags = slices.DeleteFunc(tags, func(tag tag) bool {
				return tag.kind == typeAudio && !tag.isHeader() && tag.time > 1500 && tag.time < 2400
			})
			publish(t, s, s.key(t, room), tags, pacing{loop: true})
			s.waitOnAir(t, room)
			url := s.indexURL(room)
			if c.ts {
				waitPlaylist(t, s.hlsURL(room))
				url = s.hlsURL(room)
			} else {
				waitIndex(t, s, room)
			}
			p := webPlay(t, hlsJS, url, lowLatency)
			p.waitPlaying(t)
			from, sound := p.report(t).Position, p.decodedSound(t)
			p.waitProgress(t, 11, 30*time.Second)
			r := p.report(t)
			ranges := 0
			p.evaluate(t, "video.buffered.length", &ranges)
			loud := p.decodedSound(t) - sound
			// A player that is closer to live than a hole is long waits once for its end.
			if r.stood() > 3 || len(r.Fatal) > 0 || ranges != 1 || r.Decoded < 250 || loud < 20_000 {
				t.Errorf("from %.1f s on it stood still for %.1f s, has %d buffered ranges and decoded %d bytes of sound: %s", from, r.stood(), ranges, loud, r)
			}
			t.Log(r)
		})
	}
}
