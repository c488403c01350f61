//go:build linux

package rtmp

import (
	"bytes"
	"errors"
	"io"
	"net"
	"os"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// socketed is a connection that gives out its socket.
type socketed struct{ *net.TCPConn }

func (c socketed) Socket() (syscall.RawConn, bool) {
	s, err := c.SyscallConn()
	return s, err == nil
}

// lowWater returns from how many bytes on the socket says that it has something.
func (c socketed) lowWater(t *testing.T) (n int) {
	t.Helper()
	s, _ := c.Socket()
	if err := s.Control(func(fd uintptr) { n, _ = syscall.GetsockoptInt(int(fd), syscall.SOL_SOCKET, syscall.SO_RCVLOWAT) }); err != nil {
		t.Error(err)
	}
	return n
}

// lazy takes nothing, and is in a hurry if it is told so.
type lazy struct{ hurried atomic.Bool }

func (*lazy) Message(Message) error { return nil }
func (*lazy) Close(error)           {}
func (l *lazy) Unhurried() bool     { return !l.hurried.Load() }

// resting returns a connection that may rest at once, and its peer.
func resting(t *testing.T) (r progressReader, to *lazy, peer net.Conn, socket socketed) {
	t.Helper()
	peer, server := loopback(t)
	socket = socketed{server.(*net.TCPConn)}
	c := newServerConn(socket, &ServerOptions{ReadTimeout: time.Minute}, &testHandler{})
	to = new(lazy)
	c.publications[1] = &publication{to: to}
	c.rest = newRest(c.nc)
	c.noteRest()
	c.rest.from = time.Unix(1, 0)
	c.extendRead()
	return progressReader{c}, to, peer, socket
}

func send(t *testing.T, to io.Writer, what string) {
	t.Helper()
	if _, err := io.WriteString(to, what); err != nil {
		t.Fatal(err)
	}
}

func wantRead(t *testing.T, r io.Reader, size int, want string) {
	t.Helper()
	p := make([]byte, size)
	if n, err := r.Read(p); err != nil || string(p[:n]) != want {
		t.Fatalf("read %q, %v; want %q", p[:n], err, want)
	}
}

// TestRest: a publisher for whom nobody waits is read some times a second, and all that it sent
// meanwhile at once; in a hurry at once.
func TestRest(t *testing.T) {
	r, to, peer, socket := resting(t)
	send(t, peer, "first")
	wantRead(t, r, 100, "first")
	if n := socket.lowWater(t); n != restBytes {
		t.Errorf("the socket says something from %d bytes on", n)
	}
	begun := time.Now()
	sent := make(chan error, 1)
	go func() {
		_, err := io.WriteString(peer, "a")
		for _, s := range []string{"b", "c"} {
			<-time.After(time.Millisecond)
			_, e := io.WriteString(peer, s)
			err = errors.Join(err, e)
		}
		sent <- err
	}()
	p := make([]byte, 100)
	n, err := r.Read(p)
	if lasted := time.Since(begun); err != nil || lasted < restInterval {
		t.Errorf("read %q after %v, %v", p[:n], lasted, err)
	}
	if err := <-sent; err != nil || n == 0 || p[0] != 'a' {
		t.Errorf("read %q of abc, %v", p[:n], err)
	}
	if rest := "abc"[n:]; rest != "" { // a busy machine
		wantRead(t, r, 100, rest)
	}
	send(t, peer, "in pieces")
	wantRead(t, r, 2, "in")
	wantRead(t, r, 100, " pieces")
	to.hurried.Store(true)
	send(t, peer, "now")
	wantRead(t, r, 100, "now")
	if n := socket.lowWater(t); n > 1 {
		t.Errorf("in a hurry the socket says something from %d bytes on", n)
	}
}

// TestRestOfSilence: a publisher that says nothing is waited for, and heard at once.
func TestRestOfSilence(t *testing.T) {
	r, _, peer, socket := resting(t)
	go func() {
		silent := false
		for end := time.Now().Add(5 * time.Second); time.Now().Before(end); <-time.After(time.Millisecond) {
			n := socket.lowWater(t)
			if silent = silent || n > 1; silent && n <= 1 {
				break
			}
		}
		_, _ = io.WriteString(peer, "at last")
	}()
	begun := time.Now()
	wantRead(t, r, 100, "at last")
	if lasted := time.Since(begun); lasted > 4*time.Second {
		t.Errorf("it is not waited for after %v", lasted)
	}
	if n := socket.lowWater(t); n > 1 {
		t.Errorf("the socket says something from %d bytes on while it is waited for", n)
	}
}

// TestRestEnds: nothing is lost at the end of a connection, of which one at rest hears soon.
func TestRestEnds(t *testing.T) {
	t.Run("by the peer", func(t *testing.T) {
		r, _, peer, _ := resting(t)
		big := bytes.Repeat([]byte("0123456789abcdef"), 20_000)
		go func() {
			_, _ = peer.Write(big)
			_ = peer.Close()
		}()
		if got, err := io.ReadAll(r); err != nil || !bytes.Equal(got, big) {
			t.Errorf("read %d bytes, %v; want %d", len(got), err, len(big))
		}
	})
	t.Run("from outside", func(t *testing.T) {
		r, _, peer, _ := resting(t)
		send(t, peer, "x")
		wantRead(t, r, 100, "x")
		r.interrupt(io.ErrClosedPipe)
		if _, err := r.Read(make([]byte, 100)); !errors.Is(err, os.ErrDeadlineExceeded) {
			t.Errorf("interrupted: %v", err)
		}
	})
	t.Run("unpublished", func(t *testing.T) {
		r, _, peer, socket := resting(t)
		send(t, peer, "x")
		wantRead(t, r, 100, "x")
		r.unpublish(1, ErrUnpublished)
		send(t, peer, "y")
		wantRead(t, r, 100, "y")
		if n := socket.lowWater(t); n > 1 {
			t.Errorf("the socket says something from %d bytes on", n)
		}
	})
}

// TestRestOnlyAfterBegin: what a clock counts is judged by when its first messages come.
func TestRestOnlyAfterBegin(t *testing.T) {
	r, _, peer, socket := resting(t)
	r.noteRest()
	send(t, peer, "x")
	wantRead(t, r, 100, "x")
	if err := r.media(Message{Type: TypeAudio, StreamID: 1}); err != nil {
		t.Fatal(err)
	}
	send(t, peer, "y")
	wantRead(t, r, 100, "y")
	if left := time.Until(r.rest.from); left <= 0 || left > restAfter {
		t.Errorf("it may rest in %v", left)
	}
	if n := socket.lowWater(t); n > 1 {
		t.Errorf("the socket says something from %d bytes on", n)
	}
}

func TestRestFor(t *testing.T) {
	at := time.Unix(1000, 0)
	for _, c := range []struct {
		after time.Duration
		got   int
		want  time.Duration
	}{
		{0, 0, restInterval},
		{time.Millisecond, 0, restInterval + 4*time.Millisecond},
		{4 * time.Millisecond, restMost, restInterval + time.Millisecond},
		{0, restMost + 1, restGrid},
		{time.Millisecond, restMost + 1, restGrid + 4*time.Millisecond},
	} {
		if got := restFor(at.Add(c.after), c.got); got != c.want {
			t.Errorf("after %v and %d bytes: %v, want %v", c.after, c.got, got, c.want)
		}
	}
}
