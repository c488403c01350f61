package ladder

import (
	"strings"
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// TestPartsOfRates: parts lie on one grid for all usual rates, though times come in milliseconds;
// none is longer than the part target duration and, but for the last of a segment, none shorter
// than 85 % of it (RFC 8216bis 4.4.3.7). What goes in comes out.
func TestPartsOfRates(t *testing.T) {
	sounds := []struct {
		name  string
		track *media.Track
		every float64
	}{
		{"AAC 44.1", hlstest.AAC(44100), 1024.0 / 44100},
		{"AAC 48", hlstest.AAC(48000), 1024.0 / 48000},
		{"Opus", hlstest.Opus48(), 0.020},
	}
	rates := []struct {
		rate     float64
		pictures int
	}{{10, 2}, {15, 3}, {24, 5}, {25, 5}, {24000.0 / 1001, 5}, {30000.0 / 1001, 6}, {30, 6}, {50, 10}, {60000.0 / 1001, 12}, {60, 12}}
	for _, c := range rates {
		for _, a := range sounds {
			t.Run(a.name+time.Duration(c.rate*1e9).String(), func(t *testing.T) {
				s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: a.track, Rate: c.rate, Gop: int(c.rate * 2), AudioEvery: a.every, Reorder: true}
				r := newRig(t, Options{})
				units := s.Until(30 * time.Second)
				r.feed("", units...)
				if r.broken > 0 {
					t.Errorf("%d parts were hinted and never came", r.broken)
				}
				if r.abrupt > 0 {
					t.Errorf("%d segments ended with the playlist that brought their last part", r.abrupt)
				}
				r.finish()
				v, audio := r.of("v0"), r.of("a0")
				hlstest.SameSamples(t, v.samples(t, 90000), hlstest.SamplesOf(units, s.Video), 0)
				hlstest.SameSamples(t, audio.samples(t, int64(a.track.SampleRate)), hlstest.SamplesOf(units, s.Audio), 3*time.Millisecond)
				for name, rec := range map[string]*record{"video": v, "audio": audio} {
					d, target := rec.durations(), rec.view.PartTarget
					if low, high := d[0], d[len(d)-1]; low < target*85/100 || high > target {
						t.Errorf("%s parts from %v to %v, target %v", name, low, high, target)
					}
				}
				if part := time.Duration(float64(c.pictures) / c.rate * 1e9); v.view.PartTarget < part*107/100 || v.view.PartTarget > part*109/100 {
					t.Errorf("part target %v of parts of %v", v.view.PartTarget, part)
				}
				for _, seq := range v.order {
					a, b := v.segments[seq], audio.segments[seq]
					if b == nil || (a.Start-b.Start).Abs() > 20*time.Millisecond || (len(a.Parts) != len(b.Parts) && seq != v.order[len(v.order)-1]) {
						t.Errorf("segments %d differ:\n%s\n%s", seq, v, audio)
					}
				}
				if r.counts.Dropped.Load() != 0 || r.counts.Wide.Load() != 0 || r.log.Len() > 0 {
					t.Errorf("dropped %d, long %d:\n%s", r.counts.Dropped.Load(), r.counts.Wide.Load(), &r.log)
				}
			})
		}
	}
}

// TestSegmentsOfOne: how single streams are cut.
func TestSegmentsOfOne(t *testing.T) {
	cases := []struct {
		name string
		s    hlstest.Source
		opt  Options
		id   string
		want string
	}{
		{"key frame each second", hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 25}, Options{}, "v0",
			"1000 0s+3s parts 15\n1001 3s+3s parts 15\n1002 6s+3s parts 15\n1003 9s+1s parts 5\n"},
		{"audio only", hlstest.Source{Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000}, Options{}, "a0",
			"1000 0s+3.008s parts 16\n1001 3.008s+3.008s parts 16\n1002 6.016s+3.008s parts 16\n1003 9.024s+981ms parts 6\n"},
		{"no second key frame", hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 1000}, Options{SegmentDuration: time.Second, PartDuration: time.Second}, "v0",
			"1000 0s+10s parts 10\n"},
		{"long parts", hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 1, Gop: 1}, Options{}, "v0",
			"1000 0s+3s parts 3\n1001 3s+3s parts 3\n1002 6s+3s parts 3\n1003 9s+1s parts 1\n"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := newRig(t, c.opt)
			r.feed("", c.s.Until(10*time.Second)...)
			r.finish()
			if got := r.of(c.id).String(); got != c.want {
				t.Errorf("got\n%swant\n%s%s", got, c.want, &r.log)
			}
		})
	}
}

// TestForcedCut: a GOP of ten minutes is cut so that the target duration holds, in all renditions.
func TestForcedCut(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 15000}
	r := newRig(t, Options{})
	units := s.Until(90 * time.Second)
	r.feed("", units...)
	r.finish()
	v := r.of("v0")
	hlstest.SameSamples(t, v.samples(t, 90000), hlstest.SamplesOf(units, s.Video), 0)
	hlstest.SameSamples(t, r.of("a0").samples(t, 48000), hlstest.SamplesOf(units, s.Audio), 3*time.Millisecond)
	if r.counts.Forced.Load() != 4 || strings.Count(r.log.String(), "\n") != 1 || r.show.View.Load().Independent {
		t.Errorf("%d cuts:\n%s%s", r.counts.Forced.Load(), v, &r.log)
	}
}

// TestPublishedInTime: a part is there as soon as the first picture after it came.
func TestPublishedInTime(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 50}
	r := newRig(t, Options{})
	r.feed("", s.Until(8*time.Second)...)
	for step := range 40 {
		before := r.of("v0").view.Version
		r.feed("", s.Until(8*time.Second+time.Duration(step)*40*time.Millisecond+time.Millisecond)...)
		if published := r.of("v0").view.Version > before; published != (step%5 == 0) {
			t.Errorf("step %d: %v", step, published)
		}
		last := func(id string) time.Duration {
			segments := r.of(id).view.Segments
			s := segments[len(segments)-1]
			return s.Start + s.Duration
		}
		if behind := last("v0") - last("a0"); behind > 30*time.Millisecond {
			t.Errorf("step %d: audio is %v behind", step, behind)
		}
	}
}

// TestSession: a new publisher session begins with a discontinuity, though tracks are byte-equal,
// and only then.
func TestSession(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 25}
	r := newRig(t, Options{})
	units := s.Until(7500 * time.Millisecond)
	r.feed("", units...)
	r.Suspend(r.publication(""))
	r.look()
	if got, want := r.of("v0").String(), "1000 0s+3s parts 15\n1001 3s+3s parts 15\n1002 6s+1.52s parts 8 open\n"; got != want {
		t.Errorf("suspended: got\n%swant\n%s", got, want)
	}
	next := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: s.AudioEvery, Rate: 25, Gop: 25, Epoch: 1, Begin: 7520 * time.Millisecond}
	more := next.Until(5 * time.Second)
	r.feed("", more...)
	r.finish()
	if got, want := r.of("v0").String(), "1000 0s+3s parts 15\n1001 3s+3s parts 15\n1002 6s+1.52s parts 8\n"+
		"1003 7.52s+3s parts 15 discontinuity\n1004 10.52s+2.013s parts 10\n"; got != want {
		t.Errorf("got\n%swant\n%s%s", got, want, &r.log)
	}
	hlstest.SameSamples(t, r.of("a0").samples(t, 48000), append(hlstest.SamplesOf(units, s.Audio), hlstest.SamplesOf(more, next.Audio)...), 3*time.Millisecond)
	v := r.of("v0").view
	if v.Segments[0].Init != v.Segments[4].Init {
		t.Error("equal headers make two init segments")
	}
	if v.DiscontinuitySeq != 1000 || v.Segments[4].Before != 1001 {
		t.Errorf("discontinuity sequence %d, then %d", v.DiscontinuitySeq, v.Segments[4].Before)
	}
}

// TestHeaderWithoutPictureSize: VP9's sequence header says too little, and the key frame behind it
// the rest. The rendition stays in the ladder when a new session begins with such a header, and
// when the codec changes to VP9.
func TestHeaderWithoutPictureSize(t *testing.T) {
	vp9 := func() (header, full *media.Track) {
		full = &media.Track{Kind: media.Video, Codec: media.VP9, Config: hlstest.Unhex("000b820202020000"), Parsed: true, Width: 192, Height: 108}
		bare := *full
		bare.Parsed, bare.Err, bare.Width, bare.Height = false, "no picture size yet", 0, 0
		return &bare, full
	}
	r := newRig(t, Options{})
	var begin time.Duration
	for epoch, codec := range []media.Codec{media.VP9, media.VP9, media.H264, media.VP9} {
		s := hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 25, Epoch: uint32(epoch), Begin: begin}
		if codec == media.VP9 {
			var header *media.Track
			header, s.Video = vp9()
			r.feed("", media.AccessUnit{Track: header, Header: media.SequenceHeader, DTS: begin, PTS: begin, Epoch: s.Epoch, Data: header.Config})
		}
		r.feed("", s.Until(6*time.Second)...)
		begin += 6 * time.Second
	}
	r.finish()
	if n := len(r.of("v0").order); n != 8 || r.log.Len() > 0 {
		t.Errorf("%d segments\n%s%s", n, r.of("v0"), &r.log)
	}
}

// TestSeam: the part before a discontinuity is not longer than others, though the new session
// begins a little late.
func TestSeam(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 25}
	r := newRig(t, Options{})
	r.feed("", s.Until(7*time.Second)...)
	next := hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 25, Epoch: 1, Begin: 7013 * time.Millisecond}
	r.feed("", next.Until(5*time.Second)...)
	r.finish()
	v := r.of("v0")
	parts := v.segments[1002].Parts
	if last := parts[len(parts)-1].Duration; last != 213*time.Millisecond || r.counts.Wide.Load() > 0 {
		t.Errorf("last part %v of %v\n%s", last, v.view.PartTarget, v)
	}
}

// TestVideoPauses: audio goes on when pictures stop; video has gaps, leaves and comes back.
func TestVideoPauses(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 25}
	r := newRig(t, Options{})
	var fed []media.AccessUnit
	for _, u := range s.Until(40 * time.Second) {
		if u.Track == s.Video && u.DTS > 10*time.Second && u.DTS < 25*time.Second {
			continue
		}
		fed = append(fed, u)
		r.feed("", u)
		if behind := u.DTS - r.line.now; behind > time.Second {
			t.Fatalf("at %v nothing is decided for %v", u.DTS, behind)
		}
	}
	r.finish()
	hlstest.SameSamples(t, r.of("a0").samples(t, 48000), hlstest.SamplesOf(fed, s.Audio), 3*time.Millisecond)
	if v := r.show.View.Load(); len(v.Renditions) != 2 {
		t.Errorf("%d renditions in the end", len(v.Renditions))
	}
	want := "1003 9s+1.216s parts 6\n1004 10.216s+3.011s parts 0 gap\n1005 13.227s+3.008s parts 0 gap\n" + // with a third it leaves
		"1009 25s+3s parts 15\n1010 28s+3s parts 15\n"
	if got := r.of("v0").String(); !strings.Contains(got, want) {
		t.Errorf("video:\n%saudio:\n%slog:\n%s", got, r.of("a0"), &r.log)
	}
}

// TestScreenSharing: pictures come when something changes. Every one is shown until the next.
func TestScreenSharing(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 25}
	r := newRig(t, Options{})
	for _, u := range s.Until(60 * time.Second) {
		if n := u.DTS / (40 * time.Millisecond); u.Track == s.Video && n%25 != 0 && n%(7+n/100) != 0 {
			continue
		}
		r.feed("", u)
	}
	r.finish()
	v := r.of("v0")
	for i, seq := range v.order[1:] {
		a, b := v.segments[v.order[i]], v.segments[seq]
		if (a.Start + a.Duration - b.Start).Abs() > v.view.PartTarget/3 {
			t.Errorf("segment %d ends at %v, next begins at %v", a.Seq, a.Start+a.Duration, b.Start)
		}
	}
	if r.counts.Dropped.Load() > 0 {
		t.Errorf("%d dropped:\n%s%s", r.counts.Dropped.Load(), v, &r.log)
	}
}

// TestLateAudio: audio that turns up late joins at a boundary; audio that is replaced begins a
// segment with an init segment of its own.
func TestLateAudio(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 25, Gop: 25}
	r := newRig(t, Options{})
	other := hlstest.AAC(48000)
	other.Channels = 2
	for _, u := range s.Until(20 * time.Second) {
		switch {
		case u.Track == s.Audio && u.DTS < 4*time.Second:
			continue
		case u.Track == s.Audio && u.DTS > 12200*time.Millisecond:
			u.Track = other
		}
		r.feed("", u)
	}
	r.finish()
	want := "1002 5.995s+3.008s parts 15\n1003 9.003s+3.008s parts 15\n1004 12.011s+192ms parts 1\n" +
		"1005 12.203s+2.795s parts 14\n1006 14.997s+3.008s parts 15\n1007 18.005s+2.005s parts 10\n"
	a := r.of("a0")
	if got := a.String(); got != want {
		t.Errorf("got\n%swant\n%svideo\n%slog\n%s", got, want, r.of("v0"), &r.log)
	}
	if n := len(r.show.View.Load().Renditions); n != 2 || a.segments[1004].Init == a.segments[1005].Init || r.of("v0").segments[1004].Init != r.of("v0").segments[1005].Init {
		t.Errorf("%d renditions, or wrong init segments", n)
	}
}

// TestCMAFRefusal: viewers are told why there is nothing.
func TestCMAFRefusal(t *testing.T) {
	r := newRig(t, Options{})
	bad := &media.Track{Kind: media.Video, Codec: media.VP8, Name: "vp08"}
	for i := range 100 {
		r.feed("", hlstest.Picture(bad, 40*i, true, i))
	}
	if text := r.show.Refusal.Load(); text == nil || !strings.Contains(*text, "VP8") || strings.Count(r.log.String(), "\n") != 1 {
		t.Errorf("%v\n%s", text, &r.log)
	}
	select {
	case <-r.show.Answerable:
	default:
		t.Error("requests still wait")
	}
}

// TestPackagingAllocations: what is allocated is per part, not per unit.
func TestPackagingAllocations(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 50, Gop: 50, Bytes: 5000}
	show := NewPresentation()
	p := New(full(Options{}), startOf(show))
	pub := &Publication{}
	p.Enter(pub)
	warm, units := s.Until(60*time.Second), s.Until(120*time.Second)
	for i := range warm {
		p.Write(pub, &warm[i])
	}
	next := 0
	allocs := testing.AllocsPerRun(50*(50+46), func() {
		p.Write(pub, &units[next])
		next++
	})
	if allocs > 1 { // five parts a second of two renditions, of 97 units
		t.Errorf("%v allocations per unit", allocs)
	}
}

// BenchmarkWrite is what a unit costs: 50 pictures and 47 frames of sound a second.
func BenchmarkWrite(b *testing.B) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Audio: hlstest.AAC(48000), AudioEvery: 1024.0 / 48000, Rate: 50, Gop: 50, Bytes: 5000}
	p, pub := New(full(Options{}), startOf(NewPresentation())), &Publication{}
	p.Enter(pub)
	b.ReportAllocs()
	for until := time.Minute; b.Loop(); until += 10 * time.Millisecond {
		units := s.Until(until)
		for i := range units {
			p.Write(pub, &units[i])
		}
	}
}
