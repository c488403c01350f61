package http1

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"io"
	"maps"
	"net"
	"net/http"
	"slices"
	"syscall"
	"time"
)

const (
	// maxSealed bounds the content of an answer that is encrypted at once, in bytes: what does not
	// fit into the socket waits in its connection's memory.
	maxSealed = 4 * recordSize
	// maxUnasked bounds what TLS itself wants to send before there is an answer (updates of keys),
	// in bytes.
	maxUnasked = 4 << 10
	// maxBuffers bounds the buffers for what was encrypted that a loop keeps.
	maxBuffers = 64
)

// errAgain says that there is nothing to read now. TLS keeps what it has read so far, as the error
// is one that passes.
type errAgain struct{}

var _ net.Error = errAgain{}

func (errAgain) Error() string   { return "nothing to read now" }
func (errAgain) Timeout() bool   { return true }
func (errAgain) Temporary() bool { return true }

// secured is a connection over TLS, in a loop or lent.
type secured struct {
	*tls.Conn
	state tls.ConnectionState
	under *transport
}

// transport is what TLS reads from and writes to. In the loop it never waits: it reads what there
// is, and what is written it keeps.
type transport struct {
	holder
	unread []byte // what came with the header of a proxy
	// Of the loop: fd is its descriptor. drained: nothing more is there. out is what is to be sent.
	inLoop  bool
	fd      int32
	drained bool
	out     []byte
}

func (t *transport) Read(b []byte) (int, error) {
	switch {
	case len(t.unread) > 0:
		n := copy(b, t.unread)
		t.unread = t.unread[n:]
		return n, nil
	case !t.inLoop:
		return t.holder.NetConn().Read(b)
	case t.drained:
		return 0, errAgain{}
	}
	n, err := receive(t.fd, b, 0)
	switch {
	case err == syscall.EAGAIN:
		t.drained = true
		return 0, errAgain{}
	case err == nil && n == 0:
		return 0, io.EOF
	}
	return n, err
}

func (t *transport) Write(b []byte) (int, error) {
	if t.inLoop {
		t.out = append(t.out, b...)
		return len(b), nil
	}
	if len(t.out) > 0 {
		rest := t.out
		t.out = nil
		if _, err := t.holder.Write(rest); err != nil {
			return 0, err
		}
	}
	return t.holder.Write(b)
}

// NetConn returns what has the place of the connection.
func (t *transport) NetConn() net.Conn { return t.holder }

// secure makes a connection TLS, in a goroutine of its own, and gives it to a loop or to net/http.
func (ls *loops) secure(s *Server, nc net.Conn) {
	held, ok := nc.(holder)
	if !ok || len(ls.all) == 0 {
		s.rest.give(tls.Server(nc, s.opt.TLS))
		return
	}
	ls.mu.Lock()
	defer ls.mu.Unlock()
	if ls.closed {
		_ = nc.Close()
		return
	}
	if ls.greeted == nil {
		ls.greeted = make(map[net.Conn]struct{})
	}
	ls.greeted[nc] = struct{}{}
	ls.greetings.Go(func() { ls.greet(s, held) })
}

// greet makes the handshake.
func (ls *loops) greet(s *Server, held holder) {
	t := &transport{holder: held}
	if unread, ok := held.(interface{ Unread() []byte }); ok {
		t.unread = unread.Unread()
	}
	over := tls.Server(t, s.opt.TLS)
	if d := s.std.ReadTimeout; d > 0 {
		_ = over.SetDeadline(time.Now().Add(d))
	}
	err := over.HandshakeContext(context.Background())
	_ = over.SetDeadline(time.Time{})
	ls.mu.Lock()
	delete(ls.greeted, held)
	ls.mu.Unlock()
	if err != nil {
		s.refuse(over, err)
		return
	}
	state := over.ConnectionState()
	if weak(state) || !ls.take(held, &secured{over, state, t}) {
		s.rest.give(over)
	}
}

// weak says whether a client chose HTTP/2 with a cipher that it must not have (RFC 9113 9.2.2):
// net/http has an answer to that.
func weak(state tls.ConnectionState) bool {
	if state.NegotiatedProtocol != "h2" || state.Version >= tls.VersionTLS13 {
		return false
	}
	switch state.CipherSuite {
	case tls.TLS_ECDHE_RSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_RSA_WITH_CHACHA20_POLY1305_SHA256,
		tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256, tls.TLS_ECDHE_ECDSA_WITH_AES_256_GCM_SHA384, tls.TLS_ECDHE_ECDSA_WITH_CHACHA20_POLY1305_SHA256:
		return false
	}
	return true
}

// refuse closes a connection whose handshake failed, as net/http does.
func (s *Server) refuse(over *tls.Conn, err error) {
	var odd tls.RecordHeaderError
	if errors.As(err, &odd) && odd.Conn != nil && looksLikeHTTP(odd.RecordHeader) {
		_, _ = io.WriteString(odd.Conn, "HTTP/1.0 400 Bad Request\r\n\r\nClient sent an HTTP request to an HTTPS server.\n")
		err = errors.New("client sent an HTTP request to an HTTPS server")
	}
	_ = over.NetConn().Close()
	if s.std.ErrorLog != nil {
		s.std.ErrorLog.Printf("http: TLS handshake error from %s: %v", over.RemoteAddr(), err)
	}
	if s.std.ConnState != nil {
		s.std.ConnState(over, http.StateClosed)
	}
}

// looksLikeHTTP says whether what should be the header of a record begins a request.
func looksLikeHTTP(b [5]byte) bool {
	for _, method := range []string{"GET /", "HEAD ", "POST ", "PUT /", "OPTIO"} {
		if string(b[:]) == method {
			return true
		}
	}
	return false
}

// dismiss closes the connections whose handshake is under way, and waits for those that make them.
func (ls *loops) dismiss() {
	ls.mu.Lock()
	all := slices.Collect(maps.Keys(ls.greeted))
	ls.mu.Unlock()
	for _, c := range all {
		_ = c.Close()
	}
	ls.greetings.Wait()
}

// enter has the connection be read and written without waiting.
func (s *secured) enter(fd int32) {
	s.under.inLoop, s.under.fd, s.under.drained = true, fd, false
}

// leave has it wait again.
func (s *secured) leave() { s.under.inLoop = false }

// fill reads what there is, as much as fits. With a read that fills b there may be more.
func (s *secured) fill(b []byte) (n int, err error) {
	for n < len(b) {
		k, err := s.Conn.Read(b[n:])
		n += k
		switch _, again := err.(errAgain); {
		case again && n == 0:
			return 0, syscall.EAGAIN
		case again, err != nil && n > 0: // what is wrong is said again
			return n, nil
		case err == io.EOF:
			return 0, nil
		case err != nil:
			return 0, err
		}
	}
	return n, nil
}

// seal encrypts a bounded part of the answer.
func (c *conn) seal() {
	l, t := c.loop, c.tls.under
	if t.out == nil && len(l.buffers) > 0 {
		last := len(l.buffers) - 1
		t.out, l.buffers = l.buffers[last], l.buffers[:last]
	}
	l.text = l.text[:0]
	if c.two != nil {
		l.text = c.two.proto.Output(l.text, maxSealed)
	}
	for len(c.out) > 0 && len(l.text) < maxSealed {
		n := min(len(c.out[0]), maxSealed-len(l.text))
		l.text = append(l.text, c.out[0][:n]...)
		if c.out[0] = c.out[0][n:]; len(c.out[0]) == 0 {
			c.out[0] = nil
			c.out = c.out[1:]
		}
	}
	_, _ = c.tls.Write(l.text) // it is kept; else the client would notice
}

// sendSealed sends what is left of the answer, over TLS, a bounded part of it at a time.
func (c *conn) sendSealed() {
	t := c.tls.under
	for size := 0; ; {
		if len(t.out) == c.taken {
			c.recycle()
			switch {
			case c.two != nil && !c.two.proto.Pending():
				c.two.sent()
				return
			case c.two == nil && len(c.out) == 0:
				c.sent()
				return
			}
			if size >= maxSend {
				c.later()
				return
			}
			c.seal()
		}
		n, err := send(c.fd, t.out[c.taken:])
		if err != nil && err != syscall.EAGAIN {
			c.close()
			return
		}
		size += n
		if c.two != nil && n > 0 {
			c.two.blocked = never
		}
		if c.taken += n; c.taken < len(t.out) { // an event tells when there is room
			if c.two != nil {
				c.two.stuck()
			}
			return
		}
	}
}

// recycle lets others use the buffer of what was sent.
func (c *conn) recycle() {
	l, t := c.loop, c.tls.under
	if cap(t.out) > 0 && len(l.buffers) < maxBuffers {
		l.buffers = append(l.buffers, t.out[:0])
	}
	t.out, c.taken = nil, 0
}

// bid tells the client that nothing more comes, if everything else was sent.
func (c *conn) bid() {
	if c.tls == nil || len(c.tls.under.out) > c.taken || len(c.out) > 0 || c.two != nil && c.two.proto.Pending() {
		return
	}
	_ = c.tls.CloseWrite()
	_, _ = send(c.fd, c.tls.under.out[c.taken:])
	c.recycle()
}

// release gives the connection to net/http, with what was read.
func (c *conn) release(unread []byte, back func(), watch func() error) {
	given := &lent{Conn: c.net, unread: bytes.Clone(unread), back: back, watch: watch}
	if c.tls != nil {
		c.tls.leave()
		given.Conn = c.tls.Conn
	}
	c.loop.server.rest.give(given)
}
