package cluster

import (
	"container/list"
	"context"
	"errors"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// lookupTime is for how long an answer of the registry is believed, also that there is none.
	lookupTime = time.Second
	// staleTime is for how long an old answer is better than none while the registry is away,
	// lookPatience how long who has an old one waits for a new one: the registry may say nothing.
	staleTime    = 10 * time.Minute
	lookPatience = 250 * time.Millisecond
	// confirmTime is for how long the home's own word does instead of the registry's: since it was
	// said, and confirmMost since the registry said so.
	confirmTime = 10 * time.Second
	confirmMost = 30 * time.Second
	// maxNames bounds the names that a directory remembers.
	maxNames = 10_000
	// newNames is how many names that nobody had lately may be asked for in a second, and at once,
	// newWait for how long one waits for its turn; maxAsking how many are asked for at a time.
	// Anybody can ask for names that there are not.
	newNames  = 1000
	newWait   = time.Second
	maxAsking = 64
)

// Directory answers where streams are, for many who ask: the registry is asked once a second and
// stream at most, whoever asks, and at once after a change. Its methods may be called from any
// goroutine.
type Directory struct {
	registry Registry
	// fresh bounds questions for names that nobody had lately, asking those under way.
	fresh  *rate.Limiter
	asking chan struct{}

	mu     sync.Mutex
	places map[string]*list.Element // of *place
	recent *list.List               // latest use first
}

// place is what is known of one stream.
type place struct {
	stream string
	// asked is closed when the question under way, since askedAt, is answered; nil if none is.
	asked   chan struct{}
	askedAt time.Time
	// entry and err are the newest answer, at the time at, which the home has confirmed until then.
	// good is the newest of an entry, floor
	// its token.
	entry Entry
	err   error
	at    time.Time
	until time.Time
	good  time.Time
	floor int64
	// changed is closed when something changes; nil if nobody waits for that.
	changed chan struct{}
}

// NewDirectory returns a directory that knows nothing yet.
func NewDirectory(r Registry) *Directory {
	return &Directory{
		registry: r, fresh: rate.NewLimiter(newNames, newNames), asking: make(chan struct{}, maxAsking),
		places: make(map[string]*list.Element), recent: list.New(),
	}
}

// Run forgets what changes, until ctx ends. Without it answers are up to a second old.
func (d *Directory) Run(ctx context.Context) error {
	return d.registry.Watch(ctx, d.forget)
}

// Lookup returns where a stream is, by an answer that is at most a second old, ErrNotFound if it is
// nowhere. While the registry is away, or says nothing, an old answer will do; ErrUnavailable if
// there is none.
func (d *Directory) Lookup(ctx context.Context, stream string) (Entry, error) {
	return d.ask(ctx, stream, lookupTime)
}

// Fresh returns where a stream is now: for whom an answer of Lookup led nowhere.
func (d *Directory) Fresh(ctx context.Context, stream string) (Entry, error) {
	return d.ask(ctx, stream, 0)
}

// Confirm is told that a node which has a stream by that token has just answered for it. That is as
// good as an answer of the registry that says so: who watches without a break costs the registry
// next to nothing.
func (d *Directory) Confirm(stream, node string, token int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	e := d.places[stream]
	if e == nil {
		return
	}
	p, now := e.Value.(*place), time.Now()
	if p.err == nil && !p.at.IsZero() && p.entry.Node.ID == node && p.entry.Claim.Token == token {
		p.until, p.good = now.Add(min(confirmTime, confirmMost-now.Sub(p.at))), now
	}
}

// Changed returns what is closed when something changes about where a stream is, or may have.
func (d *Directory) Changed(stream string) <-chan struct{} {
	d.mu.Lock()
	defer d.mu.Unlock()
	p := d.place(stream)
	if p.changed == nil {
		p.changed = make(chan struct{})
	}
	return p.changed
}

// ask returns an answer that is younger than age.
func (d *Directory) ask(ctx context.Context, stream string, age time.Duration) (Entry, error) {
	began := time.Now()
	for {
		d.mu.Lock()
		p := d.place(stream)
		// An answer to a question that was asked after this one came is fresh, whatever its age.
		if !p.at.IsZero() && (time.Since(p.at) < age || !p.at.Before(began) || age > 0 && began.Before(p.until)) {
			e, err := p.answer()
			d.mu.Unlock()
			return e, err
		}
		asked := p.asked
		if asked == nil {
			asked = make(chan struct{})
			p.asked, p.askedAt = asked, time.Now()
			go d.fetch(context.WithoutCancel(ctx), p, asked, p.good.IsZero())
		}
		var late <-chan time.Time
		if old := p.old(); age > 0 && old != nil {
			wait := p.patience()
			if wait <= 0 {
				e := *old
				d.mu.Unlock()
				return e, nil
			}
			late = time.After(wait)
		}
		d.mu.Unlock()
		select {
		case <-asked:
		case <-late:
		case <-ctx.Done():
			return Entry{}, context.Cause(ctx)
		}
	}
}

// patience is how long who has an old answer still waits for that to the question under way. The
// caller holds mu.
func (p *place) patience() time.Duration {
	if errors.Is(p.err, ErrUnavailable) {
		return 0
	}
	return lookPatience - time.Since(p.askedAt)
}

// place finds or makes what is known of a stream. The caller holds mu.
func (d *Directory) place(stream string) *place {
	if e := d.places[stream]; e != nil {
		d.recent.MoveToFront(e)
		return e.Value.(*place)
	}
	if d.recent.Len() >= maxNames {
		oldest := d.oldest()
		d.recent.Remove(oldest)
		forgotten := oldest.Value.(*place)
		forgotten.expire()
		delete(d.places, forgotten.stream)
	}
	p := &place{stream: stream}
	d.places[stream] = d.recent.PushFront(p)
	return p
}

// oldest returns the place to forget: one that is asked for stays while there are others, as those
// who wait for its answer would have to ask again. The caller holds mu.
func (d *Directory) oldest() *list.Element {
	for range d.recent.Len() {
		e := d.recent.Back()
		if e.Value.(*place).asked == nil {
			return e
		}
		d.recent.MoveToFront(e)
	}
	return d.recent.Back()
}

// fetch asks the registry. Its calls end in time by themselves.
func (d *Directory) fetch(ctx context.Context, p *place, asked chan struct{}, isNew bool) {
	e, at, err := d.lookup(ctx, p.stream, isNew)
	d.mu.Lock()
	defer d.mu.Unlock()
	defer close(asked)
	if p.asked != asked {
		return // something changed meanwhile: who waits asks again
	}
	p.asked, p.at, p.until, p.err = nil, at, time.Time{}, err
	switch {
	case err == nil && e.Claim.Token < p.floor && at.Sub(p.good) < staleTime:
		// A home that was before, says a registry that has lost something: nobody goes back to it.
		if p.entry.Stream == "" {
			p.err = ErrNotFound
		}
	case err == nil:
		p.entry, p.good, p.floor = e, at, e.Claim.Token
	case !errors.Is(err, ErrUnavailable) && !errors.Is(err, ErrFlood):
		p.entry = Entry{}
	}
}

// lookup asks the registry when it is its turn, and says when that was.
func (d *Directory) lookup(ctx context.Context, stream string, isNew bool) (e Entry, at time.Time, err error) {
	if isNew {
		turn, cancel := context.WithTimeout(ctx, newWait)
		defer cancel()
		// It fails at once if the turn would come too late.
		if err := d.fresh.Wait(turn); err != nil {
			return e, time.Now(), ErrFlood
		}
		d.asking <- struct{}{}
		defer func() { <-d.asking }()
	}
	at = time.Now()
	e, err = d.registry.Lookup(ctx, stream)
	return e, at, err
}

// old is what was known last, nil if that is nothing, or too old. The caller holds mu.
func (p *place) old() *Entry {
	if p.entry.Stream == "" || time.Since(p.good) >= staleTime {
		return nil
	}
	return &p.entry
}

// answer is what is known. The caller holds mu.
func (p *place) answer() (Entry, error) {
	if old := p.old(); errors.Is(p.err, ErrUnavailable) && old != nil {
		return *old, nil
	}
	if p.err != nil {
		return Entry{}, p.err
	}
	return p.entry, nil
}

// forget makes the next question about a stream, or about all streams of a node or at all, a new
// one.
func (d *Directory) forget(c Change) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if c.Stream != "" {
		if e := d.places[c.Stream]; e != nil {
			e.Value.(*place).expire()
		}
		return
	}
	for _, e := range d.places {
		if p := e.Value.(*place); c.Node == "" || p.entry.Node.ID == c.Node {
			p.expire()
		}
	}
}

// expire lets the answer be asked for again. One that is on its way may be from before the change:
// it is not waited for. The caller holds mu.
func (p *place) expire() {
	p.at, p.asked = time.Time{}, nil
	if p.changed != nil {
		close(p.changed)
		p.changed = nil
	}
}
