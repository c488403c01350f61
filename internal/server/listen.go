package server

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"net/netip"
	"os"
	"sync"
	"syscall"
	"time"

	"livego/internal/fanout"
)

const (
	// minAcceptDelay and maxAcceptDelay bound the pause after an accept that failed for want of
	// resources.
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
	// multiplexed offers HTTP/2 to TLS clients. Its connections are what net/http knows as TLS, so
	// nobody else may take them over.
	multiplexed bool
	cert        certificate
	// clients, if set, are who signs the certificates that clients must have.
	clients *x509.CertPool
	// fronts, if set, are who may say by the PROXY protocol for whom they speak.
	fronts func() []netip.Prefix
	serve  func(*listener) error
	log    *slog.Logger
	limits *connLimits

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
		if l.clients != nil {
			l.tls = cfg.Clone()
			l.tls.ClientAuth, l.tls.ClientCAs = tls.RequireAndVerifyClientCert, l.clients
		}
		if l.multiplexed {
			l.tls = cfg.Clone()
			l.tls.NextProtos = append([]string{"h2"}, cfg.NextProtos...)
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
	if l.fronts != nil {
		l.Listener = newFrontedListener(inner, l.fronts)
	}
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
	l.limits.relieve()
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

// certificate is a pair of PEM files that is read again when it changes.
type certificate struct {
	issuer            *issuer // takes the place of the files, if there
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
	if c.issuer != nil {
		return c.issuer.config(), nil
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

// load returns the certificate in the files. While changed files cannot be read, the certificate
// before them stays in use.
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

// expiry is until when the certificate in use is good, where it comes from files.
func (c *certificate) expiry() (time.Time, bool) {
	if c.state == nil {
		return time.Time{}, false
	}
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	if c.state.current == nil || c.state.current.Leaf == nil {
		return time.Time{}, false
	}
	return c.state.current.Leaf.NotAfter, true
}

func modified(path string) time.Time {
	info, err := os.Stat(path)
	if err != nil {
		return time.Time{}
	}
	return info.ModTime()
}
