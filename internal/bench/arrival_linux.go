package bench

import (
	"io"
	"net"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// stamped is a connection that counts what is read from it, and knows when the kernel got the last
// of it (SO_TIMESTAMPNS, socket(7)). What a player measures by that is the server's: hundreds of
// players of this tool share one processor, and take what came at once one after the other.
type stamped struct {
	*net.TCPConn
	raw     syscall.RawConn
	count   *atomic.Uint64
	last    time.Time
	control [64]byte
}

var _ arrival = (*stamped)(nil)

// newStamped fails where the system cannot tell.
func newStamped(conn *net.TCPConn, count *atomic.Uint64) (*stamped, error) {
	raw, err := conn.SyscallConn()
	if err != nil {
		return nil, err
	}
	controlErr := raw.Control(func(fd uintptr) {
		err = unix.SetsockoptInt(int(fd), unix.SOL_SOCKET, unix.SO_TIMESTAMPNS, 1)
	})
	if controlErr != nil {
		err = controlErr
	}
	return &stamped{TCPConn: conn, raw: raw, count: count}, err
}

func (s *stamped) arrived() time.Time { return s.last }

func (s *stamped) Read(b []byte) (n int, err error) {
	if len(b) == 0 {
		return 0, nil
	}
	var control int
	waitErr := s.raw.Read(func(fd uintptr) bool {
		for {
			n, control, _, _, err = unix.Recvmsg(int(fd), b, s.control[:], unix.MSG_DONTWAIT)
			if err != unix.EINTR {
				return err != unix.EAGAIN
			}
		}
	})
	switch {
	case waitErr != nil:
		return 0, waitErr
	case err != nil:
		return 0, err
	case n == 0:
		return 0, io.EOF
	}
	s.count.Add(uint64(n))
	s.note(s.control[:control])
	return n, nil
}

// note takes the time from the control messages of a read.
func (s *stamped) note(control []byte) {
	messages, err := unix.ParseSocketControlMessage(control)
	if err != nil {
		return
	}
	for _, m := range messages {
		if m.Header.Level == unix.SOL_SOCKET && m.Header.Type == unix.SCM_TIMESTAMPNS && len(m.Data) >= int(unsafe.Sizeof(unix.Timespec{})) {
			at := (*unix.Timespec)(unsafe.Pointer(&m.Data[0]))
			s.last = time.Unix(at.Unix())
		}
	}
}
