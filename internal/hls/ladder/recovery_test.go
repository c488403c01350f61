package ladder

import (
	"slices"
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// TestRecoveryPoints: segments begin at recovery points, and say the truth of them: they are no
// sync samples, no parts with such begin there, not all can be decoded from there on. The same
// holds where a segment has pictures that are skipped, but for its first picture.
func TestRecoveryPoints(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func([]media.AccessUnit) []media.AccessUnit
		// sync says that segments begin with sync samples, whole that EXT-X-INDEPENDENT-SEGMENTS is
		// true.
		sync, whole bool
	}{
		{"IDR pictures", func(u []media.AccessUnit) []media.AccessUnit { return u }, true, true},
		{"recovery points", hlstest.Refresh, false, false},
		{"open GOPs", hlstest.Skipping, true, false},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 100}
			units := c.change(s.Until(20 * time.Second))
			r := newRig(t, Options{})
			r.feed("", units...)
			r.finish()
			v := r.of("v0")
			if len(v.order) != 5 {
				t.Fatalf("%s", v)
			}
			var keys []time.Duration
			for _, sample := range v.samples(t, 90000) {
				if sample.Key {
					keys = append(keys, sample.DTS)
				}
			}
			want := []time.Duration{0}
			if c.sync {
				want = append(want, 4*time.Second, 8*time.Second, 12*time.Second, 16*time.Second)
			}
			if !slices.Equal(keys, want) {
				t.Errorf("sync samples at %v, want %v", keys, want)
			}
			for i, seq := range v.order {
				s := v.segments[seq]
				if sync := i == 0 || c.sync; s.Start != time.Duration(i)*4*time.Second || s.Independent != sync || s.Parts[0].Independent != sync || s.Parts[1].Independent {
					t.Errorf("segment %d: %+v", i, s)
				}
			}
			if r.show.View.Load().Independent != c.whole {
				t.Errorf("EXT-X-INDEPENDENT-SEGMENTS is %v", r.show.View.Load().Independent)
			}
		})
	}
}
