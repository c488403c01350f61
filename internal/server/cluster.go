package server

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/http"
	"net/url"
	"os"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/cluster"
	"livego/internal/edge"
	"livego/internal/fanout"
	"livego/internal/hls"
	"livego/internal/ledger"
	"livego/internal/listen"
	"livego/internal/live"
)

// ClusterOptions makes several servers one. The zero value: this one is alone.
type ClusterOptions struct {
	// Addr is the listen address for other nodes, empty: off. Advertise is host:port by which they
	// reach it; empty: an address of this machine.
	Addr, Advertise string
	// ID names this node for good. Region is where it is. PublicURL is where viewers reach its HLS
	// port.
	ID, Region, PublicURL string
	// Secret is what all nodes know.
	Secret cluster.Secret
	// Cert, Key and CA are PEM files, for TLS on both sides of each connection between nodes;
	// empty: there is none.
	Cert, Key, CA string
	// Registry is what the nodes share. The server does not close it.
	Registry cluster.Registry
	// Idle (30 s) is for how long a stream of another node is kept here after its last viewer.
	Idle time.Duration
	// EdgeBytes (512 MiB) bounds the files of other nodes that are kept for HLS viewers.
	EdgeBytes int64
	// RedirectAbove is the load, from 0 to 1, above which new viewers are sent to other nodes; 0:
	// nobody is. EgressLimit is what the network of this node can send, in bit/s; 0: that is not
	// known.
	RedirectAbove float64
	EgressLimit   int64
	// cpuTime is that of the program, other than fanout.CPUTime in tests, which share it.
	cpuTime func() time.Duration
}

// name is the ID of the node, empty for a server alone.
func (o *ClusterOptions) name() string {
	if o.Addr == "" {
		return ""
	}
	return o.ID
}

const (
	defaultIdle = 30 * time.Second
	// claimTimeout bounds the time in which the home of a publisher's stream is found: a lease of a
	// node that is gone must have ended by then.
	claimTimeout = 6 * time.Second
	// claimRetry is the time until a home that does not answer is asked again.
	claimRetry = 200 * time.Millisecond
	// leaveTimeout bounds what the registry is told at the end.
	leaveTimeout = time.Second
)

// node is this server's part in a cluster.
type node struct {
	*Server
	opt     ClusterOptions
	self    cluster.Node
	member  *cluster.Member
	peers   *cluster.Peers
	handler *cluster.Handler
	limits  *listen.Limits
	tls     listen.Certificate
	ca      *x509.CertPool

	// homes has which other node had a stream last, and when that answered last: its playlists are
	// there for a while after its end.
	homes *recent[string, cluster.Node]
	// former are the homes that gave a stream up to the next one a moment ago.
	former *recent[string, cluster.Node]
	// next are the nodes that are about to have streams which move.
	next  *recent[string, string]
	cache *edge.Cache
	// recordings has which other nodes have which recordings.
	recordings *recordingPlaces
	// audiences are the viewers of HLS here of streams of other nodes.
	audiences *hls.Audiences
	meter     loadMeter
	// redirects counts viewers that were sent to other nodes.
	redirects atomic.Uint64
	// claims counts claims by result, moves copies that went on from another home than before.
	claims tally[string]
	moves  atomic.Uint64
	// entrances are the publishers that came to this node, wherever their streams are.
	entrances atomic.Int64

	mu sync.Mutex
	// copies are the streams that come from other nodes, by what viewers ask for.
	copies map[live.Name]*copied
	// writing is what runs beside streams that have their home here.
	writing map[*live.Publication]*writing
	// departures are the streams that get another home, by their keys.
	departures map[string]*departure
}

// writing is what runs beside one publication.
type writing struct {
	ctx     context.Context
	cancel  context.CancelCauseFunc
	running sync.WaitGroup
}

// openNode makes this server a node of a cluster, if it is to be one.
func (s *Server) openNode() error {
	o := s.opt.Cluster
	if o.Addr == "" {
		return nil
	}
	if o.Idle <= 0 {
		o.Idle = defaultIdle
	}
	if o.cpuTime == nil {
		o.cpuTime = fanout.CPUTime
	}
	n := &node{
		Server: s, opt: o, limits: listen.NewLimits(maxNodeConns, 0, 0), tls: listen.Certificate{Option: "cluster_cert/cluster_key", Cert: o.Cert, Key: o.Key},
		homes:     newRecent[string, cluster.Node](maxHomes, 0, time.Now),
		former:    newRecent[string, cluster.Node](maxHomes, mournTime, time.Now),
		next:      newRecent[string, string](maxHomes, mournTime, time.Now),
		audiences: hls.NewAudiences(max(awayPeriod, s.opt.HLS.SegmentDuration*3/2)), recordings: newRecordingPlaces(),
		copies: make(map[live.Name]*copied), writing: make(map[*live.Publication]*writing), departures: make(map[string]*departure),
	}
	config, err := n.clientTLS()
	if err != nil {
		return err
	}
	n.self = cluster.Node{
		ID: o.ID, Boot: newID(), Addr: o.Advertise, PublicURL: o.PublicURL, RTMPURL: s.publicRTMP(), FLVURL: s.publicFLV(), Region: o.Region, Version: s.opt.Version,
		Started: time.Now().UTC(),
	}
	n.peers = cluster.NewPeers(o.ID, o.Secret, config)
	n.handler = cluster.NewHandler(o.ID, o.Secret, cluster.Services{
		Feed: n.serveFeed, Publish: n.servePublish, HomeOf: n.homeOf,
		HLS: http.HandlerFunc(n.serveNode),
		API: n.ownPart(), Over: live.ErrUnpublished, Moved: live.ErrMoved, Gone: live.ErrLost,
	}, s.log)
	n.cache = edge.New(n.fetch, o.EdgeBytes, s.hls.Holds())
	s.node = n
	return nil
}

// awayPeriod is within what time each player of a stream of another node is seen, if not for
// longer.
const awayPeriod = 9 * time.Second

// maxNodeConns bounds the connections of other nodes, and of whoever finds the port.
const maxNodeConns = 16 << 10

// clientTLS returns how this node speaks TLS to others, nil if it does not, and reads what it needs
// to know them by.
func (n *node) clientTLS() (*tls.Config, error) {
	if n.opt.Cert == "" {
		return nil, nil
	}
	config, err := n.tls.Config()
	if err != nil {
		return nil, err
	}
	pem, err := os.ReadFile(n.opt.CA)
	if err != nil {
		return nil, fmt.Errorf("cluster_ca: %w", err)
	}
	n.ca = x509.NewCertPool()
	if !n.ca.AppendCertsFromPEM(pem) {
		return nil, errors.New("cluster_ca: no certificate is in the file")
	}
	load := config.GetCertificate
	return &tls.Config{
		MinVersion: tls.VersionTLS12, RootCAs: n.ca,
		GetClientCertificate: func(*tls.CertificateRequestInfo) (*tls.Certificate, error) { return load(nil) },
	}, nil
}

// publicRTMP is where encoders reach this node: beside its HLS port.
func (s *Server) publicRTMP() string {
	u, err := url.Parse(s.opt.Cluster.PublicURL)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	return s.beside(u, secured("rtmp", s.opt.RTMPTLS), s.opt.RTMPAddr)
}

// beside is the URL of the port that listens at addr on the host of another URL.
func (s *Server) beside(u *url.URL, scheme, addr string) string {
	_, port, err := net.SplitHostPort(addr)
	if err != nil {
		return ""
	}
	return scheme + "://" + net.JoinHostPort(u.Hostname(), port)
}

// listenNode returns the listener for other nodes, one without address if this is none.
func (s *Server) listenNode() *listener {
	if s.node == nil {
		return &listener{}
	}
	n := s.node
	return &listener{listen.Listener{
		Name: "cluster", Option: "cluster_addr", At: n.opt.Addr, Secure: n.opt.Cert != "", Certificate: n.tls, Clients: n.ca,
		Limits: n.limits, Multiplexed: true,
	}, s.serveNodes(n.handler)}
}

// joinCluster makes this server known to others until what it returns is called, which gives back
// all that it holds.
func (s *Server) joinCluster(broken chan<- error) (leave func()) {
	n := s.node
	if n == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(context.Background())
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := n.member.Run(ctx); err != nil {
			broken <- err
		}
	}()
	followed := make(chan struct{})
	go func() {
		defer close(followed)
		n.followRevoked(ctx)
	}()
	return func() {
		cancel()
		<-done
		<-followed
		n.leave()
	}
}

// ready makes the member, once it is known where this node listens.
func (n *node) ready() {
	if n.self.Addr == "" {
		n.self.Addr = n.Addrs()["cluster"].String()
		if host, port, err := net.SplitHostPort(n.self.Addr); err == nil && net.ParseIP(host).IsUnspecified() {
			n.self.Addr = net.JoinHostPort(ownAddress(), port)
		}
	}
	n.member = cluster.NewMember(cluster.MemberOptions{Log: n.log, Registry: n.opt.Registry, Self: n.self, Figures: n.figures, Lost: n.lost})
}

// ownAddress is an address by which other machines reach this one, if there is any.
func ownAddress() string {
	addrs, _ := net.InterfaceAddrs()
	for _, a := range addrs {
		if ip, ok := a.(*net.IPNet); ok && ip.IP.IsGlobalUnicast() {
			return ip.IP.String()
		}
	}
	return "127.0.0.1"
}

// figures are those that change all the time.
func (n *node) figures() (load float64, viewers, streams int, bitRateOut uint64) {
	for _, v := range n.HLSViewers() {
		viewers += v
	}
	n.sessions.eachAudience(func(_ string, players int) { viewers += players })
	return n.load(viewers), viewers, len(n.hub.Publications()), n.out.rate.Load()
}

// noted tells the stream's next home what its HLS uses here.
func (s *Server) noted(stream string, used ledger.Entry) {
	if s.node != nil {
		s.node.member.Note(stream, used)
	}
}

// claim makes this node the home of a stream, which goes on where its last home left it.
func (n *node) claim(ctx context.Context, stream string) (cluster.Entry, error) {
	e, err := n.member.Claim(ctx, stream)
	n.claims.add(resultOfClaim(err))
	if _, holds := n.member.Holds(stream); err == nil && !holds {
		n.hls.Inherit(stream, e.Claim.Hand)
	}
	return e, err
}

// lost ends what is published here of a stream that has its home on another node, and lets its
// viewers go on with what comes from there.
func (n *node) lost(stream string) {
	name := nameOf(stream)
	for _, p := range n.hub.Renditions(name) {
		n.stopWriting(p)
		if p.OnAir() { // one that waits for its publisher waits on
			p.Evict(live.ErrTakenOver)
		}
		if p.Readers() > 0 {
			n.start(p.Name(), nil)
		}
	}
}

// startWriting returns what holds together what runs beside a stream while it has its home here.
func (n *node) startWriting(pub *live.Publication) *writing {
	ctx, cancel := context.WithCancelCause(n.outCtx)
	w := &writing{ctx: ctx, cancel: cancel}
	n.mu.Lock()
	n.writing[pub] = w
	n.mu.Unlock()
	n.conns.Go(func() {
		select {
		case <-pub.Done():
		case <-ctx.Done():
		}
		// What runs sees the end of the stream by itself: that is another one than that of its
		// context.
		n.mu.Lock()
		if n.writing[pub] == w {
			delete(n.writing, pub)
		}
		n.mu.Unlock()
	})
	return w
}

// stopWriting ends what runs beside a stream that has lost its home here.
func (n *node) stopWriting(pub *live.Publication) {
	n.mu.Lock()
	w := n.writing[pub]
	n.mu.Unlock()
	if w != nil {
		w.cancel(nil)
	}
}

// homeOf returns the address of the node that has a stream.
func (n *node) homeOf(ctx context.Context, stream string) string {
	e, err := n.lookup(ctx, stream)
	if err != nil {
		return ""
	}
	return e.Node.Addr
}

// lookup returns which other node has a stream, ErrNotFound if none has.
func (n *node) lookup(ctx context.Context, stream string) (cluster.Entry, error) {
	return other(n, func() (cluster.Entry, error) { return n.member.Lookup(ctx, stream) })
}

// lookAgain is lookup for who did not find the stream there.
func (n *node) lookAgain(ctx context.Context, stream string) (cluster.Entry, error) {
	return other(n, func() (cluster.Entry, error) { return n.member.Fresh(ctx, stream) })
}

func other(n *node, ask func() (cluster.Entry, error)) (cluster.Entry, error) {
	e, err := ask()
	if err == nil && e.Node.ID == n.opt.ID {
		return e, cluster.ErrNotFound
	}
	return e, err
}

// drain tells others that this node takes nothing new, and returns where its encoders may go:
// rtmp://host:port of another node, empty if none says so.
func (n *node) drain() (to string) {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	n.member.Drain(ctx)
	nodes := slices.DeleteFunc(slices.Clone(n.member.Known()), func(o cluster.Node) bool {
		return o.ID == n.opt.ID || !o.Alive || o.State != cluster.Ready || o.RTMPURL == ""
	})
	if len(nodes) == 0 {
		return ""
	}
	return nodes[rand.N(len(nodes))].RTMPURL
}

// leave gives everything back that this node holds.
func (n *node) leave() {
	ctx, cancel := context.WithTimeout(context.Background(), leaveTimeout)
	defer cancel()
	if err := n.member.Leave(ctx); err != nil {
		n.log.Warn("the registry was not told that this node ends: its lease ends by itself", "err", err)
	}
	n.cache.Close()
	n.peers.Close()
}
