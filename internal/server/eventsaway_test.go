package server

import (
	"bufio"
	"context"
	"encoding/json"
	"net/http"
	"strings"
	"testing"

	v1 "livego/internal/api/v1"
	"livego/internal/event"
)

// followEvents returns the events that the management API tells, as they come.
func followEvents(t *testing.T, s *testServer, query string) <-chan v1.Event {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, http.MethodGet, s.url("http", "api", "/api/v1/events"+query), nil)
	if err != nil {
		t.Fatal(err)
	}
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	events := make(chan v1.Event, 100)
	go func() {
		defer answer.Body.Close()
		for lines := bufio.NewScanner(answer.Body); lines.Scan(); {
			var e v1.Event
			if text, ok := strings.CutPrefix(lines.Text(), "data: "); ok && json.Unmarshal([]byte(text), &e) == nil {
				events <- e
			}
		}
	}()
	return events
}

// awaitEvent waits for an event of a type.
func awaitEvent(t *testing.T, events <-chan v1.Event, want event.Type) v1.Event {
	t.Helper()
	for {
		switch e := receive(t, string(want), events); e.Type {
		case string(want):
			return e
		case "":
			t.FailNow()
		}
	}
}

// TestEventsOfAllNodes: who follows events at one node hears what happens at all of them, once
// each, also of nodes that come later and of viewers, if it wants to.
func TestEventsOfAllNodes(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	eventually(t, "the nodes know each other", func() bool { return len(a.node.member.Known()) == 2 && len(b.node.member.Known()) == 2 })
	events := followEvents(t, b, "?types=stream.started,stream.ended,viewer.joined,server.started")
	eventually(t, "the other node is followed", func() bool { return a.logs.count("another node follows what happens here") > 0 })
	e := publish(t, a, "movie")
	e.send(tags...)
	begun := awaitEvent(t, events, event.StreamStarted)
	wantEqual(t, "stream", begun.Stream, "live/movie")
	wantEqual(t, "node", begun.Node, "a")
	wantEqual(t, "protocol", begun.Session.Protocol, "rtmp")
	w := watchFLV(t, a, "movie")
	w.await(t, tags[len(tags)-1])
	wantEqual(t, "node of the viewer", awaitEvent(t, events, event.ViewerJoined).Node, "a")

	start(t, func(o *Options) {
		o.Keys = g.keys
		o.Cluster.Addr, o.Cluster.ID, o.Cluster.Secret, o.Cluster.Registry = "127.0.0.1:0", "c", testSecret, g.registry
	})
	wantEqual(t, "a node that comes later", awaitEvent(t, events, event.ServerStarted).Node, "c")

	e.unpublish()
	ended := awaitEvent(t, events, event.StreamEnded)
	wantEqual(t, "node of the end", ended.Node, "a")
	if data, _ := json.Marshal(ended.Data); !strings.Contains(string(data), "unpublished") {
		t.Errorf("data %s", data)
	}
}
