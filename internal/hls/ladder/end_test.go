package ladder

import (
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"

	"livego/internal/hls/hlstest"
)

// TestEndTogether: the middle of each track's last part is there in both tracks, whichever is
// longer, at the end and when the publisher is lost.
func TestEndTogether(t *testing.T) {
	for _, reorder := range []bool{false, true} {
		for longer := -400 * time.Millisecond; longer <= 400*time.Millisecond; longer += 25 * time.Millisecond {
			for _, lost := range []bool{false, true} {
				if reorder && (lost || longer > 100*time.Millisecond) {
					continue // the last picture that is decoded is not the last one that is shown
				}
				for _, cut := range []time.Duration{0, 60 * time.Millisecond} {
					r := newRig(t, Options{})
					s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 50, Reorder: reorder}
					until, delay := 9*time.Second+cut, time.Duration(0)
					if reorder {
						delay = 40 * time.Millisecond
					}
					for _, u := range s.Until(10 * time.Second) {
						if u.Track == s.Video && u.DTS < until || u.Track == s.Audio && u.DTS < until+longer {
							r.feed("", u)
						}
					}
					if lost {
						r.Suspend(r.publication(""))
						r.look()
					}
					r.finish()
					v, a := r.of("v0"), r.of("a0")
					ends := min(v.ends(t, 90000), a.ends(t, 48000))
					for _, m := range []time.Duration{v.middle() + delay, a.middle()} {
						if m >= ends {
							t.Errorf("reorder %v, sound longer by %v, cut %v, lost %v: the last part is in the middle at %v, what all have ends at %v\n%s%s", reorder, longer, cut, lost, m, ends, v, a)
						}
					}
				}
			}
		}
	}
}

// middle is that of the last part.
func (rec *record) middle() time.Duration {
	s := rec.segments[rec.order[len(rec.order)-1]]
	return s.Start + s.Duration - s.Parts[len(s.Parts)-1].Duration/2
}

// ends is when the last sample was shown.
func (rec *record) ends(t testing.TB, scale int64) (end time.Duration) {
	t.Helper()
	s := rec.segments[rec.order[len(rec.order)-1]]
	for _, p := range s.Parts {
		var parts fmp4.Parts
		if err := parts.Unmarshal(p.Data.Bytes()); err != nil {
			t.Fatal(err)
		}
		for _, fragment := range parts {
			at := int64(fragment.Tracks[0].BaseTime)
			for _, s := range fragment.Tracks[0].Samples {
				end = max(end, hlstest.Ticks(at+int64(s.PTSOffset)+int64(s.Duration), scale))
				at += int64(s.Duration)
			}
		}
	}
	return end
}

// TestDateIsOfPresentation: with B-frames the date of a segment is that at which its first picture
// is shown, as the dates of the sound are.
func TestDateIsOfPresentation(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 48, Reorder: true}
	r := newRig(t, Options{})
	r.feed("", s.Until(9*time.Second)...)
	r.finish()
	dates := func(rec *record, delay time.Duration) (all []time.Time) {
		for _, seq := range rec.order {
			all = append(all, rec.segments[seq].At.Add(-rec.segments[seq].Start-delay))
		}
		return all
	}
	want := dates(r.of("a0"), 0)[0]
	for _, at := range append(dates(r.of("a0"), 0), dates(r.of("v0"), 40*time.Millisecond)...) {
		if at.Sub(want).Abs() > 2*time.Millisecond {
			t.Errorf("the date of time 0 is %v, of another segment %v", at, want)
		}
	}
}
