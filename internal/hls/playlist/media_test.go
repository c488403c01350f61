package playlist_test

import (
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

func TestMediaPlaylists(t *testing.T) {
	t.Run("live", func(t *testing.T) {
		video, audio := hlstest.DrawPair()
		audio.Part(500 * time.Millisecond).Show(3)
		golden(t, "cmaf-live.m3u8", video.Text(playlist.Full))
		golden(t, "cmaf-audio.m3u8", audio.Text(playlist.Full))
		golden(t, "cmaf-iframes.m3u8", video.Text(playlist.Frames))
	})
	t.Run("segment just complete", func(t *testing.T) {
		video, _ := hlstest.DrawPair()
		video.Part(500 * time.Millisecond).Part(250 * time.Millisecond).Cut().Show(3)
		golden(t, "cmaf-complete.m3u8", video.Text(playlist.Full))
	})
	t.Run("ended", func(t *testing.T) {
		video, _ := hlstest.DrawPair()
		video.End()
		golden(t, "cmaf-ended.m3u8", video.Text(playlist.Full))
		golden(t, "cmaf-ended.m3u8", video.Text(playlist.Delta)) // RFC 8216bis 6.2.5.1: no update of an ended playlist
	})
	t.Run("gap and new codec", func(t *testing.T) {
		video, _ := hlstest.DrawPair()
		video.Part(500 * time.Millisecond).Cut().Gap(1500 * time.Millisecond)
		video.Header = &playlist.Init{Seq: 108, Data: []byte("other")}
		s := video.Open()
		s.Init, s.Discontinuity, s.Dates = video.Header, true, []string{`ID="cue1",START-DATE="2026-03-01T12:00:14.500Z"`}
		video.Full().Full().Part(500 * time.Millisecond).Show(4)
		golden(t, "cmaf-gap.m3u8", video.Text(playlist.Full))
		golden(t, "cmaf-gap-iframes.m3u8", video.Text(playlist.Frames))
	})
	t.Run("delta", func(t *testing.T) {
		video, _ := hlstest.DrawPair()
		for range 6 {
			video.Full()
		}
		video.Segs[1].Dates = []string{`ID="cue1",START-DATE="2026-03-01T12:00:02.000Z"`}
		video.Part(500 * time.Millisecond).Show(12)
		golden(t, "cmaf-delta.m3u8", video.Text(playlist.Delta))
		golden(t, "cmaf-delta-full.m3u8", video.Text(playlist.Full))
		golden(t, "cmaf-delta-iframes.m3u8", video.Text(playlist.FramesDelta))
	})
	t.Run("hold back of another rendition, no clock", func(t *testing.T) {
		video, _ := hlstest.DrawPair()
		video.Now.PartHoldBack = 1700 * time.Millisecond
		for i := range video.Segs {
			video.Segs[i].At = time.Time{}
		}
		video.Show(3)
		golden(t, "cmaf-holdback.m3u8", video.Text(playlist.Full))
	})
}

func TestMultivariantPlaylists(t *testing.T) {
	text := func(v *playlist.Multivariant) string {
		return hlstest.Joined(v.Text(&playlist.Compressor{}).Plain.Body)
	}
	video, audio := hlstest.DrawPair()
	v, a := hlstest.VideoInfo(video.Rendition), hlstest.AudioInfo(audio.Rendition)
	low, other := hlstest.Draw("360p.v0", media.Video, 100), hlstest.Draw("a1", media.Audio, 100)
	lv := hlstest.VideoInfo(low.Rendition)
	lv.Width, lv.Height, lv.Peak, lv.Average, lv.Codecs = 640, 360, 800_000, 700_000, "avc1.4d401e"
	opus, second := hlstest.AudioInfo(&playlist.Rendition{ID: "a2", Kind: media.Audio}), hlstest.AudioInfo(other.Rendition)
	opus.Track, opus.Codecs = &media.Track{Kind: media.Audio, Codec: media.Opus, Channels: 6, ID: 2}, "Opus"
	second.Track = &media.Track{Kind: media.Audio, Codec: media.AAC, Channels: 1, ID: 1}

	golden(t, "index-pair.m3u8", text(&playlist.Multivariant{Independent: true, Renditions: []playlist.Info{v, a}}))
	golden(t, "index-ladder.m3u8", text(&playlist.Multivariant{Renditions: []playlist.Info{v, lv, a, second, opus}}))
	golden(t, "index-audio.m3u8", text(&playlist.Multivariant{Independent: true, Renditions: []playlist.Info{a}}))
	golden(t, "index-audios.m3u8", text(&playlist.Multivariant{Independent: true, Renditions: []playlist.Info{a, second, opus}}))

	hdr := v
	hdr.Codecs, hdr.Supplemental, hdr.VideoRange = "hvc1.2.4.L153.b0", "dvh1.08.07/db4h", "HLG"
	hdr.Captions = playlist.Captions{Channels: 0b0101, Services: 1<<1 | 1<<63}
	hdr.FrameRate, hdr.Average = 0, 0
	golden(t, "index-hdr.m3u8", text(&playlist.Multivariant{Independent: true, Renditions: []playlist.Info{hdr}}))
	sd := v
	sd.Captions.Channels = 1
	golden(t, "index-captions.m3u8", text(&playlist.Multivariant{Independent: true, Renditions: []playlist.Info{sd, lv}}))
}

// A playlist costs few allocations, however long it is.
func TestRenderAllocations(t *testing.T) {
	video, _ := hlstest.DrawPair()
	for range 1000 {
		video.Full()
	}
	video.Show(1000)
	n := testing.AllocsPerRun(10, func() {
		playlist.RenderFull(video.Rendition, video.View.Load(), video.Others)
	})
	if n > 6 {
		t.Errorf("%v allocations", n)
	}
}

func BenchmarkRender(b *testing.B) {
	video, _ := hlstest.DrawPair()
	for b.Loop() {
		playlist.RenderFull(video.Rendition, video.View.Load(), video.Others)
	}
}
