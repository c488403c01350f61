package playlist

import (
	"testing"
	"time"
)

// TestPictureRate measures encoders that begin with a pause, make pauses, send in bursts or slowly.
func TestPictureRate(t *testing.T) {
	many := func(n int, steps ...int) (all []int) {
		for range n {
			all = append(all, steps...)
		}
		return all
	}
	for name, c := range map[string]struct {
		steps []int // in ms
		want  float64
	}{
		"one picture":               {nil, 0},
		"one picture, a pause":      {[]int{4000}, 0}, // not 0.25
		"a pause first":             {append([]int{4000}, many(5, 40)...), 25},
		"two pauses first":          {append([]int{4000, 900}, many(5, 40)...), 25},
		"a pause between":           {append(many(50, 40), append([]int{4000}, many(50, 40)...)...), 25},
		"30 a second":               {many(100, 33, 33, 34), 30},
		"bursts":                    {many(100, 1, 1, 118), 25},
		"one a second":              {many(10, 999, 1001), 1},
		"one every four seconds":    {many(5, 4000), 0.25},
		"one picture again and one": {many(20, 40, 0, 40), 25},
	} {
		var r Rates
		at := time.Duration(0)
		r.Step(at)
		for _, ms := range c.steps {
			at += time.Duration(ms) * time.Millisecond
			r.Step(at)
		}
		if got := r.PerSecond(); got < c.want*0.999 || got > c.want*1.001 {
			t.Errorf("%s: %.3f pictures a second, want %.3f", name, got, c.want)
		}
	}
}
