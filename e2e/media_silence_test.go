package e2e

import (
	"slices"
	"testing"
	"time"
)

// mute repeats a clip of some seconds, and takes the sound out of some repetitions. empty says that
// the encoder tells so, with an empty message.
func mute(clip []tag, seconds, times, from, to int, empty bool) (tags []tag) {
	for i := range times {
		at := uint32(i * seconds * 1000)
		if empty && i == from {
			tags = append(tags, tag{kind: typeAudio, time: at})
		}
		for _, tag := range clip {
			quiet := tag.kind == typeAudio && i >= from && i < to
			if tag.isHeader() && i > 0 || quiet && !tag.isHeader() {
				continue
			}
			tag.time += at
			tags = append(tags, tag)
		}
	}
	return tags
}

// TestSilence lets an encoder send pictures without sound for five seconds in mid-play: hls.js goes
// on with silence, and with the sound when it is back.
func TestSilence(t *testing.T) {
	t.Parallel()
	for name, c := range map[string]struct {
		clip  string
		empty bool
	}{"AAC, and the encoder says so": {"h264-aac", true}, "Opus": {"h264-opus", false}} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := shared(t), roomOf(t)
			clip := wrap(t, clip(t, c.clip, 5, "mp4"), wrapping{})
			encoder := publish(t, s, s.key(t, room), mute(clip, 5, 5, 1, 2, c.empty), pacing{})
			s.waitOnAir(t, room)
			waitIndex(t, s, room)
			p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
			p.waitPlaying(t)
			p.forget(t)
			sound := p.decodedSound(t)
			time.Sleep(time.Until(encoder.began.Add(10 * time.Second)))
			r := p.report(t)
			if r.stood() > mayStand || len(r.Fatal) > 0 {
				t.Errorf("it stood still for %.1f s while there was no sound: %s", r.stood(), r)
			}
			quiet := p.decodedSound(t) - sound
			p.waitProgress(t, 6, 60*time.Second)
			r = p.report(t)
			if loud := p.decodedSound(t) - sound - quiet; r.stood() > mayStand || len(r.Fatal) > 0 || loud < 5000 {
				t.Errorf("it stood still for %.1f s, and decoded %d bytes of sound after it was back, %d before: %s", r.stood(), loud, quiet, r)
			}
			t.Log(r)
		})
	}
}

// TestLadderSilence takes the rung away that alone has sound, or alone sends some: hls.js goes on
// with the other one and silence.
func TestLadderSilence(t *testing.T) {
	t.Parallel()
	for name, gone := range departures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := start(t, "--hls_segment_duration", "1", "--hls_list_size", "6", "--republish_grace", "3"), roomOf(t)
			big := mute(flvClip(t, "h264-aac", 5), 5, 12, 12, 12, false)
			small := mute(flvClip(t, "h264-small", 5), 5, 12, 0, 12, false) // with a header of sound
			if name == "ended" {
				small = slices.DeleteFunc(small, func(tag tag) bool { return tag.kind == typeAudio })
			}
			high, _ := publishRungs(t, s, room, big, small)
			p := playRung(t, s, room, 90)
			gone(t, high)
			r := p.waitProgress(t, 8, 30*time.Second)
			if r.stood() > mayStand || len(r.Fatal) > 0 {
				t.Errorf("it stood still for %.1f s: %s", r.stood(), r)
			}
			t.Log(r)
		})
	}
}
