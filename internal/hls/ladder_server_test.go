package hls

import (
	"context"
	"errors"
	"io"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/ladder"
	"livego/internal/hls/playlist"
)

// onAirAs starts a publication of live/movie.
func onAirAs(t *testing.T, s *Server, name string, st *hlstest.Source) (feed func(time.Duration), end func(error) error) {
	r := newFakeReader()
	done := make(chan error, 1)
	run := s.Begin("live/movie", name)
	go func() { done <- run(t.Context(), r) }()
	feed = func(until time.Duration) {
		select {
		case r.feed <- st.Until(until):
		case err := <-done:
			done <- err
		}
		synctest.Wait()
	}
	end = func(err error) error {
		select {
		case r.feed <- err:
		case err := <-done:
			return err
		}
		return <-done
	}
	return feed, end
}

// TestLadderLife: publications share a life, which ends with the last of them; MPEG-TS goes on with
// the one that is left.
func TestLadderLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		all := hlstest.Encoders(25, 50)
		feedA, endA := onAirAs(t, s, "", all[0])
		feedB, endB := onAirAs(t, s, "720p", all[1])
		for at := time.Second; at <= 10*time.Second; at += time.Second {
			feedA(at)
			feedB(at)
		}
		st := s.Stats()
		if len(st) != 1 || st[0].Renditions != 3 || st[0].Parts < 100 || st[0].CMAFBytes == 0 || st[0].Segments != 2 || st[0].WindowBytes < int(st[0].CMAFBytes) {
			t.Errorf("%+v", st)
		}
		l := s.find("live/movie")
		if err := endA(io.EOF); err != nil || l.over.Load() {
			t.Errorf("%v, over %v", err, l.over.Load())
		}
		for at := 11 * time.Second; at <= 30*time.Second; at += time.Second {
			feedB(at)
		}
		v := l.cmaf.View.Load()
		if len(v.Renditions) != 2 || v.Renditions[0].ID != "720p.v0" || v.Renditions[1].ID != "a0" {
			t.Errorf("%+v", v.Renditions)
		}
		if p := (&station{t: t, s: s}).playlist(); p.Endlist || len(p.Segments) < 3 {
			t.Errorf("%+v", p)
		}
		if err := endB(io.EOF); err != nil || !l.over.Load() {
			t.Errorf("%v, over %v", err, l.over.Load())
		}
		view := l.cmaf.Rendition("720p.v0").View.Load()
		if last := view.Segments[len(view.Segments)-1]; !view.Ended || !last.Complete || (last.Start+last.Duration-l.time.shift-30*time.Second).Abs() > 20*time.Millisecond {
			t.Errorf("%+v", view)
		}
		<-view.Replaced
		if p := (&station{t: t, s: s}).playlist(); !p.Endlist {
			t.Errorf("%+v", p)
		}
		time.Sleep(playlist.MinListed*view.Target + time.Second)
		synctest.Wait()
		if s.find("live/movie") != nil {
			t.Error("an ended stream stays")
		}
	})
}

// TestMisalignedPublication: the one whose key frames are elsewhere is told so; the other goes on.
func TestMisalignedPublication(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		all := hlstest.Encoders(25, 50)
		all[1].Gop = 35
		feedA, endA := onAirAs(t, s, "", all[0])
		feedB, endB := onAirAs(t, s, "720p", all[1])
		for at := time.Second; at <= 30*time.Second; at += time.Second {
			feedA(at)
			feedB(at)
		}
		if err := endB(io.EOF); !errors.Is(err, ladder.ErrMisaligned) {
			t.Errorf("%v", err)
		}
		if v := s.find("live/movie").cmaf.View.Load(); len(v.Renditions) != 2 {
			t.Errorf("%d renditions", len(v.Renditions))
		}
		if err := endA(io.EOF); err != nil {
			t.Error(err)
		}
	})
}

// TestShutdownKeepsCMAFOpen: without io.EOF there is no ENDLIST, and whoever waits is let go.
func TestShutdownKeepsCMAFOpen(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		feed, end := onAirAs(t, s, "", hlstest.Encoders(25, 50)[0])
		feed(10 * time.Second)
		view := s.find("live/movie").cmaf.Rendition("v0").View.Load()
		if err := end(context.Canceled); !errors.Is(err, context.Canceled) {
			t.Error(err)
		}
		<-view.Replaced
		if now := s.find("live/movie").cmaf.Rendition("v0").View.Load(); now.Ended {
			t.Error("the playlist ended")
		}
		time.Sleep(time.Minute)
	})
}

// TestSecondLife: a new life of the same name has new numbers.
func TestSecondLife(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		var last int64
		for range 3 {
			feed, end := onAirAs(t, s, "", hlstest.Encoders(25, 25)[0])
			feed(200 * time.Second)
			l := s.find("live/movie")
			v := l.cmaf.Rendition("v0").View.Load()
			if first := v.Segments[0].Seq; first <= last {
				t.Errorf("number %d after %d", first, last)
			}
			last = v.Segments[len(v.Segments)-1].Seq
			if err := end(io.EOF); err != nil {
				t.Error(err)
			}
		}
		time.Sleep(time.Minute)
	})
}
