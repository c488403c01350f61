package hls

import (
	"time"

	"livego/internal/fmp4"
	"livego/internal/media"
)

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
	if len(t.part) > 0 {
		wide := u.DTS+length-t.part[0].DTS > t.target+partSlack // pictures are not as far apart as they were
		switch last, held := t.overhang(u.DTS); {
		case held:
			p.finishPart(t, last.DTS)
			t.origin, t.cell, t.part = last.DTS, 0, append(t.part, last)
			if cell = p.cellOf(t, u.DTS); cell > 0 {
				p.finishPart(t, u.DTS)
			}
		case cell > t.cell:
			p.finishPart(t, u.DTS)
		case wide:
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

// partSlack is by how much a part may seem longer than the part target duration: times come in whole milliseconds.
const partSlack = 2 * time.Millisecond

// overhang takes the last unit out of the part under way if there is a hole behind it, up to next, that would make the part too long: then that
// unit, which lasts through the hole, belongs in a part behind this one.
func (t *cmafTrack) overhang(next time.Duration) (last media.AccessUnit, held bool) {
	n := len(t.part)
	if n < 2 || next-t.part[0].DTS <= t.target+partSlack {
		return media.AccessUnit{}, false
	}
	last = t.part[n-1]
	t.part = t.part[:n-1]
	return last, true
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

// close ends the segment under way, which is a gap if there is nothing in it. end is where the next segment begins, and follows says that the
// track has a unit for that one.
func (p *packager) close(t *cmafTrack, next time.Duration, end *boundary, follows bool) {
	if t.segment == nil {
		return
	}
	if end != nil && end.discontinuity && len(t.part) > 0 {
		// What follows has times of its own: the last unit need not last until then, but the part must not get too long.
		next = min(next, t.part[0].DTS+t.target)
	}
	if last, held := t.overhang(next); held {
		p.writePart(t, last.DTS)
		t.part = append(t.part, last)
	}
	p.writePart(t, next)
	s := t.segment
	withheld := follows && p.withhold(t)
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
	p.bytes -= t.window.add(s, p.opt.ListSize, p.line.target, t.settled)
	p.store(t, s)
	p.trim()
	if !withheld {
		p.publish(t, false)
	}
	p.describe(t)
}

const (
	// shortPart is a last part's length up to which a segment's end is withheld: the 200 ms of hls.js and the rounding of times.
	shortPart = 250 * time.Millisecond
	// maxWithheld bounds for how long: what comes next is a part.
	maxWithheld = 500 * time.Millisecond
)

// withhold publishes all parts of the segment under way but not its end, which the next part brings. It is false if the end is due at once.
//
// As soon as a playlist has a segment's end, hls.js (1.7.4, FragmentTracker.bufferPadding) takes the segment for buffered when no more than 200 ms
// of it are missing. Were the end to come together with a last part that is as short as that, and while hls.js parses the part before it, then it
// would never ask for the last part, and stand in front of it until the segment's parts are listed no more.
func (p *packager) withhold(t *cmafTrack) bool {
	n := len(t.segment.parts)
	if n < 2 || len(t.window.segments) == 0 || t.target > maxWithheld || t.segment.parts[n-1].duration > shortPart {
		return false
	}
	t.segment.full = true
	p.publish(t, false)
	return true
}
