package server

import (
	"encoding/json"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"

	"livego/internal/flv"
)

// withHTTPS adds the port for browsers to the others.
func withHTTPS(t testing.TB) func(*Options) {
	return func(o *Options) {
		withTLS(t)(o)
		o.RTMPTLS, o.FLVTLS, o.HLSTLS = false, false, false
		o.HTTPSAddr, o.HTTPRedirectAddr = "127.0.0.1:0", "127.0.0.1:0"
	}
}

// TestHTTPSPort: one port with TLS has HLS, the page, HTTP-FLV over HTTP/1.1 and HTTP/2 and
// WebSocket-FLV, and the plain ports stay.
func TestHTTPSPort(t *testing.T) {
	s, tags := start(t, withHTTPS(t)), clip(t)
	e := publish(t, s, "movie")
	e.send(tags...)
	for _, path := range []string{"/live/movie/", "/live/movie.m3u8", "/streams"} {
		wantEqual(t, path, call(t, "GET", s.url("https", "https", path)).status, 200)
	}
	wantEqual(t, "the plain port", call(t, "GET", s.url("http", "hls", "/live/movie.m3u8")).status, 200)

	watchers := []*watcher{
		watchFLVAt(t, s.url("https", "https", "/live/movie.flv")), watchFLV(t, s, "movie"),
		watchWSAt(t, s.url("wss", "https", "/live/movie.flv")),
	}
	two := &http.Transport{TLSClientConfig: trusting(), ForceAttemptHTTP2: true}
	defer two.CloseIdleConnections()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("https", "https", "/live/movie.flv"), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := two.RoundTrip(r)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "version of HTTP", answer.ProtoMajor, 2)
	wantEqual(t, "type", answer.Header.Get("Content-Type"), "video/x-flv")
	over2 := &watcher{name: "http-flv over HTTP/2", ended: make(chan error, 1), leave: func() { answer.Body.Close() }}
	reader := flv.NewReader(answer.Body)
	go func() {
		defer answer.Body.Close()
		over2.collect(over2.withFlags(reader))
	}()
	watchers = append(watchers, over2)
	for _, v := range watchers {
		v.flags(t)
	}
	eventually(t, "all are listed", func() bool { return s.sessions.playing("live/movie") == len(watchers) })
	e.unpublish()
	for _, v := range watchers {
		receive(t, "the end of "+v.name, v.ended)
		beginsWell(t, v.name, v.got())
		wantEqual(t, "tags of "+v.name, len(v.got()), len(watchers[0].got()))
	}
	wantEqual(t, "connections that failed", len(s.handshakes.all()), 0)
}

// TestHTTP2ViewerLeaves: a viewer over HTTP/2 that goes is noticed, and so is the end of the
// server.
func TestHTTP2ViewerLeaves(t *testing.T) {
	s, tags := start(t, withHTTPS(t)), clip(t)
	e := publish(t, s, "movie")
	e.send(tags...)
	two := &http.Transport{TLSClientConfig: trusting(), ForceAttemptHTTP2: true}
	defer two.CloseIdleConnections()
	open := func() *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("https", "https", "/live/movie.flv"), nil)
		if err != nil {
			t.Fatal(err)
		}
		answer, err := two.RoundTrip(r)
		if err != nil {
			t.Fatal(err)
		}
		return answer
	}
	gone, stays := open(), open()
	defer stays.Body.Close()
	eventually(t, "both are there", func() bool { return s.sessions.playing("live/movie") == 2 })
	gone.Body.Close()
	eventually(t, "one has left", func() bool { return s.sessions.playing("live/movie") == 1 })
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestSecureDoors: the page says addresses that are as safe as the way by which it came.
func TestSecureDoors(t *testing.T) {
	s := start(t, withHTTPS(t))
	publish(t, s, "movie").send(clip(t)...)
	for _, c := range []struct{ scheme, port string }{{"http", "hls"}, {"https", "https"}} {
		var status struct{ URLs map[string]string }
		body := call(t, "GET", s.url(c.scheme, c.port, "/live/movie/status.json")).body
		if err := json.Unmarshal([]byte(body), &status); err != nil {
			t.Fatal(err)
		}
		for protocol, address := range status.URLs {
			u, err := url.Parse(address)
			if err != nil {
				t.Fatal(err)
			}
			if strings.Contains(protocol, "flv") || strings.HasPrefix(u.Scheme, "ws") {
				wantEqual(t, address+" seen by "+c.scheme, u.Scheme == "https" || u.Scheme == "wss", c.scheme == "https")
			}
		}
	}
}

// TestRedirect: who comes without TLS is led to it, by the name that was asked for, and nowhere
// else.
func TestRedirect(t *testing.T) {
	s := start(t, withHTTPS(t))
	_, port, _ := net.SplitHostPort(s.addr("https"))
	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	for _, c := range []struct {
		method, host, path string
		status             int
		location           string
	}{
		{"GET", "live.example.org", "/live/movie/?a=b", 307, "https://live.example.org:" + port + "/live/movie/?a=b"},
		{"HEAD", "live.example.org:8080", "/", 307, "https://live.example.org:" + port + "/"},
		{"GET", "[::1]:80", "//evil.example/", 307, "https://[::1]:" + port + "//evil.example/"},
		{"POST", "live.example.org", "/", 400, ""},
		{"GET", "a@evil.example", "/", 400, ""},
	} {
		r, err := http.NewRequest(c.method, s.url("http", "redirect", c.path), nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = c.host
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		wantEqual(t, c.method+" "+c.host+c.path, answer.StatusCode, c.status)
		wantEqual(t, "where "+c.host+c.path+" leads", answer.Header.Get("Location"), c.location)
	}
}
