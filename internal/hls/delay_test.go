package hls

import (
	"slices"
	"testing"
	"time"
)

// TestPartDelay: parts of pictures are published with the next picture, those of sound with their
// last frame; and silence counts.
func TestPartDelay(t *testing.T) {
	s := studio{video: avcTrack(0), audio: aac(48000), rate: 25, gop: 50, audioEvery: 1024.0 / 48000}
	var now time.Time
	var delays []time.Duration
	r := newRig(t, cmafOptions{Now: func() time.Time { return now }, PartDelay: func(d time.Duration) { delays = append(delays, d) }})
	for _, u := range without(s.until(20*time.Second), 10*time.Second, 13*time.Second) {
		now = time.Unix(0, u.Arrived)
		r.feed("", u)
	}
	if len(delays) < 100 || slices.Min(delays) < 0 || slices.Max(delays) > 50*time.Millisecond {
		t.Errorf("%d parts, delays from %v to %v", len(delays), slices.Min(delays), slices.Max(delays))
	}
	if silence := time.Duration(r.counts.silence.Load()); (silence - 3*time.Second).Abs() > 50*time.Millisecond {
		t.Errorf("%v of silence", silence)
	}
}
