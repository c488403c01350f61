package listen

import (
	"context"
	"net"
	"runtime"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"
)

// fakeConn is a connection from an address, which counts as open until it is closed.
type fakeConn struct {
	net.Conn
	from   string
	closed atomic.Bool
}

func (c *fakeConn) RemoteAddr() net.Addr {
	addr, _ := net.ResolveTCPAddr("tcp", c.from)
	return addr
}

func (c *fakeConn) Close() error {
	c.closed.Store(true)
	return nil
}

// RFC 6177: who has an IPv6 address usually has a network of 64 bits.
func TestConnectionsCountByNetwork(t *testing.T) {
	l := NewLimits(0, 2, 0)
	for _, tc := range []struct {
		from string
		want bool
	}{
		{"[2001:db8::1]:1", true}, {"[2001:db8::2]:2", true}, {"[2001:db8::3]:3", false}, {"[2001:db8::1:2:3:4]:4", false},
		{"[2001:db8:0:1::1]:5", true}, {"192.0.2.1:6", true}, {"192.0.2.1:7", true}, {"192.0.2.1:8", false}, {"[::ffff:192.0.2.1]:9", false}, {"192.0.2.2:10", true},
	} {
		if _, ok := l.Admit(&fakeConn{from: tc.from}); ok != tc.want {
			t.Errorf("%s: admitted %v", tc.from, ok)
		}
	}
}

// TestAddressesAreForgotten with their last connection.
func TestAddressesAreForgotten(t *testing.T) {
	l := NewLimits(0, 2, 0)
	first, _ := l.Admit(&fakeConn{from: "192.0.2.1:1"})
	second, _ := l.Admit(&fakeConn{from: "192.0.2.1:2"})
	first.Close()
	if l.byAddr[second.addr] != 1 {
		t.Errorf("%d connections of the address", l.byAddr[second.addr])
	}
	second.Close()
	if len(l.byAddr) != 0 {
		t.Errorf("%d addresses are remembered", len(l.byAddr))
	}
}

// TestIdleConnectionsMakeRoom: where descriptors run out, who does nothing goes, the longest first,
// and those who work stay.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	l := NewLimits(0, 0, 80)
	if l.files != 40 || l.viewing != 37 {
		t.Errorf("%d connections, %d of viewers", l.files, l.viewing)
	}
	var all []*Conn
	for i := range l.files {
		c, ok := l.Admit(&fakeConn{from: "192.0.2.1:1"})
		if !ok {
			t.Fatal("refused although there is room")
		}
		c.since.Store(int64(i))
		if i%4 == 0 && !c.Use(Role(i/4%2)) {
			t.Fatal("refused although there are few viewers")
		}
		all = append(all, c)
	}
	one, ok := l.Admit(&fakeConn{from: "192.0.2.1:1"})
	if !ok {
		t.Fatal("there is no room although connections idle")
	}
	for i, c := range all {
		if got, want := c.Conn.(*fakeConn).closed.Load(), i == 1 || i == 2; got != want {
			t.Errorf("connection %d is closed: %v", i, got)
		}
	}
	for _, c := range append(all[3:], one) {
		if c.idle() {
			c.Use(Working)
		}
	}
	last, ok := l.Admit(&fakeConn{from: "192.0.2.1:1"})
	if !ok {
		t.Fatal("the last place is not given")
	}
	last.Use(Working)
	if _, ok := l.Admit(&fakeConn{from: "192.0.2.1:1"}); ok {
		t.Error("there is room although all work")
	}
	last.Done(Working)
	if _, ok := l.Admit(&fakeConn{from: "192.0.2.1:1"}); !ok || !last.Conn.(*fakeConn).closed.Load() {
		t.Error("whose work is done does not make room")
	}
	if len(l.open) != l.files {
		t.Errorf("%d are open", len(l.open))
	}
}

// TestViewersLeaveRoom: they may not have all connections.
func TestViewersLeaveRoom(t *testing.T) {
	l := NewLimits(0, 0, 80)
	var all []*Conn
	for range l.files {
		c, _ := l.Admit(&fakeConn{from: "192.0.2.1:1"})
		all = append(all, c)
	}
	for i, c := range all {
		for range 2 { // of HTTP/2 several requests
			if got := c.Use(Watching); got != (i < l.viewing) {
				t.Errorf("viewer %d: %v", i, got)
			}
		}
	}
	last := all[l.files-1]
	if !last.Use(Working) {
		t.Error("a publisher is refused")
	}
	all[0].Done(Watching)
	if last.Use(Watching) {
		t.Error("there is room while a request of a connection goes on")
	}
	all[0].Done(Watching)
	if !last.Use(Watching) {
		t.Error("there is no room although a viewer left")
	}
	if nobody := (*Conn)(nil); !nobody.Use(Watching) {
		t.Error("a connection that nobody counts is refused")
	}
}

// TestHandshakesOfHTTP3: they are bounded before they begin, and clients show their addresses when
// there are many.
func TestHandshakesOfHTTP3(t *testing.T) {
	from := &quic.ClientInfo{RemoteAddr: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5}}
	h := &HTTP3{limits: NewLimits(0, 0, 0), fresh: rate.NewLimiter(freshHandshakes, freshHandshakes)}
	doubted := 0
	for range 2 * freshHandshakes {
		if h.doubts(from.RemoteAddr) {
			doubted++
		}
	}
	if doubted < freshHandshakes/2 || doubted > freshHandshakes {
		t.Errorf("%d of %d handshakes at once are doubted", doubted, 2*freshHandshakes)
	}
	ctx, cancel := context.WithCancel(t.Context())
	for range maxHandshakes {
		if _, err := h.admit(ctx, from); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.admit(ctx, from); err == nil {
		t.Error("there is no bound")
	}
	h.fresh = rate.NewLimiter(rate.Inf, 1)
	if !h.doubts(from.RemoteAddr) {
		t.Error("many handshakes are under way, and nobody is doubted")
	}
	cancel() // all fail
	for h.handshakes.Load() != 0 || h.limits.Figures().Open != 0 {
		runtime.Gosched() // until places are free
	}

	h.limits = NewLimits(0, 1, 0)
	if !h.doubts(from.RemoteAddr) {
		t.Error("connections of an address are bounded, and anybody can take them in its name")
	}
	placed, err := h.admit(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.admit(t.Context(), from); err == nil {
		t.Error("a second connection of the address")
	}
	// Evicted before it is established: it is closed as soon as it is.
	ConnIn(placed).Close()
	if !ConnIn(placed).Conn.(*quicConn).closed {
		t.Error("not closed")
	}
}
