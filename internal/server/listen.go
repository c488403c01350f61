package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"os"
	"slices"
	"sync"
	"syscall"
	"time"

	"livego/internal/fanout"
)

const (
	// minAcceptDelay and maxAcceptDelay bound the pause after an accept that failed for want of resources.
	minAcceptDelay = 5 * time.Millisecond
	maxAcceptDelay = time.Second
	// logInterval is the least time between two log lines about the same shortage.
	logInterval = 10 * time.Second
	// certificateInterval is how often the files of a certificate are looked at.
	certificateInterval = 5 * time.Second
)

// listener accepts connections within limits, and goes on when the process runs out of descriptors.
type listener struct {
	net.Listener
	name, option, addr string
	secure             bool
	// multiplexed offers HTTP/2 to TLS clients. Its connections are what net/http knows as TLS, so nobody else may take them over.
	multiplexed bool
	cert        certificate
	serve       func(*listener) error
	log         *slog.Logger
	limits      *connLimits

	tls    *tls.Config
	delay  time.Duration
	logged time.Time
}

// open listens. Its errors name the option to change.
func (l *listener) open() error {
	if l.secure {
		cfg, err := l.cert.config()
		if err != nil {
			return fmt.Errorf("%s with TLS: %w", l.option, err)
		}
		l.tls = cfg
		if l.multiplexed {
			l.tls = cfg.Clone()
			l.tls.NextProtos = []string{"h2", "http/1.1"}
		}
	}
	inner, err := net.Listen("tcp", l.addr)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%s: another program listens on %s already; end it or choose another address: %w", l.option, l.addr, err)
		}
		return fmt.Errorf("%s: %w", l.option, err)
	}
	l.Listener = inner
	return nil
}

// Accept returns only errors that are final.
func (l *listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if !l.survivable(err) {
				return nil, err
			}
			continue
		}
		l.delay = 0
		lc, ok := l.limits.admit(c)
		if !ok {
			_ = c.Close()
			l.warn("connection refused, limit reached", "remote", c.RemoteAddr().String())
			continue
		}
		fanout.LimitUnsent(c)
		if l.tls != nil && l.multiplexed {
			return tls.Server(lc, l.tls), nil
		}
		if l.tls != nil {
			return &tlsConn{tls.Server(lc.Conn, l.tls), lc}, nil
		}
		return lc, nil
	}
}

// survivable waits a while if the error is a shortage that may pass.
func (l *listener) survivable(err error) bool {
	if errors.Is(err, syscall.ECONNABORTED) {
		return true
	}
	shortage := errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
	if !shortage {
		return false
	}
	l.warn("cannot accept connections, trying on", "err", err)
	l.delay = min(max(2*l.delay, minAcceptDelay), maxAcceptDelay)
	time.Sleep(l.delay)
	return true
}

func (l *listener) warn(msg string, args ...any) {
	if now := time.Now(); now.Sub(l.logged) >= logInterval {
		l.logged = now
		l.log.Warn(msg, append([]any{"protocol", l.name}, args...)...)
	}
}

// connLimits bounds the connections of all listeners.
type connLimits struct {
	total, perAddr int // 0: no bound

	mu     sync.Mutex
	open   map[*limitedConn]struct{}
	byAddr map[netip.Addr]int
}

// limitedConn gives its place back when it is closed.
type limitedConn struct {
	net.Conn
	limits *connLimits
	addr   netip.Addr

	mu     sync.Mutex
	holds  int  // that keep the descriptor open
	closed bool // asked for
}

var _ fanout.Holder = (*limitedConn)(nil)

func (l *connLimits) admit(c net.Conn) (*limitedConn, bool) {
	addr := remoteAddr(c)
	l.mu.Lock()
	defer l.mu.Unlock()
	if (l.total > 0 && len(l.open) >= l.total) || (l.perAddr > 0 && l.byAddr[addr] >= l.perAddr) {
		return nil, false
	}
	if l.open == nil {
		l.open = make(map[*limitedConn]struct{})
		l.byAddr = make(map[netip.Addr]int)
	}
	lc := &limitedConn{Conn: c, limits: l, addr: addr}
	l.open[lc] = struct{}{}
	l.byAddr[addr]++
	return lc, true
}

func (l *connLimits) leave(c *limitedConn) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if _, ok := l.open[c]; !ok {
		return
	}
	delete(l.open, c)
	if l.byAddr[c.addr]--; l.byAddr[c.addr] == 0 {
		delete(l.byAddr, c.addr)
	}
}

// closeAll cuts all connections off: whoever waits for a peer goes on at once.
func (l *connLimits) closeAll() {
	l.mu.Lock()
	open := slices.Collect(maps.Keys(l.open))
	l.mu.Unlock()
	for _, c := range open {
		_ = c.Close()
	}
}

// Close closes the connection. While it is held, it is only shut down: nothing can be read or written any more.
func (c *limitedConn) Close() error {
	c.mu.Lock()
	held, again := c.holds > 0, c.closed
	c.closed = true
	c.mu.Unlock()
	switch {
	case again && held:
		return net.ErrClosed
	case held:
		return c.cut()
	}
	return c.closeNow()
}

func (c *limitedConn) closeNow() error {
	defer c.limits.leave(c)
	return c.Conn.Close()
}

// cut makes all reads and writes fail, those that wait too.
func (c *limitedConn) cut() error {
	past := time.Unix(1, 0)
	if half, ok := c.Conn.(interface{ CloseRead() error }); ok {
		_ = half.CloseRead()
		_ = c.CloseWrite()
	}
	return c.Conn.SetDeadline(past)
}

// ReadFrom writes what r gives, with one system call for many pieces (net.Buffers), and without copying a file.
func (c *limitedConn) ReadFrom(r io.Reader) (int64, error) { return io.Copy(c.Conn, r) }

// NetConn, Hold and Release implement fanout.Holder.
func (c *limitedConn) NetConn() net.Conn { return c.Conn }

func (c *limitedConn) Hold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed {
		return false
	}
	c.holds++
	return true
}

func (c *limitedConn) Release() {
	c.mu.Lock()
	c.holds--
	last := c.holds == 0 && c.closed
	c.mu.Unlock()
	if last {
		_ = c.closeNow()
	}
}

// CloseWrite ends the output and leaves the input open, so that a peer can still read why its connection ends.
func (c *limitedConn) CloseWrite() error {
	if half, ok := c.Conn.(interface{ CloseWrite() error }); ok {
		return half.CloseWrite()
	}
	return errors.ErrUnsupported
}

// tlsConn is a TLS connection over a limited one.
type tlsConn struct {
	*tls.Conn
	under *limitedConn
}

func (c *tlsConn) Close() error {
	defer c.under.limits.leave(c.under)
	return c.Conn.Close()
}

func remoteAddr(c net.Conn) netip.Addr {
	ap, err := netip.ParseAddrPort(c.RemoteAddr().String())
	if err != nil {
		return netip.Addr{}
	}
	return ap.Addr().Unmap().WithZone("")
}

// certificate is a pair of PEM files that is read again when it changes.
type certificate struct {
	option, cert, key string
	given             *tls.Config

	state *certificateState
}

type certificateState struct {
	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time
	checked time.Time
}

// config loads the certificate, so that a bad one is found at the start.
func (c *certificate) config() (*tls.Config, error) {
	if c.given != nil {
		return c.given, nil
	}
	c.state = &certificateState{}
	if _, err := c.load(); err != nil {
		return nil, err
	}
	return &tls.Config{
		MinVersion:     tls.VersionTLS12,
		NextProtos:     []string{"http/1.1"},
		GetCertificate: func(*tls.ClientHelloInfo) (*tls.Certificate, error) { return c.load() },
	}, nil
}

// load returns the certificate in the files. While changed files cannot be read, the certificate before them stays in use.
func (c *certificate) load() (*tls.Certificate, error) {
	st := c.state
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	if st.current != nil && now.Sub(st.checked) < certificateInterval {
		return st.current, nil
	}
	st.checked = now
	stamp := [2]time.Time{modified(c.cert), modified(c.key)}
	if st.current != nil && stamp == st.stamp {
		return st.current, nil
	}
	cert, err := tls.LoadX509KeyPair(c.cert, c.key)
	if err != nil {
		if st.current != nil {
			return st.current, nil
		}
		return nil, fmt.Errorf("%s: %w", c.option, err)
	}
	st.current, st.stamp = &cert, stamp
	return st.current, nil
}

func modified(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
