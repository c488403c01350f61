package auth

import (
	"container/list"
	"context"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/time/rate"
)

const (
	// failureBurst is how often an address may fail in a row before it fails often: an encoder with
	// a mistyped key that retries each few seconds is still told what is wrong.
	failureBurst = 20
	// failureInterval gives back one attempt.
	failureInterval = 3 * time.Second
	// maxFailing bounds the addresses that are remembered; at some 300 bytes each they take 3 MB.
	// Beyond it the one that failed longest ago is forgotten.
	maxFailing = 10_000
	// maxLookups is how many keys of an address that fails often are looked up at a time.
	maxLookups = 4
)

// FailureLimiter keeps those who guess keys from being a load, and nobody from publishing: a right
// key is taken from every address, as an encoder shares one with strangers behind a NAT or a proxy.
// What makes guessing hopeless is the length of keys. So every key is looked up, but of an address
// that fails often only some at a time, in the order in which they came, and wrong ones get no
// further work. IPv6 addresses count by their /64, of which one host usually has all. It may be
// used from any goroutine.
type FailureLimiter struct {
	mu     sync.Mutex
	failed map[netip.Addr]*list.Element // of *failures
	recent *list.List                   // latest failure first
}

type failures struct {
	addr netip.Addr
	left *rate.Limiter
	// lookups are those under way, once the address failed often.
	lookups chan struct{}
}

// NewFailureLimiter returns a limiter that has seen no failure.
func NewFailureLimiter() *FailureLimiter {
	return &FailureLimiter{failed: map[netip.Addr]*list.Element{}, recent: list.New()}
}

// Enter waits until a key of the address may be looked up, and returns what is to be called after
// that. It fails only with the cause of ctx.
func (l *FailureLimiter) Enter(ctx context.Context, addr netip.Addr) (leave func(), err error) {
	lookups := l.lookups(Network(addr))
	if lookups == nil {
		return func() {}, nil
	}
	select {
	case lookups <- struct{}{}:
		return func() { <-lookups }, nil
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
}

// lookups returns the places for look-ups of an address that fails often, nil for all others.
func (l *FailureLimiter) lookups(addr netip.Addr) chan struct{} {
	l.mu.Lock()
	defer l.mu.Unlock()
	element, ok := l.failed[addr]
	if !ok {
		return nil
	}
	f := element.Value.(*failures)
	if f.left.Tokens() >= 1 {
		return nil
	}
	if f.lookups == nil {
		f.lookups = make(chan struct{}, maxLookups)
	}
	return f.lookups
}

// Fail counts a wrong key of the address, and says whether it fails often.
func (l *FailureLimiter) Fail(addr netip.Addr) (often bool) {
	addr = Network(addr)
	l.mu.Lock()
	defer l.mu.Unlock()
	element, ok := l.failed[addr]
	if !ok {
		l.forget()
		element = l.recent.PushFront(&failures{addr: addr, left: rate.NewLimiter(rate.Every(failureInterval), failureBurst)})
		l.failed[addr] = element
	}
	l.recent.MoveToFront(element)
	return !element.Value.(*failures).left.Allow()
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
