package e2e

import (
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"
)

// ffmpegGOP publishes what FFmpeg encodes meanwhile, with a key frame each so many seconds.
func ffmpegGOP(t testing.TB, s *server, key, pictures string) *program {
	t.Helper()
	call := "-v error -re -f lavfi -i " + picture + " -re -f lavfi -i " + sound +
		" -c:v libx264 -preset ultrafast -tune zerolatency -pix_fmt yuv420p -sc_threshold 0 -g " + pictures + " -c:a aac -b:a 64k -f flv"
	return launch(t, "ffmpeg", append(strings.Fields(call), s.publishURL(key))...)
}

// TestFirstViewer watches a stream with a key frame each twenty seconds from its first moment on:
// hls.js plays long before the second one, goes on over it, and MPEG-TS has its first segment by
// then.
func TestFirstViewer(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := startShipped(t), roomOf(t)
	ffmpegGOP(t, s, s.key(t, room), "500")
	s.waitOnAir(t, room)
	began := time.Now()
	if status, text, _ := get(s.indexURL(room)); status != http.StatusOK || !strings.Contains(string(text), "FRAME-RATE=25") {
		t.Fatalf("multivariant playlist: %d %s", status, text)
	}
	listed := time.Since(began)
	p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
	p.waitPlaying(t)
	if plays := time.Since(began); listed > 5*time.Second || plays > 18*time.Second {
		t.Errorf("its parts are listed after %v, it plays after %v, the next key frame comes after 20 s", listed, plays)
	} else {
		t.Logf("parts are listed after %v, it plays after %v", listed, plays)
	}
	if status, text, _ := get(s.hlsURL(room)); status != http.StatusOK || time.Since(began) > 18*time.Second {
		t.Errorf("MPEG-TS after %v: %d %s", time.Since(began), status, text)
	}
	p.waitProgress(t, 22, 60*time.Second)
}

// TestFirstWithoutParts: where a player that takes no parts waits for a stream with a key frame
// each twenty seconds, its first segment is cut after 5.5 s, and FFmpeg plays it.
func TestFirstWithoutParts(t *testing.T) {
	t.Parallel()
	s, room := startShipped(t), roomOf(t)
	ffmpegGOP(t, s, s.key(t, room), "500")
	s.waitOnAir(t, room)
	media := strings.Replace(s.indexURL(room), "index.m3u8", "index-v0.m3u8", 1)
	if status, text, _ := get(s.indexURL(room)); status != http.StatusOK {
		t.Fatalf("multivariant playlist: %d %s", status, text)
	}
	p := playFFmpeg(t, s.indexURL(room))
	var first string
	whole := func() bool {
		_, text, _ := get(media)
		lengths := strings.Split(string(text), "#EXTINF:")
		if len(lengths) < 3 { // the first one is the gap's
			return false
		}
		first, _, _ = strings.Cut(lengths[2], ",")
		return true
	}
	if !waitUntil(slack*20*time.Second, whole) {
		t.Fatal("no segment is whole")
	}
	if length, err := strconv.ParseFloat(first, 64); err != nil || length > 5.6 {
		t.Errorf("the first segment lasts %s s", first)
	}
	if !waitUntil(slack*20*time.Second, func() bool { return p.account(t).played > 0.1 }) {
		t.Errorf("FFmpeg does not play: %+v", p.account(t))
	}
}

// firstPicture returns when a player had its first picture.
func firstPicture(t testing.TB, p player) time.Time {
	t.Helper()
	var a account
	eventually(t, 20*time.Second, "the first picture", func() bool { a = p.account(t); return !a.first.IsZero() })
	return a.first
}

// TestFirstTransport opens players of MPEG-TS, as they come, with a stream that begins: they have a
// picture within one key-frame interval and half a second, and within six seconds if that is
// longer. Where a player takes longer than half a second for the first picture of a stream that is
// there, the machine is busy: it has that time more, threefold.
func TestFirstTransport(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s := startShipped(t)
	for name, open := range map[string]func(t testing.TB) func(address string) player{
		"hls.js": func(t testing.TB) func(string) player {
			page := webOpen(t, hlsJS) // it is not the server's time
			return func(address string) player { page.run(t, "begin", hlsJS, address, nil); return page }
		},
		"FFmpeg": func(t testing.TB) func(string) player {
			return func(address string) player { return playFFmpeg(t, address) }
		},
	} {
		t.Run(name, func(t *testing.T) {
			old := roomOf(t)
			publish(t, s, s.key(t, old), flvClip(t, "h264-2s", 20), pacing{loop: true})
			for _, gop := range []time.Duration{2 * time.Second, 9 * time.Second, 10 * time.Second, 20 * time.Second} {
				room := roomOf(t) + gop.String()
				tags := flvClip(t, "h264-"+gop.String(), 2*int(gop.Seconds()))
				play := open(t)
				encoder := publish(t, s, s.key(t, room), tags, pacing{loop: true})
				s.waitOnAir(t, room)
				took := firstPicture(t, play(s.hlsURL(room))).Sub(encoder.began)
				began := time.Now()
				usual := firstPicture(t, open(t)(s.hlsURL(old))).Sub(began)
				limit := min(gop+time.Second/2, 6*time.Second) + slack*max(0, usual-time.Second/2)
				t.Logf("key frames each %v: the first picture after %v, of a stream that is there after %v", gop, took, usual)
				if took > limit {
					t.Errorf("key frames each %v: the first picture after %v, not %v", gop, took, limit)
				}
				encoder.lose()
			}
		})
	}
}
