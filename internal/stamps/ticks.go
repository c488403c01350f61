package stamps

const (
	// exact is how near the speed of a clock must be to what is known to be it, where the sound is
	// counted, and rough where it was measured.
	exact = 0.02
	rough = 0.15
)

// units are what clocks of media count in a millisecond: the 90 kHz of MPEG, microseconds, the 100
// ns of Windows, the 27 MHz of MPEG, and the usual samples of sound.
var units = [...]float64{90, 1000, 10_000, 27_000, 44.1, 48}

// tickOf returns what a clock counts in a millisecond that is too fast by about a factor, 0 if
// nothing that is known. It may count the samples of the session's sound.
func tickOf(speed float64, sampleRate int, by float64) (unit float64) {
	if samples := float64(sampleRate) / 1000; samples >= 8 && near(speed, samples, by) {
		return samples
	}
	off := by
	for _, u := range units {
		if d := max(speed/u, u/speed) - 1; d <= off {
			unit, off = u, d
		}
	}
	return unit
}

func near(a, b, by float64) bool { return a >= b*(1-by) && a <= b*(1+by) }
