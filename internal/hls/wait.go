package hls

import (
	"net/http"
	"time"

	"livego/internal/http1"
)

// hold keeps a request until next returns nil, at most for limit (http1.Holds).
func (s *Server) hold(w http.ResponseWriter, r *http.Request, limit time.Duration, next func() <-chan struct{}) http1.Outcome {
	return s.holds.Hold(w, r, limit, next, nil)
}

// holdFor is hold for what a life will have: who waits for that watches the stream.
func (s *Server) holdFor(l *life, w http.ResponseWriter, r *http.Request, limit time.Duration, next func() <-chan struct{}) http1.Outcome {
	l.demand.waiting.Add(1)
	return s.holds.Hold(w, r, limit, next, l.demand.left)
}

// refuseWait answers a request that could not be held to its end, but for one that waits on. It is
// false if the wait ended well.
func (s *Server) refuseWait(w http.ResponseWriter, o http1.Outcome, retry time.Duration, text string) bool {
	switch o {
	case http1.Ready:
		return false
	case http1.Waiting:
		return true
	case http1.Crowded:
		text = "too many requests wait"
	case http1.Gone: // maybe not the client itself: nobody on the way is to take nothing for a playlist
		text = "the request has ended"
	}
	retryAfter(w, retry)
	refuse(w, http.StatusServiceUnavailable, text)
	return true
}

// Holds has the requests wait that are held, of all clients. Others may have requests wait by it
// too, within the same bounds.
func (s *Server) Holds() *http1.Holds { return s.holds }

// Waiting returns how many requests are held now.
func (s *Server) Waiting() int { return s.holds.Waiting() }
