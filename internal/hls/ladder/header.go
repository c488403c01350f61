package ladder

import (
	"slices"

	"livego/internal/hls/cut"
	"livego/internal/media"
)

// Sound that has another initialization section from a frame on begins a segment there, for a
// segment has one (RFC 8216bis 4.4.4.5). The leading track makes one soon after. What has come by
// then begins it, earlier than the pictures do.

// waitsForHeader says that a unit of sound, the first that waits, must wait for longer: it is the
// first of another header, and no segment begins yet. Or a segment begins here because the pictures
// have another header: the sound may soon have one too, which begins that segment then.
func (d *ladder) waitsForHeader(t *track, u *media.AccessUnit) bool {
	if t.kind != media.Audio || t.member == nil || d.leader.leads(t) {
		return false
	}
	b := d.line.get(t.seq + 1)
	switch {
	case !t.sameSound(u.Track, u.Data):
		if b == nil {
			d.line.askForHeader(u.DTS)
		}
		return b == nil
	case b == nil || !b.newHeader || u.DTS+t.reach(d.line, u) < b.At || d.line.now-b.At > cut.HeaderPatience || t.hasOtherHeader(b):
		return false
	case t.waitedFor < b.Seq:
		t.waitedFor, t.waitedAt = b.Seq, t.newest
		return true
	}
	return t.newest == t.waitedAt
}

// byHeader returns the boundary of the segment to which a unit of sound belongs, which is b by its
// time: the frames of one header are in one segment and those of the next one in another.
func (t *track) byHeader(l *timeline, u *media.AccessUnit, b *Boundary) *Boundary {
	switch next := l.get(t.seq + 1); {
	case next == nil:
	case u.Track != t.track && b.Seq <= t.seq:
		return next
	case u.Track == t.track && b == next && b.newHeader && t.hasOtherHeader(b):
		return l.get(t.seq)
	}
	return b
}

// hasOtherHeader says that sound of another header waits, which begins the segment of b.
func (t *track) hasOtherHeader(b *Boundary) bool {
	waiting := t.queue.waiting()
	i := slices.IndexFunc(waiting, func(u media.AccessUnit) bool { return !t.sameSound(u.Track, u.Data) })
	return i >= 0 && waiting[i].DTS-b.At <= cut.HeaderPatience
}
