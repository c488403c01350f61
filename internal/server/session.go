package server

import (
	"context"
	"crypto/rand"
	"encoding/base64"
	"sync"
	"time"

	"livego/internal/api"
	"livego/internal/live"
	"livego/internal/media"
)

const (
	sampleInterval = time.Second
	// rateSamples is how many intervals a rate is the mean of: LiveGo's window of five seconds.
	rateSamples = 5
)

// figures are running totals of a session.
type figures struct{ video, audio, jumps uint64 }

// session is one publisher or player that has a connection.
type session struct {
	api.Session
	figures func() figures
	stream  *live.Stream
	close   func(cause error)
	// reconnect, if set, asks the client to connect again (Enhanced RTMP v2), to a server that will be up then.
	reconnect func()
	done      chan struct{}

	// samples are the totals at the last seconds, newest last; guarded by registry.mu.
	samples []figures
}

// registry knows who is connected.
type registry struct {
	mu       sync.Mutex
	sessions map[*session]struct{}
	players  map[string]int // by the stream's key
	closed   bool
}

func newRegistry() *registry {
	return &registry{sessions: make(map[*session]struct{}), players: make(map[string]int)}
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

// add lists a session; remove takes it out.
func (r *registry) add(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.sessions[s] = struct{}{}
	if !s.Publisher {
		r.players[s.Key]++
	}
	if r.closed && s.Publisher {
		go s.close(errShutdown)
	}
}

func (r *registry) remove(s *session) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.sessions, s)
	if !s.Publisher {
		if r.players[s.Key]--; r.players[s.Key] == 0 {
			delete(r.players, s.Key)
		}
	}
	close(s.done)
}

// playing is how many players with a connection of their own a stream has.
func (r *registry) playing(key string) int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.players[key]
}

// sample takes the totals of all sessions each second, from which rates are made.
func (r *registry) sample(ctx context.Context) {
	tick := time.NewTicker(sampleInterval)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		r.takeSamples()
	}
}

func (r *registry) takeSamples() {
	r.mu.Lock()
	defer r.mu.Unlock()
	for s := range r.sessions {
		if len(s.samples) > rateSamples {
			copy(s.samples, s.samples[1:])
			s.samples = s.samples[:rateSamples]
		}
		s.samples = append(s.samples, s.figures())
	}
}

// kbps returns the mean rates of the last seconds.
func (s *session) kbps() (video, audio uint64) {
	n := len(s.samples)
	if n < 2 {
		return 0, 0
	}
	first, last := s.samples[0], s.samples[n-1]
	ms := uint64(n-1) * uint64(sampleInterval/time.Millisecond)
	return (last.video - min(last.video, first.video)) * 8 / ms, (last.audio - min(last.audio, first.audio)) * 8 / ms
}

// list returns a snapshot for the API.
func (r *registry) list() []api.Session {
	r.mu.Lock()
	defer r.mu.Unlock()
	all := make([]api.Session, 0, len(r.sessions))
	for s := range r.sessions {
		v := s.Session
		f := s.figures()
		v.VideoBytes, v.AudioBytes, v.Jumps = f.video, f.audio, f.jumps
		v.VideoKbps, v.AudioKbps = s.kbps()
		v.VideoCodec, v.AudioCodec = codecs(s.stream)
		all = append(all, v)
	}
	return all
}

// codecs names the first video and audio codec of a stream.
func codecs(stream *live.Stream) (video, audio string) {
	for _, t := range stream.Tracks() {
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

// announce asks all clients that can do so to connect again, and waits for at most d.
func (r *registry) announce(d time.Duration) {
	var asked sync.WaitGroup
	r.mu.Lock()
	for s := range r.sessions {
		if s.reconnect != nil {
			asked.Go(s.reconnect)
		}
	}
	r.mu.Unlock()
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
	var publishers []*session
	for s := range r.sessions {
		if s.Publisher {
			publishers = append(publishers, s)
		}
	}
	r.mu.Unlock()
	for _, s := range publishers {
		s.close(errShutdown)
	}
}

// awaitPlayers waits until all sessions are over, or the deadline.
func (r *registry) awaitPlayers(deadline time.Time) {
	timer := time.NewTimer(time.Until(deadline))
	defer timer.Stop()
	r.mu.Lock()
	var open []*session
	for s := range r.sessions {
		open = append(open, s)
	}
	r.mu.Unlock()
	for _, s := range open {
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
	return viewers
}

var (
	_ api.Sessions   = (*Server)(nil)
	_ api.HLSViewers = (*Server)(nil)
)
