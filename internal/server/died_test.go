package server

import (
	"errors"
	"net/http"
	"testing"

	"livego/internal/cluster"
)

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
