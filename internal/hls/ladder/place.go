package ladder

import (
	"time"

	"livego/internal/hls/cut"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// place puts a unit of t where it belongs. Where segments begin at and before it is decided.
func (p *Packager) place(t *track, u *media.AccessUnit) {
	t.adopt(u)
	if b, ok := p.stay(t, u, t.segmentOf(&p.line, u)); ok {
		p.put(t, u, b)
	}
	if t.kind == media.Video && u.RandomAccess {
		t.lastKey = u.DTS
	}
}

// stay lets t leave the ladder if it cannot go on with u in the segment of b. It returns the
// segment to which u belongs then, for t may begin again with it, and false if u belongs nowhere.
func (p *Packager) stay(t *track, u *media.AccessUnit, b *Boundary) (*Boundary, bool) {
	if b == nil || t.member == nil || b.Seq <= t.seq {
		return b, true
	}
	reason, same := t.mayCross(&p.line, u, b)
	switch {
	case reason != "":
		p.leave(t, reason)
	case same:
		return b, true
	default:
		p.change(t)
	}
	if t.member != nil {
		return nil, false
	}
	return t.segmentOf(&p.line, u), true
}

// put puts a unit of t into the segment of b.
func (p *Packager) put(t *track, u *media.AccessUnit, b *Boundary) {
	switch {
	case b == nil:
		p.counts.Dropped.Add(1)
	case t.joining():
		if p.mayJoin(t, u, b) && p.join(t, u, b) {
			p.add(t, u, b)
		}
	case b.Seq > t.seq:
		if p.cross(t, u, b) {
			p.add(t, u, b)
		}
	case b.Seq < t.seq || t.segment == nil:
		p.counts.Dropped.Add(1) // too late
	case u.Track != t.track || t.kind == media.Video && u.Epoch != t.session:
		p.change(t)
	default:
		p.add(t, u, b)
	}
}

// segmentOf returns the boundary of the segment to which a unit of t belongs, nil if there is none.
func (t *track) segmentOf(l *timeline, u *media.AccessUnit) *Boundary {
	b := l.find(u.DTS + t.reach(l, u))
	switch {
	case t.begun(u) && (b == nil || b.Seq <= t.seq):
		b = l.get(t.seq) // the segment began a little before its boundary
	case b != nil && u.DTS < b.At && t.early(u, b):
		b = l.find(u.DTS)
	}
	if b != nil && t.kind == media.Audio && t.member != nil {
		b = t.byHeader(l, u, b)
	}
	return b
}

// begun says that the segment under way has media, which a unit follows.
func (t *track) begun(u *media.AccessUnit) bool {
	return t.member != nil && t.segment != nil && len(t.segment.Parts)+len(t.part) > 0 && u.DTS >= t.segment.Start
}

// early says that a unit just before b does not belong behind it: a picture with which nobody can
// begin, the last frame of a session.
func (t *track) early(u *media.AccessUnit, b *Boundary) bool {
	if t.kind == media.Video {
		return !u.RandomAccess && !b.unaligned
	}
	return t.member != nil && b.Discontinuity && u.Track == t.track && u.Epoch == t.session
}

// near says whether the track may begin at b with u.
func (t *track) near(l *timeline, u *media.AccessUnit, b *Boundary) bool {
	return u.RandomAccess && (u.DTS-b.At).Abs() <= t.reach(l, u)
}

// reach is how far from a boundary u may lie that belongs behind it. Where random access points are
// rare there is no doubt about which one is meant.
func (t *track) reach(l *timeline, u *media.AccessUnit) time.Duration {
	if t.kind == media.Video && u.RandomAccess && (t.lastKey < 0 || u.DTS-t.lastKey > 4*alignment) {
		return alignment
	}
	return t.tolerance(l)
}

// tolerance is how far from a boundary a unit of t may lie that belongs behind it.
func (t *track) tolerance(l *timeline) time.Duration {
	if t.kind == media.Audio {
		return min(t.length()/2, cut.MaxTolerance)
	}
	return l.tolerance()
}

// mayCross says for which reason t cannot go on in the segment of b, which begins with u, and if
// there is none whether the encoder goes on as it was, or changes where all do.
func (t *track) mayCross(l *timeline, u *media.AccessUnit, b *Boundary) (reason string, same bool) {
	switch {
	case b.Seq > t.seq+1+maxGaps || l.get(t.seq+1) == nil:
		return "nothing came for it", false
	case t.kind == media.Video && !b.unaligned && !t.near(l, u, b):
		return "it has no key frame where the first rendition has one", false
	}
	return "", t.kind != media.Video || t.crossesDiscontinuity(l, b) || u.Track == t.track && u.Epoch == t.session
}

// crossesDiscontinuity says that there is a discontinuity from the segment under way up to b.
func (t *track) crossesDiscontinuity(l *timeline, b *Boundary) bool {
	next := l.nextDiscontinuity(t.seq)
	return next != nil && next.Seq <= b.Seq
}

// cross ends the segment under way and begins that of b with u. It is false if u does not fit.
func (p *Packager) cross(t *track, u *media.AccessUnit, b *Boundary) bool {
	seam := t.crossesDiscontinuity(&p.line, b)
	p.advance(t, u.DTS, b.Seq)
	if (seam || u.Track != t.track) && !p.setTrack(t, u, b.Seq) {
		p.leave(t, "its header does not fit its media")
		return false
	}
	t.session = u.Epoch // sound goes on without a seam
	t.segment.Init = t.init
	if b == p.line.last() {
		p.line.early = max(p.line.early, min(b.At-u.DTS, p.line.limit()/2))
	}
	return true
}

// advance ends segments until the one with a number is under way. next is when the track goes on.
func (p *Packager) advance(t *track, next time.Duration, seq int64) {
	for t.seq < seq {
		b := p.line.get(t.seq + 1)
		p.close(t, next, b, true)
		t.open(b)
	}
}

// open begins a segment.
func (t *track) open(b *Boundary) {
	t.seq, t.cell, t.origin = b.Seq, -1, b.At
	t.segment = &playlist.Segment{
		Seq: b.Seq, Start: b.At, At: b.wall, Init: t.init,
		Discontinuity: b.Discontinuity, Before: b.Before, Independent: true, Dates: t.dates,
	}
	t.dates = nil
}

// change deals with a unit of another header or session within a segment. What concerns all waits
// for the next segment, which begins with a discontinuity; a track that is alone with it leaves the
// ladder, and comes back.
func (p *Packager) change(t *track) {
	p.counts.Dropped.Add(1)
	if t == p.lead || t.kind == media.Audio {
		p.line.discontinuityDue = p.line.discontinuityDue || p.line.get(t.seq+1) == nil
		return
	}
	p.leave(t, "its encoder changed something that the others did not")
}
