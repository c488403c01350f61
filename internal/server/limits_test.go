package server

import (
	"context"
	"errors"
	"io"
	"net"
	"net/http"
	"sync/atomic"
	"testing"

	"github.com/quic-go/quic-go"
	"golang.org/x/time/rate"

	"livego/internal/rtmp"
)

// fakeConn is a connection from an address, which counts as open until it is closed.
type fakeConn struct {
	net.Conn
	from   string
	closed atomic.Bool
}

func (c *fakeConn) RemoteAddr() net.Addr {
	addr, _ := net.ResolveTCPAddr("tcp", c.from)
	return addr
}

func (c *fakeConn) Close() error {
	c.closed.Store(true)
	return nil
}

// RFC 6177: who has an IPv6 address usually has a network of 64 bits.
func TestConnectionsCountByNetwork(t *testing.T) {
	l := newConnLimits(0, 2, 0)
	for _, tc := range []struct {
		from string
		want bool
	}{
		{"[2001:db8::1]:1", true}, {"[2001:db8::2]:2", true}, {"[2001:db8::3]:3", false}, {"[2001:db8::1:2:3:4]:4", false},
		{"[2001:db8:0:1::1]:5", true}, {"192.0.2.1:6", true}, {"192.0.2.1:7", true}, {"192.0.2.1:8", false}, {"[::ffff:192.0.2.1]:9", false}, {"192.0.2.2:10", true},
	} {
		if _, ok := l.admit(&fakeConn{from: tc.from}); ok != tc.want {
			t.Errorf("%s: admitted %v", tc.from, ok)
		}
	}
}

// TestIdleConnectionsMakeRoom: where descriptors run out, who does nothing goes, the longest first,
// and those who work stay.
func TestIdleConnectionsMakeRoom(t *testing.T) {
	l := newConnLimits(0, 0, 80)
	wantEqual(t, "connections", l.files, 40)
	wantEqual(t, "of viewers", l.viewing, 37)
	var all []*limitedConn
	for i := range l.files {
		c, ok := l.admit(&fakeConn{from: "192.0.2.1:1"})
		if !ok {
			t.Fatal("refused although there is room")
		}
		c.since.Store(int64(i))
		if i%4 == 0 && !c.use(role(i/4%2)) {
			t.Fatal("refused although there are few viewers")
		}
		all = append(all, c)
	}
	one, ok := l.admit(&fakeConn{from: "192.0.2.1:1"})
	if !ok {
		t.Fatal("there is no room although connections idle")
	}
	for i, c := range all {
		if got, want := c.Conn.(*fakeConn).closed.Load(), i == 1 || i == 2; got != want {
			t.Errorf("connection %d is closed: %v", i, got)
		}
	}
	for _, c := range append(all[3:], one) {
		if c.idle() {
			c.use(working)
		}
	}
	last, ok := l.admit(&fakeConn{from: "192.0.2.1:1"})
	wantEqual(t, "the last place is given", ok, true)
	last.use(working)
	if _, ok := l.admit(&fakeConn{from: "192.0.2.1:1"}); ok {
		t.Error("there is room although all work")
	}
	last.done(working)
	if _, ok := l.admit(&fakeConn{from: "192.0.2.1:1"}); !ok || !last.Conn.(*fakeConn).closed.Load() {
		t.Error("whose work is done does not make room")
	}
	wantEqual(t, "open", len(l.open), l.files)
}

// TestViewersLeaveRoom: they may not have all connections.
func TestViewersLeaveRoom(t *testing.T) {
	l := newConnLimits(0, 0, 80)
	var all []*limitedConn
	for range l.files {
		c, _ := l.admit(&fakeConn{from: "192.0.2.1:1"})
		all = append(all, c)
	}
	for i, c := range all {
		for range 2 { // of HTTP/2 several requests
			if got := c.use(watching); got != (i < l.viewing) {
				t.Errorf("viewer %d: %v", i, got)
			}
		}
	}
	last := all[l.files-1]
	if !last.use(working) {
		t.Error("a publisher is refused")
	}
	all[0].done(watching)
	if last.use(watching) {
		t.Error("there is room while a request of a connection goes on")
	}
	all[0].done(watching)
	if !last.use(watching) {
		t.Error("there is no room although a viewer left")
	}
	if nobody := (*limitedConn)(nil); !nobody.use(watching) {
		t.Error("a connection that nobody counts is refused")
	}
}

// TestFloodOfIdleConnections: publishers, viewers and the API go on beside it, old ones and new
// ones.
func TestFloodOfIdleConnections(t *testing.T) {
	t.Parallel()
	s := open(t, withTLS(t))
	s.limits = newConnLimits(0, 0, 120)
	for _, l := range s.listeners {
		l.limits = s.limits
	}
	s.run()
	tags := clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	w, tls := watchRTMP(t, s, "movie"), watchFLVAt(t, s.url("https", "http-flv", "/live/movie.flv"))
	awaitAll(t, []*watcher{w, tls}, tags[3])
	protocols := []string{"rtmp", "rtmps", "http-flv", "hls", "api"}
	var idle []net.Conn
	for i := range 3 * s.limits.files {
		idle = append(idle, dial(t, s.addr(protocols[i%len(protocols)])))
	}
	eventually(t, "some are closed", func() bool {
		_, err := idle[0].Read(make([]byte, 1))
		return err != nil
	})
	second := publish(t, s, "second")
	second.send(tags[:4]...)
	awaitAll(t, []*watcher{watchRTMP(t, s, "second")}, tags[3])
	wantEqual(t, "API", call(t, "GET", s.url("http", "api", "/stat/livestat")).status, http.StatusOK)
	e.send(tags[4:6]...)
	awaitAll(t, []*watcher{w, tls}, tags[5])
}

// TestNoRoomForViewers: they are told so on each port, and others are not concerned.
func TestNoRoomForViewers(t *testing.T) {
	t.Parallel()
	s := start(t)
	s.limits.viewing = 1
	e := publish(t, s, "movie")
	e.send(clip(t)[:4]...)
	w := watchRTMP(t, s, "movie")
	awaitPlayers(t, s, "movie", 1)
	for _, protocol := range []string{"http-flv", "hls"} {
		a := call(t, "GET", s.url("http", protocol, "/live/movie.flv"))
		wantEqual(t, protocol, a.status, http.StatusServiceUnavailable)
		wantContains(t, protocol, a.body, "no room for more viewers")
	}
	client, err := rtmp.Dial(t.Context(), s.url("rtmp", "rtmp", "/live/movie"), rtmp.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	var refused *rtmp.StatusError
	if err := client.Play(t.Context(), ""); !errors.As(err, &refused) || refused.Code != rtmp.CodePlayFailed {
		t.Errorf("a second RTMP player: %v", err)
	}
	wantEqual(t, "API", call(t, "GET", s.url("http", "api", "/stat/livestat")).status, http.StatusOK)
	publish(t, s, "second")
	w.leave()
	eventually(t, "there is room again", func() bool { return call(t, "GET", s.url("http", "hls", "/nothing")).status == http.StatusNotFound })
	eventually(t, "nobody is counted", func() bool { return s.limits.viewers.Load() == 0 })
}

// TestHandshakesOfHTTP3: they are bounded before they begin, and clients show their addresses when
// there are many.
func TestHandshakesOfHTTP3(t *testing.T) {
	from := &quic.ClientInfo{RemoteAddr: &net.UDPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 5}}
	h := &http3Listener{limits: newConnLimits(0, 0, 0), fresh: rate.NewLimiter(freshHandshakes, freshHandshakes)}
	doubted := 0
	for range 2 * freshHandshakes {
		if h.doubts(from.RemoteAddr) {
			doubted++
		}
	}
	if doubted < freshHandshakes/2 || doubted > freshHandshakes {
		t.Errorf("%d of %d handshakes at once are doubted", doubted, 2*freshHandshakes)
	}
	ctx, cancel := context.WithCancel(t.Context())
	for range maxHandshakes {
		if _, err := h.admit(ctx, from); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := h.admit(ctx, from); err == nil {
		t.Error("there is no bound")
	}
	h.fresh = rate.NewLimiter(rate.Inf, 1)
	if !h.doubts(from.RemoteAddr) {
		t.Error("many handshakes are under way, and nobody is doubted")
	}
	cancel() // all fail
	eventually(t, "places are free", func() bool { return h.handshakes.Load() == 0 })
	h.limits.mu.Lock()
	wantEqual(t, "connections", len(h.limits.open), 0)
	h.limits.mu.Unlock()

	h.limits = newConnLimits(0, 1, 0)
	if !h.doubts(from.RemoteAddr) {
		t.Error("connections of an address are bounded, and anybody can take them in its name")
	}
	placed, err := h.admit(t.Context(), from)
	if err != nil {
		t.Fatal(err)
	}
	if _, err := h.admit(t.Context(), from); err == nil {
		t.Error("a second connection of the address")
	}
	// Evicted before it is established: it is closed as soon as it is.
	placeIn(placed).Close()
	if !placeIn(placed).Conn.(*quicConn).closed {
		t.Error("not closed")
	}
}

// TestHTTP3PerAddress: with a bound for each address clients go through Retry, and one more is
// refused before its handshake.
func TestHTTP3PerAddress(t *testing.T) {
	t.Parallel()
	s := start(t, withTLS(t), func(o *Options) { o.HLSHTTP3, o.MaxConnectionsPerAddr = true, 2 })
	url := s.url("https", "hls", "/live/movie.m3u8")
	for range 2 {
		a, protocol := fetch(t, clientOf(t, "HTTP/3.0"), url)
		wantEqual(t, "status", a.status, http.StatusNotFound)
		wantEqual(t, "protocol", protocol, "HTTP/3.0")
	}
	if resp, err := clientOf(t, "HTTP/3.0").Get(url); err == nil {
		_, _ = io.Copy(io.Discard, resp.Body)
		resp.Body.Close()
		t.Error("a third connection is served")
	}
}
