package hls

import (
	"net/http"
	"net/http/httptest"
	"testing"
)

// discard is a client's connection that costs nothing.
type discard struct{ h http.Header }

func (d *discard) Header() http.Header         { return d.h }
func (d *discard) Write(b []byte) (int, error) { return len(b), nil }
func (d *discard) WriteHeader(int)             {}

// TestServeAllocates: a request costs next to no memory beyond what net/http needs.
func TestServeAllocates(t *testing.T) {
	s, _, _, _ := lowLatency(Options{})
	for path, limit := range map[string]float64{
		"/live/movie/index.m3u8": 0, "/live/movie/index-v0.m3u8?_HLS_msn=106&_HLS_part=1": 2, "/live/movie/v0/106.1.m4s": 6,
	} {
		r := httptest.NewRequest("GET", path, nil)
		r.Header.Set("Accept-Encoding", "gzip")
		w := &discard{http.Header{}}
		n := testing.AllocsPerRun(100, func() {
			clear(w.h)
			s.ServeHTTP(w, r)
		})
		if n > limit {
			t.Errorf("%s: %v allocations", path, n)
		}
	}
}

func BenchmarkServe(b *testing.B) {
	s, _, _, _ := lowLatency(Options{})
	for _, path := range []string{"/live/movie/index-v0.m3u8?_HLS_msn=106&_HLS_part=1", "/live/movie/v0/105.m4s", "/live/movie/v0/106.1.m4s", "/live/movie/index.m3u8"} {
		b.Run(path[12:], func(b *testing.B) {
			r := httptest.NewRequest("GET", path, nil)
			r.Header.Set("Accept-Encoding", "gzip")
			w := &discard{http.Header{}}
			b.ReportAllocs()
			for b.Loop() {
				clear(w.h)
				s.ServeHTTP(w, r)
			}
		})
	}
}
