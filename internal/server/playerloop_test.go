package server

import (
	"bytes"
	"crypto/tls"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"livego/internal/listen"
)

// TestLoopAnswersAsNetHTTP replays thousands of requests, ordinary and odd ones, at the HLS port
// and at a port that net/http has alone, and compares all that comes back, byte by byte, up to the
// end of the connection.
func TestLoopAnswersAsNetHTTP(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) {
		o.HLS.KeepAfterEnd = true
		o.Apps = append(o.Apps, App{Name: "closed", Live: true, HLS: true, ViewerAuth: ViewersWithToken})
	})
	e := publish(t, s, "movie")
	e.perform(t, clip(t), 1)
	e.unpublish()
	replay(t, s, 24, 60, 0)
}

// TestLoopAnswersAsNetHTTPOverTLS is the same over TLS.
func TestLoopAnswersAsNetHTTPOverTLS(t *testing.T) {
	t.Parallel()
	s := start(t, withTLS(t), func(o *Options) {
		o.HLS.KeepAfterEnd = true
		o.RTMP.ReadTimeout = time.Minute // each request has a handshake
	})
	e := publish(t, s, "movie")
	e.perform(t, clip(t), 1)
	e.unpublish()
	replay(t, s, 8, 40, 0)
}

// TestLoopAtOtherNodes is TestLoopAnswersAsNetHTTP at a node that is not the stream's home.
func TestLoopAtOtherNodes(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 2, func(o *Options) { o.HLS.KeepAfterEnd = true })
	e, b := publish(t, g.nodes[0], "movie"), g.nodes[1]
	request := httptest.NewRequest(http.MethodGet, "/live/movie/index.m3u8", nil)
	wantEqual(t, "in the loop before anything is known", b.mayBeHot(request), false)
	e.perform(t, clip(t), 1)
	wantEqual(t, "playlist", call(t, http.MethodGet, b.url("http", "hls", request.URL.Path)).status, http.StatusOK)
	wantEqual(t, "in the loop", b.mayBeHot(request), true)
	e.unpublish()
	replay(t, b, 12, 40, time.Second)
}

// replay has so many clients at a time make so many requests each, at the HLS port of a server and
// at net/http beside it. They close their side after a time: net/http takes them for gone then, and
// does not bring what is on its way.
func replay(t *testing.T, s *testServer, workers, each int, open time.Duration) {
	t.Helper()
	reference := s.netHTTP(t)
	r := &requests{rand: rand.New(rand.NewPCG(1, 2)), paths: playedPaths(t, s)}
	var wg sync.WaitGroup
	for range workers {
		all := make([]string, 0, each)
		for range each {
			all = append(all, r.next())
		}
		wg.Go(func() {
			for _, request := range all {
				sameAnswers(t, s.opt.HLSTLS, s.addr("hls"), reference, request, open)
			}
		})
	}
	wg.Wait()
}

// netHTTP serves HLS by net/http alone at a port of its own, with TLS if the HLS port has it.
func (s *testServer) netHTTP(t *testing.T) string {
	t.Helper()
	hls := &s.listeners[slices.IndexFunc(s.listeners, func(l *listener) bool { return l.Name == "hls" })].Listener
	l := &listener{Listener: listen.Listener{
		Name: "reference", At: "127.0.0.1:0", Limits: s.limits, Log: s.log, Secure: hls.Secure, Multiplexed: true, Certificate: hls.Certificate,
	}}
	if err := l.Open(); err != nil {
		t.Fatal(err)
	}
	served := make(chan error, 1)
	go func() { served <- s.serveHTTP(l, s.browserServer(l, http.HandlerFunc(s.serveHLS))) }()
	t.Cleanup(func() { l.Close(); <-served })
	return l.Addr().String()
}

// playedPaths are what a player of the stream movie asks for, and what it might.
func playedPaths(t *testing.T, s *testServer) []string {
	paths := []string{"/live/movie.m3u8", "/live/movie/index.m3u8", "/live/none/index.m3u8", "/closed/movie.m3u8", "/~token/live/movie.m3u8", "/live/movie/", "/", "/crossdomain.xml"}
	scheme := "http"
	if s.opt.HLSTLS {
		scheme += "s"
	}
	for depth, next := 0, paths[:2]; depth < 2; depth++ {
		var found []string
		for _, list := range next {
			if !strings.HasSuffix(list, ".m3u8") {
				continue
			}
			base, err := url.Parse(list)
			if err != nil {
				t.Fatal(err)
			}
			for _, m := range regexp.MustCompile(`(?m)^[^#\s].*|URI="([^"]*)"`).FindAllStringSubmatch(call(t, "GET", s.url(scheme, "hls", list)).body, -1) {
				ref := strings.TrimSpace(m[0])
				if m[1] != "" {
					ref = m[1]
				}
				u, err := base.Parse(ref)
				if err != nil {
					t.Fatal(err)
				}
				found = append(found, u.RequestURI())
			}
		}
		paths, next = append(paths, found...), found
	}
	if len(paths) < 30 {
		t.Fatalf("few files: %v", paths)
	}
	return paths
}

// requests makes requests.
type requests struct {
	rand  *rand.Rand
	paths []string
}

// oneOf chooses the first one in half of all cases.
func (r *requests) oneOf(all ...string) string {
	if r.rand.IntN(2) == 0 {
		return all[0]
	}
	return all[r.rand.IntN(len(all))]
}

// next returns the bytes of one to three requests, maybe with some changed.
func (r *requests) next() string {
	var b strings.Builder
	for range 1 + r.rand.IntN(3)/2*r.rand.IntN(3) {
		b.WriteString(r.one())
	}
	text := []byte(b.String())
	if r.rand.IntN(6) == 0 {
		for range 1 + r.rand.IntN(3) {
			const bytes = "\r\n\t :\x00\x80?%/A0"
			text[r.rand.IntN(len(text))] = bytes[r.rand.IntN(len(bytes))]
		}
	}
	if r.rand.IntN(12) == 0 {
		text = text[:r.rand.IntN(len(text))]
	}
	return string(text)
}

func (r *requests) one() string {
	path := r.paths[r.rand.IntN(len(r.paths))]
	target := r.oneOf("", "?_HLS_msn=0", "?_HLS_msn=99999999999", "?_HLS_skip=YES", "?_HLS_msn=a", "?", "?a=%zz", "?a?b", "#x", "/..", "%2e", "/%7Ea", ";x", "//", "?token=x", "?x=\"")
	target = r.oneOf("", "", "http://h", "//h", "h", "*") + path + target
	end := r.oneOf("\r\n", "\r\n", "\r\n", "\r\n", "\n", "\r\r\n")
	head := r.oneOf("GET", "GET", "HEAD", "OPTIONS", "POST", "get", "CONNECT", "GET ", "PRI", "G T", "DELETE") + " " + target + r.oneOf(" HTTP/1.1", " HTTP/1.1", " HTTP/1.1", " HTTP/1.0", " HTTP/2.0", "", " HTTP/1.2", " http/1.1", " HTTP/1.1 ", "  HTTP/1.1") + end
	body := ""
	for _, field := range []string{
		r.oneOf("Host: h", "Host: h", "Host: h:7002", "Host:h", "host: [::1]:1", "Host: a b", "Host: ", "", "Host: h\r\nHost: h", "Host: h/..", "Host : h"),
		r.oneOf("", "", "Accept-Encoding: gzip, deflate, br", "Accept-Encoding: gzip;q=0", "Accept-Encoding: br\r\naccept-encoding: gzip"),
		r.oneOf("", "", "", "Connection: keep-alive", "Connection: Keep-Alive", "Connection: close", "Connection: upgrade\r\nUpgrade: h2c", "Connection: keep-alive, close", "Connection: x"),
		r.oneOf("", "", "", "Range: bytes=0-9", "Range: bytes=0-1,5-6", "Range: bytes=9999999-", "Range: x", "If-None-Match: *", "If-Match: \"x\"", "If-Modified-Since: Mon, 02 Jan 2006 15:04:05 GMT", "Pragma: no-cache"),
		r.oneOf("", "", "", "User-Agent: x", "X: \x80", "X: a\x00b", " folded", "X:\r\n folded", "X y: z", "X : z", ": z", "X", "Origin: https://page.example", "Cookie: a=b; c=d", "Authorization: Bearer x", "X-Forwarded-For: 1.2.3.4", "Expect: 100-continue", "Expect: x", "TE: trailers", "X: "+strings.Repeat("y", 5000), "X: "+strings.Repeat("y", 40000)),
		r.oneOf("", "", "", "", "Content-Length: 0", "Content-Length: 3", "Content-Length: -1", "Content-Length: 3\r\nContent-Length: 3", "Content-Length: 3\r\nContent-Length: 4", "Content-Length: +3", "Transfer-Encoding: chunked", "Transfer-Encoding: chunked\r\nContent-Length: 3", "Transfer-Encoding: identity", "Transfer-Encoding: xchunked", "Transfer-Encoding : chunked", "Transfer-Encoding: chunked, chunked"),
	} {
		if field != "" {
			head += strings.ReplaceAll(field, "\r\n", end) + end
		}
		switch {
		case strings.Contains(field, "chunked"):
			body = r.oneOf("3\r\nabc\r\n0\r\n\r\n", "0\r\n\r\n", "3\nabc\n0\n\n", "zz\r\n", "3\r\nabcd\r\n0\r\n\r\n")
		case strings.HasPrefix(field, "Content-Length: 3"):
			body = "abc"
		}
	}
	return head + end + body
}

// lastRequest ends a connection after what came before it.
const lastRequest = "GET /live/none/last HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n"

// sameAnswers sends bytes to two servers and compares what they say. Both may be cut short where a
// server does not read all, so that a difference is looked at again.
func sameAnswers(t *testing.T, secure bool, loop, reference, request string, open time.Duration) {
	var got, want string
	for range 4 {
		got, want = conversation(t, secure, loop, request, open), conversation(t, secure, reference, request, open)
		if got == want {
			return
		}
	}
	same := 0
	for same < min(len(got), len(want)) && got[same] == want[same] {
		same++
	}
	from := max(same-200, 0)
	t.Errorf("%.600q\nis answered from byte %d on with\n%.600q\nby net/http with\n%.600q", request, from, got[from:], want[from:])
}

// differs is what answers differ in: the time, the age, and boundaries between ranges.
func differs() *regexp.Regexp { return regexp.MustCompile(`(Date|Age): [^\r]*\r\n|[0-9a-f]{60}`) }

func conversation(t *testing.T, secure bool, addr, request string, open time.Duration) string {
	dial := net.Dial
	if secure {
		dial = func(network, addr string) (net.Conn, error) { return tls.Dial(network, addr, trusting()) }
	}
	c, err := dial("tcp", addr)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer c.Close()
	_ = c.SetDeadline(time.Now().Add(patience))
	_, _ = fmt.Fprintf(c, "%s%s", request, lastRequest)
	closing := time.AfterFunc(open, func() { _ = c.(interface{ CloseWrite() error }).CloseWrite() })
	defer closing.Stop()
	all, err := io.ReadAll(c)
	if err != nil && !strings.Contains(err.Error(), "reset") {
		t.Errorf("%q: %v", request, err)
	}
	return string(bytes.TrimSpace(differs().ReplaceAll(all, nil)))
}
