package ladder

import (
	"bytes"
	"cmp"
	"time"

	"livego/internal/codec"
	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// cutter cuts the units of each track into parts, and parts into segments.
type cutter struct {
	opt     Options
	counts  *Counts
	journal *journal
	roster  *roster
	line    *timeline
	leader  *leader
	output  *output
}

// setTrack begins to write the track of u. It is false if that cannot be.
func (c *cutter) setTrack(t *track, u *media.AccessUnit, seq int64) bool {
	w, err := fmp4.NewWriter(u.Track)
	if err != nil {
		c.journal.drop(t, u, err)
		return false
	}
	if t.init == nil || t.track != u.Track {
		data, err := fmp4.AppendInit(nil, u.Track, u.Data)
		if err != nil {
			c.journal.drop(t, u, err)
			return false
		}
		if t.init == nil || !bytes.Equal(data, t.init.Data) {
			t.init = &playlist.Init{Seq: seq, Data: data}
		}
	}
	if t.track != u.Track {
		t.alike, t.unlike = nil, nil
	}
	if t.writer != nil && t.kind == media.Audio {
		w.After(t.writer)
	}
	t.writer, t.track, t.session = w, u.Track, u.Epoch
	return true
}

// add puts u into the part to which it belongs.
func (c *cutter) add(t *track, u *media.AccessUnit, b *Boundary) {
	s := t.segment
	limit := c.line.limit()
	if next := c.line.get(t.seq + 1); next != nil && next.newHeader && t.kind == media.Audio {
		limit += cut.HeaderPatience // the old header may hold for longer
	}
	long := max(s.Duration, u.DTS-b.At) > limit
	if long || s.Size+t.queue.bytes > 2*c.roster.share() {
		c.counts.Dropped.Add(1) // the leading track has gone far ahead, or this one does not keep to a sane rate
		return
	}
	at := t.placeOf(u)
	c.cut(t, at)
	if len(t.part) == 0 {
		t.cell = max(t.cellOf(c.line, at), t.cell+1)
		if len(s.Parts) == 0 {
			t.begin(u, b)
		}
	}
	length := t.length()
	if t.kind == media.Audio {
		length = cmp.Or(codec.FrameLength(u), length)
		t.held += length
	}
	t.next = at + length
	t.part = append(t.part, *u)
	c.output.depends(u.Skipped)
	t.captions.scan(u)
	t.rates.Step(u.DTS)
	if c.leader.leads(t) && s.Size+bytesOf(t.part) > c.roster.share() {
		c.line.overflow()
	}
	if t.kind == media.Audio && t.ends(c.line, t.next) && c.known(t, b, t.next+length) {
		c.finishPart(t, t.next)
	}
}

// begin notes where the segment under way begins, which is with u.
func (t *track) begin(u *media.AccessUnit, b *Boundary) {
	t.segment.Start = u.DTS
	if t.kind == media.Video && (u.DTS-b.At).Abs() <= alignment {
		t.origin, t.cell = u.DTS, 0
	}
	if !t.segment.At.IsZero() { // the date of the first picture's presentation, as that of the sound is
		t.segment.At = b.wall.Add(u.DTS - b.At + t.reorder)
	}
}

// placeOf returns the time of u within its segment. Frames of sound follow each other without gaps,
// whatever their times in milliseconds are, unless some are missing.
func (t *track) placeOf(u *media.AccessUnit) time.Duration {
	first := len(t.segment.Parts)+len(t.part) == 0
	if t.kind == media.Video || first || u.DTS-t.next > max(t.slack(), t.length()) {
		return u.DTS
	}
	return t.next
}

// cut finishes the parts of t that end before its next unit, which is at a time.
func (c *cutter) cut(t *track, at time.Duration) {
	for len(t.part) > 0 && t.ends(c.line, at) {
		if last, held := t.overhang(at); held {
			c.finishPart(t, last.DTS)
			t.origin, t.cell, t.part = last.DTS, 0, append(t.part, last)
			continue
		}
		c.finishPart(t, at)
		if t.kind == media.Video && t.cellOf(c.line, at) <= t.cell {
			t.origin, t.cell = at, -1 // pictures are not as far apart as they were
		}
	}
}

// ends says whether the part of t that is under way ends before its next unit, which is at a time.
// Parts lie on a grid, the same in all renditions, unless frames of sound are too long for it, or
// it is one of frames of sound.
func (t *track) ends(l *timeline, at time.Duration) bool {
	due := !t.counted && t.cellOf(l, at) > t.cell
	if t.kind == media.Audio {
		return due || t.held+t.length() > t.target || at > t.next
	}
	return due || !t.fits(at+t.interval-t.part[0].DTS)
}

// fits says that a part which lasts so long can be listed, together with what is not listed of
// those before.
func (t *track) fits(lasts time.Duration) bool {
	return lasts+t.unlisted <= t.target+t.slack()
}

// overhang takes the last unit out of the part under way if there is a hole behind it, up to a
// time, that would make the part too long, and that unit alone is not. It lasts through the hole,
// in a part behind this one.
func (t *track) overhang(at time.Duration) (last media.AccessUnit, held bool) {
	n := len(t.part)
	if t.kind == media.Audio || n < 2 || t.fits(at-t.part[0].DTS) || !t.fits(at-t.part[n-1].DTS) {
		return media.AccessUnit{}, false
	}
	last = t.part[n-1]
	t.part = t.part[:n-1]
	return last, true
}

// known says that audio until then, and one more frame, is in the segment of b: so a part may be
// published before the next frame came, for there will be one more part. What is published makes
// players ask for the part behind it.
func (c *cutter) known(t *track, b *Boundary, then time.Duration) bool {
	return frame(t.track) > 0 && !c.line.discontinuityDue && !c.line.headerDue && then < b.At+c.opt.SegmentDuration
}

// cellOf returns the place of a time on the grid of parts.
func (t *track) cellOf(l *timeline, at time.Duration) int64 {
	if t.kind == media.Audio {
		return int64((at - t.origin + t.length()/2 - time.Millisecond) / l.part)
	}
	return int64((at - t.origin + t.interval/2) / t.usual)
}

func bytesOf(units []media.AccessUnit) int {
	n := 0
	for i := range units {
		n += len(units[i].Data)
	}
	return n
}

// finishPart writes the part under way, and publishes it.
func (c *cutter) finishPart(t *track, next time.Duration) {
	if c.writePart(t, next, next) {
		c.output.publish(t, false)
	}
}

// writePart writes the part under way. next is when the track goes on, and until where its segment
// ends if that is before: its last unit may last for longer, but players are not told.
func (c *cutter) writePart(t *track, next, until time.Duration) bool {
	if len(t.part) == 0 {
		return false
	}
	units := t.part
	defer func() {
		clear(units)
		t.part, t.held = t.part[:0], 0
	}()
	s, first := t.segment, &units[0]
	if next-s.Start > c.line.limit()+spill {
		next = 0 // a hole
		if until-s.Start <= c.line.limit()+spill {
			next = until
		}
	}
	f := fmp4.Fragment{Units: units, Next: next, Segment: len(s.Parts) == 0, Events: t.events}
	t.events = nil
	if first.Arrived != 0 {
		f.Wall = time.Unix(0, first.Arrived)
	}
	data, w, err := t.fragments(&f)
	if err != nil {
		c.counts.Dropped.Add(uint64(len(units) - 1))
		c.journal.drop(t, first, err)
		return false
	}
	if len(s.Parts) == 0 {
		s.Independent = w.Independent
		if t.kind == media.Video {
			s.Key = w.FirstEnd
		}
	}
	lasts := w.Duration
	switch {
	case next == 0:
		lasts = min(lasts, t.target)
	case until < next:
		lasts = min(lasts, until-first.DTS)
	}
	c.list(t, playlist.Part{Start: w.Start, Independent: w.Independent, Data: data}, w.Start, lasts)
	s.Size += data.Size()
	c.output.grow(data.Size())
	t.arrived = units[len(units)-1].Arrived
	return true
}

// fragments writes f. A segment of video begins with a fragment of one picture, which alone is what
// I-frame playlists point to: FFmpeg reads no range that ends within a fragment.
func (t *track) fragments(f *fmp4.Fragment) (data *playlist.Content, w fmp4.Written, err error) {
	pieces := make([][]byte, 0, len(f.Units)+2)
	if !f.Segment || t.kind != media.Video || len(f.Units) == 1 {
		pieces, w, err = t.fragment(pieces, f)
		return playlist.NewContent(pieces...), w, err
	}
	first, rest := *f, fmp4.Fragment{Units: f.Units[1:], Next: f.Next}
	first.Units, first.Next = f.Units[:1], f.Units[1].DTS
	if pieces, w, err = t.fragment(pieces, &first); err != nil {
		return nil, w, err
	}
	pieces, more, err := t.fragment(pieces, &rest)
	w.Duration += more.Duration
	return playlist.NewContent(pieces...), w, err
}

// fragment writes one. Its samples stay where the ring has them.
func (t *track) fragment(pieces [][]byte, f *fmp4.Fragment) ([][]byte, fmp4.Written, error) {
	head, w, err := t.writer.AppendHead(nil, f)
	if err != nil {
		return pieces, w, err
	}
	pieces = append(pieces, head)
	for i := range f.Units {
		pieces = append(pieces, fmp4.Payload(&f.Units[i]))
	}
	return pieces, w, nil
}

// list adds a part that begins at a time and lasts so long, and is never listed as longer than the
// part target duration (RFC 8216bis 4.4.4.9). What it would be too long by is listed with the next
// one. Where that is much, its last unit lasts for longer than a part may, and only the segment is
// as long as its media. A part with GAP=YES, which could stand for the rest, makes hls.js (1.7.4)
// stand still for good.
func (c *cutter) list(t *track, next playlist.Part, start, lasts time.Duration) {
	s := t.segment
	if len(s.Parts) == 0 && (start-t.listed).Abs() > t.slack() {
		t.listed = start
	}
	s.Duration += t.skip(start)
	next.Duration = max(min(start+lasts-t.listed, t.target), cut.MinDuration)
	next.Independent = next.Independent && t.mayBegin(&next)
	s.Parts = append(s.Parts, next)
	s.Duration += next.Duration
	t.listed += next.Duration
	if more := t.skip(start + lasts); more > 0 {
		s.Duration += more
		c.journal.noteWide(t, start, lasts)
	}
	t.unlisted = start + lasts - t.listed
}

// mayBegin says that players are told that they may begin with a part of the segment under way.
//
// hls.js (1.7.4) that began with a part at most 200 ms behind the start of a segment takes that for
// buffered at its end (FragmentTracker.bufferPadding). But as long as it has not loaded all parts
// of it, it asks for nothing behind it (getFragmentAtPosition), unless what is buffered ends behind
// it too, which the rounding of the browser decides: it stood still for good. Only what is
// independent may be shorter than 85 % of the part target duration (RFC 8216bis 4.4.4.9).
func (t *track) mayBegin(part *playlist.Part) bool {
	s := t.segment
	return len(s.Parts) == 0 || s.Duration > shortPart || 100*part.Duration < 85*t.target
}

// skip leaves out what no part lists up to a time, unless it is so little that the next one makes
// up for it.
func (t *track) skip(until time.Duration) time.Duration {
	more := until - t.listed
	if more <= t.slack() {
		return 0
	}
	t.listed = until
	return more
}

// close ends the segment under way, which is a gap if there is nothing in it. end is where the next
// segment begins, and follows says that the track has a unit for that one.
func (c *cutter) close(t *track, next time.Duration, end *Boundary, follows bool) {
	if t.segment == nil {
		return
	}
	if end != nil && end.Discontinuity && len(t.part) > 0 {
		// What follows has times of its own: the last unit need not last until then, but the part
		// must not get too long.
		next = min(next, t.part[0].DTS+t.target)
	}
	until := next
	if end != nil && t.kind == media.Video && end.At+alignment < next {
		until = end.At // it goes on behind a hole
	}
	if last, held := t.overhang(until); held {
		c.writePart(t, last.DTS, last.DTS)
		t.part = append(t.part, last)
	}
	c.writePart(t, next, until)
	s := t.segment
	withheld := follows && c.withhold(t)
	s.Complete = true
	if len(s.Parts) > 0 {
		t.gaps = 0
		c.counts.Segments.Add(1)
	} else {
		b := c.line.get(s.Seq)
		s.Gap, s.Duration = true, cut.MinDuration
		if b != nil && end != nil {
			s.Duration = max(end.At-b.At, cut.MinDuration)
		}
		t.gaps++
	}
	s.Duration = min(s.Duration, c.line.target+cut.Rounding)
	t.segment = nil
	c.output.complete(t, s, !withheld && !(s.Gap && follows))
}

const (
	// shortPart is how much media of a segment may be missing where hls.js takes it for buffered:
	// its 200 ms and the rounding of times.
	shortPart = 250 * time.Millisecond
	// maxWithheld bounds for how long: what comes next is a part.
	maxWithheld = 500 * time.Millisecond
)

// withhold publishes all parts of the segment under way but not its end, which the next part
// brings. It is false if the end is due at once.
//
// As soon as a playlist has a segment's end, hls.js (1.7.4, FragmentTracker.bufferPadding) takes
// the segment for buffered when no more than 200 ms of it are missing. The end may come together
// with a last part that is as short as that, while hls.js parses the part before it. Then it would
// never ask for the last part, and stand in front of it until the segment's parts are listed no
// more.
func (c *cutter) withhold(t *track) bool {
	n := len(t.segment.Parts)
	if n < 2 || len(t.window.Segments) == 0 || t.target > maxWithheld || t.segment.Parts[n-1].Duration > shortPart {
		return false
	}
	t.segment.Full = true
	c.output.publish(t, false)
	return true
}
