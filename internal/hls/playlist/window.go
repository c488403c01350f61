package playlist

import (
	"time"
)

// Window is the complete segments of a rendition that can be fetched. The slice is never
// changed in place, for views share it.
type Window struct {
	Segments []*Segment
	Listed   int
	Bytes    int
}

// Add puts a complete segment at the end and lets those go that are due, by the rules of window.
// One that is to be listed from disk afterwards stays for a while if the disk has not settled it.
func (w *Window) Add(s *Segment, listSize int, target time.Duration, settled func(seq int64) bool) (freed int) {
	w.Segments = append(w.Segments, s)
	w.Bytes += s.Size
	for w.mayUnlist(listSize, target, settled) {
		w.Listed++
	}
	keep := max(listSize, len(w.Segments)-w.Listed) + 1
	for w.Listed > keep {
		freed += w.Drop()
	}
	return freed
}

// mayUnlist says whether the playlist is long enough without its first segment.
func (w *Window) mayUnlist(listSize int, target time.Duration, settled func(seq int64) bool) bool {
	n := len(w.Segments) - w.Listed
	if n <= listSize {
		return false
	}
	rest := time.Duration(0)
	for _, s := range w.Segments[w.Listed+1:] {
		rest += s.Duration
	}
	return rest >= MinListed*target && settled(w.Segments[w.Listed].Seq) || n > max(MaxListed, listSize)
}

// Drop lets the oldest segment go and returns its size.
func (w *Window) Drop() int {
	size := w.Segments[0].Size
	w.Bytes -= size
	w.Segments = append([]*Segment(nil), w.Segments[1:]...)
	w.Listed = max(w.Listed-1, 0)
	return size
}

// Rates measures what the multivariant playlist says of a rendition.
type Rates struct {
	// steps are those from one picture to the next, which are moving long together.
	steps  int
	moving time.Duration
	// newest is the time of the newest picture, if there is one.
	newest  time.Duration
	started bool
	// shown and bits are how long complete segments last, and what is in them.
	shown time.Duration
	bits  float64
	Peak  float64
	// recent are the segments that may be in a set with the next one.
	recent []sized
}

// sized is how much media a segment has.
type sized struct {
	bits     float64
	duration time.Duration
}

// maxRecent bounds the segments of a set whose bit rate is measured.
const maxRecent = 64

// Note counts a complete segment. The peak is that of any contiguous set of segments that last
// between half and one and a half target durations (RFC 8216bis 4.1): a shorter segment alone says
// nothing.
func (r *Rates) Note(s *Segment, target time.Duration) {
	if s.Gap || s.Duration <= 0 {
		r.recent = r.recent[:0]
		return
	}
	bits := float64(s.Size) * 8
	r.shown += s.Duration
	r.bits += bits
	r.recent = append(r.recent, sized{bits, s.Duration})
	set := sized{}
	for i := len(r.recent) - 1; i >= 0; i-- {
		set.bits += r.recent[i].bits
		set.duration += r.recent[i].duration
		if set.duration > target*3/2 {
			r.recent = append(r.recent[:0], r.recent[i+1:]...)
			break
		}
		if set.duration >= target/2 {
			r.Peak = max(r.Peak, set.bits/set.duration.Seconds())
		}
	}
	if len(r.recent) > maxRecent {
		r.recent = append(r.recent[:0], r.recent[1:]...)
	}
}

// Highest is the bit rate to announce: what all segments have is the best that is known as long as
// there is no such set.
func (r *Rates) Highest() float64 { return max(r.Peak, r.Average()) }

// Average is the mean bit rate of all segments.
func (r *Rates) Average() float64 {
	if r.shown <= 0 {
		return 0
	}
	return r.bits / r.shown.Seconds()
}

const (
	// pause is from where on a step may be a pause of the encoder, which says nothing of its rate,
	// if it is pauseSteps times as long as the others are.
	pause, pauseSteps = 250 * time.Millisecond, 4
	// minSteps is from how many steps on there is a rate: FFmpeg behind a filter begins with one
	// picture, and may send the next one after seconds.
	minSteps = 3
)

// Step counts a picture.
func (r *Rates) Step(dts time.Duration) {
	d, mean := dts-r.newest, r.moving/time.Duration(max(r.steps, 1))
	follows := r.started && d > 0
	r.newest, r.started = dts, true
	switch {
	case !follows, r.steps > 0 && d > pause && d > pauseSteps*mean:
	case mean > pause && mean > pauseSteps*d: // those before were pauses
		r.steps, r.moving = 1, d
	default:
		r.steps++
		r.moving += d
	}
}

// PerSecond is the measured picture rate, 0 if it is not known yet.
func (r *Rates) PerSecond() float64 {
	if r.steps < minSteps {
		return 0
	}
	return float64(r.steps) / r.moving.Seconds()
}
