package server

import (
	"bufio"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"
)

// TestOddHeads: what is odd in the head of a request is answered as net/http does, on each port, at
// once. What follows a head that announces content never comes.
func TestOddHeads(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.RTMP.ReadTimeout = time.Hour }) // an answer that waits for it fails
	reference := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.Header().Set("Connection", "close") }))
	defer reference.Close()
	const host = "Host: h\r\n"
	for name, tc := range map[string]struct {
		head string
		want int // 0: as net/http, which takes it or says what is wrong
	}{
		"half an address":           {"GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", 400},
		"half an address, asked":    {"POST /x HTTP/1.1\r\nHost: [::1\r\nContent-Length: 5\r\n\r\n", 400},
		"an address without":        {"GET / HTTP/1.1\r\nHost: ::1\r\n\r\n", 400},
		"a name in brackets":        {"HEAD / HTTP/1.1\r\nHost: [h]\r\n\r\n", 400},
		"a port of letters":         {"GET / HTTP/1.1\r\nHost: h:x\r\n\r\n", 400},
		"half of a foreign host":    {"GET http://[::1/ HTTP/1.1\r\n" + host + "\r\n", 400},
		"an address":                {"GET / HTTP/1.1\r\nHost: [::1]:80\r\n\r\n", 0},
		"chunks that do not come":   {"POST /live/x.flv HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", 0},
		"half a chunk":              {"POST /live/x/index.m3u8 HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\nff\r\nabc", 0},
		"no chunk of a GET":         {"GET /x HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\n\r\n", 0},
		"content that does not":     {"PUT /x HTTP/1.1\r\n" + host + "Content-Length: 100\r\n\r\nabc", 0},
		"content of a GET":          {"GET /live/x.flv HTTP/1.1\r\n" + host + "Content-Length: 100\r\n\r\n", 0},
		"content of a DELETE":       {"DELETE / HTTP/1.1\r\n" + host + "Content-Length: 100\r\n\r\n", 0},
		"an unknown method":         {"BREW / HTTP/1.1\r\n" + host + "\r\n", 0},
		"two lengths":               {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 2\r\n\r\n", 0},
		"one length twice":          {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1\r\nContent-Length: 1\r\n\r\na", 0},
		"a list of lengths":         {"POST / HTTP/1.1\r\n" + host + "Content-Length: 1, 1\r\n\r\na", 0},
		"a length below nothing":    {"POST / HTTP/1.1\r\n" + host + "Content-Length: -1\r\n\r\n", 0},
		"a length with a sign":      {"GET / HTTP/1.1\r\n" + host + "Content-Length: +0\r\n\r\n", 0},
		"a length and chunks":       {"POST / HTTP/1.1\r\n" + host + "Content-Length: 5\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 0},
		"another coding":            {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: gzip, chunked\r\n\r\n", 0},
		"chunks twice":              {"POST / HTTP/1.1\r\n" + host + "Transfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n", 0},
		"a folded line":             {"GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n", 0},
		"a folded first line":       {"GET / HTTP/1.1\r\n Host: h\r\n\r\n", 0},
		"a blank before the colon":  {"GET / HTTP/1.1\r\n" + host + "Content-Length : 0\r\n\r\n", 0},
		"a line without a colon":    {"GET / HTTP/1.1\r\n" + host + "abc\r\n\r\n", 0},
		"a zero byte":               {"GET / HTTP/1.1\r\n" + host + "X: a\x00\r\n\r\n", 0},
		"lines that end with LF":    {"GET / HTTP/1.1\nHost: h\n\n", 0},
		"no host":                   {"GET / HTTP/1.1\r\n\r\n", 0},
		"two hosts":                 {"GET / HTTP/1.1\r\n" + host + host + "\r\n", 0},
		"an empty host":             {"GET / HTTP/1.1\r\nHost:\r\n\r\n", 0},
		"old, without a host":       {"GET / HTTP/1.0\r\n\r\n", 0},
		"old, with content":         {"POST / HTTP/1.0\r\nContent-Length: 5\r\n\r\n", 0},
		"older":                     {"GET /live/x/index.m3u8\r\n\r\n", 0},
		"a version of the future":   {"GET / HTTP/3.0\r\n" + host + "\r\n", 0},
		"of no version":             {"GET / HTTX/1.1\r\n" + host + "\r\n", 0},
		"a foreign host":            {"GET http://elsewhere.example/ HTTP/1.1\r\n" + host + "\r\n", 0},
		"a foreign host of none":    {"GET http:///x HTTP/1.1\r\n" + host + "\r\n", 0},
		"another scheme":            {"GET ftp://h/ HTTP/1.1\r\n" + host + "\r\n", 0},
		"a tunnel":                  {"CONNECT elsewhere.example:443 HTTP/1.1\r\n" + host + "\r\n", 0},
		"everything":                {"OPTIONS * HTTP/1.1\r\n" + host + "\r\n", 0},
		"everything, read":          {"GET * HTTP/1.1\r\n" + host + "\r\n", 0},
		"a path without a slash":    {"GET x HTTP/1.1\r\n" + host + "\r\n", 0},
		"a path cut off in a byte":  {"GET /%4 HTTP/1.1\r\n" + host + "\r\n", 0},
		"expects what nobody knows": {"POST / HTTP/1.1\r\n" + host + "Expect: the unexpected\r\nContent-Length: 1\r\n\r\n", 0},
		"expects to be asked":       {"POST / HTTP/1.1\r\n" + host + "Expect: 100-continue\r\nContent-Length: 100\r\n\r\n", 0},
	} {
		want := tc.want
		if want == 0 {
			want = answerTo(t, reference.Listener.Addr().String(), tc.head)
		}
		for _, port := range []string{"hls", "http-flv", "api"} {
			got := answerTo(t, s.addr(port), tc.head)
			if want >= 400 && got != want || want < 400 && (got < 200 || got >= 500 && got != 501) {
				t.Errorf("%s, %s: %d, net/http says %d", name, port, got, want)
			}
		}
	}
}

// answerTo sends the head of a request, and returns the status of the answer that comes.
func answerTo(t *testing.T, addr, head string) int {
	t.Helper()
	nc, err := net.Dial("tcp", addr)
	if err != nil {
		t.Fatal(err)
	}
	defer nc.Close()
	_ = nc.SetDeadline(time.Now().Add(patience))
	if _, err := io.WriteString(nc, head); err != nil {
		t.Fatal(err)
	}
	r, err := http.ReadResponse(bufio.NewReader(nc), nil)
	if err != nil {
		t.Errorf("%q: %v", head, err)
		return 0
	}
	r.Body.Close()
	return r.StatusCode
}
