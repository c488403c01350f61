package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"strings"
	"time"

	"livego/internal/cluster"
	"livego/internal/flv"
	"livego/internal/live"
	"livego/internal/pause"
)

// home finds where a publisher's stream is to be: here, then begun is to be called when the
// publisher is on air, or not; or on another node, to which it is taken.
func (n *node) home(ctx context.Context, may permit, from origin, log *slog.Logger) (away *relayed, begun func(onAir bool), err error) {
	key := may.name.Key()
	ctx, cancel := context.WithTimeout(ctx, claimTimeout)
	defer cancel()
	begun = func(onAir bool) { n.member.Begun(key, onAir) }
	for tries := 0; ; tries++ {
		var e cluster.Entry
		if n.member.Draining() {
			e, err = n.pass(ctx, key, tries)
		} else {
			e, err = n.claim(ctx, key)
		}
		if errors.Is(err, cluster.ErrUnavailable) {
			// Who is known to have it is the home also while nobody can tell.
			soon, cancel := context.WithTimeout(ctx, claimRetry)
			e, err = n.lookup(soon, key)
			cancel()
			if err != nil {
				n.member.Assume(key)
				return nil, begun, nil
			}
			if away, err = n.relay(ctx, e.Node, may, from, log); errors.Is(err, cluster.ErrUnreachable) || errors.Is(err, cluster.ErrElsewhere) {
				n.member.Assume(key)
				return nil, begun, nil
			}
			return away, nil, err
		}
		if err == nil {
			return nil, begun, nil
		}
		if !errors.Is(err, cluster.ErrHeld) {
			return nil, nil, err
		}
		away, err = n.relay(ctx, e.Node, may, from, log)
		// Who has to leave goes to another node if one has another secret.
		isStranger := errors.Is(err, cluster.ErrUnauthorized) && !n.member.Draining()
		if err == nil || errors.Is(err, cluster.ErrRefused) || isStranger {
			return away, nil, err
		}
		// It may be gone, and its lease be over in a moment.
		if !pauseFor(ctx, claimRetry) {
			return nil, nil, fmt.Errorf("node %s has the stream: %w", e.Node.ID, err)
		}
	}
}

// pauseFor waits. It is false if ctx ends.
func pauseFor(ctx context.Context, d time.Duration) bool { return pause.For(ctx, d) == nil }

// relayed is a publisher whose stream has its home on another node.
type relayed struct {
	*publication
	name live.Name
	up   *cluster.Uplink
}

// relay takes a publisher to the home of its stream.
func (n *node) relay(ctx context.Context, home cluster.Node, may permit, from origin, log *slog.Logger) (*relayed, error) {
	p := &relayed{publication: &publication{server: n.Server, from: from}, name: may.name}
	p.session = newSession(from.protocol, from.remote, may.name, from.url, true)
	var err error
	p.up, err = n.peers.Publish(ctx, home, may.name.Key(), may.name.Rendition, cluster.Origin{
		Protocol: from.protocol, Remote: from.remote, Client: from.client, Query: from.query,
	}, cluster.Voice{Move: from.move, End: func(word, text string) {
		if cause := causeOf(word, text); errors.Is(cause, errShutdown) || text == "" {
			from.move() // the home is gone
		} else {
			from.close(cause)
		}
	}})
	if err != nil {
		return nil, err
	}
	p.session.StreamID, p.session.agent = from.streamID, said(from.client)
	p.session.figures = func() figures { return figures{video: p.video.Load(), audio: p.audio.Load()} }
	p.session.close, p.session.reconnect, p.session.move = from.close, from.reconnect, from.move
	p.log = log.With("stream", may.name.String(), "id", p.session.ID)
	p.log.Info("publisher on air at the stream's home", "node", home.ID, "client", said(from.client))
	n.sessions.add(p.session)
	return p, nil
}

// errAway: the home of the stream is gone, or has ended the publisher.
var errAway = errors.New("the server that has the stream does not answer")

// causeOf is why the home of a stream ends a publisher, as it would be here.
func causeOf(word, text string) error {
	for _, r := range reasons {
		if r.word == word {
			detail, _ := strings.CutPrefix(text, r.err.Error())
			if detail == text {
				detail = ""
			}
			return fmt.Errorf("%w%s (by the stream's home)", r.err, said(detail))
		}
	}
	if text == "" {
		return errAway
	}
	return fmt.Errorf("%w: %s", errAway, said(text))
}

// Message implements hop.
func (p *relayed) Message(m cluster.Message) error {
	if m.Type == flv.TypeVideo {
		p.video.Add(uint64(len(m.Body)))
	} else {
		p.audio.Add(uint64(len(m.Body)))
	}
	return p.up.Message(m)
}

// End implements hop.
func (p *relayed) End(cause error) {
	if cause == nil {
		cause = live.ErrLost
	}
	if errors.Is(cause, live.ErrMoved) {
		p.up.Move()
	} else {
		p.up.End(errors.Is(cause, live.ErrUnpublished))
		p.server.node.awaitLast(p.name, cause)
	}
	p.server.sessions.remove(p.session, cause)
	p.log.Info("publisher ended", "reason", cause.Error(), "duration", time.Since(p.session.Start).Round(time.Millisecond),
		"video_bytes", p.video.Load(), "audio_bytes", p.audio.Load())
}

// servePublish takes a publisher on air that came to another node.
func (n *node) servePublish(ctx context.Context, r cluster.Request, from cluster.Origin, to cluster.Voice) (cluster.Sink, error) {
	if n.member.Draining() {
		return nil, cluster.ErrDraining
	}
	name := nameOf(r.Stream)
	if name.Rendition = r.Rendition; name.Rendition != "" {
		if err := live.ValidateRendition(name.Rendition); err != nil {
			return nil, err
		}
	}
	if _, ok := n.app(name.App); !ok {
		return nil, fmt.Errorf("application %.64q is not configured at the stream's home", name.App)
	}
	may, log := permit{name: name}, n.log.With("protocol", from.Protocol, "remote", said(from.Remote), "node", r.From)
	o := origin{
		protocol: from.Protocol, remote: from.Remote, url: "cluster://" + r.From + "/" + name.Key(), client: from.Client, query: from.Query,
		close: func(cause error) { to.End(reasonOf(cause), cause.Error()) }, move: to.Move,
	}
	if n.isSuspect(name, o) {
		return &suspect{server: n.Server, may: may, from: o, log: log, admit: func() (hop, error) {
			ctx, cancel := context.WithTimeout(n.ctx, claimTimeout)
			defer cancel()
			return n.takePublisher(ctx, r, may, o, log)
		}}, nil
	}
	return n.takePublisher(ctx, r, may, o, log)
}

// takePublisher takes a publisher on air that came to another node, if this one is the home of its
// stream, or can be.
func (n *node) takePublisher(ctx context.Context, r cluster.Request, may permit, from origin, log *slog.Logger) (hop, error) {
	switch _, err := n.claim(ctx, r.Stream); {
	case errors.Is(err, cluster.ErrUnavailable):
		if _, holds := n.member.Holds(r.Stream); !holds {
			return nil, cluster.ErrElsewhere
		}
		n.member.Assume(r.Stream)
	case errors.Is(err, cluster.ErrHeld):
		return nil, cluster.ErrElsewhere
	case err != nil:
		return nil, err
	}
	p, err := n.publishHere(ctx, may, from, log, func(onAir bool) { n.member.Begun(r.Stream, onAir) })
	if err != nil {
		return nil, err
	}
	p.next = r.From
	return atHome{p}, nil
}
