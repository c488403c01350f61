package hls

import (
	"time"
)

// cmafWindow is the complete segments of a rendition that can be fetched. The slice is never
// changed in place, for views share it.
type cmafWindow struct {
	segments []*cmafSegment
	listed   int
	bytes    int
}

// add puts a complete segment at the end and lets those go that are due, by the rules of window.
// One that is to be listed from disk afterwards stays for a while if the disk has not settled it.
func (w *cmafWindow) add(s *cmafSegment, listSize int, target time.Duration, settled func(seq int64) bool) (freed int) {
	w.segments = append(w.segments, s)
	w.bytes += s.size
	for w.mayUnlist(listSize, target, settled) {
		w.listed++
	}
	keep := max(listSize, len(w.segments)-w.listed) + 1
	for w.listed > keep {
		freed += w.drop()
	}
	return freed
}

// mayUnlist says whether the playlist is long enough without its first segment.
func (w *cmafWindow) mayUnlist(listSize int, target time.Duration, settled func(seq int64) bool) bool {
	n := len(w.segments) - w.listed
	if n <= listSize {
		return false
	}
	rest := time.Duration(0)
	for _, s := range w.segments[w.listed+1:] {
		rest += s.duration
	}
	return rest >= minListed*target && settled(w.segments[w.listed].seq) || n > max(maxListed, listSize)
}

// drop lets the oldest segment go and returns its size.
func (w *cmafWindow) drop() int {
	size := w.segments[0].size
	w.bytes -= size
	w.segments = append([]*cmafSegment(nil), w.segments[1:]...)
	w.listed = max(w.listed-1, 0)
	return size
}

// rates measures what the multivariant playlist says of a rendition.
type rates struct {
	// units are those of the segment under way, pictures those of complete ones, which last for
	// shown.
	units, pictures int
	shown           time.Duration
	bits            float64
	peak            float64
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

// note counts a complete segment. The peak is that of any contiguous set of segments that last
// between half and one and a half target durations (RFC 8216bis 4.1): a shorter segment alone says
// nothing.
func (r *rates) note(s *cmafSegment, target time.Duration) {
	units := r.units
	r.units = 0
	if s.gap || s.duration <= 0 {
		r.recent = r.recent[:0]
		return
	}
	bits := float64(s.size) * 8
	r.pictures += units
	r.shown += s.duration
	r.bits += bits
	r.recent = append(r.recent, sized{bits, s.duration})
	set := sized{}
	for i := len(r.recent) - 1; i >= 0; i-- {
		set.bits += r.recent[i].bits
		set.duration += r.recent[i].duration
		if set.duration > target*3/2 {
			r.recent = append(r.recent[:0], r.recent[i+1:]...)
			break
		}
		if set.duration >= target/2 {
			r.peak = max(r.peak, set.bits/set.duration.Seconds())
		}
	}
	if len(r.recent) > maxRecent {
		r.recent = append(r.recent[:0], r.recent[1:]...)
	}
}

// highest is the bit rate to announce: what all segments have is the best that is known as long as
// there is no such set.
func (r *rates) highest() float64 { return max(r.peak, r.average()) }

func (r *rates) average() float64 {
	if r.shown <= 0 {
		return 0
	}
	return r.bits / r.shown.Seconds()
}

// perSecond is the measured picture rate.
func (r *rates) perSecond() float64 {
	if r.shown <= 0 {
		return 0
	}
	return float64(r.pictures) / r.shown.Seconds()
}
