package listen

import (
	"errors"
	"io"
	"net"
	"syscall"
	"testing"
	"time"
)

// limitedPair returns a counted connection and its peer.
func limitedPair(t *testing.T, limits *Limits) (*Conn, net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	client, err := net.Dial("tcp", l.Addr().String())
	if err != nil {
		t.Fatal(err)
	}
	c, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { c.Close(); client.Close() })
	lc, ok := limits.Admit(c)
	if !ok {
		t.Fatal("refused")
	}
	return lc, client
}

// isOpen asks the runtime, which keeps the descriptor of an open connection.
func isOpen(t *testing.T, c *Conn) bool {
	t.Helper()
	raw, err := c.Conn.(*net.TCPConn).SyscallConn()
	if err != nil {
		t.Fatal(err)
	}
	return raw.Control(func(uintptr) {}) == nil
}

// TestHeldConnectionKeepsItsDescriptor: whoever writes by the number of a descriptor must never
// meet another connection's.
func TestHeldConnectionKeepsItsDescriptor(t *testing.T) {
	t.Parallel()
	limits := &Limits{}
	c, client := limitedPair(t, limits)
	for range 2 {
		if !c.Hold() {
			t.Fatal("cannot be held")
		}
	}
	reading := make(chan error, 1)
	go func() {
		_, err := c.Read(make([]byte, 1))
		reading <- err
	}()
	limits.CloseAll()
	if err := <-reading; err == nil {
		t.Error("a read goes on after Close")
	}
	if err := c.SetDeadline(time.Time{}); err != nil {
		t.Error(err)
	}
	if _, err := c.Write([]byte("x")); !errors.Is(err, syscall.EPIPE) {
		t.Errorf("write after Close: %v", err)
	}
	if _, err := client.Read(make([]byte, 1)); err != io.EOF {
		t.Errorf("the peer reads: %v", err)
	}
	if err := c.Close(); !errors.Is(err, net.ErrClosed) {
		t.Errorf("second Close: %v", err)
	}
	c.Release()
	if !isOpen(t, c) || len(limits.open) != 1 {
		t.Error("closed while held")
	}
	c.Release()
	if isOpen(t, c) || len(limits.open) != 0 {
		t.Error("open after the last release")
	}
	if c.Hold() {
		t.Error("held after the end")
	}
}

func TestReleasedConnectionIsClosedAtOnce(t *testing.T) {
	t.Parallel()
	limits := &Limits{}
	c, _ := limitedPair(t, limits)
	if !c.Hold() {
		t.Fatal("cannot be held")
	}
	c.Release()
	if !isOpen(t, c) {
		t.Fatal("closed by a release")
	}
	if err := c.Close(); err != nil {
		t.Error(err)
	}
	if isOpen(t, c) || len(limits.open) != 0 {
		t.Error("open after Close")
	}
}
