package live

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"livego/internal/media"
)

// TestClocksOfAnotherSpeed: time stamps count something else than milliseconds, in sound, in
// pictures or in both. Stream time is that of the day, and sound stays with the pictures.
func TestClocksOfAnotherSpeed(t *testing.T) {
	type speeds struct{ video, audio float64 }
	for _, s := range []speeds{
		{1, 48}, {1, 44.1}, {1, 90}, {1, 1000}, {1, 24}, {1, 2}, {1, 0.5}, {1, 12.3},
		{90, 1}, {48, 1}, {1000, 1}, {10_000, 1}, {30, 1}, {10, 1}, {0.1, 1}, {0.5, 1}, {2, 1},
		{90, 48}, {90, 90}, {48, 48}, {1000, 1000}, {48, 90}, {10_000, 10_000},
	} {
		for name, c := range map[string]camera{
			"":              {},
			"jitter":        {delay: jittery(9, 100)},
			"burst":         {delay: func(_ media.Kind, _, ms int) int { return max(0, 1500-ms) }},
			"60 pictures":   {interval: 16},
			"five pictures": {interval: 200},
		} {
			slight := s.video < 3 && s.video != 1 || s.audio < 3 && s.audio != 1 // it is not seen at once
			for _, base := range []int{0, 1000, 100_000} {
				if slight && (base > 0 || name == "burst") {
					continue
				}
				what := fmt.Sprintf("pictures x %v, sound x %v, from %d, %s", s.video, s.audio, base, name)
				t.Run(what, func(t *testing.T) {
					c.seconds = 40
					c.stamp = func(k media.Kind, _, ms int) int {
						speed := s.video
						if k == media.Audio {
							speed = s.audio
						}
						return int(speed * float64(base+ms))
					}
					got, p := c.run(t)
					b := bounds{from: 3000, off: 60}
					switch {
					case slight:
						b = bounds{from: 24_000, off: 200, breaks: 1}
					case s.video == 30 || s.video == 10: // nothing that is known counts so
						b.from, b.off = 20_000, 100
					}
					check(t, what, c, got, b)
					if lost := len(c.shots()) - len(got); lost > 4 && !slight { // the first ones came before anything was known
						t.Errorf("%s: %d units are lost, %d dropped", what, lost, p.dropped)
					}
				})
			}
		}
	}
}

// TestClocksFromOneNumber: sound in samples begins with the number with which pictures in
// milliseconds do.
func TestClocksFromOneNumber(t *testing.T) {
	for _, base := range []int{0, 700, 1500, 90_000, 3_600_000} {
		for _, s := range [][2]float64{{1, 48}, {90, 1}} {
			c := camera{seconds: 20, stamp: func(k media.Kind, _, ms int) int { return base + int(s[k-media.Video]*float64(ms)) }}
			got, _ := c.run(t)
			check(t, fmt.Sprint(base, " ", s), c, got, bounds{from: 1000, off: 60})
		}
	}
}

// TestOneKindOfAnotherSpeed has nothing beside it but the clock of the day.
func TestOneKindOfAnotherSpeed(t *testing.T) {
	for _, only := range []media.Kind{media.Video, media.Audio} {
		for _, speed := range []float64{48, 44.1, 90, 1000} {
			for name, delay := range map[string]func(media.Kind, int, int) int{"": nil, "jitter": jittery(5, 60)} {
				c := camera{seconds: 20, delay: delay, without: func(k media.Kind, _, _ int) bool { return k != only },
					stamp: func(_ media.Kind, _, ms int) int { return int(speed * float64(ms)) }}
				got, _ := c.run(t)
				check(t, fmt.Sprint(only, " x ", speed, " ", name), c, got, bounds{from: 1500, off: 60})
			}
		}
	}
}

// TestFilesOfAnotherSpeed come faster than they play: frames of sound tell all the same.
func TestFilesOfAnotherSpeed(t *testing.T) {
	for _, s := range [][2]float64{{1, 48}, {90, 1}, {90, 48}, {90, 90}} {
		for _, speed := range []int{3, 20, 1000} {
			c := camera{seconds: 20, speed: speed, stamp: func(k media.Kind, _, ms int) int { return int(s[k-media.Video] * float64(ms)) }}
			got, _ := c.run(t)
			check(t, fmt.Sprint(s, " ", speed), c, got, bounds{from: 1000, off: 60})
		}
	}
}

// TestClocksThatStartAgain, and wrap, while they run at the wrong speed.
func TestClocksThatStartAgain(t *testing.T) {
	for _, s := range [][2]float64{{1, 48}, {90, 1}, {90, 48}} {
		c := camera{seconds: 30, stamp: func(k media.Kind, _, ms int) int {
			if ms > 12_000 {
				ms -= 12_000
			}
			return int(s[k-media.Video] * float64(ms))
		}}
		got, _ := c.run(t)
		check(t, fmt.Sprint(s), c, got, bounds{from: 1000, off: 100, breaks: 1})
	}
}

// TestStampsThatJitter around the true time. Frames of sound tell where they belong; pictures stay
// near the truth.
func TestStampsThatJitter(t *testing.T) {
	for _, where := range []media.Kind{media.Video, media.Audio, 0} {
		for _, most := range []int{150, 300, 500} {
			for _, interval := range []int{16, 40, 100} {
				for _, base := range []int{0, 100_000} {
					for _, begins := range []int{0, 6000} {
						if begins > 0 && (most > 300 || interval > 40) {
							continue // until it is seen, it looks like jumps
						}
						rnd := rand.New(rand.NewPCG(uint64(most), uint64(interval)))
						c := camera{seconds: 30, interval: interval, delay: jittery(3, 60), stamp: func(k media.Kind, _, ms int) int {
							if (k == where || where == 0) && ms >= begins {
								return max(base+ms+rnd.IntN(2*most+1)-most, 0)
							}
							return base + ms
						}}
						what := fmt.Sprintf("%v by %d, pictures each %d, from %d, %d", where, most, interval, base, begins)
						got, _ := c.run(t)
						checkJitter(t, what, got, where, most)
						shots := c.shots()
						if lost := len(shots) - len(got); lost > 25 {
							t.Errorf("%s: %d units are lost", what, lost)
						}
					}
				}
			}
		}
	}
}

// checkJitter asks that sound is smooth, pictures are near where they should be, both together, and
// that what is not stamped wrong is left alone.
func checkJitter(t *testing.T, what string, got []shown, where media.Kind, most int) {
	t.Helper()
	middles := map[media.Kind]float64{}
	for _, kind := range kindsOfMedia {
		units := of(kind, got)
		var offs []float64
		for i, u := range units {
			if i > 0 && u.out <= units[i-1].out {
				t.Fatalf("%s: %v %d is at %.0f after %.0f", what, kind, u.n, u.out, units[i-1].out)
			}
			if u.captured > 10_000 {
				offs = append(offs, u.out-u.captured)
			}
		}
		slices.Sort(offs)
		middle := offs[len(offs)/2]
		middles[kind] = middle
		bound := float64(most)/6 + 90
		if kind == media.Video && (where == 0 || where == media.Video) {
			bound = float64(most)*2/3 + 50
		}
		if least, largest := offs[0]-middle, offs[len(offs)-1]-middle; least < -bound || largest > bound {
			t.Errorf("%s: %v from %.0f to %.0f ms off", what, kind, least, largest)
		}
	}
	if apart := middles[media.Audio] - middles[media.Video]; apart > 100 || apart < -100 {
		t.Errorf("%s: sound is %.0f ms beside the pictures", what, apart)
	}
	for _, u := range got {
		if u.discontinuity {
			t.Errorf("%s: a discontinuity at %.0f", what, u.captured)
		}
	}
}
