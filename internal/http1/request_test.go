package http1

import (
	"bufio"
	"bytes"
	"net/http"
	"reflect"
	"strings"
	"testing"
)

func TestFates(t *testing.T) {
	t.Parallel()
	const host = "Host: h\r\n"
	for _, tc := range []struct {
		name, head string
		want       fate
	}{
		{"a player's", "GET /live/room/index.m3u8?_HLS_msn=1&_HLS_part=2 HTTP/1.1\r\n" + host + "Accept-Encoding: gzip\r\nConnection: keep-alive\r\n\r\n", plain},
		{"nothing", "", incomplete},
		{"the beginning", "GE", incomplete},
		{"without its end", "GET / HTTP/1.1\r\n" + host, incomplete},
		{"another beginning", "PRI * HTTP/2.0\r\n", foreign},
		{"TLS", "\x16\x03\x01", foreign},
		{"a line that ends with LF", "GET / HTTP/1.1\n", foreign},
		{"long", "GET /" + strings.Repeat("x", maxHead) + " HTTP/1.1\r\n" + host + "\r\n", foreign},
		{"long without its end", "GET /" + strings.Repeat("x", maxHead), foreign},
		{"HEAD", "HEAD / HTTP/1.1\r\n" + host + "\r\n", alone},
		{"OPTIONS", "OPTIONS /a HTTP/1.1\r\n" + host + "\r\n", alone},
		{"POST", "POST / HTTP/1.1\r\n" + host + "\r\n", foreign},
		{"old", "GET / HTTP/1.0\r\n" + host + "\r\n", foreign},
		{"absolute", "GET http://h/ HTTP/1.1\r\n" + host + "\r\n", foreign},
		{"percent", "GET /%41 HTTP/1.1\r\n" + host + "\r\n", foreign},
		{"two slashes", "GET //h HTTP/1.1\r\n" + host + "\r\n", foreign},
		{"an empty query", "GET /? HTTP/1.1\r\n" + host + "\r\n", foreign},
		{"two blanks", "GET  / HTTP/1.1\r\n" + host + "\r\n", foreign},
		{"no host", "GET / HTTP/1.1\r\n\r\n", foreign},
		{"an address", "GET / HTTP/1.1\r\nHost: [::1]:7002\r\n\r\n", plain},
		{"half an address", "GET / HTTP/1.1\r\nHost: [::1\r\n\r\n", foreign},
		{"two hosts", "GET / HTTP/1.1\r\n" + host + host + "\r\n", foreign},
		{"a range", "GET / HTTP/1.1\r\n" + host + "Range: bytes=0-1\r\n\r\n", alone},
		{"a condition", "GET / HTTP/1.1\r\n" + host + "if-none-match: *\r\n\r\n", alone},
		{"the last one", "GET / HTTP/1.1\r\n" + host + "Connection: close\r\n\r\n", alone},
		{"content", "GET / HTTP/1.1\r\n" + host + "Content-Length: 0\r\n\r\n", foreign},
		{"a coding", "GET / HTTP/1.1\r\n" + host + "Range: x\r\nTransfer-Encoding: chunked\r\n\r\n", foreign},
		{"a blank before the colon", "GET / HTTP/1.1\r\n" + host + "Transfer-Encoding : chunked\r\n\r\n", foreign},
		{"a folded line", "GET / HTTP/1.1\r\n" + host + "X: a\r\n b\r\n\r\n", foreign},
		{"a control character", "GET / HTTP/1.1\r\n" + host + "X: a\x00b\r\n\r\n", foreign},
		{"a lone CR", "GET / HTTP/1.1\r\n" + host + "X: a\rb\r\n\r\n", foreign},
		{"another protocol", "GET / HTTP/1.1\r\n" + host + "Upgrade: websocket\r\nConnection: Upgrade\r\n\r\n", foreign},
	} {
		if _, got := new(heads).parse([]byte(tc.head)); got != tc.want {
			t.Errorf("%s: %d, want %d", tc.name, got, tc.want)
		}
	}
}

func TestValidHost(t *testing.T) {
	t.Parallel()
	for _, host := range []string{"", "h", "h:", "h:80", "127.0.0.1:8090", "[::1]", "[::1]:7002", "[::1]:", "[fe80::1%25eth0]:80", "a_b.example", "bücher.example", "a%20b"} {
		if !ValidHost(host) {
			t.Errorf("%q is none", host)
		}
	}
	for _, host := range []string{"[::1", "[::1:80", "::1", "::1]", "[", "]", "[]", "[]:80", "[h]", "[127.0.0.1]", "[::1]80", "[::1]]", "[[::1]]", "h:x", "h:80:80", "h:-1", "h]", "a[b]", "[::1]:80x", ":80:", "[::1]:[::1]"} {
		if ValidHost(host) {
			t.Errorf("%q is one", host)
		}
	}
}

// FuzzHeads: whatever the loop understands, net/http understands in the same way, and it ends at
// the same byte.
func FuzzHeads(f *testing.F) {
	f.Add([]byte("GET /live/room/v0/1.2.m4s HTTP/1.1\r\nHost: h:1\r\nUser-Agent:  x \r\naccept: a\r\nAccept: b\r\n\r\nGET"))
	f.Add([]byte("OPTIONS /a?b=c HTTP/1.1\r\nHost: [::1]\r\nOrigin: https://page.example\r\n\r\n"))
	f.Add([]byte("GET / HTTP/1.1\r\nHost: h\r\nX:\r\n\r\n"))
	p := new(heads)
	f.Fuzz(func(t *testing.T, b []byte) {
		h, fate := p.parse(b)
		if fate != plain && fate != alone {
			return
		}
		rest := bytes.NewReader(b)
		in := bufio.NewReaderSize(rest, 2*len(b)+16)
		r, err := http.ReadRequest(in)
		if err != nil {
			t.Fatalf("%q: %v", b, err)
		}
		if read := len(b) - rest.Len() - in.Buffered(); read != h.size || r.ContentLength != 0 {
			t.Errorf("%q: the head has %d bytes, want %d, and content of %d", b, h.size, read, r.ContentLength)
		}
		if fate == alone {
			return
		}
		path, query, _ := strings.Cut(h.target, "?")
		if r.Method != http.MethodGet || r.RequestURI != h.target || r.URL.Path != path || r.URL.RawQuery != query || r.URL.Host != "" || r.Host != h.fields.host || r.Close {
			t.Errorf("%q: %+v, want %+v of %+v", b, h.target, r.RequestURI, r)
		}
		if !reflect.DeepEqual(r.Header, h.fields.header) {
			t.Errorf("%q: %v, want %v", b, h.fields.header, r.Header)
		}
	})
}

// TestRequestsAreKnownByHeart: what all players send costs no memory.
func TestRequestsAreKnownByHeart(t *testing.T) {
	p, head := new(heads), []byte("GET /live/room/index-v0.m3u8?_HLS_msn=12 HTTP/1.1\r\nHost: h\r\nUser-Agent: player\r\n\r\n")
	if n := testing.AllocsPerRun(100, func() { p.parse(head) }); n != 0 {
		t.Errorf("%v allocations", n)
	}
}
