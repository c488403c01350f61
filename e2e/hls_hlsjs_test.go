package e2e

import (
	"testing"
	"time"
)

// TestHLSJSTransportStream plays the MPEG-TS playlist in Chromium: hls.js takes it apart itself.
func TestHLSJSTransportStream(t *testing.T) {
	t.Parallel()
	for name, width := range map[string]int{"h264-aac": 320, "h264-aac-b": 320, "h264": 320, "aac": 0, "h264-mp3": 320} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := shared(t), roomOf(t)
			ffmpegLoop(t, s, clip(t, name, 5, "flv"), s.key(t, room))
			s.waitOnAir(t, room)
			waitPlaylist(t, s.hlsURL(room))
			p := webPlay(t, hlsJS, s.hlsURL(room), nil)
			p.waitPlaying(t)
			if r := p.waitProgress(t, 3, 20*time.Second); r.Width != width {
				t.Errorf("the picture is %d wide, want %d", r.Width, width)
			}
		})
	}
}

// TestHLSJSTransportStreamRepublish loses the encoder in mid-play: the next one's segments begin
// with a discontinuity, and hls.js goes on.
func TestHLSJSTransportStreamRepublish(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := shared(t), roomOf(t)
	key, file := s.key(t, room), clip(t, "h264-aac", 5, "flv")
	first := ffmpegLoop(t, s, file, key)
	s.waitOnAir(t, room)
	waitPlaylist(t, s.hlsURL(room))
	p := webPlay(t, hlsJS, s.hlsURL(room), nil)
	p.waitPlaying(t)
	first.kill()
	s.waitOffAir(t, room)
	ffmpegLoop(t, s, file, key)
	s.waitOnAir(t, room)
	p.waitProgress(t, 10, 40*time.Second) // more than was buffered from before
}
