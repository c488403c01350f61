package server

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"io"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"sync"
	"time"

	v1 "livego/internal/api/v1"
	"livego/internal/cluster"
)

const (
	// gatherTimeout is how long a list waits for the nodes that have parts of it: one that is dead
	// is left out then.
	gatherTimeout = 800 * time.Millisecond
	// gatherers bounds how many nodes are asked at a time for one list.
	gatherers = 32
	// maxPart bounds the part of a list that a node sends, in bytes.
	maxPart = 32 << 20
)

// Where nodes ask each other for their parts of what the management API shows, below /api.
const (
	streamsPath  = "/streams"
	sessionsPath = "/sessions"
	nodePath     = "/node"
	kickPath     = "/kick"
	endPath      = "/end"
)

// ownPart answers other nodes for what the management API says and does here.
func (n *node) ownPart() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, n.serveStatus)
	mux.HandleFunc("GET "+streamsPath, func(w http.ResponseWriter, _ *http.Request) { writePart(w, n.streamParts()) })
	mux.HandleFunc("GET "+sessionsPath, func(w http.ResponseWriter, _ *http.Request) { writePart(w, n.sessionParts()) })
	mux.HandleFunc("GET "+nodePath, func(w http.ResponseWriter, _ *http.Request) { writePart(w, []v1.Node{n.shown()}) })
	mux.HandleFunc("POST "+kickPath, func(w http.ResponseWriter, r *http.Request) {
		done(w, resources{n.Server}.kickHere(r.URL.Query().Get("id"), r.URL.Query().Get("reason")))
	})
	mux.HandleFunc("POST "+endPath, func(w http.ResponseWriter, r *http.Request) {
		name := r.URL.Query().Get("stream")
		_, holds := n.member.Holds(name)
		done(w, holds && resources{n.Server}.endHere(name, r.URL.Query().Get("reason")))
	})
	return mux
}

func writePart[T any](w http.ResponseWriter, all []T) {
	w.Header().Set("Content-Type", "application/json")
	_ = json.NewEncoder(w).Encode(all) // the other node is gone if this fails
}

// done says whether something was done.
func done(w http.ResponseWriter, was bool) {
	if !was {
		http.Error(w, "it is not here", http.StatusNotFound)
	}
}

// others are the other nodes that live, as far as is known.
func (n *node) others() []cluster.Node {
	return slices.DeleteFunc(slices.Clone(n.member.Known()), func(o cluster.Node) bool { return o.ID == n.opt.ID || !o.Alive })
}

// fromOthers calls f for each other node, several at a time, each with what is left of the time for
// all.
func (n *node) fromOthers(f func(ctx context.Context, o cluster.Node)) {
	ctx, cancel := context.WithTimeout(n.ctx, gatherTimeout)
	defer cancel()
	var asking sync.WaitGroup
	places := make(chan struct{}, gatherers)
	for _, o := range n.others() {
		places <- struct{}{}
		asking.Go(func() {
			defer func() { <-places }()
			f(ctx, o)
		})
	}
	asking.Wait()
}

// gather returns the parts of a list that the other nodes have, by node; none of those that do not
// answer in time.
func gather[T any](n *node, path string) map[string][]T {
	var mu sync.Mutex
	all := make(map[string][]T)
	n.fromOthers(func(ctx context.Context, o cluster.Node) {
		part, err := partOf[T](ctx, n, o, path)
		if err != nil {
			n.log.Debug("a node does not say its part", "node", o.ID, "path", path, "err", err)
			return
		}
		mu.Lock()
		defer mu.Unlock()
		all[o.ID] = part
	})
	return all
}

func partOf[T any](ctx context.Context, n *node, o cluster.Node, path string) (part []T, err error) {
	resp, err := n.peers.Get(ctx, o, "/api"+path, "", nil, nil)
	if err != nil {
		return nil, err
	}
	defer resp.Body.Close()
	if resp.StatusCode != http.StatusOK {
		return nil, errors.New(resp.Status)
	}
	return part, json.NewDecoder(io.LimitReader(resp.Body, maxPart)).Decode(&part)
}

// streamPart is what a node has of a stream: all of it, or viewers only.
type streamPart struct {
	v1.Stream
	// Home: the node has the stream, others have it from there.
	Home bool
}

// streamParts are those of this node.
func (n *node) streamParts() (all []streamPart) {
	hls := n.HLSViewers()
	for _, st := range (resources{n.Server}).streamsHere() {
		_, holds := n.member.Holds(st.Name)
		st.Node = n.opt.ID
		delete(hls, st.Name)
		all = append(all, streamPart{st, holds})
	}
	for name, viewers := range hls { // they have it from another node, file by file
		if viewers > 0 {
			by := map[string]int{protocolHLS: viewers}
			all = append(all, streamPart{v1.Stream{Name: name, Publications: []v1.Publication{}, Viewers: v1.Viewers{Total: viewers, ByProtocol: by}}, false})
		}
	}
	return all
}

// allStreams are the streams of all nodes, with the viewers at each of them.
func (n *node) allStreams() []v1.Stream {
	parts := n.streamParts()
	for _, of := range gather[streamPart](n, streamsPath) {
		parts = append(parts, of...)
	}
	return merged(parts)
}

// merged puts the parts of streams together. Who has a stream only from another node says nothing
// of it but its viewers.
func merged(parts []streamPart) (all []v1.Stream) {
	slices.SortStableFunc(parts, func(a, b streamPart) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(number(b.Home), number(a.Home)), cmp.Compare(len(b.Publications), len(a.Publications)))
	})
	for _, p := range parts {
		if len(all) == 0 || all[len(all)-1].Name != p.Name {
			if len(p.Publications) == 0 {
				continue // its home is gone, or does not answer
			}
			if !p.Home {
				p.Node = ""
			}
			p.Viewers.ByProtocol = maps.Clone(p.Viewers.ByProtocol)
			all = append(all, p.Stream)
			continue
		}
		into := &all[len(all)-1].Viewers
		into.Total += p.Viewers.Total
		into.BitRate += p.Viewers.BitRate
		for protocol, viewers := range p.Viewers.ByProtocol {
			into.ByProtocol[protocol] += viewers
		}
	}
	return all
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}

// protocolNode is how streams come from other nodes.
const protocolNode = "cluster"

// sessionParts are the sessions of this node: encoders and viewers, but no other nodes. A publisher
// that is taken to another node is listed there.
func (n *node) sessionParts() (all []v1.Session) {
	away := make(map[string]bool)
	for _, ss := range n.sessions.all(nil) {
		away[ss.ID] = ss.Publisher && ss.pub == nil
	}
	for _, ss := range (resources{n.Server}).sessionsHere() {
		if ss.Protocol != protocolNode && !away[ss.ID] {
			ss.Node = n.opt.ID
			all = append(all, ss)
		}
	}
	return all
}

// allSessions are those of all nodes.
func (n *node) allSessions() []v1.Session {
	all := n.sessionParts()
	for _, of := range gather[v1.Session](n, sessionsPath) {
		all = append(all, of...)
	}
	return all
}

// shown is this node as the API shows it.
func (n *node) shown() v1.Node { return shownNode(n.member.Self()) }

func shownNode(o cluster.Node) v1.Node {
	return v1.Node{
		ID: o.ID, State: string(o.State), Region: o.Region, Address: o.Addr, PublicURL: o.PublicURL, Version: o.Version, Started: o.Started,
		Load: o.Load, Viewers: o.Viewers, Streams: o.Streams, BitRateOut: o.BitRateOut,
	}
}

// Nodes implements v1.Nodes.
func (s resources) Nodes() (all []v1.Node) {
	if s.node == nil {
		return nil
	}
	self := s.node.shown()
	self.Self = true
	all = append(all, self)
	now := gather[v1.Node](s.node, nodePath)
	for _, o := range s.node.member.Known() {
		d := shownNode(o)
		switch part := now[o.ID]; {
		case o.ID == self.ID:
			continue
		case len(part) == 1 && part[0].ID == o.ID:
			d = part[0]
			d.Self = false
		case o.Alive:
			d.State = "silent"
		default:
			d.State = "gone"
		}
		all = append(all, d)
	}
	return all
}

// BitRateOut implements v1.Streams.
func (s resources) BitRateOut() uint64 {
	sum := s.out.rate.Load()
	if s.node != nil {
		for _, o := range s.node.others() {
			sum += o.BitRateOut
		}
	}
	return sum
}

// endAway ends a stream at the node that has it. away is false if that is this one, or none.
func (n *node) endAway(stream, why string) (done, away bool) {
	if _, holds := n.member.Holds(stream); holds {
		return false, false
	}
	ctx, cancel := context.WithTimeout(n.ctx, statusTimeout)
	defer cancel()
	e, err := n.lookup(ctx, stream)
	if err != nil {
		return false, false
	}
	return n.have(ctx, e.Node, endPath, url.Values{"stream": {stream}, "reason": {why}}), true
}

// kickAway ends a session that another node has.
func (n *node) kickAway(id, why string) bool {
	var mu sync.Mutex
	kicked := false
	n.fromOthers(func(ctx context.Context, o cluster.Node) {
		if n.have(ctx, o, kickPath, url.Values{"id": {id}, "reason": {why}}) {
			mu.Lock()
			defer mu.Unlock()
			kicked = true
		}
	})
	return kicked
}

// have has another node do something, and says whether it did.
func (n *node) have(ctx context.Context, o cluster.Node, path string, query url.Values) bool {
	resp, err := n.peers.Post(ctx, o, "/api"+path, query.Encode())
	if err != nil {
		n.log.Warn("a node cannot be told what to do", "node", o.ID, "path", path, "err", err)
		return false
	}
	resp.Body.Close()
	return resp.StatusCode == http.StatusOK
}
