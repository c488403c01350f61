package http1

import (
	"io"
	"net/http"
	"time"
)

// Outcome is what became of a wait.
type Outcome uint8

const (
	// Waiting: the request is not over. The handler returns without writing, and is called again,
	// from the beginning, when there is something new.
	Waiting Outcome = iota
	// Late: it took too long. Gone: the client went away.
	Late
	Gone
	// Ready: there is nothing to wait for any more. Crowded: too many requests wait already, of all
	// clients or from this one's address. Only Holds says so.
	Ready
	Crowded
)

// Waiter is the ResponseWriter of a request in the loop, which must not block.
type Waiter interface {
	http.ResponseWriter
	// Wait lets the request wait until change is closed, at most for limit, which counts from the
	// first wait of the request with that limit. If that is over, or the client is gone, the
	// handler, which was called again, is told so. When the request waits no longer, left is
	// called.
	Wait(change <-chan struct{}, limit time.Duration, left func()) Outcome
	// Keep keeps something for the handler's next call for this request, if it waits: Kept returns
	// it then, and nil in all other calls.
	Keep(v any)
	Kept() any
	// Waits says that the handler is going to be called again.
	Waits() bool
	// Share says that whoever waited for the same, with the same request target and header, gets
	// the same answer, without another call of the handler. each is called for all of these.
	Share(each func())
	// Elsewhere lets net/http answer the request instead, as whatever has to block asks for. The
	// handler returns without writing more.
	Elsewhere()
}

// WaiterOf returns the Waiter that w is, or that it wraps (Unwrap); nil for a request that may
// block as it likes.
func WaiterOf(w http.ResponseWriter) Waiter {
	for {
		switch o := w.(type) {
		case Waiter:
			return o
		case interface{ Unwrap() http.ResponseWriter }:
			w = o.Unwrap()
		default:
			return nil
		}
	}
}

// Sharer is a ResponseWriter that takes bytes without copying them.
type Sharer interface {
	// WriteShared is Write for bytes that never change.
	WriteShared(b []byte) (int, error)
}

// WriteShared writes bytes that never change, without copying them if w can do without.
func WriteShared(w io.Writer, b []byte) (int, error) {
	if s, ok := w.(Sharer); ok {
		return s.WriteShared(b)
	}
	return w.Write(b)
}
