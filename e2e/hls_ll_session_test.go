package e2e

import (
	"os"
	"testing"
	"time"

	"livego/internal/hls/hlscheck"
)

// TestLLHLSSession watches a stream of FFmpeg's for a minute and holds every response against the
// rules of the draft. Meanwhile the encoder is killed and comes back, and another one takes the
// stream over.
func TestLLHLSSession(t *testing.T) {
	t.Parallel()
	s, room := start(t), roomOf(t)
	key := s.key(t, room)
	began := time.Now()
	first := ffmpegLive(t, s, key)
	s.waitOnAir(t, room)
	var checker hlscheck.Checker
	v := watchLL(t, s.indexURL(room), func(r hlscheck.Response) { checker.Add(r) })
	v.waitSegments(t, 4, 40*time.Second)
	first.kill()
	s.waitOffAir(t, room)
	pause(t, time.Second)
	second := ffmpegLive(t, s, key)
	s.waitOnAir(t, room)
	v.waitSegments(t, 5, 40*time.Second)
	third := ffmpegLive(t, s, key)
	second.wait(t, 20*time.Second)
	v.waitSegments(t, 5, 40*time.Second)
	pause(t, time.Until(began.Add(time.Minute)))
	_ = third.Process.Signal(os.Interrupt) // it says that the stream ends
	v.waitEnd(t, 20*time.Second)
	v.verify(t)
	v.observing.Lock()
	defer v.observing.Unlock()
	loads := v.named(t, "v0").loads
	t.Logf("%d loads of a playlist of video and %d files were checked", loads, checker.Files())
	if err := checker.Err(); err != nil {
		t.Error(err)
	}
	if loads < 150 || checker.Files() < 300 {
		t.Errorf("only %d loads and %d files were checked", loads, checker.Files())
	}
}
