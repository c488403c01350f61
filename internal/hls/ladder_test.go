package hls

import "time"

// onto puts a drawn rendition into a ladder.
func onto(p *presentation, d *drawn) *drawn {
	p.put(d.rendition)
	d.shown = func(v *renditionView) { p.seconds.Store(int64(v.target / time.Second)) }
	d.left = func() { p.remove(d.rendition) }
	return d
}

// lowLatency is a server with the stream live/movie of a video and an audio: segments 100 to 105 of
// four parts, the open one has two.
func lowLatency(opt Options) (s *Server, l *life, video, audio *drawn) {
	if opt.Now == nil {
		opt.Now = func() time.Time { return time.Unix(1000, 0) }
	}
	s = NewServer(opt)
	l = s.begin("live/movie", &publication{})
	video, audio = drawPair()
	onto(l.cmaf, video).show(3)
	onto(l.cmaf, audio).show(3)
	l.cmaf.view.Store(&presentationView{independent: true, renditions: []renditionInfo{videoInfo(video.rendition), audioInfo(audio.rendition)}})
	l.cmaf.answer()
	return s, l, video, audio
}
