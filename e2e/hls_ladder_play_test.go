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

// ladder is what the tests publish. The bit rates are constant, so that a limit between two of them
// decides.
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
	if !waitUntil(slack*30*time.Second, func() bool {
		_, text, _ = get(s.indexURL(stream))
		var err error
		list, err = parseMultivariant(s.indexURL(stream), string(text))
		return err == nil && len(list.variants) == n
	}) {
		t.Fatalf("no ladder of %d variants:\n%s", n, text)
	}
}

// TestLadderThrottled publishes a ladder with one FFmpeg and no transcoding here, and limits what
// the page may download: hls.js goes down, and up again. On a busy machine it takes the wrong
// decisions, for it measures.
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

// publishPair publishes two rungs as one encoder does, but begins later with one. So the first has
// the sound.
func publishPair(t testing.TB, s *server, room string) (high, low *publication) {
	t.Helper()
	return publishRungs(t, s, room, flvClip(t, "h264-aac", 5), flvClip(t, "h264-small", 5))
}

// publishRungs does the same with the tags of both, which are as long as each other.
func publishRungs(t testing.TB, s *server, room string, big, small []tag) (high, low *publication) {
	t.Helper()
	key := s.key(t, room)
	high = publish(t, s, key+"?rendition=high", big, pacing{loop: true})
	s.waitOnAir(t, room)
	later := time.Since(high.began).Truncate(time.Second) + time.Second // where both clips have key frames
	low = publish(t, s, key+"?rendition=low", small,
		pacing{loop: true, begin: high.began.Add(later), from: uint32(later.Milliseconds())})
	waitLadder(t, s, room, 2)
	return high, low
}

// The ways in which a publisher goes.
var departures = map[string]func(testing.TB, *publication){
	"killed": func(_ testing.TB, p *publication) { p.lose() },
	"ended": func(t testing.TB, p *publication) {
		p.cancel()
		p.finish(t)
	},
}

// mayStand is for how many seconds hls.js may stand still when what it plays leaves the ladder. On
// an idle machine it does not at all, for it goes on with another level before its buffer, of about
// a second, is played.
const mayStand = 2

// mayStay is how long hls.js may hold on to a level that leaves: the server says so after half a
// second at most, which is before hls.js gives up a request by itself (0.8 s), asks again, and has
// played what it has. The rest is for a busy machine.
const mayStay = 2500 * time.Millisecond

// waitLeaves waits until hls.js loads the level with a height, which is not the one that it was
// told to.
func (p *webPlayer) waitLeaves(t testing.TB, height int) {
	t.Helper()
	eventually(t, mayStay, "hls.js leaves the level that left", func() bool {
		var loads int
		p.evaluate(t, "hls.levels[hls.loadLevel].height", &loads)
		return loads == height
	})
}

// playRung lets hls.js play the level with a height, until that leaves, and begins its account
// anew.
func playRung(t testing.TB, s *server, room string, height int) *webPlayer {
	t.Helper()
	p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
	p.waitPlaying(t)
	p.evaluate(t, fmt.Sprintf("hls.loadLevel = hls.levels.findIndex(level => level.height === %d)", height), nil)
	p.waitFor(t, 20*time.Second, "the level is played", func(r webReport) bool { return r.Height == height })
	p.waitProgress(t, 2, 20*time.Second)
	p.forget(t)
	return p
}

// TestLadderLeaves takes a rung out of the ladder while it is played: hls.js goes on with the other
// and hardly stands still, whether the encoder says that it ends or is killed, and however long it
// is waited for.
func TestLadderLeaves(t *testing.T) {
	t.Parallel()
	for name, gone := range departures {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := start(t, "--hls_segment_duration", "1", "--hls_list_size", "6", "--republish_grace", "20"), roomOf(t)
			_, low := publishPair(t, s, room)
			p := playRung(t, s, room, 90)
			gone(t, low)
			p.waitLeaves(t, 180)
			p.waitFor(t, 40*time.Second, "it plays the level that is left", func(r webReport) bool { return r.Height == 180 })
			r := p.waitProgress(t, 5, 60*time.Second)
			if r.stood() > mayStand {
				t.Errorf("it stood still for %.1f s: %s", r.stood(), r)
			}
			t.Log(r)
		})
	}
}

// TestLadderSoundMoves takes the rung away that brings the sound, while it is played and while
// another is: hls.js goes on with the other one's sound, whether the encoder says that it ends or
// is killed.
func TestLadderSoundMoves(t *testing.T) {
	t.Parallel()
	cases := []struct {
		gone   string
		height int
	}{{"killed", 90}, {"killed", 180}, {"ended", 90}, {"ended", 180}}
	for _, c := range cases {
		t.Run(fmt.Sprintf("%s, %d played", c.gone, c.height), func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := start(t, "--hls_segment_duration", "1", "--hls_list_size", "6", "--republish_grace", "3"), roomOf(t)
			high, _ := publishPair(t, s, room)
			p := playRung(t, s, room, c.height)
			departures[c.gone](t, high)
			p.waitLeaves(t, 90)
			p.waitFor(t, 40*time.Second, "it plays the level that is left", func(r webReport) bool { return r.Height == 90 })
			r := p.waitProgress(t, 6, 60*time.Second) // more than hls.js had buffered
			if r.stood() > mayStand {
				t.Errorf("it stood still for %.1f s: %s", r.stood(), r)
			}
			before := p.decodedSound(t)
			r = p.waitProgress(t, 5, 60*time.Second)
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
