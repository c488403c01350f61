package spool

import "time"

// Segment says what a playlist needs to know of a stored segment.
type Segment struct {
	// Seq is the media sequence number and the segment's name.
	Seq int64
	// Start is the media time at which it begins. (Before media time was the same in all lives it
	// began anew with each of them.)
	Start, Duration time.Duration
	// At is the wall clock at Start in nanoseconds since 1970, 0 if unknown.
	At int64
	// Init is the number of the init segment that it needs, 0 for a gap before all media, which
	// needs none.
	Init int64
	// DiscontinuitySeq is the number of discontinuities of the rendition before this segment, its
	// own left out.
	DiscontinuitySeq int64
	// Size is in bytes, Key the length up to and with the first picture, 0 if that is not a random
	// access point.
	Size int64
	// Dates is the text of EXT-X-DATERANGE tags before the segment.
	Dates string
	// stored is when the segment came, in nanoseconds since 1970.
	stored int64
	Key    int32
	// Target is the playlist's target duration in seconds.
	Target int32
	// Discontinuity: it does not continue the one before. Independent: decoding may begin with it.
	// Gap: it has no media.
	Discontinuity, Independent, Gap bool
	// written: its file is on disk.
	written bool
}

// leads says that the segment is a gap before all media.
func (e *Segment) leads() bool { return e.Gap && e.Init == 0 }

// blank is a gap of the same time.
func (e *Segment) blank(seq int64) Segment {
	return Segment{
		Seq: seq, Start: e.Start, Duration: e.Duration, At: e.At, Init: e.Init,
		Discontinuity: e.Discontinuity, DiscontinuitySeq: e.DiscontinuitySeq, Target: e.Target, Gap: true,
	}
}

// following is a gap after the segment, as long as the segment is.
func (e *Segment) following() Segment {
	next := e.blank(e.Seq + 1)
	next.Start += e.Duration
	if next.At != 0 {
		next.At += int64(e.Duration)
	}
	next.DiscontinuitySeq, next.Discontinuity = e.nextDiscontinuity(), false
	return next
}

func (e *Segment) nextDiscontinuity() int64 {
	if e.Discontinuity {
		return e.DiscontinuitySeq + 1
	}
	return e.DiscontinuitySeq
}

// cost is what a segment takes on disk.
func (e *Segment) cost() int64 { return fileCost(e.Size) + entryBytes }

func fileCost(size int64) int64 { return (size + blockSize - 1) / blockSize * blockSize }

// chunkLength is how many segments are allocated at a time. A chunk begins at a multiple of it, so
// it is easy to find.
const chunkLength = 64

type chunk [chunkLength]Segment

// list is segments with consecutive numbers from first to before end. A copy of it stays as it is:
// elements are only ever added after its end.
type list struct {
	chunks     []*chunk
	first, end int64
}

func (l *list) len() int64 { return l.end - l.first }

// at returns the segment with a number, nil if it is not in the list.
func (l *list) at(seq int64) *Segment {
	if seq < l.first || seq >= l.end {
		return nil
	}
	return &l.chunks[seq/chunkLength-l.first/chunkLength][seq%chunkLength]
}

// push adds a segment, which must have the number end if there are others.
func (l *list) push(e Segment) {
	if l.len() == 0 {
		l.chunks, l.first, l.end = nil, e.Seq, e.Seq
	}
	if len(l.chunks) == 0 || e.Seq%chunkLength == 0 {
		l.chunks = append(l.chunks, new(chunk))
	}
	l.chunks[len(l.chunks)-1][e.Seq%chunkLength] = e
	l.end++
}

// pop takes the first segment away.
func (l *list) pop() {
	l.first++
	if l.first%chunkLength == 0 || l.len() == 0 {
		l.chunks = l.chunks[1:]
	}
}

// Window is the segments of a rendition that a playlist lists from disk. It never changes, but the
// files of its oldest segments go.
type Window struct {
	list       list
	first, end int64
}

// First returns the number of the first segment.
func (w *Window) First() int64 { return w.first }

// End returns the number after that of the last segment.
func (w *Window) End() int64 { return w.end }

// Len returns the number of segments.
func (w *Window) Len() int { return int(w.end - w.first) }

// At returns the segment with a number from First to before End, nil for others. It must not be
// changed.
func (w *Window) At(seq int64) *Segment {
	if seq < w.first || seq >= w.end {
		return nil
	}
	return w.list.at(seq)
}
