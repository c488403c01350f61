package ladder

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// TestFirstParts: who waits for a fresh stream gets its first parts within a second, however far
// key frames are apart, and the segments that follow begin with them up to ten seconds.
func TestFirstParts(t *testing.T) {
	for _, gop := range []int{1, 2, 4, 9, 10, 20} {
		t.Run(fmt.Sprint(gop), func(t *testing.T) {
			s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 25 * gop, Begin: time.Second}
			r := newRig(t, Options{})
			r.wanted = func() bool { return true }
			listed := time.Duration(-1)
			units := s.Until(45 * time.Second)
			for _, u := range units {
				r.feed("", u)
				if v := r.show.View.Load(); v != nil && listed < 0 {
					listed = u.DTS - s.Begin
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
			if first := v.segments[1000]; first == nil || !strings.HasPrefix(v.String(), "1000 600ms+400ms parts 2\n1001 1s+") {
				t.Errorf("no segment before the first one:\n%s", v)
			}
			r.finish()
			for id, track := range map[string]*media.Track{"v0": s.Video, "a0": s.Audio} {
				prelude(t, r.of(id), hlstest.SamplesOf(units, track)[0], track == s.Video)
			}
			hlstest.SameSamples(t, v.samples(t, 90000), hlstest.SamplesOf(units, s.Video), 0)
			hlstest.SameSamples(t, r.of("a0").samples(t, 48000), hlstest.SamplesOf(units, s.Audio), 3*time.Millisecond)
			if r.counts.Dropped.Load() > 0 || r.broken > 0 {
				t.Errorf("%d dropped, %d hinted in vain", r.counts.Dropped.Load(), r.broken)
			}
		})
	}
}

// prelude checks the segment before the first one: its picture is the first one of the stream, which
// stands still, and it ends where the stream begins. It takes it out of the record.
func prelude(t *testing.T, rec *record, first hlstest.Sample, pictures bool) {
	t.Helper()
	s := rec.segments[rec.order[0]]
	rec.order = rec.order[1:]
	before := &record{order: []int64{s.Seq}, segments: map[int64]*playlist.Segment{s.Seq: s}}
	for _, sample := range before.samples(t, 90000) {
		if pictures != (sample.Data == first.Data) {
			t.Errorf("%q comes before %q", sample.Data, first.Data)
		}
	}
	if s.Gap || !s.Independent || !s.Complete || len(s.Parts) != preludeParts || (s.Start+s.Duration-first.DTS).Abs() > 20*time.Millisecond || s.Size == 0 {
		t.Errorf("before the first segment: %v + %v, %d parts, %d bytes", s.Start, s.Duration, len(s.Parts), s.Size)
	}
}

// TestFirstPartsInTime: nobody who asks later gets another target duration than the stream needs.
func TestFirstPartsInTime(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 50}
	r := newRig(t, Options{})
	wanted := false
	r.wanted = func() bool { return wanted }
	for _, u := range s.Until(20 * time.Second) {
		wanted = u.DTS > 5*time.Second
		r.feed("", u)
	}
	if v := r.of("v0"); v.view.Target != 4*time.Second || v.segments[1000].Parts == nil {
		t.Errorf("target duration %v\n%s", v.view.Target, v)
	}
}
