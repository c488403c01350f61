package live

import (
	"fmt"
	"math"
	"testing"

	"livego/internal/media"
)

// TestClocksOfWholeSeconds, or of tenths: stamps are cut to them. Units follow each other evenly.
func TestClocksOfWholeSeconds(t *testing.T) {
	for _, unit := range []int{1000, 500, 200} {
		for _, base := range []int{0, 300, 999, 100_650} {
			for _, where := range []media.Kind{media.Video, media.Audio, 0} {
				for _, interval := range []int{16, 40, 100} {
					for name, delay := range map[string]func(media.Kind, int, int) int{"": nil, "jitter": jittery(9, 100)} {
						what := fmt.Sprintf("%d ms, from %d, %v, pictures each %d, %s", unit, base, where, interval, name)
						c := camera{seconds: 15, interval: interval, delay: delay, stamp: func(k media.Kind, _, ms int) int {
							if ms += base; k == where || where == 0 {
								ms -= ms % unit
							}
							return ms
						}}
						got, p := c.run(t)
						checkEven(t, what, got, 3000)
						checkTogether(t, what, got, 3000, max(60, float64(interval)+10))
						most := 0
						if where == media.Audio { // its first stamp may be from before the first picture
							most = unit / 21
						}
						if lost := len(c.shots()) - len(got); lost > most {
							t.Errorf("%s: %d units are lost, %d dropped", what, lost, p.dropped)
						}
					}
				}
			}
		}
	}
}

// checkEven asks that nothing jumps, and that units captured from a time on, in ms, follow each
// other as they were captured, but for half of their distance and 10 ms.
func checkEven(t *testing.T, what string, got []shown, from float64) {
	t.Helper()
	for _, kind := range kindsOfMedia {
		units, worst, at := of(kind, got), 0.0, 0.0
		for i, u := range units {
			if u.discontinuity {
				t.Errorf("%s: a discontinuity at %.0f", what, u.captured)
			}
			if i == 0 || u.captured < from {
				continue
			}
			step := u.captured - units[i-1].captured
			if off := u.out - units[i-1].out - step; math.Abs(off) > step/2+10 && math.Abs(off) > math.Abs(worst) {
				worst, at = off, u.captured
			}
		}
		if worst != 0 {
			t.Errorf("%s: %v captured at %.0f comes %.0f ms off", what, kind, at, worst)
		}
	}
}
