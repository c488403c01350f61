// Package live is the hub between publishers and readers: it knows access units and no protocol.
//
// A Hub holds the streams that are on air or in grace. Each Publication has one ring of the newest
// units, which is at once the GOP cache and the queue of every Reader; a publisher appends to it
// and never waits.
package live

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"strings"
	"sync"
	"time"
)

// Why a publisher may not begin, or must end.
var (
	ErrNotFound    = errors.New("stream is not on air")
	ErrInUse       = errors.New("stream has a publisher already")
	ErrFlapping    = errors.New("stream was taken over too often: two encoders with one key?")
	ErrTakenOver   = errors.New("taken over by another publisher with the same key")
	ErrUnpublished = errors.New("unpublished")
	ErrLost        = errors.New("connection lost")
	ErrClosed      = errors.New("server is closing")
	// ErrMisaligned: the key frames of a further rendition cannot be those of the others.
	ErrMisaligned = errors.New("key frames do not come together with those of the stream's other renditions")
	// ErrMoved: another node publishes the stream.
	ErrMoved   = errors.New("another node publishes the stream now")
	ErrTooMany = fmt.Errorf("stream has %d renditions, more are not possible", maxRenditions)
)

const (
	defaultMemory = 64 << 20
	copyGrace     = 10 * time.Second
)

// Options configures a Hub.
type Options struct {
	Log *slog.Logger
	// GOPs is how many GOPs the ring keeps at least for readers that join.
	GOPs int
	// Memory bounds each stream's ring, in bytes; 0: 64 MiB.
	Memory int
	// Grace is how long a stream outlives a publisher that was lost; 0: not at all.
	Grace time.Duration
	// Takeover lets a second publisher of a stream replace the first, which would be refused.
	Takeover bool
	// Notify, if set, is told what happens to streams, in its order. It is called with locks held:
	// it must not block and not call back.
	Notify func(Notice)
	// OnPublication, if set, is called when a publication is published here, for the first time in
	// its life or since it was a copy last, before the first unit, from the publisher's goroutine.
	OnPublication func(*Publication)
}

// Hub holds the streams. Its methods may be called from any goroutine. Locks are taken in this
// order: that of the hub, of a publication, of a timeline. Methods that need one held say so.
type Hub struct {
	opt   Options
	store *store // for what rings keep

	mu           sync.Mutex
	publications map[Name]*Publication
	streams      map[Name]*stream // by the name without rendition
	waiting      map[Name]*waiters
	closed       bool
	// lines are to be logged when mu is free: a log that is slow must hold up nobody.
	lines []func()
}

// unlock gives mu back and logs what is to be logged.
func (h *Hub) unlock() {
	lines := h.lines
	h.lines = nil
	h.mu.Unlock()
	for _, line := range lines {
		line()
	}
}

// stream is its publications, in the order of their first sessions, and what they share.
type stream struct {
	members  []*Publication
	timeline timeline
	onAir    int  // members that have a publisher here
	lost     bool // none had one, after all were lost
}

// waiters are the subscribers of one stream that is not there.
type waiters struct {
	came  chan struct{}
	count int
}

// NewHub returns an empty hub.
func NewHub(opt Options) *Hub {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	if opt.Memory <= 0 {
		opt.Memory = defaultMemory
	}
	return &Hub{
		opt: opt, store: new(store), publications: make(map[Name]*Publication), streams: make(map[Name]*stream), waiting: make(map[Name]*waiters),
	}
}

// Change sets Grace and Takeover, for sessions that begin from now on.
func (h *Hub) Change(grace time.Duration, takeover bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opt.Grace, h.opt.Takeover = grace, takeover
}

// Publish is PublishBy nobody that Notify should know.
func (h *Hub) Publish(name Name, evict func(cause error)) (*Publisher, error) {
	return h.PublishBy(nil, name, evict)
}

// Copy begins a session that brings what is published elsewhere, as PublishBy does: nobody is told
// of the stream, by OnPublication or by Notify, unless it was published here before, which then is
// over. If its connection is lost, the stream waits for its return for ten seconds at least. Who
// publishes here goes before a copy, also without Takeover.
func (h *Hub) Copy(name Name, evict func(cause error)) (*Publisher, error) {
	return h.start(nil, name, evict, true)
}

// PublishBy begins a session on the stream, which comes to life if it is not there. If it has a
// publisher, that one is evicted: its evict function is called with ErrTakenOver, from this
// goroutine, and must not block. Publish fails with ErrInUse or ErrFlapping when the stream's
// publisher stays, and with ErrTooMany when the rendition is new and the stream has enough. Notify
// gets by with what this changes.
func (h *Hub) PublishBy(by any, name Name, evict func(cause error)) (*Publisher, error) {
	return h.start(by, name, evict, false)
}

// start begins a session.
func (h *Hub) start(by any, name Name, evict func(cause error), isCopy bool) (*Publisher, error) {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil, ErrClosed
	}
	pub, err := h.enter(name)
	if err != nil {
		h.mu.Unlock()
		return nil, err
	}
	p, loser, err := pub.begin(evict, !h.opt.Takeover && pub.home && !isCopy)
	begins := false
	if err == nil {
		if isCopy {
			p.grace = max(p.grace, copyGrace)
		}
		begins = h.noteBegin(pub, by, isCopy, loser != nil)
		h.announce(name)
		h.announce(name.whole())
	}
	h.mu.Unlock()

	if loser != nil {
		h.opt.Log.Info("publisher taken over", "stream", name.String())
		loser.evict(ErrTakenOver)
	}
	if begins && h.opt.OnPublication != nil {
		h.opt.OnPublication(pub)
	}
	return p, err
}

// enter finds or makes the publication of that name. The caller holds mu.
func (h *Hub) enter(name Name) (*Publication, error) {
	if pub := h.publications[name]; pub != nil {
		return pub, nil
	}
	s := h.streams[name.whole()]
	if s == nil {
		s = new(stream)
		h.streams[name.whole()] = s
	}
	if len(s.members) >= maxRenditions {
		return nil, ErrTooMany
	}
	pub := newPublication(h, name, &s.timeline)
	s.members = append(s.members, pub)
	h.publications[name] = pub
	return pub, nil
}

// announce wakes those who wait for a name. The caller holds mu.
func (h *Hub) announce(name Name) {
	if w := h.waiting[name]; w != nil {
		close(w.came)
		delete(h.waiting, name)
	}
}

// begin installs a new session and returns the one that it replaces.
func (pub *Publication) begin(evict func(error), refuse bool) (p, loser *Publisher, err error) {
	pub.mu.Lock()
	defer pub.mu.Unlock()
	now := time.Now()
	if pub.publisher != nil {
		if refuse {
			return nil, nil, ErrInUse
		}
		if err := pub.countTakeover(now); err != nil {
			return nil, nil, err
		}
		loser = pub.publisher
		loser.gone = ErrTakenOver
		pub.keepTracks(loser)
		pub.timeline.leave(pub)
	}
	for _, t := range []*time.Timer{pub.grace, pub.settle} {
		if t != nil {
			t.Stop()
		}
	}
	pub.grace, pub.settle = nil, nil
	pub.epoch++
	p = &Publisher{pub: pub, evict: evict, grace: pub.hub.opt.Grace}
	pub.publisher = p
	pub.gauges.onAir.Store(true)
	return p, loser, nil
}

// countTakeover refuses takeovers for a while when there are too many.
func (pub *Publication) countTakeover(now time.Time) error {
	if now.Before(pub.refuseUntil) {
		return ErrFlapping
	}
	pub.takeovers = slices.DeleteFunc(pub.takeovers, func(t time.Time) bool { return now.Sub(t) > takeoverWindow })
	if len(pub.takeovers) >= maxTakeovers {
		pub.refuseUntil = now.Add(takeoverWindow)
		pub.takeovers = nil
		return ErrFlapping
	}
	pub.takeovers = append(pub.takeovers, now)
	return nil
}

// leave ends a session; the publication stays for the grace time.
func (h *Hub) leave(p *Publisher, cause error, grace time.Duration) {
	h.mu.Lock()
	defer h.unlock()
	pub := p.pub
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if p.gone == nil {
		p.gone = cause
	}
	p.forgetAll()
	if pub.publisher != p || pub.ended {
		return
	}
	if pub.home {
		h.streams[pub.name.whole()].onAir--
	}
	if grace <= 0 || pub.ring.next == 0 || h.closed {
		h.end(pub, cause)
		return
	}
	h.noteLoss(pub, cause)
	pub.timeline.lose(pub)
	pub.keepTracks(p)
	pub.publisher, pub.lost, pub.suspended = nil, p, true
	pub.gauges.onAir.Store(false)
	pub.suspensions++
	if errors.Is(cause, ErrMoved) {
		pub.moves, pub.movedAt = pub.moves+1, pub.ring.next
	}
	pub.wakeAll()
	h.lines = append(h.lines, func() {
		h.opt.Log.Info("publisher lost, stream waits for it", "stream", pub.name.String(), "grace", grace)
	})
	pub.grace = time.AfterFunc(grace, func() { h.expire(pub, p) })
}

// expire ends a publication whose publisher p was the last one to be lost, and did not come back.
func (h *Hub) expire(pub *Publication, p *Publisher) {
	h.mu.Lock()
	defer h.unlock()
	pub.mu.Lock()
	defer pub.mu.Unlock()
	if pub.publisher == nil && pub.lost == p && !pub.ended {
		h.end(pub, p.gone)
	}
}

// Evict ends the publication for a cause: its publisher hears of it through its evict function; in
// grace it ends at once.
func (pub *Publication) Evict(cause error) {
	pub.hub.mu.Lock()
	pub.mu.Lock()
	p := pub.publisher
	if p == nil && !pub.ended {
		pub.hub.end(pub, cause)
	}
	pub.mu.Unlock()
	pub.hub.unlock()
	if p != nil {
		p.evict(cause)
	}
}

// end takes the publication out of the hub. The caller holds both locks.
func (h *Hub) end(pub *Publication, cause error) {
	pub.finish(cause)
	if h.publications[pub.name] == pub {
		delete(h.publications, pub.name)
		s := h.streams[pub.name.whole()]
		s.members = slices.DeleteFunc(s.members, func(o *Publication) bool { return o == pub })
		h.noteEnd(pub, s, cause)
		if len(s.members) == 0 {
			delete(h.streams, pub.name.whole())
		}
	}
	h.lines = append(h.lines, func() { h.opt.Log.Info("stream ended", "stream", pub.name.String(), "reason", cause.Error()) })
}

// Lookup returns the publication of that name if it is on air or in grace. A name without rendition
// stands for the first one that was published if the stream has none without.
func (h *Hub) Lookup(name Name) (*Publication, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	pub := h.find(name)
	return pub, pub != nil
}

// Renditions returns the publications of a stream on air or in grace, in the order of their first
// sessions. The rendition in the name is of no account.
func (h *Hub) Renditions(name Name) []*Publication {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.streams[name.whole()]; s != nil {
		return slices.Clone(s.members)
	}
	return nil
}

// find is Lookup for who holds mu.
func (h *Hub) find(name Name) *Publication {
	if pub := h.publications[name]; pub != nil || name.Rendition != "" {
		return pub
	}
	if s := h.streams[name]; s != nil {
		return s.members[0]
	}
	return nil
}

// Subscribe returns what Lookup does. If that is nothing it waits for its publisher, at most for
// wait, and then fails with ErrNotFound; with the cause of ctx when that ends first.
func (h *Hub) Subscribe(ctx context.Context, name Name, wait time.Duration) (*Publication, error) {
	if pub, ok := h.Lookup(name); ok {
		return pub, nil
	}
	if wait <= 0 {
		return nil, ErrNotFound
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		pub, came := h.lookupOrWait(name)
		if pub != nil {
			return pub, nil
		}
		select {
		case <-came:
			continue
		case <-timer.C:
			h.stopWaiting(name, came)
			return nil, ErrNotFound
		case <-ctx.Done():
			h.stopWaiting(name, came)
			return nil, context.Cause(ctx)
		}
	}
}

func (h *Hub) lookupOrWait(name Name) (*Publication, chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if pub := h.find(name); pub != nil {
		return pub, nil
	}
	w := h.waiting[name]
	if w == nil {
		w = &waiters{came: make(chan struct{})}
		h.waiting[name] = w
	}
	w.count++
	return nil, w.came
}

func (h *Hub) stopWaiting(name Name, came chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if w := h.waiting[name]; w != nil && w.came == came {
		if w.count--; w.count == 0 {
			delete(h.waiting, name)
		}
	}
}

// Publications returns all that that are on air or in grace, by name.
func (h *Hub) Publications() []*Publication {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*Publication, 0, len(h.publications))
	for _, pub := range h.publications {
		all = append(all, pub)
	}
	slices.SortFunc(all, func(a, b *Publication) int { return strings.Compare(a.name.String(), b.name.String()) })
	return all
}

// Close ends all streams and lets no new ones begin.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.unlock()
	h.closed = true
	for _, pub := range h.publications {
		pub.mu.Lock()
		if pub.publisher != nil && pub.publisher.gone == nil {
			pub.publisher.gone = ErrClosed
		}
		h.end(pub, ErrClosed)
		pub.mu.Unlock()
	}
}
