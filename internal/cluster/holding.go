package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"livego/internal/pause"
)

// holding is a stream that has its home here.
type holding struct {
	token   int64 // 0: the registry knows nothing of it yet
	hand    Hand  // the newest: what the home before left, or Note said
	begins  int   // publishers that are about to begin
	onAir   bool
	changed bool // since the last beat
}

type debt struct {
	token int64
	hand  Hand
}

// lose lets go of a stream that another node has.
func (m *Member) lose(stream string) {
	m.mu.Lock()
	h := m.held[stream]
	delete(m.held, stream)
	lost := h != nil && h.onAir
	if lost {
		m.lost++
	}
	m.mu.Unlock()
	if lost {
		m.opt.Log.Warn("another node has taken the stream", "stream", stream, "token", h.token)
		m.opt.Lost(stream)
	}
}

// Claim makes this node the home of a stream on which a publisher is about to begin. Begun must be
// called after it if it returns no error. ErrHeld: the entry says which node has the stream.
// ErrUnavailable: nobody can tell; Assume holds it anyway.
func (m *Member) Claim(ctx context.Context, stream string) (Entry, error) {
	m.mu.Lock()
	ahead, away := m.ahead, m.away
	m.mu.Unlock()
	if ahead.Abs() > maxAhead {
		return Entry{}, fmt.Errorf("%w: %v", ErrSkew, ahead.Round(time.Millisecond))
	}
	// Not beside a beat that has it as it was before.
	if away { // it may say nothing, and an encoder waits
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, awayPatience)
		defer cancel()
		for !m.beating.TryLock() {
			if pause.For(ctx, awayPatience/30) != nil {
				return Entry{}, fmt.Errorf("%w: it has not answered", ErrUnavailable)
			}
		}
	} else {
		m.beating.Lock()
	}
	e, err := m.opt.Registry.Claim(ctx, stream, m.self())
	if err == nil {
		m.hold(stream, e.Claim)
	}
	m.beating.Unlock()
	switch {
	case errors.Is(err, ErrHeld):
		m.lose(stream)
	case errors.Is(err, ErrUnavailable):
		m.doubt(stream)
	}
	return e, err
}

// doubt notes that the registry may take a claim, although it has not answered.
func (m *Member) doubt(stream string) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.doubtful) < maxNames {
		m.doubtful[stream] = struct{}{}
	}
}

// settleDoubts gives some streams back that the registry says this node has, and that it does not
// hold, once what it was asked before it was away is over. The caller holds beating.
func (m *Member) settleDoubts(ctx context.Context) {
	var some []string
	m.mu.Lock()
	if time.Since(m.back) >= leaseTime {
		for stream := range m.doubtful {
			if len(some) == maxBatch {
				break
			}
			some = append(some, stream)
			delete(m.doubtful, stream)
		}
	}
	m.mu.Unlock()
	for _, stream := range some {
		if m.Claims(stream) {
			continue
		}
		e, err := m.opt.Registry.Lookup(ctx, stream)
		switch {
		case errors.Is(err, ErrUnavailable):
			m.doubt(stream)
		case err == nil && e.Node.ID == m.opt.Self.ID && e.Node.Boot == m.opt.Self.Boot:
			m.give(ctx, stream, debt{token: e.Claim.Token})
		}
	}
}

// Assume makes this node the home of a stream of which the registry knows nothing yet.
func (m *Member) Assume(stream string) { m.hold(stream, Claim{}) }

func (m *Member) hold(stream string, c Claim) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.held[stream]
	if h == nil {
		h = &holding{}
		m.held[stream] = h
	}
	if c.Token != 0 {
		h.token, h.hand = c.Token, c.Hand
	}
	h.begins++
	delete(m.owed, stream)
}

// Begun ends what Claim or Assume began: the publisher is on air, or not. If another node has taken
// the stream meanwhile, Lost is called.
func (m *Member) Begun(stream string, onAir bool) {
	m.mu.Lock()
	h := m.held[stream]
	if h != nil {
		h.begins--
		if h.onAir = h.onAir || onAir; h.onAir {
			m.mark(stream, h)
		}
	}
	m.mu.Unlock()
	if h == nil && onAir {
		m.opt.Log.Warn("another node has taken the stream before it began here", "stream", stream)
		m.opt.Lost(stream)
	}
	m.release(stream)
}

// Claims says whether a stream has its home here, or is about to: a publisher is about to begin.
func (m *Member) Claims(stream string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.held[stream]
	return h != nil && (h.onAir || h.begins > 0)
}

// Note is told what the HLS of a stream uses, for its next home: players go on there if it knows
// the segment that was under way. It does not wait.
func (m *Member) Note(stream string, h Hand) {
	m.mu.Lock()
	held := m.held[stream]
	if held != nil {
		held.hand = h
		if held.onAir { // else it is told when it is
			m.mark(stream, held)
		}
	}
	m.mu.Unlock()
	if held != nil {
		select {
		case m.noted <- struct{}{}:
		default:
		}
	}
}

// End says that a stream is over. It does not wait for the registry.
func (m *Member) End(stream string) {
	if m.takeDown(stream) {
		m.giving.Go(func() { m.release(stream) })
	}
}

// Free gives a stream back of which the next home is to have all that Note was told. It waits until
// the registry knows, or is away.
func (m *Member) Free(stream string) {
	if m.takeDown(stream) {
		m.release(stream)
	}
}

// takeDown notes that nobody publishes a stream here any more, and says whether somebody did.
func (m *Member) takeDown(stream string) bool {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.held[stream]
	if h != nil {
		h.onAir = false
	}
	return h != nil
}

// release gives a stream back that nobody publishes or is about to.
func (m *Member) release(stream string) {
	if m.Claims(stream) {
		return // without a wait for a beat
	}
	m.beating.Lock()
	defer m.beating.Unlock()
	m.mu.Lock()
	h := m.held[stream]
	if h == nil || h.onAir || h.begins > 0 {
		m.mu.Unlock()
		return
	}
	delete(m.held, stream)
	m.mu.Unlock()
	if h.token != 0 {
		ctx, cancel := context.WithTimeout(context.Background(), freeTimeout)
		defer cancel()
		m.give(ctx, stream, debt{h.token, h.hand})
	}
}

// give gives a stream back, or later if the registry is away.
func (m *Member) give(ctx context.Context, stream string, d debt) {
	if m.opt.Registry.Free(ctx, stream, m.opt.Self, d.token, d.hand) == nil {
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.held[stream] == nil && len(m.owed) < maxNames {
		m.owed[stream] = d
	}
}

// Holds says whether a stream has its home here, and by which token; 0 while the registry knows
// nothing of it.
func (m *Member) Holds(stream string) (token int64, holds bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	h := m.held[stream]
	if h == nil || !h.onAir {
		return 0, false
	}
	return h.token, true
}
