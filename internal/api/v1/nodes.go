package v1

import (
	"context"
	"errors"
	"net/http"
	"time"

	"github.com/danielgtaylor/huma/v2"
)

// Nodes are the servers of a cluster.
type Nodes interface {
	// Nodes returns those of the last day, in any order; none if the server is alone. The caller
	// owns the slice.
	Nodes() []Node
	// Drain lets a node end as its process does when it is told to: its streams move to others
	// first. It returns once that has begun, and fails with ErrNoNode, or ErrNodeSilent if the node
	// does not answer.
	Drain(id, reason string) error
}

// What happens instead.
var (
	ErrNoNode     = errors.New("there is no such node")
	ErrNodeSilent = errors.New("the node does not answer")
)

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
		return page(*in, "nodes", List[Node]{Items: a.opt.Nodes.Nodes()}, func(n Node) string { return n.ID })
	})
	o = operation("drainNode", http.MethodPost, "/nodes/{id}/drain", tag, "Let a node of the cluster end, its streams moving to others first",
		http.StatusNotFound, http.StatusServiceUnavailable)
	o.Description = "As when its process is told to end (SIGTERM). Whatever supervises the process may start it again."
	o.DefaultStatus = http.StatusAccepted
	huma.Register(a.api, o, func(_ context.Context, in *struct {
		ID string `path:"id" maxLength:"64" example:"node-1"`
		Why
	}) (*struct{}, error) {
		err := a.opt.Nodes.Drain(in.ID, in.text())
		switch {
		case errors.Is(err, ErrNoNode):
			return nil, problem(http.StatusNotFound, "path.id", err.Error())
		case err != nil:
			return nil, problem(http.StatusServiceUnavailable, "path.id", err.Error())
		}
		a.opt.Log.Info("node drained by the API", "node", trimmed(in.ID, 64), "reason", in.text())
		return nil, nil
	})
}
