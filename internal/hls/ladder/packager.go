// Package ladder packages the tracks of all publications of a stream as CMAF with partial segments
// (Low-Latency HLS, draft-pantos-hls-rfc8216bis), cut at the same times in all of them. DESIGN.md
// says what the rules are, and why.
//
//	Packager.Write → timeline (where segments begin) → track (parts) → Presentation (what requests see)
package ladder

import (
	"cmp"
	"errors"
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
	// Longest is how long the segments of that life were, 0 if it is not known.
	Longest time.Duration
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
	tracks []*track
	// lead is the track that decides where segments begin, nil while there is none.
	lead *track
	// alone: the leading video pauses, and audio goes on.
	alone bool
	// moves are due when the walk of a unit is over: sound goes on from another publication.
	moves []move
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
	// publication, silenced how often one fell silent.
	left, moved, silenced int
	// filled counts the holes in sound that were filled.
	filled int
	// begun is when the first unit came.
	begun time.Time
	// reached is where all tracks ended when they were levelled last.
	reached time.Duration
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
			opt: opt, announce: start.Announce, first: start.First, next: start.First, lost: start.Lost, longest: start.Longest,
			firstDiscontinuity: start.FirstDiscontinuity, continues: start.Continues, least: start.LeastTarget, until: start.Until,
		},
		leftOut: make(map[string]bool),
	}
}

// Publication is one encoder's contribution to a stream.
type Publication struct {
	// Rendition names it, "" for the stream's default one.
	Rendition string
	// epoch is the publisher session, valid once started. session counts sessions and jumps of
	// time.
	epoch, session uint32
	started        bool
	// idle: its publisher was lost and may come back. The video of others had come as far as others
	// says then.
	idle   bool
	others map[*track]time.Duration
	// Behind: there is more to be read of it at once.
	Behind bool
	tracks []*track
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
		pub.noteQuiet(u.Track)
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
		p.tellOut(t)
		return
	}
	if err := fmp4.Check(u); err != nil {
		p.drop(t, u, err)
		return
	}
	if t.kind == media.Audio && !p.admitSound(t, u) || u.DTS < t.newest {
		p.counts.Dropped.Add(1)
		return
	}
	unit := *u
	unit.Epoch, unit.Body, unit.Track = pub.session, nil, t.header
	if t.standing == spare {
		p.standBy(t, &unit)
	} else {
		p.take(t, &unit)
	}
	p.moveSound()
}

// follow notices new publisher sessions and jumps of time.
func (pub *Publication) follow(u *media.AccessUnit) {
	if pub.started && (u.Epoch > pub.epoch || u.Discontinuity) {
		pub.session++
	}
	pub.epoch, pub.started, pub.idle, pub.others = max(pub.epoch, u.Epoch), true, false, nil
}

// track returns what is known of a track, and takes notice of a new header.
func (p *Packager) track(pub *Publication, header *media.Track) *track {
	i := slices.IndexFunc(pub.tracks, func(t *track) bool { return t.kind == header.Kind && t.number == header.ID })
	if i >= 0 && pub.tracks[i].has(header) && (pub.tracks[i].standing != spare || p.spare(pub.tracks[i])) {
		return pub.tracks[i]
	}
	var t *track
	if i >= 0 {
		t = pub.tracks[i]
	} else {
		t = &track{pub: pub, kind: header.Kind, number: header.ID, standing: out, lastKey: -1}
		pub.tracks = append(pub.tracks, t)
	}
	t.header, t.same, t.objection = header, nil, ""
	if before := t.newest; t.kind == media.Audio && before > 0 && t != p.lead && (!p.line.fixed() || t.member != nil && p.line.get(t.seq+1) == nil) {
		p.line.askForHeader(before + t.length())
	}
	switch reason := p.objection(t); {
	case reason != "":
		p.exclude(t, reason)
	case t.standing != active:
		t.standing = spare
		if !p.spare(t) {
			p.admit(t)
		}
	}
	return t
}

// objection says why a track cannot be packaged, "" if it can.
func (p *Packager) objection(t *track) string {
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
	if slices.ContainsFunc(p.tracks, func(o *track) bool { return o.kind != kind }) || len(p.tracks) == 0 {
		return maxRenditions
	}
	return maxRenditions - 1
}

func (pub *Publication) has(kind media.Kind) bool {
	return slices.ContainsFunc(pub.tracks, func(t *track) bool { return t.kind == kind && t.standing == active })
}

// admit lets a track wait for its place.
func (p *Packager) admit(t *track) {
	t.standing, t.tried, t.tries = active, 0, 0
	p.show.Carries.Store(true)
	p.tracks = append(p.tracks, t)
	p.sort()
}

// sort puts the tracks in the order of playlists.
func (p *Packager) sort() {
	slices.SortStableFunc(p.tracks, func(a, b *track) int {
		return cmp.Or(cmp.Compare(a.kind, b.kind), cmp.Compare(p.rank(a), p.rank(b)), cmp.Compare(a.number, b.number))
	})
}

// rank is the place of a track's publication. Sound has none: it stays where it is when it comes
// from another one.
func (p *Packager) rank(t *track) int {
	if t.kind == media.Audio {
		return 0
	}
	return slices.Index(p.pubs, t.pub)
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
