package hls

import (
	"context"
	"errors"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// station is a stream on a server in a test.
type station struct {
	t      *testing.T
	s      *Server
	r      *fakeReader
	enc    *hlstest.Encoder
	done   chan error
	cancel context.CancelFunc
}

// goOnAir starts a life of live/movie.
func goOnAir(t *testing.T, s *Server) *station {
	ctx, cancel := context.WithCancel(t.Context())
	st := &station{t: t, s: s, r: newFakeReader(), done: make(chan error, 1), cancel: cancel,
		enc: &hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}}
	go func() { st.done <- s.Begin("live/movie", "")(ctx, st.r) }()
	synctest.Wait()
	return st
}

// play feeds so many milliseconds.
func (st *station) play(n int) {
	st.r.feed <- st.enc.Play(n)
	synctest.Wait()
}

// start feeds headers and so many milliseconds.
func (st *station) start(n int) {
	st.r.feed <- st.enc.Headers()
	st.play(n)
}

// end feeds an error of the reader and returns what Run returns.
func (st *station) end(err error) error {
	st.r.feed <- err
	return <-st.done
}

func (st *station) playlist() *playlist.Media {
	return parse(st.t, ask(st.s, "GET", "/live/movie.m3u8"))
}

func parse(t *testing.T, r *http.Response) *playlist.Media {
	t.Helper()
	text := body(t, r)
	if r.StatusCode != 200 {
		t.Fatalf("status %d: %s", r.StatusCode, text)
	}
	var p playlist.Media
	if err := p.Unmarshal([]byte(text)); err != nil {
		t.Fatalf("%v:\n%s", err, text)
	}
	return &p
}

func status(s *Server) int { return ask(s, "GET", "/live/movie.m3u8").StatusCode }

// TestLife: playlist from the first segment to the end, and gone three target durations after it.
func TestLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		started := time.Now().Unix()
		st := goOnAir(t, s)
		st.start(3500)
		p := st.playlist()
		if p.MediaSequence != int(started) || *p.DiscontinuitySequence != 0 || len(p.Segments) != 1 || p.Endlist || p.TargetDuration != 3 {
			t.Errorf("%+v", p)
		}
		st.play(60000)
		if p = st.playlist(); p.MediaSequence != int(started)+18 || len(p.Segments) != 3 || *p.DiscontinuitySequence != 0 {
			t.Errorf("%+v", p)
		}
		for _, line := range p.Segments {
			if r := ask(s, "GET", "/live/"+line.URI); r.StatusCode != 200 {
				t.Errorf("%s: status %d", line.URI, r.StatusCode)
			}
		}
		if err := st.end(io.EOF); err != nil {
			t.Error(err)
		}
		if p = st.playlist(); !p.Endlist || p.Segments[len(p.Segments)-1].Duration != 520*time.Millisecond {
			t.Errorf("%+v", p)
		}
		if st := s.Stats(); len(st) != 1 || !st[0].Ended || st[0].Segments != 22 || st[0].Viewers != 1 || st[0].WindowBytes == 0 {
			t.Errorf("%+v", st)
		}
		last := "/live/" + p.Segments[0].URI
		time.Sleep(9*time.Second - 1)
		synctest.Wait()
		if a, b := status(s), ask(s, "GET", last).StatusCode; a != 200 || b != 200 {
			t.Errorf("within three target durations: %d, %d", a, b)
		}
		time.Sleep(time.Nanosecond)
		synctest.Wait()
		if a, b := status(s), ask(s, "GET", last).StatusCode; a != 404 || b != 404 {
			t.Errorf("after three target durations: %d, %d", a, b)
		}
		if st := s.Stats(); len(st) != 0 {
			t.Errorf("%+v", st)
		}
	})
}

// TestRepublish: the next life of a name starts clean, with higher numbers, at once (spec defects
// 19, 20 and 22).
func TestRepublish(t *testing.T) {
	for _, keep := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(Options{KeepAfterEnd: keep})
			st := goOnAir(t, s)
			st.enc.Gop = 20
			st.start(0)
			// A second of stream as 25 segments: numbers run ahead of the clock.
			for range 25 {
				st.enc.Jump, st.enc.Gop = true, 40
				st.play(40)
			}
			st.end(io.EOF)
			old := st.playlist()
			last := old.MediaSequence + len(old.Segments) - 1
			if last < int(time.Now().Unix())+10 {
				t.Errorf("last number %d", last)
			}

			st = goOnAir(t, s)
			if r := ask(s, "GET", "/live/"+old.Segments[0].URI); r.StatusCode != 404 {
				t.Errorf("segment of the old life: %d", r.StatusCode)
			}
			st.start(3000)
			st.play(100)
			p := st.playlist()
			if p.MediaSequence != last+1 || *p.DiscontinuitySequence != 24 || p.Endlist || len(p.Segments) != 1 {
				t.Errorf("%+v after %d", p, last)
			}
			time.Sleep(time.Minute) // the old life's time runs out
			synctest.Wait()
			if got := status(s); got != 200 {
				t.Errorf("status %d", got)
			}
			st.end(io.EOF)
			time.Sleep(time.Minute)
			if got := status(s); (got == 200) != keep {
				t.Errorf("status %d after the end", got)
			}
		})
	}
}

// TestSuspended: the publisher is lost and comes back; the playlist goes on with a discontinuity.
func TestSuspended(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		st := goOnAir(t, s)
		st.start(4000)
		st.r.feed <- media.ErrSuspended
		synctest.Wait()
		p := st.playlist()
		if len(p.Segments) != 2 || p.Endlist {
			t.Errorf("%+v", p)
		}
		time.Sleep(8 * time.Second)
		st.enc.Epoch++
		st.start(3500)
		q := st.playlist()
		if len(q.Segments) != 3 || q.MediaSequence != p.MediaSequence || !q.Segments[2].Discontinuity || *q.DiscontinuitySequence != *p.DiscontinuitySequence {
			t.Errorf("%+v", q)
		}
		st.end(io.EOF)
	})
}

// TestFirstSegmentWait: a request before the first segment waits for it, but not for ever (decision
// 27).
func TestFirstSegmentWait(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		st := goOnAir(t, s)
		begun := time.Now()
		r := ask(s, "GET", "/live/movie.m3u8")
		if r.StatusCode != 404 || r.Header.Get("Retry-After") != "3" || time.Since(begun) != 10*time.Second {
			t.Errorf("status %d after %v: %v", r.StatusCode, time.Since(begun), r.Header)
		}
		answer := make(chan int)
		for range 3 {
			go func() { answer <- status(s) }()
		}
		time.Sleep(5 * time.Second)
		st.start(3500)
		for range 3 {
			if got := <-answer; got != 200 {
				t.Errorf("status %d", got)
			}
		}
		st.end(io.EOF)
	})
}

// TestWaitEnds: a waiting request ends with its client, and with the stream.
func TestWaitEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		st := goOnAir(t, s)
		ctx, cancel := context.WithCancel(t.Context())
		gone := make(chan int)
		go func() {
			w := httptest.NewRecorder()
			s.ServeHTTP(w, httptest.NewRequestWithContext(ctx, "GET", "/live/movie.m3u8", nil))
			gone <- w.Code
		}()
		synctest.Wait()
		cancel()
		if code := <-gone; code != 503 {
			t.Errorf("status %d for a client that left", code)
		}
		answer := make(chan *http.Response)
		go func() { answer <- ask(s, "GET", "/live/movie.m3u8") }()
		synctest.Wait()
		st.end(io.EOF)
		if r := <-answer; r.StatusCode != 404 || body(t, r) != "no publisher\n" {
			t.Errorf("status %d", r.StatusCode)
		}
		if n := len(s.Stats()); n != 0 {
			t.Errorf("%d streams", n)
		}
	})
}

// TestRefusal: codecs that MPEG-TS cannot carry get a text that says so, at once.
func TestRefusal(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		st := goOnAir(t, s)
		st.enc.Video, st.enc.Audio = hlstest.AV1Track(), hlstest.OpusTrack()
		answer := make(chan *http.Response)
		go func() { answer <- ask(s, "GET", "/live/movie.m3u8") }()
		synctest.Wait()
		st.start(1000)
		if r := <-answer; r.StatusCode != 404 || !strings.Contains(body(t, r), "AV1 and Opus") {
			t.Errorf("status %d", r.StatusCode)
		}
		// The next session is H.264: the text is forgotten.
		st.r.feed <- media.ErrSuspended
		st.enc.Epoch++
		st.enc.Video, st.enc.Audio = hlstest.H264Track(), hlstest.AACTrack()
		st.start(4000)
		if got := status(s); got != 200 {
			t.Errorf("status %d", got)
		}
		st.end(io.EOF)
	})
}

// TestShutdown: the end of ctx sets no ENDLIST (decision 30).
func TestShutdown(t *testing.T) {
	broken := errors.New("broken")
	for name, stop := range map[string]func(st *station) error{
		"cancel":       func(st *station) error { st.cancel(); return <-st.done },
		"reader error": func(st *station) error { return st.end(broken) },
	} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(Options{KeepAfterEnd: true})
				st := goOnAir(t, s)
				st.start(3500)
				before := body(t, ask(s, "GET", "/live/movie.m3u8"))
				if err := stop(st); !errors.Is(err, context.Canceled) && !errors.Is(err, broken) {
					t.Errorf("Run: %v", err)
				}
				if after := body(t, ask(s, "GET", "/live/movie.m3u8")); after != before {
					t.Errorf("the playlist changed:\n%s", after)
				}
				time.Sleep(9 * time.Second)
				synctest.Wait()
				if got := status(s); got != 404 {
					t.Errorf("status %d of a stream that nobody feeds", got)
				}
			})
		})
	}
}

// TestKeepBounds: kept streams are bounded by number and bytes, the oldest go.
func TestKeepBounds(t *testing.T) {
	for name, opt := range map[string]Options{"number": {KeepAfterEnd: true, MaxKept: 2}, "bytes": {KeepAfterEnd: true, MaxKeptBytes: 60000}} {
		t.Run(name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(opt)
				for _, name := range []string{"live/a", "live/b", "live/c", "live/d", "live/c"} {
					r := newFakeReader()
					done := make(chan error)
					go func() { done <- s.Begin(name, "")(t.Context(), r) }()
					e := hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}
					r.feed <- append(e.Headers(), e.Play(3500)...)
					r.feed <- io.EOF
					<-done
				}
				var names []string
				total := 0
				for _, st := range s.Stats() {
					names = append(names, st.Name)
					total += st.WindowBytes
				}
				if strings.Join(names, " ") != "live/c live/d" || len(s.kept) != 2 {
					t.Errorf("kept: %v, %d bytes", names, total)
				}
			})
		})
	}
}

// TestRequestsWhilePackaging runs requests of all kinds beside a busy stream, for the race
// detector.
func TestRequestsWhilePackaging(t *testing.T) {
	s := newServer(Options{SegmentDuration: 40 * time.Millisecond})
	r := newFakeReader()
	done := make(chan error)
	go func() { done <- s.Begin("live/movie", "")(t.Context(), r) }()
	e := hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 40}
	r.feed <- append(e.Headers(), e.Play(1000)...)
	stop := make(chan struct{})
	var clients sync.WaitGroup
	for range 4 {
		clients.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				p := parse(t, ask(s, "GET", "/live/movie.m3u8"))
				for _, line := range p.Segments {
					// A segment of a playlist just read is there.
					if got := ask(s, "GET", "/live/"+line.URI); got.StatusCode != 200 {
						t.Errorf("%s: status %d", line.URI, got.StatusCode)
					}
					break
				}
				s.Stats()
			}
		})
	}
	for range 50 {
		r.feed <- e.Play(40)
	}
	close(stop)
	clients.Wait()
	r.feed <- io.EOF
	if err := <-done; err != nil {
		t.Error(err)
	}
}
