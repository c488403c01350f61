package ladder

import (
	"slices"
	"time"

	"livego/internal/hls/cut"
	"livego/internal/media"
)

// elect lets t lead if nobody better does.
func (p *Packager) elect(t *track, u *media.AccessUnit) {
	switch {
	case t.kind == media.Video && (u.RandomAccess || t.member != nil):
		p.setLead(t)
	case t.kind == media.Audio && !slices.ContainsFunc(p.tracks, func(o *track) bool { return o.kind == media.Video }):
		p.promote(t)
	}
}

// before says that playlists name a before b.
func (p *Packager) before(a, b *track) bool {
	return slices.Index(p.tracks, a) < slices.Index(p.tracks, b)
}

// reclaim lets t lead again instead of one that comes after it: the default publication is the
// measure for all others. As long as nothing is published it may begin anew.
func (p *Packager) reclaim(t *track, u *media.AccessUnit) {
	switch {
	case t.member != nil && p.line.now-u.DTS <= patience:
		p.setLead(t)
	case !p.line.fixed() && u.RandomAccess && t.pub != p.lead.pub && t.queue.len() == 0:
		if len(p.line.bounds) > 0 && (u.DTS-p.line.bounds[0].At).Abs() > cut.MaxTolerance {
			p.line.restart()
		}
		p.setLead(t)
	}
}

// setLead makes t the leading track.
func (p *Packager) setLead(t *track) {
	p.lead, p.alone = t, false
	p.line.previous = 0
	if p.line.fixed() {
		p.measure()
	}
	t.lastHeader = nil
	if t.member != nil {
		t.lastHeader, t.lastSession = t.track, t.session
	}
}

// promote lets t lead, and decides about the units that wait in its queue.
func (p *Packager) promote(t *track) {
	p.setLead(t)
	for i := range t.queue.waiting() {
		u := &t.queue.waiting()[i]
		if u.DTS > p.line.now || len(p.line.bounds) == 0 {
			p.decide(t, u, t.length())
		}
	}
}

// decide asks the timeline about the next unit of the leading track.
func (p *Packager) decide(t *track, u *media.AccessUnit, length time.Duration) {
	if t.lastHeader != nil && (u.Epoch != t.lastSession || u.Track != t.lastHeader) {
		p.line.discontinuityDue, p.line.newHeader = true, u.Epoch == t.lastSession
	}
	t.lastHeader, t.lastSession = u.Track, u.Epoch
	if u.DTS < p.line.now && len(p.line.bounds) > 0 {
		return // it was decided by another one
	}
	if !p.line.lead(u, length, t.toList(), t.joining() && p.line.fixed()) {
		return
	}
	if p.counts.Forced.Add(1) == 1 {
		p.log.Warn("CMAF segment cut before a random access point: key frames are too far apart, or the bit rate is too high",
			"at", u.DTS, "limit", p.line.limit())
	}
}

// goOnWithout lets the stream go on without the leading track if t has waited for it long enough.
func (p *Packager) goOnWithout(t *track) {
	if t.queue.len() == 0 {
		return
	}
	if p.lead == nil {
		if t.newest-t.queue.waiting()[0].DTS > patience {
			p.promote(t)
			p.proceed()
		}
		return
	}
	if t.newest-p.line.now <= max(2*p.line.part, patience) {
		return
	}
	if v := p.runnerUp(); v != nil {
		p.promote(v)
	} else if t.kind == media.Audio {
		p.line.pause(p.lead.toList())
		p.alone = true
		for i := range t.queue.waiting() {
			p.line.pace(&t.queue.waiting()[i], t.length())
		}
	}
	p.proceed()
}

// runnerUp is the video that leads instead of one that has stopped: one of the ladder, or, when
// nobody else goes on for long, one that waits for its place.
func (p *Packager) runnerUp() *track {
	var best *track
	for _, t := range p.tracks {
		wait := videoPatience
		if t.member == nil {
			wait = cut.MaxLag
		}
		if t.kind != media.Video || t == p.lead || t.newest-p.line.now <= wait {
			continue
		}
		if best == nil || t.member != nil && best.member == nil {
			best = t
		}
	}
	return best
}
