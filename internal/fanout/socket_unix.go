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
}

// newSocket returns nil for connections that are not plain TCP.
func newSocket(c net.Conn) socket {
	tcp, ok := c.(*net.TCPConn)
	if !ok {
		limitUnsentBelow(c)
		return nil
	}
	raw, err := tcp.SyscallConn()
	if err != nil {
		return nil
	}
	limitUnsent(raw)
	s := &rawSocket{raw: raw}
	s.write = s.attempt
	return s
}

func (s *rawSocket) attempt(fd uintptr) bool {
	for {
		s.n, s.err = writeNow(int(fd), s.buf)
		if s.err != syscall.EINTR {
			break
		}
	}
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

func (s *rawSocket) try(b []byte) (int, error)  { return s.do(b, false) }
func (s *rawSocket) wait(b []byte) (int, error) { return s.do(b, true) }

// limitUnsentBelow sets the bound on the TCP connection under a TLS one.
func limitUnsentBelow(c net.Conn) {
	under, ok := c.(interface{ NetConn() net.Conn })
	if !ok {
		return
	}
	if tcp, ok := under.NetConn().(*net.TCPConn); ok {
		if raw, err := tcp.SyscallConn(); err == nil {
			limitUnsent(raw)
		}
	}
}
