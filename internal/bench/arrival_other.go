//go:build !linux

package bench

import (
	"errors"
	"net"
	"sync/atomic"
	"time"
)

// stamped is only known to Linux.
type stamped struct{ counted }

func newStamped(*net.TCPConn, *atomic.Uint64) (stamped, error) {
	return stamped{}, errors.ErrUnsupported
}

func (stamped) arrived() time.Time { return time.Time{} }
