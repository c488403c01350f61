package hls

import (
	"slices"
	"testing"
	"time"

	"livego/internal/media"
)

// TestColourChangesInMPEGTS: what the sender says of colour is in no transport stream, so one goes
// on without a discontinuity; another sequence header does make one.
func TestColourChangesInMPEGTS(t *testing.T) {
	e := encoder{video: avcTrack(0), audio: aacTrack(), gop: 1000}
	s := cutter(tsOptions{SegmentDuration: 2 * time.Second})
	units := append(e.headers(), e.play(3000)...)
	for _, c := range []media.ColourDescription{{Primaries: 9, Transfer: 16, Matrix: 9}, {}, {Light: media.ContentLight{Max: 1000}}} {
		track := *e.video
		track.Colour, track.DolbyVision = c, 8
		e.video = &track
		units = append(units, e.play(3000)...)
	}
	s.feed(units)
	e.video = avcTrack(0)
	e.video.Config[1]++
	more := append(e.headers(), e.play(4000)...)
	s.feed(more).flush()
	if got, want := s.String(), "100 0s+2s\n101 2s+2s\n102 4s+2s\n103 6s+2s\n104 8s+2s\n105 10s+2s\n106 12s+2s discontinuity\n107 14s+2s\n"; got != want {
		t.Errorf("got\n%swant\n%s", got, want)
	}
	got, want := demuxAll(t, s.list), contents(append(units, more...))
	if !slices.Equal(got.video, want.video) || !slices.Equal(got.audio, want.audio) || s.counts.dropped.Load() > 0 {
		t.Errorf("%d pictures of %d, %d frames of %d", len(got.video), len(want.video), len(got.audio), len(want.audio))
	}
}
