package cluster

import (
	"errors"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// model is what a registry should do: at most one home for each stream, tokens that rise.
type model struct {
	b     backend
	boots map[string]int
	// alive are the boots whose lease lives, has the streams that nodes believe to have, by node
	// and stream.
	alive  map[string]string
	has    map[string]map[string]int64
	homes  map[string]string // stream → node
	newest int64
	// now is the time by what was advanced, beaten when each node said last that it lives.
	now    time.Duration
	beaten map[string]time.Duration
}

var (
	modelNodes   = []string{"a", "b", "c"}
	modelStreams = []string{"live/x", "live/y"}
)

func (m *model) draw(rt *rapid.T) (Node, string) {
	id := rapid.SampledFrom(modelNodes).Draw(rt, "node")
	return node(id, fmt.Sprint(m.boots[id])), rapid.SampledFrom(modelStreams).Draw(rt, "stream")
}

// renewed notes a sign of life.
func (m *model) renewed(n Node) { m.alive[n.ID], m.beaten[n.ID] = n.Boot, m.now }

func (m *model) fresh(rt *rapid.T, token int64) {
	if token <= m.newest {
		rt.Fatalf("token %d after %d", token, m.newest)
	}
	m.newest = token
}

// living returns who has a stream by a lease that lives.
func (m *model) living(stream string) string {
	id := m.homes[stream]
	if id != "" && m.alive[id] == node(id, fmt.Sprint(m.boots[id])).Boot && m.has[id][stream] > 0 {
		return id
	}
	return ""
}

func (m *model) claim(rt *rapid.T) {
	n, stream := m.draw(rt)
	was := m.living(stream)
	e, err := m.b.Claim(rt.Context(), stream, n)
	if was != "" && was != n.ID {
		if !errors.Is(err, ErrHeld) || e.Node.ID != was {
			rt.Fatalf("claim by %s of what %s has: %+v, %v", n.ID, was, e, err)
		}
		m.renewed(n)
		return
	}
	if err != nil {
		rt.Fatal(err)
	}
	m.renewed(n)
	if e.Claim.Token != m.has[n.ID][stream] {
		m.fresh(rt, e.Claim.Token)
	}
	m.has[n.ID][stream], m.homes[stream] = e.Claim.Token, n.ID
}

func (m *model) beat(rt *rapid.T) {
	n, _ := m.draw(rt)
	var held []Held
	for _, stream := range modelStreams {
		if token, ok := m.has[n.ID][stream]; ok {
			held = append(held, Held{Stream: stream, Token: token})
		}
	}
	got, err := m.b.Beat(rt.Context(), n, held)
	if err != nil {
		rt.Fatal(err)
	}
	m.renewed(n)
	for _, stream := range got.Lost {
		if was := m.living(stream); was == n.ID || was == "" {
			rt.Fatalf("%s lost %s, which %q has", n.ID, stream, was)
		}
		delete(m.has[n.ID], stream)
	}
	for _, h := range held {
		if token, ok := got.Tokens[h.Stream]; ok {
			m.fresh(rt, token)
			m.has[n.ID][h.Stream] = token
		}
		if _, ok := m.has[n.ID][h.Stream]; ok {
			if was := m.living(h.Stream); was != "" && was != n.ID && m.has[was][h.Stream] > m.has[n.ID][h.Stream] {
				rt.Fatalf("%s keeps %s, which %s has by a higher token", n.ID, h.Stream, was)
			}
			m.homes[h.Stream] = n.ID
		}
	}
	// Who has beaten believes what is so.
	for stream := range m.has[n.ID] {
		if got := m.home(rt, stream); got != n.ID {
			rt.Fatalf("%s keeps %s, which %q has", n.ID, stream, got)
		}
	}
}

// home asks the registry.
func (m *model) home(rt *rapid.T, stream string) string {
	e, err := m.b.Lookup(rt.Context(), stream)
	if err != nil && !errors.Is(err, ErrNotFound) {
		rt.Fatal(err)
	}
	return e.Node.ID
}

// pass lets time pass, after which leases are over that were not renewed.
func (m *model) pass(rt *rapid.T) {
	d := time.Duration(rapid.IntRange(1, 5).Draw(rt, "half seconds")) * beatInterval
	m.now += d
	m.b.advance(d)
	for id, at := range m.beaten {
		if m.now-at >= leaseTime {
			delete(m.alive, id)
		}
	}
}

// flush loses all data. Nodes still believe to have their streams.
func (m *model) flush(*rapid.T) {
	m.b.flush()
	clear(m.alive)
	clear(m.homes)
}

// leave ends a lease at once. What the node had is its own again when it comes back.
func (m *model) leave(rt *rapid.T) {
	n, _ := m.draw(rt)
	if err := m.b.Leave(rt.Context(), n.ID, n.Boot); err != nil {
		rt.Fatal(err)
	}
	delete(m.alive, n.ID)
}

func (m *model) expire(rt *rapid.T) {
	n, _ := m.draw(rt)
	if m.alive[n.ID] != "" {
		m.b.expire(n.ID)
		delete(m.alive, n.ID)
	}
}

// restart begins another life of a node, which has nothing.
func (m *model) restart(rt *rapid.T) {
	n, _ := m.draw(rt)
	m.boots[n.ID]++
	clear(m.has[n.ID])
	if m.alive[n.ID] != "" {
		m.b.expire(n.ID)
		delete(m.alive, n.ID)
	}
}

func (m *model) free(rt *rapid.T) {
	n, stream := m.draw(rt)
	token, ok := m.has[n.ID][stream]
	if !ok {
		return
	}
	if err := m.b.Free(rt.Context(), stream, n, token, Hand{}); err != nil {
		rt.Fatal(err)
	}
	delete(m.has[n.ID], stream)
	if m.homes[stream] == n.ID {
		delete(m.homes, stream)
	}
}

func (m *model) check(rt *rapid.T) {
	for _, stream := range modelStreams {
		if got, want := m.home(rt, stream), m.living(stream); got != want {
			rt.Fatalf("home of %s: %q, want %q", stream, got, want)
		}
	}
}

// TestModel: whatever nodes do, in any order, there are never two homes whose leases live, and
// tokens rise.
func TestModel(t *testing.T) {
	forEach(t, func(t *testing.T, b backend) {
		rapid.Check(t, func(rt *rapid.T) {
			m := &model{b: b, boots: map[string]int{}, alive: map[string]string{}, beaten: map[string]time.Duration{}, has: map[string]map[string]int64{}, homes: map[string]string{}}
			for _, id := range modelNodes {
				m.has[id] = map[string]int64{}
			}
			b.flush()
			actions := map[string]func(*rapid.T){
				"claim": m.claim, "beat": m.beat, "expire": m.expire, "restart": m.restart, "free": m.free, "leave": m.leave, "flush": m.flush, "": m.check,
			}
			if b.advance != nil {
				actions["time"] = m.pass
			}
			rt.Repeat(actions)
		})
	})
}
