package hls

import (
	"slices"
	"time"
)

// The view answers what it holds and what comes next. All of it is read by requests, so nothing
// here changes a view.

// segment returns the segment with a number, nil if the view has none.
func (v *renditionView) segment(seq int64) *cmafSegment {
	if len(v.segments) == 0 {
		return nil
	}
	i := seq - v.segments[0].seq
	if i < 0 || i >= int64(len(v.segments)) {
		return nil
	}
	return v.segments[i]
}

// initSegment returns the initialization section with a number, nil if no segment needs it any
// more.
func (v *renditionView) initSegment(seq int64) *initSegment {
	for _, s := range v.segments {
		if s.init != nil && s.init.seq == seq {
			return s.init
		}
	}
	return nil
}

// last returns the media sequence number of the last segment that has begun, and the index of its
// last part, -1 if it has none.
func (v *renditionView) last() (seq int64, part int, ok bool) {
	for i := len(v.segments) - 1; i >= 0; i-- {
		if s := v.segments[i]; s.complete || len(s.parts) > 0 {
			return s.seq, len(s.parts) - 1, true
		}
	}
	return 0, 0, false
}

// lastComplete returns the media sequence number of the last complete segment.
func (v *renditionView) lastComplete() (seq int64, ok bool) {
	for i := len(v.segments) - 1; i >= 0; i-- {
		if v.segments[i].complete {
			return v.segments[i].seq, true
		}
	}
	return 0, false
}

// next returns the name of the part that comes next, unless the playlist has ended.
func (v *renditionView) next() (seq int64, part int, ok bool) {
	if v.ended || len(v.segments) == 0 {
		return 0, 0, false
	}
	s := v.segments[len(v.segments)-1]
	if s.complete || s.full {
		return s.seq + 1, 0, true
	}
	return s.seq, len(s.parts), true
}

// complete counts the complete segments.
func (v *renditionView) complete() (n int) {
	for _, s := range v.segments {
		if s.complete {
			n++
		}
	}
	return n
}

// duration is that of the playlist.
func (v *renditionView) duration() (sum time.Duration) {
	for _, s := range v.segments[v.listed:] {
		sum += s.duration
	}
	return sum
}

// ending returns the view with its end: what there is of the last segment is all of it.
func (v *renditionView) ending() *renditionView {
	e := &renditionView{
		version: v.version + 1, segments: slices.Clone(v.segments), listed: v.listed,
		discontinuitySeq: v.discontinuitySeq, stored: v.stored,
		target: v.target, partTarget: v.partTarget, partHoldBack: v.partHoldBack,
		ended: true, replaced: make(chan struct{}),
	}
	close(e.replaced)
	if n := len(e.segments) - 1; n >= 0 && !e.segments[n].complete {
		last := *e.segments[n]
		last.complete = true
		if e.segments[n] = &last; len(last.parts) == 0 {
			e.segments = e.segments[:n]
		}
	}
	return e
}
