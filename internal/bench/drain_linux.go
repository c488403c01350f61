package bench

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

const (
	// drainRound is the time in which each connection is emptied once. A stream of 8 Mbit/s gathers
	// 100 kB in it.
	drainRound = 100 * time.Millisecond
	// drainStep spreads a round over time, so that players that check are not kept waiting.
	drainStep = 5 * time.Millisecond
	// drainBuffer is what the kernel is asked to hold for a connection: a round of 40 Mbit/s, or a
	// long key frame. Through SO_RCVLOWAT, because SO_RCVBUF has a lower bound on most systems.
	drainBuffer = 512 << 10
	// aliveInterval is the time between signs of life.
	aliveInterval = 5 * time.Second
)

// drain throws away what arrives on many connections, at the price of one system call for each and
// drainRound: nobody is woken by arriving data, and MSG_TRUNC spares the copy from the kernel
// (tcp(7)).
type drain struct {
	scratch []byte // never written to
	// worst is how late a connection was emptied at most, in nanoseconds.
	worst atomic.Int64

	mu    sync.Mutex
	sinks []*sink
	next  int
	round time.Time // when the last round began
}

// sink is one connection.
type sink struct {
	fd        int
	bytes     *atomic.Uint64
	alive     func(received uint64) []byte
	aliveNext time.Time
	end       chan error // takes the one cause of the end
}

func newDrain() *drain { return &drain{scratch: make([]byte, 1<<20)} }

// swallow takes a connection over until it ends or ctx does. The bytes are counted.
func (d *drain) swallow(ctx context.Context, p *playback, bytes *atomic.Uint64) error {
	fd, err := detach(p)
	if err != nil {
		return err
	}
	s := &sink{fd: fd, bytes: bytes, alive: p.alive, aliveNext: time.Now().Add(aliveInterval), end: make(chan error, 1)}
	d.mu.Lock()
	d.sinks = append(d.sinks, s)
	d.mu.Unlock()
	select {
	case err := <-s.end:
		return err
	case <-ctx.Done():
		return context.Cause(ctx) // run closes the descriptor
	}
}

// detach takes the descriptor away from the runtime's poller, which would wake for each packet.
func detach(p *playback) (int, error) {
	raw, err := p.raw.SyscallConn()
	if err != nil {
		return 0, err
	}
	fd := -1
	controlErr := raw.Control(func(old uintptr) {
		if fd, err = unix.FcntlInt(old, unix.F_DUPFD_CLOEXEC, 0); err != nil {
			return
		}
		err = unix.SetsockoptInt(fd, unix.SOL_SOCKET, unix.SO_RCVLOWAT, drainBuffer)
	})
	p.close()
	if err = errors.Join(controlErr, err); err != nil {
		if fd >= 0 {
			unix.Close(fd)
		}
		return 0, fmt.Errorf("taking over a connection: %w", err)
	}
	return fd, nil
}

// run empties connections until ctx ends, and then closes them.
func (d *drain) run(ctx context.Context) {
	ticker := time.NewTicker(drainStep)
	defer ticker.Stop()
	for {
		select {
		case now := <-ticker.C:
			d.step(now)
		case <-ctx.Done():
			d.mu.Lock()
			defer d.mu.Unlock()
			for _, s := range d.sinks {
				unix.Close(s.fd)
			}
			d.sinks = nil
			return
		}
	}
}

// step empties the share of the connections that is due.
func (d *drain) step(now time.Time) {
	d.mu.Lock()
	defer d.mu.Unlock()
	const steps = int(drainRound / drainStep)
	for range (len(d.sinks) + steps - 1) / steps {
		if d.next >= len(d.sinks) {
			d.next = 0
			d.beginRound()
		}
		if len(d.sinks) == 0 {
			return
		}
		s := d.sinks[d.next]
		if err := s.empty(d.scratch, now); err != nil {
			unix.Close(s.fd)
			s.end <- err
			last := len(d.sinks) - 1
			d.sinks[d.next] = d.sinks[last]
			d.sinks = d.sinks[:last]
			continue
		}
		d.next++
	}
}

// beginRound notes how late the last one was.
func (d *drain) beginRound() {
	now := time.Now()
	if late := int64(now.Sub(d.round) - drainRound); !d.round.IsZero() && late > d.worst.Load() {
		d.worst.Store(late)
	}
	d.round = now
}

// empty discards what the socket holds.
func (s *sink) empty(scratch []byte, now time.Time) error {
	for {
		n, _, err := syscall.Recvfrom(s.fd, scratch, unix.MSG_TRUNC|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return s.signal(now)
		case err != nil:
			return err
		case n == 0:
			return io.EOF
		}
		s.bytes.Add(uint64(n))
		if n < len(scratch) {
			return s.signal(now)
		}
	}
}

// signal shows the server that somebody is there.
func (s *sink) signal(now time.Time) error {
	if s.alive == nil || now.Before(s.aliveNext) {
		return nil
	}
	s.aliveNext = now.Add(aliveInterval)
	_, err := unix.Write(s.fd, s.alive(s.bytes.Load()))
	if errors.Is(err, unix.EAGAIN) {
		return nil
	}
	return err
}

// skipper throws bytes of a connection away that somebody else reads otherwise. The kernel does not
// even copy them.
type skipper struct {
	raw   syscall.RawConn
	count *atomic.Uint64

	scratch []byte // never written to
	left    int64
	err     error
	try     func(fd uintptr) bool
}

func newSkipper(conn *net.TCPConn, count *atomic.Uint64) *skipper {
	raw, err := conn.SyscallConn()
	s := &skipper{raw: raw, count: count, err: err}
	s.try = s.receive
	return s
}

// bytes waits for the next n bytes and throws them away.
func (s *skipper) bytes(d *drain, n int64) error {
	if s.err != nil {
		return s.err
	}
	s.scratch, s.left = d.scratch, n
	if n == 0 {
		return nil
	}
	if err := s.raw.Read(s.try); err != nil {
		return err
	}
	return s.err
}

// receive returns false where it has to wait for more.
func (s *skipper) receive(fd uintptr) bool {
	for s.left > 0 {
		n, _, err := syscall.Recvfrom(int(fd), s.scratch[:min(int64(len(s.scratch)), s.left)], unix.MSG_TRUNC|unix.MSG_DONTWAIT)
		switch {
		case errors.Is(err, syscall.EINTR):
			continue
		case errors.Is(err, syscall.EAGAIN):
			return false
		case err == nil && n == 0:
			err = io.ErrUnexpectedEOF
		}
		if err != nil {
			s.err = err
			return true
		}
		s.left -= int64(n)
		s.count.Add(uint64(n))
	}
	return true
}
