package hls

import (
	"context"
	"io"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

// TestManyRenditionsShareTheMemory: what waits and what is under way has one bound for all
// renditions of a stream.
func TestManyRenditionsShareTheMemory(t *testing.T) {
	const bound = 8 << 20
	r := newRig(t, Options{MaxStreamBytes: bound, MaxSegmentBytes: bound / 4})
	pub := r.publication("")
	streams := make([]*studio, maxRenditions-1)
	for i := range streams {
		streams[i] = &studio{video: avcTrack(uint8(i)), rate: 25, gop: 50, bytes: 40_000}
	}
	streams[0].bytes = 100
	for at := time.Duration(0); at < 20*time.Second; at += 100 * time.Millisecond {
		for _, s := range streams {
			units := s.until(at)
			for i := range units {
				r.write(pub, &units[i])
			}
		}
		waiting := 0
		for _, track := range r.tracks {
			waiting += track.queue.bytes
		}
		if waiting > bound || r.bytes > 2*bound+bound/4 {
			t.Fatalf("at %v %d bytes wait, %d can be fetched or are under way; the bound is %d", at, waiting, r.bytes, bound)
		}
	}
	if n := len(r.show.renditions); n != len(streams) {
		t.Errorf("%d renditions", n)
	}
}

// TestManyVideosLeaveRoomForSound, though it comes after all of them.
func TestManyVideosLeaveRoomForSound(t *testing.T) {
	r := newRig(t, Options{})
	streams := make([]*studio, 64)
	for i := range streams {
		streams[i] = &studio{video: avcTrack(uint8(i)), rate: 25, gop: 50}
	}
	streams = append(streams, &studio{audio: aac(48000), audioEvery: 1024.0 / 48000})
	for at := time.Duration(0); at < 10*time.Second; at += 100 * time.Millisecond {
		for _, s := range streams {
			r.feed("", s.until(at)...)
		}
	}
	if n := len(r.show.renditions); n != maxRenditions || r.show.renditions["a0"] == nil {
		t.Errorf("%d renditions, sound: %v", n, r.show.renditions["a0"] != nil)
	}
}

// TestRestlessRenditionIsLoggedSeldom: a rendition that leaves and comes back all the time does not
// fill the log.
func TestRestlessRenditionIsLoggedSeldom(t *testing.T) {
	r := newRig(t, Options{})
	calm := &studio{video: avcTrack(0), rate: 25, gop: 75}
	restless := &studio{video: avcTrack(1), rate: 25, gop: 75}
	for at := time.Duration(0); at < 2*time.Minute; at += time.Second {
		r.feed("", calm.until(at)...)
		if at%(3*time.Second) == time.Second { // in the middle of a segment
			restless.video = avcTrack(1)
			restless.video.Config[3] += byte(at / (3 * time.Second) % 2)
		}
		r.feed("", restless.until(at)...)
	}
	if n := strings.Count(r.log.String(), "\n"); n == 0 || n > maxTrackLogs+1 {
		t.Errorf("%d lines:\n%.500s", n, r.log.String())
	}
}

// TestRequestsDoNotWaitForAJoiningPublication: a publication that joins waits for packaging, and
// nobody waits for it.
func TestRequestsDoNotWaitForAJoiningPublication(t *testing.T) {
	s := NewServer(Options{})
	l := s.begin("live/movie", &publication{})
	l.mu.Lock() // packaging
	joined, found := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(joined)
		s.begin("live/movie", &publication{rendition: "720p"})
	}()
	go func() {
		defer close(found)
		for active := 0; active < 2; {
			s.find("live/movie")
			s.mu.RLock()
			active = l.active
			s.mu.RUnlock()
		}
		s.find("live/movie")
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
				s := NewServer(Options{
					SegmentDuration: segment, PartDuration: 40 * time.Millisecond,
					Now: func() time.Time { return time.Now().AddDate(27, 0, 0) }, // synctest begins in 2000
				})
				began := time.Now()
				feed, end := onAirAs(t, s, "", &studio{video: avcTrack(0), rate: 50, gop: 5})
				for at := time.Second; at <= 20*time.Second; at += time.Second {
					time.Sleep(time.Until(began.Add(at)))
					feed(at)
				}
				l := s.find("live/movie")
				if first := l.packager.line.first; first <= last {
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
