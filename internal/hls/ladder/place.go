package ladder

import (
	"time"

	"livego/internal/hls/cut"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// placeDecided places the units of t of which it is decided where they belong.
func (d *ladder) placeDecided(t *track) {
	if !d.line.fixed() {
		return
	}
	for t.queue.len() > 0 {
		next := &t.queue.waiting()[0]
		if !d.leader.leads(t) && !t.near(d.line, next, d.line.last()) && next.DTS+t.reach(d.line, next) > d.line.now+d.line.ahead() || d.waitsForHeader(t, next) {
			return
		}
		u := t.queue.pop()
		d.place(t, &u)
	}
}

// place puts a unit of t where it belongs. Where segments begin at and before it is decided.
func (d *ladder) place(t *track, u *media.AccessUnit) {
	t.adopt(u)
	if b, ok := d.stay(t, u, t.segmentOf(d.line, u)); ok {
		d.put(t, u, b)
	}
	if t.kind == media.Video && u.RandomAccess {
		t.lastKey = u.DTS
	}
}

// stay lets t leave the ladder if it cannot go on with u in the segment of b. It returns the
// segment to which u belongs then, for t may begin again with it, and false if u belongs nowhere.
func (d *ladder) stay(t *track, u *media.AccessUnit, b *Boundary) (*Boundary, bool) {
	if b == nil || t.member == nil || b.Seq <= t.seq {
		return b, true
	}
	reason, same := t.mayCross(d.line, u, b)
	switch {
	case reason != "":
		d.leave(t, reason)
	case same:
		return b, true
	default:
		d.change(t)
	}
	if t.member != nil {
		return nil, false
	}
	return t.segmentOf(d.line, u), true
}

// put puts a unit of t into the segment of b.
func (d *ladder) put(t *track, u *media.AccessUnit, b *Boundary) {
	switch {
	case b == nil:
		d.counts.Dropped.Add(1)
	case t.joining():
		if d.mayJoin(t, u, b) && d.join(t, u, b) {
			d.fillBegin(t, u, b)
			d.cutter.add(t, u, b)
		}
	case b.Seq > t.seq:
		if d.cross(t, u, b) {
			d.cutter.add(t, u, b)
		}
	case b.Seq < t.seq || t.segment == nil:
		d.counts.Dropped.Add(1) // too late
	case u.Track != t.track || t.kind == media.Video && u.Epoch != t.session:
		d.change(t)
	default:
		d.cutter.add(t, u, b)
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
func (d *ladder) cross(t *track, u *media.AccessUnit, b *Boundary) bool {
	seam := t.crossesDiscontinuity(d.line, b)
	d.advance(t, u.DTS, b.Seq)
	if (seam || u.Track != t.track) && !d.cutter.setTrack(t, u, b.Seq) {
		d.leave(t, "its header does not fit its media")
		return false
	}
	t.session = u.Epoch // sound goes on without a seam
	t.segment.Init = t.init
	d.line.began(b, u.DTS)
	return true
}

// advance ends segments until the one with a number is under way. next is when the track goes on.
func (d *ladder) advance(t *track, next time.Duration, seq int64) {
	for t.seq < seq {
		b := d.line.get(t.seq + 1)
		d.cutter.close(t, next, b, true)
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
func (d *ladder) change(t *track) {
	d.counts.Dropped.Add(1)
	if d.leader.leads(t) || t.kind == media.Audio {
		d.line.interrupt(t.seq)
		return
	}
	d.leave(t, "its encoder changed something that the others did not")
}

// empty places all units of t and ends its segment, at a time if that is not 0.
func (d *ladder) empty(t *track, end time.Duration) {
	for t.queue.len() > 0 {
		u := t.queue.pop()
		d.place(t, &u)
	}
	if t.member != nil && !t.silent && t.segment != nil && len(t.segment.Parts)+len(t.part) > 0 {
		d.cutter.close(t, end, nil, false)
	}
}

// missed ends the segments of t for which nothing came in time.
func (d *ladder) missed(t *track) {
	for t.member != nil && t.queue.len() == 0 && !t.pub.Behind {
		next := d.line.get(t.seq + 1)
		if next == nil || d.line.now-next.At <= cut.MaxLag {
			return
		}
		d.cutter.close(t, next.At, next, false)
		t.open(next)
		if t.gaps >= maxGaps {
			d.leave(t, "nothing came for it")
		}
	}
}
