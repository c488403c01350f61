package server

import (
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "livego/internal/api/v1"
	"livego/internal/record"
)

// TestPushFromAnotherNode begins a push at a node that does not have the stream: it waits for it,
// gets it from its home, and all nodes list it, refuse a second one, and can end it.
func TestPushFromAnotherNode(t *testing.T) {
	t.Parallel()
	g, target, tags := startGroup(t, 2), start(t), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	eventually(t, "the nodes know each other", func() bool { return len(a.node.member.Known()) == 2 && len(b.node.member.Known()) == 2 })
	url := "rtmp://" + target.addr("rtmp") + "/live/" + target.key("copy")
	begin := func(s *testServer, status int) {
		resourceWith[struct{}](t, s, http.MethodPost, "/streams/live%2Fmovie/pushes", `{"url":"`+url+`"}`, status)
	}
	begin(b, http.StatusOK)
	begin(b, http.StatusConflict)
	begin(a, http.StatusConflict)

	e := publish(t, a, "movie")
	e.send(tags[:4]...)
	awaitPublishers(t, target, "copy", 1)
	w := watchFLV(t, target, "copy")
	e.send(tags[4:]...)
	w.await(t, tags[len(tags)-1])
	for _, s := range g.nodes {
		all := items[v1.Relay](t, s, "/streams/live%2Fmovie/pushes")
		if len(all) != 1 || all[0].Node != "b" {
			t.Fatalf("pushes: %+v", all)
		}
		if s == a {
			path := "/api/v1/streams/live%2Fmovie/pushes/" + all[0].ID
			wantEqual(t, "end", call(t, http.MethodDelete, b.url("http", "api", path)).status, http.StatusNoContent)
			begin(b, http.StatusOK)
			wantEqual(t, "end from the other node", call(t, http.MethodDelete, a.url("http", "api", path)).status, http.StatusNoContent)
			begin(b, http.StatusOK)
		}
	}
}

// TestStaticPushMoves: a stream that moves to another home is pushed from there, and no more from
// where its encoder stays.
func TestStaticPushMoves(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2, func(o *Options) {
		o.DrainPublishers, o.Apps[0].StaticPush = time.Minute, []string{"rtmp://127.0.0.1:1/live"}
	}), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	e := publish(t, a, "movie")
	e.send(tags...)
	eventually(t, "its home pushes it", func() bool { return len(a.relays.List()) == 1 && len(b.relays.List()) == 0 })
	a.endItself("")
	eventually(t, "its next home pushes it", func() bool {
		e.perform(t, tags, 1)
		return len(a.relays.List()) == 0 && len(b.relays.List()) == 1
	})
	awaitPublishers(t, b, "movie", 1)
}

// TestRecordingsOfAllNodes: each node lists the recordings of all, and begins, shows, stops and
// deletes that of a stream which another node has.
func TestRecordingsOfAllNodes(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 2, func(o *Options) {
		recordingTo(t, t.TempDir(), record.ByAPI)(o)
	})
	a, b := g.nodes[0], g.nodes[1]
	eventually(t, "the nodes know each other", func() bool { return len(a.node.member.Known()) == 2 && len(b.node.member.Known()) == 2 })
	e := publish(t, a, "movie")
	defer e.performUntil(t)()
	of := func(method string) answer {
		return call(t, method, b.url("http", "api", "/api/v1/streams/live%2Fmovie/recording"))
	}
	eventually(t, "it is packaged", func() bool {
		return call(t, http.MethodGet, a.url("http", "hls", "/live/movie/index.m3u8")).status == http.StatusOK
	})
	wantEqual(t, "show what is not recorded", of(http.MethodGet).status, http.StatusNotFound)
	wantEqual(t, "stop what is not recorded", of(http.MethodDelete).status, http.StatusNotFound)
	eventually(t, "it is recorded", func() bool { return of(http.MethodPut).status == http.StatusOK })
	eventually(t, "it has segments", func() bool {
		all := items[v1.Recording](t, b, "/recordings")
		return len(all) == 1 && all[0].Node == "a" && all[0].Bytes > 0
	})
	id := items[v1.Recording](t, b, "/recordings")[0].ID
	wantContains(t, "recording", of(http.MethodGet).body, id)
	path := items[v1.Recording](t, b, "/recordings")[0].Path
	playlist := call(t, http.MethodGet, b.url("http", "hls", path))
	wantEqual(t, "the playlist at the other node", playlist.body, call(t, http.MethodGet, a.url("http", "hls", path)).body)
	wantEqual(t, "its type", playlist.header.Get("Content-Type"), "application/vnd.apple.mpegurl")
	folder := strings.TrimSuffix(path, "index.m3u8")
	part := call(t, http.MethodGet, b.url("http", "hls", folder+"clip.mp4"), "Range: bytes=4-7")
	wantEqual(t, "a part of a clip", part.body, "ftyp")
	wantEqual(t, "what there is not", call(t, http.MethodGet, b.url("http", "hls", folder+"v9.m3u8")).status, http.StatusNotFound)
	wantEqual(t, "another stream's", call(t, http.MethodGet, b.url("http", "hls", strings.Replace(path, "movie", "other", 1))).status, http.StatusNotFound)
	wantEqual(t, "a recording that there is not", call(t, http.MethodGet, b.url("http", "hls", "/rec/live/movie/none/index.m3u8")).status, http.StatusNotFound)
	one := b.url("http", "api", "/api/v1/recordings/"+id)
	wantEqual(t, "delete one that goes on", call(t, http.MethodDelete, one).status, http.StatusConflict)
	wantEqual(t, "stop", of(http.MethodDelete).status, http.StatusNoContent)
	eventually(t, "it is complete, and deleted", func() bool { return call(t, http.MethodDelete, one).status == http.StatusNoContent })
	wantEqual(t, "delete again", call(t, http.MethodDelete, one).status, http.StatusNotFound)
	wantEqual(t, "what is listed", len(items[v1.Recording](t, a, "/recordings")), 0)
}

// TestDrainByTheAPI: a node is told by another to end. Its stream moves, and its process ends.
func TestDrainByTheAPI(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 2)
	a, b := g.nodes[0], g.nodes[1]
	eventually(t, "the nodes know each other", func() bool { return len(a.node.member.Known()) == 2 && len(b.node.member.Known()) == 2 })
	drain := func(s *testServer, id string) int {
		return call(t, http.MethodPost, s.url("http", "api", "/api/v1/nodes/"+id+"/drain?reason=new+disk")).status
	}
	wantEqual(t, "a node that there is not", drain(b, "z"), http.StatusNotFound)
	wantEqual(t, "another node", drain(b, "a"), http.StatusAccepted)
	eventually(t, "it ends", func() bool { return a.logs.count("new disk") > 0 })
	a.ends(t)
	eventually(t, "its end is known", func() bool { return drain(b, "a") == http.StatusNotFound })
	wantEqual(t, "itself", drain(b, "b"), http.StatusAccepted)
	b.ends(t)
}

// ends waits until a server has ended by itself.
func (s *testServer) ends(t *testing.T) {
	t.Helper()
	s.once.Do(func() { s.ended = receive(t, "end of Run", s.result) })
	if s.ended != nil {
		t.Error(s.ended)
	}
}
