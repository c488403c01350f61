package live

import (
	"slices"
	"time"

	"livego/internal/media"
)

// hold keeps units back until the session's first random access point, from which on it is visible.
func (p *Publisher) hold(t *trackState, a *arrival) {
	u := &a.unit
	sample := u.Header == media.Sample
	if sample && t.track.Kind == media.Video {
		t.seen = true
		if u.RandomAccess {
			t.keys++
		}
		// A lower track that has none while this one has its second may never have one.
		if u.RandomAccess && (t == p.leading() || t.keys == 2) {
			p.begin(a)
			return
		}
		if t.keys == 0 {
			p.dropped++
			return
		}
	}
	p.keep(a)
	if sample && t.track.Kind == media.Audio {
		p.tryStartAudio()
	}
}

// keep adds a unit to those that are held back. The newest header of a track counts, and of samples
// the newest ones.
func (p *Publisher) keep(a *arrival) {
	u := &a.unit
	if u.Header != media.Sample {
		p.forget(slices.IndexFunc(p.held, func(o arrival) bool { return o.unit.Header == u.Header && sameTrack(&o.unit, u) }))
	}
	p.held = append(p.held, *a)
	p.holds += cost(u)
	for len(p.held) > maxHeld || p.holds > p.pub.ring.maxBytes {
		oldest := slices.IndexFunc(p.held, func(o arrival) bool { return o.unit.Header == media.Sample })
		p.forget(max(oldest, 0))
		p.dropped++
	}
}

// forget takes a unit out of those that are held back; -1 is none.
func (p *Publisher) forget(i int) {
	if i < 0 {
		return
	}
	p.holds -= cost(&p.held[i].unit)
	p.held = slices.Delete(p.held, i, i+1)
}

// tryStartAudio starts a session that has audio and, as far as is known, no video, or none that can
// be decoded. Then it starts with the newest audio, as nobody waits for what is old.
func (p *Publisher) tryStartAudio() {
	if p.started || !p.settled {
		return
	}
	isAudio := func(a arrival) bool { return a.unit.Header == media.Sample && a.unit.Track.Kind == media.Audio }
	i := slices.IndexFunc(p.held, isAudio)
	if i < 0 {
		return
	}
	first := p.held[i]
	if lead := p.leading(); lead != nil {
		patience := noVideo
		if lead.seen {
			patience = videoGone
		}
		if p.now.Sub(first.at) < patience {
			return
		}
		for next := i; next >= 0; next = slices.IndexFunc(p.held, isAudio) {
			i, first = next, p.held[next]
			p.forget(i)
			p.dropped++
		}
		p.dropped--
	} else {
		p.forget(i)
	}
	p.begin(&first)
}

// start makes the session visible: its headers, then first, then what was held back of other tracks
// from there on.
func (p *Publisher) start(first *arrival, to mapping) {
	p.started, p.pub.sessionAt = true, p.pub.ring.next
	to.floor -= p.early(&first.unit, to)
	p.floor, p.base = to.floor, to
	p.beginTimeline(to)
	p.pub.timeline.begin(p.pub, to, first.at)
	held := p.held
	p.held, p.holds = nil, 0
	for i := range held {
		if u := &held[i].unit; u.Header != media.Sample {
			p.emit(*u, p.timeBeside(nil, u.DTS))
		}
	}
	p.startedAt = p.since(first.at)
	p.take(first, nil, true)
	for i := range held {
		if u := &held[i].unit; u.Header == media.Sample {
			p.takeHeld(&held[i], &first.unit)
		}
	}
	p.pub.suspended = false
}

// takeHeld takes a sample that was held back. What the first picture's own track had is of before
// it.
func (p *Publisher) takeHeld(a *arrival, first *media.AccessUnit) {
	if u := &a.unit; u.Track.Kind == media.Video && (sameTrack(u, first) || !p.state(u).open && u.DTS < first.DTS-maxEarly) {
		p.dropped++
		return
	}
	p.admit(a)
}

func sameTrack(a, b *media.AccessUnit) bool {
	return a.Track.Kind == b.Track.Kind && a.Track.ID == b.Track.ID
}

// early returns by how much other video tracks begin before the first unit: their encoders'
// reordering of pictures may differ. Stream time does not go back for them.
func (p *Publisher) early(first *media.AccessUnit, to mapping) (by time.Duration) {
	for i := range p.held {
		u := &p.held[i].unit
		if d := first.DTS - u.DTS; u.Header == media.Sample && u.Track.Kind == media.Video && u.RandomAccess && d <= maxEarly {
			by = max(by, d)
		}
	}
	if pub := p.pub; pub.ring.next > 0 {
		by = min(by, max(to.floor-pub.last-1, 0))
	}
	return by
}

// beginTimeline begins a timeline of the session.
func (p *Publisher) beginTimeline(to mapping) {
	p.joined = to.floor - audioJoinInterval
	p.jumped = p.pub.ring.next > 0
}
