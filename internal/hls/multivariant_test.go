package hls

import (
	"strings"
	"testing"
)

// TestMultivariantOfDescriptions: what is kept of a playlist makes the same one, but for the names
// and the I-frames.
func TestMultivariantOfDescriptions(t *testing.T) {
	video, audio := drawPair()
	v, a := videoInfo(video.rendition), audioInfo(audio.rendition)
	v.captions = captionSet{channels: 1, services: 2}
	whole := joined((&presentationView{independent: true, renditions: []renditionInfo{v, a}}).multivariant(&compressor{}).plain.body)
	var want strings.Builder
	for line := range strings.Lines(strings.ReplaceAll(whole, "index-", "")) {
		if !strings.HasPrefix(line, "#EXT-X-I-FRAME-STREAM-INF") {
			want.WriteString(line)
		}
	}
	if got := string(Multivariant([]Description{v.description(), a.description()}, true)); got != want.String() {
		t.Errorf("got\n%s\nwant\n%s", got, want.String())
	}
}
