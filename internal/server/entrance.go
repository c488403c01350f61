package server

import (
	"bytes"
	"context"
	"errors"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"golang.org/x/time/rate"

	"livego/internal/cluster"
	"livego/internal/flv"
	"livego/internal/live"
	"livego/internal/media"
)

// entrance is a publisher that came to this node of a cluster. While it is on air its stream may
// get another home: when this node ends, or the home does. What it sends goes there then, from a
// random access point on, and the encoder notices nothing. Message and End are called from one
// goroutine.
type entrance struct {
	node *node
	may  permit
	from origin
	log  *slog.Logger
	held leaseWatch

	// to is what takes the messages, nil while the stream has no home.
	to hop
	// moving: the stream is to have another home. moves bounds how often homes on other nodes are
	// left that would take more.
	moving atomic.Bool
	moves  *rate.Limiter

	demuxer flv.Demuxer
	units   []media.AccessUnit
	// sounds are the tracks of sound, cut is where the stream is to move, and late what the next
	// home gets from there on, once the home of now has the sound before it; none while it does not
	// move.
	sounds map[uint8]sound
	cut    time.Duration
	late   []cluster.Message
	// headers are what a new home needs first: metadata, and the newest headers of each track;
	// first are those of the cut.
	headers, first []header
	// video: there are pictures.
	video bool
}

// sound is how far a track of sound has come: its newest frame, by its time stamp, how long that
// is, and when it arrived.
type sound struct {
	at, length time.Duration
	arrived    time.Time
}

const (
	// maxMoves is how often at once a stream leaves homes on other nodes that say so, and
	// moveInterval how often on the average: nodes that end one after the other do, a node that
	// lies says so without end.
	maxMoves     = 4
	moveInterval = 10 * time.Second
	// lateSound is for how long the picture with which a stream moves waits for the sound before
	// it, maxLate how many messages do at most.
	lateSound = 250 * time.Millisecond
	maxLate   = 512
	// soundGone: a track of which nothing came for that long has no more to be waited for.
	soundGone = time.Second
)

// hop takes what a publisher sends, here or on its way to the stream's home.
type hop interface {
	Message(cluster.Message) error
	End(cause error)
}

// header is a message that is no sample.
type header struct {
	kind  media.Header
	track trackID
	cluster.Message
}

// maxHeaders bounds those that are kept, as what came from outside.
const maxHeaders = 64

// enter takes a publisher on air that came to this node.
func (n *node) enter(ctx context.Context, may permit, from origin, log *slog.Logger) (sink, error) {
	e := &entrance{node: n, may: may, from: from, log: log, moves: rate.NewLimiter(rate.Every(moveInterval), maxMoves), sounds: make(map[uint8]sound)}
	e.held, e.may.lease = n.watchLease(may.lease, from.close), nil
	e.from.move = func() { e.moving.Store(true) }
	n.entrances.Add(1)
	if err := e.settle(ctx); err != nil {
		e.leave()
		return nil, err
	}
	return e, nil
}

// settle finds a home for the stream.
func (e *entrance) settle(ctx context.Context) error {
	n := e.node
	away, begun, err := n.home(ctx, e.may, e.from, e.log)
	switch {
	case err != nil:
		n.tellRefused(e.may, newSession(e.from.protocol, e.from.remote, e.may.name, e.from.url, true), err, e.log)
		return err
	case away != nil:
		e.to = away
		return nil
	}
	p, err := n.publishHere(ctx, e.may, e.from, e.log, begun)
	if err != nil {
		return err
	}
	e.to = atHome{p}
	return nil
}

// atHome is a publication as a hop.
type atHome struct{ *publication }

// Message implements hop.
func (p atHome) Message(m cluster.Message) error {
	return p.message(m.Type, m.TimeMS, m.Arrived, m.Body)
}

// Message implements sink.
func (e *entrance) Message(messageType uint8, ms uint32, body []byte) error {
	m := cluster.Message{Type: messageType, TimeMS: ms, Arrived: time.Now(), Body: body}
	begins := e.note(m)
	switch {
	case len(e.late) > 0:
		return e.postpone(m)
	case !e.moving.Load() || !begins:
		return e.hand(m)
	}
	e.cut, e.first = e.units[0].DTS, slices.Clone(e.headers)
	return e.postpone(m)
}

// postpone keeps a message for the next home, unless it is sound from before the picture with which
// that begins, and moves the stream when there is no more of that to come.
func (e *entrance) postpone(m cluster.Message) error {
	if len(e.late) > 0 && e.isBefore() {
		if err := e.hand(m); err != nil {
			return err
		}
	} else {
		e.late = append(e.late, m)
	}
	first := e.late[0]
	if e.to != nil && e.isLate(m.Arrived) && len(e.late) < maxLate && m.Arrived.Sub(first.Arrived) < lateSound {
		return nil
	}
	if err := e.move(first.TimeMS); err != nil {
		return err
	}
	return e.handLate()
}

// isBefore says whether the message in hand is sound from before the cut.
func (e *entrance) isBefore() bool {
	return len(e.units) > 0 && !slices.ContainsFunc(e.units, func(u media.AccessUnit) bool {
		return u.Header != media.Sample || u.Track.Kind != media.Audio || u.DTS >= e.cut
	})
}

// isLate says whether sound from before the cut is still to come.
func (e *entrance) isLate(now time.Time) bool {
	for _, s := range e.sounds {
		// Stamps are whole milliseconds: the next frame may come one earlier than by its length.
		if s.at+s.length <= e.cut+time.Millisecond && now.Sub(s.arrived) < soundGone {
			return true
		}
	}
	return false
}

// handLate hands on what waited.
func (e *entrance) handLate() error {
	late := e.late
	e.late = nil
	for _, m := range late {
		if err := e.hand(m); err != nil {
			return err
		}
	}
	return nil
}

// hand hands a message to the stream's home.
func (e *entrance) hand(m cluster.Message) error {
	if e.to == nil {
		return nil // until the next random access point
	}
	err := e.to.Message(m)
	if errors.Is(err, cluster.ErrUnreachable) {
		e.to.End(live.ErrLost)
		e.to = nil
		e.moving.Store(true)
		return nil
	}
	return err
}

// Unhurried says that the stream has its home here, and nobody reads it.
func (e *entrance) Unhurried() bool {
	home, ok := e.to.(atHome)
	return ok && home.Unhurried()
}

// End implements sink.
func (e *entrance) End(cause error) {
	_ = e.handLate() // to the home of now
	if e.to != nil {
		e.to.End(cause)
	}
	e.leave()
}

// leave gives up what a publisher holds here.
func (e *entrance) leave() {
	e.held.release()
	e.node.entrances.Add(-1)
}

// move gives the stream another home, which begins with the message that comes next.
func (e *entrance) move(ms uint32) error {
	e.moving.Store(false)
	switch to := e.to.(type) {
	case atHome:
		next := e.node.successors(e.may.name.Key())
		if len(next) == 0 {
			return nil // there is none
		}
		to.next = next[0].ID
	case *relayed:
		if !e.moves.Allow() {
			return nil // while it takes what comes
		}
	}
	if e.to != nil {
		e.to.End(live.ErrMoved)
		e.to = nil
	}
	if err := e.settle(e.node.ctx); err != nil {
		return err
	}
	for _, h := range e.first {
		h.TimeMS = ms
		if err := e.to.Message(h.Message); err != nil {
			return err
		}
	}
	return nil
}

// note keeps what is no sample, and says whether a new home may begin with a message.
func (e *entrance) note(m cluster.Message) (begins bool) {
	clear(e.units)
	e.units, _ = e.demuxer.Append(e.units[:0], m.Type, m.TimeMS, m.Body) // the home says what is wrong
	for i := range e.units {
		switch u := &e.units[i]; {
		case u.Header == media.Sample && u.Track.Kind == media.Video:
			e.video = true
			begins = begins || u.RandomAccess
		case u.Header == media.Sample:
			begins = begins || !e.video
			e.noteSound(u, m.Arrived)
		case u.Header != media.Command && u.Header != media.SequenceEnd && u.Track != nil:
			e.keep(u, m)
		}
	}
	return begins
}

// noteSound notes how far a track of sound has come.
func (e *entrance) noteSound(u *media.AccessUnit, arrived time.Time) {
	if u.Track.Kind != media.Audio {
		return
	}
	before, known := e.sounds[u.Track.ID]
	s := sound{u.DTS, before.length, arrived}
	if length := u.DTS - before.at; known && length > 0 && length < lateSound {
		s.length = length
	}
	e.sounds[u.Track.ID] = s
}

// keep keeps a header in the place of the one before.
func (e *entrance) keep(u *media.AccessUnit, m cluster.Message) {
	m.Body = bytes.Clone(m.Body) // it outlives what it was read into
	h := header{u.Header, trackID{u.Track.Kind, u.Track.ID}, m}
	at := slices.IndexFunc(e.headers, func(o header) bool { return o.kind == h.kind && o.track == h.track })
	switch {
	case at >= 0:
		e.headers[at] = h
	case len(e.headers) < maxHeaders:
		e.headers = append(e.headers, h)
	}
}
