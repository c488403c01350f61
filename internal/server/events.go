package server

import (
	"time"

	"livego/internal/event"
	"livego/internal/live"
)

// changes names what happens to streams as events do.
var changes = map[live.Change]event.Type{
	live.Started: event.StreamStarted, live.Ended: event.StreamEnded,
	live.Lost: event.StreamLost, live.Returned: event.StreamReturned, live.TakenOver: event.StreamTakenOver,
	live.Added: event.RenditionAdded, live.Removed: event.RenditionRemoved,
}

// started is the data of the event that the server started.
type started struct {
	Version string `json:"version"`
}

const (
	// endingTold is for how long pages are told of a stream that it has ended; then it is one that
	// is not there.
	endingTold = 15 * time.Second
	// maxEndings bounds the streams of which that is known.
	maxEndings = 4096
)

// Events carries what happens in the server, from New until Run returns.
func (s *Server) Events() *event.Bus { return s.events }

// tell makes an event of what happens to a stream. It is called with locks of the hub held.
func (s *Server) tell(n live.Notice) {
	e := event.Event{Type: changes[n.Change], Stream: n.Name.Key(), Rendition: n.Name.Rendition}
	if by, ok := n.By.(*session); ok {
		e.Session = by.who()
	}
	if n.Cause != nil {
		e.Data = event.Reason{Reason: reasonOf(n.Cause)}
	}
	s.events.Emit(e)
	if n.Change == live.Ended {
		s.endings.put(n.Name.Key(), struct{}{})
	}
	if s.node != nil && n.Change == live.Ended {
		s.node.member.End(n.Name.Key())
	}
}
