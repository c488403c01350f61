package hls

import (
	"net/http"
	"sync"
	"time"

	"livego/internal/hls/playlist"
)

const (
	// patientAfter is how long after its first request a client that has asked for no part to come
	// is one that plays whole segments only: others do so at once.
	patientAfter = time.Second
	// maxPatient bounds the clients that are told apart.
	maxPatient = 1024
)

// patient knows whether somebody waits for the first whole CMAF segment of a life: a player without
// Low-Latency mode. Its methods may be called at the same time.
type patient struct {
	mu sync.Mutex
	// clients are those that asked for a media playlist which had no whole segment.
	clients map[uint64]asker
}

// asker is when a client asked first. quick: it has asked for what was to come next.
type asker struct {
	since time.Time
	quick bool
}

// note notes a request for a media playlist that is at a view.
func (p *patient) note(s *Server, r *http.Request, v *playlist.View, d playlist.Directives) {
	if v.Ended || hasWhole(v) {
		return
	}
	client := clientID(s.seed, r)
	p.mu.Lock()
	defer p.mu.Unlock()
	a, known := p.clients[client]
	if !known && len(p.clients) >= maxPatient {
		return
	}
	if !known {
		a.since = s.opt.Now()
	}
	a.quick = a.quick || d.MSN >= 0 && d.Part >= 0 && !d.Met(v)
	if p.clients == nil {
		p.clients = make(map[uint64]asker)
	}
	p.clients[client] = a
}

// hasWhole says that a player finds a segment which is whole.
func hasWhole(v *playlist.View) bool {
	for _, s := range v.Segments[v.Listed:] {
		if s.Complete && !s.Gap {
			return true
		}
	}
	return v.Stored.Len() > 0
}

// waits says that somebody waits for a whole segment.
func (p *patient) waits(now time.Time) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, a := range p.clients {
		if !a.quick && now.Sub(a.since) >= patientAfter {
			return true
		}
	}
	return false
}
