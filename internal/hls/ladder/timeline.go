package ladder

import (
	"cmp"
	"slices"
	"time"

	"livego/internal/hls/cut"
	"livego/internal/media"
)

const (
	// maxBoundaries is how many segment starts a timeline remembers: more than any rendition may
	// lag.
	maxBoundaries = 64
	// spill is how much longer than the leading track's segment one of another rendition may get:
	// an audio frame. The limit of the leading track is less by that, so that all stay within the
	// target duration.
	spill = 150 * time.Millisecond
	// maxPatience is how long the first segment may get while somebody waits for a whole one, as it
	// is with MPEG-TS: 6 s at most, with what it takes until it is seen.
	maxPatience = 5500 * time.Millisecond
	// maxLookahead bounds three quarters of a picture interval, for streams of few pictures.
	maxLookahead = 30 * time.Millisecond
	// usualInterval is the picture interval where nothing says better.
	usualInterval = 40 * time.Millisecond
)

// Boundary is where a segment begins, in all renditions.
type Boundary struct {
	// Seq is the media sequence number of the segment.
	Seq int64
	// At is the decode time of the leading track's first unit, wall the clock of the day then, zero
	// if nobody stamped it.
	At   time.Duration
	wall time.Time
	// Discontinuity: times or tracks are not those of the segment before. Before is the
	// discontinuity sequence number without this one.
	Discontinuity bool
	Before        int64
	// Early: it was chosen for somebody who waits for a whole segment, at no random access point.
	Early bool
	// unaligned: it was not chosen for a random access point, so none is asked of anybody.
	unaligned bool
	// newHeader: it was chosen because of another header, of video or of sound.
	newHeader bool
}

// timeline decides where the segments of one stream life begin. Its leading track does, unit by
// unit; all other tracks follow. So where they are cut depends on the times of their units and not
// on the order in which renditions arrive.
type timeline struct {
	opt Options
	// announce takes each boundary.
	announce func(*Boundary)
	// patient says that somebody waits for a whole segment.
	patient func() bool
	// bounds are the newest segment starts, rising.
	bounds []Boundary
	// first and next are the media sequence numbers of the first and of the next segment.
	first, next int64
	// lost are the last segments of the life before, if that broke off a moment ago: players have
	// something of them.
	lost []Boundary
	// follows: they have all of it, up to where the first segment begins.
	follows bool
	// longest is how long the segments of that life were, 0 if it is not known.
	longest time.Duration
	// firstDiscontinuity is the discontinuity sequence number at the begin, and discontinuities how
	// many there were.
	firstDiscontinuity, discontinuities int64
	// continues: the first segment follows those of an earlier life, whose target duration is the
	// least. They end at the time until of the clock of the day.
	continues bool
	least     time.Duration
	until     int64
	// discontinuityDue: the next segment begins with a discontinuity. full: it begins with the next
	// unit, as one has too many bytes.
	discontinuityDue, full bool
	// headerDue: the sound has another header from due on, and waits for a segment: until by for
	// one that begins with a random access point. newHeader: so has the video, from the next
	// segment on. early is by how much sound began the newest segment before it.
	headerDue, newHeader      bool
	headerAt, headerBy, early time.Duration
	// now is the time up to which it is decided where segments begin. lastPicture is that of the
	// leading video's last one.
	now, lastPicture time.Duration
	// previous is when the leading track's last unit came, 0 if it is another one now, most how
	// long that may last in a part, and slack how much more makes no difference.
	previous, most, slack time.Duration
	// holeEnd is where the last hole ended that is a segment of its own. sparse: such holes follow
	// each other closely, and are not made segments. holed: there is one in the segment under way.
	// paused: that began where the leading track paused, which has not gone on.
	holeEnd               time.Duration
	sparse, holed, paused bool
	// lastKey is the leading video's last random access point, gop about how far they are apart.
	lastKey, gop time.Duration
	// interval is how far the units of the leading track are apart, part the length of parts by the
	// grid, target the target duration: all are fixed when the first segment is complete, and 0
	// before.
	interval, part, target time.Duration
	// bySound: they are of frames of sound.
	bySound bool
	// longestPart is the longest part target duration of the first renditions.
	longestPart time.Duration
	// growing: the first segment is listed while it grows.
	growing bool
	clock   cut.Clock
}

func (l *timeline) last() *Boundary { return &l.bounds[len(l.bounds)-1] }

func (l *timeline) fixed() bool { return l.target != 0 }

// limit is how long a segment of the leading track may last.
func (l *timeline) limit() time.Duration {
	if l.target == 0 {
		return max(cut.MaxFirstSegment, 2*l.opt.SegmentDuration)
	}
	return l.target + cut.Rounding - spill
}

// lead decides whether u, the next unit of the leading track, which lasts for about step, begins a
// segment. joining says that the track has no place in the ladder yet, and unlisted how much of its
// media waits to be listed. It returns whether the segment was cut by force.
func (l *timeline) lead(u *media.AccessUnit, step, unlisted time.Duration, joining bool) (forced bool) {
	hole, wide := false, l.wide(u, unlisted)
	gap := wide && l.now == l.previous
	if u.Track.Kind == media.Video {
		hole = u.DTS-l.lastPicture > cut.MaxStep
		l.lastPicture = max(l.lastPicture, u.DTS)
	}
	from := l.previous
	l.previous, l.now, l.holed = u.DTS, max(l.now, u.DTS), l.holed || wide
	if len(l.bounds) == 0 {
		if u.RandomAccess {
			l.measure(u)
			l.begin(u, false)
		}
		return false
	}
	length := u.DTS - l.last().At
	if length > 0 {
		length += l.early
	}
	l.measure(u)
	switch {
	case l.headerDue && length > 0 && l.headerBegins(u):
		l.beginHeader(u, !u.RandomAccess)
	case gap && u.RandomAccess && !l.discontinuityDue && !l.sparse:
		l.skipHole(u, from+l.most-unlisted)
	case l.paused && length > l.slack && (u.RandomAccess || !joining):
		l.skipHole(u, l.last().At+l.target) // it may be too long for one segment
	case u.RandomAccess && length >= 0 && (l.discontinuityDue || joining || length >= l.opt.SegmentDuration || l.lastChance(u, length)):
		l.begin(u, false)
	case l.growing && len(l.bounds) == 1 && length+step > maxPatience && !l.discontinuityDue && l.patient():
		l.push(Boundary{At: u.DTS, Early: true, unaligned: true})
	case length+step > l.limit() || l.full:
		l.discontinuityDue = l.discontinuityDue || hole && length > l.limit()
		l.begin(u, true)
		return true
	}
	l.paused = l.paused && length < 0
	return false
}

// measure follows how far the random access points of the leading video are apart.
func (l *timeline) measure(u *media.AccessUnit) {
	if !u.RandomAccess || u.Track.Kind != media.Video {
		return
	}
	if d := u.DTS - l.lastKey; l.lastKey > 0 && d > 0 && d <= l.limit() {
		l.gop = max(d, (7*l.gop+d)/8)
	}
	l.lastKey = u.DTS
}

// lastChance says that the segment would get too long with what comes up to the next random access
// point.
func (l *timeline) lastChance(u *media.AccessUnit, length time.Duration) bool {
	return u.Track.Kind == media.Video && length > 0 && length+l.gop > l.limit()
}

// wide says that the leading track's last unit would last for longer than a part may, until u.
// unlisted is how much media before it must be made up for.
func (l *timeline) wide(u *media.AccessUnit, unlisted time.Duration) bool {
	return l.fixed() && l.previous > 0 && u.DTS-l.previous+unlisted > l.most+l.slack
}

// skipHole makes a segment, or several, of the hole from a time on up to u, of which the leading
// track has nothing.
func (l *timeline) skipHole(u *media.AccessUnit, from time.Duration) {
	for ; l.fixed() && from < u.DTS; from += l.target {
		l.push(Boundary{At: from, unaligned: true})
	}
	l.resume(u)
}

// resume begins a segment with u, which comes after a hole.
func (l *timeline) resume(u *media.AccessUnit) {
	l.begin(u, !u.RandomAccess)
	l.sparse = l.holeEnd > 0 && u.DTS-l.holeEnd < l.opt.SegmentDuration
	l.holeEnd, l.paused = u.DTS, false
}

// pause ends the segment under way where the leading track's last unit ends, because others go on
// without it.
func (l *timeline) pause(unlisted time.Duration) {
	if l.fixed() && l.now == l.previous && !l.discontinuityDue && !l.sparse && l.now >= l.last().At {
		l.push(Boundary{At: l.now + l.most - unlisted, unaligned: true})
		l.paused = true
	}
}

// pace decides the same for audio that goes on alone, because the leading video pauses.
func (l *timeline) pace(u *media.AccessUnit, step time.Duration) {
	if u.DTS < l.now || len(l.bounds) == 0 {
		return
	}
	l.now = u.DTS
	length := u.DTS - l.last().At
	quiet := u.DTS - l.lastPicture
	if l.headerDue && u.DTS >= l.headerAt {
		l.beginHeader(u, true)
		l.paused = true
		return
	}
	if length+step > l.limit() || length >= l.opt.SegmentDuration && quiet >= l.opt.SegmentDuration {
		l.begin(u, true)
		l.paused = true
	}
}

// turn notes that another track leads from here on.
func (l *timeline) turn() { l.previous = 0 }

// change notes that the leading track has another header from here on, or is of another session.
func (l *timeline) change(header bool) { l.discontinuityDue, l.newHeader = true, header }

// interrupt has the segment behind the one with a number begin with a discontinuity, unless it
// began already.
func (l *timeline) interrupt(seq int64) {
	l.discontinuityDue = l.discontinuityDue || l.get(seq+1) == nil
}

// overflow has a segment begin with the next unit, as one has too many bytes.
func (l *timeline) overflow() { l.full = true }

// began notes when a track began the segment of b, which may be before the boundary.
func (l *timeline) began(b *Boundary, at time.Duration) {
	if b == l.last() {
		l.early = max(l.early, min(b.At-at, l.limit()/2))
	}
}

// askForHeader asks for a segment for sound that has another header from a time on. It begins with
// the next random access point if that comes soon, for often both headers come together.
func (l *timeline) askForHeader(at time.Duration) {
	if !l.headerDue && len(l.bounds) > 0 {
		l.headerDue, l.headerAt, l.headerBy = true, at, max(at, l.now)+cut.HeaderPatience
		if l.last().newHeader {
			l.headerBy = max(l.headerBy, l.last().At+cut.HeaderInterval)
		}
	}
}

// headerBegins says that it begins with u.
func (l *timeline) headerBegins(u *media.AccessUnit) bool {
	switch {
	case u.Track.Kind == media.Audio:
		return u.DTS >= l.headerAt
	case u.RandomAccess:
		return u.DTS >= l.headerAt-cut.HeaderPatience
	}
	return u.DTS >= l.headerBy
}

// beginHeader begins it. That makes no discontinuity: players would leave out the pictures up to
// the next random access point. A discontinuity that is due waits for it.
func (l *timeline) beginHeader(u *media.AccessUnit, unaligned bool) {
	due := l.discontinuityDue && unaligned
	l.newHeader, l.discontinuityDue = true, l.discontinuityDue && !unaligned
	l.begin(u, unaligned)
	l.discontinuityDue = due
}

// begin puts a boundary at u.
func (l *timeline) begin(u *media.AccessUnit, unaligned bool) {
	b := Boundary{At: u.DTS, unaligned: unaligned, Discontinuity: l.discontinuityDue && len(l.bounds) > 0}
	if len(l.bounds) == 0 || b.Discontinuity {
		b.Discontinuity = b.Discontinuity || l.continues
		l.anchor(u)
	}
	l.discontinuityDue = false
	l.push(b)
}

// push adds a boundary. Times rise.
func (l *timeline) push(b Boundary) {
	b.Seq, b.Before = l.next, l.firstDiscontinuity+l.discontinuities
	if len(l.bounds) > 0 {
		b.At = max(b.At, l.last().At)
	}
	if b.Discontinuity {
		l.discontinuities++
	}
	b.wall, b.newHeader = l.clock.At(b.At), l.newHeader
	l.headerDue, l.newHeader, l.early = false, false, 0
	l.full, l.sparse, l.holed = false, l.sparse && l.holed, false
	l.next++
	if len(l.bounds) == maxBoundaries {
		l.bounds = append(l.bounds[:0], l.bounds[1:]...)
	}
	l.bounds = append(l.bounds, b)
	l.announce(&b)
}

// restart forgets all boundaries, of which nothing was published.
func (l *timeline) restart() {
	l.bounds, l.next, l.now, l.lastPicture, l.previous = nil, l.first, 0, 0, 0
	l.discontinuities, l.discontinuityDue, l.full = 0, false, false
	l.headerDue, l.newHeader, l.early = false, false, 0
	l.clock = cut.Clock{}
}

// anchor maps the timeline to the clock of the day by the arrival of u. The clock does not go back.
func (l *timeline) anchor(u *media.AccessUnit) {
	c := cut.Clock{Arrived: u.Arrived, DTS: u.DTS}
	if c.Arrived != 0 {
		c.Arrived = max(c.Arrived, l.until)
	}
	if l.clock == (cut.Clock{}) || c.Arrived != 0 && c.At(u.DTS).After(l.clock.At(u.DTS)) {
		l.clock = c
	}
}

// find returns the boundary of the segment to which a time belongs, nil if there is none.
func (l *timeline) find(t time.Duration) *Boundary {
	for i := len(l.bounds) - 1; i >= 0; i-- {
		if l.bounds[i].At <= t {
			return &l.bounds[i]
		}
	}
	return nil
}

// get returns the boundary with a number, nil if it is forgotten or yet to come.
func (l *timeline) get(seq int64) *Boundary {
	if len(l.bounds) == 0 {
		return nil
	}
	i := seq - l.bounds[0].Seq
	if i < 0 || i >= int64(len(l.bounds)) {
		return nil
	}
	return &l.bounds[i]
}

// nextDiscontinuity returns the first boundary behind a segment that is a discontinuity, nil if
// none is known.
func (l *timeline) nextDiscontinuity(seq int64) *Boundary {
	for i := range l.bounds {
		if b := &l.bounds[i]; b.Seq > seq && b.Discontinuity {
			return b
		}
	}
	return nil
}

// fix settles what depends on the first segment, which ends at end: units are those of the leading
// track, frame their length if that is constant.
func (l *timeline) fix(units []media.AccessUnit, frame, end time.Duration) {
	l.interval = frame
	if frame == 0 {
		l.interval = interval(units)
	}
	n := max(1, (l.opt.PartDuration+l.interval/2)/l.interval)
	first := end - l.bounds[0].At
	l.target = (max(first, l.opt.SegmentDuration, l.least) + time.Second - 1).Truncate(time.Second)
	l.part = min(n*l.interval, l.target)
}

// firstTarget estimates the target duration while the first segment is under way, for about as long
// as elapsed. It is what the life before needed, for players look for news as seldom as that says.
// Else it is what random access points need that are as far apart as encoders usually make them.
func (l *timeline) firstTarget(kind media.Kind, elapsed, frame time.Duration) time.Duration {
	switch {
	case l.longest > elapsed:
		return max(l.opt.SegmentDuration, l.longest)
	case kind == media.Audio:
		return l.opt.SegmentDuration + frame
	case elapsed > cut.UsualGOP-time.Second:
		return max(l.opt.SegmentDuration, cut.MaxFirstSegment)
	}
	return max(l.opt.SegmentDuration, cut.UsualGOP)
}

// knowTime is how much media there must be until it is known what a stream has.
func (l *timeline) knowTime() time.Duration {
	if l.follows {
		return min(l.opt.PartDuration, knowTime) // all tracks were there before
	}
	return knowTime
}

// firstList is how much media there must be in the first segment before it is listed. Players begin
// so far before the end as PART-HOLD-BACK says, but for those who have what comes before.
func (l *timeline) firstList() time.Duration {
	if l.follows {
		return 0
	}
	return l.partHoldBack()
}

// tolerance is how far from a boundary a unit may lie that begins there.
func (l *timeline) tolerance() time.Duration { return min(l.interval/2, cut.MaxTolerance) }

// ahead is how far after the leading track's newest unit nothing more will be decided.
func (l *timeline) ahead() time.Duration { return min(l.interval*3/4, maxLookahead) }

// interval measures how far units are apart, exact to a fraction of the milliseconds in which their
// times come: the mean of those distances that are about the median, because encoders leave
// pictures out.
func interval(units []media.AccessUnit) time.Duration {
	steps := make([]time.Duration, 0, len(units))
	for i := 1; i < len(units); i++ {
		if d := units[i].DTS - units[i-1].DTS; d > 0 {
			steps = append(steps, d)
		}
	}
	if len(steps) == 0 {
		return usualInterval
	}
	slices.SortFunc(steps, cmp.Compare[time.Duration])
	median := steps[len(steps)/2]
	sum, n := time.Duration(0), time.Duration(0)
	for _, d := range steps {
		if d >= median*2/3-time.Millisecond && d <= median*4/3+time.Millisecond {
			sum += d
			n++
		}
	}
	return sum / n
}
