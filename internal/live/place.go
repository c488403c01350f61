package live

import (
	"slices"
	"time"

	"livego/internal/media"
)

// Encoders stamp their units wrong in many ways. What a track sends is believed as long as it goes
// on as it did. What does not is doubted, for the time of one unit: then the track's next one tells
// whether its time has jumped, or whether one unit was stamped wrong, which then is placed one
// frame after the one before. So nothing is lost, and stream time is that of what is played.

const (
	// maxPending and holdTime bound what waits for a track's next unit.
	maxPending = 256
	holdTime   = 500 * time.Millisecond
	// maxPast is how many time bases of a track are remembered beside the present one.
	maxPast = 3
	// maxStep is the longest distance of two units that shows nothing odd.
	maxStep = 2 * time.Second
	// justNow is how long ago something came just now, and leastBacklog by how much what comes must
	// be late before it is a backlog: frames may come in bundles.
	justNow      = 200 * time.Millisecond
	leastBacklog = 500 * time.Millisecond
	// maxStrays is how many units in a row may be stamped wrong before the track's time is theirs.
	maxStrays = 3
)

// placing is what a session needs to place its units.
type placing struct {
	// base is the newest time base of the session.
	base mapping
	// pending begins with a unit that waits for the next one of its track.
	pending arrivals
	// gathering: what is pending waits until it is known where a track belongs.
	gathering bool
	startedAt time.Duration
	// timer ends the wait when nothing comes any more.
	timer *time.Timer
	// message is the body of the last sample's message, and messageAt where it was placed: units of
	// one message have one time.
	message   *byte
	messageAt time.Duration
	// turns counts the time bases, shift is by how much the last one changed the offset, jumpedAt
	// when the encoder's time last jumped.
	turns           int
	shift, jumpedAt time.Duration
}

// placement says what place knows of a unit.
type placement uint8

const (
	isPlaced placement = iota
	// needsNext: the track's next sample will tell.
	needsNext
	// isApart: the unit is of another time base, as it seems.
	isApart
	// tooOld: it belongs before the session's first unit.
	tooOld
)

// since returns when something came, as a time of the session.
func (p *Publisher) since(at time.Time) time.Duration { return max(at.Sub(p.began), 0) }

// postpone keeps a unit behind one that waits.
func (p *Publisher) postpone(a *arrival) {
	if p.pending.push(a); len(p.pending.waiting()) == 1 {
		p.armHold()
	}
	if u := &a.unit; p.gathering && u.Header == media.Sample && u.Track.Kind != media.Data {
		p.state(u).times.hear(u.DTS, p.since(a.at))
	}
}

// resolve takes what is pending, as far as it is known where it belongs.
func (p *Publisher) resolve(must bool) {
	for q := &p.pending; len(q.waiting()) > 0; q.pop() {
		head := q.waiting()[0]
		most, wait := maxPending, p.holdTime(&head.unit)
		if p.gathering {
			most, wait = maxHeld, maxWait
		}
		late := len(q.waiting()) > most || q.bytes > p.pub.ring.maxBytes || p.now.Sub(head.at) > wait
		if !p.take(&head, p.after(&head.unit), must || late) {
			return
		}
	}
	p.gathering = false
}

// armHold ends the wait of what is pending, whatever comes.
func (p *Publisher) armHold() {
	wait := holdTime + time.Millisecond
	if p.timer != nil {
		p.timer.Reset(wait)
		return
	}
	p.timer = time.AfterFunc(wait, func() {
		pub := p.pub
		pub.mu.Lock()
		defer pub.mu.Unlock()
		if p.gone != nil || len(p.pending.waiting()) == 0 {
			return
		}
		end := pub.ring.next
		p.now = time.Now()
		p.resolve(false)
		p.announce(end)
		if len(p.pending.waiting()) > 0 {
			p.timer.Reset(wait)
		}
	})
}

// after returns the next pending sample of a unit's track that has another time stamp, nil if there
// is none.
func (p *Publisher) after(u *media.AccessUnit) *media.AccessUnit {
	waiting := p.pending.waiting()
	for i := range waiting[1:] {
		if o := &waiting[1+i].unit; o.Header == media.Sample && o.DTS != u.DTS && sameTrack(o, u) {
			return o
		}
	}
	return nil
}

// holdTime is for how long a unit waits for the next one of its track.
func (p *Publisher) holdTime(u *media.AccessUnit) time.Duration {
	return min(2*p.state(u).times.frame(u.Track)+jitter, holdTime)
}

// place returns the stream time of a sample.
func (p *Publisher) place(t *trackState, a *arrival, next *media.AccessUnit, must bool) (time.Duration, placement) {
	u, c, came := &a.unit, &t.times, p.since(a.at)
	at, line, v := p.timeOf(t, a, next, must)
	if v != isPlaced {
		return 0, v
	}
	if step := at - c.out; c.timed && step > 0 && t == p.reference(nil) {
		p.pub.frame = min(step, time.Second)
	}
	if c.accept(t.track, line, at, came) {
		p.adjust(t)
	}
	p.message, p.messageAt = nil, at
	if len(u.Body) > 0 {
		p.message = &u.Body[0]
	}
	return at, isPlaced
}

// timeOf returns the stream time of a sample, and where its time stamp puts it if that is to be
// believed.
func (p *Publisher) timeOf(t *trackState, a *arrival, next *media.AccessUnit, must bool) (at, line time.Duration, v placement) {
	u, c := &a.unit, &t.times
	if !c.timed {
		return p.firstTime(t, a, must)
	}
	line = u.DTS + c.offset
	switch step := line - c.line; {
	case p.inMessage(u):
		return p.messageAt, p.messageAt, isPlaced
	case c.repeats(t.track, line):
		p.report(t, faultSpread)
		return c.spread(t.track, p.since(a.at)), line, isPlaced
	case c.backwards(t.track, line):
		p.report(t, faultBackwards)
		return c.spread(t.track, p.since(a.at)), line, isPlaced
	case c.regular(t.track, line):
		c.strays = 0
		return c.put(t.track, line), line, isPlaced
	case step < 0 && c.leapt && line > c.before: // so the unit before should not have been believed
		return c.put(t.track, line), line, isPlaced
	case step > 0 && p.believable(t, line, p.since(a.at)):
		return c.put(t.track, line), line, isPlaced
	case p.returns(t, u.DTS):
		line = u.DTS + c.offset
		return c.put(t.track, line), line, isPlaced
	case next == nil && !must:
		return 0, 0, needsNext
	case next == nil && p.far(line) || next != nil && p.confirmed(t, line, next.DTS+c.offset) || c.strays >= maxStrays:
		c.strays = 0
		at = p.turn(t, a)
		return at, at, isPlaced
	}
	p.report(t, faultStray)
	if c.strays == 0 || u.DTS != c.stray {
		c.strays, c.stray = c.strays+1, u.DTS
	}
	return c.out + c.frame(t.track), c.line, isPlaced
}

// firstTime is timeOf for a track's first sample.
func (p *Publisher) firstTime(t *trackState, a *arrival, must bool) (at, line time.Duration, v placement) {
	u, c := &a.unit, &t.times
	if !c.known && !c.hearing {
		c.offset, c.turns = p.base.offset, p.turns
	}
	switch {
	case c.known, p.inMessage(u):
	case c.hearing && !p.decide(t, must), !c.hearing && p.apart(t, a):
		return 0, 0, isApart
	}
	at = u.DTS + c.offset
	switch {
	case p.inMessage(u):
		at = p.messageAt
	case at < p.floor, c.foreign(at, p.since(a.at)):
		return p.tooOld(t, a)
	}
	return at, at, isPlaced
}

// tooOld is firstTime for a sample from before the session's first unit. It is placed by arrival if
// the track's time stamps stand there.
func (p *Publisher) tooOld(t *trackState, a *arrival) (at, line time.Duration, v placement) {
	c, came, other := &t.times, p.since(a.at), p.reference(t)
	if c.stand(a.unit.DTS, came); other == nil || !c.still(came) {
		return 0, 0, tooOld
	}
	c.byArrival(came, &other.times)
	p.report(t, faultOwn)
	at = max(a.unit.DTS+c.offset, p.floor)
	return at, at, isPlaced
}

// inMessage says that a unit is of the same message as the one before, and has its time.
func (p *Publisher) inMessage(u *media.AccessUnit) bool {
	return u.Shared && len(u.Body) > 0 && p.message == &u.Body[0]
}

// confirmed says that a track's time has jumped to line, as its next unit goes on from there. Of
// what does not come at the pace at which it plays any later time will do, if it is not too far
// away.
func (p *Publisher) confirmed(t *trackState, line, next time.Duration) bool {
	c := &t.times
	jump, step := line-c.line, next-line
	reach := max(c.reach(t.track), 2*c.stride, min(jump.Abs()/4, maxStep)) // what follows may have other pictures
	if jump > 0 && !p.far(line) && !c.late.live() {
		return step >= 0
	}
	return step > 0 && step <= reach && (jump > 0 || next <= c.line)
}

// believable says that a track has a reason to go on at a later time: so much time has passed since
// its last unit, or others of the session are there already.
func (p *Publisher) believable(t *trackState, at, came time.Duration) bool {
	c := &t.times
	if at > p.pub.last+maxForwardJump { // a track that is far behind may come nearer
		return false
	}
	if came-at >= c.late.usual()+p.backlog(t, came)-earliness {
		return true
	}
	for _, o := range p.tracks {
		if o != t && o.times.timed && at <= c.beside(&o.times)+earliness {
			return true
		}
	}
	return false
}

// backlog is by how much all that comes now is late, as other tracks show of which something came
// just now: the network held it up. 0 if that is little.
func (p *Publisher) backlog(t *trackState, came time.Duration) time.Duration {
	late, known := time.Duration(0), false
	for _, o := range p.tracks {
		c := &o.times
		if o == t || !c.timed || came-c.seen.came > justNow {
			continue
		}
		if by := c.seen.came - c.out - c.late.usual(); !known || by < late {
			late, known = by, true
		}
	}
	if late < leastBacklog {
		return 0
	}
	return late
}

// beside returns where a track is if it comes as much later than another one as it usually does.
func (c *trackTimes) beside(o *trackTimes) time.Duration {
	line := o.line
	if o.leapt {
		line = o.before // nobody knows yet
	}
	return line + o.skew - c.skew
}

// far says that a time is not of the present timeline.
func (p *Publisher) far(at time.Duration) bool {
	return at > p.pub.last+maxForwardJump || at < p.pub.last-maxBackJump
}

// returns says that a time stamp goes on from where the track is, on a time base that the track had
// before, or on that of others which have jumped first.
func (p *Publisher) returns(t *trackState, stamp time.Duration) bool {
	c := &t.times
	for i := len(c.past) - 1; i >= 0; i-- {
		if offset := c.past[i]; c.regular(t.track, stamp+offset) {
			c.past = slices.Delete(c.past, i, i+1)
			c.rebase(offset)
			if t == p.reference(nil) && !c.own {
				p.base.offset, p.jumped = offset, false
				p.pub.timeline.turn(p.pub, p.base)
			}
			return true
		}
	}
	offset := p.base.offset
	if c.own {
		offset = c.offset + p.shift
	}
	if c.turns == p.turns || !p.follows(t, stamp+offset) {
		return false
	}
	c.rebase(offset)
	c.turns = p.turns
	return true
}

// rebase gives a track another time base, and remembers the one that it had.
func (c *trackTimes) rebase(offset time.Duration) {
	if len(c.past) == maxPast {
		c.past = slices.Delete(c.past, 0, 1)
	}
	c.past, c.offset = append(c.past, c.offset), offset
}

// follows says that a track is at a time if it has followed another one to a new time base.
func (p *Publisher) follows(t *trackState, at time.Duration) bool {
	c := &t.times
	if at < c.line-c.reach(t.track) {
		return false
	}
	for _, o := range p.tracks {
		if o != t && o.times.timed && at <= c.beside(&o.times)+jitter {
			return true
		}
	}
	return false
}

// turn finds the time of the first unit of a new time base.
func (p *Publisher) turn(t *trackState, a *arrival) time.Duration {
	pub, c, stamp := p.pub, &t.times, a.unit.DTS
	at := stamp + c.offset
	far := p.far(at)
	if !far && at > c.line && !c.late.live() {
		return c.put(t.track, at) // pictures are missing in what does not come at the pace at which it plays
	}
	before := c.offset
	if far && !c.own {
		to := pub.timeline.jump(pub, stamp, p.now)
		p.jumps.Add(1)
		p.jumpedAt = p.since(a.at)
		p.beginTimeline(to)
		c.rebase(to.offset)
		p.share(c, to, before)
		return stamp + to.offset
	}
	at = (c.out + c.frame(t.track)).Round(time.Millisecond)
	to := mapping{offset: at - stamp, floor: at}
	if !c.own && t == p.reference(nil) {
		to = pub.timeline.step(pub, stamp, to, p.now)
	}
	c.rebase(to.offset)
	if !c.own {
		p.share(c, to, before)
	}
	return max(stamp+c.offset, c.out+minStep)
}

// share lets the other tracks follow one to a new time base.
func (p *placing) share(c *trackTimes, to mapping, before time.Duration) {
	p.base, p.shift = to, to.offset-before
	p.turns++
	c.turns = p.turns
}

// timeBeside returns the stream time of what is no sample, or an empty one: it moves no clock.
func (p *Publisher) timeBeside(t *trackState, stamp time.Duration) time.Duration {
	if t == nil || !t.times.timed {
		return min(stamp+p.base.offset, p.pub.last)
	}
	c := &t.times
	if at := stamp + c.offset; at > c.out && at <= c.out+c.reach(t.track) {
		return min(at, p.pub.last)
	}
	return c.out
}

// reference returns the track by which others are judged, other than one: the video that readers
// join on, or else the first that has begun.
func (p *Publisher) reference(other *trackState) *trackState {
	if lead := p.leading(); lead != nil && lead != other && lead.times.timed {
		return lead
	}
	for _, t := range p.tracks {
		if t != other && t.times.timed {
			return t
		}
	}
	return nil
}

// Fault is something in the time stamps of a track that was put right.
type Fault struct {
	Kind media.Kind
	// Track is the track's number.
	Track uint8
	// What says what was wrong and what became of it. It is one of a few constants.
	What string
}

const (
	faultStray     = "a time stamp that does not fit those around it: placed one frame after the one before"
	faultSpread    = "several frames with one time stamp: spread by their length"
	faultBackwards = "a clock that runs backwards: placed as they come"
	faultOwn       = "time stamps of a clock that is not that of the other tracks: placed by arrival"
	// maxFaults is how many faults are kept until they are asked for.
	maxFaults = 16
)

func (p *Publisher) report(t *trackState, what string) {
	if len(p.faults) < maxFaults {
		p.faults = append(p.faults, Fault{t.track.Kind, t.track.ID, what})
		p.faulty.Store(true)
	}
}

// Faults appends to dst what was put right since it was last asked for.
func (p *Publisher) Faults(dst []Fault) []Fault {
	if !p.faulty.Load() {
		return dst
	}
	pub := p.pub
	pub.mu.Lock()
	defer pub.mu.Unlock()
	dst = append(dst, p.faults...)
	p.faults = p.faults[:0]
	p.faulty.Store(false)
	return dst
}
