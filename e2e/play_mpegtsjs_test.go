package e2e

import (
	"slices"
	"testing"
	"time"
)

// chasing lets mpegts.js stay close to live, as a site does that wants low latency.
var chasing = map[string]any{
	"enableWorker": false, "enableStashBuffer": false, "lazyLoad": false, "autoCleanupSourceBuffer": true,
	"liveBufferLatencyChasing": true, "liveBufferLatencyMaxLatency": 1.0, "liveBufferLatencyMinRemain": 0.3,
}

// TestMpegtsJS plays HTTP-FLV and WebSocket-FLV in Chromium. The bars in the pictures tell how old
// they are when they are seen.
func TestMpegtsJS(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	stream := publishBars(t, s, s.key(t, room))
	s.waitOnAir(t, room)
	for name, address := range map[string]string{"HTTP-FLV": s.flvURL(room), "WebSocket-FLV": s.wsURL(room)} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			p := webPlay(t, mpegtsJS, address, chasing)
			p.waitPlaying(t)
			p.forget(t)
			r := p.waitProgress(t, 5, 20*time.Second)
			if age := stream.age(r); age < 0 || age > 1.5 {
				t.Errorf("pictures are %.2f s old when they are seen", age)
			}
			if r.Width != 320 || r.Decoded < 100 {
				t.Errorf("%v", r)
			}
		})
	}
}

// TestMpegtsJSKinds plays streams of one track.
func TestMpegtsJSKinds(t *testing.T) {
	t.Parallel()
	for _, kind := range []struct {
		name, clip string
		source     map[string]any
		width      int
	}{
		{"audio only", "aac", map[string]any{"hasVideo": false}, 0},
		{"video only", "h264", map[string]any{"hasAudio": false}, 320},
		{"neither announced", "h264", nil, 320},
	} {
		t.Run(kind.name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := shared(t), roomOf(t)
			ffmpegLoop(t, s, clip(t, kind.clip, 5, "flv"), s.key(t, room))
			s.waitOnAir(t, room)
			config := map[string]any{"source": kind.source}
			for name, value := range chasing {
				config[name] = value
			}
			p := webPlay(t, mpegtsJS, s.flvURL(room), config)
			p.waitPlaying(t)
			if r := p.waitProgress(t, 2, 20*time.Second); r.Width != kind.width {
				t.Errorf("the picture is %d wide, want %d", r.Width, kind.width)
			}
		})
	}
}

// TestMpegtsJSNamedSound: the metadata names sound that never comes. A page that begins anew when
// its connection ends has the picture within seconds.
func TestMpegtsJSNamedSound(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := shared(t), roomOf(t)
	tags := slices.DeleteFunc(flvClip(t, "h264-aac", 5), func(one tag) bool { return one.kind == typeAudio })
	publish(t, s, s.key(t, room), tags, pacing{loop: true})
	s.waitOnAir(t, room)
	p := webPlay(t, mpegtsAgain, s.flvURL(room), nil)
	p.waitPlaying(t)
	if r := p.waitProgress(t, 4, 20*time.Second); r.Begun > 1 || r.Width != 320 {
		t.Errorf("%v", r)
	}
}

// TestMpegtsJSRepublish loses the encoder in mid-play, and lets a second one take the stream over
// from a third: the page does nothing about it.
func TestMpegtsJSRepublish(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := shared(t), roomOf(t)
	key, file := s.key(t, room), clip(t, "h264-aac", 5, "flv")
	first := ffmpegLoop(t, s, file, key)
	s.waitOnAir(t, room)
	flv, ws := webPlay(t, mpegtsJS, s.flvURL(room), chasing), webPlay(t, mpegtsJS, s.wsURL(room), chasing)
	players := []*webPlayer{flv, ws}
	for _, p := range players {
		p.waitPlaying(t)
	}
	first.kill()
	s.waitOffAir(t, room)
	ffmpegLoop(t, s, file, key)
	s.waitOnAir(t, room)
	for _, p := range players {
		p.waitProgress(t, 2, 20*time.Second)
	}
	third := ffmpegLoop(t, s, file, key)
	for _, p := range players {
		p.waitProgress(t, 3, 20*time.Second)
	}
	third.kill()
}
