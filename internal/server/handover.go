package server

import (
	"context"
	"errors"
	"slices"
	"time"

	"livego/internal/cluster"
	"livego/internal/hls"
	"livego/internal/live"
)

const (
	// togetherTime is how long the first rendition of a stream that moves waits for the others,
	// whose key frames come together with its own.
	togetherTime = 300 * time.Millisecond
	// writeOutTime bounds the time in which packagers and recorders take the last units.
	writeOutTime = 500 * time.Millisecond
	// feedFlush is longer than what is in a feed's log stays there (fanout: 50 ms).
	feedFlush = 60 * time.Millisecond
	// feedsTime bounds the time in which other nodes that watch go to the next home.
	feedsTime = 500 * time.Millisecond
	// handOverTick is how often it is looked whether publishers are gone, streamTick whether a
	// stream has come that viewers wait for.
	handOverTick = 20 * time.Millisecond
	streamTick   = 5 * time.Millisecond
)

// departure is a stream that gets another home.
type departure struct {
	// given is closed when the registry knows that it has none here.
	given chan struct{}
}

// handOver gives up the stream of a publication whose publisher goes on at another node, together
// with its other renditions, and returns when another home may have it. Viewers here go on with
// what comes from there.
func (n *node) handOver(pub *live.Publication) {
	n.finishWriting(pub)
	name := pub.Name()
	key := name.Key()
	n.mu.Lock()
	d := n.departures[key]
	if d == nil {
		d = &departure{given: make(chan struct{})}
		n.departures[key] = d
	}
	n.mu.Unlock()
	if slices.ContainsFunc(n.hub.Renditions(name), (*live.Publication).OnAir) {
		select {
		case <-d.given:
		case <-time.After(togetherTime):
		}
	}
	n.giveUp(key, d)
	n.conns.Go(func() {
		pauseFor(n.ctx, feedFlush) // other nodes that watch are gone then
		if pub.Readers() == 0 || !n.carryOn(pub) {
			pub.Evict(live.ErrMoved)
		}
	})
}

// giveUp gives a stream back, once for all its renditions.
func (n *node) giveUp(key string, d *departure) {
	n.mu.Lock()
	mine := n.departures[key] == d
	if mine {
		delete(n.departures, key)
	}
	n.mu.Unlock()
	if mine {
		n.former.put(key, n.self)
		n.member.Free(key)
		close(d.given)
	}
	<-d.given
}

// finishWriting lets what runs beside a publication take its last units, and ends it.
func (n *node) finishWriting(pub *live.Publication) {
	n.mu.Lock()
	w := n.writing[pub]
	n.mu.Unlock()
	if w == nil {
		return
	}
	w.cancel(hls.ErrMoved)
	done := make(chan struct{})
	go func() {
		w.running.Wait() // they have seen the end of their context
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(writeOutTime):
	}
}

// successors are the nodes that may be the next home of a stream, the best first, and the same for
// all its renditions.
func (n *node) successors(stream string) []cluster.Node {
	known := n.member.Known()
	all := cluster.Parents(known, n.opt.Region, stream)
	for _, o := range known {
		if o.Region != n.opt.Region {
			all = append(all, cluster.Parents([]cluster.Node{o}, o.Region, stream)...)
		}
	}
	return slices.DeleteFunc(all, func(o cluster.Node) bool { return o.ID == n.opt.ID })
}

// pass finds a home for a stream on another node, because this one ends: where it is, or a node
// that is to have it. tries is how often that was said before.
func (n *node) pass(ctx context.Context, stream string, tries int) (cluster.Entry, error) {
	// Who has just given it up knows that nobody has it, or the one that is to.
	if last, _, _ := n.former.get(stream); tries > 0 || last.ID != n.opt.ID {
		if e, err := n.lookAgain(ctx, stream); err == nil {
			return e, cluster.ErrHeld
		}
	}
	all := n.successors(stream)
	if len(all) == 0 {
		return cluster.Entry{}, cluster.ErrDraining
	}
	return cluster.Entry{Stream: stream, Node: all[tries%len(all)]}, cluster.ErrHeld
}

// handOverAll lets the streams that have their home here go on at other nodes, within a time. What
// their encoders send still comes by here then, until they are gone, or for another time at most.
func (n *node) handOverAll(within, publishers time.Duration) {
	if n.member.Away() || len(n.successors("")) == 0 {
		return // nobody can tell, or there is nobody
	}
	begin := time.Now()
	atHome := func(s *session) bool { return s.Publisher && s.pub != nil && s.move != nil }
	for _, s := range n.sessions.all(nil) {
		if atHome(s) {
			s.move()
		}
	}
	n.await(handOverTick, begin.Add(max(within, publishers)), func() bool { return !slices.ContainsFunc(n.sessions.all(nil), atHome) })
	n.await(handOverTick, time.Now().Add(feedsTime), func() bool { return n.handler.Feeds() == 0 })
	n.await(handOverTick, begin.Add(publishers), func() bool { return n.entrances.Load() == 0 })
}

// await looks now and then until something is so, for as long as it may take, or until the server
// has ended.
func (n *node) await(tick time.Duration, until time.Time, so func() bool) {
	for !so() && time.Now().Before(until) && pauseFor(n.ctx, tick) {
	}
}

// awaitLast waits, where this node ends, until a stream that is over has come back from its home to
// the last picture: the node goes on ending when its publishers are gone.
func (n *node) awaitLast(stream live.Name, cause error) {
	if !errors.Is(cause, live.ErrUnpublished) || !n.member.Draining() {
		return
	}
	late := time.After(feedsTime)
	for _, c := range n.copiesOf(stream) {
		select {
		case <-c.over:
		case <-late:
			return
		}
	}
}

// nextHome is the node that is about to have a stream whose publisher goes on there, empty if that
// is not known.
func (n *node) nextHome(stream string) string {
	id, _, _ := n.next.get(stream)
	return id
}

// carryOn lets the viewers of a publication go on with what comes from another node. It is false if
// that cannot be.
func (n *node) carryOn(pub *live.Publication) bool {
	c, _ := n.startCopy(pub.Name(), nil, pub, n.nextHome(pub.Name().Key()))
	return c != nil
}

// copiesOf returns the copies of a stream in all its renditions.
func (n *node) copiesOf(stream live.Name) (all []*copied) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for name, c := range n.copies {
		if name.Key() == stream.Key() {
			all = append(all, c)
		}
	}
	return all
}

// yield ends the copies of a stream that gets its home here, and waits for that, and before for the
// last of what the former home has: that says when it is over. Their viewers stay.
func (n *node) yield(stream live.Name) {
	all := n.copiesOf(stream)
	n.await(streamTick, time.Now().Add(feedsTime), func() bool { return !slices.ContainsFunc(all, func(c *copied) bool { return c.flows.Load() }) })
	for _, c := range all {
		c.stop(live.ErrTakenOver)
	}
	for _, c := range all {
		<-c.over
	}
}
