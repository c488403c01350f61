package http1

import (
	"hash/maphash"
	"net/http"
	"time"
)

// Holds has requests wait until there is what they ask for, in the loop and elsewhere, within
// bounds. Its methods may be called from any goroutine.
type Holds struct {
	most    int64
	write   time.Duration
	seed    maphash.Seed
	waiting waiters
}

// NewHolds returns one that holds at most so many requests at a time; one client address gets at
// most half of what the others leave. write is how long a response may take once it is known: a
// request that was held has half of it at least.
func NewHolds(most int, write time.Duration) *Holds {
	return &Holds{most: int64(most), write: write, seed: maphash.MakeSeed()}
}

// Waiting returns how many requests are held now.
func (h *Holds) Waiting() int { return int(h.waiting.all.Load()) }

// Hold keeps a request until next returns nil, at most for limit: the result is Ready, Late, Gone
// or Crowded then. next returns what to wait for before it is asked again. In the loop the result
// may be Waiting. left, if set, is called once, when the request does not wait any more, or if it
// does not at all.
//
// The connection's deadlines stay as they are for a wait that leaves half of the time for the
// response: to move them costs as much as to wait.
func (h *Holds) Hold(w http.ResponseWriter, r *http.Request, limit time.Duration, next func() <-chan struct{}, left func()) Outcome {
	change := next()
	if change == nil {
		call(left)
		return Ready
	}
	address := addressOf(h.seed, r)
	if !h.waiting.enter(address, h.most) {
		call(left)
		return Crowded
	}
	if waiter := WaiterOf(w); waiter != nil {
		return h.putAside(waiter, limit, change, address, left)
	}
	defer call(left)
	defer h.waiting.leave(address)
	if limit >= h.write/2 {
		h.allow(w, limit)
		defer h.allow(w, 0)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for change != nil {
		select {
		case <-change:
		case <-timer.C:
			return Late
		case <-r.Context().Done():
			return Gone
		}
		change = next()
	}
	return Ready
}

// putAside holds a request that must not block.
func (h *Holds) putAside(w Waiter, limit time.Duration, change <-chan struct{}, address uint64, left func()) Outcome {
	leave := func() {
		h.waiting.leave(address)
		call(left)
	}
	outcome := w.Wait(change, limit, leave)
	if outcome != Waiting {
		leave()
	}
	return outcome
}

func call(f func()) {
	if f != nil {
		f()
	}
}

// allow moves the connection's deadlines, which begin with the request, to where a response that is
// made in d can still be sent.
func (h *Holds) allow(w http.ResponseWriter, d time.Duration) {
	c := http.NewResponseController(w)
	until := time.Now().Add(d + h.write)
	// Not every protocol has them: then there is nothing to move.
	_ = c.SetWriteDeadline(until)
	_ = c.SetReadDeadline(until)
}

// Elsewhere has a request served where it may block, if it must not here.
func Elsewhere(w http.ResponseWriter) bool {
	waiter := WaiterOf(w)
	if waiter == nil {
		return false
	}
	waiter.Elsewhere()
	return true
}
