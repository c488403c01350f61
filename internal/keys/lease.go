package keys

import "sync"

// Lease is a publisher's right to be on air in a room. It holds until it is released or revoked.
type Lease struct {
	// Room is the room that the key opens.
	Room string

	// epoch is the room's last revocation when the lease was made; only the Redis store sets it.
	epoch   string
	revoked chan struct{}
	once    sync.Once
	held    *leases
}

// Revoked returns a channel that is closed when the key is revoked, on whichever node.
func (l *Lease) Revoked() <-chan struct{} { return l.revoked }

// Release gives the lease back. Further calls do nothing.
func (l *Lease) Release() { l.held.remove(l) }

func (l *Lease) revoke() { l.once.Do(func() { close(l.revoked) }) }

func (l *Lease) isRevoked() bool {
	select {
	case <-l.revoked:
		return true
	default:
		return false
	}
}

// leases are those that a store has handed out and that were not released yet. The zero value is
// ready for use.
type leases struct {
	mu     sync.Mutex
	byRoom map[string]map[*Lease]struct{}
}

func (h *leases) add(room, epoch string) *Lease {
	l := &Lease{Room: room, epoch: epoch, revoked: make(chan struct{}), held: h}
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.byRoom == nil {
		h.byRoom = make(map[string]map[*Lease]struct{})
	}
	if h.byRoom[room] == nil {
		h.byRoom[room] = make(map[*Lease]struct{})
	}
	h.byRoom[room][l] = struct{}{}
	return l
}

func (h *leases) remove(l *Lease) {
	h.mu.Lock()
	defer h.mu.Unlock()
	delete(h.byRoom[l.Room], l)
	if len(h.byRoom[l.Room]) == 0 {
		delete(h.byRoom, l.Room)
	}
}

// revoke revokes all leases of the room.
func (h *leases) revoke(room string) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for l := range h.byRoom[room] {
		l.revoke()
	}
}

func (h *leases) holds(room string) bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	return len(h.byRoom[room]) > 0
}

// all returns the leases that are held now, in no order.
func (h *leases) all() []*Lease {
	h.mu.Lock()
	defer h.mu.Unlock()
	var all []*Lease
	for _, room := range h.byRoom {
		for l := range room {
			all = append(all, l)
		}
	}
	return all
}
