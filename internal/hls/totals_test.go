package hls

import (
	"io"
	"net/http"
	"net/http/httptest"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// TestTotals counts requests over a real connection, whose answers go out in ways of their own, and
// keeps the counts of streams that are gone.
func TestTotals(t *testing.T) {
	s := onAir(Options{}, 5)
	web := httptest.NewServer(s)
	defer web.Close()
	var bytes uint64
	for _, path := range []string{"/live/movie.m3u8", "/live/movie/1004.ts", "/live/movie/1004.ts", "/live/movie/1.ts", "/live/movie/v0/1.4.m4s", "/nothing"} {
		answer, err := http.Get(web.URL + path)
		if err != nil {
			t.Fatal(err)
		}
		n, err := io.Copy(io.Discard, answer.Body)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if answer.Header.Get("Content-Encoding") == "" && !answer.Uncompressed {
			bytes += uint64(n)
		}
	}
	if answer := ask(s, http.MethodGet, "/live/movie/1004.ts", "Range", "bytes=0-3"); answer.StatusCode != http.StatusPartialContent {
		t.Errorf("a range: %s", answer.Status)
	}
	_ = ask(s, http.MethodOptions, "/crossdomain.xml")
	_ = ask(s, http.MethodPost, "/live/movie.m3u8")
	want := []Answers{
		{"other", http.StatusNotFound, 1},
		{"ts_playlist", http.StatusOK, 1}, {"ts_playlist", http.StatusMethodNotAllowed, 1},
		{"ts_segment", http.StatusOK, 2}, {"ts_segment", http.StatusPartialContent, 1}, {"ts_segment", http.StatusNotFound, 1},
		{"other", http.StatusNoContent, 1},
		{"part", http.StatusNotFound, 1},
	}
	got := s.Totals()
	if diff := cmp.Diff(want, got.Answers); diff != "" {
		t.Errorf("answers (-want +got):\n%s", diff)
	}
	if got.SentBytes < bytes+4 {
		t.Errorf("%d bytes were sent, at least %d came", got.SentBytes, bytes+4)
	}

	l := s.lives["live/movie"]
	l.counts.cmaf.Parts.Store(3)
	l.counts.ts.Forced.Store(2)
	s.mu.Lock()
	s.forget(l)
	s.forget(l)
	s.mu.Unlock()
	if got := s.Totals(); got.Parts != 3 || got.ForcedCuts != 2 || got.WindowBytes != 0 {
		t.Errorf("after the stream: %+v", got)
	}
}
