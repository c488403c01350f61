package fanout

import (
	"sync/atomic"
	"testing"
	"time"

	"livego/internal/live"
)

// TestLatency: one pass in 64 is measured, from the arrival of the newest unit on.
func TestLatency(t *testing.T) {
	src := newSource(t, live.Options{})
	var told atomic.Int32
	f := newFanout(Options{GOPs: 1, Latency: func(d time.Duration) {
		told.Add(1)
		if d < 0 || d > time.Minute {
			t.Errorf("a latency of %v", d)
		}
	}})
	src.headers()
	src.step()
	server, client := pair(t)
	p := play(f, src.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
	watched := watching(t, client)
	steps := 0
	eventually(t, "two passes are measured", func() bool {
		src.step()
		steps++
		return told.Load() == 2
	})
	if steps < sampledPasses {
		t.Errorf("%d steps led to two measurements", steps)
	}
	src.pub.Unpublish()
	_ = wait(t, p)
	server.Close()
	<-watched
	f.Wait()
}
