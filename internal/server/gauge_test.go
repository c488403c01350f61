package server

import (
	"math"
	"slices"
	"testing"
	"time"

	"livego/internal/media"
	"livego/internal/repair"
)

// feed notes pictures of 25 fps with a key frame each gop, for a time, on a clock that is off by
// ppm. late delays each picture.
func feed(g *gauge, d time.Duration, gop int, ppm float64, late func(i int) time.Duration) {
	track := &media.Track{Kind: media.Video, Codec: media.H264}
	begin := time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)
	const frame = 40 * time.Millisecond
	for i := range int(d / frame) {
		at := time.Duration(i) * frame
		u := media.AccessUnit{Track: track, DTS: at, RandomAccess: i%gop == 0}
		real := time.Duration(float64(at) / (1 + ppm/1e6))
		u.Arrived = begin.Add(real + late(i)).UnixNano()
		g.note(&u)
	}
}

func onTime(int) time.Duration { return 0 }

func TestGaugeOfPictures(t *testing.T) {
	var g gauge
	feed(&g, 9*time.Second, 50, 0, onTime)
	wantEqual(t, "pictures", g.pictures.Load(), 225)
	wantEqual(t, "GOP", g.gop.Load(), 50)
	wantEqual(t, "key frame interval", time.Duration(g.keyInterval.Load()), 2*time.Second)
}

// The drift of a clock shows in spite of queues on the way, and not before it is known.
func TestGaugeOfTheClock(t *testing.T) {
	jitter := func(i int) time.Duration { return time.Duration(i*7919%97) * time.Millisecond * time.Duration(i%5) / 5 }
	for name, tc := range map[string]struct {
		d     time.Duration
		ppm   float64
		late  func(int) time.Duration
		known bool
	}{
		"right":                  {5 * time.Minute, 0, onTime, true},
		"fast":                   {5 * time.Minute, 80, onTime, true},
		"slow, on a bad network": {10 * time.Minute, -200, jitter, true},
		"too early":              {50 * time.Second, 80, onTime, false},
		"not a clock":            {5 * time.Minute, 40000, onTime, false},
	} {
		var g gauge
		feed(&g, tc.d, 50, tc.ppm, tc.late)
		got := g.clockDrift()
		if (got != nil) != tc.known || got != nil && math.Abs(*got-tc.ppm) > 5 {
			t.Errorf("%s: drift %v, want %v (known: %t)", name, got, tc.ppm, tc.known)
		}
	}
}

// After a jump of the encoder's time the clock is compared anew.
func TestGaugeAfterAJump(t *testing.T) {
	var g gauge
	feed(&g, 2*time.Minute, 50, 80, onTime)
	g.note(&media.AccessUnit{Track: g.track, DTS: time.Hour, Arrived: time.Date(2026, 5, 1, 0, 3, 0, 0, time.UTC).UnixNano()})
	if g.clockDrift() != nil {
		t.Error("a drift is known at once")
	}
}

// Faults are counted by what they are.
func TestGaugeOfFaults(t *testing.T) {
	var g gauge
	one, two := repair.Fault{Kind: media.Video, What: "one"}, repair.Fault{Kind: media.Video, Track: 1, What: "one"}
	for _, f := range []repair.Fault{one, two, one} {
		g.noteFault(f)
	}
	if got := g.faultsSoFar(); !slices.Equal(got, []countedFault{{one, 2}, {two, 1}}) {
		t.Errorf("%v", got)
	}
}
