package hls

import (
	"context"
	"errors"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/hls/ladder"
	"livego/internal/media"
)

// idleTargets is for how many target durations without a request a stream is packaged: players ask
// once in each, and a paused one may come back.
const idleTargets = 6

// errIdle: nobody asks for the stream any more.
var errIdle = errors.New("nobody watches")

// Source is a reader of a publication that is made when somebody wants to see it.
type Source interface {
	media.Reader
	// Close lets go of what Read needs. Nothing reads any more.
	Close()
}

// demand knows whether anybody asks for a life. Its methods may be called at the same time.
type demand struct {
	once   sync.Once
	wanted chan struct{}
	// held: the stream is packaged whether somebody asks or not.
	held atomic.Bool
	// last is when somebody asked, in Unix nanoseconds.
	last atomic.Int64
}

func newDemand() *demand { return &demand{wanted: make(chan struct{})} }

// ask notes a request.
func (d *demand) ask(now time.Time) {
	d.last.Store(now.UnixNano())
	d.once.Do(func() { close(d.wanted) })
}

// hold says whether the stream is packaged whether somebody asks or not.
func (d *demand) hold(on bool) {
	d.held.Store(on)
	if on {
		d.once.Do(func() { close(d.wanted) })
	}
}

// asked says whether anybody ever asked.
func (d *demand) asked() bool { return d.last.Load() != 0 }

// Asked is when somebody asked for a playlist or a file of a stream last; the zero time for one
// that is not there.
func (s *Server) Asked(name string) time.Time {
	s.mu.RLock()
	l := s.lives[name]
	s.mu.RUnlock()
	if l == nil || !l.demand.asked() {
		return time.Time{}
	}
	return time.Unix(0, l.demand.last.Load())
}

// since is how long ago somebody asked.
func (d *demand) since(now time.Time) time.Duration {
	return time.Duration(now.UnixNano() - d.last.Load())
}

// Offer is Begin for a publication that is packaged only while somebody watches: an idle one costs
// nothing. The function that it returns must be called, once. At the first request for the stream
// it calls open, whose reader begins with what is kept of the publication, so that the first viewer
// need not wait for a segment. It closes the reader when there was no request for six target
// durations, and waits for the next one. It returns when that reader ends, as Begin's function
// does, when over is closed, and when ctx ends.
func (s *Server) Offer(name, rendition string) func(ctx context.Context, open func() Source, over <-chan struct{}) error {
	pub := &ladder.Publication{Rendition: rendition, Behind: true}
	l := s.begin(name, pub)
	return func(ctx context.Context, open func() Source, over <-chan struct{}) error {
		for {
			select {
			case <-l.demand.wanted:
			case <-over:
				s.leave(ctx, l, pub, true)
				return nil
			case <-ctx.Done():
				s.leave(ctx, l, pub, false)
				return context.Cause(ctx)
			}
			err := s.packageOnce(ctx, l, pub, open)
			if !errors.Is(err, errIdle) {
				return s.finish(ctx, l, pub, err)
			}
			l, pub = s.renew(ctx, l, pub)
		}
	}
}

// packageOnce packages a publication until its reader ends, or nobody watches.
func (s *Server) packageOnce(ctx context.Context, l *life, pub *ladder.Publication, open func() Source) error {
	r := open()
	defer r.Close()
	return l.read(ctx, pub, r, func() bool {
		target := max(l.target(), s.opt.SegmentDuration)
		return !l.demand.held.Load() && l.demand.since(s.opt.Now()) > idleTargets*target
	})
}

// renew moves a publication from a life for which nobody asks to the next one of the stream.
func (s *Server) renew(ctx context.Context, l *life, pub *ladder.Publication) (*life, *ladder.Publication) {
	s.mu.Lock()
	l.closed = true
	s.mu.Unlock()
	next := &ladder.Publication{Rendition: pub.Rendition, Behind: true}
	fresh := s.begin(l.name, next)
	s.finish(ctx, l, pub, errIdle)
	return fresh, next
}
