package server

import (
	"fmt"
	"net/http"
	"slices"
	"time"

	"livego/internal/listen"
)

// openHTTP3 serves HTTP/3 at the UDP port with the number of HTTPSAddr, or else of the HLS port, if
// it is asked to and that one speaks TLS.
func (s *Server) openHTTP3() error {
	handle := s.forOrigins(s.serveHTTPS)
	i := slices.IndexFunc(s.listeners, func(l *listener) bool { return l.Name == "https" })
	if i < 0 {
		handle = s.forOrigins(s.serveHLS)
		i = slices.IndexFunc(s.listeners, func(l *listener) bool { return l.Name == "hls" && l.Secure })
	}
	if !s.opt.HLSHTTP3 || i < 0 {
		return nil
	}
	var err error
	s.http3, err = listen.OpenHTTP3(listen.HTTP3Options{
		Beside: &s.listeners[i].Listener, Handler: bounded(s.guarded(listen.Watching, http.HandlerFunc(handle))),
		HandshakeTimeout: s.opt.RTMP.ReadTimeout, IdleTimeout: httpIdleTimeout, MaxStreams: maxStreams, MaxHeader: maxHTTPHeader,
	})
	if err != nil {
		return fmt.Errorf("hls_http3: %w", err)
	}
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
