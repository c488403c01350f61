package ladder

import (
	"errors"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// doubled adds a second video track to units, with the same times.
func doubled(units []media.AccessUnit) []media.AccessUnit {
	second := hlstest.AVCTrack(1)
	var out []media.AccessUnit
	for _, u := range units {
		out = append(out, u)
		if u.Track.Kind == media.Video {
			u.Track = second
			out = append(out, u)
		}
	}
	return out
}

// TestAnyOrder: whatever the order in which renditions arrive, they are cut at the same times into
// the same parts, and nothing is lost.
func TestAnyOrder(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.SampledFrom([]float64{24, 25, 30000.0 / 1001, 30, 50, 60}).Draw(rt, "rate")
		gop := rapid.SampledFrom([]int{10, 25, 48, 60}).Draw(rt, "gop")
		feeds := func() [][]media.AccessUnit {
			var all [][]media.AccessUnit
			for i, s := range hlstest.Encoders(rate, gop) {
				units := s.Until(9 * time.Second)
				if i == 1 {
					units = doubled(units)
				}
				all = append(all, units)
			}
			return all
		}
		want := newRig(t, Options{})
		want.interleave(feeds(), 0, func(int) int { return 0 })
		want.finish()
		got := newRig(t, Options{})
		skew := time.Duration(rapid.IntRange(0, 400).Draw(rt, "skew")) * time.Millisecond
		bias := rapid.IntRange(0, 2).Draw(rt, "bias")
		random := rapid.Uint64().Draw(rt, "seed") | 1
		got.interleave(feeds(), skew, func(n int) int {
			random ^= random << 13
			random ^= random >> 7
			random ^= random << 17
			if random%4 == 0 {
				return bias % n
			}
			return int(random>>8) % n
		})
		got.finish()
		a, b := want.histories(), got.histories()
		if a != b || strings.Count(a, "parts") < 10 || got.counts.Dropped.Load() > 0 {
			rt.Errorf("%d dropped; in order:\n%sthis way:\n%s%s", got.counts.Dropped.Load(), a, b, &got.log)
		}
	})
}

// TestOwnClock: an encoder whose times are some milliseconds off is in the ladder.
func TestOwnClock(t *testing.T) {
	for _, off := range [][2]time.Duration{{4, 9}, {21, 48}, {0, 23}, {40, 1}} {
		testOwnClock(t, off[0]*time.Millisecond, off[1]*time.Millisecond)
	}
}

func testOwnClock(t *testing.T, a, b time.Duration) {
	all := hlstest.Encoders(30, 60)
	all[1].Begin, all[2].Begin = a, b
	if a > 20*time.Millisecond {
		all[0].Begin = a // so that others are before the one that leads
		all[1].Begin = 0
	}
	var feeds [][]media.AccessUnit
	for _, s := range all {
		feeds = append(feeds, s.Until(14*time.Second))
	}
	r := newRig(t, Options{})
	r.interleave(feeds, 100*time.Millisecond, func(n int) int { return 0 })
	r.finish()
	for _, id := range []string{"v0", "720p.v0", "360p.v0"} {
		if n := strings.Count(r.of(id).String(), "parts 20"); n != 3 {
			t.Errorf("%s:\n%s", id, r.of(id))
		}
	}
	if r.counts.Dropped.Load() > 0 || len(r.show.View.Load().Renditions) != 4 {
		t.Errorf("%d dropped\n%s", r.counts.Dropped.Load(), &r.log)
	}
}

// TestMisaligned: a publication whose key frames are elsewhere is refused with a reason; a track
// like that is left out.
func TestMisaligned(t *testing.T) {
	all := hlstest.Encoders(30, 60)
	all[1].Gop = 50
	all[2].Gop = 120 // has one at each second boundary only
	var feeds [][]media.AccessUnit
	for _, s := range all {
		feeds = append(feeds, s.Until(40*time.Second))
	}
	r := newRig(t, Options{})
	r.interleave(feeds, 0, func(int) int { return 0 })
	r.finish()
	if err := r.publication("720p").Err; !errors.Is(err, ErrMisaligned) || !strings.Contains(err.Error(), "720p") {
		t.Errorf("%v", err)
	}
	if err := r.publication("360p").Err; err != nil {
		t.Errorf("%v\n%s", err, r.histories())
	}
	if n := len(r.show.View.Load().Renditions); n != 3 {
		t.Errorf("%d renditions:\n%s", n, &r.log)
	}
}

// TestRenditionEnds: one that ends leaves the ladder and holds up nobody, also if it led.
func TestRenditionEnds(t *testing.T) {
	for gone := range 3 {
		r := newRig(t, Options{})
		all := hlstest.Encoders(25, 50)
		feeds := func(until time.Duration) (f [][]media.AccessUnit) {
			for _, s := range all {
				f = append(f, s.Until(until))
			}
			return f
		}
		r.interleave(feeds(9*time.Second), 0, func(int) int { return 0 })
		before := r.show.View.Load()
		old := r.of(before.Renditions[gone].ID).view
		r.Exit(r.publication(hlstest.NameOf(gone)))
		r.look()
		<-old.Replaced
		rest := feeds(21 * time.Second)
		rest[gone] = nil
		for i := range rest {
			r.feed(hlstest.NameOf((i+2)%3), rest[(i+2)%3]...)
		}
		r.finish()
		for i := range 3 {
			id := strings.TrimPrefix(hlstest.NameOf(i)+".v0", ".")
			n := len(r.of(id).order)
			if i == gone && (n != 3 || r.show.renditions[id] != nil) || i != gone && n < 5 {
				t.Errorf("without %d: %s\n%s%s", gone, id, r.of(id), &r.log)
			}
		}
		if n := len(r.show.View.Load().Renditions); gone > 0 && n != 3 {
			t.Errorf("without %d: %d renditions\n%s", gone, n, &r.log)
		}
	}
}

// TestRestartTogether: all encoders begin anew at one time: one discontinuity in all renditions,
// whoever comes first.
func TestRestartTogether(t *testing.T) {
	for first := range 3 {
		r := newRig(t, Options{})
		var before, after [][]media.AccessUnit
		for _, s := range hlstest.Encoders(25, 50) {
			before = append(before, s.Until(7*time.Second))
			s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: s.AudioEvery, Rate: 25, Gop: 50, Epoch: 1, Begin: 7 * time.Second}
			after = append(after, s.Until(9*time.Second))
		}
		pick := func(n int) int { return min(first, n-1) }
		r.interleave(before, 300*time.Millisecond, pick)
		r.interleave(after, 300*time.Millisecond, pick)
		r.finish()
		for _, id := range []string{"v0", "720p.v0", "360p.v0"} {
			if got, want := r.of(id).String(), "1000 0s+4s parts 20\n1001 4s+3s parts 15\n1002 7s+4s parts 20 discontinuity\n1003 11s+4s parts 20\n1004 15s+1.016s parts 5\n"; got != want {
				t.Errorf("first %d: %s\n%s%s", first, id, got, &r.log)
			}
		}
		if r.counts.Dropped.Load() > 0 {
			t.Errorf("%d dropped", r.counts.Dropped.Load())
		}
	}
}

// TestRestartAlone: an encoder that restarts alone leaves the ladder and comes back at a boundary;
// the others have no discontinuity.
func TestRestartAlone(t *testing.T) {
	for alone := range 3 {
		r := newRig(t, Options{})
		var feeds [][]media.AccessUnit
		for i, s := range hlstest.Encoders(25, 50) {
			units := s.Until(24 * time.Second)
			if i == alone {
				again := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: s.AudioEvery, Rate: 25, Gop: 50}
				for _, u := range again.Until(24 * time.Second) {
					if u.DTS >= 10*time.Second {
						u.Epoch = 1
					}
					switch {
					case u.DTS < 6*time.Second:
					case u.DTS >= 10*time.Second:
						u.Epoch = 1
						units = append(units, u)
					}
				}
				var kept []media.AccessUnit
				for _, u := range units {
					if u.DTS < 6*time.Second && u.Epoch == 0 || u.Epoch == 1 {
						kept = append(kept, u)
					}
				}
				units = kept
			}
			feeds = append(feeds, units)
		}
		if alone > 0 { // the leading one's return is a discontinuity of all, and it has no rendition to come back to
			r.interleave(feeds, 30*time.Second, func(n int) int { return 0 })
		} else {
			r.interleave(feeds, 20*time.Millisecond, func(n int) int { return 0 })
		}
		r.finish()
		if n := len(r.show.View.Load().Renditions); n < 3 {
			t.Errorf("alone %d: %d renditions\n%s%s", alone, n, r.histories(), &r.log)
		}
	}
}

// TestHungRendition: a publisher that sends nothing any more holds up nobody, also if it leads.
func TestHungRendition(t *testing.T) {
	for hung := range 3 {
		r := newRig(t, Options{})
		var feeds [][]media.AccessUnit
		for i, s := range hlstest.Encoders(25, 50) {
			if i == hung {
				feeds = append(feeds, s.Until(7*time.Second))
			} else {
				feeds = append(feeds, s.Until(30*time.Second))
			}
		}
		r.interleave(feeds, 0, func(int) int { return 0 })
		for i := range 3 {
			if i == hung {
				continue
			}
			id := strings.TrimPrefix(hlstest.NameOf(i)+".v0", ".")
			v := r.of(id).view
			if last := v.Segments[len(v.Segments)-1]; last.Start+last.Duration < 29*time.Second {
				t.Errorf("without %d: %s is at %v", hung, id, last.Start+last.Duration)
			}
		}
		id := strings.TrimPrefix(hlstest.NameOf(hung)+".v0", ".")
		if r.show.renditions[id] != nil {
			t.Errorf("%s is still there", id)
		}
		r.finish()
	}
}

// TestDefaultIsTheMeasure: a rendition whose key frames are elsewhere is the one that is refused,
// though it is far ahead of the default publication, from the start or as a newcomer.
func TestDefaultIsTheMeasure(t *testing.T) {
	for _, ahead := range []time.Duration{0, 300 * time.Millisecond, 900 * time.Millisecond, 1400 * time.Millisecond} {
		for _, late := range []time.Duration{0, 10 * time.Second} {
			all := hlstest.Encoders(30, 60)
			all[1].Gop = 50
			feeds := [][]media.AccessUnit{all[0].Until(60 * time.Second), all[1].Until(60 * time.Second)}
			for len(feeds[1]) > 0 && (feeds[1][0].DTS < late || !feeds[1][0].RandomAccess || feeds[1][0].Track.Kind != media.Video) {
				feeds[1] = feeds[1][1:]
			}
			r := newRig(t, Options{})
			r.publication("")
			for len(feeds[0]) > 0 {
				for r.pubs["720p"] == nil || r.pubs["720p"].Err == nil {
					if len(feeds[1]) == 0 || feeds[1][0].DTS > feeds[0][0].DTS+ahead {
						break
					}
					r.feed("720p", feeds[1][0])
					feeds[1] = feeds[1][1:]
				}
				if p := r.pubs["720p"]; p != nil && p.Err != nil && len(r.roster.pubs) > 1 {
					r.Exit(p)
				}
				r.feed("", feeds[0][0])
				feeds[0] = feeds[0][1:]
			}
			r.finish()
			if err := r.pubs["720p"].Err; !errors.Is(err, ErrMisaligned) {
				t.Errorf("%v ahead, %v late: 720p: %v", ahead, late, err)
			}
			if err := r.pubs[""].Err; err != nil || len(r.of("v0").order) != 15 || r.counts.Forced.Load() > 0 {
				t.Errorf("%v ahead, %v late: %v\n%s%s", ahead, late, err, r.of("v0"), &r.log)
			}
		}
	}
}
