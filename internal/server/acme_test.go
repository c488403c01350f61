package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/base64"
	"encoding/json"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livego/internal/listen"
)

// authority is an ACME server (RFC 8555) that believes who asks, and checks each challenge at the
// addresses that it is told.
type authority struct {
	*httptest.Server
	t         testing.TB
	challenge string // the only type that it offers
	key       *ecdsa.PrivateKey
	root      *x509.Certificate

	mu      sync.Mutex
	address string // of the server that is to prove itself
	domain  string
	proven  bool
	chain   []byte
	orders  int
}

func newAuthority(t testing.TB, challenge string) *authority {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	root := &x509.Certificate{
		SerialNumber: big.NewInt(1), Subject: pkix.Name{CommonName: "authority of the test"}, NotBefore: time.Now().Add(-time.Hour),
		NotAfter: time.Now().Add(1000 * time.Hour), IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign,
	}
	der, err := x509.CreateCertificate(rand.Reader, root, root, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	a := &authority{t: t, challenge: challenge, key: key}
	if a.root, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	a.Server = httptest.NewServer(a)
	t.Cleanup(a.Close)
	return a
}

func (a *authority) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	a.mu.Lock()
	defer a.mu.Unlock()
	w.Header().Set("Replay-Nonce", "once")
	at := func(path string) string { return a.URL + path }
	say := func(status int, v any) {
		w.Header().Set("Content-Type", "application/json")
		w.WriteHeader(status)
		_ = json.NewEncoder(w).Encode(v)
	}
	state := "pending"
	if a.proven {
		state = "valid"
	}
	challenge := map[string]string{"type": a.challenge, "url": at("/challenge"), "token": "a-token", "status": state}
	order := map[string]any{"status": "pending", "authorizations": []string{at("/authorization")}, "finalize": at("/finalize"), "certificate": at("/certificate")}
	switch {
	case a.chain != nil:
		order["status"] = "valid"
	case a.proven:
		order["status"] = "ready"
	}
	switch r.URL.Path {
	case "/directory":
		say(200, map[string]string{"newNonce": at("/nonce"), "newAccount": at("/account"), "newOrder": at("/order")})
	case "/nonce":
	case "/account":
		w.Header().Set("Location", at("/account/1"))
		say(201, map[string]string{"status": "valid"})
	case "/order":
		var wanted struct{ Identifiers []struct{ Value string } }
		a.payload(r, &wanted)
		a.domain, a.orders = wanted.Identifiers[0].Value, a.orders+1
		w.Header().Set("Location", at("/order/1"))
		say(201, order)
	case "/order/1":
		say(200, order)
	case "/authorization":
		say(200, map[string]any{"status": state, "identifier": map[string]string{"type": "dns", "value": a.domain}, "challenges": []any{challenge}})
	case "/challenge":
		if err := a.check(); err != nil {
			a.t.Errorf("the challenge %s: %v", a.challenge, err)
		} else {
			a.proven = true
		}
		say(200, challenge)
	case "/finalize":
		var request struct{ CSR string }
		a.payload(r, &request)
		a.sign(request.CSR)
		order["status"] = "valid"
		say(200, order)
	case "/certificate":
		_, _ = w.Write(a.chain)
	default:
		http.NotFound(w, r)
	}
}

// payload reads what a request says, whoever signed it.
func (a *authority) payload(r *http.Request, v any) {
	var signed struct{ Payload string }
	err := json.NewDecoder(r.Body).Decode(&signed)
	if err == nil {
		var text []byte
		if text, err = base64.RawURLEncoding.DecodeString(signed.Payload); err == nil {
			err = json.Unmarshal(text, v)
		}
	}
	if err != nil {
		a.t.Errorf("%s: %v", r.URL.Path, err)
	}
}

// check looks at what the server answers to the challenge.
func (a *authority) check() error {
	if a.challenge == "tls-alpn-01" {
		conn, err := tls.Dial("tcp", a.address, &tls.Config{ServerName: a.domain, NextProtos: []string{"acme-tls/1"}, InsecureSkipVerify: true})
		if err != nil {
			return err
		}
		defer conn.Close()
		state := conn.ConnectionState()
		leaf := state.PeerCertificates[0]
		proof := slices.ContainsFunc(leaf.Extensions, func(e pkix.Extension) bool { return e.Id.String() == "1.3.6.1.5.5.7.1.31" })
		if state.NegotiatedProtocol != "acme-tls/1" || !proof || !slices.Equal(leaf.DNSNames, []string{a.domain}) {
			return fmt.Errorf("protocol %q, names %q, proof %t", state.NegotiatedProtocol, leaf.DNSNames, proof)
		}
		return nil
	}
	r, err := http.NewRequest(http.MethodGet, "http://"+a.address+"/.well-known/acme-challenge/a-token", nil)
	if err != nil {
		return err
	}
	r.Host = a.domain
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		return err
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || !strings.HasPrefix(string(body), "a-token.") {
		return fmt.Errorf("%s %q %v", answer.Status, body, err)
	}
	return nil
}

// sign makes the certificate that a request asks for.
func (a *authority) sign(encoded string) {
	der, err := base64.RawURLEncoding.DecodeString(encoded)
	if err != nil {
		a.t.Error(err)
		return
	}
	request, err := x509.ParseCertificateRequest(der)
	if err != nil {
		a.t.Error(err)
		return
	}
	leaf := &x509.Certificate{
		SerialNumber: big.NewInt(2), DNSNames: request.DNSNames, NotBefore: time.Now().Add(-time.Hour), NotAfter: time.Now().Add(900 * time.Hour),
		KeyUsage: x509.KeyUsageDigitalSignature, ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth},
	}
	if der, err = x509.CreateCertificate(rand.Reader, leaf, a.root, request.PublicKey, a.key); err != nil {
		a.t.Error(err)
		return
	}
	a.chain = slices.Concat(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: a.root.Raw}))
}

// TestACME has a certificate made by each of the challenges: all ports with TLS show it, also to
// who names no server, and a further server takes it from the disk, without the authority.
func TestACME(t *testing.T) {
	const domain = "live.example.org"
	for challenge, port := range map[string]string{"tls-alpn-01": "https", "http-01": "redirect"} {
		t.Run(challenge, func(t *testing.T) {
			a, cache := newAuthority(t, challenge), t.TempDir()
			options := func(o *Options) {
				o.HTTPSAddr, o.HTTPRedirectAddr, o.RTMPSAddr = "127.0.0.1:0", "127.0.0.1:0", "127.0.0.1:0"
				o.ACME = listen.ACME{Domains: []string{domain}, Directory: a.URL + "/directory", Cache: cache}
			}
			s := open(t, options)
			a.address = s.addr(port)
			s.run()
			trust := x509.NewCertPool()
			trust.AddCert(a.root)
			shown := func(s *testServer) {
				t.Helper()
				for _, protocol := range []string{"https", "rtmps"} {
					conn, err := tls.Dial("tcp", s.addr(protocol), &tls.Config{ServerName: domain, RootCAs: trust})
					if err != nil {
						t.Fatalf("%s: %v", protocol, err)
					}
					conn.Close()
				}
			}
			eventually(t, "the certificate is there", func() bool { return s.logs.count("certificate is there") == 1 })
			shown(s)
			nameless, err := tls.Dial("tcp", s.addr("https"), &tls.Config{InsecureSkipVerify: true})
			if err != nil {
				t.Fatal(err)
			}
			wantEqual(t, "name for who asks for none", nameless.ConnectionState().PeerCertificates[0].DNSNames[0], domain)
			nameless.Close()
			if conn, err := tls.Dial("tcp", s.addr("https"), &tls.Config{ServerName: "other.example.org", InsecureSkipVerify: true}); err == nil {
				conn.Close()
				t.Error("there is a certificate for another name")
			}
			if m := scrape(t, s.url("http", "api", "/metrics")); m[`livego_certificate_expiry_timestamp_seconds{option="acme_domains"}`] < 1e9 {
				t.Error("metrics know no end of the certificate")
			}
			if err := s.stop(); err != nil {
				t.Error(err)
			}
			a.Close()
			shown(start(t, options))
			wantEqual(t, "orders", a.orders, 1)
		})
	}
}

// TestACMEUnreachable: without its authority the server runs, and the log says what is missing.
func TestACMEUnreachable(t *testing.T) {
	s := start(t, func(o *Options) {
		o.HTTPSAddr = "127.0.0.1:0"
		o.ACME = listen.ACME{Domains: []string{"live.example.org"}, Directory: "http://127.0.0.1:1/directory", Cache: t.TempDir()}
	})
	eventually(t, "the log says so", func() bool { return s.logs.count("no certificate") == 1 })
	wantEqual(t, "another port", call(t, "GET", s.url("http", "api", "/healthz")).status, 200)
}
