package server

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"livego/internal/cluster"
)

// TestMuteHome: the home of a stream takes connections and says nothing, as one that was stopped.
// Who asks another node for the stream, by whatever protocol, is told so within seconds, and when
// to ask again; and gets it once the home answers.
func TestMuteHome(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1)
	a := g.nodes[0]
	l, err := net.Listen("tcp", "127.0.0.1:0") // nobody accepts
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	home := cluster.Node{ID: "mute", Addr: l.Addr().String()}
	registerNode(t, g.registry, home)
	home.Boot, home.State = "boot", cluster.Ready
	eventually(t, "the stream is the other node's", func() bool {
		_, err := g.registry.Claim(t.Context(), "live/movie", home)
		return err == nil
	})
	files := []string{
		a.url("http", "hls", "/live/movie.m3u8"),
		a.url("http", "hls", "/live/movie/index.m3u8"),
		a.url("http", "hls", "/live/movie/index-v0.m3u8?_HLS_msn=7&_HLS_part=1"),
		a.url("http", "hls", "/live/movie/v0/1.m4s"),
	}
	// Far more than it takes, and far less than a playlist may wait for.
	const seconds = 25 * time.Second
	var asking sync.WaitGroup
	for _, url := range append(files, a.url("http", "http-flv", "/live/movie.flv")) {
		asking.Go(func() {
			began := time.Now()
			got := call(t, http.MethodGet, url)
			if took := time.Since(began); got.status != http.StatusServiceUnavailable || got.header.Get("Retry-After") == "" || took > seconds {
				t.Errorf("%s: %d after %v, %v", url, got.status, took, got.header)
			}
		})
	}
	asking.Go(func() {
		err := receive(t, "the RTMP player ends", watchRTMP(t, a, "movie").ended)
		if !strings.Contains(fmt.Sprint(err), errAway.Error()) {
			t.Errorf("RTMP: %v", err)
		}
	})
	asking.Wait()
	s := &http.Server{Handler: cluster.NewHandler("mute", testSecret, cluster.Services{
		HLS:  http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { fmt.Fprint(w, r.URL.Path) }),
		Feed: func(context.Context, cluster.Request) (o cluster.Outlet, err error) { return o, cluster.ErrDraining },
	}, nil)}
	t.Cleanup(func() { s.Close() })
	go func() { _ = s.Serve(l) }()
	for _, url := range files {
		path := strings.TrimPrefix(url, a.url("http", "hls", ""))
		path, _, _ = strings.Cut(path, "?")
		eventually(t, "the home's file is there again", func() bool { return call(t, http.MethodGet, url).body == path })
	}
}
