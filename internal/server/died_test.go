package server

import (
	"errors"
	"net"
	"net/http"
	"testing"
	"time"

	"livego/internal/cluster"
)

// TestSilentHomeOfOldViewers: files of a stream are not said to be gone either where nobody has
// asked for any for a while, since somebody did, and its home says nothing now, or has died. They
// are once no node has the stream.
func TestSilentHomeOfOldViewers(t *testing.T) {
	t.Parallel()
	a := startGroup(t, 1).nodes[0]
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	registry := a.node.opt.Registry
	silent := cluster.Node{ID: "silent", Boot: "boot", State: cluster.Ready, Addr: l.Addr().String()}
	ask := func(want int) {
		t.Helper()
		a.node.homes.mu.Lock()
		a.node.homes.of["live/movie"] = remembered[cluster.Node]{silent, time.Now().Add(-time.Minute)}
		a.node.homes.mu.Unlock()
		for _, file := range []string{"/v0/1.m4s", "/index.m3u8"} {
			if got := call(t, http.MethodGet, a.url("http", "hls", "/live/movie"+file)); got.status != want {
				t.Errorf("%s: %d, want %d", file, got.status, want)
			}
		}
	}
	e, err := registry.Claim(t.Context(), "live/movie", silent)
	if err != nil {
		t.Fatal(err)
	}
	ask(http.StatusServiceUnavailable)
	if err := registry.Free(t.Context(), "live/movie", silent, e.Claim.Token, cluster.Hand{}); err != nil {
		t.Fatal(err)
	}
	ask(http.StatusNotFound)
}

// TestNewViewersOfADeadHome: who begins to watch a stream at a node that nobody asked for it yet,
// just after its home died, is not told that it is gone: who asks for a playlist gets that of the
// next home, and all others are to ask again.
func TestNewViewersOfADeadHome(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 1), clip(t)
	a := g.nodes[0]
	dead := cluster.Node{ID: "dead", Boot: "boot", State: cluster.Ready, Addr: "127.0.0.1:1"}
	if _, err := g.registry.Claim(t.Context(), "live/movie", dead); err != nil {
		t.Fatal(err)
	}
	eventually(t, "its lease is over", func() bool {
		_, err := g.registry.Lookup(t.Context(), "live/movie")
		return errors.Is(err, cluster.ErrDied)
	})
	waited := make(chan answer, 1)
	go func() { waited <- call(t, http.MethodGet, a.url("http", "hls", "/live/movie/index.m3u8")) }()
	for _, url := range []string{a.url("http", "hls", "/live/movie/v0/1.m4s"), a.url("http", "http-flv", "/live/movie.flv")} {
		if got := call(t, http.MethodGet, url); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" {
			t.Errorf("%s: %d, %v", url, got.status, got.header)
		}
	}
	wantEqual(t, "status of what never was", call(t, http.MethodGet, a.url("http", "hls", "/live/never/index.m3u8")).status, http.StatusNotFound)
	publish(t, a, "movie").perform(t, tags, 1)
	if got := receive(t, "the playlist", waited); got.status != http.StatusOK {
		t.Errorf("playlist: %d %s", got.status, got.body)
	}
}

// TestPullOfADeadHome: what a node pulled that died is pulled anew at once by the one to which the
// next viewer comes.
func TestPullOfADeadHome(t *testing.T) {
	t.Parallel()
	origin, tags := start(t), clip(t)
	a := startGroup(t, 1, func(o *Options) {
		o.Apps[0].Pull, o.Apps[0].PullIdle = origin.url("rtmp", "rtmp", "/live"), time.Minute
	}).nodes[0]
	dead := cluster.Node{ID: "dead", Boot: "boot", State: cluster.Ready, Addr: "127.0.0.1:1"}
	if _, err := a.node.opt.Registry.Claim(t.Context(), "live/movie", dead); err != nil {
		t.Fatal(err)
	}
	e := publish(t, origin, "movie")
	go e.perform(t, tags, 1)
	eventually(t, "its lease is over", func() bool {
		_, err := a.node.opt.Registry.Lookup(t.Context(), "live/movie")
		return errors.Is(err, cluster.ErrDied)
	})
	wantEqual(t, "status", call(t, http.MethodGet, a.url("http", "hls", "/live/movie/index.m3u8")).status, http.StatusOK)
	wantEqual(t, "pulls", a.logs.count("stream is pulled, as"), 1)
}
