package ladder

import (
	"livego/internal/media"
)

// The walk of a unit goes forward, and calls nothing before it again:
//
//	Write                    → which track, or the stand-by's queue, or left out
//	take                     → silence in front of it, where sound is missing
//	leader.accept            → the track's queue; the leading track decides where segments begin
//	leader.fixFirst          → the grid of parts and the target duration, by the first segment
//	ladder.placeDecided      → the segment to which the unit belongs; joining and leaving
//	cutter.add               → the part to which it belongs
//	output.publish, complete → what requests see
//	watch                    → tracks for which nothing comes: silence, gaps, leaving
//	moveSound                → sound goes on from another publication, whose units then walk

// take puts a unit of a track in line, and silence before it where sound is missing.
func (p *Packager) take(t *track, u *media.AccessUnit) {
	if t.kind == media.Audio {
		p.fillHole(t, u)
	}
	p.enqueue(t, u)
}

// enqueue puts a unit of a track in line, and goes on with what can be placed then.
func (p *Packager) enqueue(t *track, u *media.AccessUnit) {
	if !p.leader.accept(t, u) {
		p.counts.Dropped.Add(1)
		return
	}
	decided := p.leader.decided(t, u)
	if !decided && p.leader.track != nil {
		p.ladder.placeDecided(t)
	}
	if decided || p.leader.goOnWithout(t) {
		p.proceed()
	}
}

// proceed places what can be placed after something was decided.
func (p *Packager) proceed() {
	p.leader.fixFirst()
	for i := 0; i < len(p.roster.tracks); i++ { // tracks may leave meanwhile
		p.ladder.placeDecided(p.roster.tracks[i])
	}
	for i := 0; i < len(p.roster.tracks); i++ {
		p.watch(p.roster.tracks[i])
	}
}

// watch lets t leave if its publisher was lost, makes silence where its sound is missing, and ends
// segments for which nothing came in time.
func (p *Packager) watch(t *track) {
	if p.roster.isLost(t) {
		p.ladder.leave(t, "its publisher was lost, and others go on")
		return
	}
	if !p.watchSound(t) {
		p.ladder.missed(t)
	}
}
