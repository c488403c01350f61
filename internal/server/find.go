package server

import (
	"context"
	"errors"
	"strings"
	"time"

	"livego/internal/live"
)

const (
	// slice is how often somebody who waits for a stream asks which node has it.
	slice = 500 * time.Millisecond
	// awaitedSlice is the same for a push, which waits for hours: changes are told to it, unless
	// Redis is away.
	awaitedSlice = 5 * time.Second
)

// source brings streams that nobody publishes here. It returns for how long to wait for one, 0 if
// it cannot bring it. It must not wait itself, and may be asked for a stream that is coming
// already. path are the servers that ask for it by way of each other, if it is not for a viewer
// here.
type source func(name live.Name, path []string) time.Duration

// find returns a stream that is on air, for viewers of all protocols but HLS, which asks bring
// itself. If it is not there, find waits for it as long as wait, or as the source needs that brings
// it, and then fails with live.ErrNotFound; with the cause of ctx when that ends first.
func (s *Server) find(ctx context.Context, name live.Name, path []string, wait time.Duration) (*live.Publication, error) {
	if s.node != nil {
		return s.node.findAnywhere(ctx, name, path, wait)
	}
	if pub, ok := s.present(ctx, name); ok {
		return pub, nil
	}
	return s.hub.Subscribe(ctx, name, max(wait, s.bring(name, path)))
}

// present returns a stream that is on air for who is about to watch it. One that ends because
// nobody does is waited for to have ended: then it can be brought again.
func (s *Server) present(ctx context.Context, name live.Name) (*live.Publication, bool) {
	for {
		pub, ok := s.hub.Lookup(name)
		if !ok {
			return nil, false
		}
		ending := s.pulls.joins(name)
		if ending == nil {
			return pub, true
		}
		select {
		case <-ending:
		case <-ctx.Done():
			return nil, false
		}
	}
}

// bring has a stream brought that is not on air. It returns for how long to wait for it, 0 if
// nobody can bring it.
func (s *Server) bring(name live.Name, path []string) time.Duration {
	for _, from := range s.sources {
		if wait := from(name, path); wait > 0 {
			return wait
		}
	}
	return 0
}

// bringHLS is bring for a stream as HLS names it. One that has ended, of which something is left,
// is brought again if it ended because nobody watched it.
func (s *Server) bringHLS(stream string, ended bool) time.Duration {
	name := nameOf(stream)
	if ended && !s.pulls.rested.has(name) {
		return 0
	}
	return s.bring(name, nil)
}

// nameOf takes "app/stream" apart.
func nameOf(stream string) (n live.Name) {
	n.App, n.Stream, _ = strings.Cut(stream, "/")
	return n
}

// findAnywhere is Server.find for a node of a cluster: other nodes are asked before a source is,
// and again while it waits.
func (n *node) findAnywhere(ctx context.Context, name live.Name, path []string, wait time.Duration) (*live.Publication, error) {
	until, why := time.Now().Add(wait), live.ErrNotFound
	for brought := false; ; brought = true {
		_, holds := n.member.Holds(name.Key())
		if !holds {
			pub, err := n.find(ctx, name, nil)
			if !errors.Is(err, live.ErrNotFound) {
				return pub, err
			}
			why = err
		}
		if pub, ok := n.present(ctx, name); ok {
			return pub, nil
		}
		if !brought {
			if more := n.Server.bring(name, path); more > wait {
				until = time.Now().Add(more)
			}
		}
		left := time.Until(until)
		if left <= 0 {
			return nil, why
		}
		if pub, err := n.hub.Subscribe(ctx, name, min(left, slice)); !errors.Is(err, live.ErrNotFound) {
			return pub, err
		}
	}
}

// awaited is Server.awaited for a node of a cluster.
func (n *node) awaited(ctx context.Context, name live.Name, wait time.Duration) (*live.Publication, error) {
	for until := time.Now().Add(wait); ; {
		changed := n.member.Changed(name.Key())
		if _, holds := n.member.Holds(name.Key()); !holds {
			if pub, err := n.find(ctx, name, nil); !errors.Is(err, live.ErrNotFound) {
				return pub, err
			}
		}
		pub, err := n.subscribeUntil(ctx, changed, name, min(time.Until(until), awaitedSlice))
		if !errors.Is(err, live.ErrNotFound) || time.Now().After(until) {
			return pub, err
		}
	}
}

// subscribeUntil waits for a stream here. live.ErrNotFound: it does not come in time, or has
// perhaps come at another node.
func (n *node) subscribeUntil(ctx context.Context, changed <-chan struct{}, name live.Name, wait time.Duration) (*live.Publication, error) {
	within, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	heard := make(chan struct{})
	defer func() { cancel(nil); <-heard }()
	go func() {
		defer close(heard)
		select {
		case <-changed:
			cancel(live.ErrNotFound)
		case <-within.Done():
		}
	}()
	return n.hub.Subscribe(within, name, wait)
}
