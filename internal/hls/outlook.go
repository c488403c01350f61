package hls

import (
	"net/url"
	"path"
	"time"

	"livego/internal/hls/playlist"
)

// Outlook is what a page that shows a stream has to know.
type Outlook struct {
	// Playlists are the URIs that a browser may try, the best one first, relative to a page at
	// /{app}/{stream}/.
	Playlists []string
	// Packaged: there is a playlist. OnDemand: there is one at once for who asks, if there are
	// media.
	Packaged, OnDemand bool
	// Ended: the stream is over, what there was of it can still be had.
	Ended bool
	// Settles is in how many seconds a browser plays the stream safely by itself, 0: now.
	Settles int
	// Viewers is as in StreamStats.
	Viewers int
}

// Outlook returns that of a stream. It is false where there is none. Unlike a request for a
// playlist it does not count as somebody who watches.
func (s *Server) Outlook(name string) (Outlook, bool) {
	s.mu.RLock()
	l := s.lives[name]
	s.mu.RUnlock()
	if l == nil {
		return Outlook{}, false
	}
	packaged := l.cmaf.View.Load() != nil || l.transport().view.Load() != nil
	o := Outlook{Packaged: packaged, Ended: l.over.Load(), Playlists: l.playlists(), Settles: l.settlesIn(s.opt.SegmentDuration)}
	o.OnDemand = len(o.Playlists) > 0 && l.demand.ready(s.opt.Now())
	if target := l.target(); target > 0 {
		o.Viewers = l.audience.count(s.opt.Now(), l.period(target))
	}
	return o, true
}

// startSegments is how many segments a stream has when browsers play it safely: with fewer,
// Chromium's own HLS player sometimes gives up.
const startSegments = 3

// settlesIn estimates in how many seconds the stream will have that many segments, 0: it has them.
func (l *life) settlesIn(segment time.Duration) int {
	target := l.target()
	if target == 0 {
		return int((startSegments*segment + time.Second - 1) / time.Second)
	}
	n := l.cmaf.Segments()
	if view := l.transport().view.Load(); view != nil {
		n = max(n, len(view.Segments))
	}
	return max(startSegments-n, 0) * int(target/time.Second)
}

// playlists returns what Outlook says of them. That with CMAF comes first: it carries more codecs,
// and Safari is closer to live with it.
func (l *life) playlists() (list []string) {
	if l.cmaf.View.Load() != nil || l.cmaf.Refusal.Load() == nil {
		list = append(list, playlist.IndexName+playlist.PlaylistSuffix)
	}
	if l.transport().refusal.Load() == nil {
		whole := url.URL{Path: "../" + path.Base(l.name) + playlist.PlaylistSuffix}
		list = append(list, whole.String())
	}
	return list
}
