package hls

import (
	"net/http"
	"time"

	"livego/internal/http1"
)

// verdict is how a wait ended.
type verdict uint8

const (
	// ready: there is nothing to wait for any more.
	ready verdict = iota
	// late: it took too long.
	late
	// crowded: too many requests wait already, of all clients or from this one's address.
	crowded
	// gone: the client went away.
	gone
	// put: the request is put aside, without an answer: it will be served again from its beginning.
	put
)

// hold keeps a request until next returns nil, at most for limit. next returns what to wait for
// before it is asked again. The connection's deadlines stay as they are for a wait that leaves half
// of the time for the response: to move them costs as much as to wait.
func (s *Server) hold(w http.ResponseWriter, r *http.Request, limit time.Duration, next func() <-chan struct{}) verdict {
	change := next()
	if change == nil {
		return ready
	}
	if waiter := http1.WaiterOf(w); waiter != nil {
		return s.putAside(waiter, r, limit, change)
	}
	address := addressOf(s.seed, r)
	if !s.waiting.enter(address, int64(s.opt.MaxWaiting)) {
		return crowded
	}
	defer s.waiting.leave(address)
	if limit >= s.opt.WriteTimeout/2 {
		s.allow(w, limit)
		defer s.allow(w, 0)
	}
	timer := time.NewTimer(limit)
	defer timer.Stop()
	for change != nil {
		select {
		case <-change:
		case <-timer.C:
			return late
		case <-r.Context().Done():
			return gone
		}
		change = next()
	}
	return ready
}

// putAside is hold for a request that must not block.
func (s *Server) putAside(w http1.Waiter, r *http.Request, limit time.Duration, change <-chan struct{}) verdict {
	address := addressOf(s.seed, r)
	if !s.waiting.enter(address, int64(s.opt.MaxWaiting)) {
		return crowded
	}
	leave := func() { s.waiting.leave(address) }
	switch w.Wait(change, limit, leave) {
	case http1.Late:
		leave()
		return late
	case http1.Gone:
		leave()
		return gone
	}
	return put
}

// elsewhere has a request served where it may block, if it must not here.
func elsewhere(w http.ResponseWriter) bool {
	waiter := http1.WaiterOf(w)
	if waiter == nil {
		return false
	}
	waiter.Elsewhere()
	return true
}

// allow moves the connection's deadlines, which begin with the request, to where a response that is
// made in d can still be sent.
func (s *Server) allow(w http.ResponseWriter, d time.Duration) {
	c := http.NewResponseController(w)
	until := time.Now().Add(d + s.opt.WriteTimeout)
	// Not every protocol has them: then there is nothing to move.
	_ = c.SetWriteDeadline(until)
	_ = c.SetReadDeadline(until)
}

// refuseWait answers a request that could not be held to its end, but for one that is put aside. It
// is false if the wait ended well.
func (s *Server) refuseWait(w http.ResponseWriter, v verdict, retry time.Duration, text string) bool {
	switch v {
	case ready:
		return false
	case put:
		return true
	case crowded:
		text = "too many requests wait"
	case gone: // maybe not the client itself: nobody on the way is to take nothing for a playlist
		text = "the request has ended"
	}
	retryAfter(w, retry)
	refuse(w, http.StatusServiceUnavailable, text)
	return true
}

// Waiting returns how many requests are held now.
func (s *Server) Waiting() int { return int(s.waiting.all.Load()) }
