//go:build linux

package fanout

import (
	"testing"

	"livego/internal/iouring"
)

func TestRingsAreLentOnce(t *testing.T) {
	if r, err := iouring.New[*Player](); err != nil {
		t.Skip("io_uring is not to be had here: ", err)
	} else {
		r.Close()
	}
	var r rings
	a, b := r.take(ringPlayers), r.take(100)
	if a == nil || b == nil || a == b || r.take(ringPlayers-1) != nil {
		t.Error("wrong rings")
	}
	r.give(a)
	if c := r.take(100); c != a {
		t.Error("a ring that was given back is not used again")
	}
	for range maxRings {
		if ring := r.take(100); ring != nil {
			r.give(ring)
			_ = r.take(100)
		}
	}
	if r.take(100) != nil {
		t.Error("too many rings")
	}
	r.give(a)
	r.give(b)
	r.close()
}
