package ladder

import (
	"bytes"
	"cmp"
	"strconv"
	"time"

	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

const (
	// maxGaps is how many segments a rendition may miss before it leaves the ladder.
	maxGaps = 3
	// alignment is how far apart random access points are taken for the same one: an output of an
	// encoder whose AAC has priming samples (1,024 to 2,112) begins that much later than one
	// without sound.
	alignment = 50 * time.Millisecond
	// maxTries is how many boundaries a rendition gets to match.
	maxTries = 3
	// maxQueue bounds the units that wait for the leading track: the longest first segment at 120
	// pictures a second, and more audio frames than that.
	maxQueue = 4096
	// firstPartRoom is for the boxes of a segment's first part: two fragments of a few pictures.
	firstPartRoom = 1024
	// spareQueue is how many units' room a queue keeps.
	spareQueue = 256
)

// standing says what a track has to do with the ladder.
type standing uint8

const (
	// active: it is a member, or waits for a boundary where it may become one.
	active standing = iota
	// spare: it is audio that another publication has too, and stands by.
	spare
	// out: it cannot be packaged, until it gets another header.
	out
)

// cmafTrack is one track of a publication.
type cmafTrack struct {
	pub      *Publication
	kind     media.Kind
	number   uint8
	standing standing
	// header is the newest one. objection says why it is not packaged, until that was logged.
	header    *media.Track
	objection string
	// same is a later header that changes nothing for players, so that header stays.
	same *media.Track
	// queue holds units that wait: for the leading track, or for the first segment's end.
	queue  unitQueue
	newest time.Duration
	// shown is when the last unit in the order of presentation begins, and reorder by how much
	// later than it is decoded the last random access point is shown.
	shown, reorder time.Duration
	step           cut.Pace
	// sound counts what was taken, if it is audio.
	sound cut.SoundCount
	// lastHeader and lastTurn are of the last unit about which the track decided as leader.
	lastHeader *media.Track
	lastTurn   uint32

	// tried is the newest boundary at which the track could not begin, tries how many there were.
	tried int64
	tries int
	// lastKey is the time of the last random access point of video, negative before the first one.
	lastKey time.Duration
	// quiet: the encoder says that no sound comes. skew is by how much its sound was behind the
	// leading video lately.
	quiet bool
	skew  time.Duration
	// resumes is the time from which on sound is taken after silence.
	resumes time.Duration
	// dates are date ranges for the next segment, events what the next part tells the player.
	dates  []string
	events []fmp4.Event

	// member is what the track has while it is in the ladder, nil while it is not.
	*member
}

// member is what a track of the ladder writes, lists and shows.
type member struct {
	*playlist.Rendition
	info playlist.Info
	// version is that of the newest view.
	version  uint64
	window   playlist.Window
	rates    playlist.Rates
	captions captionReader

	// track is what writer writes, and turn the publication's when it began. twin is another
	// publication's track that differs in nothing that a player sees, stranger one that has another
	// initialization section, nil if there is none.
	track, twin, stranger *media.Track
	turn                  uint32
	writer                *fmp4.Writer
	init                  *playlist.Init

	// seq is the number of the segment under way, segment what there is of it: nil if it was ended
	// early. gaps counts the segments without media since the last one that has some.
	seq     int64
	segment *playlist.Segment
	gaps    int
	cadence
	// part is the part under way, cell its place on the grid of parts, origin where the grid
	// begins. next is where its last unit ends, if all is as it should be, and held how long it
	// lasts if it is of audio.
	part               []media.AccessUnit
	cell               int64
	origin, next, held time.Duration
	// arrived is when the last unit of the newest part came, in ns since 1970, 0 if it was told or
	// is not known.
	arrived int64
	// listed is up to when parts are listed, as they were written, and unlisted by how much they
	// are longer.
	listed, unlisted time.Duration
	// endless: the end of the last segment is not listed yet.
	endless bool

	// silent: silence is made.
	silent bool
	// turned is the newest segment of another header for which sound of the old one waited, and
	// turnedAt its time when that began.
	turned   int64
	turnedAt time.Duration
}

// joining says that the track waits for a boundary where it may begin.
func (t *cmafTrack) joining() bool { return t.standing == active && t.member == nil }

// isSilent says that silence is made in place of the track's sound.
func (t *cmafTrack) isSilent() bool { return t.member != nil && t.silent }

// endSilence lets sound come again.
func (t *cmafTrack) endSilence() {
	if t.member != nil {
		t.silent = false
	}
}

// toList is how much of the track's media waits to be listed.
func (t *cmafTrack) toList() time.Duration {
	if t.member == nil {
		return 0
	}
	return t.unlisted
}

// unitQueue is a queue of units that reuses its room.
type unitQueue struct {
	units []media.AccessUnit
	head  int
	bytes int
}

func (q *unitQueue) len() int { return len(q.units) - q.head }

func (q *unitQueue) waiting() []media.AccessUnit { return q.units[q.head:] }

func (q *unitQueue) push(u *media.AccessUnit) {
	if q.head > 0 && q.head == len(q.units) {
		q.units, q.head = q.units[:0], 0
	} else if q.head > spareQueue && q.head > len(q.units)/2 {
		n := copy(q.units, q.units[q.head:])
		clear(q.units[n:])
		q.units, q.head = q.units[:n], 0
	}
	q.units = append(q.units, *u)
	q.bytes += len(u.Data)
}

func (q *unitQueue) pop() media.AccessUnit {
	u := q.units[q.head]
	q.units[q.head] = media.AccessUnit{}
	q.head++
	q.bytes -= len(u.Data)
	if q.len() == 0 && cap(q.units) > spareQueue {
		q.units, q.head = nil, 0
	}
	return u
}

// id is the track's name in URLs. That of audio does not say where it comes from.
func (t *cmafTrack) id() string {
	id := t.kind.String()[:1] + strconv.Itoa(int(t.number))
	if t.pub.Rendition != "" && t.kind == media.Video {
		return t.pub.Rendition + "." + id
	}
	return id
}

// has says whether a header is that of the track, or makes no difference.
func (t *cmafTrack) has(header *media.Track) bool {
	if t.header == header || t.same == header {
		return true
	}
	if !fmp4.SameInit(t.header, header) {
		return false
	}
	t.same = header
	return true
}

// frame is the length of an audio frame if it is constant, else 0.
func frame(t *media.Track) time.Duration {
	if t.Kind != media.Audio || t.SampleRate <= 0 {
		return 0
	}
	return time.Duration(t.SamplesPerFrame) * time.Second / time.Duration(t.SampleRate)
}

// length is how long the next unit probably lasts.
func (t *cmafTrack) length() time.Duration {
	if f := cmp.Or(frame(t.header), t.sound.Length); f > 0 {
		return f
	}
	if t.step.Step > 0 {
		return t.step.Step
	}
	return usualInterval
}

// near says whether the track may begin at b with u.
func (p *Packager) near(t *cmafTrack, u *media.AccessUnit, b *Boundary) bool {
	return u.RandomAccess && (u.DTS-b.At).Abs() <= p.reach(t, u)
}

// reach is how far from a boundary u may lie that belongs behind it. Where random access points are
// rare there is no doubt about which one is meant.
func (p *Packager) reach(t *cmafTrack, u *media.AccessUnit) time.Duration {
	if t.kind == media.Video && u.RandomAccess && (t.lastKey < 0 || u.DTS-t.lastKey > 4*alignment) {
		return alignment
	}
	return p.tolerance(t)
}

// tolerance is how far from a boundary a unit of t may lie that belongs behind it.
func (p *Packager) tolerance(t *cmafTrack) time.Duration {
	if t.kind == media.Audio {
		return min(t.length()/2, cut.MaxTolerance)
	}
	return p.line.tolerance()
}

// place puts a unit of t where it belongs. Where segments begin at and before it is decided.
func (p *Packager) place(t *cmafTrack, u *media.AccessUnit) {
	t.adopt(u)
	b := p.line.find(u.DTS + p.reach(t, u))
	if t.kind == media.Video && u.RandomAccess {
		defer func() { t.lastKey = u.DTS }()
	}
	switch begun := t.member != nil && t.segment != nil && len(t.segment.Parts)+len(t.part) > 0 && u.DTS >= t.segment.Start; {
	case begun && (b == nil || b.Seq <= t.seq):
		b = p.line.get(t.seq) // the segment began a little before its boundary
	case b != nil && u.DTS < b.At && p.early(t, u, b):
		b = p.line.find(u.DTS)
	}
	if b != nil && t.kind == media.Audio && t.member != nil {
		b = p.turnOf(t, u, b)
	}
	switch {
	case b == nil:
		p.counts.Dropped.Add(1)
	case t.joining():
		if p.mayJoin(t, u, b) && p.join(t, u, b) {
			p.add(t, u, b)
		}
	case b.Seq > t.seq:
		if p.cross(t, u, b) {
			p.add(t, u, b)
		}
	case b.Seq < t.seq || t.segment == nil:
		p.counts.Dropped.Add(1) // too late
	case u.Track != t.track || t.kind == media.Video && u.Epoch != t.turn:
		p.change(t)
	default:
		p.add(t, u, b)
	}
}

// early says that a unit just before b does not belong behind it: a picture with which nobody can
// begin, the last frame of a session.
func (p *Packager) early(t *cmafTrack, u *media.AccessUnit, b *Boundary) bool {
	if t.kind == media.Video {
		return !u.RandomAccess && !b.loose
	}
	return t.member != nil && b.Discontinuity && u.Track == t.track && u.Epoch == t.turn
}

// change deals with a unit of another header or session within a segment. What concerns all waits
// for the next segment, which begins with a discontinuity; a track that is alone with it leaves the
// ladder, and comes back.
func (p *Packager) change(t *cmafTrack) {
	p.counts.Dropped.Add(1)
	if t == p.lead || t.kind == media.Audio {
		p.line.owed = p.line.owed || p.line.get(t.seq+1) == nil
		return
	}
	p.leave(t, "its encoder changed something that the others did not")
}

// mayJoin says whether t, which waits for it, can begin with u.
func (p *Packager) mayJoin(t *cmafTrack, u *media.AccessUnit, b *Boundary) bool {
	if t.tries == 0 && t.tried == 0 && !(b.Seq == p.line.first && t.kind == media.Audio) && !p.near(t, u, b) {
		t.tried = b.Seq // it came in the middle
		return false
	}
	switch {
	case b.Seq <= p.used:
	case t.kind == media.Audio && b.Seq > t.tried || p.near(t, u, b):
		return true
	case b.Seq > t.tried:
		t.tried = b.Seq
		if !b.loose {
			t.tries++
		}
		if t.tries >= maxTries {
			p.exclude(t, "its key frames do not coincide with those of the first rendition")
		}
	}
	return false
}

// join makes t a member of the ladder, from the segment on that begins at b.
func (p *Packager) join(t *cmafTrack, u *media.AccessUnit, b *Boundary) bool {
	r := &playlist.Rendition{ID: t.id(), Kind: t.kind, Disk: p.disk(t.id())}
	t.member = &member{Rendition: r}
	if !p.retrack(t, u, b.Seq) {
		t.member = nil
		return false
	}
	t.tries = 0
	t.rates = playlist.Rates{Peak: r.StoredPeak(b.Seq)}
	t.cadence = p.cadenceOf(t)
	p.show.Put(r)
	p.open(t, b)
	return true
}

// retrack begins to write the track of u. It is false if that cannot be.
func (p *Packager) retrack(t *cmafTrack, u *media.AccessUnit, seq int64) bool {
	w, err := fmp4.NewWriter(u.Track)
	if err != nil {
		p.drop(t, u, err)
		return false
	}
	if t.init == nil || t.track != u.Track {
		data, err := fmp4.AppendInit(nil, u.Track, u.Data)
		if err != nil {
			p.drop(t, u, err)
			return false
		}
		if t.init == nil || !bytes.Equal(data, t.init.Data) {
			t.init = &playlist.Init{Seq: seq, Data: data}
		}
	}
	if t.track != u.Track {
		t.twin, t.stranger = nil, nil
	}
	if t.writer != nil && t.kind == media.Audio {
		w.After(t.writer)
	}
	t.writer, t.track, t.turn = w, u.Track, u.Epoch
	return true
}

// cross ends the segment under way and begins that of b with u. It is false if the track has left
// the ladder, or u does not fit.
func (p *Packager) cross(t *cmafTrack, u *media.AccessUnit, b *Boundary) bool {
	next := p.line.seam(t.seq)
	seam := next != nil && next.Seq <= b.Seq
	changed := u.Track != t.track || u.Epoch != t.turn
	switch {
	case b.Seq > t.seq+1+maxGaps || p.line.get(t.seq+1) == nil:
		p.leave(t, "nothing came for it")
	case t.kind == media.Video && !b.loose && !p.near(t, u, b):
		p.leave(t, "it has no key frame where the first rendition has one")
	case changed && !seam && t.kind == media.Video:
		p.change(t)
		if t.member == nil {
			break
		}
		return false
	default:
		p.advance(t, u.DTS, b.Seq)
		if (seam || u.Track != t.track) && !p.retrack(t, u, b.Seq) {
			p.leave(t, "its header does not fit its media")
			return false
		}
		t.turn = u.Epoch // sound goes on without a seam
		t.segment.Init = t.init
		if b == p.line.last() {
			p.line.early = max(p.line.early, min(b.At-u.DTS, p.line.limit()/2))
		}
		return true
	}
	p.place(t, u) // it may be that it begins again here
	return false
}

// advance ends segments until the one with a number is under way. next is when the track goes on.
func (p *Packager) advance(t *cmafTrack, next time.Duration, seq int64) {
	for t.seq < seq {
		b := p.line.get(t.seq + 1)
		p.close(t, next, b, true)
		p.open(t, b)
	}
}

// open begins a segment.
func (p *Packager) open(t *cmafTrack, b *Boundary) {
	t.seq, t.cell, t.origin = b.Seq, -1, b.At
	t.segment = &playlist.Segment{
		Seq: b.Seq, Start: b.At, At: b.wall, Init: t.init,
		Discontinuity: b.Discontinuity, Before: b.Before, Independent: true, Dates: t.dates,
	}
	t.dates = nil
}
