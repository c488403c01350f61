package server

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"crypto/x509/pkix"
	"encoding/pem"
	"math/big"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"livego/internal/cluster"
)

// nodeAuthority signs the certificates of nodes.
type nodeAuthority struct {
	dir  string
	cert *x509.Certificate
	key  *ecdsa.PrivateKey
}

func newNodeAuthority(t *testing.T) *nodeAuthority {
	t.Helper()
	a := &nodeAuthority{dir: t.TempDir()}
	root := &x509.Certificate{Subject: pkix.Name{CommonName: "nodes"}, IsCA: true, BasicConstraintsValid: true, KeyUsage: x509.KeyUsageCertSign}
	a.cert, a.key = a.write(t, "ca", root)
	return a
}

// write makes a certificate, signed by the authority or by itself, and puts NAME.crt and NAME.key
// into the folder.
func (a *nodeAuthority) write(t *testing.T, name string, c *x509.Certificate) (*x509.Certificate, *ecdsa.PrivateKey) {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	c.SerialNumber, c.NotBefore, c.NotAfter = big.NewInt(time.Now().UnixNano()), time.Now().Add(-time.Hour), time.Now().Add(time.Hour)
	parent, signer := a.cert, a.key
	if parent == nil {
		parent, signer = c, key
	}
	der, err := x509.CreateCertificate(rand.Reader, c, parent, key.Public(), signer)
	if err != nil {
		t.Fatal(err)
	}
	private, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{name + ".crt": {Type: "CERTIFICATE", Bytes: der}, name + ".key": {Type: "PRIVATE KEY", Bytes: private}} {
		if err := os.WriteFile(a.file(file), pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	if c, err = x509.ParseCertificate(der); err != nil {
		t.Fatal(err)
	}
	return c, key
}

// node makes the certificate of a node.
func (a *nodeAuthority) node(t *testing.T, name string) {
	t.Helper()
	a.write(t, name, &x509.Certificate{
		Subject: pkix.Name{CommonName: name}, IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}, KeyUsage: x509.KeyUsageDigitalSignature,
		ExtKeyUsage: []x509.ExtKeyUsage{x509.ExtKeyUsageServerAuth, x509.ExtKeyUsageClientAuth},
	})
}

func (a *nodeAuthority) file(name string) string { return filepath.Join(a.dir, name) }

// options lets a node use a certificate of this authority, and trust no other.
func (a *nodeAuthority) options(t *testing.T, name string) func(*Options) {
	a.node(t, name)
	return func(o *Options) {
		o.Cluster.Cert, o.Cluster.Key, o.Cluster.CA = a.file(name+".crt"), a.file(name+".key"), a.file("ca.crt")
	}
}

// TestNodesSpeakTLS: with certificates all that nodes say to each other is encrypted: feeds,
// publishers that are relayed, and files. Who has no certificate of their authority gets nothing,
// with the secret or without.
func TestNodesSpeakTLS(t *testing.T) {
	t.Parallel()
	authority := newNodeAuthority(t)
	g, tags := startGroup(t, 2, authority.options(t, "node"), func(o *Options) { o.HLS.SegmentDuration = time.Second }), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	e := publish(t, b, "movie")
	e.send(tags...)
	w := watchFLV(t, a, "movie")
	w.await(t, tags[len(tags)-1])
	if _, err := tryPublish(t, a.url("rtmp", "rtmp", "/live/"+a.key("movie")+"?rendition=low")); err != nil {
		t.Errorf("a publisher that is relayed: %v", err)
	}
	var here, there answer
	eventually(t, "HLS", func() bool {
		here = call(t, http.MethodGet, a.url("http", "hls", "/live/movie.m3u8"))
		there = call(t, http.MethodGet, b.url("http", "hls", "/live/movie.m3u8"))
		return here.status == http.StatusOK && here.body == there.body
	})

	foreign := newNodeAuthority(t)
	foreign.node(t, "foreign")
	trust := x509.NewCertPool()
	trust.AddCert(authority.cert)
	for what, c := range map[string]struct {
		certificate string
		want        int // 0: not even an answer
	}{
		"a node's":            {authority.file("node"), http.StatusOK},
		"none":                {"", 0},
		"another authority's": {foreign.file("foreign"), 0},
	} {
		config := &tls.Config{RootCAs: trust}
		if c.certificate != "" {
			pair, err := tls.LoadX509KeyPair(c.certificate+".crt", c.certificate+".key")
			if err != nil {
				t.Fatal(err)
			}
			// It is shown whatever authorities the server names.
			config.GetClientCertificate = func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return &pair, nil }
		}
		if got := signedStatus(t, config, b.url("https", "cluster", "/feed/live/movie")); got != c.want {
			t.Errorf("with %s certificate: %d, want %d", what, got, c.want)
		}
	}
	if resp, err := httpClient().Get(b.url("http", "cluster", "/")); err == nil {
		resp.Body.Close()
		wantEqual(t, "without TLS", resp.StatusCode, http.StatusBadRequest)
	}
	e.unpublish()
	w.awaitEnd(t)
}

// signedStatus asks as a node that knows the secret, and returns the status of the answer, 0 if
// there is none.
func signedStatus(t *testing.T, config *tls.Config, url string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	testSecret.Sign(r, "c", "b", time.Now())
	transport := &http.Transport{TLSClientConfig: config, DisableKeepAlives: true}
	resp, err := transport.RoundTrip(r)
	if err != nil {
		return 0
	}
	resp.Body.Close()
	return resp.StatusCode
}

// TestNodeWithForeignCertificate: a node is not believed to be one, and told nothing, whose
// certificate another authority has signed, also if it knows the secret and stands in the registry.
func TestNodeWithForeignCertificate(t *testing.T) {
	t.Parallel()
	ours, foreign := newNodeAuthority(t), newNodeAuthority(t)
	g := startGroup(t, 1, ours.options(t, "node"))
	a := g.nodes[0]
	liar := open(t, foreign.options(t, "liar"), func(o *Options) {
		o.Keys = g.keys
		o.Cluster.Addr, o.Cluster.ID = "127.0.0.1:0", "liar"
		o.Cluster.Secret, o.Cluster.Registry = testSecret, g.registry
	})
	liar.run()
	e := publish(t, liar, "movie")
	e.send(clip(t)...)
	eventually(t, "the registry names the liar", func() bool {
		e, err := g.registry.Lookup(t.Context(), "live/movie")
		return err == nil && e.Node.ID == "liar"
	})
	wantEqual(t, "FLV", call(t, http.MethodGet, a.url("http", "http-flv", "/live/movie.flv")).status, http.StatusServiceUnavailable)
	wantEqual(t, "HLS", call(t, http.MethodGet, a.url("http", "hls", "/live/movie/index.m3u8")).status, http.StatusServiceUnavailable)
	// A publisher has to wait until the other's lease is over, for it is not sent there.
	_, err := a.node.peers.Publish(t.Context(), cluster.Node{ID: "liar", Addr: liar.addr("cluster")}, "live/movie", "", cluster.Origin{}, cluster.Voice{})
	if err == nil {
		t.Error("a publisher is taken to the liar")
	}
	wantEqual(t, "feeds that the liar gave", liar.logs.count("stream goes to another node"), 0)
}
