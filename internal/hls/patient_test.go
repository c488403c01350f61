package hls

import (
	"fmt"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlstest"
)

// TestFirstWholeSegment: the first segment of a stream with a key frame each 10 s is complete after
// 5.5 s if a player waits for it that takes no parts. hls.js without Low-Latency mode asks for a
// part too, but for one that is there.
func TestFirstWholeSegment(t *testing.T) {
	for _, c := range []struct {
		name  string
		ahead int // of the last part, -1: no directive
		whole bool
	}{{"no parts", -1, true}, {"a part that is there", 0, true}, {"the next part", 1, false}} {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(Options{})
				st := goOnAir(t, s)
				st.enc.Video, st.enc.Gop = hlstest.AVCTrack(0), 10_000
				first := make(chan int, 1)
				go func() { first <- ask(s, "GET", "/live/movie/index.m3u8").StatusCode }()
				synctest.Wait()
				st.start(1500)
				if status := <-first; status != 200 {
					t.Fatal(status)
				}
				ask(s, "GET", v0)
				if c.ahead >= 0 {
					seq, part, _ := s.find("live/movie").cmaf.Rendition("v0").View.Load().Last()
					go ask(s, "GET", fmt.Sprintf("%s?_HLS_msn=%d&_HLS_part=%d", v0, seq, part+c.ahead))
					synctest.Wait()
				}
				time.Sleep(patientAfter)
				st.play(5000)
				v := s.find("live/movie").cmaf.Rendition("v0").View.Load()
				if hasWhole(v) != c.whole || v.Target != 10*time.Second {
					t.Errorf("whole: %v, target duration %v", hasWhole(v), v.Target)
				}
				if c.whole && v.Complete() == 2 && v.Segments[1].Duration > 5500*time.Millisecond {
					t.Errorf("the first segment lasts %v", v.Segments[1].Duration)
				}
				if noted := s.find("live/movie").used.Longest; noted != 0 {
					t.Errorf("key frames are noted to be %v apart", noted)
				}
				if err := st.end(io.EOF); err != nil {
					t.Error(err)
				}
			})
		})
	}
}
