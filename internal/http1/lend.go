package http1

import (
	"errors"
	"io"
	"net"
	"net/http"
	"sync"
)

// lent is a connection that net/http has, with the bytes that were read from it already: for good,
// or, where back is set, until it has answered the one request in those bytes. Then it learns that
// nothing more comes, and its Close gives the connection back.
type lent struct {
	net.Conn
	// back gives it back, watch waits until the client is gone and leaves what it sends where it
	// is.
	back  func()
	watch func() error

	mu     sync.Mutex
	unread []byte
	// idle: net/http has answered. ended: it was told that nothing more comes.
	idle, ended, closed bool
}

// Read is called by one goroutine at a time.
func (c *lent) Read(b []byte) (int, error) {
	c.mu.Lock()
	if len(c.unread) > 0 {
		n := copy(b, c.unread)
		if c.unread = c.unread[n:]; len(c.unread) == 0 {
			c.unread = nil
		}
		c.mu.Unlock()
		return n, nil
	}
	c.ended = c.idle && c.back != nil
	ended := c.ended
	c.mu.Unlock()
	switch {
	case ended:
		return 0, io.EOF
	case c.back != nil: // net/http looks in this way whether its client is there
		return 0, c.watch()
	}
	return c.Conn.Read(b)
}

func (c *lent) Close() error {
	c.mu.Lock()
	back := c.ended && !c.closed
	c.closed = true
	c.mu.Unlock()
	if back {
		c.back()
		return nil
	}
	return c.Conn.Close()
}

// noteIdle lets connections that are lent know when net/http is done with a request.
func noteIdle(next func(net.Conn, http.ConnState)) func(net.Conn, http.ConnState) {
	return func(c net.Conn, state http.ConnState) {
		if l, ok := c.(*lent); ok && state == http.StateIdle {
			l.mu.Lock()
			l.idle = true
			l.mu.Unlock()
		}
		if next != nil {
			next(c, state)
		}
	}
}

// NetConn returns the connection that is lent.
func (c *lent) NetConn() net.Conn { return c.Conn }

// CloseWrite ends the output.
func (c *lent) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// ReadFrom hands files and many pieces to the connection at once.
func (c *lent) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }
