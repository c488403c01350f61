package main

import (
	"context"
	"errors"
	"fmt"
	"math/rand/v2"
	"sync"
	"time"

	"livego/internal/cluster"
)

const (
	// viewing is for how long a viewer stays, on the average.
	viewing = time.Minute
	// askAgain is how often a viewer of HLS asks for something, so that its node looks where the
	// stream is.
	askAgain = time.Second
	// comeBack is the longest time until an encoder whose node died is at another one.
	comeBack = time.Second
	// claimFor and claimRetry are for how long a node tries to be the home, and how often
	// (server.home).
	claimFor   = 6 * time.Second
	claimRetry = 200 * time.Millisecond
	// step is how often viewers come, some at a time.
	step = 20 * time.Millisecond
	// maxAsking bounds the viewers that wait for an answer.
	maxAsking = 5000
)

// world is all nodes with their streams and viewers.
type world struct {
	row      row
	address  string
	capacity int
	sums     counters

	nodes   []*node
	popular *rand.Zipf
	draw    *rand.Rand
	tasks   sync.WaitGroup
	asking  chan struct{}
}

func newWorld(r row, address string, capacity int) *world {
	draw := rand.New(rand.NewPCG(1, uint64(r.nodes)))
	w := &world{row: r, address: address, capacity: capacity, draw: draw, asking: make(chan struct{}, maxAsking)}
	// The most popular streams have most viewers, and nearly all streams have some.
	w.popular = rand.NewZipf(draw, 1.1, 10, uint64(r.streams-1))
	return w
}

// begin registers the streams, as if each had been published for long, and starts the nodes.
func (w *world) begin(ctx context.Context) error {
	w.nodes = make([]*node, w.row.nodes)
	for i := range w.nodes {
		w.nodes[i] = &node{world: w, index: i, streams: make(map[string]bool), watched: make(map[string]int)}
	}
	for i := range w.row.streams {
		w.nodes[i%len(w.nodes)].streams[streamName(i)] = true
	}
	registry, err := cluster.OpenRedis(w.address, "", "")
	if err != nil {
		return err
	}
	defer registry.Close()
	for _, n := range w.nodes {
		var held []cluster.Held
		for stream := range n.streams {
			held = append(held, cluster.Held{Stream: stream})
		}
		if _, err := registry.Beat(ctx, n.self(), held); err != nil {
			return err
		}
	}
	for _, n := range w.nodes {
		if err := n.start(ctx); err != nil {
			return err
		}
	}
	return nil
}

func streamName(i int) string { return fmt.Sprintf("live/s%d", i) }

func (w *world) end() {
	w.tasks.Wait()
	for _, n := range w.nodes {
		n.die()
	}
}

// play lets the world go on.
func (w *world) play(ctx context.Context, d time.Duration) {
	ctx, cancel := context.WithTimeout(ctx, d)
	defer cancel()
	var running sync.WaitGroup
	for _, n := range w.nodes {
		running.Go(func() { n.askAgain(ctx) })
		running.Go(func() { n.lookAround(ctx) })
	}
	running.Go(func() { w.killNodes(ctx) })
	w.join(ctx)
	running.Wait()
	watched := 0
	for _, n := range w.nodes {
		n.mu.Lock()
		watched += len(n.watched)
		n.mu.Unlock()
	}
	w.sums.watched(watched)
}

// join lets viewers come.
func (w *world) join(ctx context.Context) {
	began := time.Now()
	for come := 0; ; {
		if !sleep(ctx, step) {
			return
		}
		for due := int(time.Since(began).Seconds() * float64(w.row.joins)); come < due; come++ {
			nodes := len(w.nodes)
			if w.row.uneven && w.draw.IntN(2) == 0 {
				nodes = max(nodes/10, 1)
			}
			n, stream := w.nodes[w.draw.IntN(nodes)], streamName(int(w.popular.Uint64()))
			select {
			case w.asking <- struct{}{}:
				w.tasks.Go(func() { defer func() { <-w.asking }(); w.come(ctx, n, stream) })
			case <-ctx.Done():
				return
			}
		}
	}
}

// come lets a viewer begin at a node, or at another one to which that sends it.
func (w *world) come(ctx context.Context, n *node, stream string) {
	w.sums.joins.Add(1)
	if to := n.redirect(); to != nil {
		w.sums.redirects.Add(1)
		n = to
	}
	if !n.look(ctx, stream) {
		return
	}
	n.mu.Lock()
	n.watched[stream]++
	n.viewers++
	n.mu.Unlock()
	stay := time.Duration(rand.ExpFloat64() * float64(viewing))
	time.AfterFunc(stay, func() { n.leave(stream) })
}

// killNodes lets one node after the other die, and come back with nothing after half a minute.
func (w *world) killNodes(ctx context.Context) {
	if w.row.deaths == 0 {
		return
	}
	for sleep(ctx, w.row.deaths) {
		n := w.nodes[rand.IntN(len(w.nodes))]
		n.die()
		died := time.Now()
		n.mu.Lock()
		streams, viewers := n.streams, n.watched
		n.streams, n.watched, n.viewers = make(map[string]bool), make(map[string]int), 0
		n.life++
		n.mu.Unlock()
		for stream := range streams {
			w.tasks.Go(func() { w.move(ctx, stream, died) })
		}
		for stream, number := range viewers {
			for range number {
				w.tasks.Go(func() {
					if sleep(ctx, rand.N(10*time.Second)) {
						w.come(ctx, w.nodes[rand.IntN(len(w.nodes))], stream)
					}
				})
			}
		}
		w.tasks.Go(func() {
			if sleep(ctx, 30*time.Second) {
				_ = n.start(ctx)
			}
		})
	}
}

// move lets an encoder whose node died come to another one, which wants to be the home.
func (w *world) move(ctx context.Context, stream string, died time.Time) {
	if !sleep(ctx, rand.N(comeBack)) {
		return
	}
	for {
		n := w.nodes[rand.IntN(len(w.nodes))]
		n.mu.Lock()
		member := n.member
		n.mu.Unlock()
		if member == nil {
			if !sleep(ctx, claimRetry) {
				return
			}
			continue
		}
		for end := time.Now().Add(claimFor); time.Now().Before(end); {
			_, err := member.Claim(ctx, stream)
			if err == nil {
				member.Begun(stream, true)
				n.mu.Lock()
				n.streams[stream] = true
				n.mu.Unlock()
				w.sums.home(time.Since(died), true)
				return
			}
			if !errors.Is(err, cluster.ErrHeld) && !errors.Is(err, cluster.ErrUnavailable) || !sleep(ctx, claimRetry) {
				return
			}
		}
		w.sums.home(0, false)
	}
}

// sleep waits. It is false if ctx ends.
func sleep(ctx context.Context, d time.Duration) bool {
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return true
	case <-ctx.Done():
		return false
	}
}
