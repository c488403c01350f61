package hls

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/ledger"
	"livego/internal/media"
)

// TestMove: a stream that goes on at another server has the next number there, begins at the time
// that was noted as its end, whatever the clocks say, and is packaged at once if somebody watched.
// That time is the end of its media, to a frame of sound.
func TestMove(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		time.Sleep(time.Until(noon))
		var last ledger.Entry
		a := newServer(Options{Noted: func(_ string, e ledger.Entry) { last = e }})
		ctx, cancel := context.WithCancelCause(t.Context())
		source, r, done := hlstest.Encoders(25, 50)[0], newFakeReader(), make(chan error, 1)
		run := a.Begin("live/movie", "")
		go func() { done <- run(ctx, r) }()
		const moves = 10 * time.Second // a random access point, in whose time a frame of sound ends
		r.feed <- source.Until(moves)
		time.Sleep(moves - 300*time.Millisecond) // it was ahead
		cancel(ErrMoved)
		synctest.Wait()
		r.feed <- media.ErrSuspended
		if err := <-done; !errors.Is(err, ErrMoved) {
			t.Fatal(err)
		}
		before := a.find("live/movie").cmaf.Rendition("v0").View.Load()
		segment, _, _ := before.Last()
		if want := sinceYear(noon) + moves; !last.Over || !last.Complete || !last.Follows || last.Segment != segment || (last.Reach-want).Abs() > 25*time.Millisecond {
			t.Fatalf("noted %+v, want segment %d and %v", last, segment, want)
		}

		b := newServer(Options{})
		b.Inherit("live/movie", last)
		feed, end := onAirAs(t, b, "", source)
		if l := b.find("live/movie"); !l.demand.asked() {
			t.Error("nobody is said to watch")
		}
		feed(moves + 350*time.Millisecond)
		if v := b.find("live/movie").cmaf.Rendition("v0"); v == nil || v.View.Load() == nil {
			t.Error("who watched waits for a third of a second, and longer")
		} else if n, part, ok := v.View.Load().Last(); !ok || n != segment+1 {
			t.Errorf("the end is part %d of segment %d, want one of %d", part, n, segment+1)
		}
		feed(moves + 5*time.Second)
		v := b.find("live/movie").cmaf.Rendition("v0").View.Load()
		var first, gap int
		for v.Segments[first].Gap {
			gap, first = first, first+1
		}
		s, g := v.Segments[first], v.Segments[gap]
		if s.Seq != segment+1 || (s.Start-last.Reach).Abs() > time.Millisecond {
			t.Errorf("segment %d begins at %v, want %d at %v", s.Seq, s.Start, segment+1, last.Reach)
		}
		if first == 0 || g.Seq != segment || (g.Start-last.Begun).Abs() > 40*time.Millisecond || (g.Start+g.Duration-s.Start).Abs() > time.Millisecond {
			t.Errorf("segment %d stands before it, from %v for %v", g.Seq, g.Start, g.Duration)
		}
		_ = end(context.Canceled)
	})
}
