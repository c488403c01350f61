package server

import (
	"errors"
	"io"
	"net"
	"net/http"
	"testing"

	"livego/internal/listen"
	"livego/internal/rtmp"
)

// TestFloodOfIdleConnections: publishers, viewers and the API go on beside it, old ones and new
// ones.
func TestFloodOfIdleConnections(t *testing.T) {
	t.Parallel()
	s := open(t, withTLS(t))
	s.limits = listen.NewLimits(0, 0, 120)
	for _, l := range s.listeners {
		l.Limits = s.limits
	}
	s.run()
	tags := clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	w, tls := watchRTMP(t, s, "movie"), watchFLVAt(t, s.url("https", "http-flv", "/live/movie.flv"))
	awaitAll(t, []*watcher{w, tls}, tags[3])
	protocols := []string{"rtmp", "rtmps", "http-flv", "hls", "api"}
	var idle []net.Conn
	for i := range 3 * s.limits.Figures().Limit {
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
	s := open(t)
	s.limits = listen.NewLimits(0, 0, 256)
	for _, l := range s.listeners {
		l.Limits = s.limits
	}
	for range s.limits.Figures().ViewerLimit - 1 {
		nc, _ := net.Pipe()
		others, ok := s.limits.Admit(nc)
		wantEqual(t, "there is room for other viewers", ok && others.Use(listen.Watching), true)
		defer others.Done(listen.Watching)
	}
	s.run()
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
	eventually(t, "nobody else is counted", func() bool { f := s.limits.Figures(); return f.Viewers == f.ViewerLimit-1 })
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
