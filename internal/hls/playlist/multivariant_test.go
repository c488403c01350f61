package playlist_test

import (
	"strings"
	"testing"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/playlist"
)

// TestMultivariantOfDescriptions: what is kept of a playlist makes the same one, but for the names
// and the I-frames.
func TestMultivariantOfDescriptions(t *testing.T) {
	video, audio := hlstest.DrawPair()
	v, a := hlstest.VideoInfo(video.Rendition), hlstest.AudioInfo(audio.Rendition)
	v.Captions = playlist.Captions{Channels: 1, Services: 2}
	whole := hlstest.Joined((&playlist.Multivariant{Independent: true, Renditions: []playlist.Info{v, a}}).Text(&playlist.Compressor{}).Plain.Body)
	var want strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(whole, "index-", "")) {
		if !strings.HasPrefix(line, "#EXT-X-I-FRAME-STREAM-INF") {
			want.WriteString(line)
		}
	}
	if got := string(playlist.RenderMultivariant([]playlist.Description{v.Description(), a.Description()}, true)); got != want.String() {
		t.Errorf("got\n%s\nwant\n%s", got, want.String())
	}
}
