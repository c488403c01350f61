package hls

import (
	"bytes"
	"strconv"
	"time"

	"livego/internal/fmp4"
	"livego/internal/media"
)

const (
	// maxGaps is how many segments a rendition may miss before it leaves the ladder.
	maxGaps = 3
	// alignment is how far apart random access points are taken for the same one: an output of an encoder whose AAC has priming samples
	// (1,024 to 2,112) begins that much later than one without sound.
	alignment = 50 * time.Millisecond
	// maxTries is how many boundaries a rendition gets to match.
	maxTries = 3
	// maxQueue bounds the units that wait for the leading track: the longest first segment at 120 pictures a second, and more audio frames
	// than that.
	maxQueue = 4096
	// firstPartRoom is for the boxes of a segment's first part: two fragments of a few pictures.
	firstPartRoom = 1024
	// spareQueue is how many units' room a queue keeps.
	spareQueue = 256
)

// standing says what a track has to do with the ladder.
type standing uint8

const (
	// joining: it waits for a boundary where it may begin.
	joining standing = iota
	// member: it has a rendition.
	member
	// spare: it is audio that another publication has too.
	spare
	// out: it cannot be packaged, until it gets another header.
	out
)

// cmafTrack is one track of a publication, on its way to be a rendition.
type cmafTrack struct {
	pub      *publication
	kind     media.Kind
	number   uint8
	standing standing
	// header is the newest one. objection says why it is not packaged, until that was logged.
	header    *media.Track
	objection string
	// queue holds units that wait: for the leading track, or for the first segment's end.
	queue  unitQueue
	newest time.Duration
	step   pace
	// lastHeader and lastTurn are of the last unit about which the track decided as leader.
	lastHeader *media.Track
	lastTurn   uint32

	// tried is the newest boundary at which the track could not begin, tries how many there were.
	tried int64
	tries int
	// lastKey is the time of the last random access point of video, negative before the first one.
	lastKey time.Duration

	// The rest is of a member.
	*rendition
	// track is what writer writes, and turn the publication's when it began.
	track  *media.Track
	turn   uint32
	writer *fmp4.Writer
	init   *initSegment
	// seq is the number of the segment under way, segment what there is of it: nil if it was ended early.
	seq     int64
	segment *cmafSegment
	// part is the part under way, cell its place on the grid of parts, origin where the grid begins.
	part     []media.AccessUnit
	cell     int64
	origin   time.Duration
	gaps     int
	window   cmafWindow
	rates    rates
	captions captionReader
	// dates are date ranges for the next segment, events what the next part tells the player.
	dates  []string
	events []fmp4.Event
	target time.Duration // of parts
	info   renditionInfo
	// version is that of the newest view.
	version uint64
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

// id is the track's name in URLs.
func (t *cmafTrack) id() string {
	id := t.kind.String()[:1] + strconv.Itoa(int(t.number))
	if t.pub.rendition != "" {
		return t.pub.rendition + "." + id
	}
	return id
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
	if f := frame(t.header); f > 0 {
		return f
	}
	if t.step.step > 0 {
		return t.step.step
	}
	return usualInterval
}

// partTarget is the longest part that the grid makes of the track, with room for times that come in milliseconds.
func (t *cmafTrack) partTarget(grid time.Duration) time.Duration {
	if t.kind == media.Video {
		return grid.Round(time.Millisecond) + time.Millisecond
	}
	f := t.length()
	n := (grid + f - f/20 - 1) / f // a frame that would fit but for rounding does
	return (max(n, 1)*f + time.Millisecond - 1).Truncate(time.Millisecond) + time.Millisecond
}

// near says whether the track may begin at b with u.
func (p *packager) near(t *cmafTrack, u *media.AccessUnit, b *boundary) bool {
	return u.RandomAccess && (u.DTS-b.at).Abs() <= p.reach(t, u)
}

// reach is how far from a boundary u may lie that belongs behind it. Where random access points are rare there is no doubt about which one is
// meant.
func (p *packager) reach(t *cmafTrack, u *media.AccessUnit) time.Duration {
	if t.kind == media.Video && u.RandomAccess && (t.lastKey < 0 || u.DTS-t.lastKey > 4*alignment) {
		return alignment
	}
	return p.tolerance(t)
}

// tolerance is how far from a boundary a unit of t may lie that belongs behind it.
func (p *packager) tolerance(t *cmafTrack) time.Duration {
	if t.kind == media.Audio {
		return min(t.length()/2, maxTolerance)
	}
	return p.line.tolerance()
}

// place puts a unit of t where it belongs. Where segments begin at and before it is decided.
func (p *packager) place(t *cmafTrack, u *media.AccessUnit) {
	b := p.line.find(u.DTS + p.reach(t, u))
	if t.kind == media.Video && u.RandomAccess {
		defer func() { t.lastKey = u.DTS }()
	}
	switch begun := t.standing == member && t.segment != nil && len(t.segment.parts)+len(t.part) > 0 && u.DTS >= t.segment.start; {
	case begun && (b == nil || b.seq <= t.seq):
		b = p.line.get(t.seq) // the segment began a little before its boundary
	case b != nil && u.DTS < b.at && p.early(t, u, b):
		b = p.line.find(u.DTS)
	}
	switch {
	case b == nil:
		p.counts.dropped.Add(1)
	case t.standing == joining:
		if p.mayJoin(t, u, b) && p.join(t, u, b) {
			p.add(t, u, b)
		}
	case b.seq > t.seq:
		if p.cross(t, u, b) {
			p.add(t, u, b)
		}
	case b.seq < t.seq || t.segment == nil:
		p.counts.dropped.Add(1) // too late
	case u.Track != t.track || t.kind == media.Video && u.Epoch != t.turn:
		p.change(t)
	default:
		p.add(t, u, b)
	}
}

// early says that a unit just before b does not belong behind it: a picture with which nobody can begin, the last frame of a session.
func (p *packager) early(t *cmafTrack, u *media.AccessUnit, b *boundary) bool {
	if t.kind == media.Video {
		return !u.RandomAccess && !b.loose
	}
	return b.discontinuity && u.Track == t.track && u.Epoch == t.turn
}

// change deals with a unit of another header or session within a segment. What concerns all waits for the next segment, which
// begins with a discontinuity; a track that is alone with it leaves the ladder, and comes back.
func (p *packager) change(t *cmafTrack) {
	p.counts.dropped.Add(1)
	if t == p.lead || t.kind == media.Audio {
		p.line.owed = true
		return
	}
	p.leave(t, "its encoder changed something that the others did not")
}

// mayJoin says whether t, which waits for it, can begin with u.
func (p *packager) mayJoin(t *cmafTrack, u *media.AccessUnit, b *boundary) bool {
	if t.tries == 0 && t.tried == 0 && !(b.seq == p.line.first && t.kind == media.Audio) && !p.near(t, u, b) {
		t.tried = b.seq // it came in the middle
		return false
	}
	switch {
	case b.seq <= p.used:
	case t.kind == media.Audio && b.seq > t.tried || p.near(t, u, b):
		return true
	case b.seq > t.tried:
		t.tried = b.seq
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
func (p *packager) join(t *cmafTrack, u *media.AccessUnit, b *boundary) bool {
	t.rendition = &rendition{id: t.id(), kind: t.kind, disk: p.disk(t.id())}
	t.init, t.track = nil, nil
	if !p.retrack(t, u, b.seq) {
		t.rendition = nil
		return false
	}
	t.standing, t.tries, t.gaps = member, 0, 0
	t.window = cmafWindow{}
	t.rates, t.captions = rates{peak: t.storedPeak(b.seq)}, captionReader{}
	t.version = 0
	t.target = min(t.partTarget(p.line.part), p.longestPart)
	p.show.put(t.rendition)
	p.open(t, b)
	return true
}

// retrack begins to write the track of u. It is false if that cannot be.
func (p *packager) retrack(t *cmafTrack, u *media.AccessUnit, seq int64) bool {
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
		if t.init == nil || !bytes.Equal(data, t.init.data) {
			t.init = &initSegment{seq: seq, data: data}
		}
	}
	t.writer, t.track, t.turn = w, u.Track, u.Epoch
	return true
}

// cross ends the segment under way and begins that of b with u. It is false if the track has left the ladder, or u does not fit.
func (p *packager) cross(t *cmafTrack, u *media.AccessUnit, b *boundary) bool {
	seam := p.line.discontinuous(t.seq+1, b.seq)
	changed := u.Track != t.track || u.Epoch != t.turn
	switch {
	case b.seq > t.seq+1+maxGaps || p.line.get(t.seq+1) == nil:
		p.leave(t, "nothing came for it")
	case t.kind == media.Video && !b.loose && !p.near(t, u, b):
		p.leave(t, "it has no key frame where the first rendition has one")
	case changed && !seam && (t.kind == media.Video || u.Track != t.track):
		p.change(t)
		if t.standing != member {
			break
		}
		return false
	default:
		p.advance(t, u.DTS, b.seq)
		if (seam || changed) && !p.retrack(t, u, b.seq) {
			p.leave(t, "its header does not fit its media")
			return false
		}
		t.segment.init = t.init
		return true
	}
	p.place(t, u) // it may be that it begins again here
	return false
}

// advance ends segments until the one with a number is under way. next is when the track goes on.
func (p *packager) advance(t *cmafTrack, next time.Duration, seq int64) {
	for t.seq < seq {
		b := p.line.get(t.seq + 1)
		if t.seq+1 < seq {
			p.close(t, b.at, b)
		} else {
			p.close(t, next, b)
		}
		p.open(t, b)
	}
}

// open begins a segment.
func (p *packager) open(t *cmafTrack, b *boundary) {
	t.seq, t.cell, t.origin = b.seq, -1, b.at
	t.segment = &cmafSegment{
		seq: b.seq, start: b.at, at: b.wall, init: t.init,
		discontinuity: b.discontinuity, before: b.before, independent: true, dates: t.dates,
	}
	t.dates = nil
}

// add puts u into the part to which it belongs.
func (p *packager) add(t *cmafTrack, u *media.AccessUnit, b *boundary) {
	s := t.segment
	length := t.length()
	long := max(s.duration, u.DTS-b.at) > p.line.limit()
	if long || s.size+t.queue.bytes > 2*p.share() {
		p.counts.dropped.Add(1) // the leading track has gone far ahead, or this one does not keep to a sane rate
		return
	}
	cell := p.cellOf(t, u.DTS)
	if n := len(t.part); n > 0 {
		switch long := u.DTS + length - t.part[0].DTS; {
		case cell > t.cell:
			p.finishPart(t, u.DTS)
		case long > t.target+2*time.Millisecond: // pictures are not as far apart as they were
			p.finishPart(t, u.DTS)
			t.origin = u.DTS
			cell, t.cell = 0, -1
		}
	}
	if len(t.part) == 0 {
		t.cell = max(cell, t.cell+1)
		if len(s.parts) == 0 {
			s.start = u.DTS
			if t.kind == media.Video && (u.DTS-b.at).Abs() <= alignment {
				t.origin, t.cell = u.DTS, 0
			}
			if !s.at.IsZero() {
				s.at = b.wall.Add(u.DTS - b.at)
			}
		}
	}
	t.part = append(t.part, *u)
	t.captions.scan(u)
	t.rates.units++
	if t == p.lead && s.size+bytesOf(t.part) > p.share() {
		p.line.full = true
	}
	if end := u.DTS + length - time.Millisecond; p.cellOf(t, end) > t.cell && p.known(t, b, end+length) {
		p.finishPart(t, end)
	}
}

// known says that audio until then, and one more frame, is in the segment of b: so a part may be published before the next frame came, for
// there will be one more part. What is published makes players ask for the part behind it.
func (p *packager) known(t *cmafTrack, b *boundary, then time.Duration) bool {
	return t.kind == media.Audio && frame(t.track) > 0 && !p.line.owed && then < b.at+p.opt.SegmentDuration
}

// cellOf returns the place of a time on the grid of parts.
func (p *packager) cellOf(t *cmafTrack, at time.Duration) int64 {
	tolerance := p.line.interval / 2
	if t.kind == media.Audio {
		tolerance = t.length() / 2
	}
	return int64((at - t.origin + tolerance) / p.line.part)
}

func bytesOf(units []media.AccessUnit) int {
	n := 0
	for i := range units {
		n += len(units[i].Data)
	}
	return n
}

// finishPart writes the part under way, and publishes it.
func (p *packager) finishPart(t *cmafTrack, next time.Duration) {
	if p.writePart(t, next) {
		p.publish(t, false)
	}
}

// writePart writes the part under way. next is when the track goes on.
func (p *packager) writePart(t *cmafTrack, next time.Duration) bool {
	if len(t.part) == 0 {
		return false
	}
	units := t.part
	defer func() {
		clear(units)
		t.part = t.part[:0]
	}()
	s, first := t.segment, &units[0]
	if next-s.start > p.line.limit()+spill {
		next = 0 // a hole
	}
	f := fmp4.Fragment{Units: units, Next: next, Segment: len(s.parts) == 0, Events: t.events}
	t.events = nil
	if first.Arrived != 0 {
		f.Wall = time.Unix(0, first.Arrived)
	}
	data, w, err := t.fragments(&f)
	if err != nil {
		p.counts.dropped.Add(uint64(len(units) - 1))
		p.drop(t, first, err)
		return false
	}
	if len(s.parts) == 0 {
		s.independent = w.Independent
		if t.kind == media.Video {
			s.key = w.FirstEnd
		}
	}
	s.parts = append(s.parts, part{duration: w.Duration, independent: w.Independent, data: data})
	s.duration += w.Duration
	s.size += len(data)
	p.bytes += len(data)
	p.noteLong(t, w.Duration)
	p.counts.parts.Add(1)
	p.counts.cmafBytes.Add(uint64(len(data)))
	return true
}

// fragments writes f. A segment of video begins with a fragment of one picture, which alone is what I-frame playlists point to: FFmpeg reads no
// range that ends within a fragment.
func (t *cmafTrack) fragments(f *fmp4.Fragment) (data []byte, w fmp4.Written, err error) {
	if !f.Segment || t.kind != media.Video || len(f.Units) == 1 {
		return t.writer.Append(nil, f)
	}
	first, rest := *f, fmp4.Fragment{Units: f.Units[1:], Next: f.Next}
	first.Units, first.Next = f.Units[:1], f.Units[1].DTS
	if data, w, err = t.writer.Append(make([]byte, 0, bytesOf(f.Units)+firstPartRoom), &first); err != nil {
		return nil, w, err
	}
	data, more, err := t.writer.Append(data, &rest)
	w.Duration += more.Duration
	return data, w, err
}

// noteLong counts parts that are longer than the part target duration: pictures are further apart than they were in the first segment.
func (p *packager) noteLong(t *cmafTrack, d time.Duration) {
	if d <= t.target || p.counts.longParts.Add(1) > 1 {
		return
	}
	p.log.Warn("part longer than the part target duration: pictures are further apart than at the start",
		"rendition", t.id(), "duration", d, "part_target", t.target)
}

// close ends the segment under way, which is a gap if there is nothing in it. end is where the next segment begins.
func (p *packager) close(t *cmafTrack, next time.Duration, end *boundary) {
	if t.segment == nil {
		return
	}
	if end != nil && end.discontinuity && len(t.part) > 0 {
		// What follows has times of its own: the last unit need not last until then, but the part must not get too long.
		next = min(next, t.part[0].DTS+t.target)
	}
	p.writePart(t, next)
	s := t.segment
	s.complete = true
	if len(s.parts) > 0 {
		t.gaps = 0
	} else {
		b := p.line.get(s.seq)
		s.gap, s.duration = true, minDuration
		if b != nil && end != nil {
			s.duration = max(end.at-b.at, minDuration)
		}
		t.gaps++
	}
	s.duration = min(s.duration, p.line.target+rounding)
	t.segment = nil
	if s.gap && len(t.window.segments) == 0 {
		return // a playlist does not begin with a gap
	}
	p.dependent = p.dependent || !s.independent
	t.rates.note(s, p.line.target)
	p.bytes -= t.window.add(s, p.opt.ListSize, p.line.target)
	p.store(t, s)
	p.trim()
	p.publish(t, false)
	p.describe(t)
}
