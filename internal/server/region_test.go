package server

import (
	"context"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"livego/internal/cluster"
	"livego/internal/live"
	"livego/internal/media"
)

// parentOf returns the node of a region that brings a stream, once all know each other, and the
// others.
func (g *group) parentOf(t *testing.T, region, stream string) (parent *testServer, others []*testServer) {
	t.Helper()
	for _, s := range g.nodes {
		eventually(t, "all nodes know each other", func() bool { return len(s.node.member.Known()) == len(g.nodes) })
	}
	first := cluster.Parents(g.nodes[0].node.member.Known(), region, stream)[0].ID
	for _, s := range g.nodes {
		switch {
		case s.opt.Cluster.ID == first:
			parent = s
		case s.opt.Cluster.Region == region:
			others = append(others, s)
		}
	}
	return parent, others
}

// TestRegions plays a stream of another region at three nodes: it comes there once, by RTMP and FLV
// as by HLS, and when the node that brings it is gone another one does.
func TestRegions(t *testing.T) {
	t.Parallel()
	g, tags := startRegions(t, []string{"us", "eu", "eu", "eu"}, func(o *Options) { o.HLS.SegmentDuration = time.Second }), clip(t)
	home := g.nodes[0]
	parent, others := g.parentOf(t, "eu", "live/movie")
	e := publish(t, home, "movie")
	e.send(tags...)
	watchers := []*watcher{watchFLV(t, others[0], "movie"), watchRTMP(t, others[1], "movie"), watchFLV(t, parent, "movie")}
	awaitAll(t, watchers, tags[len(tags)-1])
	wantEqual(t, "feeds of the home", home.logs.count("stream goes to another node\""), 1)
	wantEqual(t, "feeds of the parent", parent.logs.count("stream goes to another node\""), 2)

	eventually(t, "HLS", func() bool {
		return call(t, http.MethodGet, home.url("http", "hls", "/live/movie.m3u8")).status == http.StatusOK
	})
	viewers := home.HLSViewers()["live/movie"]
	playlist := call(t, http.MethodGet, others[0].url("http", "hls", "/live/movie.m3u8"))
	wantEqual(t, "playlist", playlist.status, http.StatusOK)
	var segment string
	for line := range strings.Lines(playlist.body) {
		if !strings.HasPrefix(line, "#") {
			segment = "/live/" + strings.TrimSpace(line)
		}
	}
	misses := parent.node.cache.Stats().Misses
	for _, s := range []*testServer{others[0], others[1], parent, others[0]} {
		wantEqual(t, "segment", call(t, http.MethodGet, s.url("http", "hls", segment)).status, http.StatusOK)
	}
	wantEqual(t, "times that the home was asked for a segment", parent.node.cache.Stats().Misses-misses, 1)
	wantEqual(t, "viewers at the home by other nodes", home.HLSViewers()["live/movie"], viewers)

	if err := parent.stop(); err != nil {
		t.Fatal(err)
	}
	later := marked(tags, 9)
	e.send(later...)
	awaitAll(t, watchers[:2], later[len(later)-1])
	wantEqual(t, "segment without the parent", call(t, http.MethodGet, others[1].url("http", "hls", segment)).status, http.StatusOK)
	e.unpublish()
	for _, w := range watchers[:2] {
		w.awaitEnd(t)
	}
}

// blind is a registry that does not show a node itself, so that it takes another one for the
// parent.
type blind struct {
	cluster.Registry
	id string
}

func (b blind) Nodes(ctx context.Context) ([]cluster.Node, error) {
	all, err := b.Registry.Nodes(ctx)
	return slices.DeleteFunc(slices.Clone(all), func(n cluster.Node) bool { return n.ID == b.id }), err
}

// TestRegionInDisagreement: two nodes, each of which takes the other for the one that brings
// streams, still bring them, in no circle.
func TestRegionInDisagreement(t *testing.T) {
	t.Parallel()
	g, tags := startRegions(t, []string{"us", "eu", "eu"}, func(o *Options) {
		o.HLS.SegmentDuration = time.Second
		o.Cluster.Registry = blind{o.Cluster.Registry, o.Cluster.ID}
	}), clip(t)
	home := g.nodes[0]
	for _, s := range g.nodes {
		eventually(t, "the others are known", func() bool { return len(s.node.member.Known()) == 2 })
	}
	e := publish(t, home, "movie")
	e.send(tags...)
	watchers := []*watcher{watchFLV(t, g.nodes[1], "movie"), watchFLV(t, g.nodes[2], "movie")}
	awaitAll(t, watchers, tags[len(tags)-1])
	eventually(t, "HLS at the home", func() bool {
		return call(t, http.MethodGet, home.url("http", "hls", "/live/movie.m3u8")).status == http.StatusOK
	})
	statuses := make(chan int)
	for i := range 10 {
		go func() {
			statuses <- call(t, http.MethodGet, g.nodes[1+i%2].url("http", "hls", "/live/movie.m3u8")).status
		}()
	}
	for range 10 {
		wantEqual(t, "playlist", receive(t, "playlist", statuses), http.StatusOK)
	}
}

// TestArrivalAtOtherNodes: units say at each node when they came to the first one.
func TestArrivalAtOtherNodes(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2), clip(t)
	e := publish(t, g.nodes[0], "movie")
	e.send(tags[:len(tags)/2]...)
	watchFLV(t, g.nodes[1], "movie").await(t, tags[len(tags)/2-1])
	arrivals := func(s *testServer) []int64 {
		pub, ok := s.hub.Lookup(live.Name{App: "live", Stream: "movie"})
		if !ok {
			t.Fatal("no stream")
		}
		r := pub.NewReader(live.ReaderOptions{GOPs: 1})
		defer r.Close()
		var all []int64
		units := make([]media.AccessUnit, 8)
		for len(all) < 20 {
			n, err := r.Read(t.Context(), units)
			if err != nil {
				t.Fatal(err)
			}
			for i := range n {
				if units[i].Header == media.Sample {
					all = append(all, units[i].Arrived/int64(time.Millisecond))
				}
			}
		}
		return all[:20]
	}
	first, second := arrivals(g.nodes[0]), arrivals(g.nodes[1])
	if !slices.Equal(first, second) {
		t.Errorf("arrived at %v, and at the other node at %v", first, second)
	}
}
