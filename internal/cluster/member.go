package cluster

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"slices"
	"sync"
	"time"

	"livego/internal/pause"
)

const (
	// fullBeat is how often a beat has all streams of the node, and not only what changed.
	fullBeat = 5 * time.Second
	// warnAhead is how far the registry's clock may be from ours before it is said, maxAhead before
	// there are no claims.
	warnAhead = 500 * time.Millisecond
	maxAhead  = 5 * time.Second
	// nodesInterval is how often it is asked which nodes there are.
	nodesInterval = 2 * time.Second
	// noteDelay is how long a beat waits for more of what Note is told.
	noteDelay = 100 * time.Millisecond
	// freeTimeout bounds the time in which a stream is given back, awayPatience that of a claim
	// while the registry is away.
	freeTimeout  = 5 * time.Second
	awayPatience = 300 * time.Millisecond
)

// MemberOptions configures a Member.
type MemberOptions struct {
	Log      *slog.Logger
	Registry Registry
	// Self is what the registry is told of this node. State is set by Drain.
	Self Node
	// Figures, if set, returns what changes all the time.
	Figures func() (load float64, viewers, streams int, bitRateOut uint64)
	// Lost is called when another node turns out to have a stream that this one holds. It must not
	// wait.
	Lost func(stream string)
}

// Member is this node in its cluster: it keeps the lease alive, and the claims of the streams that
// have their home here. Its methods may be called from any goroutine.
type Member struct {
	opt       MemberOptions
	directory *Directory

	// noted wakes Run.
	noted chan struct{}

	// giving are streams that are being given back.
	giving sync.WaitGroup

	// beating is held during a beat and while a stream is given back: a beat that overtakes it
	// would register the stream again.
	beating sync.Mutex

	mu    sync.Mutex
	state NodeState
	held  map[string]*holding
	// changed are the names of those that changed since the last beat; some may be gone.
	changed []string
	// owed are streams that are to be given back when the registry is there again.
	owed map[string]debt
	// doubtful are streams whose claim the registry may have taken, though it did not say so: it
	// may do so late.
	doubtful map[string]struct{}
	back     time.Time // when the registry was back last
	ahead    time.Duration
	away     bool // the last beat failed
	// twin is since when another process has the lease of this node, zero while none has.
	twin time.Time
	told bool // that the clocks differ
	lost uint64
	// nodes are those that the registry named last, at the time listed.
	nodes  []Node
	listed time.Time
}

// NewMember returns a member that holds nothing. Run lets others know of it.
func NewMember(opt MemberOptions) *Member {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Member{
		opt: opt, directory: NewDirectory(opt.Registry), state: Ready, held: make(map[string]*holding), owed: make(map[string]debt), doubtful: make(map[string]struct{}), noted: make(chan struct{}, 1),
	}
}

// ID is the name of this node.
func (m *Member) ID() string { return m.opt.Self.ID }

// Run beats until ctx ends. It returns ErrTwin if another node of that name has the lease for as
// long as one of a life before may live, and else nil.
func (m *Member) Run(ctx context.Context) error {
	if err := m.awaitName(ctx); err != nil {
		return err
	}
	var watching sync.WaitGroup
	watched, stop := context.WithCancel(ctx)
	watching.Go(func() { _ = m.directory.Run(watched) })
	defer func() { stop(); watching.Wait() }()
	tick := time.NewTicker(beatInterval)
	defer tick.Stop()
	var full time.Time
	for ctx.Err() == nil {
		all := time.Since(full) >= fullBeat
		if all {
			full = time.Now()
		}
		if m.beat(ctx, all) {
			m.list(ctx)
		} else {
			full = time.Time{} // all of it when the registry is back
		}
		if m.hasTwin() {
			return fmt.Errorf("%w: %s", ErrTwin, m.ID())
		}
		select {
		case <-tick.C:
		case <-m.noted:
			_ = pause.For(ctx, noteDelay)
		case <-ctx.Done():
		}
	}
	return nil
}

// nameTime is for how long the lease of a life that was before may live.
const nameTime = leaseTime + beatInterval

// noteTwin notes whether another process has the lease of this node.
func (m *Member) noteTwin(has bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	switch {
	case !has:
		m.twin = time.Time{}
	case m.twin.IsZero():
		m.twin = time.Now()
	}
}

// hasTwin says that another process keeps the lease of this node alive.
func (m *Member) hasTwin() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return !m.twin.IsZero() && time.Since(m.twin) > nameTime
}

// awaitName waits until the lease of a life of this node that was before is over.
func (m *Member) awaitName(ctx context.Context) error {
	for end := time.Now().Add(nameTime); ; {
		nodes, err := m.opt.Registry.Nodes(ctx)
		if err != nil {
			return nil // nobody can tell
		}
		taken := false
		for _, n := range nodes {
			taken = taken || n.ID == m.ID() && n.Alive && n.Boot != m.opt.Self.Boot
		}
		switch {
		case !taken || ctx.Err() != nil:
			return nil
		case time.Now().After(end):
			return fmt.Errorf("%w: %s", ErrTwin, m.ID())
		}
		_ = pause.For(ctx, beatInterval/2)
	}
}

// Self is this node as the registry is told of it.
func (m *Member) Self() Node {
	n := m.self()
	n.Alive = true
	return n
}

// self is what the registry is told.
func (m *Member) self() Node {
	n := m.opt.Self
	if m.opt.Figures != nil {
		n.Load, n.Viewers, n.Streams, n.BitRateOut = m.opt.Figures()
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	n.State = m.state
	return n
}

// due returns what a beat tells: all streams that are on air, or those that changed. The caller
// holds mu.
func (m *Member) due(all bool) (held []Held) {
	names := m.changed
	m.changed = nil
	if all {
		names = slices.Collect(maps.Keys(m.held))
	}
	for _, name := range names {
		if h := m.held[name]; h != nil && h.onAir && (all || h.changed) {
			held = append(held, Held{name, h.token, h.hand})
			h.changed = false
		}
	}
	return held
}

// mark lets the next beat have a stream. The caller holds mu.
func (m *Member) mark(name string, h *holding) {
	if !h.changed {
		h.changed = true
		m.changed = append(m.changed, name)
	}
}

// beat renews the lease, and says whether the registry was there.
func (m *Member) beat(ctx context.Context, all bool) bool {
	m.beating.Lock()
	defer m.beating.Unlock()
	m.mu.Lock()
	held := m.due(all)
	m.mu.Unlock()
	got, err := m.opt.Registry.Beat(ctx, m.self(), held)
	if ctx.Err() != nil {
		return true
	}
	isTwin := errors.Is(err, ErrTwin)
	m.noteTwin(isTwin)
	if isTwin { // the registry is there
		m.noteAway(nil)
		return false
	}
	m.noteAway(err)
	if err != nil {
		return false
	}
	m.noteAhead(got.Ahead)
	m.mu.Lock()
	for name, token := range got.Tokens {
		if h := m.held[name]; h != nil {
			h.token = token
		}
	}
	owed := m.owed
	m.owed = make(map[string]debt)
	m.mu.Unlock()
	for _, name := range got.Lost {
		m.lose(name)
	}
	for name, d := range owed {
		m.give(ctx, name, d)
	}
	if all {
		m.settleDoubts(ctx)
	}
	return true
}

// list asks which nodes there are, if that was not known lately.
func (m *Member) list(ctx context.Context) {
	m.mu.Lock()
	listed := m.listed
	m.mu.Unlock()
	if time.Since(listed) < nodesInterval {
		return
	}
	m.relist(ctx)
}

// relist asks which nodes there are.
func (m *Member) relist(ctx context.Context) {
	nodes, err := m.opt.Registry.Nodes(ctx)
	if err != nil {
		return // the next beat says so
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.nodes, m.listed = nodes, time.Now()
}

// Known returns the nodes of the last day as they were some seconds ago, or before the registry was
// away. The slice must not be changed.
func (m *Member) Known() []Node {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.nodes
}

func (m *Member) noteAway(err error) {
	m.mu.Lock()
	was := m.away
	if m.away = err != nil; was && !m.away {
		m.back = time.Now()
	}
	m.mu.Unlock()
	switch {
	case err != nil && !was:
		m.opt.Log.Warn("the registry is away: what runs goes on, streams that begin are not known to other nodes until it is back", "err", err)
	case err == nil && was:
		m.opt.Log.Info("the registry is back")
	}
}

func (m *Member) noteAhead(ahead time.Duration) {
	m.mu.Lock()
	m.ahead = ahead
	tell := ahead.Abs() > warnAhead && !m.told
	m.told = ahead.Abs() > warnAhead
	m.mu.Unlock()
	if tell {
		m.opt.Log.Warn("the clocks of this node and of the registry differ", "registry_ahead", ahead.Round(time.Millisecond), "most", maxAhead)
	}
}

// LostClaims counts streams that were on air here and that another node has taken.
func (m *Member) LostClaims() uint64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.lost
}

// Away says whether the registry could not be reached last time.
func (m *Member) Away() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.away
}

// Ahead is the registry's clock minus ours.
func (m *Member) Ahead() time.Duration {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ahead
}

// Lookup returns the node that has a stream, as Directory.Lookup does.
func (m *Member) Lookup(ctx context.Context, stream string) (Entry, error) {
	return m.directory.Lookup(ctx, stream)
}

// Fresh is Lookup for whom an answer of that led nowhere.
func (m *Member) Fresh(ctx context.Context, stream string) (Entry, error) {
	return m.directory.Fresh(ctx, stream)
}

// Confirm is told that a node which has a stream by that token has just answered for it.
func (m *Member) Confirm(stream, node string, token int64) { m.directory.Confirm(stream, node, token) }

// Changed returns what is closed when something changes about where a stream is, or may have.
func (m *Member) Changed(stream string) <-chan struct{} { return m.directory.Changed(stream) }

// Nodes returns all nodes of the last day.
func (m *Member) Nodes(ctx context.Context) ([]Node, error) { return m.opt.Registry.Nodes(ctx) }

// Drain tells others that this node takes nothing new. It waits until the registry knows. Known
// returns the nodes as they are now then.
func (m *Member) Drain(ctx context.Context) {
	m.mu.Lock()
	m.state = Draining
	m.mu.Unlock()
	m.beat(ctx, false)
	m.relist(ctx)
}

// Draining says whether Drain was called.
func (m *Member) Draining() bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.state == Draining
}

// Leave ends the lease, and with it all claims. Run must have ended, and no stream may end any
// more.
func (m *Member) Leave(ctx context.Context) error {
	m.giving.Wait()
	return m.opt.Registry.Leave(ctx, m.opt.Self.ID, m.opt.Self.Boot)
}
