package hls

import (
	"net/http"
	"time"

	"livego/internal/http1"
)

// awaited is what requests for a stream that is not there wait for.
type awaited struct {
	came  chan struct{}
	count int
}

// await returns the life of the stream for whose playlist of a form a request asks, nil if it
// answered the request. Shortly after the server's start it waits for a stream that is not there:
// its viewers are those of a former process, and its publisher comes back in a moment. hls.js
// (1.7.4) asks once more a second after it lost the server, and gives up for good if it gets no
// playlist then. It waits too where Bring says that the stream comes, or comes again.
func (s *Server) await(w http.ResponseWriter, r *http.Request, name string, f form) *life {
	l := s.wanted(name, f)
	if l != nil && !l.closed.Load() {
		return l
	}
	var wait time.Duration
	if l == nil {
		wait = s.mayReturn()
	}
	if s.opt.Bring != nil {
		wait = max(wait, s.opt.Bring(name, l != nil))
	}
	if wait > 0 && http1.Elsewhere(w) {
		return nil
	}
	if wait > 0 {
		came, leave := s.expect(name)
		v := s.hold(w, r, wait, once(came))
		leave()
		if v != http1.Late && s.refuseWait(w, v, time.Second, "") {
			return nil
		}
	}
	if l = s.wanted(name, f); l == nil {
		refuse(w, http.StatusNotFound, "no publisher")
	}
	return l
}

// mayReturn is for how long streams may still come back that a former process had, 0 or less if
// that is over.
func (s *Server) mayReturn() time.Duration { return time.Until(s.returnBy) }

// expect returns what is closed when a life of the stream begins, and what says that nobody waits
// for it any more.
func (s *Server) expect(name string) (came <-chan struct{}, leave func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	a := s.awaited[name]
	if a == nil {
		a = &awaited{came: make(chan struct{})}
		if l := s.lives[name]; l != nil && !l.closed.Load() {
			close(a.came)
			return a.came, func() {}
		}
		s.awaited[name] = a
	}
	a.count++
	return a.came, func() {
		s.mu.Lock()
		defer s.mu.Unlock()
		if a.count--; a.count == 0 && s.awaited[name] == a {
			delete(s.awaited, name)
		}
	}
}

// announce wakes the requests that wait for a stream. The caller holds mu.
func (s *Server) announce(name string) {
	if a := s.awaited[name]; a != nil {
		close(a.came)
		delete(s.awaited, name)
	}
}
