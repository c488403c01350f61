package server

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"fmt"
	"io"
	"log/slog"
	"math/big"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"go.uber.org/goleak"

	"livego/internal/keys"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience is how long a test waits for what must happen. It only passes when something is broken.
const patience = time.Minute

// testServer is a server on free ports of this machine.
type testServer struct {
	*Server
	t    testing.TB
	keys keys.Store
	logs *logBuffer

	cancel context.CancelFunc
	once   sync.Once
	ended  error
	result chan error
}

// start runs a server with all protocols and the app live until the test ends.
func start(t testing.TB, change ...func(*Options)) *testServer {
	t.Helper()
	s := open(t, change...)
	s.run()
	return s
}

// open opens a server that does not run yet.
func open(t testing.TB, change ...func(*Options)) *testServer {
	t.Helper()
	s := &testServer{t: t, logs: &logBuffer{}, result: make(chan error, 1)}
	opt := testOptions()
	opt.Log = slog.New(slog.NewTextHandler(s.logs, &slog.HandlerOptions{Level: slog.LevelDebug}))
	for _, f := range change {
		f(&opt)
	}
	s.keys = opt.Keys
	server, err := New(opt)
	if err != nil {
		t.Fatal(err)
	}
	s.Server = server
	return s
}

func testOptions() Options {
	const free = "127.0.0.1:0"
	o := Options{
		RTMPAddr: free, FLVAddr: free, HLSAddr: free, APIAddr: free,
		Apps: []App{{Name: "live", Live: true, HLS: true, FLV: true, API: true}},
		Keys: keys.NewMemory(keys.Options{}), PlayWait: 10 * time.Second, HLSLoop: true, StreamList: true, VerifyTLS: true,
	}
	o.Live.GOPs, o.Live.Grace, o.Live.Takeover = 1, 10*time.Second, true
	o.Fanout.Rings, o.HLS.CMAF, o.Metrics.Streams = true, true, 200
	return o
}

func (s *testServer) run() {
	ctx, cancel := context.WithCancel(context.Background())
	s.cancel = cancel
	go func() { s.result <- s.Run(ctx) }()
	s.t.Cleanup(func() {
		if err := s.stop(); err != nil {
			s.t.Errorf("Run: %v", err)
		}
		if s.t.Failed() {
			s.t.Logf("log of the server:\n%s", s.logs)
		}
		s.keys.Close()
	})
}

// stop ends the server and returns what Run returns.
func (s *testServer) stop() error {
	s.cancel()
	s.once.Do(func() { s.ended = receive(s.t, "end of Run", s.result) })
	return s.ended
}

func (s *testServer) addr(protocol string) string {
	s.t.Helper()
	addr, ok := s.Addrs()[protocol]
	if !ok {
		s.t.Fatalf("no listener %q", protocol)
	}
	return addr.String()
}

func (s *testServer) url(scheme, protocol, path string) string {
	s.t.Helper()
	return scheme + "://" + s.addr(protocol) + path
}

// key returns the channel key of a room.
func (s *testServer) key(room string) string {
	s.t.Helper()
	key, err := s.keys.Get(s.t.Context(), room)
	if err != nil {
		s.t.Fatal(err)
	}
	return key
}

// logBuffer keeps what a server logs.
type logBuffer struct {
	mu  sync.Mutex
	buf bytes.Buffer
}

func (b *logBuffer) Write(p []byte) (int, error) {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.Write(p)
}

func (b *logBuffer) String() string {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.buf.String()
}

func (b *logBuffer) count(text string) int { return strings.Count(b.String(), text) }

// eventually polls until ok.
func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !ok(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal("never: " + what)
		}
	}
}

// receive waits for a value.
func receive[T any](t testing.TB, what string, c <-chan T) (v T) {
	t.Helper()
	select {
	case v = <-c:
	case <-time.After(patience):
		t.Errorf("never: %s", what)
	}
	return v
}

// answer is what an HTTP server said.
type answer struct {
	status int
	header http.Header
	body   string
}

// call sends one HTTP request on a connection of its own.
func call(t testing.TB, method, url string, header ...string) answer {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range header {
		name, value, _ := strings.Cut(h, ": ")
		req.Header.Set(name, value)
	}
	resp, err := httpClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, url, err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}
}

// httpClient trusts every server and keeps no connection.
func httpClient() *http.Client {
	return &http.Client{Transport: &http.Transport{DisableKeepAlives: true, TLSClientConfig: trusting()}}
}

func trusting() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// dial opens a TCP connection that ends with the test.
func dial(t testing.TB, addr string) *net.TCPConn {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { nc.Close() })
	if err := nc.SetDeadline(time.Now().Add(2 * patience)); err != nil {
		t.Fatal(err)
	}
	return nc.(*net.TCPConn)
}

// newCertificate makes a certificate for this machine, told apart by its serial number.
func newCertificate(t testing.TB, serial int64) tls.Certificate {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(serial), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	if err != nil {
		t.Fatal(err)
	}
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}
}

// withTLS switches TLS on where it can be.
func withTLS(t testing.TB) func(*Options) {
	config := &tls.Config{Certificates: []tls.Certificate{newCertificate(t, 1)}}
	return func(o *Options) {
		o.TLSConfig, o.RTMPSAddr, o.FLVTLS, o.HLSTLS = config, "127.0.0.1:0", true, true
	}
}

func wantEqual[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: got %v, want %v", what, got, want)
	}
}

func wantContains(t testing.TB, what, text string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: %q is not in %s", what, part, fmt.Sprintf("%.2000q", text))
		}
	}
}
