package server

import (
	"encoding/json"
	"net"
	"net/http"
	"testing"
	"time"

	v1 "livego/internal/api/v1"
	"livego/internal/cluster"
)

// items asks for a list of the management API.
func items[T any](t *testing.T, s *testServer, path string) []T {
	t.Helper()
	a := call(t, http.MethodGet, s.url("http", "api", "/api/v1"+path))
	var p v1.Page[T]
	if err := json.Unmarshal([]byte(a.body), &p); err != nil || a.status != http.StatusOK {
		t.Fatalf("%s: %d %s", path, a.status, a.body)
	}
	return p.Items
}

// silentNode registers a node that takes connections and says nothing.
func silentNode(t *testing.T, r cluster.Registry, id string) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	registerNode(t, r, cluster.Node{ID: id, Addr: l.Addr().String()})
}

// registerNode has a registry believe that there is a node.
func registerNode(t *testing.T, r cluster.Registry, n cluster.Node) {
	n.Boot, n.State, n.Started = "boot", cluster.Ready, time.Now()
	beating := make(chan struct{})
	t.Cleanup(func() { <-beating })
	go func() {
		defer close(beating)
		for tick := time.NewTicker(time.Second); ; {
			_, _ = r.Beat(t.Context(), n, nil)
			select {
			case <-tick.C:
			case <-t.Context().Done():
				tick.Stop()
				return
			}
		}
	}()
}

// TestListsOfAllNodes asks one node for what all have: streams with all their viewers, sessions,
// nodes; and ends a session and a stream at other nodes. Nodes that are dead or silent are listed
// as such, and hold nothing up.
func TestListsOfAllNodes(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 4, func(o *Options) { o.HLS.SegmentDuration = time.Second }), clip(t)
	a, b, c := g.nodes[0], g.nodes[1], g.nodes[2]
	silentNode(t, g.registry, "s")
	for _, s := range g.nodes {
		eventually(t, "all nodes know each other", func() bool { return len(s.node.member.Known()) == 5 })
	}
	e := publish(t, a, "movie")
	e.send(tags...)
	w := watchFLV(t, b, "movie")
	w.await(t, tags[len(tags)-1])
	watchRTMP(t, c, "movie").await(t, tags[len(tags)-1])
	watchFLV(t, a, "movie").await(t, tags[len(tags)-1])
	eventually(t, "HLS", func() bool {
		return call(t, http.MethodGet, c.url("http", "hls", "/live/movie.m3u8")).status == http.StatusOK
	})
	for _, s := range g.nodes[:3] {
		all := items[v1.Stream](t, s, "/streams")
		if len(all) != 1 || all[0].Name != "live/movie" || all[0].Node != "a" || all[0].State != "live" || len(all[0].Publications) != 1 ||
			all[0].Publications[0].Protocol != "rtmp" {
			t.Fatalf("streams: %+v", all)
		}
		by := all[0].Viewers.ByProtocol
		if all[0].Viewers.Total != 4 || by["http-flv"] != 2 || by["rtmp"] != 1 || by["hls"] != 1 {
			t.Errorf("viewers: %+v", all[0].Viewers)
		}
		if at := all[0].Viewers.ByNode; len(at) != 3 || at["a"] != 1 || at["b"] != 1 || at["c"] != 2 {
			t.Errorf("viewers by node: %v", at)
		}
	}
	at := map[string]string{}
	var kicked string
	for _, s := range items[v1.Session](t, c, "/sessions") {
		at[s.Node+" "+s.Role+" "+s.Protocol] = s.ID
		if s.Node == "b" {
			kicked = s.ID
		}
	}
	if len(at) != 4 || at["a publisher rtmp"] == "" || at["a viewer http-flv"] == "" || at["b viewer http-flv"] == "" || at["c viewer rtmp"] == "" {
		t.Errorf("sessions: %v", at)
	}

	if err := g.nodes[3].stop(); err != nil {
		t.Fatal(err)
	}
	states := func() map[string]string {
		states := map[string]string{}
		for _, n := range items[v1.Node](t, b, "/nodes") {
			states[n.ID] = n.State
			if n.Self != (n.ID == "b") {
				t.Errorf("%+v", n)
			}
		}
		return states
	}
	eventually(t, "it is known that a node has ended", func() bool { return states()["d"] == "gone" })
	if got := states(); len(got) != 5 || got["a"] != "ready" || got["b"] != "ready" || got["c"] != "ready" || got["s"] != "silent" {
		t.Errorf("nodes: %v", got)
	}

	wantEqual(t, "kick", call(t, http.MethodDelete, c.url("http", "api", "/api/v1/sessions/"+kicked)).status, http.StatusNoContent)
	w.awaitEnd(t)
	wantEqual(t, "kick again", call(t, http.MethodDelete, c.url("http", "api", "/api/v1/sessions/"+kicked)).status, http.StatusNotFound)
	wantEqual(t, "end", call(t, http.MethodDelete, c.url("http", "api", "/api/v1/streams/live%2Fmovie")).status, http.StatusNoContent)
	eventually(t, "the encoder is told", func() bool { return e.trySend(tags[0]) != nil })
	eventually(t, "nothing is on air", func() bool { return len(items[v1.Stream](t, c, "/streams")) == 0 })
}
