package server

import (
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"livego/internal/rtmp"
)

// TestPortInUse: the error names the option to change, and what was opened before is closed.
func TestPortInUse(t *testing.T) {
	t.Parallel()
	taken, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer taken.Close()
	for option, set := range map[string]func(*Options, string){
		"rtmp_addr":    func(o *Options, addr string) { o.RTMPAddr = addr },
		"rtmps_addr":   func(o *Options, addr string) { withTLS(t)(o); o.RTMPSAddr = addr },
		"httpflv_addr": func(o *Options, addr string) { o.FLVAddr = addr },
		"hls_addr":     func(o *Options, addr string) { o.HLSAddr = addr },
		"api_addr":     func(o *Options, addr string) { o.APIAddr = addr },
		"pprof_addr":   func(o *Options, addr string) { o.PprofAddr = addr },
	} {
		opt := testOptions()
		set(&opt, taken.Addr().String())
		_, err := New(opt)
		if !errors.Is(err, syscall.EADDRINUSE) {
			t.Fatalf("%s: %v", option, err)
		}
		wantContains(t, "error", err.Error(), option+": ", taken.Addr().String(), "another program listens")

		opt = testOptions()
		set(&opt, "127.0.0.1:99999")
		if _, err = New(opt); err == nil || !strings.HasPrefix(err.Error(), option+": ") {
			t.Errorf("%s that makes no sense: %v", option, err)
		}
	}
}

func TestBadOptions(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	junk := filepath.Join(dir, "junk.pem")
	if err := os.WriteFile(junk, []byte("junk"), 0o600); err != nil {
		t.Fatal(err)
	}
	for want, change := range map[string]func(*Options){
		"rtmp_addr with TLS: rtmps_cert/rtmps_key: ":    func(o *Options) { o.RTMPTLS, o.RTMPSCert, o.RTMPSKey = true, dir+"/none.crt", dir+"/none.key" },
		"rtmps_addr with TLS: rtmps_cert/rtmps_key: ":   func(o *Options) { o.RTMPSAddr, o.RTMPSCert, o.RTMPSKey = "127.0.0.1:0", junk, junk },
		"httpflv_addr with TLS: https_cert/https_key: ": func(o *Options) { o.FLVTLS, o.HTTPSCert, o.HTTPSKey = true, junk, junk },
		"hls_addr with TLS: https_cert/https_key: ":     func(o *Options) { o.HLSTLS, o.HTTPSCert, o.HTTPSKey = true, junk, junk },
		"jwt algorithm": func(o *Options) { o.API.Secret, o.API.Algorithm = strings.Repeat("x", 40), "RS256" },
	} {
		opt := testOptions()
		change(&opt)
		if _, err := New(opt); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%v, want %q", err, want)
		}
	}
}

// TestListenersThatAreOff: an empty address switches a protocol off.
func TestListenersThatAreOff(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.FLVAddr, o.HLSAddr, o.APIAddr = "", "", "" })
	wantEqual(t, "listeners", len(s.Addrs()), 1)
	e := publish(t, s, "movie")
	w := watchRTMP(t, s, "movie")
	awaitPlayers(t, s, "movie", 1)
	e.send(clip(t)...)
	e.unpublish()
	w.awaitEnd(t)
}

func TestTwoServersInOneProcess(t *testing.T) {
	t.Parallel()
	tags := clip(t)
	for range 2 {
		s := start(t)
		e := publish(t, s, "movie")
		w := watchRTMP(t, s, "movie")
		e.send(tags[:4]...)
		w.await(t, tags[3])
		wantEqual(t, "streams of one server", len(s.hub.Publications()), 1)
	}
}

// connections is how many are counted.
func connections(s *testServer) int {
	return s.limits.Figures().Open
}

// fits says whether the server still answers on one more connection.
func fits(t testing.TB, s *testServer, protocol string) bool {
	t.Helper()
	nc := dial(t, s.addr(protocol))
	defer nc.Close()
	_, err := nc.Write([]byte("GET /healthz HTTP/1.0\r\n\r\n"))
	if err != nil {
		return false
	}
	answer, _ := io.ReadAll(nc)
	return len(answer) > 0
}

// TestConnectionLimits counts over all listeners; a connection that ends makes room.
func TestConnectionLimits(t *testing.T) {
	for _, tc := range []struct {
		name   string
		change func(*Options)
	}{
		{"total", func(o *Options) { o.MaxConnections = 3 }},
		{"per address", func(o *Options) { o.MaxConnectionsPerAddr = 3 }},
		{"TLS", func(o *Options) { withTLS(t)(o); o.MaxConnections = 3 }},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, tc.change)
			open := []net.Conn{dial(t, s.addr("rtmp")), dial(t, s.addr("http-flv")), dial(t, s.addr("hls"))}
			eventually(t, "all three are counted", func() bool { return connections(s) == 3 })
			if fits(t, s, "api") || fits(t, s, "rtmp") {
				t.Error("a fourth connection is served")
			}
			wantContains(t, "log", s.logs.String(), "limit reached")
			for _, nc := range open {
				nc.Close()
				eventually(t, "there is room again", func() bool { return fits(t, s, "api") })
			}
			eventually(t, "none is counted", func() bool { return connections(s) == 0 })
		})
	}
}

// TestPlayersAreCountedAndReleased: connections that were taken over from HTTP too.
func TestPlayersAreCountedAndReleased(t *testing.T) {
	t.Parallel()
	s, tags := start(t, func(o *Options) { o.MaxConnections = 4 }), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	watchers := []*watcher{watchRTMP(t, s, "movie"), watchFLV(t, s, "movie"), watchWS(t, s, "movie")}
	awaitAll(t, watchers, tags[3])
	wantEqual(t, "connections", connections(s), 4)
	for _, w := range watchers {
		w.leave()
	}
	eventually(t, "only the publisher is counted", func() bool { return connections(s) == 1 })
	e.unpublish()
	e.lose()
	eventually(t, "none is counted", func() bool { return connections(s) == 0 })
}

// broken is a listener that fails for good.
type broken struct{ net.Listener }

func (broken) Accept() (net.Conn, error) { return nil, syscall.EINVAL }

// TestBrokenListenerEndsTheServer, and says which it was.
func TestBrokenListenerEndsTheServer(t *testing.T) {
	s := open(t)
	defer s.keys.Close()
	s.listeners[0].Listener.Listener = broken{s.listeners[0].Listener.Listener}
	err := s.Run(t.Context())
	if !errors.Is(err, syscall.EINVAL) {
		t.Fatal(err)
	}
	wantContains(t, "error", err.Error(), "rtmp listener: ")
}

// writePEM writes a certificate and its key to files.
func writePEM(t testing.TB, cert tls.Certificate, certFile, keyFile string) {
	t.Helper()
	der, err := x509.MarshalPKCS8PrivateKey(cert.PrivateKey)
	if err != nil {
		t.Fatal(err)
	}
	for file, block := range map[string]*pem.Block{
		certFile: {Type: "CERTIFICATE", Bytes: cert.Certificate[0]}, keyFile: {Type: "PRIVATE KEY", Bytes: der},
	} {
		if err := os.WriteFile(file, pem.EncodeToMemory(block), 0o600); err != nil {
			t.Fatal(err)
		}
	}
}

// Decision 39: certificates are read again when their files change. While the files do not match,
// the old one stays in use.
func TestCertificateReload(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	certFile, keyFile := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	writePEM(t, newCertificate(t, 1), certFile, keyFile)
	s := start(t, func(o *Options) {
		o.RTMPSAddr, o.RTMPSCert, o.RTMPSKey = "127.0.0.1:0", certFile, keyFile
		o.HLSTLS, o.HTTPSCert, o.HTTPSKey = true, certFile, keyFile
	})
	serial := func(protocol string) int64 {
		t.Helper()
		nc, err := tls.Dial("tcp", s.addr(protocol), trusting())
		if err != nil {
			t.Fatal(err)
		}
		defer nc.Close()
		return nc.ConnectionState().PeerCertificates[0].SerialNumber.Int64()
	}
	stale := func() {
		for _, l := range s.listeners {
			l.Certificate.Recheck()
		}
	}
	touch := func(after time.Duration, files ...string) {
		for _, file := range files {
			if err := os.Chtimes(file, time.Time{}, time.Now().Add(after)); err != nil {
				t.Fatal(err)
			}
		}
	}
	wantEqual(t, "first certificate", serial("rtmps"), 1)
	wantEqual(t, "first certificate", serial("hls"), 1)

	writePEM(t, newCertificate(t, 2), certFile, filepath.Join(dir, "other.key")) // the key is not there yet
	touch(time.Minute, certFile)
	stale()
	wantEqual(t, "certificate without its key", serial("rtmps"), 1)
	if err := os.Rename(filepath.Join(dir, "other.key"), keyFile); err != nil {
		t.Fatal(err)
	}
	touch(2*time.Minute, keyFile)
	stale()
	wantEqual(t, "changed certificate", serial("rtmps"), 2)
	wantEqual(t, "changed certificate", serial("hls"), 2)
	os.Remove(certFile)
	stale()
	wantEqual(t, "certificate whose file is gone", serial("rtmps"), 2)
}

// TestRTMPSOnly: enable_rtmps makes the RTMP port speak TLS only, as in LiveGo; a plain client is
// cut off.
func TestRTMPSOnly(t *testing.T) {
	t.Parallel()
	s, tags := start(t, withTLS(t), func(o *Options) { o.RTMPTLS, o.RTMPSAddr = true, "" }), clip(t)
	e := publishTo(t, s.url("rtmps", "rtmp", "/live/"+s.key("movie")))
	e.send(tags[:4]...)
	w := watchRTMPAt(t, s.url("rtmps", "rtmp", "/live/movie"))
	w.await(t, tags[3])
	if _, err := rtmp.Dial(t.Context(), s.url("rtmp", "rtmp", "/live"), rtmp.ClientOptions{}); err == nil {
		t.Error("a plain client gets in")
	}
}

// TestTLSOnPlainPort: a client that speaks TLS to the plain port is cut off, with a line in the log
// that says why.
func TestTLSOnPlainPort(t *testing.T) {
	t.Parallel()
	s := start(t)
	if nc, err := tls.Dial("tcp", s.addr("rtmp"), trusting()); err == nil {
		nc.Close()
		t.Error("TLS on the plain port")
	}
	eventually(t, "the log says so", func() bool { return s.logs.count("tls handshake on plain rtmp port") == 1 })
}

// TestHTTPOnTheRTMPPort gets an answer that says where to go.
func TestHTTPOnTheRTMPPort(t *testing.T) {
	t.Parallel()
	s := start(t)
	a := call(t, "GET", s.url("http", "rtmp", "/live/movie.flv"))
	if a.status < 400 {
		t.Errorf("status %d", a.status)
	}
	wantContains(t, "answer", a.body, "RTMP port", "HTTP-FLV is on "+s.opt.FLVAddr, "HLS is on ", "control API is on ")

	s = start(t, func(o *Options) { o.FLVAddr, o.APIAddr = "", "" })
	a = call(t, "GET", s.url("http", "rtmp", "/"))
	wantEqual(t, "answer where most is off", a.body, "This is livego's RTMP port. HLS is on "+s.opt.HLSAddr+".\n")
	s = start(t, func(o *Options) { o.FLVAddr, o.HLSAddr, o.APIAddr = "", "", "" })
	wantEqual(t, "answer where all is off", call(t, "GET", s.url("http", "rtmp", "/")).body, "This is livego's RTMP port.\n")
}

// TestPprof: the profiler has a port of its own, and is not on any other.
func TestPprof(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.PprofAddr = "127.0.0.1:0" })
	a := call(t, "GET", s.url("http", "pprof", "/debug/pprof/goroutine?debug=1"))
	wantContains(t, "goroutines", a.body, "goroutine profile: total")
	wantEqual(t, "command line", call(t, "GET", s.url("http", "pprof", "/debug/pprof/cmdline")).status, http.StatusNotFound)
	for _, stranger := range []string{"Host: evil.example", "Host: evil.example:6060", "Host: 192.0.2.1", "Via: 1.1 proxy", "Sec-Fetch-Site: cross-site", "Referer: http://evil.example/"} {
		nc := dial(t, s.addr("pprof"))
		host := "127.0.0.1"
		if name, found := strings.CutPrefix(stranger, "Host: "); found {
			host, stranger = name, "X: y"
		}
		fmt.Fprintf(nc, "GET /debug/pprof/ HTTP/1.0\r\nHost: %s\r\n%s\r\n\r\n", host, stranger)
		answer, _ := io.ReadAll(nc)
		wantContains(t, "answer to "+host+", "+stranger, string(answer), "403", "the profiler answers")
	}
	for _, other := range []string{"http-flv", "hls", "api"} {
		if a := call(t, "GET", s.url("http", other, "/debug/pprof/cmdline")); a.status == http.StatusOK {
			t.Errorf("the profiler answers on the port of %s: %s", other, a.body)
		}
	}
}
