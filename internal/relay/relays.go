package relay

import (
	"context"
	"errors"
	"log/slog"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"time"

	"livego/internal/event"
	"livego/internal/fanout"
	"livego/internal/live"
	"livego/internal/media"
)

// Sink takes the messages of a publisher.
type Sink interface {
	// Message takes a message with its RTMP type and absolute time in milliseconds. Its body must
	// not change any more. An error says that the publisher must end.
	Message(messageType uint8, ms uint32, body []byte) error
	// End takes the publisher off the air.
	End(cause error)
}

// Options configures Relays.
type Options struct {
	Log    *slog.Logger
	Events *event.Bus
	// Subscribe returns a stream that is pushed. If it is not on air, it waits at most so long, and
	// fails with live.ErrNotFound.
	Subscribe func(ctx context.Context, name live.Name, wait time.Duration) (*live.Publication, error)
	// Fanout delivers streams that are pushed.
	Fanout *fanout.Fanout
	// Publish begins the publication of a stream that is pulled from a server, and has passed
	// others as far as that is known. end is called to end it from here, from any goroutine, and
	// does not wait.
	Publish func(ctx context.Context, r Relay, remote string, passed []string, end func(cause error)) (Sink, error)
	// Path, if set, says what other servers are told, so that no stream goes in a circle: which
	// servers a stream has passed that is pushed, or the request for one that is pulled.
	Path func(r Relay) []string
	// Body makes the message of a unit that has none.
	Body func(dst []byte, u *media.AccessUnit) ([]byte, error)
	// Dial, if set, makes connections in place of the network (tests).
	Dial func(ctx context.Context, network, addr string) (net.Conn, error)
	// VerifyTLS checks the certificates of servers.
	VerifyTLS bool
	// Save, if set, is told the relays that do not stand in the configuration, whenever they
	// change.
	Save func([]Relay)
}

// Relays are the relays of a server. Its methods may be called from any goroutine.
type Relays struct {
	opt Options
	ctx context.Context
	end context.CancelCauseFunc
	all sync.WaitGroup

	pushes, pulls counters

	mu     sync.Mutex
	relays map[Relay]*runner
	// ending are relays that are none any more, and have not ended yet.
	ending map[*runner]struct{}
	closed bool
}

// New returns no relays yet.
func New(opt Options) *Relays {
	r := &Relays{opt: opt, relays: make(map[Relay]*runner), ending: make(map[*runner]struct{})}
	r.ctx, r.end = context.WithCancelCause(context.Background())
	return r
}

// Start begins a relay. static says that it stands in the configuration.
func (r *Relays) Start(relay Relay, static bool) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	_, err := r.start(relay, static)
	return err
}

// start is Start. The caller holds mu.
func (r *Relays) start(relay Relay, static bool) (*runner, error) {
	if err := Check(relay); err != nil {
		return nil, err
	}
	if r.closed {
		return nil, ErrStopped
	}
	if r.relays[relay] != nil {
		return nil, ErrRunning
	}
	same := 0
	for other := range r.relays {
		if other.Direction == relay.Direction && other.name() == relay.name() {
			same++
		}
	}
	if len(r.relays) >= maxRelays || same >= maxPerStream || relay.Direction == Pull && same > 0 {
		if relay.Direction == Pull && same > 0 {
			return nil, ErrRunning // a stream comes from one place
		}
		return nil, ErrTooMany
	}
	ctx, cancel := context.WithCancelCause(r.ctx)
	idle, finish := context.WithCancelCause(ctx)
	run := &runner{
		idle: idle, finish: finish, former: r.formerOf(relay),
		relays: r, relay: relay, static: static, stop: cancel, done: make(chan struct{}), settled: make(chan struct{}),
		status: Status{Relay: relay, State: Waiting, Since: time.Now(), Static: static},
		log:    r.opt.Log.With("relay", relay.String(), "host", hostOf(relay.URL)),
	}
	r.relays[relay] = run
	r.all.Go(func() {
		run.run(ctx)
		r.mu.Lock()
		defer r.mu.Unlock()
		delete(r.ending, run)
	})
	r.save()
	return run, nil
}

// formerOf returns the relays that end and in whose place a new one comes: pulls of the same
// stream, and pushes to the same place. The caller holds mu.
func (r *Relays) formerOf(relay Relay) (former []*runner) {
	for run := range r.ending {
		if run.relay == relay || relay.Direction == Pull && run.relay.Direction == Pull && run.relay.name() == relay.name() {
			former = append(former, run)
		}
	}
	return former
}

// Share begins a relay that stands in the configuration, for a life of its stream. If an earlier
// life has not let go of it yet, that one goes on. Each life must call what it gets, once, at its
// end: the last one ends the relay. It may tell the other server of the end of the stream before,
// unless the stream goes on elsewhere.
func (r *Relays) Share(relay Relay) (letGo func(elsewhere bool), err error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	run := r.relays[relay]
	if run == nil || run.lives == 0 {
		if run, err = r.start(relay, true); err != nil {
			return nil, err
		}
	}
	run.lives++
	return func(elsewhere bool) { r.letGo(run, elsewhere) }, nil
}

// letGo ends the part of one life in a relay.
func (r *Relays) letGo(run *runner, elsewhere bool) {
	r.mu.Lock()
	run.lives--
	goesOn := run.lives > 0
	if !goesOn {
		r.drop(run)
	}
	r.mu.Unlock()
	if goesOn {
		return
	}
	if !elsewhere {
		run.sayEnd()
	}
	run.end()
}

// drop takes a relay away that is to end. The caller holds mu.
func (r *Relays) drop(run *runner) {
	if r.relays[run.relay] == run {
		delete(r.relays, run.relay)
		r.ending[run] = struct{}{}
	}
}

// Try begins a relay as Start does, and waits until it runs, or waits for its stream. If its first
// connection fails, it is not begun, and Try returns why.
func (r *Relays) Try(ctx context.Context, relay Relay) error {
	r.mu.Lock()
	run, err := r.start(relay, false)
	r.mu.Unlock()
	if err != nil {
		return err
	}
	select {
	case <-run.settled:
	case <-run.done:
	case <-ctx.Done():
		return context.Cause(ctx)
	}
	if s := run.now(); s.State == Failed {
		r.mu.Lock()
		r.drop(run)
		r.save()
		r.mu.Unlock()
		run.end()
		return errors.New(s.Error)
	}
	return nil
}

// Stop ends a relay and waits for that. Without URL it ends all of the direction and stream. It
// returns what was ended, and ErrUnknown if that is none.
func (r *Relays) Stop(relay Relay) ([]Relay, error) {
	r.mu.Lock()
	var ended []*runner
	for other, run := range r.relays {
		if other == relay || relay.URL == "" && other.Direction == relay.Direction && other.name() == relay.name() {
			r.drop(run)
			ended = append(ended, run)
		}
	}
	r.save()
	r.mu.Unlock()
	if len(ended) == 0 {
		return nil, ErrUnknown
	}
	var names []Relay
	for _, run := range ended {
		run.end()
		names = append(names, run.relay)
	}
	return names, nil
}

// Status returns how a relay is, false if there is none.
func (r *Relays) Status(relay Relay) (Status, bool) {
	r.mu.Lock()
	run := r.relays[relay]
	r.mu.Unlock()
	if run == nil {
		return Status{}, false
	}
	return run.now(), true
}

// List returns all relays, by direction, stream and URL.
func (r *Relays) List() []Status {
	r.mu.Lock()
	runners := make([]*runner, 0, len(r.relays))
	for _, run := range r.relays {
		runners = append(runners, run)
	}
	r.mu.Unlock()
	all := make([]Status, 0, len(runners))
	for _, run := range runners {
		all = append(all, run.now())
	}
	slices.SortFunc(all, func(a, b Status) int {
		return strings.Compare(a.String()+" "+a.URL, b.String()+" "+b.URL)
	})
	return all
}

// PushesTo says whether a stream is pushed to an address now.
func (r *Relays) PushesTo(stream live.Name, at netip.Addr) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for relay, run := range r.relays {
		if relay.Direction == Push && relay.name() == stream && run.isAt(at) {
			return true
		}
	}
	return false
}

// save tells which relays there are that do not stand in the configuration. The caller holds mu.
func (r *Relays) save() {
	if r.opt.Save == nil {
		return
	}
	var kept []Relay
	for relay, run := range r.relays {
		if !run.static {
			kept = append(kept, relay)
		}
	}
	slices.SortFunc(kept, func(a, b Relay) int { return strings.Compare(a.String()+a.URL, b.String()+b.URL) })
	r.opt.Save(kept)
}

// Close lets pushes of streams that are over tell the other servers, for a moment, ends all relays,
// without telling Save, and waits for that.
func (r *Relays) Close() {
	r.mu.Lock()
	for _, run := range r.relays {
		run.finish(ErrStopped)
	}
	r.closed = true
	r.mu.Unlock()
	late := time.AfterFunc(closeTime, func() { r.end(ErrStopped) })
	r.all.Wait()
	late.Stop()
	r.end(ErrStopped)
}

// closeTime is how long pushes have to tell the other servers at the end.
const closeTime = time.Second
