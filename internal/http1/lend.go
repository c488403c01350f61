package http1

import (
	"bufio"
	"cmp"
	"context"
	"crypto/tls"
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

// recordSize is what TLS sends at once, in bytes.
const recordSize = 16 << 10

// ReadFrom hands files and many pieces to the connection at once, or over TLS in whole records.
func (c *lent) ReadFrom(r io.Reader) (int64, error) {
	if _, ok := c.Conn.(*tls.Conn); !ok {
		return io.Copy(c.Conn, r)
	}
	out := bufio.NewWriterSize(c.Conn, recordSize)
	n, err := io.Copy(struct{ io.Writer }{out}, r)
	return n, cmp.Or(err, out.Flush())
}

// stateKey is where the context of a connection that is lent has its TLS state.
type stateKey struct{}

// noteTLS notes the TLS state of connections that are lent: net/http sees that of its own only.
func noteTLS(next func(context.Context, net.Conn) context.Context) func(context.Context, net.Conn) context.Context {
	return func(ctx context.Context, c net.Conn) context.Context {
		if next != nil {
			ctx = next(ctx, c)
		}
		if l, ok := c.(*lent); ok {
			if secure, ok := l.Conn.(*tls.Conn); ok {
				state := secure.ConnectionState()
				ctx = context.WithValue(ctx, stateKey{}, &state)
			}
		}
		return ctx
	}
}

// tellTLS lets requests over connections that are lent have the state that noteTLS noted.
func tellTLS(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if state, ok := r.Context().Value(stateKey{}).(*tls.ConnectionState); ok && r.TLS == nil {
			r.TLS = state
		}
		h.ServeHTTP(w, r)
	})
}
