package http1

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// patience only passes when something is broken.
const patience = 15 * time.Second

// heldConn is a connection as the server's listeners give them out.
type heldConn struct {
	*net.TCPConn
	mu     sync.Mutex
	holds  int
	closed bool
}

func (c *heldConn) NetConn() net.Conn { return c.TCPConn }

func (c *heldConn) Hold() bool {
	c.mu.Lock()
	defer c.mu.Unlock()
	if !c.closed {
		c.holds++
	}
	return !c.closed
}

func (c *heldConn) Release() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.holds--; c.holds == 0 && c.closed {
		c.TCPConn.Close()
	}
}

func (c *heldConn) Close() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.closed = true; c.holds > 0 {
		return c.TCPConn.CloseRead()
	}
	return c.TCPConn.Close()
}

type heldListener struct{ net.Listener }

func (l heldListener) Accept() (net.Conn, error) {
	c, err := l.Listener.Accept()
	if err != nil {
		return nil, err
	}
	return &heldConn{TCPConn: c.(*net.TCPConn)}, nil
}

// site answers
//
//	/now        at once
//	/wait       when open is closed, or that it was late, or that the client is gone
//	/blocking   with Elsewhere from the loop
//	/cold       never from the loop
//	/big        with 4 MiB in pieces
//	/short      at once, and has peek called
//	/panic      not at all
type site struct {
	t     *testing.T
	open  chan struct{}
	limit time.Duration
	// waiting counts requests that wait, inLoop those that the loop answered, each shared ones.
	waiting, begun, inLoop, each atomic.Int64
	calls                        atomic.Int64
	gone                         atomic.Int64
	// order has a letter for each shared answer to who asked with a query, by loop.
	mu    sync.Mutex
	order map[Waiter]string
	// big is what /big has.
	big net.Buffers
	// peek, if set, is told of requests for /short in the loop.
	peek   func(Waiter)
	srv    *Server
	secure bool
	std    *http.Server
	addr   string
}

func (s *site) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	waiter := WaiterOf(w)
	if waiter != nil {
		s.inLoop.Add(1)
	}
	switch r.URL.Path {
	case "/wait":
		s.wait(w, r, waiter)
	case "/blocking":
		if waiter != nil {
			waiter.Elsewhere()
			return
		}
		fmt.Fprint(w, "from net/http")
	case "/big":
		pieces := slices.Clone(s.big)
		w.Header().Set("Content-Length", "4194304")
		_, _ = w.(io.ReaderFrom).ReadFrom(&pieces)
	case "/short":
		if s.peek != nil && waiter != nil {
			s.peek(waiter)
		}
		fmt.Fprint(w, "short")
	case "/panic":
		panic("on purpose")
	default:
		fmt.Fprint(w, r.URL.Path, " ", r.RemoteAddr != "")
	}
}

func (s *site) wait(w http.ResponseWriter, r *http.Request, waiter Waiter) {
	s.calls.Add(1)
	select {
	case <-s.open:
	default:
		if waiter == nil {
			s.t.Error("the request does not wait in the loop")
			return
		}
		s.waiting.Add(1)
		outcome := waiter.Wait(s.open, s.limit, func() { s.waiting.Add(-1) })
		if outcome == Waiting {
			return
		}
		s.waiting.Add(-1)
		if outcome == Gone {
			s.gone.Add(1)
		}
		http.Error(w, fmt.Sprint("outcome ", outcome), http.StatusServiceUnavailable)
		return
	}
	kind := "l"
	fmt.Fprint(w, "open")
	if r.URL.RawQuery == "media" {
		kind = "m"
		fmt.Fprint(w, strings.Repeat("m", 4*joined))
	}
	if waiter != nil {
		waiter.Share(func() {
			s.each.Add(1)
			if r.URL.RawQuery != "" {
				s.note(waiter, kind)
			}
		})
	}
}

func (s *site) note(loop Waiter, kind string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.order[loop] += kind
}

// plainAndSecure runs a test with a site without TLS and with one.
func plainAndSecure(t *testing.T, test func(t *testing.T, s *site)) {
	t.Helper()
	for name, secure := range map[string]bool{"plain": false, "TLS": true} {
		t.Run(name, func(t *testing.T) { test(t, newSite(t, secure)) })
	}
}

func newSite(t *testing.T, secure bool) *site {
	t.Helper()
	s := &site{t: t, secure: secure, open: make(chan struct{}), limit: time.Hour, order: make(map[Waiter]string)}
	for i := range 64 {
		s.big = append(s.big, bytes.Repeat([]byte{byte('a' + i%26)}, 64<<10))
	}
	s.std = &http.Server{Handler: s, ReadTimeout: patience, IdleTimeout: patience, WriteTimeout: patience}
	return s
}

func (s *site) start() *site {
	s.t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		s.t.Fatal(err)
	}
	s.addr = l.Addr().String()
	var over *tls.Config
	if s.secure {
		over = serverTLS(s.t)
	}
	s.srv = New(s.std, Options{
		Rings: true, TLS: over,
		Handler: s, Hot: func(r *http.Request) bool { return r.URL.Path != "/cold" },
		Begin: func(net.Conn) bool { s.begun.Add(1); return true }, End: func(net.Conn) { s.begun.Add(-1) },
		Panicked: func(_ *http.Request, v any) {
			if v != "on purpose" {
				s.t.Error(v)
			}
		},
	})
	served := make(chan error, 1)
	go func() { served <- s.srv.Serve(heldListener{l}) }()
	s.t.Cleanup(func() {
		l.Close()
		<-served
		s.srv.Close()
		if s.begun.Load() != 0 || s.waiting.Load() != 0 {
			s.t.Errorf("%d requests are not over, %d wait", s.begun.Load(), s.waiting.Load())
		}
	})
	return s
}

// serverTLS has a certificate that costs little to show.
func serverTLS(t *testing.T) *tls.Config {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	of := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour)}
	der, err := x509.CreateCertificate(rand.Reader, of, of, key.Public(), key)
	if err != nil {
		t.Fatal(err)
	}
	return &tls.Config{Certificates: []tls.Certificate{{Certificate: [][]byte{der}, PrivateKey: key}}, NextProtos: []string{"h2", "http/1.1"}}
}

func clientTLS() *tls.Config { return &tls.Config{InsecureSkipVerify: true} }

// client is one connection.
type client struct {
	t *testing.T
	net.Conn
	tcp *net.TCPConn
	in  *bufio.Reader
}

// CloseWrite ends its side.
func (c *client) CloseWrite() error { return c.Conn.(interface{ CloseWrite() error }).CloseWrite() }

func (s *site) dial() *client {
	s.t.Helper()
	c, err := net.Dial("tcp", s.addr)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { c.Close() })
	tcp := c.(*net.TCPConn)
	if s.secure {
		c = tls.Client(c, clientTLS())
	}
	return &client{s.t, c, tcp, bufio.NewReader(c)}
}

func (c *client) ask(paths ...string) {
	c.t.Helper()
	text := ""
	for _, path := range paths {
		text += "GET " + path + " HTTP/1.1\r\nHost: h\r\n\r\n"
	}
	if _, err := io.WriteString(c, text); err != nil {
		c.t.Fatal(err)
	}
}

// want reads an answer.
func (c *client) want(status int, body string) {
	c.t.Helper()
	r, err := http.ReadResponse(c.in, nil)
	if err != nil {
		c.t.Fatal(err)
	}
	defer r.Body.Close()
	got, err := io.ReadAll(r.Body)
	if err != nil || r.StatusCode != status || string(got) != body {
		c.t.Fatalf("%d %.60q %v, want %d %.60q", r.StatusCode, got, err, status, body)
	}
}

func (c *client) wantEnd() {
	c.t.Helper()
	if b, err := c.in.ReadByte(); err == nil || errors.Is(err, os.ErrDeadlineExceeded) {
		c.t.Fatalf("%q %v, want the end of the connection", b, err)
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	if !await(ok) {
		t.Fatal(what)
	}
}

// await waits until something is so, and returns whether it is.
func await(ok func() bool) bool {
	for end := time.Now().Add(patience); !ok(); time.Sleep(time.Millisecond) {
		if time.Now().After(end) {
			return false
		}
	}
	return true
}

// TestConnectionsComeBack: between requests for net/http a connection is in the loop.
func TestConnectionsComeBack(t *testing.T) {
	plainAndSecure(t, func(t *testing.T, s *site) {
		s.start()
		c := s.dial()
		for range 3 {
			for path, body := range map[string]string{"/now": "/now true", "/cold": "/cold true", "/blocking": "from net/http"} {
				c.ask(path)
				c.want(200, body)
			}
		}
		if n := s.inLoop.Load(); n != 6 {
			t.Errorf("%d calls from the loop, want 6", n)
		}
	})
}

// TestPipelining: answers come in the order of requests, whoever gives them, also when what comes
// first waits.
func TestPipelining(t *testing.T) {
	plainAndSecure(t, func(t *testing.T, s *site) {
		s.start()
		c := s.dial()
		c.ask("/now", "/wait", "/now?2", "/big", "/cold", "/wait", "/now")
		c.want(200, "/now true")
		eventually(t, "nothing waits", func() bool { return s.waiting.Load() == 1 })
		close(s.open)
		c.want(200, "open")
		c.want(200, "/now true")
		r, err := http.ReadResponse(c.in, nil)
		if err != nil {
			t.Fatal(err)
		}
		if n, err := io.Copy(io.Discard, r.Body); n != 4<<20 || err != nil {
			t.Fatal(n, err)
		}
		c.want(200, "/cold true")
		c.want(200, "open")
		c.want(200, "/now true")
	})
}

// TestOneAnswerForAll: those who wait for the same cause one call of the handler when it comes.
func TestOneAnswerForAll(t *testing.T) {
	plainAndSecure(t, func(t *testing.T, s *site) {
		s.start()
		viewers := int64(200)
		if s.secure { // each has a handshake
			viewers = 50
		}
		var all []*client
		for range viewers {
			c := s.dial()
			c.ask("/wait")
			all = append(all, c)
		}
		eventually(t, "not all wait", func() bool { return s.waiting.Load() == viewers })
		close(s.open)
		for _, c := range all {
			c.want(200, "open")
		}
		again := s.calls.Load() - viewers
		if again+s.each.Load() != viewers || again > 64 {
			t.Errorf("%d calls and %d shared answers for %d requests", again, s.each.Load(), viewers)
		}
	})
}

func TestWaitsEnd(t *testing.T) {
	plainAndSecure(t, func(t *testing.T, s *site) {
		s.limit = 10 * time.Millisecond
		s.start()
		c := s.dial()
		c.ask("/wait")
		c.want(503, "outcome 1\n")
		c.ask("/now")
		c.want(200, "/now true")
	})
}

// TestClientsThatLeave: who ends his side while he waits is gone, unless he has asked for more.
func TestClientsThatLeave(t *testing.T) {
	plainAndSecure(t, func(t *testing.T, s *site) {
		s.start()
		c := s.dial()
		c.ask("/wait")
		eventually(t, "nothing waits", func() bool { return s.waiting.Load() == 1 })
		_ = c.CloseWrite()
		c.want(503, "outcome 2\n")
		c.wantEnd()
		more := s.dial()
		more.ask("/wait", "/now")
		eventually(t, "nothing waits", func() bool { return s.waiting.Load() == 1 })
		_ = more.CloseWrite()
		lost := s.dial()
		lost.ask("/wait")
		eventually(t, "not both wait", func() bool { return s.waiting.Load() == 2 })
		_ = lost.tcp.SetLinger(0)
		lost.tcp.Close()
		eventually(t, "a lost client is waited for", func() bool { return s.waiting.Load() == 1 })
		close(s.open)
		more.want(200, "open")
		more.want(200, "/now true")
		more.wantEnd()
	})
}

// TestSlowClients: who takes too long for a head, who is idle, and who does not read his answer
// loses his connection.
func TestSlowClients(t *testing.T) {
	plainAndSecure(t, func(t *testing.T, s *site) {
		s.std.ReadTimeout, s.std.IdleTimeout, s.std.WriteTimeout = 2*time.Second, 2*time.Second, 100*time.Millisecond
		s.start()
		silent, slow, idle, stopped := s.dial(), s.dial(), s.dial(), s.dial()
		stopped.ask("/big", "/big", "/big", "/big", "/big", "/big", "/big", "/big")
		idle.ask("/now")
		idle.want(200, "/now true")
		_, _ = io.WriteString(slow, "GET /now HTT")
		silent.wantEnd()
		slow.wantEnd()
		idle.wantEnd()
		time.Sleep(300 * time.Millisecond)
		if n, err := io.Copy(io.Discard, stopped.in); n >= 8*4<<20 {
			t.Errorf("%d bytes, %v", n, err)
		}
	})
}

func TestPanicsEndTheConnection(t *testing.T) {
	plainAndSecure(t, func(t *testing.T, s *site) {
		s.start()
		c := s.dial()
		c.ask("/panic")
		c.wantEnd()
	})
}

// TestShutdown lets requests under way end, and nothing else begin.
func TestShutdown(t *testing.T) {
	plainAndSecure(t, func(t *testing.T, s *site) {
		s.start()
		idle, waits := s.dial(), s.dial()
		idle.ask("/now")
		idle.want(200, "/now true")
		waits.ask("/wait")
		eventually(t, "nothing waits", func() bool { return s.waiting.Load() == 1 })
		down := make(chan error, 1)
		go func() { down <- s.srv.Shutdown(context.Background()) }()
		idle.wantEnd()
		close(s.open)
		waits.want(200, "open")
		waits.wantEnd()
		if err := <-down; err != nil {
			t.Error(err)
		}
	})
}

// TestHandshakes: who speaks no TLS is told so, who does not come to an end is cut off, and both
// are noticed.
func TestHandshakes(t *testing.T) {
	s := newSite(t, true)
	var closed atomic.Int64
	s.std.ReadTimeout = 500 * time.Millisecond
	s.std.ConnState = func(c net.Conn, state http.ConnState) {
		if over, ok := c.(*tls.Conn); ok && state == http.StateClosed && !over.ConnectionState().HandshakeComplete {
			closed.Add(1)
		}
	}
	s.start()
	for _, said := range []string{"GET / HTTP/1.1\r\nHost: h\r\n\r\n", "", "\x16\x03\x01\x02\x00"} {
		c := s.dial()
		_, _ = io.WriteString(c.tcp, said)
		answer, _ := io.ReadAll(c.tcp)
		if plain := strings.HasPrefix(said, "GET"); plain != strings.HasPrefix(string(answer), "HTTP/1.0 400 Bad Request\r\n") {
			t.Errorf("%q is answered with %q", said, answer)
		}
	}
	eventually(t, "not all are noticed", func() bool { return closed.Load() == 3 })
	c := s.dial()
	c.ask("/now")
	c.want(200, "/now true")
	if s.inLoop.Load() != 1 {
		t.Error("the request was not answered in the loop")
	}
}

// TestOthersBetween: while very many who waited for the same are answered, others have their turn.
func TestOthersBetween(t *testing.T) {
	s := newSite(t, false).start()
	const all = 200
	var clients []*client
	for range all {
		c := s.dial()
		c.ask("/wait?media")
		clients = append(clients, c)
	}
	eventually(t, "not all wait", func() bool { return s.waiting.Load() == all })
	loops := s.srv.loops.list()
	held, ready, between := make(chan struct{}, len(loops)), make(chan struct{}, len(loops)), make([]int, len(loops))
	for i, l := range loops {
		l.post(func() {
			l.waveTime = 0
			held <- struct{}{}
			came := func() bool { // it is posted behind this
				l.mu.Lock()
				defer l.mu.Unlock()
				return len(l.inbox) > 0
			}
			if !await(came) { // what fails here would end the loop
				t.Error("what they wait for does not come")
			}
			l.post(func() { // as what another client asks for
				s.mu.Lock()
				defer s.mu.Unlock()
				between[i] = len(s.order[&l.response])
				ready <- struct{}{}
			})
		})
	}
	for range loops {
		<-held
	}
	close(s.open)
	for range loops {
		<-ready
	}
	for _, c := range clients {
		c.want(200, "open"+strings.Repeat("m", 4*joined))
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for i, l := range loops {
		if n := len(s.order[&l.response]); between[i] == n {
			t.Errorf("all %d were answered before anybody else", n)
		}
	}
}

// TestShortBetweenLong: where very many ask for what is long at the same time, who asks for what is
// short then need not wait until each of them has got as much as goes out at once.
func TestShortBetweenLong(t *testing.T) {
	s := newSite(t, false).start()
	first := s.dial()
	first.ask("/now")
	first.want(200, "/now true")
	loops := s.srv.loops.list()
	const each = 2 * maxTurns
	var long, short []*client
	for i := range (each + 1) * len(loops) {
		c := s.dial()
		c.ask("/now")
		c.want(200, "/now true")
		if i < each*len(loops) {
			long = append(long, c)
		} else {
			short = append(short, c)
		}
	}
	unsent := make(map[Waiter]int)
	s.peek = func(w Waiter) {
		s.mu.Lock()
		defer s.mu.Unlock()
		for _, l := range loops {
			if w != Waiter(&l.response) {
				continue // another goroutine has it
			}
			for _, c := range l.conns {
				if c.state == writing && len(c.out) == 65 { // with its head
					unsent[w]++
				}
			}
		}
	}
	held, release := make(chan struct{}), make(chan struct{})
	for _, l := range loops {
		l.post(func() { held <- struct{}{}; <-release })
		<-held
	}
	for _, c := range long {
		c.ask("/big")
	}
	for _, c := range short {
		c.ask("/short")
	}
	close(release)
	for _, c := range short {
		c.want(200, "short")
	}
	s.mu.Lock()
	for i, l := range loops {
		if n := unsent[&l.response]; n < each-maxTurns {
			t.Errorf("loop %d: of %d long answers %d had not begun", i, each, n)
		}
	}
	s.mu.Unlock()
	r, err := http.ReadResponse(long[len(long)-1].in, nil) // it had to wait
	if err != nil {
		t.Fatal(err)
	}
	if n, err := io.Copy(io.Discard, r.Body); n != 4<<20 || err != nil {
		t.Errorf("%d bytes: %v", n, err)
	}
}

// TestMediaFirst: of those who wait for the same moment, who wait for media get theirs first, for
// playlists are needed a part later.
func TestMediaFirst(t *testing.T) {
	s := newSite(t, false).start()
	const each = 50
	var all []*client
	for _, path := range []string{"/wait?list", "/wait?media"} {
		for range each {
			c := s.dial()
			c.ask(path)
			all = append(all, c)
		}
	}
	eventually(t, "not all wait", func() bool { return s.waiting.Load() == 2*each })
	close(s.open)
	for i, c := range all {
		if i < each {
			c.want(200, "open")
		} else {
			c.want(200, "open"+strings.Repeat("m", 4*joined))
		}
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, order := range s.order {
		if strings.LastIndex(order, "m") > strings.Index(order, "l") {
			t.Errorf("media and lists were answered in the order %s", order)
		}
	}
	if len(s.order) == 0 {
		t.Error("no answer was shared")
	}
}
