package hls

import (
	"time"
)

// cmafWindow is the complete segments of a rendition that can be fetched. The slice is never changed in place, for views share it.
type cmafWindow struct {
	segments []*cmafSegment
	listed   int
	bytes    int
}

// add puts a complete segment at the end and lets those go that are due, by the rules of window. One that is to be listed from disk
// afterwards stays for a while if the disk has not settled it.
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
	// units are those of the segment under way, pictures those of complete ones, which last for shown.
	units, pictures int
	shown           time.Duration
	bits            float64
	peak            float64
}

// note counts a complete segment. One of less than half the target duration says nothing of the peak (RFC 8216bis 4.1).
func (r *rates) note(s *cmafSegment, target time.Duration) {
	units := r.units
	r.units = 0
	if s.gap || s.duration <= 0 {
		return
	}
	bits := float64(s.size) * 8
	r.pictures += units
	r.shown += s.duration
	r.bits += bits
	if s.duration >= target/2 || r.peak == 0 {
		r.peak = max(r.peak, bits/s.duration.Seconds())
	}
}

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
