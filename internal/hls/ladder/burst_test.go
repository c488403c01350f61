package ladder

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// TestBursts: pictures or sound come in bursts, up to two and a half seconds before the others.
// Nothing is lost, nothing is made up, and segments begin with key frames.
func TestBursts(t *testing.T) {
	for _, codec := range []media.Codec{media.AAC, media.Opus, media.MP3} {
		for _, kind := range []media.Kind{media.Video, media.Audio} {
			for _, each := range []time.Duration{700, 2000, 2500} {
				for _, earlier := range []time.Duration{0, 400} {
					for _, wanted := range []bool{false, true} {
						t.Run(fmt.Sprintf("%v, %v each %d ms, %d, %v", codec, kind, each, earlier, wanted), func(t *testing.T) {
							s := hlstest.SoundOf(codec)
							r := newRig(t, Options{SegmentDuration: time.Second})
							r.leader.wanted = func() bool { return wanted }
							unaligned := 0
							r.line.announce = func(b *Boundary) {
								if b.unaligned {
									unaligned++
								}
							}
							units := s.Until(20 * time.Second)
							sent := slices.Clone(units)
							r.feed("", media.AccessUnit{Track: s.Video, Header: media.SequenceHeader}, media.AccessUnit{Track: s.Audio, Header: media.SequenceHeader})
							for _, u := range hlstest.InBursts(sent, kind, each*time.Millisecond, earlier*time.Millisecond) {
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
							if unaligned > 0 {
								t.Errorf("%d segments begin without a key frame\n%s", unaligned, r.of("v0"))
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
	units := hlstest.InBursts(s.Until(40*time.Second), media.Video, 2*time.Second, 0)
	r.feed("", hlstest.Without(units, 10*time.Second, 20*time.Second)...)
	r.finish()
	if made := time.Duration(r.counts.Silence.Load()); made < 9*time.Second || made > 10500*time.Millisecond {
		t.Errorf("%v of silence\n%s", made, &r.log)
	}
}

// TestPicturesStopInBursts: where sound comes in bursts it goes on alone all the same if the
// pictures really stop, and nothing is lost.
func TestPicturesStopInBursts(t *testing.T) {
	s := hlstest.SoundOf(media.AAC)
	r := newRig(t, Options{SegmentDuration: time.Second})
	units := slices.DeleteFunc(s.Until(40*time.Second), func(u media.AccessUnit) bool {
		return u.Track.Kind == media.Video && u.DTS >= 10*time.Second && u.DTS < 20*time.Second
	})
	behind := time.Duration(0)
	for _, u := range hlstest.InBursts(slices.Clone(units), media.Audio, 2*time.Second, 0) {
		r.feed("", u)
		if u.Track.Kind == media.Audio && u.DTS > 13*time.Second {
			behind = max(behind, u.DTS-r.line.now)
		}
	}
	r.finish()
	if behind > 3*time.Second {
		t.Errorf("sound waits for %v", behind)
	}
	hlstest.SameSamples(t, r.of("a0").samples(t, 48000), hlstest.SamplesOf(units, s.Audio), 3*time.Millisecond)
	if n := r.counts.Dropped.Load(); n > 0 {
		t.Errorf("%d units are left out\n%s", n, &r.log)
	}
}
