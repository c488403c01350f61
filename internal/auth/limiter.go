package auth

import (
	"container/list"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// failureBurst is how often an address may fail in a row: an encoder with a mistyped key that retries each few seconds, and a
	// colleague behind the same address, are not locked out.
	failureBurst = 20
	// failureInterval gives back one attempt.
	failureInterval = 3 * time.Second
	// maxFailing bounds the addresses that are remembered; at some 300 bytes each they take 3 MB. Beyond it the one that failed
	// longest ago is forgotten.
	maxFailing = 10_000
)

// FailureLimiter slows down addresses that keep publishing with wrong keys. IPv6 addresses count by their /64, of which one host
// usually has all. It may be used from any goroutine.
type FailureLimiter struct {
	mu     sync.Mutex
	failed map[netip.Addr]*list.Element // of *failures
	recent *list.List                   // latest failure first
}

type failures struct {
	addr netip.Addr
	left *rate.Limiter
}

// NewFailureLimiter returns a limiter that has seen no failure.
func NewFailureLimiter() *FailureLimiter {
	return &FailureLimiter{failed: map[netip.Addr]*list.Element{}, recent: list.New()}
}

// Allow says whether the address may try. It counts nothing.
func (l *FailureLimiter) Allow(addr netip.Addr) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	element, ok := l.failed[network(addr)]
	return !ok || element.Value.(*failures).left.Tokens() >= 1
}

// Fail counts a failed attempt of the address.
func (l *FailureLimiter) Fail(addr netip.Addr) {
	addr = network(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	element, ok := l.failed[addr]
	if !ok {
		l.forget()
		element = l.recent.PushFront(&failures{addr, rate.NewLimiter(rate.Every(failureInterval), failureBurst)})
		l.failed[addr] = element
	}
	l.recent.MoveToFront(element)
	element.Value.(*failures).left.Allow()
}

// forget makes room for one more address, and drops those that have all their attempts back.
func (l *FailureLimiter) forget() {
	for oldest := l.recent.Back(); oldest != nil; oldest = l.recent.Back() {
		f := oldest.Value.(*failures)
		if len(l.failed) < maxFailing && f.left.Tokens() < failureBurst {
			return
		}
		l.recent.Remove(oldest)
		delete(l.failed, f.addr)
	}
}

// network is what an address counts as.
func network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	const siteBits = 64
	prefix, err := addr.Prefix(siteBits)
	if err != nil {
		return addr
	}
	return prefix.Addr()
}
