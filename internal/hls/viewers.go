package hls

import (
	"hash/maphash"
	"net"
	"net/http"
	"sync"
	"time"
)

// maxViewers bounds the clients that are told apart in one period: about 3 MiB a stream. More than
// these are not counted.
const maxViewers = 100_000

// audience estimates the number of viewers of one stream: distinct clients in this period and the
// one before. Players fetch the playlist once a target duration, so a period of one and a half sees
// each of them.
type audience struct {
	mu sync.Mutex
	// since is when the present period began.
	since           time.Time
	present, before map[uint64]struct{}
	// fresh counts those of present that are not in before.
	fresh int
}

// see counts a client.
func (a *audience) see(client uint64, now time.Time, period time.Duration) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.advance(now, period)
	if _, ok := a.present[client]; ok || len(a.present) >= maxViewers {
		return
	}
	if a.present == nil {
		a.present = make(map[uint64]struct{})
	}
	a.present[client] = struct{}{}
	if _, ok := a.before[client]; !ok {
		a.fresh++
	}
}

// knows says whether a client is counted already.
func (a *audience) knows(client uint64, now time.Time, period time.Duration) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.advance(now, period)
	_, present := a.present[client]
	_, before := a.before[client]
	return present || before
}

// count returns the number of viewers.
func (a *audience) count(now time.Time, period time.Duration) int {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.advance(now, period)
	return len(a.before) + a.fresh
}

func (a *audience) advance(now time.Time, period time.Duration) {
	switch age := now.Sub(a.since); {
	case age < period:
		return
	case age < 2*period:
		a.since = a.since.Add(period)
		a.before, a.present = a.present, nil
	default:
		a.since = now
		a.before, a.present = nil, nil
	}
	a.fresh = 0
}

// maxAudiences bounds the streams whose viewers Audiences counts.
const maxAudiences = 10_000

// Audiences estimates the viewers of streams that are served by somebody else, as a Server does of
// its own. Its methods may be called from any goroutine.
type Audiences struct {
	seed   maphash.Seed
	period time.Duration
	now    func() time.Time

	mu sync.Mutex
	of map[string]*audience
}

// NewAudiences returns one for players that ask for a playlist once in a period.
func NewAudiences(period time.Duration) *Audiences {
	return &Audiences{seed: maphash.MakeSeed(), period: period, now: time.Now, of: make(map[string]*audience)}
}

// IsWatched says whether who asks for a file, again and again, is a viewer: it is a playlist, and
// not one of key frames only.
func IsWatched(path string) bool {
	switch route(path).kind {
	case mediaPlaylist, multivariantPlaylist, renditionPlaylist:
		return true
	}
	return false
}

// Knows says whether who asks is counted as a viewer of a stream already.
func (a *Audiences) Knows(stream string, r *http.Request) bool {
	a.mu.Lock()
	at := a.of[stream]
	a.mu.Unlock()
	return at != nil && at.knows(clientID(a.seed, r), a.now(), a.period)
}

// Knows is the same for a stream of the server's own.
func (s *Server) Knows(stream string, r *http.Request) bool {
	s.mu.RLock()
	l := s.lives[stream]
	s.mu.RUnlock()
	return l != nil && l.audience.knows(clientID(s.seed, r), s.opt.Now(), l.period(l.target()))
}

// See counts who asks as a viewer of a stream.
func (a *Audiences) See(stream string, r *http.Request) {
	a.mu.Lock()
	at := a.of[stream]
	if at == nil {
		if len(a.of) >= maxAudiences {
			a.mu.Unlock()
			return
		}
		at = new(audience)
		a.of[stream] = at
	}
	a.mu.Unlock()
	at.see(clientID(a.seed, r), a.now(), a.period)
}

// Counts returns the viewers by stream, and forgets streams without any.
func (a *Audiences) Counts() map[string]int {
	a.mu.Lock()
	defer a.mu.Unlock()
	all := make(map[string]int, len(a.of))
	for stream, at := range a.of {
		if n := at.count(a.now(), a.period); n > 0 {
			all[stream] = n
		} else {
			delete(a.of, stream)
		}
	}
	return all
}

// clientID tells clients apart by address and user agent. The seed keeps the result from being
// forged from outside.
func clientID(seed maphash.Seed, r *http.Request) uint64 {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		host = r.RemoteAddr
	}
	var h maphash.Hash
	h.SetSeed(seed)
	_, _ = h.WriteString(host) // never fails
	_ = h.WriteByte(0)
	_, _ = h.WriteString(r.UserAgent())
	return h.Sum64()
}
