package http1

import (
	"hash/maphash"
	"net/http"
	"testing"
)

// TestWaitersBound: however many addresses there are, the bound of all holds and is used up.
func TestWaitersBound(t *testing.T) {
	for _, most := range []int64{1, 2, 3, 100, 1000} {
		var w waiters
		held := int64(0)
		for range 20 {
			for address := range uint64(1000) {
				if w.enter(address, most) {
					held++
				}
			}
		}
		if all := w.all.Load(); all != most || held != most {
			t.Errorf("%d and %d of %d requests are held", all, held, most)
		}
	}
}

// TestWaitersWithoutGarbage: a request that is held costs no memory for being counted.
func TestWaitersWithoutGarbage(t *testing.T) {
	seed := maphash.MakeSeed()
	var w waiters
	for _, from := range []string{"192.0.2.1:1234", "[2001:db8::1]:1234"} {
		r := &http.Request{RemoteAddr: from}
		n := testing.AllocsPerRun(100, func() {
			address := addressOf(seed, r)
			if w.enter(address, 10) {
				w.leave(address)
			}
		})
		if n != 0 {
			t.Errorf("%s: %v allocations", from, n)
		}
	}
}
