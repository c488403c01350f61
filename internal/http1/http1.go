// Package http1 serves HTTP/1.1 (RFC 9112), and HTTP/2 over TLS, to very many clients that wait for
// the same: for the next part of a live stream, and for the playlist that names it.
//
// On Linux a loop for each processor has the connections. Requests in the form that players send
// (GET, no content, nothing conditional) are answered there by the ordinary http.Handler, to which
// a request that waits is no goroutine and no timer: it says what it waits for (Wait), and is
// called again. Whatever is unusual is net/http's: a request that can stand alone is lent to it,
// and its connection comes back; with bytes that are not understood here the connection goes to it
// for good, untouched. So this package decides nothing about odd requests.
//
// Over TLS the same loops read and write through crypto/tls, which does not wait there; only
// handshakes have goroutines. Clients that choose HTTP/2 (RFC 9113) there are in the loop too; what
// is unusual of their requests the ordinary handler answers in goroutines.
//
// On other systems net/http has all connections.
package http1

import (
	"context"
	"crypto/tls"
	"net"
	"net/http"
	"sync"
)

// Options configures a Server.
type Options struct {
	// Handler answers requests in the loop. It must not block, and neither change the request nor
	// its header, nor keep them: they are used again. What it writes by WriteShared and by ReadFrom
	// from net.Buffers must never change.
	Handler http.Handler
	// Hot says whether Handler may get a request. All others are net/http's.
	Hot func(*http.Request) bool
	// Begin is told of a request before Handler gets it, End when it is over. With false from Begin
	// net/http has the request.
	Begin func(net.Conn) bool
	End   func(net.Conn)
	// Panicked is told of a panic of Handler, whose connection is closed.
	Panicked func(*http.Request, any)
	// TLS, if set, is how connections are made TLS, which the listener gives out without.
	TLS *tls.Config
	// Rings lets the loops use io_uring.
	Rings bool
}

// Server serves the connections of one listener.
type Server struct {
	opt   Options
	std   *http.Server
	loops loops
	rest  *handover
}

// New makes a Server. std serves what the loops do not; its timeouts and ConnContext hold for both.
func New(std *http.Server, opt Options) *Server {
	s := &Server{opt: opt, std: std, rest: newHandover()}
	std.ConnState = noteIdle(std.ConnState)
	if opt.TLS != nil {
		std.ConnContext = noteTLS(std.ConnContext)
		std.Handler = tellTLS(std.Handler)
	}
	return s
}

// Serve serves the connections of a listener until that is closed, and returns the error of its
// Accept. It is called once. Connections go on until Shutdown or Close.
func (s *Server) Serve(l net.Listener) error {
	s.loops.start(s)
	s.rest.addr = l.Addr()
	var serving sync.WaitGroup
	serving.Go(func() { _ = s.std.Serve(s.rest) }) // ends with rest
	defer serving.Wait()
	defer s.rest.Close()
	for {
		c, err := l.Accept()
		if err != nil {
			return err
		}
		switch {
		case s.opt.TLS != nil:
			s.loops.secure(s, c)
		case !s.loops.take(c, nil):
			s.rest.give(c)
		}
	}
}

// Shutdown closes connections on which nothing is under way, and waits until the others have got
// their answers, or ctx ends. The listener is closed already.
func (s *Server) Shutdown(ctx context.Context) error {
	s.loops.drain(ctx)
	return s.std.Shutdown(ctx)
}

// Close closes all connections.
func (s *Server) Close() error {
	s.loops.close()
	return s.std.Close()
}

// handover is the listener through which connections come to net/http.
type handover struct {
	addr   net.Addr
	conns  chan net.Conn
	closed chan struct{}
	close  sync.Once
}

var _ net.Listener = (*handover)(nil)

func newHandover() *handover {
	return &handover{conns: make(chan net.Conn), closed: make(chan struct{})}
}

// give hands a connection over, or closes it if nobody takes any.
func (h *handover) give(c net.Conn) {
	select {
	case h.conns <- c:
	case <-h.closed:
		_ = c.Close()
	}
}

func (h *handover) Accept() (net.Conn, error) {
	select {
	case c := <-h.conns:
		return c, nil
	case <-h.closed:
		return nil, net.ErrClosed
	}
}

func (h *handover) Close() error {
	h.close.Do(func() { close(h.closed) })
	return nil
}

func (h *handover) Addr() net.Addr { return h.addr }
