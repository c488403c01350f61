package auth

import (
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

func TestFailureLimiter(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		l := NewFailureLimiter()
		bad, good := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("192.0.2.2")
		fail(l, bad, failureBurst-1)
		if first, second := l.Allow(bad), l.Allow(bad); !first || !second {
			t.Fatal("refused before the burst is used up, or Allow itself counts")
		}
		fail(l, bad, 5)
		if l.Allow(bad) {
			t.Error("allowed after the burst")
		}
		if l.Allow(netip.MustParseAddr("::ffff:192.0.2.1")) {
			t.Error("the IPv4-mapped form is another address")
		}
		if !l.Allow(good) {
			t.Error("another address suffers")
		}
		time.Sleep(failureInterval) // synctest's clock
		if !l.Allow(bad) {
			t.Error("no attempt came back")
		}
		fail(l, bad, 1)
		if l.Allow(bad) {
			t.Error("more than one attempt came back")
		}
		time.Sleep(failureBurst * failureInterval)
		l.Fail(good)
		if len(l.failed) != 1 || l.recent.Len() != 1 {
			t.Errorf("%d addresses remembered, want only the latest", len(l.failed))
		}
	})
}

func TestFailureLimiterCountsIPv6ByNetwork(t *testing.T) {
	l := NewFailureLimiter()
	fail(l, netip.MustParseAddr("2001:db8::1"), failureBurst)
	if l.Allow(netip.MustParseAddr("2001:db8::2")) {
		t.Error("the neighbour in the same /64 is allowed")
	}
	if !l.Allow(netip.MustParseAddr("2001:db8:0:1::1")) {
		t.Error("another /64 is refused")
	}
	if !l.Allow(netip.Addr{}) {
		t.Error("an unknown address is refused")
	}
	l.Fail(netip.Addr{})
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
		if l.Allow(guessing) {
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
				l.Allow(addr)
			}
		})
	}
	wg.Wait()
	if l.Allow(netip.AddrFrom4([4]byte{10, 0, 0, 1})) {
		t.Error("failures were lost")
	}
}
