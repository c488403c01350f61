package ladder

import (
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// signed marks the sound of a publication, so that a test knows where it came from.
func signed(units []media.AccessUnit, name string) []media.AccessUnit {
	for i := range units {
		if u := &units[i]; u.Track.Kind == media.Audio {
			u.Data = append(u.Data[:len(u.Data):len(u.Data)], name...)
		}
	}
	return units
}

// duet is a ladder of two publications with the same sound, each signed.
type duet struct {
	*rig
	sources []*hlstest.Source
	sent    [2][]media.AccessUnit
}

func newDuet(t testing.TB, opt Options, rate float64, gop int) *duet {
	return &duet{rig: newRig(t, opt), sources: hlstest.Encoders(rate, gop)[:2]}
}

// make returns the units of a publication up to a time, and notes them.
func (d *duet) make(i int, until time.Duration) []media.AccessUnit {
	units := signed(d.sources[i].Until(until-d.sources[i].Begin), string(rune('A'+i)))
	d.sent[i] = append(d.sent[i], units...)
	return units
}

// play feeds both up to times of their own.
func (d *duet) play(first, second, skew time.Duration) {
	d.interleave([][]media.AccessUnit{d.make(0, first), d.make(1, second)}, skew, func(n int) int { return n - 1 })
}

// moved is what a0 should hold: all sound of one publication, and then that of the other.
func (d *duet) moved(from, to int) []hlstest.Sample {
	want := hlstest.SamplesOf(d.sent[from], d.sources[from].Audio)
	reached := want[len(want)-1].DTS + frame(d.sources[from].Audio)/2
	for _, s := range hlstest.SamplesOf(d.sent[to], d.sources[to].Audio) {
		if s.DTS >= reached {
			want = append(want, s)
		}
	}
	return want
}

// lag feeds units and returns by how much the sound that is published was behind them at worst.
func (d *duet) lag(name string, units []media.AccessUnit) (worst time.Duration) {
	for _, u := range units {
		d.feed(name, u)
		v := d.of("a0").view
		last := v.Segments[len(v.Segments)-1]
		worst = max(worst, u.DTS-last.Start-last.Duration)
	}
	return worst
}

// TestSoundMoves: however the publication with the sound goes, and whenever, its playlist goes on
// with every frame of the other one, and without a discontinuity, here or in the video.
func TestSoundMoves(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		rate := rapid.SampledFrom([]float64{24, 25, 30, 50}).Draw(rt, "rate")
		gop := rapid.SampledFrom([]int{25, 48, 60}).Draw(rt, "gop")
		gone := rapid.IntRange(0, 1).Draw(rt, "gone") // 1: the one with the sound does not lead
		how := rapid.SampledFrom([]string{"ends", "is lost", "hangs"}).Draw(rt, "how")
		at := time.Duration(rapid.IntRange(6000, 10000).Draw(rt, "at")) * time.Millisecond
		skew := time.Duration(rapid.IntRange(0, 300).Draw(rt, "skew")) * time.Millisecond
		ahead := time.Duration(rapid.IntRange(-300, 300).Draw(rt, "ahead")) * time.Millisecond

		d := newDuet(t, Options{}, rate, gop)
		other := 1 - gone
		if gone == 1 { // 720p has the sound, as it was first and alone
			d.publication("720p")
			d.feed("720p", d.make(1, 20*time.Millisecond)...)
		}
		ends := [2]time.Duration{at, at + ahead}
		if gone == 1 {
			ends = [2]time.Duration{at + ahead, at}
		}
		d.play(ends[0], ends[1], skew)
		switch pub := d.publication(hlstest.NameOf(gone)); how {
		case "ends":
			d.Exit(pub)
		case "is lost":
			d.Suspend(pub)
		}
		d.look()
		worst := d.lag(hlstest.NameOf(other), d.make(other, at+7*time.Second))
		limit := time.Second
		if how == "hangs" {
			limit += soundPatience + 600*time.Millisecond // as far as it was behind already
		}
		if worst > limit {
			rt.Errorf("the sound that is published was %v behind\n%s", worst, &d.log)
		}
		if how == "is lost" {
			d.Exit(d.publication(hlstest.NameOf(gone)))
		}
		d.finish()

		if len(d.of("a0").order) == 0 {
			rt.Fatalf("no sound\n%s", &d.log)
		}
		hlstest.SameSamples(t, d.of("a0").samples(t, 48000), d.moved(gone, other), 2*time.Millisecond)
		video := strings.TrimPrefix(hlstest.NameOf(other)+".v0", ".")
		if a, v := d.of("a0").seams(), d.of(video).seams(); len(a)+len(v) != 0 {
			rt.Errorf("discontinuities at %v, in %s at %v\n%s%s", a, video, v, d.histories(), d.of("a0"))
		}
		if strings.Contains(d.of("a0").String(), "gap") || t.Failed() {
			rt.Fatalf("%s%s", d.histories(), &d.log)
		}
	})
}

// TestSoundStays: the publication whose sound was given up for another's does not get it back
// before that one goes.
func TestSoundStays(t *testing.T) {
	d := newDuet(t, Options{}, 25, 50)
	d.play(9*time.Second, 9*time.Second, 0)
	d.Suspend(d.publication(""))
	d.feed("720p", d.make(1, 13*time.Second)...)
	for len(d.sources[0].Until(13*time.Second)) > 0 { // what was never sent
	}
	d.sources[0].Epoch = 1
	d.play(21*time.Second, 21*time.Second, 0)
	own := hlstest.SamplesOf(d.sent[0], d.sources[0].Audio)
	d.Exit(d.publication("720p"))
	d.look()
	d.feed("", d.make(0, 33*time.Second)...)
	d.finish()
	counts := map[byte]int{}
	turns := ""
	for _, s := range d.of("a0").samples(t, 48000) {
		by := s.Data[len(s.Data)-1]
		counts[by]++
		if turns == "" || turns[len(turns)-1] != by {
			turns += string(by)
		}
	}
	if turns != "ABA" || len(own) == 0 {
		t.Errorf("the sound came in turns of %s: %v\n%s%s", turns, counts, d.of("a0"), &d.log)
	}
	if d.show.renditions["720p.a0"] != nil || d.show.renditions["a0"] == nil {
		t.Error("another rendition of sound")
	}
}

// TestSoundOfAnotherCodec: a stand-by with another header begins a segment, with an initialization
// section of its own; one with the same codec is preferred.
func TestSoundOfAnotherCodec(t *testing.T) {
	r := newRig(t, Options{})
	all := hlstest.Encoders(25, 50)
	all[1].Audio, all[1].AudioEvery = hlstest.Opus48(), 0.02
	feeds := func(until time.Duration) (f [][]media.AccessUnit) {
		for i, s := range all {
			f = append(f, signed(s.Until(until), string(rune('A'+i))))
		}
		return f
	}
	r.interleave(feeds(9*time.Second), 0, func(int) int { return 0 })
	rest := feeds(15 * time.Second)
	r.Exit(r.publication(""))
	rest[0] = nil
	r.interleave(rest, 0, func(int) int { return 0 })
	if track := r.show.View.Load().Renditions[2].Track; track.Codec != media.AAC {
		t.Errorf("%s is preferred to AAC", track.Codec)
	}
	r.Exit(r.publication("360p"))
	rest = feeds(27 * time.Second)
	rest[0], rest[2] = nil, nil
	r.interleave(rest, 0, func(int) int { return 0 })
	r.finish()
	rec := r.of("a0")
	if inits := rec.inits(); len(inits) != 1 || len(rec.seams()) > 0 {
		t.Errorf("initialization sections at %v, discontinuities at %v\n%s%s", inits, rec.seams(), rec, &r.log)
	}
	if track := r.show.View.Load().Renditions[1].Track; track.Codec != media.Opus || strings.Contains(rec.String(), "gap") {
		t.Errorf("%s\n%s%s", track.Codec, rec, &r.log)
	}
}

// TestSoundAlone: without another publication's sound, and without silence in its codec, its
// playlist leaves, and comes back at the same URL with the next one's.
func TestSoundAlone(t *testing.T) {
	r := newRig(t, Options{})
	all := hlstest.Encoders(25, 50)
	quiet := all[1].Audio
	all[0].Audio, all[1].Audio = hlstest.SoundTrack(media.AAC, "f94640", 48000, 1024), nil // xHE-AAC
	for i := range 2 {
		r.publication(hlstest.NameOf(i))
	}
	r.interleave([][]media.AccessUnit{all[0].Until(9 * time.Second), all[1].Until(9 * time.Second)}, 0, func(int) int { return 0 })
	last := r.of("a0").order[len(r.of("a0").order)-1]
	r.Exit(r.publication(""))
	if r.show.renditions["a0"] != nil || r.show.departed["a0"] == nil {
		t.Error("the playlist without sound is still there, or its files are not")
	}
	all[1].Audio, all[1].Samples = quiet, int(9/all[1].AudioEvery)
	r.feed("720p", all[1].Until(21*time.Second)...)
	r.finish()
	for _, seq := range r.of("a0").order[len(r.of("a0").order)-2:] {
		if seq <= last {
			t.Errorf("%s%s", r.of("a0"), &r.log)
		}
	}
}

// TestSoundOfAJump: a stand-by whose sound is seconds ahead of its pictures takes nothing away from
// the publication that goes on.
func TestSoundOfAJump(t *testing.T) {
	d := newDuet(t, Options{}, 25, 50)
	d.play(9*time.Second, 9*time.Second, 0)
	ahead := d.make(1, 12*time.Second)
	for i := range ahead {
		if u := &ahead[i]; u.Track.Kind == media.Audio {
			u.DTS += 5 * time.Second
			u.PTS += 5 * time.Second
		}
	}
	for both := d.make(0, 12*time.Second); len(both) > 0; both = both[1:] {
		d.feed("", both[0])
		if len(ahead) > 0 {
			d.feed("720p", ahead[0])
			ahead = ahead[1:]
		}
	}
	d.feed("", d.make(0, 20*time.Second)...)
	d.finish()
	hlstest.SameSamples(t, d.of("a0").samples(t, 48000), hlstest.SamplesOf(d.sent[0], d.sources[0].Audio), 2*time.Millisecond)
}

// TestAdopt: sound that waits for its boundary is held against the initialization section once, and
// one that is the same is taken.
func TestAdopt(t *testing.T) {
	s := hlstest.Source{Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000}
	r := newRig(t, Options{})
	r.feed("", s.Until(4*time.Second)...)
	a0 := r.publication("").tracks[0]
	same := *s.Audio
	other := *hlstest.AAC(44100)
	for name, c := range map[string]struct{ track, want *media.Track }{"the same": {&same, s.Audio}, "another": {&other, &other}} {
		u := &media.AccessUnit{RandomAccess: true, Data: []byte{1}}
		adopt := func() {
			u.Track = c.track
			a0.adopt(u)
		}
		if adopt(); u.Track != c.want {
			t.Errorf("%s: became %p, want %p", name, u.Track, c.want)
		}
		if n := testing.AllocsPerRun(10, adopt); n > 0 {
			t.Errorf("%s: %v allocations for a frame, so it was compared again", name, n)
		}
	}
}
