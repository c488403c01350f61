package server

import (
	"context"
	"log/slog"
	"net/netip"
	"strings"

	"livego/internal/flv"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/rtmp"
)

// suspect is a publisher of a stream that has another one, from where that is pushed to, or a pull:
// it may be that stream, come back. Until its first picture or sound, before which servers send
// metadata, it takes nobody's place. Its methods are called from one goroutine.
type suspect struct {
	server *Server
	may    permit
	from   origin
	log    *slog.Logger
	ctx    context.Context

	demuxer flv.Demuxer
	units   []media.AccessUnit
	held    []heldMessage
	bytes   int
	to      sink // nil until then
}

// maxSuspectBytes bounds what a suspect keeps, beside maxHeaders.
const maxSuspectBytes = 1 << 20

// heldMessage is one that waits.
type heldMessage struct {
	kind uint8
	ms   uint32
	body []byte
}

// isSuspect says whether a publisher may be the stream itself.
func (s *Server) isSuspect(name live.Name, from origin) bool {
	if pub, ok := s.hub.Lookup(name); !ok || !pub.OnAir() {
		return false
	}
	at, err := netip.ParseAddrPort(from.remote)
	return strings.HasPrefix(from.protocol, pullProtocol) || err == nil && s.relays.PushesTo(name, at.Addr().Unmap())
}

// Message implements sink.
func (s *suspect) Message(messageType uint8, ms uint32, body []byte) error {
	if s.to != nil {
		return s.to.Message(messageType, ms, body)
	}
	s.held, s.bytes = append(s.held, heldMessage{messageType, ms, body}), s.bytes+len(body)
	s.units, _ = s.demuxer.Append(s.units[:0], messageType, ms, body)
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
	if s.to, err = s.server.admit(s.ctx, s.may, s.from, s.log); err != nil {
		s.from.close(err)
		return err
	}
	for _, m := range s.held {
		if err := s.to.Message(m.kind, m.ms, m.body); err != nil {
			return err
		}
	}
	s.held = nil
	return nil
}

// End implements sink.
func (s *suspect) End(cause error) {
	if s.to != nil {
		s.to.End(cause)
	} else if s.may.lease != nil {
		s.may.lease.Release()
	}
}
