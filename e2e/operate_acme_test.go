package e2e

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/binary"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/dns/dnsmessage"
)

// TestACME has Let's Encrypt's authority for tests, which refuses nonces at random as real ones do,
// make certificates: by TLS-ALPN-01, and by HTTP-01 where it does not reach the port with TLS. All
// ports with TLS show them, and a server that starts again has them without the authority.
func TestACME(t *testing.T) {
	t.Parallel()
	for _, challenge := range []string{"tls-alpn-01", "http-01"} {
		t.Run(challenge, func(t *testing.T) {
			t.Parallel()
			const domain = "live.example.org"
			https, rtmps, plain := freeAddress(t), freeAddress(t), freeAddress(t)
			reached := https
			if challenge == "http-01" {
				reached = freeAddress(t) // where nobody listens
			}
			authority := startPebble(t, plain, reached)
			s := &server{}
			options := []string{
				"--https_addr", https, "--rtmps_addr", rtmps, "--http_redirect_addr", plain,
				"--acme_domains", domain, "--acme_directory", "https://" + authority.address + "/dir",
			}
			trusted := []string{"SSL_CERT_FILE=" + authority.certificate}
			s.launch(t, raceBinary(t), trusted, options...)
			t.Cleanup(func() {
				if err := s.stop(); err != nil {
					t.Error(err)
				}
				if t.Failed() {
					t.Log(s.logTail())
				}
			})
			roots := authority.roots(t)
			shown := func(address, name string) error {
				conn, err := tls.Dial("tcp", address, &tls.Config{RootCAs: roots, ServerName: name})
				if err == nil {
					conn.Close()
				}
				return err
			}
			eventually(t, 40*time.Second, "the certificate is there", func() bool { return shown(https, domain) == nil })
			if err := shown(rtmps, domain); err != nil {
				t.Errorf("RTMPS: %v", err)
			}
			if err := shown(https, "other.example.org"); err == nil {
				t.Error("there is a certificate for a name that was not asked for")
			}
			redirected(t, plain, domain)

			if err := s.stop(); err != nil {
				t.Error(err)
			}
			authority.kill()
			s.relaunch(t, raceBinary(t), trusted, options...)
			if err := shown(https, domain); err != nil {
				t.Errorf("after a start without the authority: %v", err)
			}
		})
	}
}

// redirected checks that the plain port leads to the one with TLS, for all but challenges.
func redirected(t *testing.T, address, domain string) {
	t.Helper()
	request, err := http.NewRequest(http.MethodGet, "http://"+address+"/live/m", nil)
	if err != nil {
		t.Fatal(err)
	}
	request.Host = domain
	answer, err := http.DefaultTransport.RoundTrip(request)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if to := answer.Header.Get("Location"); answer.StatusCode/100 != 3 || !strings.HasPrefix(to, "https://"+domain) || !strings.HasSuffix(to, "/live/m") {
		t.Errorf("the plain port answers %s, to %q", answer.Status, to)
	}
}

// pebble is a running authority.
type pebble struct {
	*program
	address, management, certificate string
}

// startPebble starts one that finds all names at 127.0.0.1, and looks for proofs at these
// addresses.
func startPebble(t *testing.T, http01, alpn01 string) *pebble {
	t.Helper()
	dir := t.TempDir()
	certificate, key := selfSigned(t, dir)
	a := &pebble{address: freeAddress(t), management: freeAddress(t), certificate: certificate}
	port := func(address string) int {
		_, number, _ := net.SplitHostPort(address)
		n, _ := strconv.Atoi(number)
		return n
	}
	text, err := json.Marshal(map[string]any{"pebble": map[string]any{
		"listenAddress": a.address, "managementListenAddress": a.management, "certificate": certificate, "privateKey": key,
		"httpPort": port(http01), "tlsPort": port(alpn01), "retryAfter": map[string]int{"authz": 1, "order": 1},
		"profiles": map[string]any{"default": map[string]any{"description": "default", "validityPeriod": 7776000}},
	}})
	if err != nil {
		t.Fatal(err)
	}
	config := filepath.Join(dir, "pebble.json")
	if err := os.WriteFile(config, text, 0o600); err != nil {
		t.Fatal(err)
	}
	a.program = launch(t, "env", "PEBBLE_VA_NOSLEEP=1", setting(t, "PEBBLE"), "-config", config, "-dnsserver", nameServer(t))
	eventually(t, 20*time.Second, "Pebble answers", func() bool {
		conn, err := net.Dial("tcp", a.management)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	return a
}

// roots are the roots of the certificates that it makes.
func (a *pebble) roots(t *testing.T) *x509.CertPool {
	t.Helper()
	client := http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, DisableKeepAlives: true}}
	answer, err := client.Get("https://" + a.management + "/roots/0")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	pool := x509.NewCertPool()
	if err != nil || !pool.AppendCertsFromPEM(text) {
		t.Fatalf("the root of Pebble: %v, %q", err, text)
	}
	return pool
}

// nameServer answers over TCP that every name is at 127.0.0.1.
func nameServer(t *testing.T) (address string) {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				for answerName(conn) == nil {
				}
			}()
		}
	}()
	return listener.Addr().String()
}

// answerName answers one question (RFC 1035 §4.2.2).
func answerName(conn io.ReadWriter) error {
	var length [2]byte
	if _, err := io.ReadFull(conn, length[:]); err != nil {
		return err
	}
	packet := make([]byte, binary.BigEndian.Uint16(length[:]))
	if _, err := io.ReadFull(conn, packet); err != nil {
		return err
	}
	var m dnsmessage.Message
	if err := m.Unpack(packet); err != nil {
		return err
	}
	m.Response, m.Additionals = true, nil
	for _, q := range m.Questions {
		if q.Type == dnsmessage.TypeA {
			m.Answers = append(m.Answers, dnsmessage.Resource{
				Header: dnsmessage.ResourceHeader{Name: q.Name, Class: q.Class, TTL: 1}, Body: &dnsmessage.AResource{A: [4]byte{127, 0, 0, 1}},
			})
		}
	}
	answer, err := m.Pack()
	if err != nil {
		return err
	}
	_, err = conn.Write(append(binary.BigEndian.AppendUint16(nil, uint16(len(answer))), answer...))
	return err
}
