//go:build linux

package fanout

import (
	"bytes"
	"io"
	"net"
	"testing"
)

func testRing(t *testing.T) *ring {
	t.Helper()
	r, err := newRing()
	if err != nil {
		t.Skip("io_uring is not to be had here: ", err)
	}
	t.Cleanup(r.close)
	return r
}

func descriptorOf(t *testing.T, c net.Conn) int {
	t.Helper()
	s := newSocket(c)
	t.Cleanup(s.release)
	return s.descriptor()
}

// TestRingSends fills a ring several times over; each peer gets its own bytes.
func TestRingSends(t *testing.T) {
	r := testRing(t)
	const peers = ringSize + 10
	var fds [peers]int
	var clients [peers]net.Conn
	for i := range peers {
		var server net.Conn
		server, clients[i] = heldPair(t)
		fds[i] = descriptorOf(t, server)
	}
	sent := 0
	count := func(sends []send) {
		for _, s := range sends {
			if s.n != len(s.b) {
				t.Errorf("%d of %d bytes", s.n, len(s.b))
			}
			sent++
		}
	}
	const rounds = 5
	for round := range rounds {
		for i := range peers {
			if r.add(nil, fds[i], bytes.Repeat([]byte{byte(i)}, 100+round)) {
				count(r.flush())
			}
		}
		count(r.flush())
	}
	if sent != rounds*peers || len(r.flush()) != 0 {
		t.Errorf("%d sends", sent)
	}
	for i, c := range clients {
		got := make([]byte, 510)
		if _, err := io.ReadFull(c, got); err != nil || !bytes.Equal(got, bytes.Repeat([]byte{byte(i)}, 510)) {
			t.Fatalf("peer %d: %v", i, err)
		}
	}
}

// TestRingDoesNotWait: what a peer does not take, or is gone for, neither stops the ring nor the
// other sends.
func TestRingDoesNotWait(t *testing.T) {
	r := testRing(t)
	full, _ := heldPair(t)
	gone, client := heldPair(t)
	fine, _ := heldPair(t)
	_ = gone.(Holder).NetConn().(*net.TCPConn).CloseWrite()
	client.Close()
	big := make([]byte, 16<<20)
	fdFull, fdGone, fdFine := descriptorOf(t, full), descriptorOf(t, gone), descriptorOf(t, fine)
	for round := range 2 {
		r.add(nil, fdFull, big)
		r.add(nil, fdGone, big[:100])
		r.add(nil, fdFine, big[:100])
		sends := r.flush()
		if n := sends[0].n; n == len(big) {
			t.Errorf("round %d: a stopped reader took %d bytes", round, n)
		}
		if sends[1].n != 0 || sends[2].n != 100 {
			t.Errorf("round %d: %d and %d bytes", round, sends[1].n, sends[2].n)
		}
	}
}

// TestRingThatBroke: sends that the system does not take count as not sent, and the ring does not
// remember them.
func TestRingThatBroke(t *testing.T) {
	r := testRing(t)
	server, client := heldPair(t)
	fd := descriptorOf(t, server)
	whole := r.fd
	r.fd = -1
	r.add(nil, fd, []byte("lost"))
	if sends := r.flush(); len(sends) != 1 || sends[0].n != 0 {
		t.Errorf("%+v", sends)
	}
	r.fd = whole
	r.add(nil, fd, []byte("kept"))
	if sends := r.flush(); len(sends) != 1 || sends[0].n != 4 {
		t.Errorf("%+v", sends)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "kept" {
		t.Errorf("%q, %v", got, err)
	}
}

func TestRingsAreLentOnce(t *testing.T) {
	testRing(t)
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
