package listen

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"sync"
	"sync/atomic"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
	"golang.org/x/time/rate"
)

const (
	// altSvcAge is for how long a browser may remember that there is HTTP/3, in seconds.
	altSvcAge = 86400
	// maxQUICWindow bounds what a client may send before it is read: requests without a body.
	maxQUICWindow = 64 << 10
	// maxUniStreams is for the three that HTTP/3 needs in each direction (RFC 9114 6.2), and some
	// that it may add.
	maxUniStreams = 8

	// freshHandshakes is how many handshakes may begin in a second before clients have to show that
	// their addresses are their own.
	freshHandshakes = 50
	// maxHandshakes bounds those that are under way: each takes some 50 KB and half a millisecond
	// of CPU time.
	maxHandshakes = 512
)

var errHandshakes = errors.New("too many handshakes or connections")

// doubts says whether a client has to show that it gets what is sent to its address (Retry, RFC
// 9000 §8.1.2), which costs it a round trip: when handshakes come fast, or when connections of an
// address are counted, so that nobody uses up the places of another one.
func (h *HTTP3) doubts(net.Addr) bool {
	return h.limits.perAddr > 0 || h.handshakes.Load() >= maxHandshakes/2 || !h.fresh.Allow()
}

// admit gives a connection its place before the handshake, until that fails or the connection is
// over.
func (h *HTTP3) admit(ctx context.Context, from *quic.ClientInfo) (context.Context, error) {
	if h.handshakes.Add(1) > maxHandshakes {
		h.handshakes.Add(-1)
		return nil, errHandshakes
	}
	c := &quicConn{remote: from.RemoteAddr, settled: sync.OnceFunc(func() { h.handshakes.Add(-1) })}
	place, ok := h.limits.Admit(c)
	if !ok {
		c.settled()
		return nil, errHandshakes
	}
	context.AfterFunc(ctx, func() {
		c.settled()
		h.limits.leave(place)
	})
	return context.WithValue(ctx, connKey{}, place), nil
}

// HTTP3 serves HTTP/3 beside a listener for TCP, within the same limits of connections.
type HTTP3 struct {
	beside    *Listener
	limits    *Limits
	conn      net.PacketConn
	transport *quic.Transport
	listener  *quic.Listener
	server    *http3.Server
	altSvc    string
	conns     sync.WaitGroup

	// fresh lets so many handshakes begin for free, handshakes counts those under way.
	fresh      *rate.Limiter
	handshakes atomic.Int32
}

// HTTP3Options configures HTTP/3.
type HTTP3Options struct {
	// Beside is the open Listener, with TLS, whose port and certificate it has, over UDP.
	Beside  *Listener
	Handler http.Handler
	// HandshakeTimeout bounds handshakes, IdleTimeout the time without a request.
	HandshakeTimeout, IdleTimeout time.Duration
	// MaxStreams bounds the requests that a client has under way, MaxHeader their heads in bytes.
	MaxStreams, MaxHeader int
}

// OpenHTTP3 listens.
func OpenHTTP3(o HTTP3Options) (*HTTP3, error) {
	l := o.Beside
	conn, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		return nil, err
	}
	h := &HTTP3{beside: l, limits: l.Limits, conn: conn, fresh: rate.NewLimiter(freshHandshakes, freshHandshakes)}
	h.transport = &quic.Transport{Conn: conn, VerifySourceAddress: h.doubts, ConnContext: h.admit}
	h.listener, err = h.transport.Listen(http3.ConfigureTLSConfig(l.tls), &quic.Config{
		HandshakeIdleTimeout: o.HandshakeTimeout, MaxIdleTimeout: o.IdleTimeout,
		MaxIncomingStreams: int64(o.MaxStreams), MaxIncomingUniStreams: maxUniStreams,
		InitialStreamReceiveWindow: maxQUICWindow, MaxStreamReceiveWindow: maxQUICWindow,
		InitialConnectionReceiveWindow: maxQUICWindow, MaxConnectionReceiveWindow: maxQUICWindow,
	})
	if err != nil {
		_ = conn.Close()
		return nil, err
	}
	h.altSvc = fmt.Sprintf(`h3=":%d"; ma=%d`, conn.LocalAddr().(*net.UDPAddr).Port, altSvcAge)
	h.server = &http3.Server{Handler: o.Handler, MaxHeaderBytes: o.MaxHeader, IdleTimeout: o.IdleTimeout}
	return h, nil
}

// Beside says whether it has the port of a listener.
func (h *HTTP3) Beside(l *Listener) bool { return h.beside == l }

// Addr is the UDP address.
func (h *HTTP3) Addr() net.Addr { return h.conn.LocalAddr() }

// Advertise tells clients of the other protocols that there is HTTP/3 (RFC 7838).
func (h *HTTP3) Advertise(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Alt-Svc", h.altSvc)
		next.ServeHTTP(w, r)
	})
}

// Serve takes connections until the listener is closed, and returns when ctx has ended them all.
func (h *HTTP3) Serve(ctx context.Context) {
	for {
		c, err := h.listener.Accept(context.Background())
		if err != nil {
			break
		}
		place := ConnIn(c.Context())
		if !place.Conn.(*quicConn).established(c) {
			continue
		}
		h.conns.Go(func() {
			defer place.Close()
			stop := context.AfterFunc(ctx, func() { _ = place.Close() })
			defer stop()
			_ = h.server.ServeQUICConn(c) // why a client left is of no interest
		})
	}
	h.conns.Wait()
	_ = h.transport.Close()
	_ = h.conn.Close()
}

// Close stops taking connections.
func (h *HTTP3) Close() { _ = h.listener.Close() }

// quicConn is a QUIC connection as far as limits know connections, also before there is one.
type quicConn struct {
	net.Conn // nil
	remote   net.Addr
	settled  func() // the handshake is over

	mu     sync.Mutex
	conn   *quic.Conn // nil before the end of the handshake
	closed bool
}

func (c *quicConn) RemoteAddr() net.Addr { return c.remote }

// established notes the end of the handshake. It is false if the connection was closed before.
func (c *quicConn) established(conn *quic.Conn) bool {
	c.settled()
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		_ = conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), "")
		return false
	}
	c.conn = conn
	return true
}

func (c *quicConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.closed = true
	if c.conn == nil {
		return nil
	}
	return c.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}
