package bench

import (
	"bytes"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"sync/atomic"
	"testing"
)

// TestHTTP2Conn: two requests of a player wait at a time, on one connection, and answers that are
// no success or too long are errors.
func TestHTTP2Conn(t *testing.T) {
	both, addresses := make(chan struct{}), make(chan string, 10)
	waiting := atomic.Int32{}
	s := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		addresses <- r.Proto + " " + r.RemoteAddr
		switch r.URL.Path {
		case "/list", "/part":
			if waiting.Add(1) == 2 {
				close(both)
			}
			<-both
			fmt.Fprint(w, r.URL.Path)
		case "/moved":
			http.Redirect(w, r, "/there", http.StatusFound)
		case "/there":
			fmt.Fprint(w, "there")
		default:
			http.NotFound(w, r)
		}
	}))
	s.EnableHTTP2 = true
	s.StartTLS()
	defer s.Close()
	base, err := url.Parse(s.URL)
	if err != nil {
		t.Fatal(err)
	}
	n, count := newNetwork(&Options{Insecure: true, HTTP2: true}), atomic.Uint64{}
	client := n.http2Client(base, &count)
	defer client.CloseIdleConnections()
	conns := [2]*httpConn{newHTTPConn(n, nil, &count), newHTTPConn(n, nil, &count)}
	paths := [2]string{"/list", "/part"}
	for i, c := range conns {
		c.two = client
		if _, err := c.get(t.Context(), base.JoinPath("/there"), nil, 100); err != nil { // connects
			t.Fatal(err)
		}
		<-addresses
		if err := c.request(t.Context(), base.JoinPath(paths[i])); err != nil {
			t.Fatal(err)
		}
	}
	for i, c := range conns {
		var body bytes.Buffer
		if a, err := c.answer(t.Context(), &body, 5); err != nil || a.status != 200 || body.String() != paths[i] {
			t.Errorf("%s: %+v, %v, %q", paths[i], a, err, &body)
		}
	}
	if one, other := <-addresses, <-addresses; one != other || one[:6] != "HTTP/2" {
		t.Errorf("requests came by %s and %s", one, other)
	}
	var body bytes.Buffer
	if u, err := conns[0].get(t.Context(), base.JoinPath("/moved"), &body, 100); err != nil || u.Path != "/there" || body.String() != "there" {
		t.Errorf("%v, %v, %q", u, err, &body)
	}
	if _, err := conns[0].get(t.Context(), base.JoinPath("/there"), nil, 4); err == nil {
		t.Error("content that is too long is taken")
	}
	if _, err := conns[0].get(t.Context(), base.JoinPath("/none"), nil, 100); err == nil {
		t.Error("404 is taken")
	}
	if count.Load() == 0 {
		t.Error("no bytes are counted")
	}
}
