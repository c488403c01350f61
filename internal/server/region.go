package server

import (
	"cmp"
	"context"
	"net/http"
	"strconv"

	"livego/internal/cluster"
	"livego/internal/edge"
	"livego/internal/hls"
)

// maxParents is how many nodes of the own region are asked for a stream of another one before its
// home itself is.
const maxParents = 3

// wayTo returns the nodes to ask for a stream that another one has, the best first: those of this
// region that bring it from another one for all, and at last its home. Straight is for who asks on
// behalf of another node: there are no further ones between.
func (n *node) wayTo(e cluster.Entry, straight bool) []cluster.Node {
	home := e.Node
	if straight || home.Region == n.opt.Region {
		return []cluster.Node{home}
	}
	var way []cluster.Node
	for _, p := range cluster.Parents(n.member.Known(), n.opt.Region, e.Stream) {
		if p.ID == n.opt.ID || len(way) == maxParents {
			break
		}
		way = append(way, p)
	}
	return append(way, home)
}

// isStraight says whether this node asks the home of a stream itself, the one that answered last if
// one did.
func (n *node) isStraight(ctx context.Context, stream string) bool {
	if home, _, known := n.homes.get(stream); known {
		return len(n.wayTo(cluster.Entry{Stream: stream, Node: home}, false)) == 1
	}
	e, err := n.lookup(ctx, stream)
	return err != nil || len(n.wayTo(e, false)) == 1
}

// passes says whether this node gives other nodes a stream that it does not hold: one of another
// region.
func (n *node) passes(ctx context.Context, stream string) bool {
	e, err := n.lookup(ctx, stream)
	return err == nil && e.Node.Region != n.opt.Region
}

// serveNode serves HLS to other nodes: what is made here, and what this one gets from other
// regions.
func (n *node) serveNode(w http.ResponseWriter, r *http.Request) {
	r = hls.Uncounted(normal(r))
	poster := posterStream(r.URL.Path)
	stream := cmp.Or(poster, hls.StreamName(r.URL.Path))
	if stream == "" || !n.passesFiles(r.Context(), stream) {
		if token, holds := n.member.Holds(stream); holds {
			w.Header().Set(cluster.HeaderToken, strconv.FormatInt(token, 10))
		}
		if poster != "" {
			n.Server.servePoster(w, r, poster)
		} else {
			n.hls.ServeHTTP(w, r)
		}
		return
	}
	n.serveFile(w, r, edge.File{Stream: stream, Straight: true}, cluster.Via(r.Header))
}

// passesFiles is passes for files, which are there for a while after the end of the stream.
func (n *node) passesFiles(ctx context.Context, stream string) bool {
	if _, holds := n.member.Holds(stream); holds {
		return false
	}
	if n.passes(ctx, stream) {
		return true
	}
	last, _, known := n.homes.get(stream)
	return known && last.Region != n.opt.Region
}
