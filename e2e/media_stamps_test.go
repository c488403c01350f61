package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"livego/internal/hls/hlscheck"
)

// stamping is one way in which encoders stamp their units wrong.
type stamping struct {
	name  string
	stamp func(kind byte, n int, time uint32) uint32
	// tolerance is how far from its place a unit may come, in milliseconds.
	tolerance int64
	// jumps: the encoder's clock is set, from the start near the wrap of 32 bits on.
	jumps bool
	// after is how long it takes, in milliseconds, until it is known.
	after int64
}

func stampings() []stamping {
	const hour = 3600_000
	return []stamping{
		{"one picture in fifty ten hours ahead", func(kind byte, n int, at uint32) uint32 {
			if kind == typeVideo && n%50 == 30 {
				return at + 10*hour
			}
			return at
		}, 45, false, 0},
		{"pictures in pairs two seconds ahead, sound behind", func(kind byte, n int, at uint32) uint32 {
			switch {
			case kind == typeVideo && n > 30 && n%30 < 2:
				return at + 2000
			case kind == typeAudio && n > 60 && n%40 == 7:
				return at - 2000
			}
			return at
		}, 45, false, 0},
		{"key frames at 0", func(kind byte, n int, at uint32) uint32 {
			if kind == typeVideo && n > 0 && n%25 == 0 {
				return 0
			}
			return at
		}, 45, false, 0},
		{"the clock of the pictures is 30 s ahead", func(kind byte, _ int, at uint32) uint32 {
			if kind == typeVideo {
				return at + 30_000
			}
			return at
		}, 50, false, 0},
		{"the clock of the pictures is 5 s behind", func(kind byte, _ int, at uint32) uint32 {
			if kind == typeAudio {
				return at + 5000
			}
			return at
		}, 50, false, 0},
		{"four frames have one time stamp", func(kind byte, n int, at uint32) uint32 {
			if kind == typeAudio {
				return at - uint32(n%4)*1024*1000/48000
			}
			return at
		}, 50, false, 0},
		{"the encoder's clock is set, over the wrap", func(_ byte, _ int, at uint32) uint32 {
			if at >= 3500 {
				return at - 2000 // 2^32 - 100,000 + 3,500 is the place where it happens
			}
			return at + 11_000
		}, 150, true, 0},
		{"sound counts samples", func(kind byte, _ int, at uint32) uint32 {
			if kind == typeAudio {
				return at * 48
			}
			return at
		}, 50, false, 0},
		{"pictures count ticks of 90 kHz", func(kind byte, _ int, at uint32) uint32 {
			if kind == typeVideo {
				return at * 90
			}
			return at
		}, 50, false, 0},
		{"all counts ticks of 90 kHz", func(_ byte, _ int, at uint32) uint32 { return at * 90 }, 50, false, 0},
		{"pictures are counted at 20 a second where 25 come", pictures(5, 4), 50, false, 3000},
		{"pictures are counted at 30 a second where 25 come", pictures(5, 6), 50, false, 3000},
		{"the clock of the pictures is a hundredth fast", pictures(101, 100), 100, false, 0}, // 61 ms on a busy machine
		{"pictures are stamped in units of 10 ms", pictures(1, 10), 50, false, 3000},
		{"a clock of whole seconds", func(_ byte, _ int, at uint32) uint32 { return at - at%1000 }, 60, false, 3000},
		{"sound of 48 kHz is stamped as 52.2", func(kind byte, _ int, at uint32) uint32 {
			if kind == typeAudio {
				return at * 441 / 480
			}
			return at
		}, 50, false, 3000},
	}
}

// pictures stamps pictures by a clock that runs so many times too fast.
func pictures(times, of uint32) func(kind byte, n int, at uint32) uint32 {
	return func(kind byte, _ int, at uint32) uint32 {
		if kind == typeVideo {
			return at * times / of
		}
		return at
	}
}

// TestStamps publishes units that are stamped wrong, in real time: players of all protocols get
// them all, where they belong.
func TestStamps(t *testing.T) {
	t.Parallel()
	for _, form := range stampings() {
		t.Run(form.name, func(t *testing.T) {
			t.Parallel()
			tags := loopOf(flvClip(t, "h264-aac", 5), 2)
			s, room := shared(t), roomOf(t)
			from := uint32(100_000)
			if form.jumps {
				from = 1<<32 - 7000
			}
			got := publishEverywhere(t, s, room, tags, pacing{from: from, stamp: func(kind byte, n int, at uint32) uint32 {
				return from + form.stamp(kind, n, at-from)
			}})
			units := unitsOf(tags, h264NAL)
			for name, got := range got {
				want := units
				if form.jumps && (name == "CMAF" || name == "HLS") { // a jump leaves a gap of a frame, in which there is silence
					want, got = only(want, typeVideo), only(got, typeVideo)
				}
				comparison{tolerance: form.tolerance, whole: name != "HTTP-FLV", after: form.after}.check(t, name, want, got)
			}
		})
	}
}

// TestCompositionTimes of hours, or from long before, in single pictures: all players get one that
// may be.
func TestCompositionTimes(t *testing.T) {
	t.Parallel()
	tags := flvClip(t, "h264-aac-b", 5)
	wrong, n := slices.Clone(tags), 0
	for i := range wrong {
		if one := &wrong[i]; one.kind == typeVideo && !one.isHeader() {
			if n++; n > 10 && n%20 < 2 {
				one.body = slices.Clone(one.body)
				copy(one.body[2:5], [][]byte{{0x36, 0xEE, 0x80}, {0xFF, 0, 0}}[n%2]) // an hour, -65 s
			}
		}
	}
	s, room := shared(t), roomOf(t)
	for name, got := range publishEverywhere(t, s, room, wrong, pacing{}) {
		comparison{tolerance: 200, whole: name != "HTTP-FLV"}.check(t, name, unitsOf(tags, h264NAL), got)
	}
}

// TestPicturesShownEarly: all pictures have a composition time below zero. The playlists of
// pictures and of sound agree about dates, pictures are shown when they were stamped to be, and
// whoever begins with one has the sound from there on.
func TestPicturesShownEarly(t *testing.T) {
	t.Parallel()
	for _, composition := range []int64{-10, -200} {
		t.Run(fmt.Sprint(composition), func(t *testing.T) {
			t.Parallel()
			tags := flvClip(t, "h264-aac", 5)
			early := slices.Clone(tags)
			for i := range early {
				if one := &early[i]; one.kind == typeVideo && !one.isHeader() {
					one.body = slices.Concat(one.body[:2], []byte{byte(composition >> 16), byte(composition >> 8), byte(composition)}, one.body[5:])
				}
			}
			want := unitsOf(early, h264NAL)
			for i := range want {
				if want[i].kind == typeVideo {
					want[i].dts = want[i].pts
				}
			}
			s, room := shared(t), roomOf(t)
			for name, got := range publishEverywhere(t, s, room, early, pacing{from: 10_000}) {
				comparison{tolerance: 25, whole: name != "HTTP-FLV", begins: true}.check(t, name, want, sentOnly(want, got))
			}
		})
	}
}

// TestDelivery: pictures or sound come in bursts, or the sound begins late. Low-Latency HLS loses
// nothing, makes up nothing but silence in front of late sound, and its playlists keep to the
// rules.
func TestDelivery(t *testing.T) {
	t.Parallel()
	bursts := func(kind byte, length uint32) func(one tag) uint32 {
		return func(one tag) uint32 {
			if one.kind == kind && !one.isHeader() {
				return one.time - one.time%length
			}
			return one.time
		}
	}
	for _, form := range []struct {
		name  string
		comes func(one tag) uint32
		// late is from when on, in milliseconds, there is sound.
		late uint32
	}{
		{"pictures come two seconds at a time", bursts(typeVideo, 2000), 0},
		{"sound comes two seconds at a time", bursts(typeAudio, 2000), 0},
		{"the sound begins a second late", func(one tag) uint32 { return one.time }, 1000},
	} {
		t.Run(form.name, func(t *testing.T) {
			t.Parallel()
			tags := slices.DeleteFunc(loopOf(flvClip(t, "h264-aac", 5), 3), func(one tag) bool {
				return one.kind == typeAudio && !one.isHeader() && one.time < form.late
			})
			units := unitsOf(tags, h264NAL)
			sent := slices.Clone(tags)
			slices.SortStableFunc(sent, func(a, b tag) int { return int(form.comes(a)) - int(form.comes(b)) })
			stamps := map[byte][]uint32{}
			for i := range sent {
				if one := &sent[i]; !one.isHeader() {
					stamps[one.kind] = append(stamps[one.kind], one.time)
				}
				sent[i].time = form.comes(sent[i])
			}
			s, room := shared(t), roomOf(t)
			encoder := publish(t, s, s.key(t, room), sent, pacing{stamp: func(kind byte, n int, at uint32) uint32 {
				if n < len(stamps[kind]) {
					return stamps[kind][n]
				}
				return at
			}})
			s.waitOnAir(t, room)
			var checker hlscheck.Checker
			cmaf := watchLL(t, s.indexURL(room), func(r hlscheck.Response) { checker.Add(r) })
			encoder.finish(t)
			cmaf.waitEnd(t, 20*time.Second)
			cmaf.verify(t)
			cmaf.observing.Lock()
			defer cmaf.observing.Unlock()
			if err := checker.Err(); err != nil {
				t.Error(err)
			}
			got, _ := cmaf.units(t, "")
			if form.late > 0 {
				got = sentOnly(units, got)
			}
			comparison{tolerance: 45, whole: true, begins: true}.check(t, "CMAF", units, got)
		})
	}
}

// sentOnly leaves out what was never sent: silence in front of late sound, and behind the last of
// it.
func sentOnly(sent, got []unit) []unit {
	known := map[string]bool{}
	for _, u := range sent {
		known[u.hash] = true
	}
	return slices.DeleteFunc(got, func(u unit) bool { return u.kind == typeAudio && !known[u.hash] })
}

// publishEverywhere publishes tags of H.264 and AAC, and returns what players of each protocol got.
func publishEverywhere(t *testing.T, s *server, room string, tags []tag, how pacing) map[string][]unit {
	t.Helper()
	early := watchRTMP(t, s, room)
	encoder := publish(t, s, s.key(t, room), tags, how)
	s.waitOnAir(t, room)
	list, cmaf := watchHLS(t, s, room), watchLL(t, s.indexURL(room), nil)
	early.waitFrames(t, 10)
	flv := watchFLV(t, s, room)
	encoder.finish(t)
	got := map[string][]unit{}
	for _, v := range []*viewer{early, flv} {
		got[v.name] = unitsOf(v.waitEnd(t, 10*time.Second), h264NAL)
		rising(t, v.name, slices.DeleteFunc(v.tags(), tag.isHeader))
	}
	cmaf.waitEnd(t, 20*time.Second)
	cmaf.verify(t)
	got["CMAF"], _ = cmaf.units(t, "")
	got["HLS"], _ = unitsOfTS(t, list.waitEnd(t, 20*time.Second))
	return got
}

// TestStampsPlay plays some of them in hls.js, which stood still for good or gave up. On a machine
// with six times the work that it can do it stood for six seconds of eight by itself.
func TestStampsPlay(t *testing.T) {
	t.Parallel()
	forms := stampings()
	for _, form := range []stamping{forms[1], forms[3], forms[5]} {
		t.Run(form.name, func(t *testing.T) {
			t.Parallel()
			chromium.turn(t)
			s, room := shared(t), roomOf(t)
			tags := loopOf(flvClip(t, "h264-aac", 5), 8)
			publish(t, s, s.key(t, room), tags, pacing{stamp: form.stamp})
			s.waitOnAir(t, room)
			waitIndex(t, s, room)
			p := webPlay(t, hlsJS, s.indexURL(room), lowLatency)
			p.waitPlaying(t)
			p.forget(t)
			r := p.waitProgress(t, 8, 40*time.Second)
			if r.stood() > 10 || len(r.Fatal) > 0 {
				t.Errorf("it stood still for %.1f s: %s", r.stood(), r)
			}
		})
	}
}

// TestLateSound: the metadata names sound, which comes four seconds after the pictures. FLV players
// are told at once, and stay.
func TestLateSound(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := shared(t), roomOf(t)
	tags := loopOf(flvClip(t, "h264-aac", 5), 6)
	var late []tag
	for _, one := range tags {
		switch {
		case one.kind == typeAudio && one.isHeader():
			one.time = 4000
		case one.kind == typeAudio && one.time < 4000:
			continue
		}
		late = append(late, one)
	}
	slices.SortStableFunc(late, func(a, b tag) int { return int(a.time) - int(b.time) })
	encoder := publish(t, s, s.key(t, room), late, pacing{})
	s.waitOnAir(t, room)
	flv, ws := watchFLV(t, s, room), watchWS(t, s, room)
	p := webPlay(t, mpegtsJS, s.flvURL(room), chasing)
	p.waitPlaying(t)
	p.waitProgress(t, 4, 20*time.Second)
	time.Sleep(time.Until(encoder.began.Add(9 * time.Second)))
	for _, v := range []*viewer{flv, ws} {
		got := v.tags()
		if v.flags != 5 || len(got) == 0 || got[len(got)-1].time < 7000 || !slices.ContainsFunc(got, func(one tag) bool { return one.kind == typeAudio && one.time > 4500 }) {
			t.Errorf("%s: flags %d, %d tags", v.name, v.flags, len(got))
		}
		rising(t, v.name, got)
		headersFirst(t, v.name, got, typeVideo, typeAudio)
	}
	if n := s.players(t, room); n != 3 {
		t.Errorf("%d players are left", n)
	}
}
