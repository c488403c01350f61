package ladder

import (
	"slices"
	"time"

	"livego/internal/hls/cut"
	"livego/internal/media"
)

const (
	// patience is how long, in media time, audio waits for the leading video before it goes on
	// alone. videoPatience is how long video of the ladder waits before it leads itself: by then
	// the other one has stopped, it is not only late.
	patience      = 500 * time.Millisecond
	videoPatience = 1500 * time.Millisecond
	// knowTime is how much media there must be until it is known what a stream has, and fewUnits
	// how many units of the leading track to tell how far they are apart.
	knowTime = 400 * time.Millisecond
	fewUnits = 3
)

// leader is the track that leads: by its units it is decided where segments begin. All tracks put
// their units in line here.
type leader struct {
	counts  *Counts
	journal *journal
	roster  *roster
	line    *timeline
	// wanted says that somebody waits for the stream.
	wanted func() bool
	// track is nil while none leads.
	track *track
	// alone: the leading video pauses, and audio goes on.
	alone bool
}

// leads says whether t is the leading track.
func (l *leader) leads(t *track) bool { return l.track == t }

// release lets t lead no more.
func (l *leader) release(t *track) {
	if l.track == t {
		l.track, l.alone = nil, false
	}
}

// accept puts a unit of a track in line, and decides by it where segments begin if the track leads.
// It is false if nothing can begin with the unit.
func (l *leader) accept(t *track, u *media.AccessUnit) bool {
	if l.track == nil || l.track.kind == media.Audio && t.kind == media.Video {
		l.elect(t, u)
	} else if t.kind == media.Video && t != l.track && l.roster.before(t, l.track) {
		l.reclaim(t, u)
	}
	if l.track == nil && t.kind == media.Video || l.track == t && len(l.line.bounds) == 0 && !u.RandomAccess {
		return false
	}
	length := t.count(u)
	if t == l.track {
		l.decide(t, u, length)
	}
	t.queue.push(u)
	l.bound(t)
	return true
}

// decided says whether anything was decided by u, a unit of t that was accepted.
func (l *leader) decided(t *track, u *media.AccessUnit) bool {
	switch {
	case l.track == nil:
		return false
	case t == l.track:
		l.alone = false
		return true
	case l.alone && t.kind == media.Audio:
		l.line.pace(u, t.length())
		return true
	}
	return false
}

// bound holds a queue within its limits.
func (l *leader) bound(t *track) {
	for share := l.roster.share(); t.queue.len() > maxQueue || t.queue.bytes > share; {
		if t == l.track {
			l.line.overflow()
			if t.queue.len() <= maxQueue+1 {
				return
			}
		}
		t.queue.pop()
		l.counts.Dropped.Add(1)
	}
}

// elect lets t lead if nobody better does.
func (l *leader) elect(t *track, u *media.AccessUnit) {
	switch {
	case t.kind == media.Video && (u.RandomAccess || t.member != nil):
		l.setLead(t)
	case t.kind == media.Audio && !slices.ContainsFunc(l.roster.tracks, func(o *track) bool { return o.kind == media.Video }):
		l.promote(t)
	}
}

// reclaim lets t lead again instead of one that comes after it: the default publication is the
// measure for all others. As long as nothing is published it may begin anew.
func (l *leader) reclaim(t *track, u *media.AccessUnit) {
	switch {
	case t.member != nil && l.line.now-u.DTS <= patience:
		l.setLead(t)
	case !l.line.fixed() && u.RandomAccess && t.pub != l.track.pub && t.queue.len() == 0:
		if len(l.line.bounds) > 0 && (u.DTS-l.line.bounds[0].At).Abs() > cut.MaxTolerance {
			l.line.restart()
		}
		l.setLead(t)
	}
}

// setLead makes t the leading track.
func (l *leader) setLead(t *track) {
	l.track, l.alone = t, false
	l.line.turn()
	if l.line.fixed() {
		l.measure()
	}
	t.lastHeader = nil
	if t.member != nil {
		t.lastHeader, t.lastSession = t.track, t.session
	}
}

// promote lets t lead, and decides about the units that wait in its queue.
func (l *leader) promote(t *track) {
	l.setLead(t)
	for i := range t.queue.waiting() {
		u := &t.queue.waiting()[i]
		if u.DTS > l.line.now || len(l.line.bounds) == 0 {
			l.decide(t, u, t.length())
		}
	}
}

// decide asks the timeline about the next unit of the leading track.
func (l *leader) decide(t *track, u *media.AccessUnit, length time.Duration) {
	if t.lastHeader != nil && (u.Epoch != t.lastSession || u.Track != t.lastHeader) {
		l.line.change(u.Epoch == t.lastSession)
	}
	t.lastHeader, t.lastSession = u.Track, u.Epoch
	if u.DTS < l.line.now && len(l.line.bounds) > 0 {
		return // it was decided by another one
	}
	if l.line.lead(u, length, t.toList(), t.joining() && l.line.fixed()) {
		l.journal.forced(u.DTS, l.line.limit())
	}
}

// goOnWithout lets the stream go on without the leading track if t has waited for it long enough,
// and does not only come in bursts. It is true if something was decided.
func (l *leader) goOnWithout(t *track) bool {
	if t.queue.len() == 0 {
		return false
	}
	if l.track == nil {
		first := &t.queue.waiting()[0]
		ahead := t.newest - first.DTS
		late := ahead > patience && !(first.Arrived != 0 && cut.Bursts(ahead, time.Duration(t.came-first.Arrived)))
		if late {
			l.promote(t)
		}
		return late
	}
	if ahead := t.newest - l.line.now; ahead <= max(2*l.line.part, patience) || t.bursts(l.track, ahead) {
		return false
	}
	if v := l.runnerUp(); v != nil {
		l.promote(v)
	} else if t.kind == media.Audio {
		l.line.pause(l.track.toList())
		l.alone = true
		for i := range t.queue.waiting() {
			l.line.pace(&t.queue.waiting()[i], t.length())
		}
	}
	return true
}

// runnerUp is the video that leads instead of one that has stopped: one of the ladder, or, when
// nobody else goes on for long, one that waits for its place.
func (l *leader) runnerUp() *track {
	var best *track
	for _, t := range l.roster.tracks {
		wait := videoPatience
		if t.member == nil {
			wait = cut.MaxLag
		}
		if t.kind != media.Video || t == l.track || t.newest-l.line.now <= wait {
			continue
		}
		if best == nil || t.member != nil && best.member == nil {
			best = t
		}
	}
	return best
}

// successor is the best of the tracks to lead instead of the one that does: one whose publisher is
// there, one that is in the ladder, and of those the first.
func (l *leader) successor() *track {
	score := func(t *track) (n int) {
		if !t.pub.idle {
			n += 2
		}
		if t.member != nil {
			n++
		}
		return n
	}
	var best *track
	for _, t := range l.roster.tracks {
		if t != l.track && (best == nil || score(t) > score(best)) {
			best = t
		}
	}
	return best
}

// fixFirst settles what depends on the first segment, as soon as that is known.
func (l *leader) fixFirst() {
	switch {
	case l.line.fixed():
	case len(l.line.bounds) > 1:
		end := l.line.bounds[1].At
		if first := l.line.bounds[0].At; l.line.bounds[1].newHeader && l.line.bounds[1].unaligned { // that says nothing of random access points
			end = max(end, first+l.line.firstTarget(l.track.kind, end-first, l.track.length()))
		}
		l.fix(end)
	case l.mayFix():
		l.fixEarly()
	}
}

// mayFix says that somebody waits for the first segment, and that enough is known to list its parts
// while it grows.
func (l *leader) mayFix() bool {
	return l.wanted() && l.track != nil && len(l.line.bounds) == 1 && !l.line.continues && l.roster.caughtUp() &&
		l.line.now-l.line.bounds[0].At >= l.line.knowTime() && l.track.queue.len() >= fewUnits
}

// fixEarly settles what depends on the first segment before that ends.
func (l *leader) fixEarly() {
	first := l.line.bounds[0].At
	l.line.growing = true
	l.fix(first + l.line.firstTarget(l.track.kind, l.line.now-first, l.track.length()))
}

// fixNow settles what depends on the first segment, which ends here. It is false if none has begun.
func (l *leader) fixNow() bool {
	if !l.line.fixed() && l.track != nil && len(l.line.bounds) > 0 {
		l.fix(l.track.newest + l.track.length())
	}
	return l.line.fixed()
}

// fix settles what depends on the first segment, which ends at end.
func (l *leader) fix(end time.Duration) {
	l.line.fix(l.track.queue.waiting(), frame(l.track.header), end)
	l.measure()
	longest := time.Duration(0)
	if l.line.bySound = l.track.kind == media.Audio; l.line.bySound {
		longest = pictureCadence(l.line.part, l.line.interval).target // pictures may join, and PART-HOLD-BACK stays
	}
	for _, t := range l.roster.tracks {
		longest = max(longest, l.line.cadenceOf(t).target)
	}
	l.line.longestPart = longest
}

// measure tells the timeline how long a unit of the leading track may last.
func (l *leader) measure() {
	c := l.line.cadenceOf(l.track)
	l.line.most, l.line.slack = c.target, c.slack()
	if l.track.kind == media.Audio {
		l.line.most = l.track.length()
	}
}
