package live

import (
	"fmt"
	"math"
	"math/rand/v2"
	"testing"

	"livego/internal/media"
)

// TestPicturesCountedAtAnotherRate than that at which they come, beside right sound: after a second
// or two they are with the sound, and stay there, however long the stream is.
func TestPicturesCountedAtAnotherRate(t *testing.T) {
	for _, rates := range [][2]float64{{20, 25}, {25, 20}, {24, 30}, {30, 24}, {60, 50}, {40, 50}, {29.97, 30}, {30, 29.97}, {25.25, 25}, {24.75, 25}, {25, 50}, {60, 30}, {30, 15}, {100, 10}} {
		counted, real := rates[0], rates[1]
		seconds := 20
		if math.Abs(counted/real-1) < 0.01 {
			seconds = 90
		}
		for name, delay := range map[string]func(media.Kind, int, int) int{"": nil, "jitter": jittery(9, 100), "uneven": func(_ media.Kind, n, _ int) int {
			return rand.New(rand.NewPCG(uint64(n), 3)).IntN(15)
		}} {
			for _, base := range []int{0, 100_000} {
				what := fmt.Sprintf("%v for %v, from %d, %s", counted, real, base, name)
				t.Run(what, func(t *testing.T) {
					c := camera{seconds: seconds, interval: int(math.Round(1000 / real)), delay: delay}
					c.stamp = func(k media.Kind, n, ms int) int {
						if k == media.Video {
							return base + int(float64(ms)*real/counted)
						}
						return base + ms
					}
					got, p := c.run(t)
					checkBeside(t, what, got, 2500, 50)
					if lost := len(c.shots()) - len(got); lost > 0 {
						t.Errorf("%d units are lost, %d dropped", lost, p.dropped)
					}
				})
			}
		}
	}
}

// TestSoundCountedAtAnotherRate than that at which it comes, beside right pictures: that of another
// sampling rate, or a clock that is a little wrong. The sound follows without holes from then on,
// and is with the pictures.
func TestSoundCountedAtAnotherRate(t *testing.T) {
	for _, speed := range []float64{44.1 / 48, 48 / 44.1, 1.01, 0.99, 1.001, 0.999} {
		for name, delay := range map[string]func(media.Kind, int, int) int{"": nil, "jitter": jittery(9, 100)} {
			for _, base := range []int{0, 100_000} {
				what := fmt.Sprintf("x %v, from %d, %s", speed, base, name)
				t.Run(what, func(t *testing.T) {
					c := camera{seconds: 60, delay: delay}
					c.stamp = func(k media.Kind, n, ms int) int {
						if k == media.Audio {
							return base + int(float64(ms)*speed)
						}
						return base + ms
					}
					got, _ := c.run(t)
					for _, u := range got {
						if u.discontinuity {
							t.Errorf("a discontinuity at %.0f", u.captured)
						}
					}
					checkTogether(t, what, got, 2500, 50)
				})
			}
		}
	}
}

// checkTogether asks that sound captured from a time on, in ms, is beside the pictures before which
// it was captured, by most ms at most.
func checkTogether(t *testing.T, what string, got []shown, from, most float64) {
	t.Helper()
	worst, at, i := 0.0, 0.0, 0
	pictures := of(media.Video, got)
	for _, u := range of(media.Audio, got) {
		for i < len(pictures)-1 && pictures[i].captured < u.captured {
			i++
		}
		off := (u.out - u.captured) - (pictures[i].out - pictures[i].captured)
		if u.captured >= from && math.Abs(off) > math.Abs(worst) {
			worst, at = off, u.captured
		}
	}
	if math.Abs(worst) > most {
		t.Errorf("%s: sound captured at %.0f is %.0f ms beside the pictures", what, at, worst)
	}
}

// checkBeside asks that sound follows without holes, and that pictures captured from a time on, in
// ms, are beside it, by most ms at most.
func checkBeside(t *testing.T, what string, got []shown, from, most float64) {
	t.Helper()
	sound := of(media.Audio, got)
	first := sound[0].out - sound[0].captured
	last, worst, at := 0.0, 0.0, 0.0
	for _, u := range sound {
		if off := u.out - u.captured - first; math.Abs(off) > 25 {
			t.Fatalf("%s: sound captured at %.0f is %.0f ms off", what, u.captured, off)
		}
	}
	for _, u := range of(media.Video, got) {
		if u.out <= last && last > 0 {
			t.Fatalf("%s: picture %d is at %.0f after %.0f", what, u.n, u.out, last)
		}
		last = u.out
		if off := u.out - u.captured - first; u.captured >= from && math.Abs(off) > math.Abs(worst) {
			worst, at = off, u.captured
		}
	}
	if math.Abs(worst) > most {
		t.Errorf("%s: a picture captured at %.0f is %.0f ms beside the sound", what, at, worst)
	}
	for _, u := range got {
		if u.discontinuity {
			t.Errorf("%s: a discontinuity at %.0f", what, u.captured)
		}
	}
}
