package server

import (
	"context"
	"strings"
	"time"

	"livego/internal/live"
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
	if pub, ok := s.hub.Lookup(name); ok {
		return pub, nil
	}
	return s.hub.Subscribe(ctx, name, max(wait, s.bring(name, path)))
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

// bringHLS is bring for a stream as HLS names it.
func (s *Server) bringHLS(stream string) time.Duration { return s.bring(nameOf(stream), nil) }

// nameOf takes "app/stream" apart.
func nameOf(stream string) (n live.Name) {
	n.App, n.Stream, _ = strings.Cut(stream, "/")
	return n
}
