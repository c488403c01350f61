package ladder

import (
	"cmp"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"livego/internal/fmp4"
	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// TestHoleInSound leaves frames out, anywhere, also before the first segment is complete: silence
// is in their place, all other frames are there at their times, and dates tell the time of day.
func TestHoleInSound(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := hlstest.SoundOf(rapid.SampledFrom([]media.Codec{media.AAC, media.Opus, media.MP3}).Draw(rt, "codec"))
		if rapid.Bool().Draw(rt, "sound alone") {
			s.Video = nil
		}
		units := s.Until(14 * time.Second)
		for range rapid.IntRange(1, 3).Draw(rt, "holes") {
			from := time.Duration(rapid.IntRange(30, 12000).Draw(rt, "from")) * time.Millisecond
			away := time.Duration(rapid.IntRange(20, 1400).Draw(rt, "away")) * time.Millisecond
			units = hlstest.Without(units, from, from+away)
		}
		want := hlstest.SamplesOf(units, s.Audio)
		lost := int(14/s.AudioEvery) - len(want)
		r := newRig(t, Options{})
		r.feed("", units...)
		r.finish()
		rec := r.of("a0")
		all := rec.samples(t, int64(s.Audio.SampleRate))
		silence, length := fmp4.Silence(s.Audio, nil)
		loud := slices.DeleteFunc(slices.Clone(all), func(a hlstest.Sample) bool { return a.Data == string(silence) })
		hlstest.SameSamples(t, loud, want, length/2+2*time.Millisecond)
		if made := len(all) - len(loud); made < lost-4 || made > lost+4 {
			rt.Errorf("%d frames of silence for %d that are missing", made, lost)
		}
		for i := 1; i < len(all); i++ {
			if step := all[i].DTS - all[i-1].DTS; (step - length).Abs() > 2*time.Millisecond {
				rt.Errorf("sample %d is %v after the one before, at %v", i, step, all[i].DTS)
			}
		}
		for _, seq := range rec.order {
			seg := rec.segments[seq]
			if at := time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(seg.Start); (seg.At.Sub(at)).Abs() > 30*time.Millisecond {
				rt.Errorf("segment %d at %v has the date %v", seq, seg.Start, seg.At)
			}
		}
		if n := r.counts.Wide.Load(); n > 0 || len(rec.seams()) > 0 || t.Failed() {
			rt.Fatalf("%d long parts\n%s%s", n, rec, &r.log)
		}
	})
}

// TestNoHoleInSound: times of frames that are not what they should be make no silence as long as
// there are as many samples as time.
func TestNoHoleInSound(t *testing.T) {
	for name, at := range map[string]func(i int, at time.Duration) time.Duration{
		"two at a time":   func(i int, at time.Duration) time.Duration { return at - time.Duration(i%2)*time.Second*1024/48000 },
		"eight at a time": func(i int, at time.Duration) time.Duration { return at - time.Duration(i%8)*time.Second*1024/48000 },
		"jitter":          func(i int, at time.Duration) time.Duration { return at + time.Duration(i*7919%19)*time.Millisecond },
		"a fast clock":    func(i int, at time.Duration) time.Duration { return at + at/500 },
		"a slow clock":    func(i int, at time.Duration) time.Duration { return at - at/500 },
	} {
		t.Run(name, func(t *testing.T) {
			s := hlstest.SoundOf(media.AAC)
			units := s.Until(30 * time.Second)
			i := 0
			for n := range units {
				if u := &units[n]; u.Track == s.Audio {
					u.DTS = max(0, at(i, u.DTS)).Truncate(time.Millisecond)
					u.PTS = u.DTS
					i++
				}
			}
			slices.SortStableFunc(units, func(a, b media.AccessUnit) int { return cmp.Compare(a.DTS, b.DTS) })
			r := newRig(t, Options{})
			r.feed("", units...)
			r.finish()
			if got := len(r.of("a0").samples(t, 48000)); got != i || strings.Contains(r.log.String(), "silence") {
				t.Errorf("%d frames of %d\n%s", got, i, &r.log)
			}
		})
	}
}
