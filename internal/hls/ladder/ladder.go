package ladder

import (
	"fmt"
	"slices"

	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// ladder is what the renditions form: tracks join it where they match, and leave it. It knows to
// which segment a unit belongs.
type ladder struct {
	counts  *Counts
	journal *journal
	roster  *roster
	line    *timeline
	leader  *leader
	output  *output
	cutter  *cutter
	// used is the newest segment of any rendition that left: no name is used twice.
	used int64
}

// mayJoin says whether t, which waits for it, can begin with u.
func (d *ladder) mayJoin(t *track, u *media.AccessUnit, b *Boundary) bool {
	if t.tries == 0 && t.tried == 0 && !(b.Seq == d.line.first && t.kind == media.Audio) && !t.near(d.line, u, b) {
		t.tried = b.Seq // it came in the middle
		return false
	}
	switch {
	case b.Seq <= d.used:
	case t.kind == media.Audio && b.Seq > t.tried || t.near(d.line, u, b):
		return true
	case b.Seq > t.tried:
		t.tried = b.Seq
		if !b.unaligned {
			t.tries++
		}
		if t.tries >= maxTries {
			d.exclude(t, "its key frames do not coincide with those of the first rendition")
		}
	}
	return false
}

// join makes t a member of the ladder, from the segment on that begins at b.
func (d *ladder) join(t *track, u *media.AccessUnit, b *Boundary) bool {
	t.member = &member{Rendition: d.output.rendition(t)}
	if !d.cutter.setTrack(t, u, b.Seq) {
		t.member = nil
		return false
	}
	t.tries = 0
	t.rates = playlist.Rates{Peak: t.StoredPeak(b.Seq)}
	t.cadence = d.line.cadenceOf(t)
	d.output.show.Put(t.Rendition)
	t.open(b)
	return true
}

// leave takes t out of the ladder. It comes back at a boundary that it matches.
func (d *ladder) leave(t *track, reason string) {
	d.leader.release(t)
	if t.member == nil {
		return
	}
	d.journal.tellLeft(t, reason)
	d.used = max(d.used, t.seq)
	d.output.remove(t)
	t.member = nil
	t.standing, t.tried, t.tries, t.lateness = active, 0, 0, 0
	d.output.present(false)
}

// exclude leaves a track out.
func (d *ladder) exclude(t *track, reason string) {
	d.leave(t, reason)
	misaligned := t.tries >= maxTries
	t.standing = out
	t.queue = unitQueue{}
	d.roster.remove(t)
	if misaligned && len(d.roster.pubs) > 1 && !slices.ContainsFunc(t.pub.tracks, func(o *track) bool { return o.kind == media.Video && o.member != nil }) {
		t.pub.Err = fmt.Errorf("rendition %q: %s; let all encoders use the same fixed key frame interval and one clock: %w", t.pub.Rendition, reason, ErrMisaligned)
	}
	t.objection = reason
}
