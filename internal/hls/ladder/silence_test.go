package ladder

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// delayed lets the sound come later than pictures of its time.
func delayed(units []media.AccessUnit, by time.Duration) []media.AccessUnit {
	due := func(u media.AccessUnit) time.Duration {
		if u.Track.Kind == media.Audio {
			return u.DTS + by
		}
		return u.DTS
	}
	slices.SortStableFunc(units, func(a, b media.AccessUnit) int { return int(due(a) - due(b)) })
	return units
}

// TestSilence: while an encoder sends pictures without sound, there is silence in place of each
// frame that is missing, soon enough, and no sound that comes is lost, however late it always is.
func TestSilence(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := &hlstest.Source{Video: hlstest.AVCTrack(0), Rate: rapid.SampledFrom([]float64{25, 30}).Draw(rt, "rate"), Gop: 50, Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000}
		if rapid.Bool().Draw(rt, "Opus") {
			s.Audio, s.AudioEvery = hlstest.Opus48(), 0.02
		}
		said := rapid.Bool().Draw(rt, "said")
		late := time.Duration(rapid.IntRange(0, 2500).Draw(rt, "late")) * time.Millisecond
		from := time.Duration(rapid.IntRange(6000, 8000).Draw(rt, "from")) * time.Millisecond
		away := time.Duration(rapid.IntRange(200, 7000).Draw(rt, "away")) * time.Millisecond

		r := newRig(t, Options{})
		units := hlstest.Without(s.Until(18*time.Second), from, from+away)
		want := hlstest.SamplesOf(units, s.Audio)
		if said {
			i := slices.IndexFunc(units, func(u media.AccessUnit) bool { return u.Track == s.Audio && u.DTS >= from })
			note := units[i]
			note.Data, note.DTS, note.PTS = nil, from, from
			units = append(units, note)
			slices.SortStableFunc(units, func(a, b media.AccessUnit) int { return int(a.DTS - b.DTS) })
		}
		worst := time.Duration(0)
		for _, u := range delayed(units, late) {
			r.feed("", u)
			if v := r.show.Rendition("a0"); v != nil && v.View.Load() != nil && u.Track == s.Video && u.DTS > from && u.DTS < from+away {
				segments := v.View.Load().Segments
				last := segments[len(segments)-1]
				worst = max(worst, u.DTS-last.Start-last.Duration)
			}
		}
		limit := max(soundPatience, late+cut.Departure) + 500*time.Millisecond
		if said {
			limit = max(patience, late+cut.Departure) + 500*time.Millisecond
		}
		if worst > limit {
			rt.Errorf("the sound was %v behind the pictures, more than %v\n%s", worst, limit, &r.log)
		}
		r.finish()
		rec := r.of("a0")
		silence, length := fmp4.Silence(s.Audio, nil)
		var got []hlstest.Sample
		all := rec.samples(t, 48000)
		for i, sample := range all {
			if sample.Data == string(silence) {
				continue
			}
			if i > 0 && len(got) == 0 {
				rt.Fatal("it begins with silence")
			}
			got = append(got, sample)
		}
		hlstest.SameSamples(t, got, want, 2*time.Millisecond)
		for i := 1; i < len(all); i++ {
			if step := all[i].DTS - all[i-1].DTS; away > limit && (step < length/2 || step > length*8/5) {
				rt.Errorf("sample %d is %v after the one before, at %v", i, step, all[i].DTS)
			}
		}
		if seams := rec.seams(); len(seams) != 0 || strings.Contains(rec.String(), "gap") || t.Failed() {
			rt.Fatalf("%s%s", rec, &r.log)
		}
	})
}

// TestSilenceInherited: the ladder's only sound ends, is lost, or is lost and back: its playlist
// goes on as silence at once, and with sound when there is some again.
func TestSilenceInherited(t *testing.T) {
	for _, how := range []string{"ends", "is lost", "is lost and ends", "ends, and the other one has but a header"} {
		for _, back := range []string{"it comes back", "the other one gets sound"} {
			t.Run(how+", "+back, func(t *testing.T) {
				d := newDuet(t, Options{}, 25, 50)
				sound := d.sources[1].Audio
				d.sources[1].Audio = nil
				if strings.Contains(how, "header") {
					d.publication("")
					d.feed("720p", media.AccessUnit{Track: sound, Header: media.SequenceHeader})
				}
				d.play(9300*time.Millisecond, 9300*time.Millisecond, 0)
				own := hlstest.SamplesOf(d.sent[0], d.sources[0].Audio)
				switch pub := d.publication(""); how {
				case "is lost":
					d.Suspend(pub)
				case "is lost and ends":
					d.Suspend(pub)
					d.feed("720p", d.make(1, 11*time.Second)...)
					fallthrough
				default:
					d.Exit(pub)
					delete(d.pubs, "")
				}
				d.look()
				if worst := d.lag("720p", d.make(1, 15*time.Second)); worst > time.Second {
					t.Errorf("the sound was %v behind\n%s", worst, &d.log)
				}
				for len(d.sources[0].Until(15*time.Second)) > 0 { // what was never sent
				}
				d.sent[0] = nil
				want, from := "A", d.sources[0]
				if back == "it comes back" {
					d.sources[0].Epoch = 1
					d.play(27*time.Second, 27*time.Second, 0)
				} else {
					want, from = "B", d.sources[1]
					from.Audio, from.Samples = sound, int(15/from.AudioEvery)
					d.feed("720p", d.make(1, 27*time.Second)...)
				}
				d.finish()
				silence, _ := fmp4.Silence(from.Audio, nil)
				turns, later := "", 0
				for _, s := range d.of("a0").samples(t, 48000) {
					by := s.Data[len(s.Data)-1:]
					if s.Data == string(silence) {
						by = "-"
					} else if s.DTS > 15*time.Second {
						later++
					}
					if !strings.HasSuffix(turns, by) {
						turns += by
					}
				}
				if turns != "A-"+want || later < int(11/from.AudioEvery) || len(own) == 0 {
					t.Errorf("%s, and %d frames after it\n%s%s", turns, later, d.of("a0"), &d.log)
				}
				gapless(t, d.of("a0").samples(t, 48000))
				if strings.Contains(d.of("a0").String(), "gap") {
					t.Errorf("%s", d.of("a0"))
				}
			})
		}
	}
}

// gapless says that nothing is missing between the samples of a history, but for half a frame.
func gapless(t testing.TB, samples []hlstest.Sample) {
	t.Helper()
	for i := 1; i < len(samples); i++ {
		if step := samples[i].DTS - samples[i-1].DTS; step < 10*time.Millisecond || step > 35*time.Millisecond {
			t.Errorf("sample %d is %v after the one before, at %v", i, step, samples[i].DTS)
		}
	}
}

// TestSilenceToTheEnd: a stream that ends, or is lost, while it is silent has all of its last
// segment.
func TestSilenceToTheEnd(t *testing.T) {
	for _, lost := range []bool{false, true} {
		d := newDuet(t, Options{}, 25, 50)
		d.sources[1].Audio = nil
		d.play(9300*time.Millisecond, 9300*time.Millisecond, 0)
		d.Suspend(d.publication(""))
		d.look()
		if !lost {
			d.Exit(d.publication(""))
			delete(d.pubs, "")
		}
		d.feed("720p", d.make(1, 13100*time.Millisecond)...)
		d.Suspend(d.publication("720p"))
		d.look()
		if !lost {
			d.finish()
		}
		for _, id := range []string{"a0", "720p.v0"} {
			view := d.of(id).view
			last := view.Segments[len(view.Segments)-1]
			if end := last.Start + last.Duration; !last.Complete && !last.Full || (end-13080*time.Millisecond).Abs() > 50*time.Millisecond {
				t.Errorf("lost %v: %s ends at %v, complete %v, full %v", lost, id, end, last.Complete, last.Full)
			}
		}
		gapless(t, d.of("a0").samples(t, 48000))
	}
}

// TestSilenceAfterHiccup: sound that was late once is not waited for as long as that for ever.
func TestSilenceAfterHiccup(t *testing.T) {
	s := &hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 50, Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000}
	r := newRig(t, Options{})
	r.feed("", s.Until(6*time.Second)...)
	r.feed("", delayed(s.Until(8*time.Second), 1400*time.Millisecond)...)
	r.feed("", s.Until(60*time.Second)...)
	r.feed("", hlstest.Without(s.Until(62*time.Second), 0, 62*time.Second)...)
	v := r.of("a0").view
	last := v.Segments[len(v.Segments)-1]
	if behind := 62*time.Second - last.Start - last.Duration; behind > 400*time.Millisecond {
		t.Errorf("the silence is %v behind\n%s", behind, &r.log)
	}
	r.finish()
}

// TestSilenceIsNotBetter: no silence takes the place of sound that stands by.
func TestSilenceIsNotBetter(t *testing.T) {
	for _, ahead := range []time.Duration{300 * time.Millisecond, 1200 * time.Millisecond} {
		d := newDuet(t, Options{}, 25, 50)
		d.play(9*time.Second, 9*time.Second+ahead, 0)
		d.Suspend(d.publication(""))
		d.feed("720p", d.make(1, 15*time.Second)...)
		d.finish()
		hlstest.SameSamples(t, d.of("a0").samples(t, 48000), d.moved(0, 1), 2*time.Millisecond)
		if strings.Contains(d.log.String(), "silence") {
			t.Errorf("%v ahead: %s", ahead, &d.log)
		}
	}
}

// TestSilenceUntilAnotherHeader: sound that comes back with another initialization section begins a
// segment, and all of it is heard.
func TestSilenceUntilAnotherHeader(t *testing.T) {
	s := &hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 50, Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000}
	r := newRig(t, Options{})
	r.feed("", s.Until(6*time.Second)...)
	r.feed("", hlstest.Without(s.Until(9100*time.Millisecond), 0, time.Hour)...)
	s.Audio = hlstest.SoundTrack(media.AAC, "1190", 48000, 1024) // stereo
	r.feed("", media.AccessUnit{Track: s.Audio, Header: media.SequenceHeader})
	r.feed("", s.Until(9900*time.Millisecond)...)
	r.feed("", delayed(s.Until(10300*time.Millisecond), time.Second)...) // more pictures than sound are read at a time
	r.feed("", s.Until(16*time.Second)...)
	r.finish()
	rec := r.of("a0")
	if inits := rec.inits(); len(inits) != 1 || len(rec.seams()) > 0 || (rec.segments[inits[0]].Start-9110*time.Millisecond).Abs() > 20*time.Millisecond {
		t.Errorf("%s%s", rec, &r.log)
	}
	samples := rec.samples(t, 48000)
	gapless(t, samples)
	silence, _ := fmp4.Silence(hlstest.AAC(48000), nil)
	for _, sample := range samples {
		if quiet := sample.DTS > 6*time.Second && sample.DTS < 9100*time.Millisecond; quiet != (sample.Data == string(silence)) {
			t.Errorf("at %v: %q", sample.DTS, sample.Data)
		}
	}
}

// TestSilenceFlaps: an encoder that says at each frame that no sound comes loses none, and fills no
// log.
func TestSilenceFlaps(t *testing.T) {
	s := &hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 50, Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000}
	r := newRig(t, Options{})
	units := s.Until(20 * time.Second)
	want := hlstest.SamplesOf(units, s.Audio)
	for _, u := range units {
		r.feed("", u)
		if u.Track == s.Audio {
			u.Data = nil
			r.feed("", u)
		}
	}
	r.finish()
	hlstest.SameSamples(t, r.of("a0").samples(t, 48000), want, 2*time.Millisecond)
	if strings.Contains(r.log.String(), "silence") {
		t.Errorf("%s", &r.log)
	}
}

// TestLateSoundBegins with silence: its first segment begins when that of the pictures does.
func TestLateSoundBegins(t *testing.T) {
	for _, codec := range []media.Codec{media.AAC, media.Opus, media.MP3} {
		for _, late := range []time.Duration{150, 500, 1000, 1700} {
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
					for _, seq := range sound.order {
						a, v := sound.segments[seq], r.of("v0").segments[seq]
						if v == nil || a.Gap || v.Gap {
							continue
						}
						if off := a.At.Sub(v.At); off.Abs() > 50*time.Millisecond {
							t.Errorf("segment %d begins %v later than that of the pictures", seq, off)
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

// TestSoundBegins: sound that begins no later than it usually does has nothing in front that was
// not sent. What counts is when the first picture is shown.
func TestSoundBegins(t *testing.T) {
	for _, c := range []struct {
		rate int
		late []time.Duration
	}{{48000, []time.Duration{0, 22, 48, 99}}, {22050, []time.Duration{0, 47, 120}}} {
		for _, late := range c.late {
			for _, composition := range []time.Duration{0, 200 * time.Millisecond} {
				for _, wanted := range []bool{false, true} {
					t.Run(fmt.Sprintf("%d Hz, %d ms, %v, %v", c.rate, late, composition, wanted), func(t *testing.T) {
						s := hlstest.SoundOf(media.AAC)
						s.Audio, s.AudioEvery = hlstest.AAC(c.rate), 1024/float64(c.rate)
						r := newRig(t, Options{SegmentDuration: time.Second})
						r.leader.wanted = func() bool { return wanted }
						units := s.Until(12 * time.Second)
						for i := range units {
							u := &units[i]
							u.PTS += composition
							if u.Track.Kind == media.Audio {
								u.DTS = u.PTS + late*time.Millisecond
								u.PTS = u.DTS
							}
						}
						header := media.AccessUnit{Track: s.Audio, Header: media.SequenceHeader, Arrived: units[0].Arrived}
						r.feed("", append([]media.AccessUnit{header}, units...)...)
						r.finish()
						hlstest.SameSamples(t, r.of("a0").samples(t, int64(c.rate)), hlstest.SamplesOf(units, s.Audio), 3*time.Millisecond)
					})
				}
			}
		}
	}
}
