package e2e

import (
	"fmt"
	"os"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// startShipped runs the program as it is shipped, without the race detector, which would be what is
// measured.
func startShipped(t testing.TB, args ...string) *server {
	t.Helper()
	s := &server{}
	s.launch(t, setting(t, "LIVEGO_BIN"), nil, args...)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("server: %v", err)
		}
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.logTail())
		}
	})
	return s
}

// ffmpegLive publishes what FFmpeg encodes meanwhile, with a key frame each second. Unlike a file
// that is sent again and again it has no seams.
func ffmpegLive(t testing.TB, s *server, key string) *program {
	t.Helper()
	call := "-v error -re -f lavfi -i " + picture + " -re -f lavfi -i " + sound + " -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -g 25 -c:a aac -b:a 64k -f flv"
	return launch(t, "ffmpeg", append(strings.Fields(call), s.publishURL(key))...)
}

// playLive waits until the player is as close to live as it should be. The test clicks on "live"
// until it is, as viewers do, because hls.js closes in on live only when it is near, and the start
// of a player on a busy machine takes long.
func (p *webPlayer) playLive(t testing.TB) {
	t.Helper()
	p.waitPlaying(t)
	for range 5 {
		p.evaluate(t, "video.currentTime = hls.liveSyncPosition", nil)
		p.waitProgress(t, 3, 20*time.Second)
		if r := p.report(t); r.Latency < behindLimit {
			break
		}
	}
	p.forget(t)
}

// behindLimit is how far behind live hls.js may be with the default length of parts, in seconds.
const behindLimit = 1.2

// measured skips a test whose result depends on what else the machine does, unless it is asked for:
// make latency.
func measured(t *testing.T) {
	t.Helper()
	if os.Getenv("LIVEGO_LATENCY") == "" {
		t.Skip("it measures: make latency")
	}
}

// TestLLHLSPlays plays a stream of FFmpeg's with the default options. What it measures is for
// TestLLHLSLatency to judge.
func TestLLHLSPlays(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := startShipped(t), roomOf(t)
	ffmpegLive(t, s, s.key(t, room))
	s.waitOnAir(t, room)
	waitIndex(t, s, room)
	p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
	p.waitPlaying(t)
	if r := p.waitProgress(t, 10, 60*time.Second); r.Decoded < 100 {
		t.Errorf("%d pictures in 10 s", r.Decoded)
	}
}

// TestLLHLSStartPart: wherever in a segment hls.js begins, it goes on behind that. It stood for
// good when it had loaded all parts of the sound but the first.
func TestLLHLSStartPart(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, tags := shared(t), loopOf(flvClip(t, "h264-aac", 5), 6)
	for i, part := range []int{1, 1, 1, 2} {
		t.Run(fmt.Sprintf("%d in part %d", i, part), func(t *testing.T) {
			room := roomOf(t)
			publish(t, s, s.key(t, room), tags, pacing{stamp: stampings()[5].stamp})
			s.waitOnAir(t, room)
			list := strings.Replace(s.indexURL(room), "index.", "index-v0.", 1)
			if !waitUntil(slack*20*time.Second, func() bool { _, text, _ := s.fetch(t, list); return strings.Count(text, "#EXTINF") > 2 }) {
				t.Fatal("there are no segments")
			}
			p := webPlay(t, hlsJS, s.indexURL(room), map[string]any{"lowLatencyMode": true, "trace": true, "startPart": part})
			p.waitPlaying(t)
			p.waitProgress(t, 2, 20*time.Second)
		})
	}
}

// TestLLHLSLatency plays a stream of FFmpeg's for a minute with the default options. How far it is
// behind is measured by EXT-X-PROGRAM-DATE-TIME, which is the server's clock when the picture came
// in; TestLLHLSPictures shows that it can be trusted. It is the one test that does not run beside
// others, for it measures.
func TestLLHLSLatency(t *testing.T) {
	measured(t)
	chromium.turn(t)
	s, room := startShipped(t), roomOf(t)
	ffmpegLive(t, s, s.key(t, room))
	s.waitOnAir(t, room)
	waitIndex(t, s, room)
	p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
	p.playLive(t)
	r := p.waitProgress(t, 60, 90*time.Second)
	low, middle, high := quantiles(r.Behind)
	t.Logf("behind live: %.2f s, 90 %% of the time between %.2f and %.2f s; %d pictures, %d dropped", middle, low, high, r.Decoded, r.Dropped)
	if len(r.Behind) < 100 || high > behindLimit {
		t.Errorf("%.2f s behind live, %.2f s are allowed (%d samples)", high, behindLimit, len(r.Behind))
	}
	if len(r.Halts) > 0 || slices.ContainsFunc(r.Errors, isStall) {
		t.Errorf("it stalled: %v, %q", r.Halts, r.Errors)
	}
}

// isStall says whether an error of hls.js is that nothing was left to play.
func isStall(text string) bool { return len(text) >= 19 && text[:19] == "bufferStalledError " }

// TestLLHLSPictures compares what the pictures themselves tell of their age with what
// EXT-X-PROGRAM-DATE-TIME does.
func TestLLHLSPictures(t *testing.T) {
	measured(t)
	chromium.turn(t)
	s, room := startShipped(t), roomOf(t)
	stream := publishBars(t, s, s.key(t, room))
	s.waitOnAir(t, room)
	waitIndex(t, s, room)
	p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
	p.playLive(t)
	var ages []float64
	for range 5 {
		ages = append(ages, stream.age(p.waitProgress(t, 0.5, 20*time.Second)))
	}
	_, age, _ := quantiles(ages)
	_, behind, _ := quantiles(p.report(t).Behind)
	t.Logf("pictures are %.2f s old when they are seen; %.2f s behind by EXT-X-PROGRAM-DATE-TIME", age, behind)
	if age < 0 || age-behind > 0.3 || behind-age > 0.3 {
		t.Errorf("pictures are %v s old when they are seen; %.2f s behind by EXT-X-PROGRAM-DATE-TIME", ages, behind)
	}
}

// TestLLHLSRepublish loses the encoder in mid-play, and lets a second one take the stream over:
// hls.js goes on, close to live.
func TestLLHLSRepublish(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"h264-aac", "h264", "aac", "vp9-opus"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := shared(t), roomOf(t)
			key := s.key(t, room)
			encode := func() (kill func()) {
				if name == "vp9-opus" { // FFmpeg 5 does not publish it
					return publish(t, s, key, wrap(t, clip(t, name, 5, "mp4"), wrapping{}), pacing{loop: true}).lose
				}
				return ffmpegLoop(t, s, clip(t, name, 5, "flv"), key).kill
			}
			kill := encode()
			s.waitOnAir(t, room)
			waitIndex(t, s, room)
			p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
			// An encoder that is lost within the first segment is a case of its own: in about one
			// of twenty runs hls.js then stood for half a minute, and nobody knows why yet.
			p.waitProgress(t, 4, 30*time.Second)
			kill()
			s.waitOffAir(t, room)
			encode()
			s.waitOnAir(t, room)
			p.waitProgress(t, 5, 60*time.Second)
			encode() // takes over
			p.waitProgress(t, 5, 60*time.Second)
			// For each halt, of which a busy machine makes some, hls.js stays a second further
			// behind.
			p.waitFor(t, 60*time.Second, "it is close to live again", func(r webReport) bool { return r.Latency < max(3, r.Target+0.5) })
		})
	}
}

// TestLLHLSRestart kills the server in mid-play, or ends it, and starts it again: the encoder comes
// back, and hls.js goes on without a click, with the default options on both sides.
func TestLLHLSRestart(t *testing.T) {
	t.Parallel()
	for name, end := range map[string]func(*server){
		"killed": (*server).kill,
		"terminated": func(s *server) {
			if err := s.stop(); err != nil {
				t.Error(err)
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := startShipped(t), roomOf(t)
			key, file := s.key(t, room), clip(t, "h264-aac", 5, "flv")
			first := ffmpegLoop(t, s, file, key)
			s.waitOnAir(t, room)
			waitIndex(t, s, room)
			p := webPlay(t, hlsJS, s.indexURL(room), nil)
			p.waitPlaying(t)
			p.waitProgress(t, 12, 30*time.Second)
			p.forget(t)
			before := s.lastSegment(t, room)
			was, began := p.report(t).Position, time.Now()
			end(s)
			s.relaunch(t, setting(t, "LIVEGO_BIN"), nil)
			first.wait(t, 20*time.Second)
			ffmpegLoop(t, s, file, key)
			s.waitOnAir(t, room)
			away := time.Since(began)
			after := s.lastSegment(t, room)
			if after < before || after > before+4 {
				t.Errorf("segment %d came after segment %d", after, before)
			}
			r := p.waitProgress(t, 8, 40*time.Second)
			t.Logf("away for %v, stood for %.1f s, went on by %.1f s in %.1f s\n%v", away, r.stood(), r.Position-was, time.Since(began).Seconds(), r)
			if most := away.Seconds() + 10; r.stood() > most {
				t.Errorf("the picture stood for %.1f s, the stream was away for %v", r.stood(), away)
			}
			if ahead := r.Position - was - time.Since(began).Seconds(); ahead > 10 {
				t.Errorf("it went %.0f s ahead", ahead)
			}
		})
	}
}

// lastSegment waits for the playlist of a stream's video, and returns the number of the newest
// segment that has media in it.
func (s *server) lastSegment(t testing.TB, stream string) (last int) {
	t.Helper()
	waitIndex(t, s, stream)
	eventually(t, 20*time.Second, "the playlist has a segment", func() bool {
		_, text, _ := s.fetch(t, "http://"+s.hls+"/live/"+stream+"/index-v0.m3u8")
		for _, name := range regexp.MustCompile(`v0/(\d+)\.(\d+\.)?m4s`).FindAllStringSubmatch(text, -1) {
			last, _ = strconv.Atoi(name[1])
		}
		return last > 0
	})
	return last
}
