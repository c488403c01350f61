package listen

import (
	"context"
	"crypto/tls"
	"log/slog"
	"net"
	"net/http"
	"strings"
	"sync"
	"time"

	"livego/internal/pause"

	"golang.org/x/crypto/acme"
	"golang.org/x/crypto/acme/autocert"
)

// ACME has certificates made by an authority that speaks ACME (RFC 8555), such as Let's
// Encrypt. The zero value: none are.
type ACME struct {
	// Domains are the names that certificates are made for. The authority must reach this server by
	// each of them: at port 443 by TLS-ALPN-01 (RFC 8737), or at port 80 by HTTP-01, which
	// Issuer.Challenges answers.
	Domains []string
	// Email, if set, is told to the authority, Directory the URL at which it is found; empty: Let's
	// Encrypt.
	Email, Directory string
	// Cache is the folder in which account and certificates are kept.
	Cache string
	// Client, if set, asks the authority (tests).
	Client *http.Client
}

const (
	// acmeRetry is how long after a failure a certificate is asked for again: authorities bound
	// failures in an hour.
	acmeRetry = 20 * time.Minute
	// renewBefore is how long before its end a certificate is renewed.
	renewBefore = 30 * 24 * time.Hour
)

// Issuer has certificates made and keeps them. Its methods may be called from any goroutine.
type Issuer struct {
	domains []string
	manager *autocert.Manager
	reasons *reasons
	log     *slog.Logger

	mu sync.Mutex
	// ends says until when the certificates in use are good, by domain.
	ends map[string]time.Time
}

// NewIssuer returns nil if no certificates are to be made.
func NewIssuer(o ACME, log *slog.Logger) *Issuer {
	if len(o.Domains) == 0 {
		return nil
	}
	client := new(http.Client)
	if o.Client != nil {
		*client = *o.Client
	}
	heard := &reasons{next: client.Transport}
	client.Transport = heard
	return &Issuer{
		domains: o.Domains, log: log, ends: make(map[string]time.Time), reasons: heard,
		manager: &autocert.Manager{
			Prompt: autocert.AcceptTOS, HostPolicy: autocert.HostWhitelist(o.Domains...), Cache: autocert.DirCache(o.Cache),
			Email: o.Email, RenewBefore: renewBefore, Client: &acme.Client{DirectoryURL: o.Directory, HTTPClient: client},
		},
	}
}

// config is how a listener speaks TLS with these certificates.
func (i *Issuer) config() *tls.Config {
	return &tls.Config{MinVersion: tls.VersionTLS12, NextProtos: []string{"http/1.1", acme.ALPNProto}, GetCertificate: i.certificate}
}

// certificate returns what a client is shown. One that names no server, as many encoders, gets the
// certificate of the first domain.
func (i *Issuer) certificate(hello *tls.ClientHelloInfo) (*tls.Certificate, error) {
	if hello.ServerName == "" {
		named := *hello
		named.ServerName = i.domains[0]
		hello = &named
	}
	cert, err := i.manager.GetCertificate(hello)
	if err == nil && cert.Leaf != nil && len(cert.Leaf.DNSNames) > 0 && !isChallenge(hello) {
		i.mu.Lock()
		i.ends[cert.Leaf.DNSNames[0]] = cert.Leaf.NotAfter
		i.mu.Unlock()
	}
	return cert, err
}

// isChallenge says whether the authority asks for a proof (RFC 8737 §3).
func isChallenge(hello *tls.ClientHelloInfo) bool {
	return len(hello.SupportedProtos) == 1 && hello.SupportedProtos[0] == acme.ALPNProto
}

// Expiry is the first end of the certificates in use.
func (i *Issuer) Expiry() (first time.Time, known bool) {
	i.mu.Lock()
	defer i.mu.Unlock()
	for _, end := range i.ends {
		if !known || end.Before(first) {
			first, known = end, true
		}
	}
	return first, known
}

// Prepare has all certificates made before the first client asks, and again after failures, until
// ctx ends. Renewal comes by itself.
func (i *Issuer) Prepare(ctx context.Context) {
	missing := i.domains
	for len(missing) > 0 {
		var failed []string
		for _, domain := range missing {
			hello := &tls.ClientHelloInfo{
				ServerName: domain, SupportedVersions: []uint16{tls.VersionTLS13}, SignatureSchemes: []tls.SignatureScheme{tls.ECDSAWithP256AndSHA256},
				SupportedCurves: []tls.CurveID{tls.CurveP256}, CipherSuites: []uint16{tls.TLS_ECDHE_ECDSA_WITH_AES_128_GCM_SHA256},
			}
			if _, err := i.certificate(hello); err != nil {
				failed = append(failed, domain)
				i.log.Error("no certificate: the authority must reach this server by the name, at port 443 or, with http_redirect_addr, at port 80",
					"domain", domain, "err", err, "reason", i.reasons.take(), "again_in", acmeRetry)
				continue
			}
			end, _ := i.Expiry()
			i.log.Info("certificate is there", "domain", domain, "until", end)
		}
		missing = failed
		if len(missing) == 0 {
			return
		}
		if pause.For(ctx, acmeRetry) != nil {
			return
		}
	}
}

// Challenges answers the authority's HTTP-01 challenges (RFC 8555 §8.3), at whatever port it was
// led to, and has next answer all else.
func (i *Issuer) Challenges(next http.Handler) http.Handler {
	proofs := i.manager.HTTPHandler(next)
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if !strings.HasPrefix(r.URL.Path, "/.well-known/acme-challenge/") {
			next.ServeHTTP(w, r)
			return
		}
		named := *r
		if host, _, err := net.SplitHostPort(r.Host); err == nil {
			named.Host = host
		}
		proofs.ServeHTTP(w, &named)
	})
}
