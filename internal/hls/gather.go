package hls

import (
	"context"
	"net"
	"net/http"
)

// headBuffer is what net/http gathers before it writes: a response that is larger takes two writes at least.
const headBuffer = 4 << 10

// Gatherer is a connection that can send two writes as one.
type Gatherer interface {
	// Gather keeps the next write until the one after it, which must follow: both are sent together, with one system call. One
	// goroutine at a time writes and calls Gather.
	Gather()
}

type gathererKey struct{}

// ConnContext lets handlers find the connection of their requests if it is a Gatherer. It is for http.Server.ConnContext.
func ConnContext(ctx context.Context, c net.Conn) context.Context {
	if g, ok := c.(Gatherer); ok {
		return context.WithValue(ctx, gathererKey{}, g)
	}
	return ctx
}

// gather lets the head of a response leave together with its body, which is about to be written by one Write: net/http writes its
// buffer when that is full, and then the rest. Connections of other protocols than HTTP/1 have more than one response under way.
func (f *file) gather(r *http.Request) {
	if r.ProtoMajor != 1 || len(f.body) != 1 || len(f.body[0].data) < headBuffer {
		return
	}
	if g, ok := r.Context().Value(gathererKey{}).(Gatherer); ok {
		g.Gather()
	}
}
