package bench

import (
	"errors"
	"io"
	"net"
	"sync/atomic"
	"testing"
	"time"
)

// TestStamped: what counts is when bytes came, not when they were read.
func TestStamped(t *testing.T) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer listener.Close()
	conn, err := net.Dial("tcp", listener.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	peer, err := listener.Accept()
	if err != nil {
		t.Fatal(err)
	}
	var count atomic.Uint64
	s, err := newStamped(conn.(*net.TCPConn), &count)
	if err != nil {
		t.Fatal(err)
	}
	if !s.arrived().IsZero() {
		t.Error("something has arrived already")
	}
	before := time.Now()
	if _, err := peer.Write([]byte("part")); err != nil {
		t.Fatal(err)
	}
	sent := time.Now()
	const late = 200 * time.Millisecond
	<-time.After(late) // the reader is busy: that is what is tested
	b := make([]byte, 16)
	n, err := s.Read(b)
	if err != nil || string(b[:n]) != "part" || count.Load() != 4 {
		t.Fatalf("%q, %v, %d counted", b[:n], err, count.Load())
	}
	if at := s.arrived(); at.Before(before.Add(-time.Millisecond)) || at.After(sent.Add(late/2)) {
		t.Errorf("arrived %v after it was sent", at.Sub(sent))
	}
	if n, err := s.Read(nil); n != 0 || err != nil {
		t.Errorf("%d, %v", n, err)
	}
	peer.Close()
	if n, err := s.Read(b); n != 0 || !errors.Is(err, io.EOF) {
		t.Errorf("%d bytes and %v at the end", n, err)
	}
}
