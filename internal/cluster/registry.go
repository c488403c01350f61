// Package cluster lets several servers be one: which node has which stream, which nodes there are,
// and how they trust each other.
//
// A stream has its home on the node that holds its claim. A claim is good while its node's lease
// lives, which the node renews all the time; there is nothing else to time out. Claims carry a
// token that rises, so that of two nodes that both believe to be the home everybody can tell the
// later one.
package cluster

import (
	"context"
	"errors"
	"fmt"
	"time"

	"livego/internal/ledger"
)

const (
	// leaseTime is for how long a node is believed to live after its last beat, beatInterval how
	// often it says so: three beats in a row may be lost.
	leaseTime    = 2 * time.Second
	beatInterval = 500 * time.Millisecond
	// staleNode is for how long a node that is gone stays in lists.
	staleNode = 24 * time.Hour
	// keepHand is for how long the numbers of a stream that ended are remembered for its next home.
	keepHand = 24 * time.Hour
	// mourning is for how long after a node's last beat its streams are not said to be nowhere.
	mourning = 10 * time.Second
	// maxBatch is how many streams one call to a registry may hold: Redis serves one call at a
	// time.
	maxBatch = 200
)

var (
	// ErrUnavailable: the registry cannot be reached, or does not answer in time.
	ErrUnavailable = errors.New("registry is unavailable")
	// ErrHeld: another node that lives has the stream.
	ErrHeld = errors.New("stream has its home on another node")
	// ErrTwin: another process runs under the name of this node.
	ErrTwin = errors.New("another server that runs has the node_id of this one")
	// ErrNotFound: no node that lives has the stream.
	ErrNotFound = errors.New("no node has the stream")
	// ErrDied is ErrNotFound for a stream that a node had which died a moment ago: it may come back
	// anywhere.
	ErrDied = fmt.Errorf("%w: the one that had it is gone", ErrNotFound)
	// ErrFlood: too many streams are asked for that nobody had lately.
	ErrFlood = errors.New("too many streams are asked for that are not there")
	// ErrSkew: this node's clock and the registry's are too far apart for claims.
	ErrSkew = errors.New("the clocks of this node and of the registry are too far apart")
)

// NodeState says what a node takes.
type NodeState string

// The states of a node.
const (
	Ready    NodeState = "ready"
	Draining NodeState = "draining"
)

// Node is what a node says about itself.
type Node struct {
	// ID names the node for good, Boot this life of it.
	ID   string `json:"id"`
	Boot string `json:"boot"`
	// Addr is host:port of its cluster_addr as other nodes reach it. PublicURL (of HLS), RTMPURL
	// and FLVURL are what viewers and encoders are sent to; empty: nobody is.
	Addr      string    `json:"addr"`
	PublicURL string    `json:"public_url,omitempty"`
	RTMPURL   string    `json:"rtmp_url,omitempty"`
	FLVURL    string    `json:"flv_url,omitempty"`
	Region    string    `json:"region,omitempty"`
	Version   string    `json:"version"`
	State     NodeState `json:"state"`
	// Load is from 0 to 1.
	Load    float64 `json:"load"`
	Viewers int     `json:"viewers"`
	Streams int     `json:"streams"`
	// BitRateOut is what viewers here get, in bit/s.
	BitRateOut uint64    `json:"bit_rate_out"`
	Started    time.Time `json:"started"`
	// Alive says that its lease lives. The registry sets it.
	Alive bool `json:"-"`
}

// Hand is what the HLS of a stream used, with which its next home goes on as it does after a
// restart of its own. The zero value says nothing.
type Hand = ledger.Entry

// Claim is a node's right to a stream.
type Claim struct {
	// Token rises with each claim of any stream; 0: the registry was away, and knows nothing of it
	// yet.
	Token int64
	Since time.Time
	// Hand is the newest that a home told.
	Hand Hand
}

// Entry is where a stream is.
type Entry struct {
	Stream string
	Node   Node
	Claim  Claim
}

// Held is a stream that a node has, for a beat.
type Held struct {
	Stream string
	Token  int64
	// Hand is remembered for the stream's next home, unless it is zero.
	Hand Hand
}

// Change is one stream or node of which something changed. Stream is empty for a node.
type Change struct {
	Stream string
	Node   string
}

// Registry is what the nodes of a cluster share. Its methods may be called from any goroutine, and
// return ErrUnavailable when it is away. Times are those of the registry's own clock.
type Registry interface {
	// Beat renews a node's lease and what is known of it. Of the streams that are given it
	// registers those that the registry does not know, gives a token to those with 0, and returns
	// the new tokens, and which of the streams another node has by a higher token: they are lost.
	// It also returns by how much the registry's clock is ahead of ours. While another life of the
	// node has its lease nothing is renewed or registered, and the error is ErrTwin.
	Beat(ctx context.Context, n Node, held []Held) (Beaten, error)
	// Leave ends a node's lease at once, with all its claims.
	Leave(ctx context.Context, id, boot string) error
	// Claim gives a stream to a node, whose lease it renews, unless another node has it whose lease
	// lives: then it returns ErrHeld, and the entry says who. A node that has it keeps its token.
	// ErrTwin is as that of Beat.
	Claim(ctx context.Context, stream string, n Node) (Entry, error)
	// Free gives a stream back, if the node still has it by that token, with what is remembered for
	// the next home, unless that is zero.
	Free(ctx context.Context, stream string, n Node, token int64, hand Hand) error
	// Lookup returns where a stream is, or ErrNotFound; ErrDied while its node died mourning ago at
	// most.
	Lookup(ctx context.Context, stream string) (Entry, error)
	// Nodes returns all nodes of the last day, by ID.
	Nodes(ctx context.Context) ([]Node, error)
	// Streams returns where all streams are, at most limit, in no order.
	Streams(ctx context.Context, limit int) ([]Entry, error)
	// Watch calls f for what changes, from a goroutine of its own, until ctx ends; changes may be
	// missed, and after each time that they may have been it calls f with the zero Change.
	Watch(ctx context.Context, f func(Change)) error
	// Revoke notes that a viewer's token of that name (jti) opens nothing any more, until a time;
	// zero: for good. It fails with ErrManyRevoked beyond the bound.
	Revoke(ctx context.Context, id string, until time.Time) error
	// Revoked returns what is revoked and not over, and a version of that; nil, if the version is
	// the known one.
	Revoked(ctx context.Context, known string) (all map[string]time.Time, version string, err error)
	// Close releases what the registry holds.
	Close() error
}

// maxRevoked bounds the tokens that are revoked: as many as a server remembers.
const maxRevoked = 64 << 10

// ErrManyRevoked: no more tokens can be revoked.
var ErrManyRevoked = fmt.Errorf("%d tokens are revoked, no more can be: change the key that signs them", maxRevoked)

// Beaten is the answer to a beat.
type Beaten struct {
	// Tokens are new ones, by stream. Lost are streams that another node has.
	Tokens map[string]int64
	Lost   []string
	// Ahead is the registry's clock minus ours, by what is sure of that: an answer may have been
	// long on its way.
	Ahead time.Duration
}
