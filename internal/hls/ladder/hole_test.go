package ladder

import (
	"slices"
	"testing"
	"time"

	"livego/internal/hls/hlstest"
)

// TestHoleBehindAPart leaves out one frame of sound or one picture, each at another place: no part
// gets longer than the part target duration.
func TestHoleBehindAPart(t *testing.T) {
	for name, s := range map[string]hlstest.Source{
		"sound":    {Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000},
		"pictures": {Video: hlstest.AVCTrack(0), Rate: 30, Gop: 60},
	} {
		t.Run(name, func(t *testing.T) {
			for lost := range 150 {
				s := s
				units := s.Until(9 * time.Second)
				r := newRig(t, Options{})
				at := len(units)/3 + lost
				units = slices.Delete(units, at, at+1)
				r.feed("", units...)
				r.finish()
				if n := r.counts.Wide.Load(); n > 0 {
					t.Errorf("without unit %d: %d parts are too long\n%s", at, n, &r.log)
				}
				if parts := r.counts.Parts.Load(); parts < 44 {
					t.Errorf("%d parts", parts)
				}
			}
		})
	}
}

// TestEndBeforeDiscontinuity: the playlist that brings a segment's last part does not bring its end
// too, though a discontinuity follows.
func TestEndBeforeDiscontinuity(t *testing.T) {
	for name, s := range map[string]hlstest.Source{
		"sound":              {Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000},
		"pictures":           {Video: hlstest.AVCTrack(0), Rate: 25, Gop: 25},
		"pictures and sound": {Video: hlstest.AVCTrack(0), Rate: 25, Gop: 25, Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t, Options{})
			for session := range 8 {
				s := s
				s.Epoch, s.Begin = uint32(session), time.Duration(session)*7040*time.Millisecond
				r.feed("", s.Until(7*time.Second)...)
			}
			for id, rec := range r.seen {
				if n := len(rec.seams()); n != 7 {
					t.Errorf("%s: %d discontinuities\n%s", id, n, rec)
				}
			}
			if r.abrupt > 0 || r.broken > 0 {
				t.Errorf("%d segments ended with the playlist that brought their last part, %d parts were hinted and never came\n%s", r.abrupt, r.broken, &r.log)
			}
		})
	}
}
