package hls

import (
	"fmt"
	"net/http"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/cut"
	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// What a playlist named stays for its duration after its rendition has left (RFC 8216bis 6.2.1),
// also if the rendition comes back.
func TestFilesOfARenditionThatLeft(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, video, _ := lowLatency(Options{})
		status := func(path string) int { return ask(s, "GET", "/live/movie/"+path).StatusCode }
		video.Leave()
		time.Sleep(7*time.Second - 1) // three segments and two parts
		again := onto(l.cmaf, hlstest.Draw("v0", media.Video, 200))
		again.Full().Show(3)
		for _, path := range []string{"v0/103.m4s", "v0/106.1.m4s", "v0/100.mp4", "v0/200.m4s", "v0/200.mp4"} {
			if got := status(path); got != 200 {
				t.Errorf("%s: %d", path, got)
			}
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if a, b := status("v0/103.m4s"), status("v0/200.m4s"); a != 404 || b != 200 {
			t.Errorf("after the playlist's duration: %d, %d", a, b)
		}
		const maxDeparted = 16 // as in ladder
		for i := range 3 * maxDeparted {
			onto(l.cmaf, hlstest.Draw(fmt.Sprint("v", i), media.Video, 300)).Full().Show(3).Leave()
		}
		kept := 0
		for i := range 3 * maxDeparted {
			if l.cmaf.Left(fmt.Sprint("v", i)) {
				kept++
			}
		}
		if kept != maxDeparted {
			t.Errorf("%d are kept", kept)
		}
		time.Sleep(time.Minute)
	})
}

// An encoder that publishes several renditions ends them one after the other: all of them have an
// end.
func TestEndOfALadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, l, video, audio := lowLatency(Options{})
		held := later(t, s, v0+"?_HLS_msn=106&_HLS_part=2")
		l.cmaf.Suspect(cut.Departure)
		video.Leave()
		late := later(t, s, v0)
		audio.End()
		s.end(l, true)
		for _, answer := range []<-chan *http.Response{held, late} {
			r := <-answer
			text := body(t, r)
			if r.StatusCode != 200 || !strings.HasSuffix(text, "#EXTINF:1,\nv0/106.m4s\n#EXT-X-ENDLIST\n") {
				t.Errorf("%d %s", r.StatusCode, text)
			}
		}
		if r := ask(s, "GET", "/live/movie/v0/106.m4s"); r.StatusCode != 200 {
			t.Errorf("the last segment: %d", r.StatusCode)
		}
		time.Sleep(time.Minute)
	})
}

// While others go on, whoever plays a rendition that left hears of it at once, or, if its publisher
// ended, as soon as it is clear that the others did not end with it: however late the request
// comes, and whether it was held before or not.
func TestRequestsForARenditionThatLeft(t *testing.T) {
	cases := []struct {
		name       string
		ended      bool
		held, late time.Duration
	}{
		{"its publisher ended", true, cut.Departure, cut.Departure - cut.Departure/5},
		{"another reason", false, 0, 0},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, l, video, _ := lowLatency(Options{})
				refused := func(path string, after time.Duration) {
					t.Helper()
					began := time.Now()
					if r := ask(s, "GET", path); r.StatusCode != 404 || time.Since(began) != after || r.Header.Get("Cache-Control") != "no-store" {
						t.Errorf("%s: %d after %v, want 404 after %v", path, r.StatusCode, time.Since(began), after)
					}
				}
				done := make(chan time.Duration, 1)
				began := time.Now()
				go func() {
					ask(s, "GET", v0+"?_HLS_msn=106&_HLS_part=2")
					done <- time.Since(began)
				}()
				synctest.Wait()
				if c.ended {
					l.cmaf.Suspect(cut.Departure)
				}
				video.Leave()
				time.Sleep(cut.Departure / 5)
				refused(v0+"?_HLS_msn=106&_HLS_part=2", c.late)
				if held := <-done; held != c.held {
					t.Errorf("the held request was answered after %v, want %v", held, c.held)
				}
				refused(v0, 0)
				if r := ask(s, "GET", "/live/movie/v0/106.0.m4s"); r.StatusCode != 200 {
					t.Errorf("what its playlist named: %d", r.StatusCode)
				}
				time.Sleep(time.Minute)
				refused(v0, 0)
			})
		})
	}
}
