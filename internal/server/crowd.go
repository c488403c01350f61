package server

import (
	"slices"
	"strings"

	"livego/internal/live"
)

// boundCrowds lets streams and viewers be counted where there are bounds for them.
func (s *Server) boundCrowds(n *settings) {
	o := &n.opt
	has := func(bound func(App) int) bool {
		return slices.ContainsFunc(o.Apps, func(a App) bool { return bound(a) > 0 })
	}
	if o.MaxStreams > 0 || has(func(a App) int { return a.MaxStreams }) {
		n.access.roomFor = s.roomFor
	}
	if o.MaxViewers > 0 || has(func(a App) int { return a.MaxViewers }) {
		n.access.viewerFits = s.viewerFits
	}
}

// roomFor says whether a stream may begin, or is there already.
func (s *Server) roomFor(app App, name live.Name) bool {
	streams := make(map[string]bool)
	of := 0
	for _, p := range s.hub.Publications() {
		if key := p.Name().Key(); !streams[key] {
			streams[key] = true
			if p.Name().App == name.App {
				of++
			}
		}
	}
	return streams[name.Key()] || below(len(streams), s.now().opt.MaxStreams) && below(of, app.MaxStreams)
}

// viewerFits says whether there is room for one more viewer of an app.
func (s *Server) viewerFits(name string) bool {
	app, _ := s.app(name)
	all, of := 0, 0
	count := func(stream string, viewers int) {
		all += viewers
		if strings.HasPrefix(stream, name+"/") {
			of += viewers
		}
	}
	s.sessions.eachAudience(count)
	for stream, viewers := range s.HLSViewers() {
		count(stream, viewers)
	}
	return below(all, s.now().opt.MaxViewers) && below(of, app.MaxViewers)
}

// viewerFitsHLS is viewerFits for the stream that an HLS viewer wants.
func (s *Server) viewerFitsHLS(stream string) bool {
	fits := s.now().access.viewerFits
	return fits == nil || fits(nameOf(stream).App)
}

// below says whether there may be one more.
func below(n, bound int) bool { return bound == 0 || n < bound }
