// Package ladder packages the tracks of all publications of a stream as CMAF with partial segments
// (Low-Latency HLS, draft-pantos-hls-rfc8216bis), cut at the same times in all of them. DESIGN.md
// says what the rules are, and why.
//
//	Packager.Write → timeline (where segments begin) → track (parts) → Presentation (what requests see)
package ladder

import (
	"cmp"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync/atomic"
	"time"

	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/media"
	"livego/internal/spool"
)

// ErrMisaligned: a publication's random access points are not where those of the stream's first one
// are, so that no player could switch between them.
var ErrMisaligned = errors.New("renditions not aligned")

const (
	// maxRenditions bounds the renditions of a stream: as many as a multivariant playlist is read
	// for, and a player switches between.
	maxRenditions = 16
	// patience is how long, in media time, audio waits for the leading video before it goes on
	// alone, and videoPatience how long video of the ladder waits before it leads itself: by then
	// the other one has stopped, it is not only late.
	patience      = 500 * time.Millisecond
	videoPatience = 1500 * time.Millisecond
)

// Options configures a packager. All fields but PartDelay must be set.
type Options struct {
	// SegmentDuration is the least length of a segment that is cut at a random access point,
	// PartDuration about that of a part: the nearest whole number of pictures.
	SegmentDuration, PartDuration time.Duration
	// ListSize is the least number of segments in a playlist.
	ListSize int
	// MaxSegmentBytes bounds a segment, MaxStreamBytes the segments of all renditions together.
	MaxSegmentBytes, MaxStreamBytes int
	// PartDelay, if set, is told of each part how long after its last unit came players could have
	// it. It must not wait.
	PartDelay func(time.Duration)
	// Now is the wall clock.
	Now func() time.Time
}

// Start is with what the packaging of a life begins, and whom it tells.
type Start struct {
	// First is the number of the first segment, Lost are the last ones of the life before, if that
	// broke off a moment ago: players have something of them.
	First int64
	Lost  []Boundary
	// FirstDiscontinuity is the discontinuity sequence number at the begin.
	FirstDiscontinuity int64
	// Continues: the first segment follows those of an earlier life, whose target duration is
	// LeastTarget at least. They end at the time Until of the clock of the day, in ns since 1970.
	Continues   bool
	LeastTarget time.Duration
	Until       int64
	// Announce takes the begin of each segment.
	Announce func(*Boundary)
	// Show is what requests see.
	Show *Presentation
	// Stored takes the segments for rewinding, Sink all that are complete. Either may be nil.
	Stored *spool.Life
	Sink   Sink
	// Wanted says that somebody waits for the stream.
	Wanted func() bool
	Log    *slog.Logger
	Counts *Counts
}

// Packager makes CMAF renditions of one stream life. The caller makes sure that one goroutine at a
// time uses it.
type Packager struct {
	opt    Options
	log    *slog.Logger
	counts *Counts
	show   *Presentation
	// stored takes the segments for rewinding, nil if there is none.
	stored *spool.Life
	// sink takes complete segments too, nil if nobody wants them.
	sink Sink

	line timeline
	pubs []*Publication
	// tracks are those that are packaged or may be, in the order in which playlists name them.
	tracks []*cmafTrack
	// lead is the track that decides where segments begin, nil while there is none.
	lead *cmafTrack
	// alone: the leading video pauses, and audio goes on.
	alone bool
	// bytes is the size of all that can be fetched or is under way.
	bytes int
	// longestPart is the longest part target duration of the first renditions.
	longestPart time.Duration
	// used is the newest segment of any rendition that left: no name is used twice.
	used int64
	// dependent: a segment cannot all be decoded without those before, as it began without a sync
	// sample, or has pictures that are skipped then.
	dependent bool
	leftOut   map[string]bool
	// left counts how often a rendition left the ladder, moved how often one went on with another
	// publication, hushed how often one fell silent.
	left, moved, hushed int
	// bridged counts the holes in sound that were filled.
	bridged int
	// begun is when the first unit came.
	begun time.Time
	// closing: the last parts are listed, but not that they are the last ones.
	closing bool
	// cues counts the events of the life.
	cues int
	// unfit counts units that could not be written.
	unfit uint64
	// unstored: the log has a segment that was not stored.
	unstored bool
	// wanted says that somebody waits for the stream. growing: its first segment is
	// listed while it grows.
	wanted  func() bool
	growing bool
}

// New makes a packager without publications.
func New(opt Options, start Start) *Packager {
	return &Packager{
		opt: opt, log: start.Log, counts: start.Counts, show: start.Show, stored: start.Stored, sink: start.Sink, wanted: start.Wanted,
		line: timeline{
			opt: opt, announce: start.Announce, first: start.First, next: start.First, lost: start.Lost,
			firstDiscontinuity: start.FirstDiscontinuity, continues: start.Continues, least: start.LeastTarget, until: start.Until,
		},
		leftOut: make(map[string]bool),
	}
}

// Publication is one encoder's contribution to a stream.
type Publication struct {
	// Rendition names it, "" for the stream's default one.
	Rendition string
	// epoch is the publisher session, valid once started. turn counts sessions and jumps of time.
	epoch, turn uint32
	started     bool
	// idle: its publisher was lost and may come back. The video of others had come as far as others
	// says then.
	idle   bool
	others map[*cmafTrack]time.Duration
	// Behind: there is more to be read of it at once.
	Behind bool
	tracks []*cmafTrack
	// Err says why it must end.
	Err error
}

// Enter adds a publication. The default one is the first.
func (p *Packager) Enter(pub *Publication) {
	at := len(p.pubs)
	if pub.Rendition == "" {
		at = 0
	}
	p.pubs = slices.Insert(p.pubs, at, pub)
}

// Write takes the next unit of a publication. Units that cannot be packaged are counted and left
// out.
func (p *Packager) Write(pub *Publication, u *media.AccessUnit) {
	if p.begun.IsZero() {
		p.begun = p.opt.Now()
	}
	pub.follow(u)
	if u.Epoch != pub.epoch || u.Track == nil {
		return
	}
	if u.Track.Kind == media.Data {
		p.script(pub, u)
		return
	}
	if u.Track.Kind == media.Audio && (u.Header == media.SequenceEnd || u.Header == media.Sample && len(u.Data) == 0) {
		pub.quieten(u.Track)
		return
	}
	if u.Header != media.Sample && (u.Header != media.SequenceHeader || !u.Track.Parsed) {
		return // what a header does not say, the first key frame may: VP9's has no picture size
	}
	t := p.track(pub, u.Track)
	if len(p.tracks) == 0 && u.Header == media.Sample {
		p.refuse()
	}
	if u.Header != media.Sample || len(u.Data) == 0 {
		return
	}
	if t.standing == out {
		p.tell(t)
		return
	}
	if err := fmp4.Check(u); err != nil {
		p.drop(t, u, err)
		return
	}
	if t.kind == media.Audio && !p.heard(t, u) || u.DTS < t.newest {
		p.counts.Dropped.Add(1)
		return
	}
	unit := *u
	unit.Epoch, unit.Body, unit.Track = pub.turn, nil, t.header
	if t.standing == spare {
		p.standBy(t, &unit)
		return
	}
	p.take(t, &unit)
}

// follow notices new publisher sessions and jumps of time.
func (pub *Publication) follow(u *media.AccessUnit) {
	if pub.started && (u.Epoch > pub.epoch || u.Discontinuity) {
		pub.turn++
	}
	pub.epoch, pub.started, pub.idle, pub.others = max(pub.epoch, u.Epoch), true, false, nil
}

// track returns what is known of a track, and takes notice of a new header.
func (p *Packager) track(pub *Publication, header *media.Track) *cmafTrack {
	i := slices.IndexFunc(pub.tracks, func(t *cmafTrack) bool { return t.kind == header.Kind && t.number == header.ID })
	if i >= 0 && pub.tracks[i].has(header) && (pub.tracks[i].standing != spare || p.spare(pub.tracks[i])) {
		return pub.tracks[i]
	}
	var t *cmafTrack
	if i >= 0 {
		t = pub.tracks[i]
	} else {
		t = &cmafTrack{pub: pub, kind: header.Kind, number: header.ID, standing: out, lastKey: -1}
		pub.tracks = append(pub.tracks, t)
	}
	t.header, t.same, t.objection = header, nil, ""
	if before := t.newest; t.kind == media.Audio && before > 0 && t != p.lead && (!p.line.fixed() || t.member != nil && p.line.get(t.seq+1) == nil) {
		p.line.renew(before + t.length())
	}
	switch reason := p.objection(t); {
	case reason != "":
		p.exclude(t, reason)
	case t.standing != active:
		t.standing = spare
		if !p.spare(t) {
			p.welcome(t)
		}
	}
	return t
}

// objection says why a track cannot be packaged, "" if it can.
func (p *Packager) objection(t *cmafTrack) string {
	switch {
	case !fmp4.Supports(t.header):
		return cut.CannotCarry("CMAF", t.header)
	case t.standing != active && len(p.tracks) >= p.room(t.kind):
		return "a stream has so many renditions at most"
	}
	return ""
}

// room is how many renditions there may be for one more of a kind: the last place is for a kind
// that has none yet, so that many videos leave one for the sound.
func (p *Packager) room(kind media.Kind) int {
	if slices.ContainsFunc(p.tracks, func(o *cmafTrack) bool { return o.kind != kind }) || len(p.tracks) == 0 {
		return maxRenditions
	}
	return maxRenditions - 1
}

func (pub *Publication) has(kind media.Kind) bool {
	return slices.ContainsFunc(pub.tracks, func(t *cmafTrack) bool { return t.kind == kind && t.standing == active })
}

// welcome lets a track wait for its place.
func (p *Packager) welcome(t *cmafTrack) {
	t.standing, t.tried, t.tries = active, 0, 0
	p.show.Carries.Store(true)
	p.tracks = append(p.tracks, t)
	p.sort()
}

// sort puts the tracks in the order of playlists.
func (p *Packager) sort() {
	slices.SortStableFunc(p.tracks, func(a, b *cmafTrack) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(p.rank(a), p.rank(b)), cmp.Compare(a.number, b.number))
	})
}

// rank is the place of a track's publication. Sound has none: it stays where it is when it comes
// from another one.
func (p *Packager) rank(t *cmafTrack) int {
	if t.kind == media.Audio {
		return 0
	}
	return slices.Index(p.pubs, t.pub)
}

// exclude leaves a track out.
func (p *Packager) exclude(t *cmafTrack, reason string) {
	p.leave(t, reason)
	misaligned := t.tries >= maxTries
	t.standing = out
	t.queue = unitQueue{}
	p.tracks = slices.DeleteFunc(p.tracks, func(o *cmafTrack) bool { return o == t })
	if misaligned && len(p.pubs) > 1 && !slices.ContainsFunc(t.pub.tracks, func(o *cmafTrack) bool { return o.kind == media.Video && o.member != nil }) {
		t.pub.Err = fmt.Errorf("rendition %q: %s; let all encoders use the same fixed key frame interval and one clock: %w", t.pub.Rendition, reason, ErrMisaligned)
	}
	t.objection = reason
}

// tell logs why a track is left out, once its media flow: what is known of it may be refined until
// then.
func (p *Packager) tell(t *cmafTrack) {
	reason, key := t.objection, t.pub.Rendition+"."+t.id()+cut.CodecName(t.header)
	t.objection = ""
	if reason == "" || p.leftOut[key] || len(p.leftOut) >= cut.MaxTrackLogs {
		return
	}
	p.leftOut[key] = true
	p.log.Warn("track left out of CMAF", "publication", t.pub.Rendition, "rendition", t.id(), "codec", string(t.header.Codec), "reason", reason)
}

// take puts a unit of a track in line, and silence before it where sound is missing.
func (p *Packager) take(t *cmafTrack, u *media.AccessUnit) {
	if t.kind == media.Audio {
		p.bridge(t, u)
	}
	p.enqueue(t, u)
}

// enqueue puts a unit of a track in line, and places what can be placed.
func (p *Packager) enqueue(t *cmafTrack, u *media.AccessUnit) {
	if p.lead == nil || p.lead.kind == media.Audio && t.kind == media.Video {
		p.elect(t, u)
	} else if t.kind == media.Video && t != p.lead && p.before(t, p.lead) {
		p.reclaim(t, u)
	}
	if p.lead == nil && t.kind == media.Video || p.lead == t && len(p.line.bounds) == 0 && !u.RandomAccess {
		p.counts.Dropped.Add(1)
		return
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
	switch {
	case p.lead == nil:
		p.impatient(t)
	case t == p.lead:
		p.alone = false
		p.settle()
	case p.alone && t.kind == media.Audio:
		p.line.pace(u, length)
		p.settle()
	default:
		p.drain(t)
		p.impatient(t)
	}
}

// share bounds, in bytes, what waits to be packaged of each track, and is half the bound of its
// newest segment: of these none can be dropped.
func (p *Packager) share() int {
	return min(p.opt.MaxSegmentBytes, p.opt.MaxStreamBytes/max(1, 2*len(p.tracks)))
}

// bound holds a queue within its limits.
func (p *Packager) bound(t *cmafTrack) {
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

// settle places what can be placed after something was decided.
func (p *Packager) settle() {
	switch {
	case p.line.fixed():
	case len(p.line.bounds) > 1:
		end := p.line.bounds[1].At
		if first := p.line.bounds[0].At; p.line.bounds[1].turn && p.line.bounds[1].loose { // that says nothing of random access points
			end = max(end, first+p.line.firstTarget(p.lead.kind, end-first, p.lead.length()))
		}
		p.fix(end)
	case p.mayFix():
		p.fixEarly()
	}
	for i := 0; i < len(p.tracks); i++ { // tracks may leave meanwhile
		p.drain(p.tracks[i])
	}
	for i := 0; i < len(p.tracks); i++ {
		p.lag(p.tracks[i])
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

// drain places the units of t of which it is decided where they belong.
func (p *Packager) drain(t *cmafTrack) {
	if !p.line.fixed() {
		return
	}
	for t.queue.len() > 0 {
		next := &t.queue.waiting()[0]
		if t != p.lead && !p.near(t, next, p.line.last()) && next.DTS+p.reach(t, next) > p.line.now+p.line.ahead() || p.turns(t, next) {
			return
		}
		u := t.queue.pop()
		p.place(t, &u)
	}
}

// lag ends segments for which nothing came in time.
func (p *Packager) lag(t *cmafTrack) {
	if p.deserted(t) {
		p.leave(t, "its publisher was lost, and others go on")
		return
	}
	p.hush(t)
	for t.member != nil && t.queue.len() == 0 && !t.pub.Behind {
		next := p.line.get(t.seq + 1)
		if next == nil || p.line.now-next.At <= cut.MaxLag {
			return
		}
		p.close(t, next.At, next, false)
		p.open(t, next)
		if t.gaps >= maxGaps {
			p.leave(t, "nothing came for it")
		}
	}
}

// leave takes t out of the ladder. It comes back at a boundary that it matches.
func (p *Packager) leave(t *cmafTrack, reason string) {
	if p.lead == t {
		p.lead, p.alone = nil, false
	}
	if t.member == nil {
		return
	}
	p.tellLeft(t, reason)
	p.used = max(p.used, t.seq)
	p.bytes -= t.window.Bytes
	if t.segment != nil {
		p.bytes -= t.segment.Size
	}
	p.show.Remove(t.Rendition)
	if v := t.View.Load(); v != nil && !v.Ended {
		close(v.Replaced)
	}
	t.member = nil
	t.standing, t.tried, t.tries, t.skew = active, 0, 0, 0
	p.Present(false)
}

// tellLeft logs that a rendition left the ladder, not without end.
func (p *Packager) tellLeft(t *cmafTrack, reason string) {
	if p.left++; p.left > cut.MaxTrackLogs {
		return
	}
	p.log.Warn("rendition left the ladder", "rendition", t.id(), "reason", reason, "last_line", p.left == cut.MaxTrackLogs)
}

// drop leaves out a unit that cannot be written.
func (p *Packager) drop(t *cmafTrack, u *media.AccessUnit, err error) {
	p.counts.Dropped.Add(1)
	if p.unfit++; cut.Milestone(p.unfit) {
		p.log.Warn("access unit left out of CMAF", "kind", t.kind.String(), "rendition", t.id(), "codec", u.Track.Codec, "dts", u.DTS, "error", err, "times", p.unfit)
	}
}

// Counts are written by who packages and read by anyone.
type Counts struct {
	// Parts, segments and bytes count what was published, Dropped units that were left out, forced
	// segments that begin without a random access point, Wide parts that last for longer than they
	// are listed.
	Parts, Segments, Bytes, Dropped, Forced, Wide atomic.Uint64
	// Silence is what was made in place of sound that is missing, in ns.
	Silence atomic.Uint64
	// Window is the size of the segments that can be fetched.
	Window atomic.Int64
}

// First is the number of the first segment of the life.
func (p *Packager) First() int64 { return p.line.first }
