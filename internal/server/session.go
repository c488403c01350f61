package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"maps"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/api"
	"livego/internal/event"
	"livego/internal/live"
	"livego/internal/media"
)

const (
	sampleInterval = time.Second
	// rateSamples is how many intervals a rate is the mean of: LiveGo's window of five seconds.
	rateSamples = 5
)

// figures are running totals of a session, and how far a player is behind. jumps are of a player
// that had fallen behind, or of the time of an encoder.
type figures struct {
	video, audio, jumps uint64
	behind              time.Duration
}

// session is one publisher or player that has a connection.
type session struct {
	api.Session
	agent   string // what the client calls itself
	figures func() figures
	gauge   *gauge                 // of a publisher
	limits  *limitWatch            // of a publisher; nil: it may send anything
	encoder atomic.Pointer[string] // what a publisher's metadata calls it; nil: nothing
	pub     *live.Publication      // nil: it has its home on another node
	close   func(cause error)
	// token is what lists call the viewer's token, empty without one.
	token string
	// own is set for a command of the server's own, which is listed, and no viewer.
	own bool
	// reconnect, if set, asks the client to connect again (Enhanced RTMP v2): to another server
	// (rtmp://host:port), or to this one, which will be up then, for an empty one.
	reconnect func(to string)
	// move, if set, takes a publisher to another home of its stream.
	move func()
	done chan struct{}

	mu sync.Mutex
	// samples are the totals at the last seconds, newest last; guarded by mu.
	samples []figures
}

// registry knows who is connected, and sums up who was. It calls nothing of a session while it
// holds its lock.
type registry struct {
	events *event.Bus

	mu       sync.Mutex
	sessions map[*session]struct{}
	streams  map[string]*presence // by the stream's key, of those that have sessions
	feeding  map[*live.Publication]*session
	ended    map[outcome]totals
	closed   bool
	// sent is what players got in the last second, in bit/s, by the stream's key.
	sent atomic.Pointer[map[string]uint64]
}

// audience counts the players of a stream by protocol.
type audience map[string]int

// presence is the sessions of one stream.
type presence struct {
	sessions int
	players  audience
	// received and sent are the bytes of those that are over.
	received, sent uint64
}

// outcome is what sessions that are over are summed up by.
type outcome struct {
	publisher        bool
	protocol, reason string
}

// totals are sums over sessions.
type totals struct {
	sessions uint64
	figures
}

func newRegistry(events *event.Bus) *registry {
	return &registry{
		events: events, sessions: make(map[*session]struct{}), streams: make(map[string]*presence), feeding: make(map[*live.Publication]*session), ended: make(map[outcome]totals),
	}
}

// newSession fills in what all sessions have.
func newSession(protocol, remote string, name live.Name, url string, publisher bool) *session {
	return &session{
		Session: api.Session{
			Publisher: publisher, Key: name.Key(), Rendition: name.Rendition, ID: newID(), URL: url, Protocol: protocol, RemoteAddr: remote, Start: time.Now(),
		},
		done: make(chan struct{}),
	}
}

// newID returns 16 characters of URL-safe base64.
func newID() string {
	var b [12]byte
	_, _ = rand.Read(b[:])
	return base64.URLEncoding.EncodeToString(b[:])
}

// add lists a session.
func (r *registry) add(s *session) {
	if s.watches() {
		r.events.Emit(event.Event{Type: event.ViewerJoined, Stream: s.Key, Rendition: s.Rendition, Session: s.who()})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[s] = struct{}{}
	at := r.streams[s.Key]
	if at == nil {
		at = &presence{players: make(audience)}
		r.streams[s.Key] = at
	}
	at.sessions++
	switch {
	case s.watches():
		at.players[s.Protocol]++
	case s.Publisher && s.pub != nil:
		r.feeding[s.pub] = s
	}
	if r.closed && s.Publisher {
		go s.close(errShutdown)
	}
}

// watches says whether the session is a viewer's.
func (s *session) watches() bool { return !s.Publisher && !s.own }

// who is the session as events name it.
func (s *session) who() *event.Session {
	return &event.Session{ID: s.ID, Protocol: s.Protocol, Remote: s.RemoteAddr}
}

// remove takes a session out that ended for a cause.
func (r *registry) remove(s *session, cause error) {
	f, of := s.figures(), outcome{s.Publisher, s.Protocol, reasonOf(cause)}
	if s.watches() {
		r.events.Emit(event.Event{
			Type: event.ViewerLeft, Stream: s.Key, Rendition: s.Rendition, Session: s.who(), Data: left{of.reason, f.video + f.audio, time.Since(s.Start).Seconds()},
		})
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, s)
	at := r.streams[s.Key]
	if !s.Publisher {
		at.sent += f.video + f.audio
		if at.players[s.Protocol] -= number(s.watches()); at.players[s.Protocol] == 0 {
			delete(at.players, s.Protocol)
		}
	} else {
		at.received += f.video + f.audio
		if r.feeding[s.pub] == s {
			delete(r.feeding, s.pub)
		}
	}
	if at.sessions--; at.sessions == 0 {
		delete(r.streams, s.Key)
	}
	t := r.ended[of]
	t.sessions++
	t.video, t.audio, t.jumps = t.video+f.video, t.audio+f.audio, t.jumps+f.jumps
	r.ended[of] = t
	close(s.done)
}

// left is the data of the event that a viewer left.
type left struct {
	Reason  string  `json:"reason"`
	Bytes   uint64  `json:"bytes"`
	Seconds float64 `json:"seconds"`
}

// playing returns how many players a stream has over connections of their own.
func (r *registry) playing(key string) (n int) {
	for _, of := range r.audienceOf(key) {
		n += of
	}
	return n
}

// publisherOf returns who feeds a publication now, nil if nobody does.
func (r *registry) publisherOf(pub *live.Publication) *session {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.feeding[pub]
}

// bitRateTo is what the players of a stream get, in bit/s.
func (r *registry) bitRateTo(key string) uint64 {
	if sent := r.sent.Load(); sent != nil {
		return (*sent)[key]
	}
	return 0
}

// audienceOf counts the players of a stream by protocol.
func (r *registry) audienceOf(key string) map[string]int {
	r.mu.Lock()
	defer r.mu.Unlock()
	by := make(map[string]int)
	if at := r.streams[key]; at != nil {
		maps.Copy(by, at.players)
	}
	return by
}

// eachAudience calls f for each stream that has players, with how many. f must not call back.
func (r *registry) eachAudience(f func(stream string, players int)) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for key, at := range r.streams {
		n := 0
		for _, of := range at.players {
			n += of
		}
		if n > 0 {
			f(key, n)
		}
	}
}

// sentToPlayers returns how many bytes players got, those that have left too, at the last second.
func (r *registry) sentToPlayers() (bytes uint64) {
	r.mu.Lock()
	for of, t := range r.ended {
		if !of.publisher {
			bytes += t.video + t.audio
		}
	}
	players := make([]*session, 0, len(r.sessions))
	for s := range r.sessions {
		if !s.Publisher {
			players = append(players, s)
		}
	}
	r.mu.Unlock()
	for _, s := range players {
		f := s.latest()
		bytes += f.video + f.audio
	}
	return bytes
}

// all returns who is connected, in dst.
func (r *registry) all(dst []*session) []*session {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.sessions {
		dst = append(dst, s)
	}
	return dst
}

// sample takes the totals of all sessions each second, from which rates are made, and calls then.
func (r *registry) sample(ctx context.Context, then func()) {
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	var connected []*session
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		connected = r.all(connected[:0])
		sent := make(map[string]uint64)
		for _, s := range connected {
			if bytes := s.sample(); s.watches() && bytes > 0 {
				sent[s.Key] += bytes * 8 / uint64(sampleInterval/time.Second)
			}
			if s.limits != nil {
				video, audio := s.kbps()
				s.limits.check(time.Now(), int(video+audio)*1000)
			}
		}
		r.sent.Store(&sent)
		clear(connected)
		then()
	}
}

// sample notes the totals as they are now, and returns by how many bytes they have risen.
func (s *session) sample() (bytes uint64) {
	f := s.figures()
	if s.gauge != nil {
		s.gauge.sample()
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.samples); n > 0 {
		before := s.samples[n-1].video + s.samples[n-1].audio
		bytes = f.video + f.audio - min(before, f.video+f.audio)
	}
	if len(s.samples) > rateSamples {
		copy(s.samples, s.samples[1:])
		s.samples = s.samples[:rateSamples]
	}
	s.samples = append(s.samples, f)
	return bytes
}

// kbps returns the mean rates of the last seconds.
func (s *session) kbps() (video, audio uint64) {
	s.mu.Lock()
	defer s.mu.Unlock()
	n := len(s.samples)
	if n < 2 {
		return 0, 0
	}
	first, last := s.samples[0], s.samples[n-1]
	ms := uint64(n-1) * uint64(sampleInterval/time.Millisecond)
	return (last.video - min(last.video, first.video)) * 8 / ms, (last.audio - min(last.audio, first.audio)) * 8 / ms
}

// latest returns the totals at the last second, none before the first one.
func (s *session) latest() figures {
	s.mu.Lock()
	defer s.mu.Unlock()
	if n := len(s.samples); n > 0 {
		return s.samples[n-1]
	}
	return figures{}
}

// list returns a snapshot for the API.
func (r *registry) list() []api.Session {
	connected := r.all(nil)
	all := make([]api.Session, 0, len(connected))
	for _, s := range connected {
		v := s.Session
		f := s.figures()
		v.VideoBytes, v.AudioBytes, v.Jumps = f.video, f.audio, f.jumps
		v.VideoKbps, v.AudioKbps = s.kbps()
		v.VideoCodec, v.AudioCodec = codecs(s.pub)
		all = append(all, v)
	}
	return all
}

// codecs names the first video and audio codec of a stream.
func codecs(pub *live.Publication) (video, audio string) {
	if pub == nil {
		return "", "" // it has its home on another node
	}
	for _, t := range pub.Tracks() {
		switch {
		case t.Kind == media.Video && video == "":
			video = codecName(t)
		case t.Kind == media.Audio && audio == "":
			audio = codecName(t)
		}
	}
	return video, audio
}

// codecName is the codec's name, or how the wire calls it if nobody here knows it.
func codecName(t *media.Track) string {
	if t.Codec == media.Unknown {
		return t.Name
	}
	return string(t.Codec)
}

// announce asks all clients that can do so to connect again, to another server if there is one, and
// waits for at most d.
func (r *registry) announce(to string, d time.Duration) {
	var asked sync.WaitGroup
	for _, s := range r.all(nil) {
		if s.reconnect != nil {
			asked.Go(func() { s.reconnect(to) })
		}
	}
	done := make(chan struct{})
	go func() {
		asked.Wait()
		close(done)
	}()
	select {
	case <-done:
	case <-time.After(d):
	}
}

// closeAll closes the publishers, and those that come later.
func (r *registry) closeAll() {
	r.mu.Lock()
	r.closed = true
	r.mu.Unlock()
	for _, s := range r.all(nil) {
		if s.Publisher {
			s.close(errShutdown)
		}
	}
}

// awaitPlayers waits until all sessions are over, or the deadline.
func (r *registry) awaitPlayers(deadline time.Time) {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	for _, s := range r.all(nil) {
		select {
		case <-s.done:
		case <-timer.C:
			return
		}
	}
}

// Sessions implements api.Sessions.
func (s *Server) Sessions() []api.Session { return s.sessions.list() }

// HLSViewers implements api.HLSViewers.
func (s *Server) HLSViewers() map[string]int {
	viewers := make(map[string]int)
	for _, st := range s.hls.Stats() {
		if !st.Ended {
			viewers[st.Name] = st.Viewers
		}
	}
	if s.node != nil {
		for name, n := range s.node.audiences.Counts() {
			viewers[name] += n
		}
	}
	return viewers
}

var (
	_ api.Sessions   = (*Server)(nil)
	_ api.HLSViewers = (*Server)(nil)
)
