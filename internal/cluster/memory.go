package cluster

import (
	"context"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"
)

// Memory is a registry in this process, for tests and simulations.
type Memory struct {
	now func() time.Time

	mu       sync.Mutex
	nodes    map[string]*memoryNode
	streams  map[string]*memoryStream
	fence    int64
	watchers map[int]func(Change)
	next     int
	revoked  map[string]time.Time
	revokes  int // the version of revoked
}

type memoryNode struct {
	info   Node
	beaten time.Time
}

type memoryStream struct {
	node, boot string
	claim      Claim
}

var _ Registry = (*Memory)(nil)

// NewMemory returns an empty registry with that clock; nil: the clock of the day.
func NewMemory(now func() time.Time) *Memory {
	if now == nil {
		now = time.Now
	}
	return &Memory{now: now, nodes: make(map[string]*memoryNode), streams: make(map[string]*memoryStream), watchers: make(map[int]func(Change)), revoked: make(map[string]time.Time)}
}

// lives says whether that life of a node has its lease. The caller holds mu.
func (m *Memory) lives(id, boot string) bool {
	n := m.nodes[id]
	return n != nil && n.info.Boot == boot && m.now().Sub(n.beaten) < leaseTime
}

// diedLately says whether a node has no lease, and had one a moment ago. The caller holds mu.
func (m *Memory) diedLately(id string) bool {
	n := m.nodes[id]
	return n != nil && !m.lives(id, n.info.Boot) && m.now().Sub(n.beaten) <= mourning
}

// renew notes a sign of life, unless another life of the node has its lease. The caller holds mu.
func (m *Memory) renew(n Node) error {
	if has := m.nodes[n.ID]; has != nil && has.info.Boot != n.Boot && m.lives(n.ID, has.info.Boot) {
		return ErrTwin
	}
	m.nodes[n.ID] = &memoryNode{info: n, beaten: m.now()}
	return nil
}

// token returns the next token. The caller holds mu.
func (m *Memory) token() int64 {
	m.fence = max(m.fence+1, m.now().UnixMicro())
	return m.fence
}

// Beat implements Registry.
func (m *Memory) Beat(_ context.Context, n Node, held []Held) (Beaten, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	b := Beaten{Tokens: make(map[string]int64)}
	if err := m.renew(n); err != nil {
		return b, err
	}
	for _, h := range held {
		s := m.streams[h.Stream]
		switch {
		case s != nil && s.node == n.ID && s.boot == n.Boot:
			if s.claim.Token != h.Token {
				b.Tokens[h.Stream] = s.claim.Token
			}
			s.remember(h.Hand)
		case s != nil && s.claim.Token > h.Token && m.lives(s.node, s.boot):
			b.Lost = append(b.Lost, h.Stream)
		default:
			token := h.Token
			if token == 0 || s != nil && s.claim.Token > token {
				token = m.token()
				b.Tokens[h.Stream] = token
			}
			m.fence = max(m.fence, token)
			m.put(h.Stream, n, token).remember(h.Hand)
		}
	}
	return b, nil
}

// remember keeps what a home told. The caller holds mu.
func (s *memoryStream) remember(h Hand) {
	if h != (Hand{}) {
		s.claim.Hand = h
	}
}

// put gives a stream to a node. The caller holds mu.
func (m *Memory) put(stream string, n Node, token int64) *memoryStream {
	s := &memoryStream{node: n.ID, boot: n.Boot, claim: Claim{Token: token, Since: m.now().Truncate(time.Millisecond)}}
	if old := m.streams[stream]; old != nil {
		s.claim.Hand = old.claim.Hand
	}
	m.streams[stream] = s
	m.tell(Change{Stream: stream, Node: n.ID})
	return s
}

// Leave implements Registry.
func (m *Memory) Leave(_ context.Context, id, boot string) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if n := m.nodes[id]; n != nil && n.info.Boot == boot {
		n.beaten = time.Time{}
		m.tell(Change{Node: id})
	}
	return nil
}

// Claim implements Registry.
func (m *Memory) Claim(_ context.Context, stream string, n Node) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if err := m.renew(n); err != nil {
		return Entry{}, err
	}
	s := m.streams[stream]
	switch {
	case s != nil && s.node == n.ID && s.boot == n.Boot:
	case s != nil && m.lives(s.node, s.boot):
		return m.entry(stream, s), ErrHeld
	default:
		s = m.put(stream, n, m.token())
	}
	return m.entry(stream, s), nil
}

func (m *Memory) entry(stream string, s *memoryStream) Entry {
	e := Entry{Stream: stream, Claim: s.claim}
	if n := m.nodes[s.node]; n != nil {
		e.Node = n.info
		e.Node.Alive = m.lives(s.node, s.boot)
	}
	return e
}

// Free implements Registry.
func (m *Memory) Free(_ context.Context, stream string, n Node, token int64, hand Hand) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.streams[stream]
	if s == nil || s.node != n.ID || s.boot != n.Boot || s.claim.Token != token {
		return nil
	}
	s.node, s.boot = "", ""
	s.remember(hand)
	m.tell(Change{Stream: stream, Node: n.ID})
	return nil
}

// Lookup implements Registry.
func (m *Memory) Lookup(_ context.Context, stream string) (Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	s := m.streams[stream]
	switch {
	case s != nil && m.lives(s.node, s.boot):
		return m.entry(stream, s), nil
	case s != nil && m.diedLately(s.node):
		return Entry{}, ErrDied
	}
	return Entry{}, ErrNotFound
}

// Nodes implements Registry.
func (m *Memory) Nodes(context.Context) ([]Node, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Node
	for id, n := range m.nodes {
		info := n.info
		info.Alive = m.lives(id, info.Boot)
		all = append(all, info)
	}
	sortNodes(all)
	return all, nil
}

func sortNodes(all []Node) {
	slices.SortFunc(all, func(a, b Node) int { return strings.Compare(a.ID, b.ID) })
}

// Streams implements Registry.
func (m *Memory) Streams(_ context.Context, limit int) ([]Entry, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	var all []Entry
	for name, s := range m.streams {
		if m.lives(s.node, s.boot) && len(all) < limit {
			all = append(all, m.entry(name, s))
		}
	}
	return all, nil
}

// Watch implements Registry.
func (m *Memory) Watch(ctx context.Context, f func(Change)) error {
	m.mu.Lock()
	id := m.next
	m.next++
	m.watchers[id] = f
	m.mu.Unlock()
	f(Change{})
	<-ctx.Done()
	m.mu.Lock()
	delete(m.watchers, id)
	m.mu.Unlock()
	return context.Cause(ctx)
}

// Revoke implements Registry.
func (m *Memory) Revoke(_ context.Context, id string, until time.Time) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	if len(m.revoked) >= maxRevoked {
		return ErrManyRevoked
	}
	m.revoked[id] = until
	m.revokes++
	return nil
}

// Revoked implements Registry.
func (m *Memory) Revoked(_ context.Context, known string) (map[string]time.Time, string, error) {
	m.mu.Lock()
	defer m.mu.Unlock()
	version := strconv.Itoa(m.revokes)
	if version == known {
		return nil, version, nil
	}
	all := maps.Clone(m.revoked)
	maps.DeleteFunc(all, func(_ string, until time.Time) bool { return !until.IsZero() && m.now().After(until) })
	return all, version, nil
}

// tell tells all watchers. The caller holds mu: watchers must not call back.
func (m *Memory) tell(c Change) {
	for _, f := range m.watchers {
		f(c)
	}
}

// Flush forgets everything, as a Redis that lost its data does.
func (m *Memory) Flush() {
	m.mu.Lock()
	defer m.mu.Unlock()
	clear(m.nodes)
	clear(m.streams)
	m.fence = 0
}

// Close implements Registry.
func (m *Memory) Close() error { return nil }
