package server

import (
	"context"
	"fmt"
	"log/slog"
	"net"
	"net/http"
	"slices"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const (
	// altSvcAge is for how long a browser may remember that there is HTTP/3, in seconds.
	altSvcAge = 86400
	// maxQUICWindow bounds what a client may send before it is read: requests without a body.
	maxQUICWindow = 64 << 10
	// maxUniStreams is for the three that HTTP/3 needs in each direction (RFC 9114 6.2), and some that it may add.
	maxUniStreams = 8
)

// http3Listener serves HTTP/3 beside a listener for TCP, within the same limits of connections.
type http3Listener struct {
	log       *slog.Logger
	limits    *connLimits
	conn      net.PacketConn
	transport *quic.Transport
	listener  *quic.EarlyListener
	server    *http3.Server
	altSvc    string
	conns     sync.WaitGroup
}

// openHTTP3 listens on the UDP port with the number of the HLS port, if it is asked to and that one speaks TLS.
func (s *Server) openHTTP3() error {
	i := slices.IndexFunc(s.listeners, func(l *listener) bool { return l.name == "hls" && l.tls != nil })
	if !s.opt.HLSHTTP3 || i < 0 {
		return nil
	}
	l := s.listeners[i]
	conn, err := net.ListenPacket("udp", l.Addr().String())
	if err != nil {
		return fmt.Errorf("hls_http3: %w", err)
	}
	h := &http3Listener{log: s.log, limits: s.limits, conn: conn, transport: &quic.Transport{Conn: conn}}
	h.listener, err = h.transport.ListenEarly(http3.ConfigureTLSConfig(l.tls), &quic.Config{
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
	h.server = &http3.Server{Handler: bounded(s.guarded(normal(s.watch))), MaxHeaderBytes: maxHTTPHeader, IdleTimeout: httpIdleTimeout}
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
		place, ok := h.limits.admit(&quicConn{conn: c})
		if !ok {
			_ = c.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeExcessiveLoad), "")
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

// quicConn is a QUIC connection as far as limits know connections.
type quicConn struct {
	net.Conn // nil
	conn     *quic.Conn
}

func (c *quicConn) RemoteAddr() net.Addr { return c.conn.RemoteAddr() }

func (c *quicConn) Close() error {
	return c.conn.CloseWithError(quic.ApplicationErrorCode(http3.ErrCodeNoError), "")
}
