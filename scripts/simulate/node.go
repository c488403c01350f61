package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"livego/internal/cluster"
)

// node is a node, in the life that it has now.
type node struct {
	world *world
	index int

	mu      sync.Mutex
	life    int
	member  *cluster.Member
	stop    context.CancelFunc
	ended   chan struct{}
	close   func() error
	streams map[string]bool // that have their home here
	watched map[string]int  // viewers by stream
	viewers int
	// others are the nodes that the registry knew of last.
	others []cluster.Node
}

// self is what the node says about itself.
func (n *node) self() cluster.Node {
	id := fmt.Sprintf("node%d", n.index)
	return cluster.Node{
		ID: id, Boot: fmt.Sprintf("%s-%d", id, n.life), Addr: id + ".example:7100", PublicURL: "https://" + id + ".example", Version: "simulation",
		Started: time.Now(),
	}
}

// start begins a life of the node, with what it has.
func (n *node) start(ctx context.Context) error {
	registry, err := cluster.OpenRedis(n.world.address, "", "")
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.close = registry.Close
	n.member = cluster.NewMember(cluster.MemberOptions{
		Registry: counting{registry, &n.world.sums}, Self: n.self(), Figures: n.figures, Lost: func(string) {},
	})
	for stream := range n.streams {
		n.member.Assume(stream)
		n.member.Begun(stream, true)
	}
	ctx, n.stop = context.WithCancel(context.WithoutCancel(ctx))
	n.ended = make(chan struct{})
	go func(member *cluster.Member, ended chan struct{}) {
		defer close(ended)
		_ = member.Run(ctx)
	}(n.member, n.ended)
	return nil
}

// die ends it without a word.
func (n *node) die() {
	n.mu.Lock()
	member := n.member
	n.member = nil
	n.mu.Unlock()
	if member == nil {
		return
	}
	n.stop()
	<-n.ended
	_ = n.close()
}

func (n *node) figures() (load float64, viewers, streams int, bitRateOut uint64) {
	n.mu.Lock()
	defer n.mu.Unlock()
	return float64(n.viewers) / float64(n.world.capacity), n.viewers, len(n.streams), 0
}

func (n *node) leave(stream string) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.watched[stream] == 0 {
		return // the node died meanwhile
	}
	n.viewers--
	if n.watched[stream]--; n.watched[stream] == 0 {
		delete(n.watched, stream)
	}
}

// redirect returns the better one of two other nodes if this one has enough viewers.
func (n *node) redirect() *node {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.viewers < n.world.capacity || len(n.others) < 2 {
		return nil
	}
	a, b := n.others[rand.IntN(len(n.others))], n.others[rand.IntN(len(n.others))]
	if b.Load < a.Load {
		a = b
	}
	if a.Load >= 1 {
		return nil
	}
	index, ok := indexOf(a.ID)
	if !ok || index == n.index {
		return nil
	}
	return n.world.nodes[index]
}

// look asks where a stream is, as each request of a viewer does.
func (n *node) look(ctx context.Context, stream string) bool {
	n.mu.Lock()
	member := n.member
	n.mu.Unlock()
	if member == nil {
		return false
	}
	n.world.sums.lookups.Add(1)
	if _, holds := member.Holds(stream); holds {
		return true
	}
	e, err := member.Lookup(ctx, stream)
	if err != nil {
		return false
	}
	n.world.ask(member, e)
	return true
}

// ask lets a node get a file from a stream's home, which says that it is.
func (w *world) ask(member *cluster.Member, e cluster.Entry) {
	index, ok := indexOf(e.Node.ID)
	if !ok {
		return
	}
	home := w.nodes[index]
	home.mu.Lock()
	there := home.member
	home.mu.Unlock()
	if there == nil {
		return
	}
	if token, holds := there.Holds(e.Stream); holds {
		member.Confirm(e.Stream, e.Node.ID, token)
	}
}

// indexOf reads the name of a node.
func indexOf(id string) (index int, ok bool) {
	_, err := fmt.Sscanf(id, "node%d", &index)
	return index, err == nil
}

// askAgain lets those who watch HLS ask for more.
func (n *node) askAgain(ctx context.Context) {
	for sleep(ctx, askAgain) {
		n.mu.Lock()
		streams := make([]string, 0, len(n.watched))
		for stream := range n.watched {
			streams = append(streams, stream)
		}
		n.mu.Unlock()
		for _, stream := range streams {
			n.look(ctx, stream)
		}
	}
}

// lookAround asks which other nodes there are.
func (n *node) lookAround(ctx context.Context) {
	for sleep(ctx, time.Second) {
		n.mu.Lock()
		member, full := n.member, n.viewers >= n.world.capacity
		n.mu.Unlock()
		if member == nil || !full {
			continue
		}
		all, err := member.Nodes(ctx)
		if err != nil {
			continue
		}
		others := all[:0]
		for _, o := range all {
			if o.Alive && o.ID != member.ID() {
				others = append(others, o)
			}
		}
		n.mu.Lock()
		n.others = others
		n.mu.Unlock()
	}
}
