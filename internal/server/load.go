package server

import (
	"math/rand/v2"
	"net/http"
	"net/url"
	"runtime"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/cluster"
	"livego/internal/hls"
)

const (
	// loadWindow is the least time over which the load is measured.
	loadWindow = time.Second
	// redirected in a query says that the client was sent here by another node.
	redirected = "redirected"
)

// loadMeter measures how much of what this node can do it does. Its methods may be called from any
// goroutine.
type loadMeter struct {
	// toNodes counts the bytes that went to other nodes.
	toNodes atomic.Uint64

	mu    sync.Mutex
	at    time.Time
	cpu   time.Duration
	bytes uint64
	load  float64
}

// reading is what a load is made of: what was used and sent since the start.
type reading struct {
	cpu   time.Duration
	bytes uint64
}

// measure returns the load, from 0 to 1, over about the last two seconds: the most of processors
// and network, of which limit, in bytes per second, may be sent; 0: that is not known.
func (m *loadMeter) measure(now time.Time, r reading, processors int, limit float64) float64 {
	m.mu.Lock()
	defer m.mu.Unlock()
	span := now.Sub(m.at)
	if span < loadWindow {
		return m.load
	}
	if !m.at.IsZero() {
		load := float64(r.cpu-m.cpu) / float64(span) / float64(processors)
		if limit > 0 && r.bytes > m.bytes { // sums of what is open and what is over may lag behind each other
			load = max(load, float64(r.bytes-m.bytes)/span.Seconds()/limit)
		}
		m.load = min(1, (m.load+load)/2)
	}
	m.at, m.cpu, m.bytes = now, r.cpu, r.bytes
	return m.load
}

// bytesOut is how many bytes viewers here have got so far.
func (s *Server) bytesOut() uint64 {
	files, _ := s.hls.Sent()
	bytes := s.sessions.sentToPlayers() + files
	if s.node != nil {
		bytes += s.node.cache.Stats().Sent
	}
	return bytes
}

// outMeter says what viewers get, in bit/s, in the mean of some seconds: files of HLS go out at
// once, and then nothing for a while.
type outMeter struct {
	// bytes are the newest totals, one for each sampleInterval: number n at n modulo the length.
	bytes [rateSamples + 1]uint64
	// n is how many there were, only for the sampler.
	n    int
	rate atomic.Uint64
}

// sample takes the total of now, each sampleInterval.
func (m *outMeter) sample(bytes uint64) {
	oldest, span := m.bytes[(m.n+1)%len(m.bytes)], rateSamples
	if m.n < rateSamples {
		oldest, span = m.bytes[0], m.n
	}
	m.bytes[m.n%len(m.bytes)] = bytes
	if m.n++; span > 0 && bytes >= oldest { // sums of what is open and what is over may lag behind each other
		m.rate.Store((bytes - oldest) * 8 / uint64(time.Duration(span)*sampleInterval/time.Second))
	}
}

// load is how full this node is, from 0 to 1: the most of processors, network and viewers.
func (n *node) load(viewers int) float64 {
	_, files := n.hls.Sent()
	bytes := n.bytesOut() + files + n.meter.toNodes.Load()
	load := n.meter.measure(time.Now(), reading{n.opt.cpuTime(), bytes}, runtime.GOMAXPROCS(0), float64(n.opt.EgressLimit)/8)
	if most := n.now().opt.MaxViewers; most > 0 {
		load = max(load, min(1, float64(viewers)/float64(most)))
	}
	return load
}

// elsewhere returns another node to which a new viewer is to go, if this one has too much to do:
// the better of two that are picked by chance among those of the region that viewers can be sent
// to, as url says, and that have less to do.
func (n *node) elsewhere(url func(cluster.Node) string) (string, bool) {
	self := n.member.Self()
	if n.opt.RedirectAbove <= 0 || self.Load <= n.opt.RedirectAbove {
		return "", false
	}
	var may []cluster.Node
	for _, o := range n.others() {
		if o.State == cluster.Ready && o.Region == n.opt.Region && url(o) != "" {
			may = append(may, o)
		}
	}
	if len(may) == 0 {
		return "", false
	}
	rand.Shuffle(len(may), func(i, j int) { may[i], may[j] = may[j], may[i] })
	best := may[0]
	if len(may) > 1 && may[1].Load < best.Load {
		best = may[1]
	}
	return url(best), best.Load < self.Load
}

// redirect sends a new viewer over HTTP to another node, if this one has too much to do. Nobody is
// sent on who was sent here.
func (n *node) redirect(w http.ResponseWriter, r *http.Request, at func(cluster.Node) string) bool {
	query := r.URL.Query()
	if query.Has(redirected) || !strings.HasPrefix(r.RequestURI, "/") {
		return false
	}
	base, ok := n.elsewhere(at)
	if !ok {
		return false
	}
	to, err := url.Parse(base + r.RequestURI)
	if err != nil {
		return false
	}
	to.RawQuery = strings.TrimPrefix(to.RawQuery+"&"+redirected+"=1", "&")
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-store")
	h.Set("Location", to.String())
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusFound)
	n.redirects.Add(1)
	return true
}

// redirectPlaylist is redirect for who begins to watch by HLS.
func (n *node) redirectPlaylist(w http.ResponseWriter, r *http.Request, stream string) bool {
	if n.opt.RedirectAbove <= 0 || !hls.IsWatched(r.URL.Path) {
		return false
	}
	if query, err := hls.Canonical(r.URL.Path, r.URL.RawQuery); err != nil || query != "" {
		return false // it plays already
	}
	if n.audiences.Knows(stream, r) || n.hls.Knows(stream, r) {
		return false
	}
	return n.redirect(w, r, func(o cluster.Node) string { return o.PublicURL })
}

// redirectFLV is redirect for who wants FLV over HTTP.
func (s *Server) redirectFLV(w http.ResponseWriter, r *http.Request) bool {
	return s.node != nil && !isWebSocket(r) && s.node.redirect(w, r, func(o cluster.Node) string { return o.FLVURL })
}

// redirectRTMP returns rtmp://host:port of the node that an RTMP player is to go to, empty if it is
// to stay.
func (s *Server) redirectRTMP(query string) string {
	if values, _ := url.ParseQuery(query); s.node == nil || values.Has(redirected) {
		return ""
	}
	to, ok := s.node.elsewhere(func(o cluster.Node) string { return o.RTMPURL })
	if !ok {
		return ""
	}
	s.node.redirects.Add(1)
	return to
}

// publicFLV is where viewers of FLV reach this node: at its port for HLS too if that is the one for
// all, else beside it.
func (s *Server) publicFLV() string {
	u, err := url.Parse(s.opt.Cluster.PublicURL)
	if err != nil || u.Hostname() == "" {
		return ""
	}
	if s.opt.HTTPSAddr != "" && u.Scheme == "https" {
		return s.opt.Cluster.PublicURL
	}
	return s.beside(u, secured("http", s.opt.FLVTLS), s.opt.FLVAddr)
}
