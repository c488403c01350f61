package playlist

import (
	"strings"
	"sync"
	"time"

	"livego/internal/spool"
)

// runLength is how many segments from disk are rendered and compressed together, once for all
// playlists that list them.
const runLength = 64

// runText is the text of segments from disk from one number to before another. It never changes.
type runText struct {
	from, to int64
	// plain is what stands in the playlist, deflated the same compressed.
	plain, deflated []byte
}

// runTexts keeps the texts of a rendition's segments from disk, of all media or of I-frames only.
// The zero value is ready.
type runTexts struct {
	mu sync.Mutex
	// whole are those of runLength segments, by from divided by it; oldest is the lowest index.
	whole  map[int64]*runText
	oldest int64
	// first and last are the newest runs at the ends of the window, where it seldom begins and ends
	// with a whole one.
	first, last *runText
}

// StoredBefore returns what a playlist lists from disk before the segment seq.
func (r *Rendition) StoredBefore(seq int64) spool.Window {
	if r.Disk == nil {
		return spool.Window{}
	}
	w := r.Disk.List(seq)
	if w.End() != seq {
		return spool.Window{} // it would leave a hole
	}
	return w
}

// Settled says whether it is known what the disk made of a segment, if it was to get it.
func (r *Rendition) Settled(seq int64) bool { return r.Disk == nil || r.Disk.Settled(seq) }

// StoredPeak returns the highest bit rate of the segments on disk before a number: players may go
// back to them.
func (r *Rendition) StoredPeak(before int64) (peak float64) {
	w := r.StoredBefore(before)
	for seq := w.First(); seq < w.End(); seq++ {
		if e := w.At(seq); e.Duration >= time.Second {
			peak = max(peak, float64(e.Size)*8/e.Duration.Seconds())
		}
	}
	return peak
}

// runs returns the texts of a window, oldest first.
func (c *runTexts) runs(gzip *Compressor, id string, form Form, w *spool.Window) ([]*runText, error) {
	c.mu.Lock()
	defer c.mu.Unlock()
	runs := make([]*runText, 0, w.Len()/runLength+2)
	for from := w.First(); from < w.End(); {
		index := from / runLength
		to := min((index+1)*runLength, w.End())
		run := c.find(from, to, from == w.First())
		if run == nil {
			var err error
			if run, err = renderRun(gzip, id, form, w, from, to); err != nil {
				return nil, err
			}
			c.note(run, from == w.First())
		}
		runs = append(runs, run)
		from = to
	}
	c.forget(w.First() / runLength)
	return runs, nil
}

// find returns a run that was rendered before. The first one of a window is another text: it names
// its initialization section.
func (c *runTexts) find(from, to int64, first bool) *runText {
	run := c.last
	switch {
	case first:
		run = c.first
	case to-from == runLength:
		return c.whole[from/runLength]
	}
	if run == nil || run.from != from || run.to != to {
		return nil
	}
	return run
}

func (c *runTexts) note(run *runText, first bool) {
	switch {
	case first:
		c.first = run
	case run.to-run.from == runLength:
		if c.whole == nil {
			c.whole, c.oldest = make(map[int64]*runText), run.from/runLength
		}
		c.whole[run.from/runLength] = run
	default:
		c.last = run
	}
}

// forget lets the runs before an index go.
func (c *runTexts) forget(index int64) {
	for ; len(c.whole) > 0 && c.oldest < index; c.oldest++ {
		delete(c.whole, c.oldest)
	}
}

func renderRun(gzip *Compressor, id string, form Form, w *spool.Window, from, to int64) (*runText, error) {
	m := mediaRenderer{id: id, form: form, init: noInit}
	if before := w.At(from - 1); before != nil {
		m.init = before.Init
	}
	for seq := from; seq < to; seq++ {
		s := storedSegment(w.At(seq))
		m.segment(&s, false)
	}
	deflated, err := gzip.deflate(m.b, false)
	return &runText{from: from, to: to, plain: m.b, deflated: deflated}, err
}

// storedSegment is a segment from disk as one from memory.
func storedSegment(e *spool.Segment) Segment {
	s := Segment{
		Seq: e.Seq, Start: e.Start, Duration: e.Duration, Discontinuity: e.Discontinuity,
		Independent: e.Independent, Gap: e.Gap, Complete: true, Key: int(e.Key), Size: int(e.Size),
	}
	if e.Init != 0 {
		s.Init = &Init{Seq: e.Init}
	}
	if e.At != 0 {
		s.At = time.Unix(0, e.At)
	}
	if e.Dates != "" {
		s.Dates = strings.Split(e.Dates, "\n")
	}
	return s
}

// ToStore is a segment from memory as one for the disk.
func (s *Segment) ToStore(target time.Duration) spool.Segment {
	e := spool.Segment{
		Seq: s.Seq, Start: s.Start, Duration: s.Duration,
		Discontinuity: s.Discontinuity, DiscontinuitySeq: s.Before, Independent: s.Independent, Gap: s.Gap,
		Key: int32(s.Key), Target: int32(target / time.Second), Dates: strings.Join(s.Dates, "\n"),
	}
	if s.Init != nil {
		e.Init = s.Init.Seq
	}
	if !s.At.IsZero() {
		e.At = s.At.UnixNano()
	}
	return e
}
