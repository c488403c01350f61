package hls

import (
	"context"
	"errors"
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// tap is a source over units that are kept, and what comes later. It counts how often it is open.
type tap struct {
	fakeReader
	kept   []media.AccessUnit
	opened int
	open   int
}

func (p *tap) make() Source {
	p.opened++
	p.open++
	p.pending = p.kept
	return p
}

func (p *tap) Close() { p.open-- }

// offer puts live/movie on offer.
func offer(t *testing.T, s *Server, kept []media.AccessUnit) (p *tap, over chan struct{}, done chan error, cancel func()) {
	ctx, cancel := context.WithCancel(t.Context())
	p = &tap{fakeReader: fakeReader{feed: make(chan any)}, kept: kept}
	over, done = make(chan struct{}), make(chan error, 1)
	run := s.Offer("live/movie", "")
	go func() { done <- run(ctx, p.make, over) }()
	synctest.Wait()
	return p, over, done, cancel
}

// TestOnDemand: packaging begins with the first request, which is answered at once from what is
// kept; it ends when nobody asks any more, and begins anew, with new numbers, for the next one.
func TestOnDemand(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(Options{})
		st := hlstest.Encoders(25, 25)[0]
		p, _, done, _ := offer(t, s, st.Until(8*time.Second))
		time.Sleep(time.Hour)
		if p.opened != 0 {
			t.Fatal("packaged without a request")
		}
		first := (&station{t: t, s: s}).playlist()
		if len(first.Segments) == 0 || p.open != 1 {
			t.Errorf("%+v, %d open", first, p.open)
		}
		if r := ask(s, "GET", "/live/movie/index.m3u8"); r.StatusCode != 200 {
			t.Errorf("index: %d", r.StatusCode)
		}
		for at := 8 * time.Second; p.open == 1; at += time.Second {
			time.Sleep(time.Second)
			p.feed <- st.Until(at + time.Second)
			synctest.Wait()
			if at > time.Minute {
				t.Fatal("packaged though nobody asks")
			}
		}
		p.kept = st.Until(80 * time.Second)[:600]
		again := (&station{t: t, s: s}).playlist()
		if p.opened != 2 || again.MediaSequence <= first.MediaSequence+len(first.Segments) || *again.DiscontinuitySequence < *first.DiscontinuitySequence {
			t.Errorf("opened %d times, %+v", p.opened, again)
		}
		p.feed <- io.EOF
		if err := <-done; err != nil {
			t.Error(err)
		}
		if last := (&station{t: t, s: s}).playlist(); !last.Endlist {
			t.Errorf("%+v", last)
		}
		time.Sleep(time.Minute)
	})
}

// TestOfferEnds: a stream that ends while nobody watches is gone at once.
func TestOfferEnds(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(Options{})
		p, over, done, _ := offer(t, s, nil)
		close(over)
		if err := <-done; err != nil || p.opened > 0 || status(s) != 404 || len(s.Stats()) != 0 {
			t.Errorf("%v, opened %d times", err, p.opened)
		}
		_, _, done, cancel := offer(t, s, nil)
		cancel()
		if err := <-done; !errors.Is(err, context.Canceled) || len(s.Stats()) != 0 {
			t.Error(err)
		}
	})
}

// TestOnDemandLadder: all publications of a stream wake and sleep together.
func TestOnDemandLadder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := NewServer(Options{})
		all := hlstest.Encoders(25, 25)
		taps, overs, dones := make([]*tap, 2), make([]chan struct{}, 2), make([]chan error, 2)
		for i := range 2 {
			p := &tap{fakeReader: fakeReader{feed: make(chan any)}, kept: all[i].Until(8 * time.Second)}
			taps[i], overs[i], dones[i] = p, make(chan struct{}), make(chan error, 1)
			run := s.Offer("live/movie", hlstest.NameOf(i))
			go func() { dones[i] <- run(t.Context(), p.make, overs[i]) }()
		}
		for round := range 2 {
			if text := body(t, ask(s, "GET", "/live/movie/index.m3u8")); strings.Count(text, "#EXT-X-STREAM-INF") != 2 {
				t.Errorf("round %d: the first playlist lacks a rendition:\n%s", round, text)
			}
			synctest.Wait()
			if taps[0].open != 1 || taps[1].open != 1 {
				t.Fatalf("round %d: not all are awake", round)
			}
			if v := s.find("live/movie").cmaf.View.Load(); v == nil || len(v.Renditions) != 3 {
				t.Errorf("round %d: %+v", round, v)
			}
			time.Sleep(time.Minute)
			for i := range 2 {
				taps[i].feed <- all[i].Until(8*time.Second + time.Duration(round+1)*time.Second)
				synctest.Wait()
			}
			if taps[0].open != 0 || taps[1].open != 0 {
				t.Fatalf("round %d: not all are asleep", round)
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
