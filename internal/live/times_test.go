package live

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/media"
	"livego/internal/stamps"
)

// camera is a modelled encoder: pictures each 40 ms with a key frame each second, and AAC frames of
// 1,024 samples at 48 kHz. What it captures at a time is stamped and comes as the test says.
type camera struct {
	seconds int
	// stamp returns the time stamp, in ms, of unit number i of a kind, captured at ms.
	stamp func(kind media.Kind, i, ms int) int
	// delay returns, in ms, how much later than captured it comes.
	delay func(kind media.Kind, i, ms int) int
	// without leaves a unit out.
	without func(kind media.Kind, i, ms int) bool
	// cts returns the composition time of a picture.
	interval int // of pictures, 40 when 0
	speed    int // comes so many times as fast as it plays, 1 when 0
	// multitrack: messages have the form for several tracks, with one in each.
	multitrack bool
}

// shot is a unit on its way: when it was captured, in ms, and what became of it.
type shot struct {
	kind     media.Kind
	n        int
	captured float64
	arrives  int
	unit     media.AccessUnit
}

func (c camera) shots() []shot {
	video := &media.Track{Kind: media.Video, Codec: media.H264, Parsed: true}
	audio := &media.Track{Kind: media.Audio, Codec: media.AAC, Parsed: true, SampleRate: 48000, Channels: 2, SamplesPerFrame: 1024}
	var all []shot
	add := func(kind media.Kind, n int, at float64, u media.AccessUnit) {
		ms := int(at)
		if c.without != nil && c.without(kind, n, ms) {
			return
		}
		arrives, stamp := ms/max(c.speed, 1), ms
		if c.delay != nil {
			arrives += c.delay(kind, n, ms)
		}
		if c.stamp != nil {
			stamp = c.stamp(kind, n, ms)
		}
		u.DTS = time.Duration(stamp) * time.Millisecond
		u.PTS, u.Seq, u.Nanos, u.Multitrack = u.DTS, 0, uint32(n), c.multitrack
		u.Arrived = wall(arrives).UnixNano()
		all = append(all, shot{kind, n, at, arrives, u})
	}
	interval := cmp.Or(c.interval, 40)
	for n := range c.seconds * 1000 / interval {
		add(media.Video, n, float64(n*interval), media.AccessUnit{Track: video, RandomAccess: n*interval%1000 == 0, Body: make([]byte, 10), Data: []byte{1}})
	}
	for n := range c.seconds * 48000 / 1024 {
		add(media.Audio, n, float64(n)*1024/48, media.AccessUnit{Track: audio, RandomAccess: true, Body: make([]byte, 10), Data: []byte{1}})
	}
	slices.SortStableFunc(all, func(a, b shot) int {
		return cmp.Or(cmp.Compare(a.arrives, b.arrives), cmp.Compare(a.captured, b.captured))
	})
	// A connection keeps the order of each track.
	last := map[media.Kind]int{}
	for i := range all {
		if all[i].n < last[all[i].kind] {
			panic("out of order")
		}
		last[all[i].kind] = all[i].n
	}
	return all
}

// reporter is a test, or one run of a property.
type reporter interface {
	Helper()
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// shown is where a unit came out, beside when it was captured.
type shown struct {
	kind          media.Kind
	n             int
	captured, out float64 // ms
	discontinuity bool
}

// run publishes what the camera sends and returns what readers get.
func (c camera) run(t reporter) ([]shown, *Publisher) {
	t.Helper()
	h := NewHub(Options{Takeover: true})
	defer h.Close()
	p, err := h.Publish(name, func(error) {})
	if err != nil {
		t.Fatalf("%v", err)
	}
	shots := c.shots()
	expected := map[media.Kind]int{}
	for _, s := range shots {
		if s.captured < 2000 { // what comes later is a surprise
			expected[s.kind] = 1
		}
	}
	p.Expect(expected[media.Video], expected[media.Audio])
	r := p.Publication().NewReader(ReaderOptions{GOPs: -1})
	captured := map[[2]int]float64{}
	var got []shown
	buf := make([]media.AccessUnit, 64)
	read := func() {
		for {
			n, err := r.Poll(buf)
			for _, u := range buf[:n] {
				at, ok := captured[[2]int{int(u.Track.Kind), int(u.Nanos)}]
				if !ok {
					t.Fatalf("a unit that was not sent")
				}
				got = append(got, shown{u.Track.Kind, int(u.Nanos), at, float64(u.DTS) / 1e6, u.Discontinuity})
			}
			if n == 0 || err != nil {
				return
			}
		}
	}
	var clocks stamps.Session
	for _, s := range shots {
		captured[[2]int{int(s.kind), s.n}] = s.captured
		if err := p.write(clocks.Append(nil, []media.AccessUnit{s.unit}), wall(s.arrives)); err != nil {
			t.Fatalf("%v", err)
		}
		read()
	}
	if err := p.write(clocks.Flush(nil), wall(c.seconds*1000)); err != nil {
		t.Fatalf("%v", err)
	}
	p.finish()
	read()
	return got, p
}

func of(kind media.Kind, all []shown) (some []shown) {
	for _, u := range all {
		if u.kind == kind {
			some = append(some, u)
		}
	}
	return some
}

// bounds is what is asked of the units of a kind.
type bounds struct {
	from   float64 // of what was captured from then on, in ms
	off    float64 // by how much a unit may be beside its place, and, if that is more than 50 ms, sound beside pictures
	wrong  int     // how many may be further away than that, by wrongBy
	lost   int
	breaks int // discontinuities
}

// check holds the units against where they should be: beside the same offset for both kinds.
func check(t reporter, what string, c camera, got []shown, b bounds) {
	t.Helper()
	breaks := 0
	var offsets []float64
	for _, kind := range []media.Kind{media.Video, media.Audio} {
		units := of(kind, got)
		want := 0
		for _, s := range c.shots() {
			if s.kind == kind && s.captured >= b.from {
				want++
			}
		}
		some := 0
		var offs []float64
		for i, u := range units {
			if i > 0 && u.out <= units[i-1].out {
				t.Fatalf("%s: %v %d is at %.4f after %.4f", what, kind, u.n, u.out, units[i-1].out)
			}
			if u.discontinuity {
				breaks++
			}
			if u.captured >= b.from {
				some++
				offs = append(offs, u.out-u.captured)
			}
		}
		if want-some > b.lost {
			t.Errorf("%s: %d of %d units of %v are lost", what, want-some, want, kind)
		}
		if len(offs) == 0 {
			continue
		}
		sorted := slices.Sorted(slices.Values(offs))
		middle := sorted[len(sorted)/2]
		offsets = append(offsets, middle)
		wrong := 0
		for i, o := range offs {
			if o-middle > b.off || o-middle < -b.off {
				if wrong++; wrong == b.wrong+1 {
					t.Errorf("%s: %v captured at %.0f is %.0f ms off", what, kind, units[len(units)-len(offs)+i].captured, o-middle)
				}
			}
		}
	}
	if sync := max(b.off, 50); len(offsets) == 2 && (offsets[0]-offsets[1] > sync || offsets[1]-offsets[0] > sync) {
		t.Errorf("%s: sound is %.0f ms beside the pictures", what, offsets[1]-offsets[0])
	}
	if breaks > b.breaks {
		t.Errorf("%s: %d discontinuities", what, breaks)
	}
}

// jittery makes delays of up to most ms that keep the order: as a network has them.
func jittery(seed uint64, most int) func(media.Kind, int, int) int {
	return func(_ media.Kind, _ int, ms int) int {
		rnd := rand.New(rand.NewPCG(seed, uint64(ms/200)))
		start, span := rnd.IntN(most+1), 200
		return start * (span - ms%span) / span // it falls within each 200 ms
	}
}

func TestRightStampsStayAsTheyAre(t *testing.T) {
	for what, c := range map[string]camera{
		"plain":             {},
		"jitter":            {delay: jittery(1, 180)},
		"late sound":        {delay: func(k media.Kind, _, _ int) int { return int(k-media.Video) * 2000 }},
		"late pictures":     {delay: func(k media.Kind, _, _ int) int { return int(media.Audio-k) * 2000 }},
		"fast file":         {speed: 20},
		"slow":              {delay: func(_ media.Kind, _, ms int) int { return ms / 5 }},
		"camera off":        {without: func(k media.Kind, _, ms int) bool { return k == media.Video && ms > 5000 && ms < 14000 }},
		"sound off":         {without: func(k media.Kind, _, ms int) bool { return k == media.Audio && ms > 5000 && ms < 14000 }},
		"camera off, fast":  {speed: 20, without: func(k media.Kind, _, ms int) bool { return k == media.Video && ms > 5000 && ms < 14000 }},
		"both off":          {without: func(_ media.Kind, _, ms int) bool { return ms > 5000 && ms < 9000 }},
		"left out pictures": {without: func(k media.Kind, n, _ int) bool { return k == media.Video && n%25 > 0 && n%7 > 2 }},
		"slides":            {interval: 2000},
		"five pictures":     {interval: 200},
		"fast slides":       {interval: 2000, speed: 20},
		"stall": {delay: func(_ media.Kind, _, ms int) int {
			if ms >= 6000 && ms < 9000 {
				return 9000 - ms
			}
			return 0
		}},
		"stall and pictures left out": {delay: func(_ media.Kind, _, ms int) int {
			if ms >= 6000 && ms < 9000 {
				return 9000 - ms
			}
			return 0
		}, without: func(k media.Kind, _, ms int) bool { return k == media.Video && ms > 7000 && ms < 8700 }},
		"burst at connect":      {delay: func(_ media.Kind, _, ms int) int { return max(0, 4000-ms) }},
		"slow burst at connect": {delay: func(_ media.Kind, _, ms int) int { return max(0, 4000-ms/2) }},
		"burst of pictures": {delay: func(k media.Kind, _, ms int) int {
			if k == media.Audio && ms < 4000 {
				return 4010 - ms
			}
			return max(0, 4000-ms)
		}},
		"pictures are encoded too slowly for a while": {delay: func(k media.Kind, _, ms int) int {
			if k == media.Audio {
				return 0
			}
			return min(ms*8/100, 800, 800-max(0, ms-11_000)*8/100)
		}},
		"network gets faster": {delay: func(_ media.Kind, _, ms int) int {
			return max(0, 800-max(0, ms-8000))
		}, without: func(k media.Kind, _, ms int) bool { return k == media.Video && ms > 8000 && ms < 8700 }},
	} {
		t.Run(what, func(t *testing.T) {
			c.seconds = 20
			got, p := c.run(t)
			for _, u := range got {
				if off := u.out - float64(int(u.captured)); off != 0 {
					t.Fatalf("%v captured at %.0f is at %.0f", u.kind, u.captured, u.out)
				}
			}
			if n := len(c.shots()) - len(got); n > 0 {
				t.Errorf("%d units are lost, %d dropped", n, p.dropped)
			}
		})
	}
}

func sizes() []int {
	return []int{500, -500, 1500, 2000, -2000, 9000, -9000, 11000, -11000, 3600_000, -3600_000, 600_000_000}
}

// TestWrongStamps: single units, pairs, each 30th one, key frames, in sound as well as in pictures.
func TestWrongStamps(t *testing.T) {
	const start = 100_000
	forms := map[string]func(n int) bool{
		"one":           func(n int) bool { return n == 190 },
		"a pair":        func(n int) bool { return n == 190 || n == 191 },
		"each 30th":     func(n int) bool { return n > 60 && n%30 == 7 },
		"pairs each 30": func(n int) bool { return n > 60 && n%30 < 2 },
		"each GOP":      func(n int) bool { return n > 60 && n%25 == 0 },
	}
	for form, is := range forms {
		for _, by := range append(sizes(), 0, 1<<32-1) {
			for _, where := range []media.Kind{media.Video, media.Audio, 0} {
				for name, delay := range map[string]func(media.Kind, int, int) int{"": nil, "jitter": jittery(3, 150)} {
					what := fmt.Sprint(form, " ", by, " ", where, " ", name)
					c := camera{seconds: 14, delay: delay, stamp: func(k media.Kind, n, ms int) int {
						if (k == where || where == 0) && is(n) {
							if by == 0 || by == 1<<32-1 {
								return by
							}
							return start + ms + by
						}
						return start + ms
					}}
					got, p := c.run(t)
					check(t, what, c, got, bounds{off: 50, wrong: 4, breaks: 1})
					_ = p
				}
			}
		}
	}
}

// TestWrongStampsInABacklog: the network stands for some seconds, and then all comes at once. As
// much time as a wrong stamp says has passed then, but it has for the other track as well, which
// shows that it is all late.
func TestWrongStampsInABacklog(t *testing.T) {
	const start = 100_000
	for _, by := range []int{1000, 2000, 3000} {
		for stall := 1000; stall <= 5000; stall += 500 {
			for _, from := range []int{4500, 5000, 5500} {
				what := fmt.Sprintf("%d ms ahead, %d ms without anything, from %d", by, stall, from)
				t.Run(what, func(t *testing.T) {
					c := camera{seconds: 20, delay: func(_ media.Kind, _, ms int) int {
						if ms >= from && ms < from+stall {
							return from + stall - ms
						}
						return 0
					}, stamp: func(k media.Kind, n, ms int) int {
						switch {
						case k == media.Video && n > 30 && n%30 < 2:
							return start + ms + by
						case k == media.Audio && n > 60 && n%40 == 7:
							return start + ms - by
						}
						return start + ms
					}}
					got, p := c.run(t)
					check(t, what, c, got, bounds{off: 50})
					if lost := len(c.shots()) - len(got); lost > 0 {
						t.Errorf("%d units are lost, %d dropped", lost, p.dropped)
					}
				})
			}
		}
	}
}

// TestRealJumps of the encoder's time, of all tracks or of one.
func TestRealJumps(t *testing.T) {
	for _, by := range sizes() {
		for _, where := range []media.Kind{media.Video, media.Audio, 0} {
			for _, when := range []int{6000, 6470} {
				what := fmt.Sprint(by, " ", where, " ", when)
				c := camera{seconds: 30, stamp: func(k media.Kind, n, ms int) int {
					if (k == where || where == 0) && ms >= when {
						return 7200_000 + ms + by
					}
					return 7200_000 + ms
				}}
				got, _ := c.run(t)
				check(t, what, c, got, bounds{from: 0, off: 50, breaks: 1})
			}
		}
	}
}

// TestOwnTimeBases: one kind is stamped by a clock of its own.
func TestOwnTimeBases(t *testing.T) {
	for _, by := range []int{3000, -3000, 5000, -5000, 30_000, -30_000, 3600_000, -3600_000, 36_000_000} {
		for _, where := range []media.Kind{media.Video, media.Audio} {
			for name, delay := range map[string]func(media.Kind, int, int) int{
				"": nil, "jitter": jittery(5, 180), "burst": func(_ media.Kind, _, ms int) int { return max(0, 1500-ms) },
				"late sound": func(k media.Kind, _, ms int) int { return int(k-media.Video) * 400 },
			} {
				what := fmt.Sprint(by, " ", where, " ", name)
				c := camera{seconds: 20, delay: delay, stamp: func(k media.Kind, n, ms int) int {
					if k == where {
						return 7200_000 + ms + by
					}
					return 7200_000 + ms
				}}
				if name == "late sound" {
					continue
				}
				got, _ := c.run(t)
				check(t, what, c, got, bounds{from: 50, off: 20})
				if name == "" {
					c.multitrack = true
					got, _ := c.run(t)
					check(t, what+" multitrack", c, got, bounds{from: 50, off: 20})
				}
			}
		}
	}
}

// TestFramesOfOneStamp: several units have the time stamp of the first.
func TestFramesOfOneStamp(t *testing.T) {
	for _, n := range []int{2, 3, 4, 8, 20, -4, -8} {
		rise := n < 0 // as FFmpeg's muxers do
		n := max(n, -n)
		for _, where := range []media.Kind{media.Video, media.Audio, 0} {
			c := camera{seconds: 20, stamp: func(k media.Kind, i, ms int) int {
				if k == where || where == 0 {
					more := 0
					if rise {
						more = i % n
					}
					i -= i % n
					if k == media.Video {
						return i*40 + more
					}
					return i*1024/48 + more
				}
				return ms
			}}
			what := fmt.Sprint(n, " ", where, " ", rise)
			got, _ := c.run(t)
			check(t, what, c, got, bounds{from: 3000, off: 5})
		}
	}
}

// TestClocksThatDrift: a time base of its own that runs a thousandth too fast, or too slow, is
// followed.
func TestClocksThatDrift(t *testing.T) {
	for _, slow := range []int{1000, -1000} {
		c := camera{seconds: 120, delay: jittery(7, 100), stamp: func(k media.Kind, _, ms int) int {
			if k == media.Audio {
				return 60_000 + ms + ms/slow
			}
			return ms
		}}
		got, _ := c.run(t)
		check(t, fmt.Sprint(slow), c, got, bounds{from: 50, off: 50})
	}
}

// TestLateTracks begin four seconds after the others, with the same clock, with one of their own,
// or with a burst.
func TestLateTracks(t *testing.T) {
	for what, by := range map[string]int{"same clock": 0, "ahead": 3_600_000, "behind": -30_000, "a little": 2000} {
		for _, late := range []media.Kind{media.Audio, media.Video} {
			if what == "a little" && late == media.Video {
				continue
			}
			c := camera{seconds: 20,
				without: func(k media.Kind, _, ms int) bool { return k == late && ms < 4000 },
				stamp: func(k media.Kind, _, ms int) int {
					if k == late {
						return 100_000 + ms + by
					}
					return 100_000 + ms
				}}
			got, p := c.run(t)
			b := bounds{from: 0, off: 20}
			if what == "a little" { // this is what late sound looks like: nobody can tell
				b.off = 2020
			}
			check(t, fmt.Sprint(what, " ", late), c, got, b)
			if late == media.Audio && p.dropped > 0 {
				t.Errorf("%s: %d dropped", what, p.dropped)
			}
		}
	}
}

// TestStampsThatStandStill: all units have one time stamp. Time goes on as they come.
func TestStampsThatStandStill(t *testing.T) {
	for _, where := range []media.Kind{media.Video, media.Audio, 0} {
		for _, from := range []int{0, 6000} {
			c := camera{seconds: 20, stamp: func(k media.Kind, _, ms int) int {
				if where == 0 || where == k {
					return min(ms, from)
				}
				return ms
			}}
			got, _ := c.run(t)
			check(t, fmt.Sprint(where, " from ", from), c, got, bounds{from: float64(from + 4000), off: 120})
		}
	}
}

// TestStampsThatStandStillApart: all frames of sound have one time stamp, which is not that of the
// first picture. They play with the pictures beside which they come.
func TestStampsThatStandStillApart(t *testing.T) {
	for _, at := range []int{0, 90_000, 110_000, 3_600_000} {
		c := camera{seconds: 20, stamp: func(k media.Kind, _, ms int) int {
			if k == media.Audio {
				return at
			}
			return 100_000 + ms
		}}
		got, p := c.run(t)
		check(t, fmt.Sprint(at), c, got, bounds{from: 4000, off: 120})
		if p.dropped > 50 {
			t.Errorf("%d: %d dropped", at, p.dropped)
		}
	}
	// The first picture is 23 ms later, as where FFmpeg leaves room for the priming of AAC.
	c := camera{seconds: 20, stamp: func(k media.Kind, _, ms int) int {
		if k == media.Audio {
			return 0
		}
		return 23 + ms
	}}
	got, p := c.run(t)
	check(t, "a little behind", c, got, bounds{from: 4000, off: 120})
	if p.dropped > 50 {
		t.Errorf("a little behind: %d dropped", p.dropped)
	}
}

// TestStandingSoundIsSmooth: frames of sound of one time stamp follow each other without holes,
// though the network delivers them as it likes, and stay with the pictures.
func TestStandingSoundIsSmooth(t *testing.T) {
	for _, where := range []media.Kind{media.Audio, 0} {
		c := camera{seconds: 40, delay: jittery(11, 100), stamp: func(k media.Kind, _, ms int) int {
			if where == 0 || where == k {
				return 0
			}
			return ms
		}}
		got, _ := c.run(t)
		check(t, fmt.Sprint(where), c, got, bounds{from: 4000, off: 150})
		last := 0.0
		for _, u := range of(media.Audio, got) {
			if step := u.out - last; u.captured > 4000 && step > 35 {
				t.Errorf("%v: frame %d comes %.0f ms after the one before", where, u.n, step)
			}
			last = u.out
		}
	}
}

// TestStampsThatFall: the clock runs backwards, in one track or in both. Time goes on as units
// come.
func TestStampsThatFall(t *testing.T) {
	for _, where := range []media.Kind{media.Video, media.Audio, 0} {
		for _, from := range []int{0, 6000} {
			c := camera{seconds: 20, stamp: func(k media.Kind, _, ms int) int {
				if (where == 0 || where == k) && ms > from {
					ms = 2*from - ms
				}
				return 100_000 + ms
			}}
			got, _ := c.run(t)
			check(t, fmt.Sprint(where, " from ", from), c, got, bounds{from: float64(from + 4000), off: 120})
		}
	}
}

// TestOneKind: without another track to compare with.
func TestOneKind(t *testing.T) {
	for _, only := range []media.Kind{media.Video, media.Audio} {
		for _, by := range sizes() {
			for what, wrong := range map[string]func(n, ms int) bool{
				"single": func(n, _ int) bool { return n > 60 && n%30 == 7 },
				"pairs":  func(n, _ int) bool { return n > 60 && n%30 < 2 },
				"jump":   func(_, ms int) bool { return ms > 7000 },
			} {
				c := camera{seconds: 14, without: func(k media.Kind, _, _ int) bool { return k != only }, stamp: func(_ media.Kind, n, ms int) int {
					if wrong(n, ms) {
						ms += by
					}
					return 1_000_000_000 + ms
				}}
				got, _ := c.run(t)
				check(t, fmt.Sprint(only, " ", what, " ", by), c, got, bounds{off: 50, wrong: 2, breaks: 1})
			}
		}
	}
}

// TestSlowPictures: wrong time stamps where pictures are far apart.
func TestSlowPictures(t *testing.T) {
	for _, interval := range []int{100, 200, 500, 1000} {
		for _, by := range sizes()[2:] {
			c := camera{seconds: 30, interval: interval, stamp: func(k media.Kind, n, ms int) int {
				if k == media.Video && n > 9 && n%7 == 0 {
					ms += by
				}
				return 1_000_000 + ms
			}}
			got, _ := c.run(t)
			check(t, fmt.Sprint(interval, " ", by), c, got, bounds{off: float64(interval), wrong: 2, breaks: 1})
		}
	}
}

// TestWrongStampsOfSeveralTracks: a message with several tracks has one time, and goes out once.
func TestWrongStampsOfSeveralTracks(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p := publish(t, h)
	pub, _ := h.Lookup(name)
	r := pub.NewReader(ReaderOptions{})
	tracks := []*media.Track{{Kind: media.Video}, {Kind: media.Video, ID: 1}, {Kind: media.Audio}}
	for i := range 200 {
		at := i * 40
		if i%20 == 7 {
			at += 3_600_000
		}
		body := []byte{byte(i)}
		var units []media.AccessUnit
		for n, track := range tracks {
			units = append(units, media.AccessUnit{Track: track, DTS: ms(at), PTS: ms(at), RandomAccess: i%25 == 0, Body: body, Data: body, Multitrack: true, Shared: n > 0})
		}
		if err := p.write(units, wall(i*40)); err != nil {
			t.Fatal(err)
		}
	}
	got, _ := drain(t, r)
	if len(got) != 600 {
		t.Fatalf("%d units", len(got))
	}
	for i, u := range got {
		if u.DTS != ms(i/3*40) || u.Shared != (i%3 > 0) || u.Body[0] != byte(i/3) {
			t.Fatalf("unit %d: at %v, shared %v, of message %d", i, u.DTS, u.Shared, u.Body[0])
		}
	}
}

// TestTimeBasesAfterAReturn: the session that follows has other clocks.
func TestTimeBasesAfterAReturn(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	write := func(p *Publisher, now, video, audio int) {
		t.Helper()
		for i := range 100 {
			if err := p.write([]media.AccessUnit{e.picture(video+i*40, i%25 == 0), e.sound(audio + i*40)}, wall(now+i*40)); err != nil {
				t.Fatal(err)
			}
		}
	}
	write(p, 0, 0, 0)
	pub := p.Publication()
	p.Lose(nil)
	r := pub.NewReader(ReaderOptions{GOPs: -1})
	p, e = publish(t, h), newEncoder()
	write(p, 6000, 1_000_000, 20_000)
	got, _ := drain(t, r)
	checkRising(t, got)
	sent := map[media.Kind]time.Duration{}
	for _, u := range samples(got) {
		if u.Epoch == 2 {
			sent[u.Track.Kind] = u.DTS
		}
	}
	if d := sent[media.Video] - sent[media.Audio]; d.Abs() > ms(20) || len(samples(got)) != 400 {
		t.Errorf("%d units, sound %v beside the pictures", len(samples(got)), d)
	}
}

// TestLastUnitThatIsDoubted is handed out at the end.
func TestLastUnitThatIsDoubted(t *testing.T) {
	for _, by := range []int{5000, -500, 3_600_000} {
		h := NewHub(Options{Takeover: true, GOPs: 2})
		p, e := publish(t, h), newEncoder()
		e.gops(t, p, 0, 2)
		r := p.Publication().NewReader(ReaderOptions{GOPs: -1})
		write(t, p, e.picture(2000+by, true), e.sound(2010))
		p.Unpublish()
		if got, _ := drain(t, r); len(samples(got)) != 42 {
			t.Errorf("%d: %d of 42 units", by, len(samples(got)))
		}
		h.Close()
	}
}

// TestDoubtIsBounded: what waits for the next unit of a track does not wait long, nor does it take
// much memory.
func TestDoubtIsBounded(t *testing.T) {
	h := newHub(Options{Memory: 1 << 20})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	at := func(ms int, units ...media.AccessUnit) {
		t.Helper()
		if err := p.write(units, wall(ms)); err != nil {
			t.Fatal(err)
		}
	}
	for i := range 50 {
		at(i*40, e.picture(i*40, i%25 == 0), e.sound(i*40))
	}
	r := p.Publication().NewReader(ReaderOptions{})
	at(2000, e.picture(500_000, true))
	for i := range 100 {
		at(2000+i*20, e.sound(2000+i*20))
		if got, _ := drain(t, r); len(got) > 0 {
			if i > 25 {
				t.Errorf("waits for %d ms", i*20)
			}
			break
		}
	}
	at(4010, e.picture(900_000, true)) // doubted again
	for i := range 400 {
		u := e.sound(4010)
		u.Body = make([]byte, 50_000)
		at(4010, u)
		if n := p.pending.bytes; n > 1<<20+50_000+1000 {
			t.Fatalf("%d bytes after %d units", n, i)
		}
	}
}

// TestDoubtEndsByItself: nothing comes after the unit in question.
func TestDoubtEndsByItself(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(Options{})
		defer h.Close()
		p, e := publish(t, h), newEncoder()
		e.gops(t, p, 0, 2)
		r := p.Publication().NewReader(ReaderOptions{})
		write(t, p, e.picture(3_600_000, true), e.sound(3_600_000))
		if got, _ := drain(t, r); len(got) != 0 {
			t.Fatal("not doubted")
		}
		time.Sleep(holdTime + 10*time.Millisecond)
		synctest.Wait()
		if got, _ := drain(t, r); len(got) != 2 || got[0].DTS > ms(3000) {
			t.Errorf("%d units", len(got))
		}
	})
}
