package ladder

import (
	"cmp"
	"time"

	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/media"
)

// The walk of a unit goes forward, and calls nothing before it again:
//
//	Write   → which track, or the stand-by's queue, or left out
//	take    → silence in front of it, where sound is missing
//	accept  → the track's queue; the leading track decides where segments begin
//	proceed → the first segment's end fixes the grid of parts and the target duration
//	place   → the segment and the part to which the unit belongs, which others publish
//	watch   → tracks for which nothing comes: silence, gaps, leaving
//	moves   → sound that goes on from another publication, whose units then walk themselves

// take puts a unit of a track in line, and silence before it where sound is missing.
func (p *Packager) take(t *track, u *media.AccessUnit) {
	if t.kind == media.Audio {
		p.fillHole(t, u)
	}
	p.enqueue(t, u)
}

// enqueue puts a unit of a track in line, and goes on with what can be placed then.
func (p *Packager) enqueue(t *track, u *media.AccessUnit) {
	if !p.accept(t, u) {
		p.counts.Dropped.Add(1)
		return
	}
	switch {
	case p.lead == nil:
		p.goOnWithout(t)
	case t == p.lead:
		p.alone = false
		p.proceed()
	case p.alone && t.kind == media.Audio:
		p.line.pace(u, t.length())
		p.proceed()
	default:
		p.placeDecided(t)
		p.goOnWithout(t)
	}
}

// accept puts a unit of a track in line, and decides by it where segments begin if the track leads.
// It is false if nothing can begin with the unit.
func (p *Packager) accept(t *track, u *media.AccessUnit) bool {
	if p.lead == nil || p.lead.kind == media.Audio && t.kind == media.Video {
		p.elect(t, u)
	} else if t.kind == media.Video && t != p.lead && p.before(t, p.lead) {
		p.reclaim(t, u)
	}
	if p.lead == nil && t.kind == media.Video || p.lead == t && len(p.line.bounds) == 0 && !u.RandomAccess {
		return false
	}
	if t.kind == media.Audio {
		t.sound.Take(u, cmp.Or(fmp4.FrameLength(u), t.length()))
	}
	length := t.length()
	t.newest, t.shown = u.DTS, max(t.shown, u.PTS)
	if u.RandomAccess {
		t.reorder = u.PTS - u.DTS
	}
	t.step.Mark(u.DTS)
	if t == p.lead {
		p.decide(t, u, length)
	}
	t.queue.push(u)
	p.bound(t)
	return true
}

// share bounds, in bytes, what waits to be packaged of each track, and is half the bound of its
// newest segment: of these none can be dropped.
func (p *Packager) share() int {
	return min(p.opt.MaxSegmentBytes, p.opt.MaxStreamBytes/max(1, 2*len(p.tracks)))
}

// bound holds a queue within its limits.
func (p *Packager) bound(t *track) {
	for share := p.share(); t.queue.len() > maxQueue || t.queue.bytes > share; {
		if t == p.lead {
			p.line.full = true
			if t.queue.len() <= maxQueue+1 {
				return
			}
		}
		t.queue.pop()
		p.counts.Dropped.Add(1)
	}
}

// proceed places what can be placed after something was decided.
func (p *Packager) proceed() {
	p.fixFirst()
	for i := 0; i < len(p.tracks); i++ { // tracks may leave meanwhile
		p.placeDecided(p.tracks[i])
	}
	for i := 0; i < len(p.tracks); i++ {
		p.watch(p.tracks[i])
	}
}

// fixFirst settles what depends on the first segment, as soon as that is known.
func (p *Packager) fixFirst() {
	switch {
	case p.line.fixed():
	case len(p.line.bounds) > 1:
		end := p.line.bounds[1].At
		if first := p.line.bounds[0].At; p.line.bounds[1].newHeader && p.line.bounds[1].unaligned { // that says nothing of random access points
			end = max(end, first+p.line.firstTarget(p.lead.kind, end-first, p.lead.length()))
		}
		p.fix(end)
	case p.mayFix():
		p.fixEarly()
	}
}

const (
	// knowTime is how much media there must be until it is known what a stream has, and fewUnits
	// how many units of the leading track to tell how far they are apart.
	knowTime = 400 * time.Millisecond
	fewUnits = 3
)

// mayFix says that somebody waits for the first segment, and that enough is known to list its parts
// while it grows.
func (p *Packager) mayFix() bool {
	return p.wanted() && p.lead != nil && len(p.line.bounds) == 1 && !p.line.continues && p.caughtUp() &&
		p.line.now-p.line.bounds[0].At >= knowTime && p.lead.queue.len() >= fewUnits
}

// fixEarly settles what depends on the first segment before that ends.
func (p *Packager) fixEarly() {
	first := p.line.bounds[0].At
	p.growing = true
	p.fix(first + p.line.firstTarget(p.lead.kind, p.line.now-first, p.lead.length()))
}

// fix settles what depends on the first segment, which ends at end.
func (p *Packager) fix(end time.Duration) {
	p.line.fix(p.lead.queue.waiting(), frame(p.lead.header), end)
	p.measure()
	longest := time.Duration(0)
	if p.lead.kind == media.Audio {
		longest = pictureCadence(p.line.part).target // pictures may join, and PART-HOLD-BACK stays
	}
	for _, t := range p.tracks {
		longest = max(longest, p.cadenceOf(t).target)
	}
	p.longestPart = longest
}

// measure tells the timeline how long a unit of the leading track may last.
func (p *Packager) measure() {
	c := p.cadenceOf(p.lead)
	p.line.most, p.line.slack = c.target, c.slack()
	if p.lead.kind == media.Audio {
		p.line.most = p.lead.length()
	}
}

// placeDecided places the units of t of which it is decided where they belong.
func (p *Packager) placeDecided(t *track) {
	if !p.line.fixed() {
		return
	}
	for t.queue.len() > 0 {
		next := &t.queue.waiting()[0]
		if t != p.lead && !t.near(&p.line, next, p.line.last()) && next.DTS+t.reach(&p.line, next) > p.line.now+p.line.ahead() || p.waitsForHeader(t, next) {
			return
		}
		u := t.queue.pop()
		p.place(t, &u)
	}
}

// watch lets t leave if its publisher was lost, makes silence where its sound is missing, and ends
// segments for which nothing came in time.
func (p *Packager) watch(t *track) {
	if p.isLost(t) {
		p.leave(t, "its publisher was lost, and others go on")
		return
	}
	if p.watchSound(t) {
		return
	}
	for t.member != nil && t.queue.len() == 0 && !t.pub.Behind {
		next := p.line.get(t.seq + 1)
		if next == nil || p.line.now-next.At <= cut.MaxLag {
			return
		}
		p.close(t, next.At, next, false)
		t.open(next)
		if t.gaps >= maxGaps {
			p.leave(t, "nothing came for it")
		}
	}
}
