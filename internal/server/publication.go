package server

import (
	"context"
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"livego/internal/event"
	"livego/internal/flv"
	"livego/internal/hls"
	"livego/internal/keys"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/rtmp"
)

// publication is one publisher on air, whatever protocol it speaks: what comes in are messages as
// RTMP and FLV have them. Message and End are called from one goroutine.
type publication struct {
	server  *Server
	from    origin
	held    leaseWatch
	pub     *live.Publisher
	session *session
	log     *slog.Logger
	// next is the node to which the publisher goes if it moves, empty if that is not known.
	next string

	demuxer flv.Demuxer
	units   []media.AccessUnit
	ingest  *ingest
	bad     rarely

	video, audio atomic.Uint64
}

// origin says where a publisher's messages come from.
type origin struct {
	protocol, remote string
	// url is what lists show, client the encoder's name for itself.
	url, client string
	// query is what the encoder's URL said beside the name.
	query string
	// path are the servers that the stream has passed by relays, as far as they say so.
	path []string
	// streamID is the RTMP message stream, 0 if there is none.
	streamID uint32
	// close ends the connection for a cause, which its protocol tells the encoder. It is called
	// from any goroutine, at any time after publish was called, and does not wait for End.
	close func(cause error)
	// reconnect, if set, asks the encoder to connect again, to another server if one is named.
	reconnect func(to string)
	// move, if set, takes the publisher to another home of its stream in a moment. It does not
	// wait, and is called from any goroutine.
	move func()
}

// sink takes the messages of a publisher, here or on the node that is the home of its stream.
// Message has the RTMP type, the absolute time in milliseconds and a body that must not change any
// more. An error says that the publisher must end.
type sink interface {
	Message(messageType uint8, ms uint32, body []byte) error
	End(cause error)
}

// publish takes a publisher on air that may publish: here, or on the node that is the home of its
// stream. The lease of its channel key is released at the end, also if this fails.
func (s *Server) publish(ctx context.Context, may permit, from origin, log *slog.Logger) (sink, error) {
	if err := s.checkPath(may.name, from.path); err != nil {
		s.tellRefused(may, newSession(from.protocol, from.remote, may.name, from.url, true), err, log)
		if may.lease != nil {
			may.lease.Release()
		}
		return nil, err
	}
	if s.isSuspect(may.name, from) {
		return suspectHere{&suspect{server: s, may: may, from: from, log: log, admit: func() (hop, error) {
			to, err := s.admit(ctx, may, from, log)
			return onlyHere{to}, err
		}}}, nil
	}
	return s.admit(ctx, may, from, log)
}

// admit is publish for a stream that does not come from here, as far as that is known.
func (s *Server) admit(ctx context.Context, may permit, from origin, log *slog.Logger) (sink, error) {
	if s.node != nil {
		return s.node.enter(ctx, may, from, log)
	}
	p, err := s.publishHere(ctx, may, from, log, func(bool) {})
	if err != nil {
		return nil, err
	}
	return p, nil
}

// publishHere is publish for a stream that has its home here. begun is told whether the publisher
// is on air.
func (s *Server) publishHere(ctx context.Context, may permit, from origin, log *slog.Logger, begun func(onAir bool)) (*publication, error) {
	name := may.name
	p := &publication{server: s, from: from, held: s.watchLease(may.lease, from.close), session: newSession(from.protocol, from.remote, name, from.url, true)}
	var err error
	var limits PublishLimits
	if !may.own {
		limits = s.limitsOf(name.App, from.protocol)
		err = s.askPublish(ctx, name, p.session, from.query, from.client, &limits)
	}
	if err == nil {
		if s.node != nil {
			s.node.yield(name)
		}
		s.noteWay(name, from.path)
		p.pub, err = s.hub.PublishBy(p.session, name, from.close)
	}
	begun(err == nil)
	if err != nil {
		p.held.release()
		s.tellRefused(may, p.session, err, log)
		return nil, err
	}
	p.begin(limits, log)
	return p, nil
}

// tellRefused tells log and hooks of a publisher that is not taken.
func (s *Server) tellRefused(may permit, ss *session, err error, log *slog.Logger) {
	log.Warn("publisher refused", "stream", may.name.String(), "reason", err.Error())
	s.refused.add(refusalReason(err))
	s.events.Emit(event.Event{
		Type: event.PublishRefused, Stream: may.name.Key(), Rendition: may.name.Rendition, Session: ss.who(), Data: event.Reason{Reason: err.Error()},
	})
}

// begin lists a publisher whose stream was begun.
func (p *publication) begin(limits PublishLimits, log *slog.Logger) {
	p.session.StreamID, p.session.agent, p.session.gauge = p.from.streamID, said(p.from.client), new(gauge)
	p.session.figures = func() figures { return figures{video: p.video.Load(), audio: p.audio.Load(), jumps: p.pub.Jumps()} }
	p.session.pub = p.pub.Publication()
	p.session.close, p.session.reconnect, p.session.move = p.from.close, p.from.reconnect, p.from.move
	p.log = log.With("stream", p.pub.Publication().Name().String(), "id", p.session.ID)
	p.session.limits = p.newLimitWatch(limits)
	p.ingest = newIngest(p.pub, p.session.gauge, p.session.limits, p.log)
	p.log.Info("publisher on air", "client", said(p.from.client))
	p.server.sessions.add(p.session)
}

// leaseWatch ends a publisher when its channel key is revoked.
type leaseWatch struct {
	lease *keys.Lease // nil without authentication
	stop  chan struct{}
}

// watchLease watches over a lease, which may be nil, until it is released.
func (s *Server) watchLease(lease *keys.Lease, end func(cause error)) leaseWatch {
	w := leaseWatch{lease, make(chan struct{})}
	if lease != nil {
		s.conns.Go(func() {
			select {
			case <-lease.Revoked():
				end(errRevoked)
			case <-w.stop:
			}
		})
	}
	return w
}

// release is called once.
func (w leaseWatch) release() {
	if w.lease != nil {
		close(w.stop)
		w.lease.Release()
	}
}

// misaligned says that a publisher cannot be a rendition of its stream because of its key frames.
func misaligned(err error) bool {
	return errors.Is(err, live.ErrMisaligned) || errors.Is(err, hls.ErrMisaligned)
}

// final says that a publisher which ends for that cause would come back no better, so that nobody
// waits for it.
func final(cause error) bool {
	return errors.Is(cause, live.ErrUnpublished) || errors.Is(cause, errRevoked) || errors.Is(cause, errEnded) || errors.Is(cause, errOverLimit) || misaligned(cause)
}

// Message takes one message into the stream: its RTMP type (or FLV tag type), absolute time in
// milliseconds, and body, which must not change any more. An error says that the publisher must
// end.
func (p *publication) Message(messageType uint8, ms uint32, body []byte) error {
	return p.message(messageType, ms, time.Time{}, body)
}

// message is Message for one that arrived at another time, at another node; zero: it has just come.
func (p *publication) message(messageType uint8, ms uint32, arrived time.Time, body []byte) error {
	now := time.Now()
	if arrived.IsZero() {
		arrived = now
	}
	if messageType == flv.TypeVideo {
		p.video.Add(uint64(len(body)))
	} else {
		p.audio.Add(uint64(len(body)))
	}
	units, err := p.demuxer.Append(p.units[:0], messageType, ms, body)
	if err != nil {
		if p.bad.due(now) {
			p.log.Warn("bad message left out", "kind", kindOf(messageType), "err", masked(err.Error()), "times", p.bad.times)
		}
	}
	if len(units) == 0 {
		return nil
	}
	if units[0].Header == media.Metadata {
		p.notePassed()
		if name := said(p.demuxer.Encoder()); name != "" {
			p.session.encoder.Store(&name)
		}
		if video, audio, known := p.demuxer.Expected(); known {
			p.pub.Expect(video, audio)
		}
	}
	err = p.ingest.write(units, now, arrived)
	clear(units)
	p.units = units
	if misaligned(err) || errors.Is(err, errOverLimit) {
		p.from.close(err)
	}
	return err
}

// Unhurried says that nobody reads what comes: it is for those only who begin later.
func (p *publication) Unhurried() bool { return p.pub.Publication().Readers() == 0 }

// notePassed notes by which servers the stream has come that do not say so when they begin.
func (p *publication) notePassed() {
	if passed := rtmp.SplitPath(p.demuxer.Passed()); len(p.from.path) == 0 && len(passed) > 0 {
		p.server.noteWay(p.pub.Publication().Name(), passed)
	}
}

// End takes the publisher off the air. For a final cause the stream ends, for live.ErrMoved it goes
// on at another node, else it waits for the publisher's return.
func (p *publication) End(cause error) {
	p.ingest.end()
	if cause == nil {
		cause = live.ErrLost
	}
	switch {
	case final(cause):
		p.pub.Unpublish()
	case errors.Is(cause, live.ErrMoved):
		p.server.node.next.put(p.pub.Publication().Name().Key(), p.next)
		p.pub.Move()
		p.server.node.handOver(p.pub.Publication())
	default:
		p.pub.Lose(cause)
	}
	p.server.sessions.remove(p.session, cause)
	p.held.release()
	p.log.Info("publisher ended", "reason", cause.Error(), "duration", time.Since(p.session.Start).Round(time.Millisecond),
		"video_bytes", p.video.Load(), "audio_bytes", p.audio.Load(), "bad_messages", p.bad.times, "left_out", p.pub.Dropped(), "time_jumps", p.pub.Jumps())
}
