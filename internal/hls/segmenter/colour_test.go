package segmenter

import (
	"slices"
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// TestColourChangesInMPEGTS: what the sender says of colour is in no transport stream, so one goes
// on without a discontinuity; another sequence header does make one.
func TestColourChangesInMPEGTS(t *testing.T) {
	e := hlstest.Encoder{Video: hlstest.AVCTrack(0), Audio: hlstest.AACTrack(), Gop: 1000}
	s := cutter(Options{SegmentDuration: 2 * time.Second})
	units := append(e.Headers(), e.Play(3000)...)
	for _, c := range []media.ColourDescription{{Primaries: 9, Transfer: 16, Matrix: 9}, {}, {Light: media.ContentLight{Max: 1000}}} {
		track := *e.Video
		track.Colour, track.DolbyVision = c, 8
		e.Video = &track
		units = append(units, e.Play(3000)...)
	}
	s.feed(units)
	e.Video = hlstest.AVCTrack(0)
	e.Video.Config[1]++
	more := append(e.Headers(), e.Play(4000)...)
	s.feed(more).Flush()
	if got, want := s.String(), "100 0s+2s\n101 2s+2s\n102 4s+2s\n103 6s+2s\n104 8s+2s\n105 10s+2s\n106 12s+2s discontinuity\n107 14s+2s\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	got, want := hlstest.DemuxAll(t, s.list), hlstest.Contents(append(units, more...))
	if !slices.Equal(got.Video, want.Video) || !slices.Equal(got.Audio, want.Audio) || s.counts.Dropped.Load() > 0 {
		t.Errorf("%d pictures of %d, %d frames of %d", len(got.Video), len(want.Video), len(got.Audio), len(want.Audio))
	}
}
