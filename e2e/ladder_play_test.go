package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"
)

// rung is one rendition of a ladder.
type rung struct {
	name      string
	height    int
	kilobits  int
	arguments string
}

// ladder is what the tests publish. The bit rates are constant, so that a limit between two of them decides.
var ladder = []rung{{"high", 360, 1500, "-s 640x360"}, {"middle", 180, 600, "-s 320x180"}, {"low", 90, 150, "-s 160x90"}}

// publishLadder lets one FFmpeg encode live and publish all rungs, each with the sound.
func publishLadder(t testing.TB, s *server, key string) *program {
	t.Helper()
	call := strings.Fields("-v error -re -f lavfi -i testsrc2=s=640x360:r=25 -re -f lavfi -i " + sound)
	for _, rung := range ladder {
		output := fmt.Sprintf("-map 0:v -map 1:a %s -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 25 -keyint_min 25 -sc_threshold 0 "+
			"-b:v %dk -minrate %dk -maxrate %dk -bufsize %dk -nal-hrd cbr -c:a aac -b:a 64k -f flv",
			rung.arguments, rung.kilobits, rung.kilobits, rung.kilobits, rung.kilobits)
		call = append(append(call, strings.Fields(output)...), s.publishURL(key)+"?rendition="+rung.name)
	}
	return launch(t, "ffmpeg", call...)
}

// waitLadder waits until the multivariant playlist names n pictures sizes.
func waitLadder(t testing.TB, s *server, stream string, n int) {
	t.Helper()
	var list multivariant
	var text []byte
	if !waitUntil(30*time.Second, func() bool {
		_, text, _ = get(s.indexURL(stream))
		var err error
		list, err = parseMultivariant(s.indexURL(stream), string(text))
		return err == nil && len(list.variants) == n
	}) {
		t.Fatalf("no ladder of %d variants:\n%s", n, text)
	}
}

// TestLadderThrottled publishes a ladder with one FFmpeg and no transcoding here, and limits what the page may download: hls.js goes down, and up again.
// On a busy machine it takes the wrong decisions, for it measures.
func TestLadderThrottled(t *testing.T) {
	measured(t)
	chromium.turn(t)
	s, room := start(t, "--hls_segment_duration", "1", "--hls_list_size", "6"), roomOf(t)
	publishLadder(t, s, s.key(t, room))
	s.waitOnAir(t, room)
	waitLadder(t, s, room, len(ladder))
	p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
	p.waitPlaying(t)
	height := func(want int) func(webReport) bool {
		return func(r webReport) bool { return r.Height == want }
	}
	p.waitFor(t, 40*time.Second, "it plays the highest level", height(360))
	p.throttle(t, 1200)
	p.waitFor(t, 40*time.Second, "it goes down", func(r webReport) bool { return r.Height < 360 })
	p.throttle(t, 0)
	p.waitFor(t, 40*time.Second, "it goes up again", height(360))
	r := p.waitProgress(t, 2, 20*time.Second)
	t.Logf("levels that were played: %v", r.Switches)
}

// TestLadderLeaves takes a rung out of the ladder while it is played: hls.js goes on with the other.
func TestLadderLeaves(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := start(t, "--hls_segment_duration", "1", "--hls_list_size", "6", "--republish_grace", "1"), roomOf(t)
	key := s.key(t, room)
	publish(t, s, key+"?rendition=high", flvClip(t, "h264-aac", 5), pacing{loop: true})
	low := publish(t, s, key+"?rendition=low", flvClip(t, "h264-small", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	waitLadder(t, s, room, 2)
	p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
	p.waitPlaying(t)
	p.evaluate(t, "hls.currentLevel = hls.levels.findIndex(level => level.height === 90)", nil)
	p.waitFor(t, 20*time.Second, "the level that will leave is played", func(r webReport) bool { return r.Height == 90 })
	low.cancel()
	low.finish(t)
	p.evaluate(t, "hls.currentLevel = -1", nil)
	p.waitFor(t, 40*time.Second, "it plays the level that is left", func(r webReport) bool { return r.Height == 180 })
	p.waitProgress(t, 5, 30*time.Second)
}

// TestLadderSoundMoves takes the rung away that brings the sound, while it is played and while another is: hls.js goes on with the other one's sound,
// whether the encoder says that it ends or is killed.
func TestLadderSoundMoves(t *testing.T) {
	t.Parallel()
	cases := []struct {
		name   string
		height int
		gone   func(testing.TB, *publication)
	}{
		{"killed, other played", 90, func(_ testing.TB, p *publication) { p.lose() }},
		{"killed, played", 180, func(_ testing.TB, p *publication) { p.lose() }},
		{"ended, played", 180, func(t testing.TB, p *publication) {
			p.cancel()
			p.finish(t)
		}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := start(t, "--hls_segment_duration", "1", "--hls_list_size", "6", "--republish_grace", "3"), roomOf(t)
			key := s.key(t, room)
			high := publish(t, s, key+"?rendition=high", flvClip(t, "h264-aac", 5), pacing{loop: true})
			s.waitOnAir(t, room)
			publish(t, s, key+"?rendition=low", flvClip(t, "h264-small", 5), pacing{loop: true})
			waitLadder(t, s, room, 2)
			p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
			p.waitPlaying(t)
			p.evaluate(t, fmt.Sprintf("hls.currentLevel = hls.levels.findIndex(level => level.height === %d)", c.height), nil)
			p.waitFor(t, 20*time.Second, "the level is played", func(r webReport) bool { return r.Height == c.height })
			p.waitProgress(t, 2, 20*time.Second)
			c.gone(t, high)
			if c.height != 90 {
				p.evaluate(t, "hls.currentLevel = -1", nil)
			}
			p.waitFor(t, 40*time.Second, "it plays the level that is left", func(r webReport) bool { return r.Height == 90 })
			p.waitProgress(t, 6, 30*time.Second) // more than hls.js had buffered
			before := p.decodedSound(t)
			r := p.waitProgress(t, 5, 30*time.Second)
			if sound := p.decodedSound(t) - before; sound < 5000 || len(r.Fatal) > 0 {
				t.Errorf("%d bytes of sound in five seconds: %s", sound, r)
			}
			t.Log(r)
		})
	}
}

// decodedSound returns how many bytes of sound the page has decoded.
func (p *webPlayer) decodedSound(t testing.TB) (n int) {
	t.Helper()
	p.evaluate(t, "video.webkitAudioDecodedByteCount", &n)
	return n
}
