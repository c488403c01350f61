package server

import (
	"net"
	"net/http"
	"slices"
	"strings"
	"time"

	v1 "livego/internal/api/v1"
	"livego/internal/console"
	"livego/internal/fmp4"
	"livego/internal/live"
	"livego/internal/media"
	"livego/internal/pages"
	"livego/internal/watch"
)

// newWatch makes the handler of the HLS port.
func (s *Server) newWatch(built *pages.Set) *watch.Handler {
	return watch.New(watch.Options{
		Media: s.media(), Streams: onAir{s}, Pages: built, Log: s.log,
		List: func() bool { return s.now().opt.PublicStatus }, Frames: func() []string { return s.now().opt.FrameOrigins },
	})
}

// media serves playlists and segments.
func (s *Server) media() http.Handler {
	if s.node != nil {
		return s.node
	}
	return s.hls
}

// onAir tells the pages of the streams.
type onAir struct{ *Server }

var _ watch.Streams = onAir{}

// Status implements watch.Streams.
func (s onAir) Status(name string) (watch.Status, bool) {
	n, ok := s.watchable(name)
	if !ok {
		return watch.Status{}, false
	}
	st := s.status(n)
	if st.State == watch.Offline { // the page waits for it, as a viewer does
		s.bring(n, nil)
	}
	return st, true
}

// OnAir implements watch.Streams.
func (s onAir) OnAir() (all []watch.Status) {
	var last live.Name
	for _, p := range s.hub.Publications() {
		if n, ok := s.watchable(p.Name().Key()); ok && n != last {
			all, last = append(all, s.status(n)), n
		}
	}
	slices.SortFunc(all, func(a, b watch.Status) int { return strings.Compare(a.Stream, b.Stream) })
	return slices.CompactFunc(all, func(a, b watch.Status) bool { return a.Stream == b.Stream })
}

// watchable takes a stream's name apart, if a page can show a stream of its app.
func (s onAir) watchable(name string) (live.Name, bool) {
	n := nameOf(name)
	app, ok := s.app(n.App)
	return n, ok && (app.HLS || app.FLV)
}

// status describes a stream, wherever in the cluster it is.
func (s onAir) status(name live.Name) watch.Status {
	if s.node != nil {
		if st, away := s.node.status(name); away {
			return st
		}
	}
	return s.statusHere(name)
}

// statusHere describes a stream as it is here.
func (s onAir) statusHere(name live.Name) watch.Status {
	publications := s.hub.Renditions(name)
	st := watch.Status{Stream: name.Key(), State: watch.Offline}
	seen, packaged := s.hls.Outlook(st.Stream)
	st.Playlists, st.Packaged, st.Settles = seen.Playlists, seen.Packaged, seen.Settles
	st.Viewers = seen.Viewers + s.sessions.playing(st.Stream)
	if packaged && s.opt.HLS.CMAF {
		st.Rewind = int(s.opt.Rewind.Window / time.Second)
	}
	if s.posters.has(st.Stream) {
		st.Poster = posterJPEG
	}
	for _, p := range publications {
		st.Tracks = append(st.Tracks, tracksOf(p)...)
	}
	switch {
	case len(publications) > 0 && !slices.ContainsFunc(publications, (*live.Publication).OnAir):
		st.State = watch.Interrupted
	case len(publications) > 0 && (len(st.Tracks) == 0 || !slices.ContainsFunc(publications, settled)):
		st.State = watch.Starting
	case len(publications) > 0:
		st.State = watch.Live
		st.Still = slices.ContainsFunc(st.Tracks, func(t watch.Track) bool { return t.Kind == media.Video.String() })
		st.Packaged = seen.Packaged || seen.OnDemand
	case s.pulls.rested.has(name): // it is there for who asks
	case packaged || s.endings.has(st.Stream):
		st.State = watch.Ended
	}
	return st
}

// settled says whether it is known which tracks a publication has.
func settled(p *live.Publication) bool {
	select {
	case <-p.Settled():
		return true
	default:
		return false
	}
}

// tracksOf describes the media of a publication.
func tracksOf(p *live.Publication) (tracks []watch.Track) {
	for _, t := range p.Tracks() {
		if t.Kind != media.Video && t.Kind != media.Audio {
			continue
		}
		tr := watch.Track{
			Kind: t.Kind.String(), ID: t.ID, Rendition: p.Name().Rendition, Codec: codecName(t), Codecs: fmp4.Codecs(t),
			FrameRate: fmp4.FrameRate(t), Channels: t.Channels,
		}
		tr.Width, tr.Height = fmp4.Resolution(t)
		tracks = append(tracks, tr)
	}
	return tracks
}

// Doors implements watch.Streams.
func (s onAir) Doors(name string) (doors []watch.Door) {
	n, _ := s.watchable(name)
	app, _ := s.app(n.App)
	for _, l := range s.listeners {
		port := 0
		if addr, ok := l.Addr().(*net.TCPAddr); ok {
			port = addr.Port
		}
		add := func(protocol, scheme, suffix string) {
			doors = append(doors, watch.Door{Protocol: protocol, Scheme: scheme, Port: port, Suffix: suffix})
		}
		switch {
		case (l.Name == "http-flv" || l.Name == "https") && app.FLV:
			add(watch.HTTPFLV, secured("http", l.Secure), ".flv")
			add(watch.WebSocketFLV, secured("ws", l.Secure), ".flv")
		case l.Name == "rtmp" && app.Live:
			add(watch.RTMP, secured("rtmp", l.Secure), "")
		case l.Name == "rtmps" && app.Live:
			add(watch.RTMPS, "rtmps", "")
		}
	}
	return doors
}

// mediaPorts returns where there is what for encoders and players.
func (s *Server) mediaPorts() (ports []v1.Listener) {
	for _, l := range s.listeners {
		addr, ok := l.Addr().(*net.TCPAddr)
		if !ok {
			continue
		}
		add := func(protocol, scheme string) {
			ports = append(ports, v1.Listener{Protocol: protocol, Scheme: scheme, Port: addr.Port})
		}
		if l.Name == "http-flv" || l.Name == "https" {
			add(watch.HTTPFLV, secured("http", l.Secure))
			add(watch.WebSocketFLV, secured("ws", l.Secure))
		}
		switch l.Name {
		case "hls", "https":
			add(protocolHLS, secured("http", l.Secure))
		case "rtmp":
			add(watch.RTMP, secured("rtmp", l.Secure))
		case "rtmps":
			add(watch.RTMPS, "rtmps")
		}
	}
	return ports
}

// newConsole makes the page at / of the API's port.
func (s *Server) newConsole(built *pages.Set) *console.Handler {
	return console.New(console.Options{Pages: built, Token: s.opt.API.Secret != "", Log: s.log, Media: func() (ports []console.Port) {
		for _, l := range s.mediaPorts() {
			if !strings.HasPrefix(l.Scheme, "rtmp") {
				ports = append(ports, console.Port{Scheme: l.Scheme, Port: l.Port})
			}
		}
		return ports
	}})
}

// secured is a scheme with or without TLS.
func secured(scheme string, tls bool) string {
	if tls {
		return scheme + "s"
	}
	return scheme
}
