package hls

import (
	"testing"
	"time"

	"livego/internal/media"
)

func TestMediaPlaylists(t *testing.T) {
	t.Run("live", func(t *testing.T) {
		video, audio := drawPair()
		audio.part(500 * time.Millisecond).show(3)
		golden(t, "cmaf-live.m3u8", video.text(fullForm))
		golden(t, "cmaf-audio.m3u8", audio.text(fullForm))
		golden(t, "cmaf-iframes.m3u8", video.text(framesForm))
	})
	t.Run("segment just complete", func(t *testing.T) {
		video, _ := drawPair()
		video.part(500 * time.Millisecond).part(250 * time.Millisecond).cut().show(3)
		golden(t, "cmaf-complete.m3u8", video.text(fullForm))
	})
	t.Run("ended", func(t *testing.T) {
		video, _ := drawPair()
		video.end()
		golden(t, "cmaf-ended.m3u8", video.text(fullForm))
		golden(t, "cmaf-ended.m3u8", video.text(deltaForm)) // RFC 8216bis 6.2.5.1: no update of an ended playlist
	})
	t.Run("gap and new codec", func(t *testing.T) {
		video, _ := drawPair()
		video.part(500 * time.Millisecond).cut().gap(1500 * time.Millisecond)
		video.header = &initSegment{seq: 108, data: []byte("other")}
		s := video.open()
		s.init, s.discontinuity, s.dates = video.header, true, []string{`ID="cue1",START-DATE="2026-03-01T12:00:14.500Z"`}
		video.full().full().part(500 * time.Millisecond).show(4)
		golden(t, "cmaf-gap.m3u8", video.text(fullForm))
		golden(t, "cmaf-gap-iframes.m3u8", video.text(framesForm))
	})
	t.Run("delta", func(t *testing.T) {
		video, _ := drawPair()
		for range 6 {
			video.full()
		}
		video.segs[1].dates = []string{`ID="cue1",START-DATE="2026-03-01T12:00:02.000Z"`}
		video.part(500 * time.Millisecond).show(12)
		golden(t, "cmaf-delta.m3u8", video.text(deltaForm))
		golden(t, "cmaf-delta-full.m3u8", video.text(fullForm))
		golden(t, "cmaf-delta-iframes.m3u8", video.text(framesDeltaForm))
	})
	t.Run("hold back of another rendition, no clock", func(t *testing.T) {
		video, _ := drawPair()
		video.now.partHoldBack = 1700 * time.Millisecond
		for i := range video.segs {
			video.segs[i].at = time.Time{}
		}
		video.show(3)
		golden(t, "cmaf-holdback.m3u8", video.text(fullForm))
	})
}

func TestMultivariantPlaylists(t *testing.T) {
	text := func(v *presentationView) string { return joined(v.multivariant(&compressor{}).plain.body) }
	video, audio := drawPair()
	v, a := videoInfo(video.rendition), audioInfo(audio.rendition)
	low, other := draw("360p.v0", media.Video, 100), draw("a1", media.Audio, 100)
	lv := videoInfo(low.rendition)
	lv.width, lv.height, lv.peak, lv.average, lv.codecs = 640, 360, 800_000, 700_000, "avc1.4d401e"
	opus, second := audioInfo(&rendition{id: "a2", kind: media.Audio}), audioInfo(other.rendition)
	opus.track, opus.codecs = &media.Track{Kind: media.Audio, Codec: media.Opus, Channels: 6, ID: 2}, "Opus"
	second.track = &media.Track{Kind: media.Audio, Codec: media.AAC, Channels: 1, ID: 1}

	golden(t, "index-pair.m3u8", text(&presentationView{independent: true, renditions: []renditionInfo{v, a}}))
	golden(t, "index-ladder.m3u8", text(&presentationView{renditions: []renditionInfo{v, lv, a, second, opus}}))
	golden(t, "index-audio.m3u8", text(&presentationView{independent: true, renditions: []renditionInfo{a}}))
	golden(t, "index-audios.m3u8", text(&presentationView{independent: true, renditions: []renditionInfo{a, second, opus}}))

	hdr := v
	hdr.codecs, hdr.supplemental, hdr.videoRange = "hvc1.2.4.L153.b0", "dvh1.08.07/db4h", "HLG"
	hdr.captions = captionSet{channels: 0b0101, services: 1<<1 | 1<<63}
	hdr.frameRate, hdr.average = 0, 0
	golden(t, "index-hdr.m3u8", text(&presentationView{independent: true, renditions: []renditionInfo{hdr}}))
	sd := v
	sd.captions.channels = 1
	golden(t, "index-captions.m3u8", text(&presentationView{independent: true, renditions: []renditionInfo{sd, lv}}))
}

// A playlist costs few allocations, however long it is.
func TestRenderAllocations(t *testing.T) {
	video, _ := drawPair()
	for range 1000 {
		video.full()
	}
	video.show(1000)
	n := testing.AllocsPerRun(10, func() {
		renderFull(video.rendition, video.view.Load(), video.others)
	})
	if n > 6 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRender(b *testing.B) {
	video, _ := drawPair()
	for b.Loop() {
		renderFull(video.rendition, video.view.Load(), video.others)
	}
}
