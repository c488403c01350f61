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
	"sync/atomic"
	"time"

	v1 "livego/internal/api/v1"
	"livego/internal/cluster"
	"livego/internal/relay"
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
	relaysPath   = "/relays"
	recordsPath  = "/recordings"
	kickPath     = "/kick"
	endPath      = "/end"
	unrelayPath  = "/unrelay"
	recordPath   = "/record"
	recordedPath = "/recorded"
	drainPath    = "/drain"
)

// ownPart answers other nodes for what the management API says and does here.
func (n *node) ownPart() http.Handler {
	mux := http.NewServeMux()
	mux.HandleFunc("GET "+statusPath, n.serveStatus)
	mux.HandleFunc("GET "+streamsPath, func(w http.ResponseWriter, _ *http.Request) { writePart(w, n.streamParts()) })
	mux.HandleFunc("GET "+sessionsPath, func(w http.ResponseWriter, _ *http.Request) { writePart(w, n.sessionParts()) })
	mux.HandleFunc("GET "+relaysPath, func(w http.ResponseWriter, _ *http.Request) { writePart(w, resources{n.Server}.relaysHere()) })
	mux.HandleFunc("GET "+recordsPath, func(w http.ResponseWriter, _ *http.Request) { writePart(w, resources{n.Server}.recordingsHere()) })
	mux.HandleFunc("GET "+eventsPath, n.serveEvents)
	mux.HandleFunc("GET "+nodePath, func(w http.ResponseWriter, _ *http.Request) { writePart(w, []v1.Node{n.shown()}) })
	mux.HandleFunc("POST "+kickPath, func(w http.ResponseWriter, r *http.Request) {
		done(w, resources{n.Server}.kickHere(r.URL.Query().Get("id"), r.URL.Query().Get("reason")))
	})
	mux.HandleFunc("POST "+unrelayPath, func(w http.ResponseWriter, r *http.Request) {
		done(w, resources{n.Server}.stopRelayHere(r.URL.Query().Get("id")))
	})
	mux.HandleFunc("GET "+recordsPath+"/{id}", n.serveOwnRecording)
	mux.HandleFunc("GET "+recordedPath+"/", n.serveOwnRecorded)
	mux.HandleFunc("POST "+recordPath, n.serveRecord)
	mux.HandleFunc("POST "+drainPath, func(_ http.ResponseWriter, r *http.Request) { n.endItself(r.URL.Query().Get("reason")) })
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

// gather returns the parts of a list that the other nodes have, by node, and which do not answer in
// time, in order.
func gather[T any](n *node, path string) (all map[string][]T, silent []string) {
	var mu sync.Mutex
	all = make(map[string][]T)
	n.fromOthers(func(ctx context.Context, o cluster.Node) {
		part, err := partOf[T](ctx, n, o, path)
		mu.Lock()
		defer mu.Unlock()
		if err != nil {
			n.log.Debug("a node does not say its part", "node", o.ID, "path", path, "err", err)
			silent = append(silent, o.ID)
			return
		}
		all[o.ID] = part
	})
	slices.Sort(silent)
	return all, silent
}

// everywhere is the list of what is here and what the other nodes have.
func everywhere[T any](n *node, here []T, path string) v1.List[T] {
	parts, silent := gather[T](n, path)
	for _, part := range parts {
		here = append(here, part...)
	}
	return v1.List[T]{Items: here, Incomplete: silent}
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
		st.Viewers.ByNode = n.viewersHere(st.Viewers.Total)
		delete(hls, st.Name)
		all = append(all, streamPart{st, holds})
	}
	for name, viewers := range hls { // they have it from another node, file by file
		if viewers > 0 {
			by := map[string]int{protocolHLS: viewers}
			watching := v1.Viewers{Total: viewers, ByProtocol: by, ByNode: n.viewersHere(viewers)}
			all = append(all, streamPart{v1.Stream{Name: name, Publications: []v1.Publication{}, Viewers: watching}, false})
		}
	}
	return all
}

// viewersHere are viewers at this node, by node.
func (n *node) viewersHere(viewers int) map[string]int {
	if viewers == 0 {
		return map[string]int{}
	}
	return map[string]int{n.opt.ID: viewers}
}

// allStreams are the streams of all nodes, with the viewers at each of them.
func (n *node) allStreams() v1.List[v1.Stream] {
	parts := everywhere(n, n.streamParts(), streamsPath)
	return v1.List[v1.Stream]{Items: merged(parts.Items), Incomplete: parts.Incomplete}
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
			p.Viewers.ByProtocol, p.Viewers.ByNode = maps.Clone(p.Viewers.ByProtocol), maps.Clone(p.Viewers.ByNode)
			all = append(all, p.Stream)
			continue
		}
		into := &all[len(all)-1].Viewers
		into.Total += p.Viewers.Total
		into.BitRate += p.Viewers.BitRate
		for protocol, viewers := range p.Viewers.ByProtocol {
			into.ByProtocol[protocol] += viewers
		}
		if into.ByNode == nil {
			into.ByNode = make(map[string]int)
		}
		for node, viewers := range p.Viewers.ByNode {
			into.ByNode[node] += viewers
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
	now, _ := gather[v1.Node](s.node, nodePath)
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
	ctx, cancel := context.WithTimeout(n.ctx, statusTimeout)
	defer cancel()
	home, away := n.awayAt(ctx, stream)
	return away && n.have(ctx, home, endPath, url.Values{"stream": {stream}, "reason": {why}}), away
}

// awayAt returns the node that has a stream, if that is another one.
func (n *node) awayAt(ctx context.Context, stream string) (o cluster.Node, away bool) {
	if _, holds := n.member.Holds(stream); holds {
		return o, false
	}
	e, err := n.lookup(ctx, stream)
	return e.Node, err == nil
}

// haveAll has all other nodes do something that they can, and says whether one could.
func (n *node) haveAll(path string, query url.Values) bool {
	var could atomic.Bool
	n.fromOthers(func(ctx context.Context, o cluster.Node) {
		if n.have(ctx, o, path, query) {
			could.Store(true)
		}
	})
	return could.Load()
}

// othersRelay says whether another node has a relay.
func (n *node) othersRelay(r relay.Relay) bool {
	id := relayID(r)
	parts, _ := gather[v1.Relay](n, relaysPath)
	for _, part := range parts {
		if slices.ContainsFunc(part, func(o v1.Relay) bool { return o.ID == id }) {
			return true
		}
	}
	return false
}

// Drain implements v1.Nodes.
func (s resources) Drain(id, why string) error {
	if s.node == nil {
		return v1.ErrNoNode
	}
	if id == s.node.opt.ID {
		s.endItself(why)
		return nil
	}
	others := s.node.others()
	i := slices.IndexFunc(others, func(o cluster.Node) bool { return o.ID == id })
	if i < 0 {
		return v1.ErrNoNode
	}
	ctx, cancel := context.WithTimeout(s.node.ctx, statusTimeout)
	defer cancel()
	if !s.node.have(ctx, others[i], drainPath, url.Values{"reason": {why}}) {
		return v1.ErrNodeSilent
	}
	return nil
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
