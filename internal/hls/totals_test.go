package hls

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

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
	l.counts.parts.Store(3)
	l.counts.forced.Store(2)
	s.mu.Lock()
	s.forget(l)
	s.forget(l)
	s.mu.Unlock()
	if got := s.Totals(); got.Parts != 3 || got.ForcedCuts != 2 || got.WindowBytes != 0 {
		t.Errorf("after the stream: %+v", got)
	}
}

// TestPartDelay: parts of pictures are published with the next picture, those of sound with their
// last frame; and silence counts.
func TestPartDelay(t *testing.T) {
	s := studio{video: avcTrack(0), audio: aac(48000), rate: 25, gop: 50, audioEvery: 1024.0 / 48000}
	var now time.Time
	var delays []time.Duration
	r := newRig(t, Options{Now: func() time.Time { return now }, PartDelay: func(d time.Duration) { delays = append(delays, d) }})
	for _, u := range without(s.until(20*time.Second), 10*time.Second, 13*time.Second) {
		now = time.Unix(0, u.Arrived)
		r.feed("", u)
	}
	if len(delays) < 100 || slices.Min(delays) < 0 || slices.Max(delays) > 50*time.Millisecond {
		t.Errorf("%d parts, delays from %v to %v", len(delays), slices.Min(delays), slices.Max(delays))
	}
	if silence := time.Duration(r.counts.silence.Load()); (silence - 3*time.Second).Abs() > 50*time.Millisecond {
		t.Errorf("%v of silence", silence)
	}
}
