package hls

import (
	"fmt"
	"net/http"
	"net/http/httptest"
	"testing"
	"testing/synctest"
)

// askFrom asks as a client with an address.
func askFrom(s *Server, address, path string) *http.Response {
	r, w := httptest.NewRequest("GET", path, nil), httptest.NewRecorder()
	r.RemoteAddr = address
	s.ServeHTTP(w, r)
	return w.Result()
}

// TestShareOfAnAddress: one address that asks without end leaves enough to the others, and what it
// lets go is free again.
func TestShareOfAnAddress(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		const most = 64
		s, _, video, _ := lowLatency(Options{MaxWaiting: most})
		answers := make(chan int, 4*most)
		flood := func(format string) (held int) {
			before := s.Waiting()
			for i := range most {
				address := fmt.Sprintf(format, 1000+i)
				go func() { answers <- askFrom(s, address, v0+"?_HLS_msn=106").StatusCode }()
			}
			synctest.Wait()
			held = s.Waiting() - before
			for range most - held {
				if status := <-answers; status != http.StatusServiceUnavailable {
					t.Errorf("over its share: %d", status)
				}
			}
			return held
		}
		for _, c := range []struct {
			from string
			want int
		}{
			{"192.0.2.1:%d", most / 2},
			{"[::ffff:192.0.2.1]:%d", 0}, // the same
			{"[2001:db8:0:1::%x]:1", most / 4},
			{"[2001:db8:0:1:ffff::%d]:1", 0}, // the same network
			{"198.51.100.1:%d", most / 8},
			{"[2001:db8:0:2::1]:%d", most / 16},
		} {
			if got := flood(c.from); got != c.want {
				t.Errorf("%s: %d requests are held, want %d", c.from, got, c.want)
			}
		}
		held := s.Waiting()
		viewer := make(chan int, 1)
		go func() { viewer <- askFrom(s, "203.0.113.9:7", v0+"?_HLS_msn=106").StatusCode }()
		synctest.Wait()
		if got := s.Waiting(); got != held+1 {
			t.Errorf("%d requests are held, want %d: a viewer was turned away", got, held+1)
		}
		close(video.View.Load().Replaced)
		<-viewer
		for range held {
			<-answers
		}
		synctest.Wait()
		if n := s.Waiting(); n != 0 {
			t.Errorf("%d requests wait", n)
		}
	})
}
