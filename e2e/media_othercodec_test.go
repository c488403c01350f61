package e2e

import (
	"slices"
	"testing"
	"time"
)

// TestOtherCodec: an encoder goes on with another codec in mid-stream. RTMP players get all of it.
// HTTP-FLV players get what came before and are ended, for mpegts.js and FFmpeg do not notice the
// other codec; who comes then begins with its header.
func TestOtherCodec(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name, first, second string
		kind                byte
	}{
		{"pictures", "h264-aac", "av1-aac", typeVideo},
		{"sound", "h264-aac", "h264-opus", typeAudio},
		{"sound without a header", "h264-aac", "h264-mp3", typeAudio},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			first, second := wrap(t, clip(t, c.first, kindSeconds, "mp4"), wrapping{}), wrap(t, clip(t, c.second, kindSeconds, "mp4"), wrapping{})
			second = later(first, second)
			tags := slices.Concat(first, second)
			s, room := shared(t), roomOf(t)
			rtmp := watchRTMP(t, s, room)
			encoder := publish(t, s, s.key(t, room), tags, pacing{})
			s.waitOnAir(t, room)
			flv := watchFLV(t, s, room)
			before := flv.waitEnd(t, 20*time.Second)
			again := watchFLV(t, s, room)
			encoder.finish(t)
			comparison{whole: true}.check(t, "RTMP", bodiesOf(tags), bodiesOf(rtmp.waitEnd(t, 10*time.Second)))
			comparison{}.check(t, "HTTP-FLV", bodiesOf(first), bodiesOf(before))
			got := again.waitEnd(t, 10*time.Second)
			comparison{}.check(t, "HTTP-FLV from the other codec on", bodiesOf(second), bodiesOf(got))
			of := func(tags []tag) byte { return firstOf(ofKind(tags, c.kind), c.kind).body[0] | 0x10 }
			if of(got) != of(second) {
				t.Errorf("who came afterwards got %#x first", of(got))
			}
		})
	}
}

// TestOtherCodecInPages: hls.js goes on with other pictures without a stop. Shaka Player begins
// anew, as docs/players.md tells pages to.
func TestOtherCodecInPages(t *testing.T) {
	t.Parallel()
	for _, c := range []struct{ name, first, second, player string }{
		{"hls.js, H.264 to AV1", "h264-aac", "av1-aac", hlsAgain},
		{"Shaka Player, H.264 to AV1", "h264-aac", "av1-aac", shakaPlayer},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			clipOf := func(name string) []tag { return wrap(t, clip(t, name, 5, "mp4"), wrapping{}) }
			second, then := clipOf(c.second), make(chan []tag, 1)
			s, room := shared(t), roomOf(t)
			publish(t, s, s.key(t, room), clipOf(c.first), pacing{loop: true, then: then})
			s.waitOnAir(t, room)
			waitIndex(t, s, room)
			p := webPlay(t, c.player, s.indexURL(room), nil)
			before := p.waitPlaying(t)
			then <- second
			// What is left of the first codec is shorter than that.
			r := p.waitFor(t, 90*time.Second, "it plays the second codec", func(r webReport) bool { return r.Played > before.Played+12 })
			t.Logf("begun anew %d times, stood %.1f s: %s", r.Begun, r.stood(), r)
			if c.name == "hls.js, H.264 to AV1" && r.Begun > 0 {
				t.Errorf("it began anew: %s", r)
			}
		})
	}
}
