package auth

import (
	"context"
	"errors"
	"net/netip"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

func fail(l *FailureLimiter, addr netip.Addr, times int) {
	for range times {
		l.Fail(addr)
	}
}

// often says whether the address fails often, without counting anything.
func often(l *FailureLimiter, addr netip.Addr) bool { return l.lookups(Network(addr)) != nil }

func TestFailureLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewFailureLimiter()
		bad, good := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		for i := range failureBurst {
			if often(l, bad) || l.Fail(bad) {
				t.Fatalf("fails often after %d failures", i)
			}
		}
		if !often(l, bad) || !l.Fail(bad) {
			t.Error("does not fail often after the burst")
		}
		if !often(l, netip.MustParseAddr("::ffff:192.0.2.1")) {
			t.Error("the IPv4-mapped form is another address")
		}
		if often(l, good) {
			t.Error("another address suffers")
		}
		time.Sleep(failureInterval) // synctest's clock
		if l.Fail(bad) {
			t.Error("no attempt came back")
		}
		if !l.Fail(bad) {
			t.Error("more than one attempt came back")
		}
		time.Sleep(failureBurst * failureInterval)
		l.Fail(good)
		if len(l.failed) != 1 || l.recent.Len() != 1 {
			t.Errorf("%d addresses remembered, want only the latest", len(l.failed))
		}
	})
}

// TestFailureLimiterTurns: whoever guesses from an address, an encoder on it gets its turn, and no
// other address waits.
func TestFailureLimiterTurns(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewFailureLimiter()
		bad, good := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		enter := func(addr netip.Addr) (context.CancelCauseFunc, <-chan func()) {
			ctx, cancel := context.WithCancelCause(t.Context())
			entered := make(chan func(), 1)
			go func() {
				leave, err := l.Enter(ctx, addr)
				if err != nil {
					if leave != nil || !errors.Is(err, errTest) {
						t.Errorf("Enter: %v, %v", leave != nil, err)
					}
					close(entered)
					return
				}
				entered <- leave
			}()
			synctest.Wait()
			return cancel, entered
		}
		for range 100 * maxLookups {
			if _, entered := enter(bad); len(entered) != 1 {
				t.Fatal("an address waits that has not failed")
			}
		}
		fail(l, bad, failureBurst)
		var leaves []func()
		for range maxLookups {
			_, entered := enter(bad)
			leaves = append(leaves, <-entered)
		}
		cancel, impatient := enter(bad)
		_, encoder := enter(bad)
		_, later := enter(bad)
		if len(impatient)+len(encoder)+len(later) != 0 {
			t.Fatal("more keys are looked up at a time than there are places")
		}
		if _, entered := enter(good); len(entered) != 1 {
			t.Error("another address waits")
		}
		cancel(errTest)
		if _, entered := <-impatient; entered {
			t.Error("entered after its end")
		}
		leaves[0]()
		synctest.Wait()
		if len(encoder) != 1 || len(later) != 0 {
			t.Error("the place that came free did not go to the one who waited longest")
		}
		leaves[1]()
		(<-later)()
		(<-encoder)()
	})
}

var errTest = errors.New("test")

func TestFailureLimiterCountsIPv6ByNetwork(t *testing.T) {
	l := NewFailureLimiter()
	fail(l, netip.MustParseAddr("2001:db8::1"), failureBurst)
	if !often(l, netip.MustParseAddr("2001:db8::2")) {
		t.Error("the neighbour in the same /64 counts for itself")
	}
	if often(l, netip.MustParseAddr("2001:db8:0:1::1")) {
		t.Error("another /64 suffers")
	}
	l.Fail(netip.Addr{})
	if often(l, netip.Addr{}) {
		t.Error("an unknown address fails often after one failure")
	}
}

func TestFailureLimiterIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewFailureLimiter()
		addr := netip.MustParseAddr("10.0.0.0")
		guessing := netip.MustParseAddr("192.0.2.1")
		for i := range 2 * maxFailing {
			addr = addr.Next()
			l.Fail(addr)
			if i%100 == 0 {
				l.Fail(guessing)
			}
		}
		if len(l.failed) != maxFailing || l.recent.Len() != maxFailing {
			t.Errorf("%d addresses in the map, %d in the list, want %d", len(l.failed), l.recent.Len(), maxFailing)
		}
		if !often(l, guessing) {
			t.Error("an address that goes on failing was forgotten")
		}
	})
}

func TestFailureLimiterConcurrently(t *testing.T) {
	l := NewFailureLimiter()
	var wg sync.WaitGroup
	for i := range 8 {
		wg.Go(func() {
			addr := netip.AddrFrom4([4]byte{10, 0, 0, byte(i % 2)})
			for range 100 {
				l.Fail(addr)
				leave, _ := l.Enter(t.Context(), addr)
				leave()
			}
		})
	}
	wg.Wait()
	if !often(l, netip.AddrFrom4([4]byte{10, 0, 0, 1})) {
		t.Error("failures were lost")
	}
}
