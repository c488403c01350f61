package hls

import (
	"context"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/ladder"
	"livego/internal/hls/playlist"
)

// onto puts a drawn rendition into a ladder.
func onto(p *ladder.Presentation, d *hlstest.Drawn) *hlstest.Drawn {
	p.Put(d.Rendition)
	d.Shown = func(v *playlist.View) { p.SetTarget(v.Target) }
	d.Left = func() { p.Remove(d.Rendition) }
	return d
}

// lowLatency is a server with the stream live/movie of a video and an audio: segments 100 to 105 of
// four parts, the open one has two.
func lowLatency(opt Options) (s *Server, l *life, video, audio *hlstest.Drawn) {
	if opt.Now == nil {
		opt.Now = func() time.Time { return time.Unix(1000, 0) }
	}
	s = newServer(opt)
	l = s.begin("live/movie", &ladder.Publication{})(context.Background())
	video, audio = hlstest.DrawPair()
	onto(l.cmaf, video).Show(3)
	onto(l.cmaf, audio).Show(3)
	l.cmaf.View.Store(&playlist.Multivariant{Independent: true, Renditions: []playlist.Info{hlstest.VideoInfo(video.Rendition), hlstest.AudioInfo(audio.Rendition)}})
	l.cmaf.Answer()
	return s, l, video, audio
}

// newServer makes a server that packages CMAF too.
func newServer(opt Options) *Server {
	opt.CMAF = true
	return NewServer(opt)
}
