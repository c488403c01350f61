package cut

import (
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// TestHoleAfterManyFrames: a hole is seen as well where an encoder's samples had been more than its
// time.
func TestHoleAfterManyFrames(t *testing.T) {
	var c SoundCount
	const length, every = 20 * time.Millisecond, 96 * time.Millisecond
	track := hlstest.Opus48()
	feed := func(at time.Duration) bool {
		missing := c.Misses(at)
		c.Take(&media.AccessUnit{Track: track, DTS: at}, length)
		return missing
	}
	for i := range 1000 {
		if feed(time.Duration(i/5) * every) {
			t.Fatalf("a hole before frame %d", i)
		}
	}
	for i, want := range []bool{true, false, false} {
		if at := 199*every + 400*time.Millisecond + time.Duration(i)*length; feed(at) != want {
			t.Errorf("a hole at %v: not %v", at, want)
		}
	}
}
