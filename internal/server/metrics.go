package server

import (
	"errors"
	"maps"
	"os"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/cluster"
	"livego/internal/hook"
	"livego/internal/keys"
	"livego/internal/live"
	"livego/internal/metrics"
	"livego/internal/rtmp"
	"livego/internal/ticket"
)

// tally counts by words of a fixed set. It is for what happens at most once in a connection. The
// zero value is ready.
type tally[K comparable] struct {
	mu sync.Mutex
	n  map[K]uint64
}

func (t *tally[K]) add(what K) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.n == nil {
		t.n = make(map[K]uint64)
	}
	t.n[what]++
}

func (t *tally[K]) all() map[K]uint64 {
	t.mu.Lock()
	defer t.mu.Unlock()
	return maps.Clone(t.n)
}

// handshake is where and why a connection failed before anything was published, played or asked
// for.
type handshake struct{ protocol, reason string }

// failedTLS is the reason of those that did not get through their TLS handshake.
const failedTLS = "tls"

// handshakeReasons are the words for why an RTMP connection failed. The first that fits counts.
var handshakeReasons = []struct {
	err  error
	word string
}{
	{rtmp.ErrHTTPRequest, "http_request"}, {rtmp.ErrTLS, "tls_on_plain_port"}, {rtmp.ErrProtocol, "protocol"}, {rtmp.ErrLimit, "limit"},
	{rtmp.ErrTimeout, "timeout"}, {os.ErrDeadlineExceeded, "timeout"}, {errShutdown, "shutdown"},
}

// handshakeReason returns the word for why an RTMP connection failed.
func handshakeReason(err error) string {
	for _, r := range handshakeReasons {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	var status *rtmp.StatusError
	if errors.As(err, &status) {
		return "refused"
	}
	return "connection_lost"
}

// refusalReasons are the words for why a publisher was refused.
var refusalReasons = []struct {
	err  error
	word string
}{
	{errNoKey, "no_key"}, {keys.ErrUnknownKey, "unknown_key"}, {keys.ErrBadRoom, "bad_name"}, {keys.ErrUnavailable, "keys_unavailable"}, {errUndecided, "hook_unanswered"}, {errRefused, "hook"}, {live.ErrInUse, "in_use"}, {live.ErrFlapping, "flapping"},
	{live.ErrTooMany, "too_many_renditions"}, {live.ErrClosed, "shutdown"}, {cluster.ErrSkew, "clock_skew"}, {cluster.ErrRefused, "home"},
	{cluster.ErrUnreachable, "home_away"},
}

// refusalReason returns the word for why a publisher was refused.
func refusalReason(err error) string {
	for _, r := range refusalReasons {
		if errors.Is(err, r.err) {
			return r.word
		}
	}
	return "other"
}

// tokenWords are the words for what became of viewers' tokens: of those that open what they were
// shown for first, of what nobody thought of last.
var tokenWords = [...]struct {
	err  error
	word string
}{
	{nil, "valid"}, {ticket.ErrMissing, "missing"}, {ticket.ErrExpired, "expired"}, {ticket.ErrNotYet, "not_yet_valid"}, {ticket.ErrRevoked, "revoked"},
	{ticket.ErrStream, "other_stream"}, {ticket.ErrAddress, "other_address"}, {ticket.ErrSignature, "invalid"},
}

// tokenCounts counts viewers' tokens without a lock: each request of HLS shows one.
type tokenCounts [len(tokenWords)]atomic.Uint64

// add counts a token that was checked with a result.
func (c *tokenCounts) add(result error) {
	for i := range tokenWords {
		if errors.Is(result, tokenWords[i].err) || i == len(tokenWords)-1 {
			c[i].Add(1)
			return
		}
	}
}

func (c *tokenCounts) all() map[string]uint64 {
	all := make(map[string]uint64, len(c))
	for i := range c {
		all[tokenWords[i].word] = c[i].Load()
	}
	return all
}

// figures are what metrics show. No lock is taken that a publisher or the delivery to players takes
// for media.
func (s *Server) figures() *metrics.Figures {
	c := s.sessions.census()
	f := &metrics.Figures{
		Delivery: s.fanout.Stats(), HLS: s.hls.Totals(), Refused: s.refused.all(), Tokens: s.now().access.shown.all(), Events: s.events.Counts(),
		Connections: metrics.Connections(s.limits.Figures()), Certificates: make(map[string]time.Time),
	}
	c.addTo(f)
	s.addStreams(f, c)
	for key, n := range s.handshakes.all() {
		f.Handshakes = append(f.Handshakes, metrics.Handshakes{Protocol: key.protocol, Reason: key.reason, Count: n})
	}
	for _, r := range s.relays.Stats() {
		m := metrics.Relays{Direction: string(r.Direction), States: make(map[string]int), Tries: r.Tries, Failures: r.Failures, Bytes: r.Bytes, Skipped: r.Skipped}
		for state, n := range r.States {
			m.States[string(state)] = n
		}
		f.Relays = append(f.Relays, m)
	}
	if r := s.recorder(); r != nil {
		st := r.Stats()
		f.Recordings = &metrics.Recordings{
			Active: st.Active, Complete: st.Complete, Queued: int64(st.Queued), Spooled: st.Spooled,
			Stored: st.Stored, Bytes: uint64(st.Bytes), Failed: st.Failed, Lost: st.Lost, Took: st.Took,
		}
	}
	if s.node != nil {
		f.Cluster = s.node.clusterFigures()
	}
	if s.spool != nil {
		st := s.spool.Stats()
		f.Rewind = &st
	}
	s.now().hooks.addTo(f, &s.hookCounts)
	f.LogLines, f.LeftOut = s.lines.totals()
	if s.issuer != nil {
		if until, ok := s.issuer.Expiry(); ok {
			f.Certificates["acme_domains"] = until
		}
	}
	for _, l := range s.listeners {
		if until, ok := l.Certificate.Expiry(); ok {
			option, _, _ := strings.Cut(l.Certificate.Option, "/")
			f.Certificates[option] = until
		}
	}
	return f
}

// clusterFigures are what metrics show of other nodes. None of them is asked.
func (n *node) clusterFigures() *metrics.Cluster {
	n.mu.Lock()
	copies := len(n.copies)
	n.mu.Unlock()
	st, nodes := n.cache.Stats(), map[string]int{string(cluster.Ready): 0, string(cluster.Draining): 0, "gone": 0}
	for _, o := range n.member.Known() {
		if !o.Alive {
			nodes["gone"]++
		} else if _, known := nodes[string(o.State)]; known {
			nodes[string(o.State)]++
		}
	}
	return &metrics.Cluster{
		Claims: n.claims.all(), Nodes: nodes, Load: n.member.Self().Load, Feeds: n.handler.Feeds(), Moves: n.moves.Load(), Redirects: n.redirects.Load(),
		Away: n.member.Away(), Ahead: n.member.Ahead(), LostClaims: n.member.LostClaims(), Copies: copies,
		Hits: st.Hits, Misses: st.Misses, Coalesced: st.Coalesced, Failed: st.Failed, Files: st.Files, Bytes: st.Bytes,
	}
}

// addStreams adds the streams that are on air or in grace.
func (s *Server) addStreams(f *metrics.Figures, c *census) {
	place := make(map[string]int)
	for _, p := range s.hub.Figures(nil) {
		f.RingBytes += p.RingBytes
		key := p.Name.Key()
		i, ok := place[key]
		if !ok {
			i = len(f.Streams)
			place[key] = i
			f.Streams = append(f.Streams, metrics.Stream{App: p.Name.App, Name: p.Name.Stream})
			if at := c.streams[key]; at != nil {
				st := &f.Streams[i]
				st.Viewers, st.Received, st.Sent, st.Rate, st.KeyInterval = at.players, at.received, at.sent, at.rate, at.keyInterval
			}
		}
		f.Streams[i].OnAir = f.Streams[i].OnAir || p.OnAir
	}
	apps := make(map[string]int)
	for key, viewers := range s.HLSViewers() {
		app, _, _ := strings.Cut(key, "/")
		apps[app] += viewers
		if i, ok := place[key]; ok {
			f.Streams[i].Viewers += viewers
		}
	}
	for app, viewers := range apps {
		f.Sessions = append(f.Sessions, metrics.Sessions{App: app, Role: metrics.Player, Protocol: "hls", Count: viewers})
	}
}

// addTo adds what hooks did, those too that are no more: what is counted goes on.
func (h *hooks) addTo(f *metrics.Figures, counts *hookCounts) {
	if st := counts.deliveries.Stats(); h.dispatcher != nil || st != (hook.Stats{}) {
		f.Hooks = &metrics.Hooks{
			Delivered: st.Delivered, Failed: st.Failed, Dropped: st.Dropped, Missed: st.Missed, Tries: st.Tries, Waiting: st.Waiting,
		}
	}
	if q := metrics.Questions(counts.publish.Answers()); h.publish != nil || q != (metrics.Questions{}) {
		f.Questions = &q
	}
	if q := metrics.Questions(counts.view.Answers()); h.view != nil || q != (metrics.Questions{}) {
		f.ViewerQuestions = &q
	}
}

// census is the sessions at a moment, open and over.
type census struct {
	streams map[string]*streamCensus
	open    map[sessionKind]int
	traffic map[sessionKind]figures // without app
	ended   map[outcome]totals
}

// sessionKind is what sessions are counted by.
type sessionKind struct {
	app       string
	publisher bool
	protocol  string
}

// streamCensus is what the sessions of a stream come to: bytes, the rate of its publishers in bytes
// per second, and the longest time between key frames among them.
type streamCensus struct {
	players        int
	received, sent uint64
	rate           float64
	keyInterval    time.Duration
}

// census counts all sessions, by what they had at the last second.
func (r *registry) census() *census {
	c := &census{
		streams: make(map[string]*streamCensus), open: make(map[sessionKind]int), traffic: make(map[sessionKind]figures),
	}
	r.mu.Lock()
	connected := make([]*session, 0, len(r.sessions))
	for s := range r.sessions {
		connected = append(connected, s)
	}
	for key, at := range r.streams {
		st := &streamCensus{received: at.received, sent: at.sent}
		for _, n := range at.players {
			st.players += n
		}
		c.streams[key] = st
	}
	c.ended = maps.Clone(r.ended)
	r.mu.Unlock()
	for of, t := range c.ended {
		c.sum(sessionKind{"", of.publisher, of.protocol}, t.figures)
	}
	for _, s := range connected {
		c.add(s)
	}
	return c
}

// add counts a session that was open when the census began.
func (c *census) add(s *session) {
	f := s.latest()
	app, _, _ := strings.Cut(s.Key, "/")
	if s.Publisher || s.watches() {
		c.open[sessionKind{app, s.Publisher, s.Protocol}]++
	}
	c.sum(sessionKind{"", s.Publisher, s.Protocol}, f)
	at := c.streams[s.Key]
	if !s.Publisher {
		at.sent += f.video + f.audio
		return
	}
	at.received += f.video + f.audio
	video, audio := s.kbps()
	at.rate += float64(video+audio) * 1000 / 8
	if s.gauge != nil {
		at.keyInterval = max(at.keyInterval, time.Duration(s.gauge.keyInterval.Load()))
	}
}

func (c *census) sum(kind sessionKind, f figures) {
	t := c.traffic[kind]
	c.traffic[kind] = figures{video: t.video + f.video, audio: t.audio + f.audio, jumps: t.jumps + f.jumps}
}

// addTo adds the sessions to figures.
func (c *census) addTo(f *metrics.Figures) {
	for kind, n := range c.open {
		f.Sessions = append(f.Sessions, metrics.Sessions{App: kind.app, Role: roleOf(kind.publisher), Protocol: kind.protocol, Count: n})
	}
	for kind, t := range c.traffic {
		f.Traffic = append(f.Traffic, metrics.Traffic{Role: roleOf(kind.publisher), Protocol: kind.protocol, Bytes: t.video + t.audio, Jumps: t.jumps})
	}
	for of, t := range c.ended {
		f.Ended = append(f.Ended, metrics.Ended{Role: roleOf(of.publisher), Protocol: of.protocol, Reason: of.reason, Count: t.sessions})
	}
}

func roleOf(publisher bool) string {
	if publisher {
		return metrics.Publisher
	}
	return metrics.Player
}
