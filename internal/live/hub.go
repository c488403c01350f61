// Package live is the hub between publishers and readers: it knows access units and no protocol.
//
// A Hub holds the streams that are on air or in grace. Each Stream has one ring of the newest
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
	defaultGrace  = 10 * time.Second
)

// Options configures a Hub.
type Options struct {
	Log *slog.Logger
	// GOPs is how many GOPs the ring keeps at least for readers that join.
	GOPs int
	// Memory bounds each stream's ring, in bytes; 0: 64 MiB.
	Memory int
	// Grace is how long a stream outlives a publisher that was lost; 0: 10 s, negative: none.
	Grace time.Duration
	// NoTakeover refuses a second publisher instead of letting it replace the first.
	NoTakeover bool
	// Notify, if set, is told what happens to streams, in its order. It is called with locks held:
	// it must not block and not call back.
	Notify func(Notice)
	// OnStream, if set, is called when a publication is published here, for the first time in its
	// life or since it was a copy last, before the first unit, from the publisher's goroutine.
	OnStream func(*Stream)
}

// Hub holds the streams. Its methods may be called from any goroutine.
type Hub struct {
	opt Options

	mu      sync.Mutex
	streams map[Name]*Stream
	ladders map[Name]*ladder // by the name without rendition
	waiting map[Name]*waiters
	closed  bool
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

// ladder is the publications of one stream, in the order of their first sessions, and what they
// share.
type ladder struct {
	members  []*Stream
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
	if opt.Grace == 0 {
		opt.Grace = defaultGrace
	}
	return &Hub{
		opt: opt, streams: make(map[Name]*Stream), ladders: make(map[Name]*ladder), waiting: make(map[Name]*waiters),
	}
}

// Change sets Grace and NoTakeover, for sessions that begin from now on.
func (h *Hub) Change(grace time.Duration, noTakeover bool) {
	if grace == 0 {
		grace = defaultGrace
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	h.opt.Grace, h.opt.NoTakeover = grace, noTakeover
}

// Publish is PublishBy nobody that Notify should know.
func (h *Hub) Publish(name Name, evict func(cause error)) (*Publisher, error) {
	return h.PublishBy(nil, name, evict)
}

// Copy begins a session that brings what is published elsewhere, as PublishBy does: nobody is told
// of the stream, by OnStream or by Notify, unless it was published here before, which then is over.
// If its connection is lost, the stream waits for its return for ten seconds at least. Who
// publishes here goes before a copy, also with NoTakeover.
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
	s, err := h.enter(name)
	if err != nil {
		h.mu.Unlock()
		return nil, err
	}
	p, loser, err := s.begin(evict, h.opt.NoTakeover && s.home && !isCopy)
	begins := false
	if err == nil {
		if isCopy {
			p.grace = max(p.grace, defaultGrace)
		}
		begins = h.noteBegin(s, by, isCopy, loser != nil)
		h.announce(name)
		h.announce(name.whole())
	}
	h.mu.Unlock()

	if loser != nil {
		h.opt.Log.Info("publisher taken over", "stream", name.String())
		loser.evict(ErrTakenOver)
	}
	if begins && h.opt.OnStream != nil {
		h.opt.OnStream(s)
	}
	return p, err
}

// enter finds or makes the publication of that name. The caller holds mu.
func (h *Hub) enter(name Name) (*Stream, error) {
	if s := h.streams[name]; s != nil {
		return s, nil
	}
	l := h.ladders[name.whole()]
	if l == nil {
		l = new(ladder)
		h.ladders[name.whole()] = l
	}
	if len(l.members) >= maxRenditions {
		return nil, ErrTooMany
	}
	s := newStream(h, name, &l.timeline)
	l.members = append(l.members, s)
	h.streams[name] = s
	return s, nil
}

// announce wakes those who wait for a name. The caller holds mu.
func (h *Hub) announce(name Name) {
	if w := h.waiting[name]; w != nil {
		close(w.came)
		delete(h.waiting, name)
	}
}

// begin installs a new session and returns the one that it replaces.
func (s *Stream) begin(evict func(error), refuse bool) (p, loser *Publisher, err error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if s.publisher != nil {
		if refuse {
			return nil, nil, ErrInUse
		}
		if err := s.countTakeover(now); err != nil {
			return nil, nil, err
		}
		loser = s.publisher
		loser.gone = ErrTakenOver
		s.keepTracks(loser)
		s.timeline.leave(s)
	}
	for _, t := range []*time.Timer{s.grace, s.settle} {
		if t != nil {
			t.Stop()
		}
	}
	s.grace, s.settle = nil, nil
	s.epoch++
	p = &Publisher{stream: s, evict: evict, grace: s.hub.opt.Grace}
	s.publisher = p
	s.gauges.onAir.Store(true)
	return p, loser, nil
}

// countTakeover refuses takeovers for a while when there are too many.
func (s *Stream) countTakeover(now time.Time) error {
	if now.Before(s.refuseUntil) {
		return ErrFlapping
	}
	s.takeovers = slices.DeleteFunc(s.takeovers, func(t time.Time) bool { return now.Sub(t) > takeoverWindow })
	if len(s.takeovers) >= maxTakeovers {
		s.refuseUntil = now.Add(takeoverWindow)
		s.takeovers = nil
		return ErrFlapping
	}
	s.takeovers = append(s.takeovers, now)
	return nil
}

// leave ends a session; the stream stays for the grace time.
func (h *Hub) leave(p *Publisher, cause error, grace time.Duration) {
	h.mu.Lock()
	defer h.unlock()
	s := p.stream
	s.mu.Lock()
	defer s.mu.Unlock()
	if p.gone == nil {
		p.gone = cause
	}
	p.forgetAll()
	if s.publisher != p || s.ended {
		return
	}
	if s.home {
		h.ladders[s.name.whole()].onAir--
	}
	if grace <= 0 || s.ring.next == 0 || h.closed {
		h.end(s, cause)
		return
	}
	h.noteLoss(s, cause)
	s.timeline.lose(s)
	s.keepTracks(p)
	s.publisher, s.lost, s.suspended = nil, p, true
	s.gauges.onAir.Store(false)
	s.suspensions++
	s.wakeAll()
	h.lines = append(h.lines, func() {
		h.opt.Log.Info("publisher lost, stream waits for it", "stream", s.name.String(), "grace", grace)
	})
	s.grace = time.AfterFunc(grace, func() { h.expire(s, p) })
}

// expire ends a stream whose publisher p was the last one to be lost, and did not come back.
func (h *Hub) expire(s *Stream, p *Publisher) {
	h.mu.Lock()
	defer h.unlock()
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.publisher == nil && s.lost == p && !s.ended {
		h.end(s, p.gone)
	}
}

// Evict ends the publication for a cause: its publisher hears of it through its evict function; in
// grace it ends at once.
func (s *Stream) Evict(cause error) {
	s.hub.mu.Lock()
	s.mu.Lock()
	p := s.publisher
	if p == nil && !s.ended {
		s.hub.end(s, cause)
	}
	s.mu.Unlock()
	s.hub.unlock()
	if p != nil {
		p.evict(cause)
	}
}

// end takes the stream out of the hub. The caller holds both locks.
func (h *Hub) end(s *Stream, cause error) {
	s.endLocked(cause)
	if h.streams[s.name] == s {
		delete(h.streams, s.name)
		l := h.ladders[s.name.whole()]
		l.members = slices.DeleteFunc(l.members, func(o *Stream) bool { return o == s })
		h.noteEnd(s, l, cause)
		if len(l.members) == 0 {
			delete(h.ladders, s.name.whole())
		}
	}
	h.lines = append(h.lines, func() { h.opt.Log.Info("stream ended", "stream", s.name.String(), "reason", cause.Error()) })
}

// Lookup returns the publication of that name if it is on air or in grace. A name without rendition
// stands for the first one that was published if the stream has none without.
func (h *Hub) Lookup(name Name) (*Stream, bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.find(name)
	return s, s != nil
}

// Publications returns those of a stream that are on air or in grace, in the order of their first
// sessions. The rendition in the name is of no account.
func (h *Hub) Publications(name Name) []*Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	if l := h.ladders[name.whole()]; l != nil {
		return slices.Clone(l.members)
	}
	return nil
}

// find is Lookup for who holds mu.
func (h *Hub) find(name Name) *Stream {
	if s := h.streams[name]; s != nil || name.Rendition != "" {
		return s
	}
	if l := h.ladders[name]; l != nil {
		return l.members[0]
	}
	return nil
}

// Subscribe returns what Lookup does. If that is nothing it waits for its publisher, at most for
// wait, and then fails with ErrNotFound; with the cause of ctx when that ends first.
func (h *Hub) Subscribe(ctx context.Context, name Name, wait time.Duration) (*Stream, error) {
	if s, ok := h.Lookup(name); ok {
		return s, nil
	}
	if wait <= 0 {
		return nil, ErrNotFound
	}
	timer := time.NewTimer(wait)
	defer timer.Stop()
	for {
		s, came := h.lookupOrWait(name)
		if s != nil {
			return s, nil
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

func (h *Hub) lookupOrWait(name Name) (*Stream, chan struct{}) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if s := h.find(name); s != nil {
		return s, nil
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

// Streams returns all publications that are on air or in grace, by name.
func (h *Hub) Streams() []*Stream {
	h.mu.Lock()
	defer h.mu.Unlock()
	all := make([]*Stream, 0, len(h.streams))
	for _, s := range h.streams {
		all = append(all, s)
	}
	slices.SortFunc(all, func(a, b *Stream) int { return strings.Compare(a.name.String(), b.name.String()) })
	return all
}

// Close ends all streams and lets no new ones begin.
func (h *Hub) Close() {
	h.mu.Lock()
	defer h.unlock()
	h.closed = true
	for _, s := range h.streams {
		s.mu.Lock()
		if s.publisher != nil && s.publisher.gone == nil {
			s.publisher.gone = ErrClosed
		}
		h.end(s, ErrClosed)
		s.mu.Unlock()
	}
}
