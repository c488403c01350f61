package server

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"livego/internal/listen"
	"livego/internal/media"
)

// clientOf makes an HTTP client that speaks one protocol only.
func clientOf(t testing.TB, protocol string) *http.Client {
	t.Helper()
	if protocol == "HTTP/3.0" {
		tr := &http3.Transport{TLSClientConfig: trusting()}
		t.Cleanup(func() { tr.Close() })
		return &http.Client{Transport: tr, Timeout: patience}
	}
	tr := &http.Transport{TLSClientConfig: trusting(), Protocols: new(http.Protocols)}
	switch protocol {
	case "HTTP/1.1":
		tr.Protocols.SetHTTP1(true)
	case "HTTP/2.0":
		tr.Protocols.SetHTTP2(true)
	case "h2c":
		tr.Protocols.SetUnencryptedHTTP2(true)
	}
	t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

// fetch returns the protocol of the answer too.
func fetch(t testing.TB, c *http.Client, url string) (answer, string) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), "GET", url, nil)
	if err != nil {
		t.Fatal(err)
	}
	resp, err := c.Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer{resp.StatusCode, resp.Header, string(body)}, resp.Proto
}

// TestProtocolsOfTheHLSPort: the same answers over each of them, and HTTP/3 is announced to the
// others.
func TestProtocolsOfTheHLSPort(t *testing.T) {
	t.Parallel()
	secure := withTLS(t)
	for _, tc := range []struct {
		client, scheme, protocol string
		change                   func(*Options)
	}{
		{"HTTP/1.1", "http", "HTTP/1.1", func(*Options) {}},
		{"h2c", "http", "HTTP/2.0", func(*Options) {}},
		{"HTTP/1.1", "https", "HTTP/1.1", secure},
		{"HTTP/2.0", "https", "HTTP/2.0", secure},
		{"HTTP/2.0", "https", "HTTP/2.0", func(o *Options) { secure(o); o.HLSHTTP3 = true }},
		{"HTTP/3.0", "https", "HTTP/3.0", func(o *Options) { secure(o); o.HLSHTTP3 = true }},
	} {
		t.Run(tc.client+" over "+tc.scheme, func(t *testing.T) {
			s, tags := start(t, tc.change), clip(t)
			e := publish(t, s, "movie")
			e.send(tags...)
			c := clientOf(t, tc.client)
			a, protocol := fetch(t, c, s.url(tc.scheme, "hls", "/live/movie.m3u8"))
			wantEqual(t, "status", a.status, 200)
			wantEqual(t, "protocol", protocol, tc.protocol)
			wantContains(t, "playlist", a.body, "#EXTM3U")
			announced := ""
			if s.http3 != nil && protocol != "HTTP/3.0" {
				_, port, err := net.SplitHostPort(s.addr("hls"))
				if err != nil {
					t.Fatal(err)
				}
				announced = fmt.Sprintf(`h3=":%s"; ma=86400`, port)
			}
			wantEqual(t, "Alt-Svc", a.header.Get("Alt-Svc"), announced)
			page, _ := fetch(t, c, s.url(tc.scheme, "hls", "/live/movie/"))
			wantContains(t, "address in the page", page.body, tc.scheme+"://"+s.addr("hls")+"/live/movie.m3u8")
		})
	}
}

// HTTP-FLV takes connections over from HTTP/1.1, so its port offers nothing else.
func TestFLVSpeaksOldHTTPOnly(t *testing.T) {
	t.Parallel()
	s := start(t, withTLS(t))
	for protocol, want := range map[string]bool{"http-flv": false, "hls": true} {
		c, err := tls.Dial("tcp", s.addr(protocol), &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2", "http/1.1"}})
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, protocol, c.ConnectionState().NegotiatedProtocol == "h2", want)
		c.Close()
	}
}

// ended is the reader of a stream that has nothing.
type ended struct{}

func (ended) Read(context.Context, []media.AccessUnit) (int, error) { return 0, io.EOF }

// A request that is held for longer than a request may take to arrive is answered all the same.
func TestHeldRequestsOutliveTheReadTimeout(t *testing.T) {
	t.Parallel()
	for _, protocol := range []string{"HTTP/1.1", "h2c"} {
		t.Run(protocol, func(t *testing.T) {
			const timeout = 100 * time.Millisecond
			s := start(t, func(o *Options) { o.RTMP.ReadTimeout = timeout })
			end := s.hls.Begin("live/movie", "")
			held := make(chan answer, 1)
			go func() {
				a, _ := fetch(t, clientOf(t, protocol), s.url("http", "hls", "/live/movie.m3u8"))
				held <- a
			}()
			eventually(t, "it waits", func() bool { return s.hls.Waiting() == 1 })
			<-time.After(3 * timeout)
			wantEqual(t, "still held", s.hls.Waiting(), 1)
			if err := end(t.Context(), ended{}); err != nil {
				t.Error(err)
			}
			a := receive(t, "answer", held)
			wantEqual(t, "answer", fmt.Sprint(a.status, a.body), "404no publisher\n")
		})
	}
}

// HTTP/3 connections count as connections.
func TestHTTP3Limit(t *testing.T) {
	t.Parallel()
	s := start(t, withTLS(t), func(o *Options) { o.HLSHTTP3, o.MaxConnections = true, 1 })
	url := s.url("https", "hls", "/live/movie.m3u8")
	first := clientOf(t, "HTTP/3.0")
	a, _ := fetch(t, first, url)
	wantEqual(t, "first", a.status, 404)
	if resp, err := clientOf(t, "HTTP/3.0").Get(url); err == nil {
		resp.Body.Close()
		t.Error("a second connection is served")
	}
	first.Transport.(*http3.Transport).Close()
	eventually(t, "the place is free", func() bool { return connections(s) == 0 })
	a, _ = fetch(t, clientOf(t, "HTTP/3.0"), url)
	wantEqual(t, "third", a.status, 404)
}

// A panic is an error in the log; the end that a handler asks for is not.
func TestPanicsAreLogged(t *testing.T) {
	t.Parallel()
	s := open(t)
	defer s.closeListeners()
	for _, tc := range []struct {
		value any
		lines int
	}{{"broken", 1}, {http.ErrAbortHandler, 1}} {
		srv := httptest.NewServer(s.guarded(listen.Watching, http.HandlerFunc(func(http.ResponseWriter, *http.Request) { panic(tc.value) })))
		if resp, err := srv.Client().Get(srv.URL + "/live/x.m3u8"); err == nil {
			resp.Body.Close()
			t.Errorf("%v: answered", tc.value)
		}
		srv.Close()
		wantEqual(t, fmt.Sprint(tc.value), s.logs.count("level=ERROR"), tc.lines)
	}
	wantContains(t, "log", s.logs.String(), "HTTP handler panicked", "path=/live/x.m3u8", "panic=broken", "httpserver_test.go")
}

// TestSlowHTTP2 is a client that begins a request and never ends it: it is cut off.
func TestSlowHTTP2(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.RTMP.ReadTimeout = 200 * time.Millisecond })
	nc := dial(t, s.addr("hls"))
	if _, err := io.Copy(nc, strings.NewReader("PRI * HTTP/2.0\r\n\r\nSM")); err != nil {
		t.Fatal(err)
	}
	if _, err := io.Copy(io.Discard, nc); err != nil {
		t.Error(err)
	}
}

// The server goes down while a request over each protocol is held.
func TestShutdownWithHeldRequests(t *testing.T) {
	t.Parallel()
	secure := withTLS(t)
	s := start(t, func(o *Options) { secure(o); o.HLSHTTP3, o.DrainTimeout = true, 300*time.Millisecond })
	publish(t, s, "movie").send(clip(t)[:4]...)
	ended := make(chan error, 2)
	for _, protocol := range []string{"HTTP/2.0", "HTTP/3.0"} {
		c := clientOf(t, protocol)
		go func() {
			req, err := http.NewRequestWithContext(context.Background(), "GET", s.url("https", "hls", "/live/movie.m3u8"), nil)
			if err == nil {
				var resp *http.Response
				if resp, err = c.Do(req); err == nil {
					resp.Body.Close()
				}
			}
			ended <- err
		}()
	}
	eventually(t, "both wait", func() bool { return s.hls.Waiting() == 2 })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for range 2 {
		receive(t, "end of a request", ended)
	}
}
