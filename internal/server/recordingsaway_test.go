package server

import (
	"errors"
	"fmt"
	"net/http"
	"sync"
	"sync/atomic"
	"testing"

	"livego/internal/cluster"
	"livego/internal/record"
)

// TestRecordingPlaces: all who look for a recording at once ask once; that it is not known where it
// is, is not remembered; and too many questions are not asked.
func TestRecordingPlaces(t *testing.T) {
	t.Parallel()
	p := newRecordingPlaces()
	var asked atomic.Int64
	free := make(chan struct{})
	var all sync.WaitGroup
	for range 20 {
		all.Go(func() {
			at, err := p.find("one", func() (cluster.Node, error) { asked.Add(1); <-free; return cluster.Node{ID: "a"}, nil })
			if err != nil || at.ID != "a" {
				t.Errorf("%+v, %v", at, err)
			}
		})
	}
	eventually(t, "it is asked", func() bool { return asked.Load() > 0 })
	close(free)
	all.Wait()
	wantEqual(t, "questions", asked.Load(), 1)

	for range 2 {
		if _, err := p.find("two", func() (cluster.Node, error) { asked.Add(1); return cluster.Node{}, errNoPlace }); !errors.Is(err, errNoPlace) {
			t.Errorf("error %v", err)
		}
	}
	wantEqual(t, "questions", asked.Load(), 3)

	refused := 0
	for i := range 10 * newPlaces {
		if _, err := p.find(fmt.Sprint(i), func() (cluster.Node, error) { return cluster.Node{}, nil }); err != nil {
			refused++
		}
	}
	if refused == 0 {
		t.Error("all questions are asked, however many there are")
	}
}

// TestRecordingOfMuteNode: while a node does not say what it has, a recording that no other one has
// may be there.
func TestRecordingOfMuteNode(t *testing.T) {
	t.Parallel()
	g := startGroup(t, 1, func(o *Options) { recordingTo(t, t.TempDir(), record.ByAPI)(o) })
	a := g.nodes[0]
	silentNode(t, g.registry, "s")
	eventually(t, "the mute node is known", func() bool { return len(a.node.member.Known()) == 2 })
	got := call(t, http.MethodGet, a.url("http", "hls", "/rec/live/movie/none/index.m3u8"))
	wantEqual(t, "status", got.status, http.StatusServiceUnavailable)
	wantEqual(t, "Retry-After", got.header.Get("Retry-After"), "1")
	wantEqual(t, "delete", call(t, http.MethodDelete, a.url("http", "api", "/api/v1/recordings/none")).status, http.StatusServiceUnavailable)
}
