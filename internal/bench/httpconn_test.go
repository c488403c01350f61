package bench

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"net"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync/atomic"
	"testing"
)

// answering is a server that gives one answer for each request on a connection, and then ends it.
// An empty answer ends it at once.
func answering(t *testing.T, connections ...[]string) *url.URL {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	done := make(chan struct{})
	go func() {
		defer close(done)
		for _, answers := range connections {
			conn, err := l.Accept()
			if err != nil {
				return
			}
			in := bufio.NewReader(conn)
			for _, a := range answers {
				if _, err := http.ReadRequest(in); err != nil {
					break
				}
				if strings.Contains(a, "HANG") {
					_, _ = in.ReadByte()
				}
				_, _ = conn.Write([]byte(a))
			}
			conn.Close()
		}
	}()
	t.Cleanup(func() { l.Close(); <-done })
	u, err := url.Parse("http://" + l.Addr().String() + "/x")
	if err != nil {
		t.Fatal(err)
	}
	return u
}

// TestAnswers reads answers in each form, whether somebody wants the body or not, and the next one
// behind it.
func TestAnswers(t *testing.T) {
	const next = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nnext"
	for name, c := range map[string]struct{ answer, body, err string }{
		"length":           {answer: "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcde", body: "abcde"},
		"chunks":           {answer: "HTTP/1.1 200 OK\r\ntransfer-encoding: Chunked\r\n\r\n3\r\nabc\r\n2;x=y\r\nde\r\n0\r\nT: u\r\n\r\n", body: "abcde"},
		"empty":            {answer: "HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n"},
		"no content":       {answer: "HTTP/1.1 204 No Content\r\n\r\n", err: "answered 204"},
		"interim":          {answer: "HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\nHTTP/1.1 200 OK\r\nContent-Length: 1\r\n\r\na", body: "a"},
		"not found":        {answer: "HTTP/1.1 404 Not Found\r\nContent-Length: 2\r\n\r\nno", err: "answered 404"},
		"redirected":       {answer: "HTTP/1.1 302 Found\r\nLocation: /y\r\nContent-Length: 3\r\n\r\nbye", body: "next"},
		"too long":         {answer: "HTTP/1.1 200 OK\r\nContent-Length: 5000\r\n\r\n", err: "more than"},
		"chunks too long":  {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nfff\r\n" + strings.Repeat("a", 0xFFF), err: "more than"},
		"cut off":          {answer: "HTTP/1.1 200 OK\r\nContent-Length: 50\r\n\r\nabc", err: "EOF"},
		"chunks cut off":   {answer: "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nabc", err: "EOF"},
		"negative length":  {answer: "HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\n", err: "Content-Length"},
		"another protocol": {answer: "RTSP/1.0 200 OK\r\n\r\n", err: "malformed"},
		"no status":        {answer: "HTTP/1.1 2xx OK\r\n\r\n", err: "malformed"},
		"long line":        {answer: "HTTP/1.1 200 OK\r\nX: " + strings.Repeat("y", headSize) + "\r\n\r\n", err: "line"},
		"endless head":     {answer: "HTTP/1.1 200 OK\r\n" + strings.Repeat("X: y\r\n", maxHeadLines+1), err: "header fields"},
	} {
		for _, wanted := range []bool{true, false} {
			answers := []string{c.answer, next}
			if c.err == "EOF" {
				answers = answers[:1] // and then the server ends the connection
			}
			u := answering(t, answers)
			var count atomic.Uint64
			conn := newHTTPConn(newNetwork(&Options{}), newDrain(), &count)
			var body *bytes.Buffer
			if wanted {
				body = &bytes.Buffer{}
			}
			_, err := conn.get(t.Context(), u, body, 1000)
			switch {
			case c.err == "" && err != nil, c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("%s: %v, want %q", name, err, c.err)
			case wanted && err == nil && body.String() != c.body:
				t.Errorf("%s: %q, want %q", name, body, c.body)
			}
			if err == nil && name != "redirected" {
				var last bytes.Buffer
				if _, err := conn.get(t.Context(), u, &last, 1000); err != nil || last.String() != "next" {
					t.Errorf("%s: then %q, %v", name, &last, err)
				}
				if got := int(count.Load()); got != len(c.answer)+len(next) {
					t.Errorf("%s: counted %d bytes of %d", name, got, len(c.answer)+len(next))
				}
			}
			conn.stop()
		}
	}
}

// TestIdleConnections has a server end a connection between two requests: the player does not
// notice. At the first request it does.
func TestIdleConnections(t *testing.T) {
	const good = "HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\ngood"
	for name, c := range map[string]struct {
		connections [][]string
		requests    int
		fails       bool
	}{
		"ended while idle":        {[][]string{{good}, {good}}, 2, false},
		"says that it will end":   {[][]string{{"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\ngood"}, {good}}, 2, false},
		"HTTP/1.0":                {[][]string{{"HTTP/1.0 200 OK\r\n\r\ngood"}, {good}}, 2, false},
		"ended before any answer": {[][]string{{""}, {good}}, 1, true},
		"ended twice":             {[][]string{{good}, {""}, {good}}, 2, true},
	} {
		u := answering(t, c.connections...)
		var count atomic.Uint64
		conn := newHTTPConn(newNetwork(&Options{}), newDrain(), &count)
		var err error
		for range c.requests {
			var body bytes.Buffer
			if _, err = conn.get(t.Context(), u, &body, 1000); err == nil && body.String() != "good" {
				t.Errorf("%s: %q", name, &body)
			}
		}
		if (err != nil) != c.fails {
			t.Errorf("%s: %v", name, err)
		}
		conn.stop()
	}
}

// TestRequestIsCanceled ends a wait for an answer with its context.
func TestRequestIsCanceled(t *testing.T) {
	u := answering(t, []string{"HANG"})
	ctx, cancel := context.WithCancel(t.Context())
	var count atomic.Uint64
	conn := newHTTPConn(newNetwork(&Options{}), newDrain(), &count)
	defer conn.stop()
	if err := conn.request(ctx, u); err != nil {
		t.Fatal(err)
	}
	cancel()
	if _, err := conn.answer(ctx, nil, 1000); !errors.Is(err, net.ErrClosed) {
		t.Errorf("%v", err)
	}
}

// TestRedirections follows some, to another host too, but not for ever.
func TestRedirections(t *testing.T) {
	other := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }))
	defer other.Close()
	server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/away" {
			http.Redirect(w, r, other.URL+"/there", http.StatusFound)
			return
		}
		http.Redirect(w, r, r.URL.Path, http.StatusFound)
	}))
	defer server.Close()
	var count atomic.Uint64
	conn := newHTTPConn(newNetwork(&Options{}), newDrain(), &count)
	defer conn.stop()
	var body bytes.Buffer
	away, _ := url.Parse(server.URL + "/away")
	if u, err := conn.get(t.Context(), away, &body, 1000); err != nil || body.String() != "/there" || u.Path != "/there" {
		t.Errorf("%q from %v, %v", &body, u, err)
	}
	round, _ := url.Parse(server.URL + "/round")
	if _, err := conn.get(t.Context(), round, nil, 1000); err == nil || !strings.Contains(err.Error(), "redirections") {
		t.Errorf("%v", err)
	}
}

// FuzzAnswer checks that no answer does harm, that no body is longer than it may be, and that what
// comes behind it is left where it is.
func FuzzAnswer(f *testing.F) {
	f.Add([]byte("HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nabcdeHTTP/1.1"))
	f.Add([]byte("HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nabc\r\n0\r\nT: u\r\n\r\n"))
	f.Add([]byte("HTTP/1.1 103 Early Hints\r\n\r\nHTTP/1.0 302 Found\r\nLocation: /x\r\nConnection: close\r\n\r\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		const limit = 1000
		source := bytes.NewReader(b)
		c := &httpConn{in: bufio.NewReaderSize(source, headSize)}
		a, err := c.head()
		if err != nil {
			return
		}
		var body bytes.Buffer
		if err := c.body(a, &body, limit); err != nil {
			return
		}
		if body.Len() > limit || !a.chunked && a.length >= 0 && a.status/100 == 2 && a.status != 204 && int64(body.Len()) != a.length {
			t.Errorf("%d bytes of %+v", body.Len(), a)
		}
		left := source.Len() + c.in.Buffered()
		if used := len(b) - left; used < body.Len() {
			t.Errorf("%d bytes made %d", used, body.Len())
		}
	})
}
