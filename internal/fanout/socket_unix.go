//go:build unix

package fanout

import (
	"io"
	"net"
	"syscall"
)

// rawSocket writes to a TCP connection's descriptor. One goroutine at a time may use it.
type rawSocket struct {
	raw   syscall.RawConn
	write func(fd uintptr) (done bool) // made once: a closure per write would allocate
	block bool
	buf   []byte
	n     int
	err   error
	// fd is the descriptor while held keeps it from being closed, else -1.
	fd   int
	held Holder
}

// newSocket returns nil for connections that are not plain TCP.
func newSocket(c net.Conn) socket {
	tcp, ok := tcpBelow(c)
	if !ok {
		LimitUnsent(c)
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	limitUnsent(raw)
	s := &rawSocket{raw: raw, fd: -1}
	s.write = s.attempt
	if h, ok := c.(Holder); ok && h.Hold() {
		s.held = h
		if raw.Control(func(fd uintptr) { s.fd = int(fd) }) != nil {
			s.release()
		}
	}
	return s
}

// tcpBelow returns the TCP connection that c is, or that it counts without changing what is read
// and written.
func tcpBelow(c net.Conn) (*net.TCPConn, bool) {
	if h, ok := c.(Holder); ok {
		c = h.NetConn()
	}
	tcp, ok := c.(*net.TCPConn)
	return tcp, ok
}

func (s *rawSocket) attempt(fd uintptr) bool {
	s.n, s.err = writeNow(int(fd), s.buf)
	if s.err == syscall.EAGAIN {
		s.n, s.err = 0, nil
		return !s.block
	}
	return true
}

func (s *rawSocket) do(b []byte, block bool) (int, error) {
	s.buf, s.block, s.n, s.err = b, block, 0, nil
	err := s.raw.Write(s.write)
	s.buf = nil
	if err == nil {
		err = s.err
	}
	if err == nil && block && s.n == 0 && len(b) > 0 {
		err = io.ErrShortWrite
	}
	return max(s.n, 0), err
}

// try writes by the number of the descriptor: the lock of the connection and the look at its
// deadline cost a twentieth of a write.
func (s *rawSocket) try(b []byte) (int, error) {
	if s.fd < 0 {
		return s.do(b, false)
	}
	n, err := writeNow(s.fd, b)
	if err == syscall.EAGAIN {
		return 0, nil
	}
	return max(n, 0), err
}

func (s *rawSocket) wait(b []byte) (int, error) { return s.do(b, true) }

func (s *rawSocket) descriptor() int { return s.fd }

// release gives the descriptor up.
func (s *rawSocket) release() {
	s.fd = -1
	if s.held != nil {
		s.held.Release()
		s.held = nil
	}
}

// LimitUnsent bounds what the kernel keeps for a connection over TCP beyond what is on its way to
// the peer, as for players: a peer that reads slowly costs 256 KiB, not megabytes. Other
// connections, and systems without such a bound, stay as they are.
func LimitUnsent(c net.Conn) {
	tcp, ok := tcpBelow(c)
	if over, secure := c.(interface{ NetConn() net.Conn }); !ok && secure {
		tcp, ok = tcpBelow(over.NetConn())
	}
	if !ok {
		return
	}
	if raw, err := tcp.SyscallConn(); err == nil {
		limitUnsent(raw)
	}
}
