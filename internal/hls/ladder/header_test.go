package ladder

import (
	"bytes"
	"cmp"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// TestHeaderCMAF: the same. Sound begins a segment with another initialization section, and its
// frames do not overlap.
func TestHeaderCMAF(t *testing.T) {
	for _, c := range hlstest.Changes() {
		t.Run(c.Name, func(t *testing.T) {
			r := newRig(t, Options{})
			units := c.Units(13 * time.Second)
			r.feed("", units...)
			r.finish()
			v, a := r.of("v0"), r.of("a0")
			frames := framesOf(t, a)
			var want []media.AccessUnit
			for _, u := range units {
				if u.Header == media.Sample && u.Track.Kind == media.Audio {
					want = append(want, u)
				}
			}
			for len(frames) > len(want) && !strings.Contains(frames[len(frames)-1].data, "frame ") {
				frames = frames[:len(frames)-1] // silence up to the end of the pictures
			}
			if len(frames) != len(want) {
				t.Errorf("%d frames of %d", len(frames), len(want))
			}
			for i := range min(len(frames), len(want)) {
				f, w := frames[i], want[i]
				if f.data != string(w.Data) || (f.start-w.DTS).Abs() > 25*time.Millisecond || f.rate != w.Track.SampleRate || f.channels != w.Track.Channels {
					t.Fatalf("frame %d: %q at %v (%d Hz, %d), want %q at %v", i, f.data, f.start, f.rate, f.channels, w.Data, w.DTS)
				}
				if i > 0 && f.start < frames[i-1].end-time.Microsecond*25 {
					t.Errorf("frame %d at %v, the one before ends at %v", i, f.start, frames[i-1].end)
				}
				if i > 0 && f.start > frames[i-1].end+20*time.Millisecond {
					t.Errorf("frame %d at %v, the one before ends at %v: a hole", i, f.start, frames[i-1].end)
				}
			}
			if c.Video == nil || c.AtKey() {
				pictures := hlstest.SamplesOf(units, units[0].Track)
				if c.Video != nil {
					pictures = append(pictures, hlstest.SamplesOf(units, c.Video)...)
				}
				hlstest.SameSamples(t, v.samples(t, 90000), pictures, 0)
			}
			discontinuities, dependent := 0, 0
			for _, seq := range v.order {
				if v.segments[seq].Discontinuity {
					discontinuities++
				}
				if !v.segments[seq].Independent {
					dependent++
				}
			}
			wantDiscontinuities, wantDependent := 0, 0
			if !c.Same() && c.Video != nil {
				wantDiscontinuities = 1
			}
			if !c.Same() && c.Audio != nil && (c.At%(2*time.Second) != 0 || c.Video == nil) {
				wantDependent = 1
			}
			if discontinuities != wantDiscontinuities || dependent > wantDependent {
				t.Errorf("%d discontinuities, %d dependent", discontinuities, dependent)
			}
			if t.Failed() {
				t.Log("\nvideo\n" + v.String() + "sound\n" + a.String() + r.log.String())
			}
		})
	}
}

// frameOut is a frame of sound as a player gets it.
type frameOut struct {
	data           string
	start, end     time.Duration
	rate, channels int
}

// soundOf reads all frames of a rendition of AAC, by the initialization section of their segment.
func framesOf(t *testing.T, rec *record) (out []frameOut) {
	t.Helper()
	for _, seq := range rec.order {
		s := rec.segments[seq]
		var init fmp4.Init
		if err := init.Unmarshal(bytes.NewReader(s.Init.Data)); err != nil {
			t.Fatal(err)
		}
		scale := int64(init.Tracks[0].TimeScale)
		rate, channels := configOf(t, init.Tracks[0])
		for _, p := range s.Parts {
			var parts fmp4.Parts
			if err := parts.Unmarshal(p.Data.Bytes()); err != nil {
				t.Fatal(err)
			}
			for _, fragment := range parts {
				at := int64(fragment.Tracks[0].BaseTime)
				for _, x := range fragment.Tracks[0].Samples {
					f := frameOut{data: string(x.Payload), start: hlstest.Ticks(at, scale), end: hlstest.Ticks(at+int64(x.Duration), scale)}
					f.rate, f.channels = rate, channels
					out = append(out, f)
					at += int64(x.Duration)
				}
			}
		}
	}
	return out
}

// configOf is what an initialization section says of AAC.
func configOf(t *testing.T, track *fmp4.InitTrack) (rate, channels int) {
	t.Helper()
	c, ok := track.Codec.(*codecs.MPEG4Audio)
	if !ok {
		t.Fatalf("%T", track.Codec)
	}
	return c.Config.SampleRate, int(c.Config.ChannelConfig)
}

// TestRestlessHeader: sound that gets another header with each frame makes no more than a segment a
// second.
func TestRestlessHeaderCMAF(t *testing.T) {
	r := newRig(t, Options{})
	r.feed("", hlstest.Restless()...)
	r.finish()
	if n := len(r.of("v0").order); n > 25 {
		t.Errorf("%d segments", n)
	}
}

// TestOtherCodecOfSound: the sound goes on with another codec, at a key frame and within a GOP. All
// frames come out, those of the new codec in segments with another initialization section, without
// a discontinuity; and the multivariant playlist names the new codec.
func TestOtherCodecOfSound(t *testing.T) {
	kinds := []media.Codec{media.AAC, media.Opus, media.MP3}
	for _, first := range kinds {
		for _, second := range kinds {
			for _, at := range []time.Duration{6 * time.Second, 6800 * time.Millisecond} {
				if first == second {
					continue
				}
				t.Run(fmt.Sprint(first, " to ", second, " at ", at), func(t *testing.T) {
					a, b := hlstest.SoundOf(first), hlstest.SoundOf(second)
					units := hlstest.Without(a.Until(14*time.Second), at, time.Hour)
					b.Video, b.Begin = nil, at
					units = append(units, media.AccessUnit{Track: b.Audio, Header: media.SequenceHeader, DTS: at, PTS: at})
					units = append(units, b.Until(14*time.Second-at)...)
					slices.SortStableFunc(units, func(a, b media.AccessUnit) int { return cmp.Compare(a.DTS, b.DTS) })
					r := newRig(t, Options{})
					r.feed("", units...)
					r.finish()
					rec := r.of("a0")
					var want []string
					for _, u := range units {
						if u.Track.Kind == media.Audio && u.Header == media.Sample {
							want = append(want, string(u.Data))
						}
					}
					var got []string
					for _, sample := range rec.samples(t, 48000) {
						if strings.Contains(sample.Data, "frame ") {
							got = append(got, sample.Data)
						}
					}
					if !slices.Equal(got, want) || len(rec.inits()) != 1 || len(rec.seams())+len(r.of("v0").seams()) > 0 {
						t.Errorf("%d frames of %d, initialization sections at %v\n%s%s", len(got), len(want), rec.inits(), rec, &r.log)
					}
					list := r.show.View.Load().Renditions
					if i := slices.IndexFunc(list, func(info playlist.Info) bool { return info.Rendition.ID == "a0" }); list[i].Track.Codec != second {
						t.Errorf("the multivariant playlist has %s", list[i].Codecs)
					}
				})
			}
		}
	}
}
