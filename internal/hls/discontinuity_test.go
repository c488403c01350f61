package hls

import (
	"testing"
	"time"
)

// TestFirstDiscontinuity: numbers rise with time and from life to life, and stay small enough to be the index of an array.
func TestFirstDiscontinuity(t *testing.T) {
	day := func(year int) time.Time { return time.Date(year, 1, 1, 0, 0, 0, 0, time.UTC) }
	tests := []struct {
		name string
		now  time.Time
		last int64
		want int64
	}{
		{"the first one", day(2026), -1, 0},
		{"an hour later", day(2026).Add(time.Hour), -1, 6},
		{"a restart in the same ten minutes", day(2026).Add(time.Hour + 9*time.Minute), -1, 6},
		{"the next ten minutes", day(2026).Add(time.Hour + 10*time.Minute), -1, 7},
		{"after a life", day(2026).Add(time.Hour), 6, 7},
		{"after one long ago", day(2026).Add(time.Hour), 2, 6},
		{"a clock that was never set", day(1970), -1, 0},
		{"such a clock after a life", day(1970), 4, 5},
		{"twenty years on", day(2046), -1, 1_051_920},
	}
	for _, test := range tests {
		if got := firstDiscontinuity(test.now, test.last); got != test.want {
			t.Errorf("%s: %d, want %d", test.name, got, test.want)
		}
	}
}
