// Package listen accepts connections: within limits, with certificates that are read again or made
// by an authority, through proxies that say for whom they speak, and over QUIC.
//
// A Listener gives out a Conn, or a TLS connection over one, which has a place in the Limits until
// it is closed. ConnOf finds it under whatever lies over it, ConnIn in the context of a request.
package listen

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
//
// Its fields are set before Open, and stay.
type Listener struct {
	net.Listener
	// Name is what logs call it, Option the option that has At, the address: HOST:PORT.
	Name, Option, At string
	// Secure says that it speaks TLS, with Certificate.
	Secure      bool
	Certificate Certificate
	// Multiplexed offers HTTP/2 to TLS clients. Its connections are what net/http knows as TLS, so
	// nobody else may take them over.
	Multiplexed bool
	// Bare has Accept return connections on which TLS has not begun: who takes them begins it, with
	// what TLS returns.
	Bare bool
	// Clients, if set, are who signs the certificates that clients must have.
	Clients *x509.CertPool
	// Fronts, if set, are who may say by the PROXY protocol for whom they speak.
	Fronts func() []netip.Prefix
	Log    *slog.Logger
	Limits *Limits

	tls    *tls.Config
	delay  time.Duration
	logged time.Time
}

// Open listens. Its errors name the option to change.
func (l *Listener) Open() error {
	if l.Secure {
		cfg, err := l.Certificate.Config()
		if err != nil {
			return fmt.Errorf("%s with TLS: %w", l.Option, err)
		}
		l.tls = cfg.Clone()
		if l.Clients != nil {
			l.tls.ClientAuth, l.tls.ClientCAs = tls.RequireAndVerifyClientCert, l.Clients
		}
		if l.Multiplexed {
			l.tls.NextProtos = append([]string{"h2"}, cfg.NextProtos...)
			// Files are large, and small records cost as much as large ones.
			l.tls.DynamicRecordSizingDisabled = true
		}
	}
	inner, err := net.Listen("tcp", l.At)
	if err != nil {
		if errors.Is(err, syscall.EADDRINUSE) {
			return fmt.Errorf("%s: another program listens on %s already; end it or choose another address: %w", l.Option, l.At, err)
		}
		return fmt.Errorf("%s: %w", l.Option, err)
	}
	l.Listener = inner
	if l.Fronts != nil {
		l.Listener = newFrontedListener(inner, l.Fronts)
	}
	return nil
}

// TLS returns what an open listener that is Secure speaks TLS with, nil for others.
func (l *Listener) TLS() *tls.Config { return l.tls }

// Accept returns a connection that has a place. It waits shortages out, so that its errors are
// final.
func (l *Listener) Accept() (net.Conn, error) {
	for {
		c, err := l.Listener.Accept()
		if err != nil {
			if !l.survivable(err) {
				return nil, err
			}
			continue
		}
		l.delay = 0
		lc, ok := l.Limits.Admit(c)
		if !ok {
			_ = c.Close()
			l.warn("connection refused, limit reached", "remote", c.RemoteAddr().String())
			continue
		}
		fanout.LimitUnsent(c)
		if l.Bare {
			return lc, nil
		}
		if l.tls != nil && l.Multiplexed {
			return tls.Server(lc, l.tls), nil
		}
		if l.tls != nil {
			return &tlsConn{tls.Server(lc.Conn, l.tls), lc}, nil
		}
		return lc, nil
	}
}

// survivable waits a while if the error is a shortage that may pass.
func (l *Listener) survivable(err error) bool {
	if errors.Is(err, syscall.ECONNABORTED) {
		return true
	}
	shortage := errors.Is(err, syscall.EMFILE) || errors.Is(err, syscall.ENFILE) ||
		errors.Is(err, syscall.ENOBUFS) || errors.Is(err, syscall.ENOMEM)
	if !shortage {
		return false
	}
	l.warn("cannot accept connections, trying on", "err", err)
	l.Limits.evictIdle()
	l.delay = min(max(2*l.delay, minAcceptDelay), maxAcceptDelay)
	time.Sleep(l.delay)
	return true
}

func (l *Listener) warn(msg string, args ...any) {
	if now := time.Now(); now.Sub(l.logged) >= logInterval {
		l.logged = now
		l.Log.Warn(msg, append([]any{"protocol", l.Name}, args...)...)
	}
}

// Certificate is a pair of PEM files that is read again when it changes.
type Certificate struct {
	// Option names the files in errors, Cert and Key are they.
	Option, Cert, Key string
	// Issuer and Given, if set, take the place of the files.
	Issuer *Issuer
	Given  *tls.Config

	state *certificateState
}

type certificateState struct {
	mu      sync.Mutex
	current *tls.Certificate
	stamp   [2]time.Time
	checked time.Time
}

// Config loads the certificate, so that a bad one is found at the start.
func (c *Certificate) Config() (*tls.Config, error) {
	if c.Given != nil {
		return c.Given, nil
	}
	if c.Issuer != nil {
		return c.Issuer.config(), nil
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
func (c *Certificate) load() (*tls.Certificate, error) {
	st := c.state
	st.mu.Lock()
	defer st.mu.Unlock()
	now := time.Now()
	if st.current != nil && now.Sub(st.checked) < certificateInterval {
		return st.current, nil
	}
	st.checked = now
	stamp := [2]time.Time{modified(c.Cert), modified(c.Key)}
	if st.current != nil && stamp == st.stamp {
		return st.current, nil
	}
	cert, err := tls.LoadX509KeyPair(c.Cert, c.Key)
	if err != nil {
		if st.current != nil {
			return st.current, nil
		}
		return nil, fmt.Errorf("%s: %w", c.Option, err)
	}
	st.current, st.stamp = &cert, stamp
	return st.current, nil
}

// Use takes other files from now on, unless none are used. What cannot be read leaves the
// certificate before in use.
func (c *Certificate) Use(cert, key string) {
	if c.state == nil {
		return
	}
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	if c.Cert != cert || c.Key != key {
		c.Cert, c.Key, c.state.stamp, c.state.checked = cert, key, [2]time.Time{}, time.Time{}
	}
}

// Recheck has the files looked at again by the next client, whenever that was done last.
func (c *Certificate) Recheck() {
	if c.state == nil {
		return
	}
	c.state.mu.Lock()
	defer c.state.mu.Unlock()
	c.state.checked = time.Time{}
}

// Expiry is until when the certificate in use is good, where it comes from files.
func (c *Certificate) Expiry() (time.Time, bool) {
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
