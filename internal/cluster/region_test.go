package cluster

import (
	"fmt"
	"testing"
)

// TestParents: the order depends on names only, streams are spread, and a node that goes takes
// nobody else's streams with it.
func TestParents(t *testing.T) {
	var nodes []Node
	for i := range 10 {
		nodes = append(nodes, Node{ID: fmt.Sprint("n", i), Region: "eu", State: Ready, Alive: true})
	}
	others := []Node{
		{ID: "dead", Region: "eu", State: Ready}, {ID: "drains", Region: "eu", State: Draining, Alive: true},
		{ID: "far", Region: "us", State: Ready, Alive: true}, {ID: "nowhere", State: Ready, Alive: true},
	}
	backwards := others
	for _, n := range nodes {
		backwards = append([]Node{n}, backwards...)
	}
	const streams = 10_000
	share := map[string]int{}
	for i := range streams {
		stream := fmt.Sprint("live/", i)
		all := Parents(append(nodes[:len(nodes):len(nodes)], others...), "eu", stream)
		if len(all) != len(nodes) {
			t.Fatalf("%d parents", len(all))
		}
		share[all[0].ID]++
		for at, n := range Parents(backwards, "eu", stream) {
			if n.ID != all[at].ID {
				t.Fatalf("place %d is %s, and %s where nodes are listed otherwise", at, all[at].ID, n.ID)
			}
		}
		without := Parents(nodes[1:], "eu", stream)
		if all[0].ID != "n0" && without[0].ID != all[0].ID || all[0].ID == "n0" && without[0].ID != all[1].ID {
			t.Fatalf("without n0 %s has its parent at %s, before at %s and then %s", stream, without[0].ID, all[0].ID, all[1].ID)
		}
	}
	for id, n := range share {
		if n < streams/len(nodes)*8/10 || n > streams/len(nodes)*12/10 {
			t.Errorf("%s has %d of %d streams", id, n, streams)
		}
	}
}
