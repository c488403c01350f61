package v1

import (
	"context"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Nodes are the servers of a cluster.
type Nodes interface {
	// Nodes returns those of the last day, in any order; none if the server is alone. The caller
	// owns the slice.
	Nodes() []Node
}

// Node is one server of a cluster.
type Node struct {
	ID         string    `json:"id" example:"node-1"`
	State      string    `json:"state" enum:"ready,draining,silent,gone" doc:"draining: it is about to end. silent: it lives, but does not answer this node. gone: it has ended, or is lost."`
	Region     string    `json:"region,omitempty" example:"eu"`
	Address    string    `json:"address" doc:"Its cluster_addr as the others reach it." example:"10.0.0.1:7100"`
	PublicURL  string    `json:"public_url,omitempty" doc:"Where viewers reach it, if it says so."`
	Version    string    `json:"version"`
	Started    time.Time `json:"started"`
	Load       float64   `json:"load" doc:"0: idle, 1: full; the most of processors, network (egress_limit) and viewers (max_viewers)."`
	Viewers    int       `json:"viewers" doc:"Those that it serves. Those of HLS are an estimate."`
	Streams    int       `json:"streams" doc:"Renditions that are there, those of other nodes too."`
	BitRateOut uint64    `json:"bit_rate_out" doc:"What it sends to viewers, in bit/s, mean of 5 s."`
	Self       bool      `json:"self" doc:"It is the one that answers."`
}

func (a *API) nodes() {
	const tag = "Server"
	o := operation("listNodes", http.MethodGet, "/nodes", tag, "The servers of the cluster, by name")
	o.Description = "Those of the last day; none if the server is alone."
	huma.Register(a.api, o, func(_ context.Context, in *Paging) (*Listing[Node], error) {
		return page(*in, "nodes", a.opt.Nodes.Nodes(), func(n Node) string { return n.ID })
	})
}
