package hls

import (
	"slices"
	"testing"
	"time"

	"livego/internal/fmp4"
	"livego/internal/media"
)

// TestHoleInTransportStream: the same in MPEG-TS, also where a segment begins within the hole.
func TestHoleInTransportStream(t *testing.T) {
	for _, from := range []time.Duration{5 * time.Second, 5800 * time.Millisecond} {
		for _, codec := range []media.Codec{media.AAC, media.MP3} {
			s := soundOf(codec)
			units := without(s.until(12*time.Second), from, from+time.Second)
			g := cutter(tsOptions{}).feed(units)
			g.flush()
			got, want := demuxAll(t, g.list), contents(units)
			silence, length := fmp4.Silence(s.audio, nil)
			loud := slices.DeleteFunc(slices.Clone(got.audio), func(data string) bool { return data == string(silence) })
			if made := len(got.audio) - len(loud); made < int(time.Second/length)-1 || made > int(time.Second/length)+1 {
				t.Errorf("%s: %d frames of silence", codec, made)
			}
			if !slices.Equal(loud, want.audio) || !slices.Equal(got.video, want.video) {
				t.Errorf("%s: %d frames of %d, %d pictures of %d", codec, len(loud), len(want.audio), len(got.video), len(want.video))
			}
		}
	}
}
