package hls

import (
	"context"
	"errors"
	"io"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/hls/ladder"
	"livego/internal/ledger"
	"livego/internal/media"
)

const (
	// idleTime is for how long a stream is packaged after its last request, and idleTargets for how
	// many target durations at least: players ask once in each, and a paused one may come back.
	idleTime    = 2 * time.Minute
	idleTargets = 6
	// ringTime is how old a publication is of which its Source has enough for a playlist at once.
	ringTime = 2 * time.Second
)

var (
	// errIdle: nobody asks for the stream any more.
	errIdle = errors.New("nobody watches")
	// errResting: nobody asks for the form any more, but for another one.
	errResting = errors.New("nobody watches in this form")
)

// Source is a reader of a publication that is made when somebody wants to see it.
type Source interface {
	media.Reader
	// Close lets go of what Read needs. Nothing reads any more.
	Close()
}

// form is how a stream is packaged.
type form uint8

const (
	inTS form = iota
	inCMAF
	forms
)

// formSet is some of the forms.
type formSet [forms]bool

// demand knows whether anybody asks for a life. Its methods may be called at the same time.
type demand struct {
	wanted [forms]want
	// held: the stream is packaged whether somebody asks or not.
	held atomic.Bool
	// offered is since when a publication is, which a Source reads on demand, in Unix nanoseconds,
	// 0 if there is none.
	offered atomic.Int64
	// waiting counts the requests that wait for something of the life, left counts one less.
	waiting atomic.Int64
	left    func()
}

// want is whether a form is wanted.
type want struct {
	// last is when somebody asked, in Unix nanoseconds, 0 if nobody did.
	last atomic.Int64

	mu   sync.Mutex
	come chan struct{} // closed: it is
	is   bool
}

func newDemand() *demand {
	d := &demand{}
	d.left = func() { d.waiting.Add(-1) }
	for f := range d.wanted {
		d.wanted[f].come = make(chan struct{})
	}
	return d
}

// ask notes a request for a form.
func (d *demand) ask(f form, now time.Time) {
	d.wanted[f].last.Store(now.UnixNano())
	d.wake(f)
}

// wake has a form packaged.
func (d *demand) wake(f form) {
	w := &d.wanted[f]
	w.mu.Lock()
	defer w.mu.Unlock()
	if !w.is {
		w.is = true
		close(w.come)
	}
}

// comes is closed when a form is wanted.
func (d *demand) comes(f form) <-chan struct{} {
	w := &d.wanted[f]
	w.mu.Lock()
	defer w.mu.Unlock()
	return w.come
}

// rest says that a form is not wanted until somebody asks again, and is false if somebody did
// within patience.
func (d *demand) rest(f form, now time.Time, patience time.Duration) bool {
	w := &d.wanted[f]
	w.mu.Lock()
	defer w.mu.Unlock()
	if now.Sub(time.Unix(0, w.last.Load())) <= patience {
		return false
	}
	if w.is {
		w.come, w.is = make(chan struct{}), false
	}
	return true
}

// resume has a stream packaged as it was elsewhere a moment ago, as if somebody had asked.
func (d *demand) resume(last *ledger.Entry, now time.Time) {
	if last.Segment > 0 {
		d.ask(inCMAF, now)
	}
	if last.Next > 0 {
		d.ask(inTS, now)
	}
}

// hold says whether the stream is packaged whether somebody asks or not, as CMAF.
func (d *demand) hold(on bool) {
	d.held.Store(on)
	if on {
		d.wake(inCMAF)
	}
}

// last is when somebody asked, in Unix nanoseconds, 0 if nobody ever did.
func (d *demand) last() int64 { return max(d.wanted[inTS].last.Load(), d.wanted[inCMAF].last.Load()) }

// asked says whether anybody ever asked.
func (d *demand) asked() bool { return d.last() != 0 }

// offer notes since when a publication is that is packaged on demand.
func (d *demand) offer(since time.Time) { d.offered.CompareAndSwap(0, since.UnixNano()) }

// ready says whether who asks gets a playlist at once, although there may be none yet.
func (d *demand) ready(now time.Time) bool {
	since := d.offered.Load()
	return since != 0 && now.Sub(time.Unix(0, since)) > ringTime
}

// askedFor returns what says whether anybody ever asked for a form.
func (d *demand) askedFor(f form) func() bool {
	return func() bool { return d.wanted[f].last.Load() != 0 }
}

// idle says that nobody has asked within patience.
func (d *demand) idle(now time.Time, patience time.Duration) bool {
	return !d.held.Load() && now.Sub(time.Unix(0, d.last())) > patience
}

// patience is for how long after the last request a life is packaged.
func (s *Server) patience(l *life) time.Duration {
	return max(idleTime, idleTargets*max(l.target(), s.opt.SegmentDuration))
}

// Asked is when somebody asked for a playlist or a file of a stream last, which is now as long as a
// request waits; the zero time for one that is not there.
func (s *Server) Asked(name string) time.Time {
	l := s.find(name)
	switch {
	case l == nil || !l.demand.asked():
		return time.Time{}
	case l.demand.waiting.Load() > 0:
		return s.opt.Now()
	}
	return time.Unix(0, l.demand.last())
}

// Offer is Begin for a publication that is packaged only while somebody watches: an idle one costs
// nothing. The function that it returns must be called, once. At the first request for MPEG-TS, and
// at that for CMAF, it calls open for that form. The reader begins with what is kept of the
// publication, so that the first viewer need not wait for a segment. Readers are closed when there
// was no request for two minutes, and for six target durations, that of MPEG-TS also while CMAF is
// asked for; then it waits for the next one. It returns when a reader ends, as Begin's function
// does, when over is closed, and when ctx ends.
func (s *Server) Offer(name, rendition string) func(ctx context.Context, open func() Source, over <-chan struct{}) error {
	pub := &ladder.Publication{Rendition: rendition, Behind: true}
	begun, since := s.begin(name, pub), s.opt.Now()
	return func(ctx context.Context, open func() Source, over <-chan struct{}) error {
		l := begun(ctx)
		l.demand.offer(since)
		for {
			err := s.packageForms(ctx, l, pub, open, over)
			if !errors.Is(err, errIdle) {
				return s.finish(ctx, l, pub, err)
			}
			l, pub = s.renew(ctx, l, pub)
			l.demand.offer(since)
		}
	}
}

// packageForms packages a publication, in each form from its first request on, until the
// publication ends, as io.EOF says, or nobody watches.
func (s *Server) packageForms(ctx context.Context, l *life, pub *ladder.Publication, open func() Source, over <-chan struct{}) error {
	if err := s.awaitDemand(ctx, l, over); err != nil {
		return err
	}
	ctx, stop := context.WithCancelCause(ctx)
	defer stop(nil)
	var running sync.WaitGroup
	for f := range forms {
		if f == inCMAF && !s.opt.CMAF {
			continue
		}
		running.Go(func() {
			if err := s.packageForm(ctx, l, pub, f, open, over); !errors.Is(err, io.EOF) {
				stop(err)
			}
		})
	}
	running.Wait()
	if ctx.Err() != nil {
		return context.Cause(ctx)
	}
	return io.EOF
}

// awaitDemand waits until any form is wanted: where nobody watches, one goroutine is enough for
// all.
func (s *Server) awaitDemand(ctx context.Context, l *life, over <-chan struct{}) error {
	var cmaf <-chan struct{}
	if s.opt.CMAF {
		cmaf = l.demand.comes(inCMAF)
	}
	select {
	case <-l.demand.comes(inTS):
	case <-cmaf:
	case <-over:
		return io.EOF
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	return nil
}

// packageForm packages a publication in one form, whenever that is wanted.
func (s *Server) packageForm(ctx context.Context, l *life, pub *ladder.Publication, f form, open func() Source, over <-chan struct{}) error {
	for {
		select {
		case <-l.demand.comes(f):
		case <-over:
			return io.EOF
		case <-ctx.Done():
			return context.Cause(ctx)
		}
		if err := s.packageWhileWanted(ctx, l, pub, f, open); !errors.Is(err, errResting) {
			return err
		}
	}
}

// packageWhileWanted packages a publication in one form until nobody asks for that, as errResting
// says, or for the stream, as errIdle does.
func (s *Server) packageWhileWanted(ctx context.Context, l *life, pub *ladder.Publication, f form, open func() Source) error {
	r := open()
	defer r.Close()
	var in formSet
	in[f] = true
	return l.read(ctx, pub, r, in, func() error {
		switch {
		case l.demand.idle(s.opt.Now(), s.patience(l)):
			return errIdle
		case f == inTS && s.rest(l):
			return errResting
		}
		return nil
	})
}

// renew moves a publication from a life for which nobody asks to the next one of the stream.
func (s *Server) renew(ctx context.Context, l *life, pub *ladder.Publication) (*life, *ladder.Publication) {
	s.mu.Lock()
	l.closed.Store(true)
	s.mu.Unlock()
	next := &ladder.Publication{Rendition: pub.Rendition, Behind: true}
	fresh := s.begin(l.name, next)(ctx)
	s.finish(ctx, l, pub, errIdle)
	return fresh, next
}
