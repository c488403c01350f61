package fanout

import (
	"sync"

	"livego/internal/iouring"
)

const (
	// maxRings bounds the rings of a Fanout: passes that find none free write in the ordinary way.
	maxRings = 16
	// ringPlayers is from how many players on a ring is worth its setting up.
	ringPlayers = 4
)

// ring sends to many players at once.
type ring = iouring.Ring[*Player]

// rings lends rings to passes.
type rings struct {
	off bool // not to be used at all

	mu   sync.Mutex
	free []*ring
	made int
}

// take returns a ring, or nil if the pass has to do without.
func (r *rings) take(players int) *ring {
	if r.off || players < ringPlayers {
		return nil
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	if n := len(r.free); n > 0 {
		ring := r.free[n-1]
		r.free = r.free[:n-1]
		return ring
	}
	if r.made >= maxRings {
		return nil
	}
	ring, err := iouring.New[*Player]()
	if err != nil {
		r.made = maxRings // nor later
		return nil
	}
	r.made++
	return ring
}

func (r *rings) give(ring *ring) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.free = append(r.free, ring)
}

// close closes the rings; none may be lent.
func (r *rings) close() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, ring := range r.free {
		ring.Close()
	}
	r.free, r.made = nil, 0
}
