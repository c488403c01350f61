package cluster

import (
	"cmp"
	"slices"

	"github.com/cespare/xxhash/v2"
)

// Parents returns the nodes of a region that take streams of a name from other regions for the
// nodes of theirs, the first of them as long as it is there: the order is the same on all nodes
// (rendezvous hashing), and when a node comes or goes only its share of streams changes.
func Parents(nodes []Node, region, stream string) []Node {
	type ranked struct {
		node  Node
		score uint64
	}
	var all []ranked
	for _, n := range nodes {
		if n.Region == region && n.takes() {
			all = append(all, ranked{n, xxhash.Sum64String(n.ID + "\x00" + stream)})
		}
	}
	slices.SortFunc(all, func(a, b ranked) int {
		return cmp.Or(cmp.Compare(b.score, a.score), cmp.Compare(a.node.ID, b.node.ID))
	})
	parents := make([]Node, len(all))
	for i := range all {
		parents[i] = all[i].node
	}
	return parents
}

// takes says whether a node takes something new.
func (n *Node) takes() bool { return n.Alive && n.State == Ready }
