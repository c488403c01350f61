package main

import (
	"context"
	"time"

	"livego/internal/cluster"
)

// counting is a registry whose calls are counted.
type counting struct {
	cluster.Registry
	sums *counters
}

// batch is how many streams go in one call (cluster.maxBatch).
const batch = 200

func (c counting) Beat(ctx context.Context, n cluster.Node, held []cluster.Held) (cluster.Beaten, error) {
	c.sums.calls.Add(int64(max(1, (len(held)+batch-1)/batch)))
	return c.Registry.Beat(ctx, n, held)
}

func (c counting) Claim(ctx context.Context, stream string, n cluster.Node) (cluster.Entry, error) {
	c.sums.calls.Add(1)
	c.sums.claims.Add(1)
	return c.Registry.Claim(ctx, stream, n)
}

func (c counting) Lookup(ctx context.Context, stream string) (cluster.Entry, error) {
	c.sums.calls.Add(1)
	c.sums.asked.Add(1)
	began := time.Now()
	e, err := c.Registry.Lookup(ctx, stream)
	c.sums.wait(time.Since(began))
	return e, err
}

func (c counting) Nodes(ctx context.Context) ([]cluster.Node, error) {
	c.sums.calls.Add(1)
	return c.Registry.Nodes(ctx)
}

func (c counting) Watch(ctx context.Context, f func(cluster.Change)) error {
	return c.Registry.Watch(ctx, func(change cluster.Change) {
		c.sums.told.Add(1)
		f(change)
	})
}
