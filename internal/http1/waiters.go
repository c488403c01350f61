package http1

import (
	"hash/maphash"
	"net/http"
	"net/netip"
	"sync/atomic"
)

const (
	// freeShare: the requests of one client address take at most this part of what all others
	// leave, so that there is always something left for an address that has none. It is large,
	// because the viewers of a whole network, proxy or CDN may come from one address: one alone
	// gets half of MaxWaiting, two get a third each.
	freeShare = 2
	// addressCounts is how many counters there are. Addresses that fall on the same one share it;
	// which do, nobody outside can tell.
	addressCounts = 1 << 12
	// networkBytes is how much of an IPv6 address tells clients apart: the rest everybody chooses
	// himself.
	networkBytes = 8
)

// waiters counts the requests that are held, all of them and by client address. It takes no lock:
// when a part comes, all go at once.
type waiters struct {
	all       atomic.Int64
	byAddress [addressCounts]atomic.Int32
}

// enter counts one more request of an address, unless there are too many: then it is false. If not,
// leave must be called with the same address.
func (w *waiters) enter(address uint64, most int64) bool {
	own := int64(w.byAddress[address%addressCounts].Add(1))
	all := w.all.Add(1)
	free := most - (all - own) // with what the address has
	if all > most || own > (free+freeShare-1)/freeShare {
		w.leave(address)
		return false
	}
	return true
}

func (w *waiters) leave(address uint64) {
	w.all.Add(-1)
	w.byAddress[address%addressCounts].Add(-1)
}

// addressOf turns the client's address into a number. The seed keeps others from choosing with whom
// they share a counter.
func addressOf(seed maphash.Seed, r *http.Request) uint64 {
	from, err := netip.ParseAddrPort(r.RemoteAddr)
	if err != nil {
		return maphash.String(seed, r.RemoteAddr)
	}
	address := from.Addr().Unmap()
	b := address.As16()
	if address.Is6() {
		clear(b[networkBytes:])
	}
	return maphash.Bytes(seed, b[:])
}
