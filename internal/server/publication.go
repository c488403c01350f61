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
)

// publication is one publisher on air, whatever protocol it speaks: what comes in are messages as
// RTMP and FLV have them. Message and End are called from one goroutine.
type publication struct {
	server  *Server
	from    origin
	lease   *keys.Lease // nil without authentication
	pub     *live.Publisher
	session *session
	log     *slog.Logger
	stop    chan struct{} // ends the watch over the lease

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
}

// publish takes a publisher on air that may publish: here, or on the node that is the home of its
// stream. The lease of its channel key is released at the end, also if this fails.
func (s *Server) publish(ctx context.Context, may permit, from origin, log *slog.Logger) (sink, error) {
	begun := func(bool) {}
	if err := s.checkPath(may.name, from.path); err != nil {
		s.tellRefused(may, newSession(from.protocol, from.remote, may.name, from.url, true), err, log)
		if may.lease != nil {
			may.lease.Release()
		}
		return nil, err
	}
	if s.node != nil {
		away, here, err := s.node.home(ctx, may, from, log)
		switch {
		case err != nil:
			s.tellRefused(may, newSession(from.protocol, from.remote, may.name, from.url, true), err, log)
			if may.lease != nil {
				may.lease.Release()
			}
			return nil, err
		case away != nil:
			return away, nil
		}
		begun = here
	}
	p, err := s.publishHere(ctx, may, from, log, begun)
	if err != nil {
		return nil, err
	}
	return p, nil
}

// publishHere is publish for a stream that has its home here. begun is told whether the publisher
// is on air.
func (s *Server) publishHere(ctx context.Context, may permit, from origin, log *slog.Logger, begun func(onAir bool)) (*publication, error) {
	name := may.name
	p := &publication{server: s, from: from, lease: may.lease, session: newSession(from.protocol, from.remote, name, from.url, true)}
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
		p.pub, err = s.hub.PublishBy(p.session, name, from.close)
	}
	begun(err == nil)
	if err != nil {
		p.release()
		s.tellRefused(may, p.session, err, log)
		return nil, err
	}
	p.begin(limits, log)
	p.watchLease()
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
	p.session.path = p.from.path
	p.session.StreamID, p.session.agent, p.session.gauge = p.from.streamID, said(p.from.client), new(gauge)
	p.session.figures = func() figures { return figures{video: p.video.Load(), audio: p.audio.Load(), jumps: p.pub.Jumps()} }
	p.session.pub = p.pub.Publication()
	p.session.close, p.session.reconnect = p.from.close, p.from.reconnect
	p.log = log.With("stream", p.pub.Publication().Name().String(), "id", p.session.ID)
	p.session.limits = p.newLimitWatch(limits)
	p.ingest = newIngest(p.pub, p.session.gauge, p.session.limits, p.log)
	p.log.Info("publisher on air", "client", said(p.from.client))
	p.server.sessions.add(p.session)
}

// watchLease ends the publisher when its channel key is revoked.
func (p *publication) watchLease() {
	if p.lease == nil {
		return
	}
	p.stop = make(chan struct{})
	p.server.conns.Go(func() {
		select {
		case <-p.lease.Revoked():
			p.from.close(errRevoked)
		case <-p.stop:
		}
	})
}

func (p *publication) release() {
	if p.stop != nil {
		close(p.stop)
	}
	if p.lease != nil {
		p.lease.Release()
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

// End takes the publisher off the air. For a final cause the stream ends, else it waits for the
// publisher's return.
func (p *publication) End(cause error) {
	p.ingest.end()
	if cause == nil {
		cause = live.ErrLost
	}
	if final(cause) {
		p.pub.Unpublish()
	} else {
		p.pub.Lose(cause)
	}
	p.server.sessions.remove(p.session, cause)
	p.release()
	p.log.Info("publisher ended", "reason", cause.Error(), "duration", time.Since(p.session.Start).Round(time.Millisecond),
		"video_bytes", p.video.Load(), "audio_bytes", p.audio.Load(), "bad_messages", p.bad.times, "left_out", p.pub.Dropped(), "time_jumps", p.pub.Jumps())
}
