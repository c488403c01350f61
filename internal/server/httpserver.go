package server

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"net/http/pprof"
	"runtime/debug"
	"strings"
	"time"

	"livego/internal/auth"
	"livego/internal/hls"
	"livego/internal/http1"
	"livego/internal/keys"
	"livego/internal/listen"
	"livego/internal/record"
)

const (
	// maxStreams bounds the requests that one client of HTTP/2 or HTTP/3 may have under way: a
	// player with a ladder has some ten.
	maxStreams = 100
	// receiveBuffer is for request bodies over HTTP/2, which nothing here reads: the least that the
	// protocol allows.
	receiveBuffer = 64 << 10
	// pingAfter is how long an HTTP/2 client with requests under way may be silent until it is
	// asked whether it is there.
	pingAfter = 15 * time.Second
)

// httpServer returns a serve function for a handler that speaks HTTP/1.1 only: an FLV connection is
// taken over from it.
func (s *Server) httpServer(r listen.Role, h http.Handler) func(*listener) error {
	return func(l *listener) error {
		srv := s.newHTTPServer(l, r, h)
		srv.Protocols.SetHTTP1(true)
		return s.serveHTTP(l, srv)
	}
}

// serveBrowsers returns a serve function for what browsers ask for: over HTTP/1.1 and HTTP/2, which
// proxies may also speak without TLS (RFC 9113 3.3).
func (s *Server) serveBrowsers(handle http.HandlerFunc) func(*listener) error {
	return func(l *listener) error {
		if !s.opt.HLSLoop {
			return s.serveHTTP(l, s.browserServer(l, handle))
		}
		l.Bare = l.Secure
		return s.serveHTTP(l, s.playerServer(l, s.browserServer(l, handle), handle))
	}
}

// advertised has answers name HTTP/3, where that is beside a listener.
func (s *Server) advertised(l *listener, h http.Handler) http.Handler {
	if s.http3 != nil && s.http3.Beside(&l.Listener) {
		return s.http3.Advertise(h)
	}
	return h
}

// serveNodes returns a serve function for other nodes, which have a choice of HTTP/1.1 and HTTP/2
// as browsers have. Ours take HTTP/1.1: a feed has a connection of its own, which no other one can
// hold up.
func (s *Server) serveNodes(h http.Handler) func(*listener) error {
	return func(l *listener) error { return s.serveHTTP(l, s.bothServer(l, listen.Working, h)) }
}

// browserServer makes a server for viewers that speaks HTTP/1.1 and HTTP/2.
func (s *Server) browserServer(l *listener, h http.Handler) *http.Server {
	return s.bothServer(l, listen.Watching, s.advertised(l, h))
}

// bothServer makes a server that speaks HTTP/1.1 and HTTP/2.
func (s *Server) bothServer(l *listener, r listen.Role, h http.Handler) *http.Server {
	srv := s.newHTTPServer(l, r, h)
	srv.Protocols.SetHTTP1(true)
	srv.Protocols.SetHTTP2(true)
	srv.Protocols.SetUnencryptedHTTP2(!l.Secure)
	srv.HTTP2 = &http.HTTP2Config{
		MaxConcurrentStreams: maxStreams, MaxReceiveBufferPerConnection: receiveBuffer, MaxReceiveBufferPerStream: receiveBuffer,
		SendPingTimeout: pingAfter, PingTimeout: s.opt.RTMP.ReadTimeout, WriteByteTimeout: httpWriteTimeout,
	}
	return srv
}

// playerServer serves the requests that players make again and again.
func (s *Server) playerServer(l *listener, srv *http.Server, h http.Handler) *http1.Server {
	return http1.New(srv, http1.Options{
		Handler: s.throughProxies(s.advertised(l, h)), Hot: s.mayBeHot, TLS: l.TLS(),
		Begin:    func(c net.Conn) bool { return listen.ConnOf(c).Use(listen.Watching) },
		End:      func(c net.Conn) { listen.ConnOf(c).Done(listen.Watching) },
		Panicked: s.logPanic,
		Rings:    s.opt.Fanout.Rings,
	})
}

// mayBeHot says whether a request is for media that are made here, or at a node that is known:
// nobody has to be asked before it can wait for them.
func (s *Server) mayBeHot(r *http.Request) bool {
	r, _ = withoutPrefix(normal(r))
	name := hls.StreamName(r.URL.Path)
	if name == "" || strings.HasPrefix(r.URL.Path, record.Path) || !s.hasMedia(name) {
		return false
	}
	app, ok := s.app(nameOf(name).App)
	return ok && app.ViewerAuth != ViewersByHook
}

// hasMedia says whether there are files of a stream, here or at a node that is known.
func (s *Server) hasMedia(name string) bool {
	if s.node != nil {
		if _, holds := s.node.member.Holds(name); !holds {
			return s.node.homes.has(name)
		}
	}
	return s.hls.Has(name)
}

// serveHTTPS serves HLS, its pages, HTTP-FLV and WebSocket-FLV on one port: a page that came by TLS
// may use nothing without.
func (s *Server) serveHTTPS(w http.ResponseWriter, r *http.Request) {
	if strings.HasSuffix(r.URL.Path, ".flv") || r.URL.Path == "/streams" && s.streams != nil {
		s.serveFLV(w, r)
		return
	}
	s.serveHLS(w, r)
}

// normal is a request with its path in the form in which names of streams are kept.
func normal(r *http.Request) *http.Request {
	path := keys.Normal(r.URL.Path)
	if path == r.URL.Path {
		return r
	}
	return withPath(r, path)
}

// withPath is a request for another path.
func withPath(r *http.Request, path string) *http.Request {
	u, copied := *r.URL, *r
	u.Path, u.RawPath = path, ""
	copied.URL = &u
	return &copied
}

// newHTTPServer makes an HTTP server within bounds for slow clients, without protocols.
func (s *Server) newHTTPServer(l *listener, r listen.Role, h http.Handler) *http.Server {
	srv := &http.Server{
		Handler:        s.guarded(r, h),
		ReadTimeout:    s.opt.RTMP.ReadTimeout,
		IdleTimeout:    httpIdleTimeout,
		WriteTimeout:   httpWriteTimeout,
		MaxHeaderBytes: maxHTTPHeader,
		ErrorLog:       slog.NewLogLogger(s.log.Handler(), slog.LevelDebug),
		BaseContext:    func(net.Listener) context.Context { return s.ctx },
		ConnContext:    listen.WithConn,
		Protocols:      new(http.Protocols),
	}
	if l.Secure {
		srv.ConnState = func(c net.Conn, state http.ConnState) { s.noteState(l.Name, c, state) }
	}
	return srv
}

// httpEnd is a server of HTTP, which serves the connections of one listener.
type httpEnd interface {
	Serve(l net.Listener) error
	Shutdown(ctx context.Context) error
	Close() error
}

// serveHTTP serves until the listener is closed. Requests on their way may still end well.
func (s *Server) serveHTTP(l *listener, srv httpEnd) error {
	stop := context.AfterFunc(s.ctx, func() { _ = srv.Close() })
	defer stop()
	err := srv.Serve(l)
	ctx, cancel := context.WithTimeout(s.ctx, s.now().opt.DrainTimeout)
	defer cancel()
	_ = srv.Shutdown(ctx)
	return err
}

// noteState counts connections that end before their TLS handshake did. It is told so by the
// goroutine that made the handshake.
func (s *Server) noteState(protocol string, c net.Conn, state http.ConnState) {
	if state == http.StateClosed && withoutHandshake(c) {
		s.handshakes.add(handshake{protocol, failedTLS})
	}
}

// withoutHandshake says whether a connection is to speak TLS and has not come so far.
func withoutHandshake(c net.Conn) bool {
	secure, ok := c.(interface{ ConnectionState() tls.ConnectionState })
	return ok && !secure.ConnectionState().HandshakeComplete
}

// guarded keeps a handler from requests that cost much or name no host, tells it who the client
// behind a proxy is, and logs a panic of it as what it is, our error, and ends its connection or
// stream. The HTTP servers' own log is for debugging, as it is full of what clients do.
//
// An answer does not wait for content that the handler does not read: net/http would, and a client
// that announces some and sends none would see nothing until it is closed.
func (s *Server) guarded(use listen.Role, h http.Handler) http.Handler {
	h = s.throughProxies(h)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		place := listen.ConnIn(r.Context())
		if !place.Use(use) {
			w.Header().Set("Connection", "close")
			w.Header().Set("Retry-After", "1")
			http.Error(w, errFull.Error(), http.StatusServiceUnavailable)
			return
		}
		defer place.Done(use)
		if !http1.ValidHost(r.Host) {
			w.Header().Set("Connection", "close")
			http.Error(w, "malformed Host header", http.StatusBadRequest)
			return
		}
		if r.ContentLength != 0 && r.ProtoMajor == 1 {
			content, asked := withContent(w, r)
			defer content.finish()
			w, r = content, asked
		}
		defer func() {
			if v := recover(); v != nil {
				s.logPanic(r, v)
				panic(http.ErrAbortHandler)
			}
		}()
		h.ServeHTTP(w, withGoodRange(r))
	})
}

// logPanic logs what a handler panicked with, v.
func (s *Server) logPanic(r *http.Request, v any) {
	if v != http.ErrAbortHandler {
		s.log.Error("HTTP handler panicked", "method", r.Method, "path", shownPath(r), "panic", v, "stack", string(debug.Stack()))
	}
}

// throughProxies tells a handler who the client behind a proxy is.
func (s *Server) throughProxies(h http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h.ServeHTTP(w, auth.Proxies(s.now().opt.TrustedProxies).Client(r))
	})
}

// scrapes lets metrics be the only thing on their port.
func scrapes(h http.Handler) http.Handler {
	mux := http.NewServeMux()
	mux.Handle("GET /metrics", h)
	return mux
}

// profiler returns the handler of Go's profiler, for programs on this machine only: a page that
// rebinds its name to this machine's address is one of a browser, and another host. What the
// command line of the process is, with its secrets, is not shown.
func profiler() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("/debug/pprof/", pprof.Index)
	mux.HandleFunc("/debug/pprof/cmdline", http.NotFound)
	mux.HandleFunc("/debug/pprof/profile", pprof.Profile)
	mux.HandleFunc("/debug/pprof/symbol", pprof.Symbol)
	mux.HandleFunc("/debug/pprof/trace", pprof.Trace)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if what := auth.MadeElsewhere(r); what != "" {
			http.Error(w, "the profiler answers "+what+"; from elsewhere use ssh -L", http.StatusForbidden)
			return
		}
		mux.ServeHTTP(w, r)
	})
}
