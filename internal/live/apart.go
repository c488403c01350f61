package live

import (
	"time"

	"livego/internal/media"
)

// Some encoders stamp sound and pictures by clocks that have nothing to do with each other. It
// shows when tracks come together, at the pace at which they play, and their time stamps are far
// apart. Then a track gets an offset of its own, by its arrival.

const (
	// maxApart is how far tracks may be apart: encoders that send their sound one or two seconds
	// late stamp it right.
	maxApart = 2500 * time.Millisecond
	// maxWait is for how long a track that begins far from the others may wait until it is known
	// where it belongs.
	maxWait = 4 * time.Second
	// youngFor is for how long after a session's begin all tracks wait for one.
	youngFor = time.Second
	// followTime is how long a track may take to follow another one to a new time base.
	followTime = 2 * time.Second
	// inSync is how exact a track with a time base of its own is kept, and maxAdjust by how much
	// its times are changed at once for it, four times a second.
	inSync    = 15 * time.Millisecond
	maxAdjust = 5 * time.Millisecond
)

// sighting is where a track was seen on the timeline, and when.
type sighting struct{ at, came time.Duration }

// expected is the stream time of a track at a time.
func (c *trackTimes) expected(came time.Duration) time.Duration {
	return c.seen.at + came - c.seen.came
}

// hear notes a sample that is not placed yet. It counts when the next one goes on from there: of
// one that is stamped wrong nothing can be learned.
func (c *trackTimes) hear(stamp, came time.Duration) {
	c.stand(stamp, came)
	last, following := c.heard, c.hearing
	c.heard, c.hearing = sighting{stamp + c.offset, came}, true
	if step := c.heard.at - last.at; following && step >= 0 && step <= maxSpread {
		c.seen, c.sighted = last, true
		c.late.add(last.came, last.came-last.at)
	}
}

// stand notes the time stamp of a sample that is not placed.
func (c *trackTimes) stand(stamp, came time.Duration) {
	if !c.standing || c.stands.at != stamp {
		c.stands, c.standing = sighting{stamp, came}, true
	}
}

// still says that a track which is not placed has had one time stamp for so long that it has no
// clock.
func (c *trackTimes) still(came time.Duration) bool {
	return c.standing && came-c.stands.came > maxSpread
}

// byArrival places a track without a clock beside another one, from the unit on that came then.
func (c *trackTimes) byArrival(came time.Duration, other *trackTimes) {
	c.offset = came - c.stands.at - other.late.usual()
	c.own, c.known, c.late = true, true, delivery{}
	c.seen, c.sighted = sighting{c.stands.at + c.offset, came}, true
}

// apart says that a track which begins is too far from the others to be believed.
func (p *Publisher) apart(t *trackState, a *arrival) bool {
	other := p.reference(t)
	if other == nil {
		return false
	}
	came := p.since(a.at)
	return (a.unit.DTS + t.times.offset - other.times.expected(came)).Abs() > maxApart
}

// gathers says that all tracks wait until it is known where a track belongs that begins apart: at a
// session's begin, so that what players get first is in order. Later the track waits alone.
func (p *Publisher) gathers(t *trackState, a *arrival) bool {
	if p.since(a.at)-p.startedAt > youngFor {
		return false
	}
	p.gathering = true
	return true
}

// wait keeps a unit of a track that waits alone for its place.
func (p *Publisher) wait(t *trackState, a *arrival) {
	t.kept.push(a)
	if a.unit.Header == media.Sample {
		t.times.hear(a.unit.DTS, p.since(a.at))
	}
	p.release(t, len(t.kept.all) >= maxHeld || t.kept.bytes > p.pub.ring.maxBytes || a.at.Sub(t.kept.all[0].at) > maxWait)
}

// release hands out what a track kept back, as soon as it is known where it belongs.
func (p *Publisher) release(t *trackState, must bool) {
	if len(t.kept.all) == 0 || !p.decide(t, must) {
		return
	}
	kept := t.kept.all
	t.kept = arrivals{}
	for i := range kept {
		p.take(&kept[i], nil, true)
	}
}

// decide finds the place of a track that began apart: where its time stamps say, if that is not far
// from the others any more; else, if both come live, where it comes.
func (p *Publisher) decide(t *trackState, must bool) bool {
	c, other := &t.times, &p.reference(t).times
	switch {
	case c.still(c.heard.came):
		c.byArrival(c.stands.came, other)
	case c.sighted && (c.seen.at-other.expected(c.seen.came)).Abs() <= maxApart:
	case c.late.live() && other.late.live():
		c.own = true
		c.move(c.late.usual() - other.late.usual())
	case must:
		c.own = true
		c.move(c.heard.came - c.heard.at - other.late.usual())
	default:
		return false
	}
	if c.known = true; c.own {
		p.report(t, faultOwn)
	}
	return true
}

// foreign says that a unit which waited is far from those of its track that came after it: it was
// of another time base.
func (c *trackTimes) foreign(at, came time.Duration) bool {
	return c.sighted && (c.seen.at-at).Abs() > (c.seen.came-came).Abs()+maxApart
}

// adjust looks at how a track comes, beside the leading one.
func (p *Publisher) adjust(t *trackState) {
	lead := p.reference(nil)
	c := &t.times
	if t == lead || !c.late.live() || !lead.times.late.live() {
		return
	}
	skew := c.late.usual() - lead.times.late.usual()
	switch {
	case c.own:
		if off := skew - c.skew; off.Abs() > inSync {
			c.move(min(max(off/4, -maxAdjust), maxAdjust))
		}
	case c.offset != lead.times.offset:
		if c.own = p.since(p.now)-p.jumpedAt > followTime; c.own {
			p.report(t, faultOwn)
		}
	case skew.Abs() > maxApart:
		c.own, c.skew = true, 0
		p.report(t, faultOwn)
		if skew > 0 {
			c.move(skew)
			break
		}
		lead.times.move(-skew) // times do not go back
		p.base.offset = lead.times.offset
	default:
		c.skew = skew
	}
}
