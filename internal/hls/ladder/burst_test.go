package ladder

import (
	"cmp"
	"fmt"
	"slices"
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// inBursts are units of which those of one kind come only each so often, all that there is of that
// time.
func inBursts(units []media.AccessUnit, kind media.Kind, each, phase time.Duration) []media.AccessUnit {
	from := units[0].Arrived
	for i := range units {
		if u := &units[i]; u.Track.Kind == kind {
			since := time.Duration(u.Arrived-from) + phase
			u.Arrived = from + int64(max(0, since-since%each-phase))
		}
	}
	slices.SortStableFunc(units, func(a, b media.AccessUnit) int { return cmp.Compare(a.Arrived, b.Arrived) })
	return units
}

// TestBursts: pictures or sound come in bursts, up to two and a half seconds before the others.
// Nothing is lost, nothing is made up, and segments begin with key frames.
func TestBursts(t *testing.T) {
	for _, codec := range []media.Codec{media.AAC, media.Opus, media.MP3} {
		for _, kind := range []media.Kind{media.Video, media.Audio} {
			for _, each := range []time.Duration{700, 2000, 2500} {
				for _, phase := range []time.Duration{400} {
					for _, wanted := range []bool{false, true} {
						t.Run(fmt.Sprintf("%v, %v each %d ms, %d, %v", codec, kind, each, phase, wanted), func(t *testing.T) {
							s := hlstest.SoundOf(codec)
							r := newRig(t, Options{SegmentDuration: time.Second})
							r.leader.wanted = func() bool { return wanted }
							units := s.Until(20 * time.Second)
							sent := slices.Clone(units)
							r.feed("", media.AccessUnit{Track: s.Video, Header: media.SequenceHeader}, media.AccessUnit{Track: s.Audio, Header: media.SequenceHeader})
							for _, u := range inBursts(sent, kind, each*time.Millisecond, phase*time.Millisecond) {
								r.feed("", u)
								if v := r.show.View.Load(); v != nil && len(v.Renditions) != 2 {
									t.Fatalf("at %v the multivariant playlist says %+v", u.DTS, v.Renditions)
								}
							}
							r.finish()
							hlstest.SameSamples(t, r.of("v0").samples(t, 90000), hlstest.SamplesOf(units, s.Video), 0)
							hlstest.SameSamples(t, r.of("a0").samples(t, int64(s.Audio.SampleRate)), hlstest.SamplesOf(units, s.Audio), 3*time.Millisecond)
							if n := r.counts.Dropped.Load(); n > 0 {
								t.Errorf("%d units are left out", n)
							}
							if made := time.Duration(r.counts.Silence.Load()); made > 50*time.Millisecond {
								t.Errorf("%v of silence", made)
							}
							if n := r.counts.Forced.Load(); n > 0 {
								t.Errorf("%d segments begin without a key frame", n)
							}
						})
					}
				}
			}
		}
	}
}

// TestSoundStopsInBursts: where pictures come in bursts, sound that really stops is silence all the
// same.
func TestSoundStopsInBursts(t *testing.T) {
	s := hlstest.SoundOf(media.AAC)
	r := newRig(t, Options{SegmentDuration: time.Second})
	units := inBursts(s.Until(40*time.Second), media.Video, 2*time.Second, 0)
	r.feed("", hlstest.Without(units, 10*time.Second, 20*time.Second)...)
	r.finish()
	if made := time.Duration(r.counts.Silence.Load()); made < 9*time.Second || made > 10500*time.Millisecond {
		t.Errorf("%v of silence\n%s", made, &r.log)
	}
}

// TestLateSoundBegins with silence: its first segment begins when that of the pictures does.
func TestLateSoundBegins(t *testing.T) {
	for _, codec := range []media.Codec{media.AAC, media.Opus, media.MP3} {
		for _, late := range []time.Duration{100, 500, 1000, 1700} {
			for _, wanted := range []bool{false, true} {
				t.Run(fmt.Sprintf("%v, %d ms, %v", codec, late, wanted), func(t *testing.T) {
					s := hlstest.SoundOf(codec)
					r := newRig(t, Options{SegmentDuration: time.Second})
					r.leader.wanted = func() bool { return wanted }
					units := hlstest.Without(s.Until(12*time.Second), 0, late*time.Millisecond)
					header := media.AccessUnit{Track: s.Audio, Header: media.SequenceHeader, Arrived: units[0].Arrived}
					r.feed("", append([]media.AccessUnit{header}, units...)...)
					r.finish()
					sound := r.of("a0")
					first := sound.segments[sound.order[0]]
					for _, seq := range sound.order {
						a, v := sound.segments[seq], r.of("v0").segments[seq]
						if v == nil || a.Gap || v.Gap {
							continue
						}
						if off := a.At.Sub(v.At); off.Abs() > 50*time.Millisecond {
							t.Errorf("segment %d begins %v later than that of the pictures", seq, off)
						}
						if first.Gap {
							first = a
						}
					}
					var heard []hlstest.Sample
					want := hlstest.SamplesOf(units, s.Audio)
					for _, u := range sound.samples(t, int64(s.Audio.SampleRate)) {
						if u.PTS >= want[0].PTS-3*time.Millisecond {
							heard = append(heard, u)
						}
					}
					hlstest.SameSamples(t, heard, want, 3*time.Millisecond)
				})
			}
		}
	}
}
