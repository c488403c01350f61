package server

import (
	"context"
	"errors"
	"time"

	"livego/internal/cluster"
)

// measuredRegistry tells how long calls take that nodes wait for.
type measuredRegistry struct {
	cluster.Registry
	told func(took time.Duration, failed bool)
}

// since notes a call that began at a time.
func (r measuredRegistry) since(begin time.Time, err error) {
	r.told(time.Since(begin), errors.Is(err, cluster.ErrUnavailable))
}

func (r measuredRegistry) Beat(ctx context.Context, n cluster.Node, held []cluster.Held) (b cluster.Beaten, err error) {
	defer func(begin time.Time) { r.since(begin, err) }(time.Now())
	return r.Registry.Beat(ctx, n, held)
}

func (r measuredRegistry) Claim(ctx context.Context, stream string, n cluster.Node) (e cluster.Entry, err error) {
	defer func(begin time.Time) { r.since(begin, err) }(time.Now())
	return r.Registry.Claim(ctx, stream, n)
}

func (r measuredRegistry) Lookup(ctx context.Context, stream string) (e cluster.Entry, err error) {
	defer func(begin time.Time) { r.since(begin, err) }(time.Now())
	return r.Registry.Lookup(ctx, stream)
}

func (r measuredRegistry) Nodes(ctx context.Context) (all []cluster.Node, err error) {
	defer func(begin time.Time) { r.since(begin, err) }(time.Now())
	return r.Registry.Nodes(ctx)
}

// resultOfClaim is the word for how a claim ended.
func resultOfClaim(err error) string {
	switch {
	case err == nil:
		return "got"
	case errors.Is(err, cluster.ErrHeld):
		return "held"
	}
	return "failed"
}
