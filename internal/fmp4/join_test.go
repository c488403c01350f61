package fmp4

import (
	"bytes"
	"errors"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/google/go-cmp/cmp"

	"livego/internal/media"
)

// TestJoinInits: each video with each sound, read by a library: both tracks are as they were alone.
func TestJoinInits(t *testing.T) {
	var videos, sounds []initCase
	for _, c := range initCases(t) {
		switch {
		case c.track.Codec == media.VVC || c.track.DolbyVision == 5: // which the library does not know
		case c.track.Kind == media.Video:
			videos = append(videos, c)
		default:
			sounds = append(sounds, c)
		}
	}
	for i := range videos {
		for k := range sounds {
			joined, err := JoinInits(appendInit(t, &videos[i]), appendInit(t, &sounds[k]))
			if err != nil {
				t.Fatal(err)
			}
			var got fmp4.Init
			if err := got.Unmarshal(bytes.NewReader(joined)); err != nil {
				t.Fatalf("%s with %s: %v", videos[i].name, sounds[k].name, err)
			}
			if len(got.Tracks) != 2 || got.Tracks[0].ID == got.Tracks[1].ID {
				t.Fatalf("%s with %s: tracks %+v", videos[i].name, sounds[k].name, got.Tracks)
			}
			for n, c := range []initCase{videos[i], sounds[k]} {
				if got.Tracks[n].ID != int(trackID(c.track)) || got.Tracks[n].TimeScale != timescale(c.track) {
					t.Errorf("%s: %+v", c.name, got.Tracks[n])
				}
				if diff := cmp.Diff(c.want, got.Tracks[n].Codec); c.want != nil && diff != "" {
					t.Errorf("%s: %s", c.name, diff)
				}
			}
		}
	}
	if len(videos) < 2 || len(sounds) < 2 {
		t.Errorf("%d videos, %d sounds", len(videos), len(sounds))
	}
}

// TestJoinBadInits: whatever is no init segment is refused.
func TestJoinBadInits(t *testing.T) {
	c := initCases(t)[0]
	whole := appendInit(t, &c)
	for n := range len(whole) {
		if _, err := JoinInits(whole[:n], whole); !errors.Is(err, ErrData) {
			t.Fatalf("%d bytes: %v", n, err)
		}
		if _, err := JoinInits(whole, whole[:n]); !errors.Is(err, ErrData) {
			t.Fatalf("%d bytes: %v", n, err)
		}
	}
}
