package hls

import (
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"livego/internal/fmp4"
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
		s := &studio{video: avcTrack(0), rate: rapid.SampledFrom([]float64{25, 30}).Draw(rt, "rate"), gop: 50, audio: aac(48000), audioEvery: 1024.0 / 48000}
		if rapid.Bool().Draw(rt, "Opus") {
			s.audio, s.audioEvery = opus48(), 0.02
		}
		said := rapid.Bool().Draw(rt, "said")
		late := time.Duration(rapid.IntRange(0, 2500).Draw(rt, "late")) * time.Millisecond
		from := time.Duration(rapid.IntRange(6000, 8000).Draw(rt, "from")) * time.Millisecond
		away := time.Duration(rapid.IntRange(200, 7000).Draw(rt, "away")) * time.Millisecond

		r := newRig(t, cmafOptions{})
		units := without(s.until(18*time.Second), from, from+away)
		want := samplesOf(units, s.audio)
		if said {
			i := slices.IndexFunc(units, func(u media.AccessUnit) bool { return u.Track == s.audio && u.DTS >= from })
			note := units[i]
			note.Data, note.DTS, note.PTS = nil, from, from
			units = append(units, note)
			slices.SortStableFunc(units, func(a, b media.AccessUnit) int { return int(a.DTS - b.DTS) })
		}
		worst := time.Duration(0)
		for _, u := range delayed(units, late) {
			r.feed("", u)
			if v := r.show.rendition("a0"); v != nil && v.View.Load() != nil && u.Track == s.video && u.DTS > from && u.DTS < from+away {
				segments := v.View.Load().Segments
				last := segments[len(segments)-1]
				worst = max(worst, u.DTS-last.Start-last.Duration)
			}
		}
		limit := max(soundPatience, late+departure) + 500*time.Millisecond
		if said {
			limit = max(patience, late+departure) + 500*time.Millisecond
		}
		if worst > limit {
			rt.Errorf("the sound was %v behind the pictures, more than %v\n%s", worst, limit, &r.log)
		}
		r.finish()
		rec := r.of("a0")
		silence, length := fmp4.Silence(s.audio, nil)
		var got []sample
		all := rec.samples(t, 48000)
		for i, sample := range all {
			if sample.data == string(silence) {
				continue
			}
			if i > 0 && len(got) == 0 {
				rt.Fatal("it begins with silence")
			}
			got = append(got, sample)
		}
		sameSamples(t, got, want, 2*time.Millisecond)
		for i := 1; i < len(all); i++ {
			if step := all[i].dts - all[i-1].dts; away > limit && (step < length/2 || step > length*8/5) {
				rt.Errorf("sample %d is %v after the one before, at %v", i, step, all[i].dts)
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
				d := newDuet(t, cmafOptions{}, 25, 50)
				sound := d.studios[1].audio
				d.studios[1].audio = nil
				if strings.Contains(how, "header") {
					d.publication("")
					d.feed("720p", media.AccessUnit{Track: sound, Header: media.SequenceHeader})
				}
				d.play(9300*time.Millisecond, 9300*time.Millisecond, 0)
				own := samplesOf(d.sent[0], d.studios[0].audio)
				switch pub := d.publication(""); how {
				case "is lost":
					d.suspend(pub)
				case "is lost and ends":
					d.suspend(pub)
					d.feed("720p", d.make(1, 11*time.Second)...)
					fallthrough
				default:
					d.exit(pub)
					delete(d.pubs, "")
				}
				d.look()
				if worst := d.lag("720p", d.make(1, 15*time.Second)); worst > time.Second {
					t.Errorf("the sound was %v behind\n%s", worst, &d.log)
				}
				for len(d.studios[0].until(15*time.Second)) > 0 { // what was never sent
				}
				d.sent[0] = nil
				want, from := "A", d.studios[0]
				if back == "it comes back" {
					d.studios[0].epoch = 1
					d.play(27*time.Second, 27*time.Second, 0)
				} else {
					want, from = "B", d.studios[1]
					from.audio, from.samples = sound, int(15/from.audioEvery)
					d.feed("720p", d.make(1, 27*time.Second)...)
				}
				d.finish()
				silence, _ := fmp4.Silence(from.audio, nil)
				turns, later := "", 0
				for _, s := range d.of("a0").samples(t, 48000) {
					by := s.data[len(s.data)-1:]
					if s.data == string(silence) {
						by = "-"
					} else if s.dts > 15*time.Second {
						later++
					}
					if !strings.HasSuffix(turns, by) {
						turns += by
					}
				}
				if turns != "A-"+want || later < int(11/from.audioEvery) || len(own) == 0 {
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
func gapless(t testing.TB, samples []sample) {
	t.Helper()
	for i := 1; i < len(samples); i++ {
		if step := samples[i].dts - samples[i-1].dts; step < 10*time.Millisecond || step > 35*time.Millisecond {
			t.Errorf("sample %d is %v after the one before, at %v", i, step, samples[i].dts)
		}
	}
}

// TestSilenceToTheEnd: a stream that ends, or is lost, while it is silent has all of its last
// segment.
func TestSilenceToTheEnd(t *testing.T) {
	for _, lost := range []bool{false, true} {
		d := newDuet(t, cmafOptions{}, 25, 50)
		d.studios[1].audio = nil
		d.play(9300*time.Millisecond, 9300*time.Millisecond, 0)
		d.suspend(d.publication(""))
		d.look()
		if !lost {
			d.exit(d.publication(""))
			delete(d.pubs, "")
		}
		d.feed("720p", d.make(1, 13100*time.Millisecond)...)
		d.suspend(d.publication("720p"))
		d.look()
		if !lost {
			d.finish()
		}
		for _, id := range []string{"a0", "720p.v0"} {
			view := d.of(id).view
			last := view.Segments[len(view.Segments)-1]
			if end := last.Start + last.Duration; !last.Complete || (end-13080*time.Millisecond).Abs() > 50*time.Millisecond {
				t.Errorf("lost %v: %s ends at %v, complete %v", lost, id, end, last.Complete)
			}
		}
		gapless(t, d.of("a0").samples(t, 48000))
	}
}

// TestSilenceAfterHiccup: sound that was late once is not waited for as long as that for ever.
func TestSilenceAfterHiccup(t *testing.T) {
	s := &studio{video: avcTrack(0), rate: 25, gop: 50, audio: aac(48000), audioEvery: 1024.0 / 48000}
	r := newRig(t, cmafOptions{})
	r.feed("", s.until(6*time.Second)...)
	r.feed("", delayed(s.until(8*time.Second), 1400*time.Millisecond)...)
	r.feed("", s.until(60*time.Second)...)
	r.feed("", without(s.until(62*time.Second), 0, 62*time.Second)...)
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
		d := newDuet(t, cmafOptions{}, 25, 50)
		d.play(9*time.Second, 9*time.Second+ahead, 0)
		d.suspend(d.publication(""))
		d.feed("720p", d.make(1, 15*time.Second)...)
		d.finish()
		sameSamples(t, d.of("a0").samples(t, 48000), d.moved(0, 1), 2*time.Millisecond)
		if strings.Contains(d.log.String(), "silence") {
			t.Errorf("%v ahead: %s", ahead, &d.log)
		}
	}
}

// TestSilenceUntilAnotherHeader: sound that comes back with another initialization section begins a
// segment, and all of it is heard.
func TestSilenceUntilAnotherHeader(t *testing.T) {
	s := &studio{video: avcTrack(0), rate: 25, gop: 50, audio: aac(48000), audioEvery: 1024.0 / 48000}
	r := newRig(t, cmafOptions{})
	r.feed("", s.until(6*time.Second)...)
	r.feed("", without(s.until(9100*time.Millisecond), 0, time.Hour)...)
	s.audio = soundTrack(media.AAC, "1190", 48000, 1024) // stereo
	r.feed("", media.AccessUnit{Track: s.audio, Header: media.SequenceHeader})
	r.feed("", s.until(9900*time.Millisecond)...)
	r.feed("", delayed(s.until(10300*time.Millisecond), time.Second)...) // more pictures than sound are read at a time
	r.feed("", s.until(16*time.Second)...)
	r.finish()
	rec := r.of("a0")
	if inits := rec.inits(); len(inits) != 1 || len(rec.seams()) > 0 || (rec.segments[inits[0]].Start-9110*time.Millisecond).Abs() > 20*time.Millisecond {
		t.Errorf("%s%s", rec, &r.log)
	}
	samples := rec.samples(t, 48000)
	gapless(t, samples)
	silence, _ := fmp4.Silence(aac(48000), nil)
	for _, sample := range samples {
		if quiet := sample.dts > 6*time.Second && sample.dts < 9100*time.Millisecond; quiet != (sample.data == string(silence)) {
			t.Errorf("at %v: %q", sample.dts, sample.data)
		}
	}
}

// TestSilenceFlaps: an encoder that says at each frame that no sound comes loses none, and fills no
// log.
func TestSilenceFlaps(t *testing.T) {
	s := &studio{video: avcTrack(0), rate: 25, gop: 50, audio: aac(48000), audioEvery: 1024.0 / 48000}
	r := newRig(t, cmafOptions{})
	units := s.until(20 * time.Second)
	want := samplesOf(units, s.audio)
	for _, u := range units {
		r.feed("", u)
		if u.Track == s.audio {
			u.Data = nil
			r.feed("", u)
		}
	}
	r.finish()
	sameSamples(t, r.of("a0").samples(t, 48000), want, 2*time.Millisecond)
	if strings.Contains(r.log.String(), "silence") {
		t.Errorf("%s", &r.log)
	}
}
