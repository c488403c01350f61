package server

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
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
func (h *http3Listener) doubts(net.Addr) bool {
	return h.limits.perAddr > 0 || h.handshakes.Load() >= maxHandshakes/2 || !h.fresh.Allow()
}

// admit gives a connection its place before the handshake, until that fails or the connection is
// over.
func (h *http3Listener) admit(ctx context.Context, from *quic.ClientInfo) (context.Context, error) {
	if h.handshakes.Add(1) > maxHandshakes {
		h.handshakes.Add(-1)
		return nil, errHandshakes
	}
	c := &quicConn{remote: from.RemoteAddr, settled: sync.OnceFunc(func() { h.handshakes.Add(-1) })}
	place, ok := h.limits.admit(c)
	if !ok {
		c.settled()
		return nil, errHandshakes
	}
	context.AfterFunc(ctx, func() {
		c.settled()
		h.limits.leave(place)
	})
	return context.WithValue(ctx, placeKey{}, place), nil
}

// http3Listener serves HTTP/3 beside a listener for TCP, within the same limits of connections.
type http3Listener struct {
	beside    *listener
	log       *slog.Logger
	limits    *connLimits
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

// openHTTP3 listens on the UDP port with the number of HTTPSAddr, or else of the HLS port, if it is
// asked to and that one speaks TLS.
func (s *Server) openHTTP3() error {
	handle := s.serveHTTPS
	i := slices.IndexFunc(s.listeners, func(l *listener) bool { return l.name == "https" })
	if i < 0 {
		handle = s.serveHLS
		i = slices.IndexFunc(s.listeners, func(l *listener) bool { return l.name == "hls" && l.tls != nil })
	}
	if !s.opt.HLSHTTP3 || i < 0 {
		return nil
	}
	l := s.listeners[i]
	conn, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		return fmt.Errorf("hls_http3: %w", err)
	}
	h := &http3Listener{beside: l, log: s.log, limits: s.limits, conn: conn, fresh: rate.NewLimiter(freshHandshakes, freshHandshakes)}
	h.transport = &quic.Transport{Conn: conn, VerifySourceAddress: h.doubts, ConnContext: h.admit}
	h.listener, err = h.transport.Listen(http3.ConfigureTLSConfig(l.tls), &quic.Config{
		HandshakeIdleTimeout: s.opt.ReadTimeout, MaxIdleTimeout: httpIdleTimeout,
		MaxIncomingStreams: maxStreams, MaxIncomingUniStreams: maxUniStreams,
		InitialStreamReceiveWindow: maxQUICWindow, MaxStreamReceiveWindow: maxQUICWindow,
		InitialConnectionReceiveWindow: maxQUICWindow, MaxConnectionReceiveWindow: maxQUICWindow,
	})
	if err != nil {
		_ = conn.Close()
		return fmt.Errorf("hls_http3: %w", err)
	}
	port := conn.LocalAddr().(*net.UDPAddr).Port
	h.altSvc = fmt.Sprintf(`h3=":%d"; ma=%d`, port, altSvcAge)
	h.server = &http3.Server{Handler: bounded(s.guarded(watching, http.HandlerFunc(handle))), MaxHeaderBytes: maxHTTPHeader, IdleTimeout: httpIdleTimeout}
	s.http3 = h
	return nil
}

// bounded gives each request its deadlines, which the servers for TCP set themselves.
func bounded(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		c := http.NewResponseController(w)
		_ = c.SetReadDeadline(time.Now().Add(httpWriteTimeout))
		_ = c.SetWriteDeadline(time.Now().Add(httpWriteTimeout))
		h.ServeHTTP(w, r)
	})
}

// advertise tells clients of the other protocols that there is HTTP/3 (RFC 7838).
func (h *http3Listener) advertise(next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Alt-Svc", h.altSvc)
		next.ServeHTTP(w, r)
	})
}

// serve takes connections until the listener is closed, and returns when ctx has ended them all.
func (h *http3Listener) serve(ctx context.Context) {
	h.log.Info("listening", "protocol", "hls over HTTP/3", "addr", h.conn.LocalAddr().String(), "tls", true)
	for {
		c, err := h.listener.Accept(context.Background())
		if err != nil {
			break
		}
		place := placeIn(c.Context())
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
func (h *http3Listener) Close() { _ = h.listener.Close() }

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
