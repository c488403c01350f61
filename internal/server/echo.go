package server

import (
	"log/slog"
	"net/netip"
	"strings"
	"time"

	"livego/internal/cluster"
	"livego/internal/flv"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/rtmp"
)

// suspect is a publisher of a stream that has another one, from where that is pushed to, or a pull,
// or any if other nodes have the stream from here: it may be that stream, come back. Until its
// first picture or sound, before which servers send metadata, it takes nobody's place. Its methods
// are called from one goroutine.
type suspect struct {
	server *Server
	may    permit
	from   origin
	log    *slog.Logger
	// admit takes it on air.
	admit func() (hop, error)

	demuxer flv.Demuxer
	units   []media.AccessUnit
	held    []cluster.Message
	bytes   int
	to      hop // nil until then
}

// maxSuspectBytes bounds what a suspect keeps, beside maxHeaders.
const maxSuspectBytes = 1 << 20

// isSuspect says whether a publisher may be the stream itself.
func (s *Server) isSuspect(name live.Name, from origin) bool {
	if pub, ok := s.hub.Lookup(name); !ok || !pub.OnAir() {
		return false
	}
	if s.pulls.goes(name) {
		return true // they may push it to anywhere
	}
	at, err := netip.ParseAddrPort(from.remote)
	return strings.HasPrefix(from.protocol, pullProtocol) || err == nil && s.relays.PushesTo(name, at.Addr().Unmap())
}

// Message implements hop.
func (s *suspect) Message(m cluster.Message) error {
	if s.to != nil {
		return s.to.Message(m)
	}
	s.held, s.bytes = append(s.held, m), s.bytes+len(m.Body)
	s.units, _ = s.demuxer.Append(s.units[:0], m.Type, m.TimeMS, m.Body)
	if err := s.server.checkPath(s.may.name, rtmp.SplitPath(s.demuxer.Passed())); err != nil {
		s.server.tellRefused(s.may, newSession(s.from.protocol, s.from.remote, s.may.name, s.from.url, true), err, s.log)
		s.from.close(err)
		return err
	}
	isSample := len(s.units) > 0 && s.units[0].Header == media.Sample
	clear(s.units)
	if !isSample && len(s.held) < maxHeaders && s.bytes < maxSuspectBytes {
		return nil
	}
	return s.begin()
}

// begin takes the publisher on air.
func (s *suspect) begin() (err error) {
	if s.to, err = s.admit(); err != nil {
		s.to = nil // else it would be one that is no hop
		s.from.close(err)
		return err
	}
	for _, m := range s.held {
		if err := s.to.Message(m); err != nil {
			return err
		}
	}
	s.held = nil
	return nil
}

// End implements hop.
func (s *suspect) End(cause error) {
	if s.to != nil {
		s.to.End(cause)
	} else if s.may.lease != nil {
		s.may.lease.Release()
	}
}

// suspectHere is a suspect that came to this server.
type suspectHere struct{ *suspect }

// Message implements sink.
func (s suspectHere) Message(messageType uint8, ms uint32, body []byte) error {
	return s.suspect.Message(cluster.Message{Type: messageType, TimeMS: ms, Arrived: time.Now(), Body: body})
}

// onlyHere is a sink as a hop: when its messages arrived is when it gets them.
type onlyHere struct{ sink }

// Message implements hop.
func (s onlyHere) Message(m cluster.Message) error { return s.sink.Message(m.Type, m.TimeMS, m.Body) }
