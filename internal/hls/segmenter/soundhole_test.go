package segmenter

import (
	"slices"
	"testing"
	"time"

	"livego/internal/fmp4"
	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// TestHoleInTransportStream: the same in MPEG-TS, also where a segment begins within the hole.
func TestHoleInTransportStream(t *testing.T) {
	for _, from := range []time.Duration{5 * time.Second, 5800 * time.Millisecond} {
		for _, codec := range []media.Codec{media.AAC, media.MP3} {
			s := hlstest.SoundOf(codec)
			units := hlstest.Without(s.Until(12*time.Second), from, from+time.Second)
			g := cutter(Options{}).feed(units)
			g.Flush()
			got, want := hlstest.DemuxAll(t, g.list), hlstest.Contents(units)
			silence, length := fmp4.Silence(s.Audio, nil)
			loud := slices.DeleteFunc(slices.Clone(got.Audio), func(data string) bool { return data == string(silence) })
			if made := len(got.Audio) - len(loud); made < int(time.Second/length)-1 || made > int(time.Second/length)+1 {
				t.Errorf("%s: %d frames of silence", codec, made)
			}
			if !slices.Equal(loud, want.Audio) || !slices.Equal(got.Video, want.Video) {
				t.Errorf("%s: %d frames of %d, %d pictures of %d", codec, len(loud), len(want.Audio), len(got.Video), len(want.Video))
			}
		}
	}
}

// TestBurstsInTransportStream: where pictures come in bursts, the sound that is about to come takes
// its place, and not silence.
func TestBurstsInTransportStream(t *testing.T) {
	for _, each := range []time.Duration{1000, 2500} {
		for _, earlier := range []time.Duration{0, 400} {
			s := hlstest.SoundOf(media.MP3)
			units := s.Until(12 * time.Second)
			g := cutter(Options{SegmentDuration: time.Second}).feed(hlstest.InBursts(slices.Clone(units), media.Video, each*time.Millisecond, earlier*time.Millisecond))
			g.Flush()
			got, want := hlstest.DemuxAll(t, g.list), hlstest.Contents(units)
			if !slices.Equal(got.Audio, want.Audio) || !slices.Equal(got.Video, want.Video) {
				t.Errorf("each %d ms, %d: %d frames of %d, %d pictures of %d", each, earlier, len(got.Audio), len(want.Audio), len(got.Video), len(want.Video))
			}
		}
	}
}
