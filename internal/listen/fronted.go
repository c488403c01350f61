package listen

import (
	"bufio"
	"bytes"
	"net"
	"net/netip"
	"sync"
	"time"

	"github.com/pires/go-proxyproto"

	"livego/internal/auth"
)

const (
	// frontTimeout is how long a proxy may take to say for whom it speaks.
	frontTimeout = 5 * time.Second
	// maxFronted bounds the connections of proxies that have not said so yet.
	maxFronted = 1024
)

// frontedListener lets proxies that are trusted say, by the PROXY protocol (1 and 2), for whom they
// speak. What comes from elsewhere stays as it is, and nobody waits for anybody's header.
type frontedListener struct {
	net.Listener
	trusted func() []netip.Prefix

	begin    sync.Once
	accepted chan accepted
	waiting  chan struct{} // a place for each header that is read
	closed   chan struct{}
	close    sync.Once
}

type accepted struct {
	conn net.Conn
	err  error
}

func newFrontedListener(inner net.Listener, trusted func() []netip.Prefix) *frontedListener {
	return &frontedListener{
		Listener: inner, trusted: trusted, accepted: make(chan accepted), waiting: make(chan struct{}, maxFronted), closed: make(chan struct{}),
	}
}

// Accept returns connections whose peers are known.
func (l *frontedListener) Accept() (net.Conn, error) {
	l.begin.Do(func() { go l.run() })
	select {
	case a := <-l.accepted:
		return a.conn, a.err
	case <-l.closed:
		return nil, net.ErrClosed
	}
}

func (l *frontedListener) Close() error {
	l.close.Do(func() { close(l.closed) })
	return l.Listener.Close()
}

// run accepts until the listener is closed.
func (l *frontedListener) run() {
	for {
		conn, err := l.Listener.Accept()
		tcp, ok := conn.(*net.TCPConn)
		switch {
		case err != nil || !ok || !auth.Proxies(l.trusted()).Contains(RemoteAddr(conn)):
			if !l.hand(conn, err) {
				return
			}
		default:
			select {
			case l.waiting <- struct{}{}:
				go l.identify(tcp)
			default:
				_ = conn.Close()
			}
		}
	}
}

// hand gives a connection to Accept, unless the listener is closed.
func (l *frontedListener) hand(conn net.Conn, err error) bool {
	select {
	case l.accepted <- accepted{conn, err}:
		return true
	case <-l.closed:
		if conn != nil {
			_ = conn.Close()
		}
		return false
	}
}

// identify reads for whom a proxy speaks, if it says so.
func (l *frontedListener) identify(conn *net.TCPConn) {
	defer func() { <-l.waiting }()
	in := bufio.NewReaderSize(conn, 4<<10)
	_ = conn.SetReadDeadline(time.Now().Add(frontTimeout))
	header, err := proxyproto.Read(in)
	_ = conn.SetReadDeadline(time.Time{})
	if err != nil && err != proxyproto.ErrNoProxyProtocol {
		_ = conn.Close()
		return
	}
	c := &frontedConn{TCPConn: conn, in: in, remote: conn.RemoteAddr()}
	if client, ok := clientOfHeader(header); ok {
		c.remote = client
	}
	l.hand(c, nil)
}

// clientOfHeader is whom a header names: nobody if the proxy speaks for itself, as when it looks
// whether the server is there.
func clientOfHeader(h *proxyproto.Header) (net.Addr, bool) {
	if h == nil || !h.Command.IsProxy() {
		return nil, false
	}
	tcp, ok := h.SourceAddr.(*net.TCPAddr)
	return tcp, ok
}

// frontedConn is a connection that came through a proxy.
type frontedConn struct {
	*net.TCPConn
	in     *bufio.Reader
	remote net.Addr
}

func (c *frontedConn) Read(p []byte) (int, error) { return c.in.Read(p) }

// unread takes what was read together with the header.
func (c *frontedConn) unread() []byte {
	b, _ := c.in.Peek(c.in.Buffered())
	_, _ = c.in.Discard(len(b))
	return bytes.Clone(b)
}

func (c *frontedConn) RemoteAddr() net.Addr { return c.remote }
