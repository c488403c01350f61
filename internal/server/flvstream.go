package server

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/netip"
	"os"
	"strings"
	"sync"
	"time"

	"livego/internal/flv"
	"livego/internal/relay"
)

// playFLVOverStream plays over HTTP/2 or HTTP/3, where the connection has other requests too and
// cannot be taken over. It returns when the viewer is over.
func (s *Server) playFLVOverStream(w http.ResponseWriter, r *http.Request, p playable) {
	h := w.Header()
	h.Set("Content-Type", "video/x-flv")
	h.Set("Cache-Control", "no-cache, no-store")
	h.Set("X-Accel-Buffering", "no")
	if len(p.path) > 0 {
		h.Set(relay.HeaderPath, strings.Join(s.pathOf(p.pub), ","))
	}
	w.WriteHeader(http.StatusOK)
	nc := newStreamConn(w, r)
	defer nc.Close()
	v := s.newViewer(nc, r, p, protocolFLV, flv.TagFormat{})
	v.run(v.readNothing)
}

// streamConn is the answer to a request as a connection: what is written to it is sent at once, and
// there is nothing to read but the end.
type streamConn struct {
	w      io.Writer
	rc     *http.ResponseController
	remote net.Addr
	gone   <-chan struct{} // the client is

	mu      sync.Mutex
	write   time.Time // the deadline of writes
	read    context.Context
	endRead context.CancelFunc
}

var _ net.Conn = (*streamConn)(nil)

func newStreamConn(w http.ResponseWriter, r *http.Request) *streamConn {
	c := &streamConn{w: w, rc: http.NewResponseController(w), gone: r.Context().Done(), remote: &net.TCPAddr{}}
	if from, err := netip.ParseAddrPort(r.RemoteAddr); err == nil {
		c.remote = net.TCPAddrFromAddrPort(from)
	}
	c.read, c.endRead = context.WithCancel(context.Background())
	return c
}

// Write sends b within the deadline. Between two writes there is none: the server would reset the
// stream.
func (c *streamConn) Write(b []byte) (int, error) {
	c.mu.Lock()
	deadline := c.write
	c.mu.Unlock()
	_ = c.rc.SetWriteDeadline(deadline)
	n, err := c.w.Write(b)
	if err == nil {
		err = c.rc.Flush()
	}
	switch {
	case err == nil:
		_ = c.rc.SetWriteDeadline(time.Time{})
	case !deadline.IsZero() && !time.Now().Before(deadline):
		err = os.ErrDeadlineExceeded
	}
	return n, err
}

// SetWriteDeadline holds for writes that begin later; one that is past already ends the one under
// way too.
func (c *streamConn) SetWriteDeadline(t time.Time) error {
	c.mu.Lock()
	c.write = t
	c.mu.Unlock()
	if !t.IsZero() && !time.Now().Before(t) {
		return c.rc.SetWriteDeadline(t)
	}
	return nil
}

// Read waits for the end of the client, or for a deadline that is past.
func (c *streamConn) Read([]byte) (int, error) {
	select {
	case <-c.gone:
		return 0, io.EOF
	case <-c.read.Done():
		return 0, os.ErrDeadlineExceeded
	}
}

// SetReadDeadline ends reads if the deadline is past. No other one is set.
func (c *streamConn) SetReadDeadline(t time.Time) error {
	if !t.IsZero() && !time.Now().Before(t) {
		c.endRead()
	}
	return nil
}

func (c *streamConn) SetDeadline(t time.Time) error {
	_ = c.SetReadDeadline(t)
	return c.SetWriteDeadline(t)
}

// Close ends reads. The answer ends with the request.
func (c *streamConn) Close() error {
	c.endRead()
	return nil
}

func (c *streamConn) LocalAddr() net.Addr  { return &net.TCPAddr{} }
func (c *streamConn) RemoteAddr() net.Addr { return c.remote }
