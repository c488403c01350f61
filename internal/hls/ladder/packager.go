// Package ladder packages the tracks of all publications of a stream as CMAF with partial segments
// (Low-Latency HLS, draft-pantos-hls-rfc8216bis), cut at the same times in all of them. DESIGN.md
// says what the rules are, and why.
//
//	Packager.Write → leader (where segments begin) → ladder (which segment) → cutter (parts)
//	               → output → Presentation (what requests see)
package ladder

import (
	"errors"
	"log/slog"
	"sync/atomic"
	"time"

	"livego/internal/fmp4"
	"livego/internal/media"
	"livego/internal/spool"
)

// ErrMisaligned: a publication's random access points are not where those of the stream's first one
// are, so that no player could switch between them.
var ErrMisaligned = errors.New("renditions not aligned")

// Options configures a packager. All fields but PartDelay must be set.
type Options struct {
	// SegmentDuration is the least length of a segment that is cut at a random access point,
	// PartDuration about that of a part: the nearest whole number of pictures.
	SegmentDuration, PartDuration time.Duration
	// ListSize is the least number of segments in a playlist.
	ListSize int
	// Joined: what has one video and one sound is presented in one playlist.
	Joined bool
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
	// Follows: players have all of that life, and wait for what is next.
	Follows bool
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
	// Wanted says that somebody waits for the stream, Patient that somebody does who plays whole
	// segments only.
	Wanted, Patient func() bool
	Log             *slog.Logger
	Counts          *Counts
}

// Packager makes CMAF renditions of one stream life. It is the walk of a unit, and asks those who
// know. The caller makes sure that one goroutine at a time uses it.
type Packager struct {
	counts *Counts
	show   *Presentation
	// Each asks only those before it.
	journal *journal
	line    *timeline
	roster  *roster
	leader  *leader
	output  *output
	cutter  *cutter
	ladder  *ladder
	audio   *audio
	cues    *cues
	// reached is where all tracks ended when they were levelled last.
	reached time.Duration
}

// New makes a packager without publications.
func New(opt Options, start Start) *Packager {
	p := &Packager{
		counts:  start.Counts,
		show:    start.Show,
		journal: &journal{log: start.Log, counts: start.Counts, leftOut: make(map[string]bool)},
		line: &timeline{
			opt: opt, announce: start.Announce, patient: start.Patient, first: start.First, next: start.First, lost: start.Lost, follows: start.Follows, longest: start.Longest,
			firstDiscontinuity: start.FirstDiscontinuity, continues: start.Continues, least: start.LeastTarget, until: start.Until,
		},
		roster: &roster{opt: opt},
	}
	p.leader = &leader{counts: p.counts, journal: p.journal, roster: p.roster, line: p.line, wanted: start.Wanted}
	p.output = &output{
		opt: opt, counts: p.counts, journal: p.journal, roster: p.roster, line: p.line,
		show: start.Show, stored: start.Stored, sink: start.Sink,
		joined: opt.Joined && start.Stored == nil, // on disk are files of single tracks
	}
	p.cutter = &cutter{opt: opt, counts: p.counts, journal: p.journal, roster: p.roster, line: p.line, leader: p.leader, output: p.output}
	p.ladder = &ladder{
		counts: p.counts, journal: p.journal, roster: p.roster, line: p.line, leader: p.leader, output: p.output, cutter: p.cutter,
	}
	p.audio = &audio{counts: p.counts, journal: p.journal, roster: p.roster, line: p.line, leader: p.leader}
	p.cues = &cues{roster: p.roster, line: p.line}
	return p
}

// Enter adds a publication. The default one is the first.
func (p *Packager) Enter(pub *Publication) { p.roster.enter(pub) }

// Write takes the next unit of a publication. Units that cannot be packaged are counted and left
// out.
func (p *Packager) Write(pub *Publication, u *media.AccessUnit) {
	p.roster.begin()
	pub.follow(u)
	if u.Epoch != pub.epoch || u.Track == nil {
		return
	}
	if u.Track.Kind == media.Data {
		p.cues.script(pub, u)
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
	if len(p.roster.tracks) == 0 && u.Header == media.Sample {
		p.refuse()
	}
	if u.Header != media.Sample || len(u.Data) == 0 {
		return
	}
	if t.standing == out {
		p.journal.tellOut(t)
		return
	}
	if err := fmp4.Check(u); err != nil {
		p.journal.drop(t, u, err)
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

// track returns what is known of a track, and takes notice of a new header.
func (p *Packager) track(pub *Publication, header *media.Track) *track {
	t := pub.find(header)
	if t != nil && t.has(header) && (t.standing != spare || p.audio.spare(t)) {
		return t
	}
	if t == nil {
		t = &track{pub: pub, kind: header.Kind, number: header.ID, standing: out, lastKey: -1}
		pub.tracks = append(pub.tracks, t)
	}
	t.header, t.same, t.objection = header, nil, ""
	if before := t.newest; t.kind == media.Audio && before > 0 && !p.leader.leads(t) && (!p.line.fixed() || t.member != nil && p.line.get(t.seq+1) == nil) {
		p.line.askForHeader(before + t.length())
	}
	switch reason := p.roster.objection(t); {
	case reason != "":
		p.ladder.exclude(t, reason)
	case t.standing != active:
		t.standing = spare
		if !p.audio.spare(t) {
			p.roster.admit(t)
			p.show.Carries.Store(true)
		}
	}
	return t
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

// Present gives requests a new multivariant playlist, if there is something new. now says that
// nothing more is to be waited for.
func (p *Packager) Present(now bool) { p.output.present(now) }

// First is the number of the first segment of the life.
func (p *Packager) First() int64 { return p.line.first }
