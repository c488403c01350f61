package hls

import (
	"testing"
	"time"
)

// TestFirstNumber: media sequence numbers rise with the clock, at least as fast as segments come.
func TestFirstNumber(t *testing.T) {
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for segment, want := range map[time.Duration]int64{3 * time.Second: day.Unix(), time.Second: day.Unix(), 500 * time.Millisecond: 2 * 86400, 300 * time.Millisecond: 4 * 86400} {
		if got := firstNumber(day, segment); got != want {
			t.Errorf("segments of %v: %d, want %d", segment, got, want)
		}
	}
}
