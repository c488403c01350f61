package hls

import (
	"context"
	"io"
	"net/http/httptest"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/ladder"
)

// TestRequestsDoNotWaitForAJoiningPublication: a publication that joins waits for packaging, and
// nobody waits for it.
func TestRequestsDoNotWaitForAJoiningPublication(t *testing.T) {
	s := newServer(Options{})
	l := s.begin("live/movie", &ladder.Publication{})(context.Background())
	l.mu.Lock() // packaging
	joined, found := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(joined)
		s.begin("live/movie", &ladder.Publication{Rendition: "720p"})(context.Background())
	}()
	go func() {
		defer close(found)
		for active := 0; active < 2; {
			s.wanted("live/movie", inCMAF)
			s.mu.RLock()
			active = l.active
			s.mu.RUnlock()
		}
		s.wanted("live/movie", inCMAF)
	}()
	select {
	case <-found:
	case <-time.After(5 * time.Second):
		t.Error("a request waits for the packager")
	}
	l.mu.Unlock()
	<-joined
	<-found
}

// TestNumbersRiseOverRestarts: also where segments are shorter than a second, a server that starts
// again uses no number twice.
func TestNumbersRiseOverRestarts(t *testing.T) {
	for _, segment := range []time.Duration{100 * time.Millisecond, 400 * time.Millisecond, time.Second, 3 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			last := int64(0)
			for range 3 {
				s := newServer(Options{
					SegmentDuration: segment, PartDuration: 40 * time.Millisecond,
					Now: func() time.Time { return time.Now().AddDate(27, 0, 0) }, // synctest begins in 2000
				})
				began := time.Now()
				feed, end := onAirAs(t, s, "", &hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 50, Gop: 5})
				for at := time.Second; at <= 20*time.Second; at += time.Second {
					time.Sleep(time.Until(began.Add(at)))
					feed(at)
				}
				l := s.find("live/movie")
				if first := l.packager.First(); first <= last {
					t.Errorf("%v: number %d after %d", segment, first, last)
				}
				last = s.lastSeq.Load()
				if err := end(io.EOF); err != nil {
					t.Error(err)
				}
			}
			time.Sleep(time.Minute)
		})
	}
}

// TestNoEmptyAnswer: a request that ends while it is held gets no empty playlist with status 200,
// which a cache might keep. Its context also ends when the server goes down, and when a proxy
// closes its sending side only.
func TestNoEmptyAnswer(t *testing.T) {
	s, _, _, _ := lowLatency(Options{})
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	w := httptest.NewRecorder()
	s.ServeHTTP(w, httptest.NewRequest("GET", v0+"?_HLS_msn=106", nil).WithContext(ctx))
	if w.Code != 503 || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", w.Code, w.Header())
	}
}

// TestEndIsNotKeptForNumbersToCome: the next life of the stream may have the segment that an ended
// playlist is asked for.
func TestEndIsNotKeptForNumbersToCome(t *testing.T) {
	s, _, video, _ := lowLatency(Options{})
	video.End()
	for query, want := range map[string]string{"_HLS_msn=107&_HLS_part=0": "max-age=1", "_HLS_msn=500": "max-age=1", "_HLS_msn=106": "max-age=12"} {
		if got := ask(s, "GET", v0+"?"+query).Header.Get("Cache-Control"); got != want {
			t.Errorf("%s: %s, want %s", query, got, want)
		}
	}
}
