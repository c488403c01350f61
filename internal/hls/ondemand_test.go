package hls

import (
	"context"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/http/httptest"
	"runtime"
	"slices"
	"strings"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// tap makes sources over units that are kept, and what comes later.
type tap struct {
	mu     sync.Mutex
	kept   []media.AccessUnit
	opened int // how often
	open   map[*tapReader]bool
}

type tapReader struct {
	fakeReader
	of     *tap
	closed chan struct{}
}

func (p *tap) make() Source {
	p.mu.Lock()
	defer p.mu.Unlock()
	r := &tapReader{fakeReader: fakeReader{feed: make(chan any), pending: slices.Clone(p.kept)}, of: p, closed: make(chan struct{})}
	p.opened++
	p.open[r] = true
	return r
}

func (r *tapReader) Close() {
	r.of.mu.Lock()
	defer r.of.mu.Unlock()
	delete(r.of.open, r)
	close(r.closed)
}

// counts says how often sources were made, and how many are open.
func (p *tap) counts() (opened, open int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.opened, len(p.open)
}

// send hands out units, or an error, to whoever reads.
func (p *tap) send(what any) {
	p.mu.Lock()
	readers := slices.Collect(maps.Keys(p.open))
	p.mu.Unlock()
	for _, r := range readers {
		select {
		case r.feed <- what:
		case <-r.closed: // as another one was told that nobody watches
		}
	}
	synctest.Wait()
}

// offer puts live/movie on offer, as a rendition.
func offer(t *testing.T, s *Server, rendition string, kept []media.AccessUnit) (p *tap, over chan struct{}, done chan error, cancel func()) {
	ctx, cancel := context.WithCancel(t.Context())
	p = &tap{kept: kept, open: make(map[*tapReader]bool)}
	over, done = make(chan struct{}), make(chan error, 1)
	run := s.Offer("live/movie", rendition)
	go func() { done <- run(ctx, p.make, over) }()
	synctest.Wait()
	return p, over, done, cancel
}

// wantOpen checks how often sources were made, and how many are open.
func wantOpen(t *testing.T, what string, p *tap, opened, open int) {
	t.Helper()
	if a, b := p.counts(); a != opened || b != open {
		t.Errorf("%s: opened %d times, %d open, want %d and %d", what, a, b, opened, open)
	}
}

// TestOnDemand: each form is packaged from its first request on, which is answered at once from
// what is kept; packaging ends when nobody asks any more, and begins anew, with new numbers, for
// the next one.
func TestOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		st := hlstest.Encoders(25, 25)[0]
		p, _, done, _ := offer(t, s, "", st.Until(8*time.Second))
		outlook := func(what string, packaged, onDemand bool) {
			t.Helper()
			if o, ok := s.Outlook("live/movie"); !ok || o.Packaged != packaged || o.OnDemand != onDemand {
				t.Errorf("%s: %v, %+v", what, ok, o)
			}
		}
		outlook("just begun", false, false)
		time.Sleep(time.Hour)
		outlook("without a request", false, true)
		wantOpen(t, "without a request", p, 0, 0)
		first := (&station{t: t, s: s}).playlist()
		if len(first.Segments) == 0 {
			t.Errorf("%+v", first)
		}
		wantOpen(t, "MPEG-TS is asked for", p, 1, 1)
		outlook("MPEG-TS is asked for", true, true)
		if r := ask(s, "GET", "/live/movie/index.m3u8"); r.StatusCode != 200 {
			t.Errorf("index: %d", r.StatusCode)
		}
		wantOpen(t, "CMAF is asked for too", p, 2, 2)
		at := 8 * time.Second
		next := func() {
			time.Sleep(time.Second)
			at += time.Second
			p.send(st.Until(at))
		}
		for range idleTime/time.Second - 1 {
			next()
		}
		wantOpen(t, "for a while nobody asks", p, 2, 2)
		for range 3 {
			next()
		}
		wantOpen(t, "nobody asks", p, 2, 0)
		outlook("nobody asks", false, true)
		p.kept = st.Until(at + 20*time.Second)[:600]
		again := (&station{t: t, s: s}).playlist()
		wantOpen(t, "MPEG-TS is asked for again", p, 3, 1)
		if again.MediaSequence <= first.MediaSequence+len(first.Segments) || *again.DiscontinuitySequence < *first.DiscontinuitySequence {
			t.Errorf("%+v", again)
		}
		p.send(io.EOF)
		select {
		case err := <-done:
			t.Errorf("ended with one form, though the stream goes on: %v", err)
		default:
		}
	})
}

// TestFoundWhileItRests: who has found the life of a stream which then ended, as nobody had asked
// for long, is served by the next one.
func TestFoundWhileItRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		for form, serve := range map[form]func(s *Server, w http.ResponseWriter, r *http.Request, l *life){
			inTS: (*Server).servePlaylistOf,
			inCMAF: func(s *Server, w http.ResponseWriter, r *http.Request, l *life) {
				s.serveMultivariantOf(w, r, route(r.URL.Path), l)
			},
		} {
			s := newServer(Options{})
			st := hlstest.Encoders(25, 25)[0]
			p, over, done, _ := offer(t, s, "", st.Until(8*time.Second))
			paths := map[bool]string{true: "/live/movie.m3u8", false: "/live/movie/index.m3u8"}
			ask(s, "GET", paths[form != inTS]) // the other form alone
			found := s.find("live/movie")
			time.Sleep(2 * idleTime)
			p.send(st.Until(9 * time.Second))
			if wantOpen(t, "nobody asks", p, 1, 0); s.find("live/movie") == found {
				t.Fatal("the life goes on")
			}
			w := httptest.NewRecorder()
			serve(s, w, httptest.NewRequest("GET", paths[form == inTS], nil), found)
			if w.Code != 200 {
				t.Errorf("form %d: %d %s", form, w.Code, w.Body)
			}
			close(over)
			p.send(io.EOF)
			<-done
			time.Sleep(time.Minute)
		}
	})
}

// TestOneFormRests: MPEG-TS is let go while CMAF is watched, and begins anew with the next request
// for it, with numbers and a time behind those that it had. CMAF goes on meanwhile.
func TestOneFormRests(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		st := hlstest.Encoders(25, 25)[0]
		p, over, done, _ := offer(t, s, "", st.Until(8*time.Second))
		first := (&station{t: t, s: s}).playlist()
		ask(s, "GET", "/live/movie/index.m3u8")
		wantOpen(t, "both are asked for", p, 2, 2)
		life := s.find("live/movie")
		at := 8 * time.Second
		for range idleTime/time.Second + 2 {
			time.Sleep(time.Second)
			at += time.Second
			ask(s, "GET", "/live/movie/index-v0.m3u8")
			p.send(st.Until(at))
		}
		wantOpen(t, "MPEG-TS is not asked for", p, 2, 1)
		if life.transport().view.Load() != nil || s.find("live/movie") != life || life.cmaf.View.Load() == nil {
			t.Error("MPEG-TS is held, or CMAF is not")
		}
		text := body(t, ask(s, "GET", "/live/movie/index-v0.m3u8"))
		if strings.Contains(text, "#EXT-X-DISCONTINUITY\n") {
			t.Errorf("CMAF does not just go on:\n%s", text)
		}
		p.mu.Lock()
		p.kept = st.Until(at + 8*time.Second)
		p.mu.Unlock()
		again := (&station{t: t, s: s}).playlist()
		wantOpen(t, "MPEG-TS is asked for again", p, 3, 2)
		if again.MediaSequence < first.MediaSequence+len(first.Segments) || *again.DiscontinuitySequence < *first.DiscontinuitySequence {
			t.Errorf("%+v after %+v", again, first)
		}
		if begun, after := life.transport().view.Load().Segments[0].Start, time.Duration(life.reach.Load())-10*time.Second; begun < after {
			t.Errorf("MPEG-TS begins at %v, %v is long over", begun, after)
		}
		close(over)
		p.send(io.EOF)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if last := (&station{t: t, s: s}).playlist(); !last.Endlist {
			t.Errorf("%+v", last)
		}
		time.Sleep(time.Minute)
	})
}

// TestOnDemandEnd: a form ends with what its own reader has, whatever the other one has read.
func TestOnDemandEnd(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		st := hlstest.Encoders(25, 25)[0]
		p, over, done, _ := offer(t, s, "", st.Until(8*time.Second))
		(&station{t: t, s: s}).playlist()
		ask(s, "GET", "/live/movie/index.m3u8")
		p.send(st.Until(12 * time.Second))
		readers := slices.Collect(maps.Keys(p.open))
		readers[0].feed <- io.EOF
		synctest.Wait()
		readers[1].feed <- st.Until(12 * time.Second) // nothing more
		readers[1].feed <- io.EOF
		close(over)
		if err := <-done; err != nil {
			t.Error(err)
		}
		if last := (&station{t: t, s: s}).playlist(); !last.Endlist {
			t.Errorf("%+v", last)
		}
		if text := body(t, ask(s, "GET", "/live/movie/index-v0.m3u8")); !strings.Contains(text, "#EXT-X-ENDLIST") {
			t.Errorf("CMAF: %s", text)
		}
		time.Sleep(time.Minute)
	})
}

// TestOnDemandOtherForm: where MPEG-TS cannot carry the stream, its request has CMAF packaged, and
// leads there.
func TestOnDemandOtherForm(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		p, over, done, _ := offer(t, s, "", hlstest.SoundOf(media.Opus).Until(8*time.Second))
		r := ask(s, "GET", "/live/movie.m3u8")
		if r.StatusCode != 302 {
			t.Errorf("MPEG-TS: %d %s", r.StatusCode, body(t, r))
		}
		wantOpen(t, "both", p, 2, 2)
		p.send(io.EOF)
		close(over)
		<-done
		time.Sleep(time.Minute)
	})
}

// TestHeldIsCMAF: what is held, for a recording, is packaged as CMAF only.
func TestHeldIsCMAF(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		s.Hold("live/movie", true)
		st := hlstest.Encoders(25, 25)[0]
		p, _, _, cancel := offer(t, s, "", st.Until(8*time.Second))
		wantOpen(t, "held", p, 1, 1)
		time.Sleep(time.Hour)
		p.send(st.Until(12 * time.Second))
		wantOpen(t, "for an hour", p, 1, 1)
		if l := s.find("live/movie"); l.transport().view.Load() != nil || l.cmaf.View.Load() == nil {
			t.Error("not CMAF alone")
		}
		cancel()
		time.Sleep(time.Minute)
	})
}

// TestOfferEnds: a stream that ends while nobody watches is gone at once.
func TestOfferEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		p, over, done, _ := offer(t, s, "", nil)
		close(over)
		if err := <-done; err != nil || p.opened > 0 || status(s) != 404 || len(s.Stats()) != 0 {
			t.Errorf("%v, opened %d times", err, p.opened)
		}
		_, _, done, cancel := offer(t, s, "", nil)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || len(s.Stats()) != 0 {
			t.Error(err)
		}
	})
}

// TestOfferWaits: a stream that nobody watches has one goroutine here, whatever its forms.
func TestOfferWaits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		before := runtime.NumGoroutine()
		_, over, done, _ := offer(t, s, "", nil)
		if n := runtime.NumGoroutine() - before; n > 1 {
			t.Errorf("%d goroutines", n)
		}
		close(over)
		<-done
	})
}

// TestOnDemandLadder: all publications of a stream wake and sleep together.
func TestOnDemandLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		all := hlstest.Encoders(25, 25)
		taps, overs, dones := make([]*tap, 2), make([]chan struct{}, 2), make([]chan error, 2)
		for i := range 2 {
			taps[i], overs[i], dones[i], _ = offer(t, s, hlstest.NameOf(i), all[i].Until(8*time.Second))
		}
		for round := range 2 {
			if text := body(t, ask(s, "GET", "/live/movie/index.m3u8")); strings.Count(text, "#EXT-X-STREAM-INF") != 2 {
				t.Errorf("round %d: the first playlist lacks a rendition:\n%s", round, text)
			}
			synctest.Wait()
			wantOpen(t, "awake", taps[0], round+1, 1)
			wantOpen(t, "awake", taps[1], round+1, 1)
			if v := s.find("live/movie").cmaf.View.Load(); v == nil || len(v.Renditions) != 3 {
				t.Errorf("round %d: %+v", round, v)
			}
			time.Sleep(2 * idleTime)
			for i := range 2 {
				taps[i].send(all[i].Until(8*time.Second + time.Duration(round+1)*time.Second))
				wantOpen(t, "asleep", taps[i], round+1, 0)
			}
		}
		for i := range 2 {
			close(overs[i])
			<-dones[i]
		}
		if len(s.Stats()) != 0 {
			t.Errorf("%+v", s.Stats())
		}
	})
}
