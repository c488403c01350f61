package live

import (
	"unsafe"

	"livego/internal/media"
)

// Moved says that the bytes of a unit's body are somewhere else too, for good.
type Moved struct {
	Seq      uint64
	From, To []byte // of the same content
}

// Share has the publication hold the bytes of units where somebody else holds them anyway. Those
// who have a unit already keep what they have.
func (r *Reader) Share(moves []Moved) {
	pub := r.pub
	pub.mu.Lock()
	defer pub.mu.Unlock()
	for i := range moves {
		pub.ring.move(&moves[i])
	}
}

// move lets a unit, and those behind it that share its body, point to the other bytes.
func (r *ring) move(m *Moved) {
	if len(m.From) == 0 || len(m.From) != len(m.To) {
		return
	}
	for seq := max(m.Seq, r.first); seq < r.next; seq++ {
		u := r.at(seq)
		if unsafe.SliceData(u.Body) != unsafe.SliceData(m.From) {
			return
		}
		moveUnit(u, m.To)
	}
}

// moveUnit lets u point to the same bytes elsewhere, unless its data are none of its body's.
func moveUnit(u *media.AccessUnit, to []byte) {
	body, data := unsafe.Pointer(unsafe.SliceData(u.Body)), unsafe.Pointer(unsafe.SliceData(u.Data))
	at := uintptr(data) - uintptr(body)
	switch n := uintptr(len(to)); {
	case len(u.Data) == 0:
		u.Data = nil
	case at <= n && uintptr(len(u.Data)) <= n-at:
		u.Data = to[at : at+uintptr(len(u.Data))]
	default:
		return
	}
	u.Body = to
}
