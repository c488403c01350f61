package live

import "sync/atomic"

// gauges are what others may know of a publication without its lock, which the publisher needs.
type gauges struct {
	onAir     atomic.Bool
	ringBytes atomic.Int64
}

// Figures says how a publication is.
type Figures struct {
	Name Name
	// OnAir: there is a publisher now.
	OnAir bool
	// RingBytes is how much memory the ring accounts for.
	RingBytes int64
}

// Figures returns how all publications are, in dst, those of a stream in the order of their first
// sessions. It takes no lock that a publisher takes with its media.
func (h *Hub) Figures(dst []Figures) []Figures {
	h.mu.Lock()
	defer h.mu.Unlock()
	for _, s := range h.streams {
		for _, pub := range s.members {
			dst = append(dst, Figures{Name: pub.name, OnAir: pub.gauges.onAir.Load(), RingBytes: pub.gauges.ringBytes.Load()})
		}
	}
	return dst
}
