package ladder

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"livego/internal/hls/hlstest"
)

// TestFirstParts: who waits for a fresh stream gets its first parts within a second, however far
// key frames are apart, and the segments that follow begin with them up to ten seconds.
func TestFirstParts(t *testing.T) {
	for _, gop := range []int{1, 2, 4, 9, 10, 20} {
		t.Run(fmt.Sprint(gop), func(t *testing.T) {
			s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 25 * gop}
			r := newRig(t, Options{})
			r.leader.wanted = func() bool { return true }
			listed := time.Duration(-1)
			units := s.Until(45 * time.Second)
			for _, u := range units {
				r.feed("", u)
				if v := r.show.View.Load(); v != nil && listed < 0 {
					listed = u.DTS
					if len(v.Renditions) != 2 || v.Renditions[0].Peak == 0 || v.Renditions[0].FrameRate != 25 {
						t.Errorf("the first multivariant playlist says %+v", v.Renditions)
					}
				}
			}
			if listed < 0 || listed > 900*time.Millisecond {
				t.Errorf("the first parts are listed after %v", listed)
			}
			forced := r.counts.Forced.Load()
			if forced > 0 != (gop > 10) {
				t.Errorf("%d segments were cut before a key frame\n%s", forced, r.of("v0"))
			}
			v := r.of("v0")
			if first := v.segments[999]; first == nil || !first.Gap || first.Init != nil || !strings.HasPrefix(v.String(), "999 ") {
				t.Errorf("no leading gap:\n%s", v)
			}
			r.finish()
			hlstest.SameSamples(t, v.samples(t, 90000), hlstest.SamplesOf(units, s.Video), 0)
			hlstest.SameSamples(t, r.of("a0").samples(t, 48000), hlstest.SamplesOf(units, s.Audio), 3*time.Millisecond)
			if r.counts.Dropped.Load() > 0 || r.broken > 0 {
				t.Errorf("%d dropped, %d hinted in vain", r.counts.Dropped.Load(), r.broken)
			}
		})
	}
}

// TestFirstWhole: where somebody waits who plays whole segments only, the first one is complete
// after 5.5 seconds at the latest, and what follows is cut at key frames again. That does not count
// as cut by force.
func TestFirstWhole(t *testing.T) {
	for _, gop := range []int{2, 5, 6, 9, 10, 20} {
		for _, from := range []time.Duration{time.Second, 8 * time.Second, time.Hour} {
			s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 25 * gop, Begin: time.Second}
			r, now, early := newRig(t, Options{}), time.Duration(0), 0
			r.leader.wanted = func() bool { return true }
			r.line.patient = func() bool { return now >= from }
			r.line.announce = func(b *Boundary) {
				if b.Early {
					early++
				}
			}
			whole := time.Duration(0)
			units := s.Until(35 * time.Second)
			for _, u := range units {
				now = u.DTS - s.Begin
				r.feed("", u)
				if first := r.seen["v0"]; whole == 0 && first != nil && first.segments[1000] != nil && first.segments[1000].Complete {
					whole = now
				}
			}
			key := time.Duration(gop) * time.Second
			cut := max(from, 5500*time.Millisecond) < min(key, 10*time.Second)
			most := min(key, 10*time.Second) + 600*time.Millisecond
			if key < 3*time.Second {
				most += key
			}
			if cut {
				most = max(from, 5500*time.Millisecond) + 300*time.Millisecond
			}
			if whole == 0 || whole > most || early > 0 != cut {
				t.Errorf("key frames each %v, somebody waits from %v on: the first segment is whole after %v, want at most %v; %d cut early\n%s",
					key, from, whole, most, early, r.of("v0"))
			}
			if forced := r.counts.Forced.Load(); forced > 0 != (gop > 10) {
				t.Errorf("key frames each %v, from %v on: %d segments were cut by force\n%s", key, from, forced, r.of("v0"))
			}
			r.finish()
			hlstest.SameSamples(t, r.of("v0").samples(t, 90000), hlstest.SamplesOf(units, s.Video), 0)
			hlstest.SameSamples(t, r.of("a0").samples(t, 48000), hlstest.SamplesOf(units, s.Audio), 3*time.Millisecond)
		}
	}
}

// TestFirstPicturesBehind the sound, for the first moments, as where an encoder counts them too
// slowly: the first multivariant playlist names them all the same. Players take it for all there
// is.
func TestFirstPicturesBehind(t *testing.T) {
	for _, behind := range []time.Duration{600 * time.Millisecond, 900 * time.Millisecond, 1300 * time.Millisecond, 1800 * time.Millisecond} {
		s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 25}
		r := newRig(t, Options{})
		r.leader.wanted = func() bool { return true }
		for _, u := range s.Until(6 * time.Second) {
			if u.Track == s.Video && u.DTS < behind {
				u.DTS /= 10
				u.PTS = u.DTS
			}
			r.feed("", u)
			if v := r.show.View.Load(); v != nil {
				if len(v.Renditions) != 2 || u.DTS > 2500*time.Millisecond {
					t.Errorf("behind by up to %v: after %v the first multivariant playlist says %+v", behind, u.DTS, v.Renditions)
				}
				break
			}
		}
	}
}

// TestFirstPartsInTime: nobody who asks later gets another target duration than the stream needs.
func TestFirstPartsInTime(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 50}
	r := newRig(t, Options{})
	wanted := false
	r.leader.wanted = func() bool { return wanted }
	for _, u := range s.Until(20 * time.Second) {
		wanted = u.DTS > 5*time.Second
		r.feed("", u)
	}
	if v := r.of("v0"); v.view.Target != 4*time.Second || v.segments[1000].Parts == nil {
		t.Errorf("target duration %v\n%s", v.view.Target, v)
	}
}
