package ladder

import (
	"slices"
	"testing"
	"time"

	"livego/internal/hls/hlstest"
)

// TestPartDelay: parts of pictures are published with the next picture, those of sound with their
// last frame; and silence counts.
func TestPartDelay(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), Rate: 25, Gop: 50, AudioEvery: 1024.0 / 48000}
	var now time.Time
	var delays []time.Duration
	r := newRig(t, Options{Now: func() time.Time { return now }, PartDelay: func(d time.Duration) { delays = append(delays, d) }})
	for _, u := range hlstest.Without(s.Until(20*time.Second), 10*time.Second, 13*time.Second) {
		now = time.Unix(0, u.Arrived)
		r.feed("", u)
	}
	if len(delays) < 100 || slices.Min(delays) < 0 || slices.Max(delays) > 50*time.Millisecond {
		t.Errorf("%d parts, delays from %v to %v", len(delays), slices.Min(delays), slices.Max(delays))
	}
	if silence := time.Duration(r.counts.Silence.Load()); (silence - 3*time.Second).Abs() > 50*time.Millisecond {
		t.Errorf("%v of silence", silence)
	}
}
