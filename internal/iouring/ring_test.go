//go:build linux

package iouring

import (
	"bytes"
	"io"
	"net"
	"testing"
)

func testRing(t *testing.T) *Ring[int] {
	t.Helper()
	r, err := New[int]()
	if err != nil {
		t.Skip("io_uring is not to be had here: ", err)
	}
	t.Cleanup(r.Close)
	return r
}

// pair returns the descriptor of one end of a connection, and both ends.
func pair(t *testing.T) (fd int, server *net.TCPConn, client net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err = net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	server = c.(*net.TCPConn)
	t.Cleanup(func() { client.Close(); server.Close() })
	raw, err := server.SyscallConn()
	if err == nil {
		err = raw.Control(func(n uintptr) { fd = int(n) })
	}
	if err != nil {
		t.Fatal(err)
	}
	return fd, server, client
}

// TestRingSends fills a ring several times over; each peer gets its own bytes.
func TestRingSends(t *testing.T) {
	r := testRing(t)
	const peers = Size + 10
	var fds [peers]int
	var clients [peers]net.Conn
	for i := range peers {
		fds[i], _, clients[i] = pair(t)
	}
	sent := 0
	count := func(sends []Send[int]) {
		for _, s := range sends {
			if s.N != len(s.Bytes) {
				t.Errorf("%d of %d bytes", s.N, len(s.Bytes))
			}
			sent++
		}
	}
	const rounds = 5
	for round := range rounds {
		for i := range peers {
			if r.Add(i, fds[i], bytes.Repeat([]byte{byte(i)}, 100+round)) {
				count(r.Flush())
			}
		}
		count(r.Flush())
	}
	if sent != rounds*peers || len(r.Flush()) != 0 {
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
	fdFull, _, _ := pair(t)
	fdGone, gone, client := pair(t)
	fdFine, _, _ := pair(t)
	_ = gone.CloseWrite()
	client.Close()
	big := make([]byte, 16<<20)
	for round := range 2 {
		r.Add(0, fdFull, big)
		r.Add(0, fdGone, big[:100])
		r.Add(0, fdFine, big[:100])
		sends := r.Flush()
		if n := sends[0].N; n == len(big) {
			t.Errorf("round %d: a stopped reader took %d bytes", round, n)
		}
		if sends[1].N != 0 || sends[2].N != 100 {
			t.Errorf("round %d: %d and %d bytes", round, sends[1].N, sends[2].N)
		}
	}
}

// TestRingThatBroke: sends that the system does not take count as not sent, and the ring does not
// remember them.
func TestRingThatBroke(t *testing.T) {
	r := testRing(t)
	fd, _, client := pair(t)
	whole := r.fd
	r.fd = -1
	r.Add(0, fd, []byte("lost"))
	if sends := r.Flush(); len(sends) != 1 || sends[0].N != 0 {
		t.Errorf("%+v", sends)
	}
	r.fd = whole
	r.Add(0, fd, []byte("kept"))
	if sends := r.Flush(); len(sends) != 1 || sends[0].N != 4 {
		t.Errorf("%+v", sends)
	}
	got := make([]byte, 4)
	if _, err := io.ReadFull(client, got); err != nil || string(got) != "kept" {
		t.Errorf("%q, %v", got, err)
	}
}
