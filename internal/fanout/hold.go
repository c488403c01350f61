package fanout

import (
	"net"
	"sync"
	"time"
)

// Holder is a connection whose closing can wait. A descriptor that is written to by its number must
// not be closed meanwhile: another connection could get the number, and with it another viewer's
// bytes. Other connections are written to through a lock of theirs.
type Holder interface {
	net.Conn
	// NetConn returns the connection below.
	NetConn() net.Conn
	// Hold keeps the descriptor from being closed until Release; false: it is closed already. A
	// Close in between makes reads and writes fail, and takes effect with Release.
	Hold() bool
	Release()
}

// Holds counts who holds a connection. Its methods may be called from any goroutine.
type Holds struct {
	mu     sync.Mutex
	n      int
	closed bool // asked for
}

// Hold holds the connection, unless Close was called before.
func (h *Holds) Hold() bool {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !h.closed {
		h.n++
	}
	return !h.closed
}

// Release is called once for each Hold that was true. It says whether the connection is to be
// closed now.
func (h *Holds) Release() (last bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	h.n--
	return h.n == 0 && h.closed
}

// Close notes that the connection is to be closed, and says whether it is held, so that it can only
// be shut down, and whether this is not the first time.
func (h *Holds) Close() (held, again bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	held, again, h.closed = h.n > 0, h.closed, true
	return held, again
}

// Held is a Holder of a connection that this program has made.
type Held struct {
	*net.TCPConn
	holds Holds
}

var _ Holder = (*Held)(nil)

// NetConn, Hold and Release implement Holder.
func (c *Held) NetConn() net.Conn { return c.TCPConn }

// Hold keeps the descriptor from being closed.
func (c *Held) Hold() bool { return c.holds.Hold() }

// Release lets it be closed.
func (c *Held) Release() {
	if c.holds.Release() {
		_ = c.TCPConn.Close()
	}
}

// Close closes the connection. While it is held, it is only shut down.
func (c *Held) Close() error {
	switch held, again := c.holds.Close(); {
	case held && again:
		return net.ErrClosed
	case held:
		_ = c.CloseRead()
		_ = c.CloseWrite()
		return c.SetDeadline(time.Unix(1, 0))
	}
	return c.TCPConn.Close()
}
