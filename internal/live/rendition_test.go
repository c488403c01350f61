package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/media"
)

// rendition is a publication with a scripted encoder and clock: pictures each 40 ms, a key frame
// each second of encoder time, a sound beside each picture. The PTS of a unit tells its encoder
// time.
type rendition struct {
	t   testing.TB
	hub *Hub
	pub *Publisher
	*encoder
	reader *Reader
	got    []media.AccessUnit
	// skew, in ms, is by how much the encoder times of this output are later than those of the
	// script.
	skew int
}

func newRendition(t testing.TB, h *Hub, which string) *rendition {
	t.Helper()
	r := &rendition{t: t, hub: h, encoder: newEncoder()}
	r.connect(which)
	r.reader = r.pub.Publication().NewReader(ReaderOptions{GOPs: -1})
	return r
}

// connect begins a session, with new tracks.
func (r *rendition) connect(which string) {
	r.t.Helper()
	pub, err := r.hub.Publish(Name{"live", "movie", which}, func(error) {})
	if err != nil {
		r.t.Fatal(err)
	}
	r.pub, r.encoder = pub, newEncoder()
	pub.Expect(1, 1)
	if err := pub.Write(r.headers()); err != nil {
		r.t.Fatal(err)
	}
}

// clockStart is the time of the scripts.
var clockStart = time.Unix(1_800_000_000, 0)

func wall(ms int) time.Time { return clockStart.Add(time.Duration(ms) * time.Millisecond) }

// at writes the picture and the sound of one encoder time, which arrive at a time of the script,
// both in ms.
func (r *rendition) at(encoder, arrives int) error {
	picture, sound := r.picture(encoder+r.skew, encoder%1000 == 0), r.sound(encoder+r.skew)
	picture.PTS, sound.PTS = picture.DTS, sound.DTS
	picture.Seq, sound.Seq = uint64(encoder), uint64(encoder)
	picture.Nanos, sound.Nanos = uint32(encoder), uint32(encoder) // live passes it on
	err := r.pub.write([]media.AccessUnit{picture, sound}, wall(arrives))
	r.read()
	return err
}

// run writes from one encoder time to another, arriving from a time on as fast as they play.
func (r *rendition) run(from, to, arrives int) {
	r.t.Helper()
	for e := from; e < to; e += 40 {
		if err := r.at(e, arrives+e-from); err != nil {
			r.t.Fatalf("encoder time %d: %v", e, err)
		}
	}
}

func (r *rendition) read() {
	buf := make([]media.AccessUnit, 16)
	for {
		n, err := r.reader.Poll(buf)
		r.got = append(r.got, buf[:n]...)
		if n == 0 || err != nil {
			return
		}
	}
}

// times maps the encoder times of the pictures that readers got to stream times, in ms.
func (r *rendition) times() map[int]int {
	m := make(map[int]int)
	for _, u := range samples(r.got) {
		if u.Track.Kind == media.Video {
			m[int(u.Nanos)] = int(u.DTS / time.Millisecond)
		}
	}
	return m
}

// sameTimes wants what both got at equal encoder times at equal stream times.
func sameTimes(t testing.TB, what string, a, b map[int]int, atLeast int) {
	t.Helper()
	common := 0
	for e, at := range a {
		if other, ok := b[e]; ok {
			common++
			if at != other {
				t.Fatalf("%s: encoder time %d is stream time %d and %d", what, e, at, other)
			}
		}
	}
	if common < atLeast {
		t.Errorf("%s: only %d common pictures", what, common)
	}
}

func TestRenditionNames(t *testing.T) {
	for name, ok := range map[string]bool{
		"720p": true, "a-b_C9": true, strings.Repeat("x", 32): true,
		"": false, strings.Repeat("x", 33): false, "a b": false, "a/b": false, "a.b": false, "ä": false, "a\x00": false,
	} {
		if err := ValidateRendition(name); (err == nil) != ok || (err != nil && !errors.Is(err, ErrBadRendition)) {
			t.Errorf("%q: %v", name, err)
		}
	}
	if got := (Name{"live", "movie", "720p"}).String(); got != "live/movie?rendition=720p" {
		t.Error(got)
	}
}

func TestLookupOfRenditions(t *testing.T) {
	h := NewHub(Options{Takeover: true})
	defer h.Close()
	find := func(which string) *Publication {
		pub, _ := h.Lookup(Name{"live", "movie", which})
		return pub
	}
	low, high := newRendition(t, h, "low"), newRendition(t, h, "high")
	if find("") != low.pub.Publication() || find("low") != low.pub.Publication() || find("high") != high.pub.Publication() || find("other") != nil {
		t.Error("without a default, the first one counts")
	}
	def := newRendition(t, h, "")
	if find("") != def.pub.Publication() {
		t.Error("the default is not found")
	}
	names := ""
	for _, pub := range h.Publications() {
		names += pub.Name().String() + " "
	}
	if names != "live/movie live/movie?rendition=high live/movie?rendition=low " {
		t.Error(names)
	}
	def.pub.Unpublish()
	low.pub.Unpublish()
	if find("") != high.pub.Publication() {
		t.Error("with the first one gone, the next counts")
	}
	high.pub.Unpublish()
	if find("") != nil || len(h.streams) != 0 || len(h.publications) != 0 {
		t.Error("something is left")
	}
}

func TestSubscribersOfRenditions(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		h := newHub(Options{})
		defer h.Close()
		got := make(chan string, 3)
		for _, which := range []string{"", "high", "other"} {
			go func() {
				pub, err := h.Subscribe(context.Background(), Name{"live", "movie", which}, time.Second)
				if err != nil {
					got <- which + " " + err.Error()
					return
				}
				got <- which + " " + pub.Name().Rendition
			}()
		}
		synctest.Wait()
		newRendition(t, h, "high")
		all := []string{<-got, <-got, <-got}
		slices.Sort(all)
		if want := []string{" high", "high high", "other " + ErrNotFound.Error()}; !slices.Equal(all, want) {
			t.Errorf("%q", all)
		}
	})
}

func TestTooManyRenditions(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	for i := range maxRenditions {
		newRendition(t, h, fmt.Sprint(i))
	}
	if _, err := h.Publish(Name{"live", "movie", "more"}, nil); !errors.Is(err, ErrTooMany) {
		t.Error(err)
	}
	newRendition(t, h, "3") // takes over
	if _, err := h.Publish(Name{"live", "other", ""}, nil); err != nil {
		t.Error(err)
	}
}

// TestRenditionsOfOneEncoder in all orders of arrival, late ones and ones whose data is delayed:
// equal encoder times are equal stream times.
func TestRenditionsOfOneEncoder(t *testing.T) {
	for _, start := range []int{0, 1_000_000} {
		for _, delays := range [][3]int{{0, 0, 0}, {0, 320, 920}, {920, 320, 0}, {320, 920, 0}, {0, 5000, 7000}, {0, 2520, 40}} {
			h := newHub(Options{})
			all := []*rendition{newRendition(t, h, ""), newRendition(t, h, "b"), newRendition(t, h, "c")}
			for now := 0; now < 15_000; now += 40 {
				for i, r := range all {
					if e := now - delays[i]; e >= 0 {
						if err := r.at(start+e, now); err != nil {
							t.Fatalf("delays %v, rendition %d: %v", delays, i, err)
						}
					}
				}
			}
			for _, r := range all[1:] {
				sameTimes(t, fmt.Sprint(start, delays), all[0].times(), r.times(), 190)
			}
			h.Close()
		}
	}
}

// TestSkewedOutputs: FFmpeg's outputs without sound are earlier than those with sound, by less than
// any two pictures need to be apart.
func TestSkewedOutputs(t *testing.T) {
	for _, tc := range []struct {
		name                string
		skew, ahead, behind int // ms: of the second output, and by how much either arrives before the other
	}{
		{"later", 21, 0, 0},
		{"earlier", -21, 0, 0},
		{"the second arrives first", 21, 0, 200},
		{"the first arrives first", 21, 200, 0},
		{"far ahead", -21, 0, 360},
	} {
		h := newHub(Options{})
		main, low := newRendition(t, h, ""), newRendition(t, h, "low")
		low.skew = tc.skew
		both := func(from, to, arrives int) {
			for e := from; e < to; e += 40 {
				if at := e - from; at >= tc.behind {
					main.run(e-tc.behind, e-tc.behind+40, arrives+at)
				}
				if at := e - from; at >= tc.ahead {
					low.run(e-tc.ahead, e-tc.ahead+40, arrives+at)
				}
			}
		}
		main.run(1000, 2000, 0)
		both(2000, 5000, 1000)
		sameTimes(t, tc.name, main.times(), low.times(), 50)
		both(60_000, 63_000, 4000) // the encoder's time jumps
		sameTimes(t, tc.name+", after a jump", main.times(), low.times(), 100)
	}
}

// TestEncoderRestarts: all renditions jump, one after the other and with time on their way; the
// first that does so sets the time.
func TestEncoderRestarts(t *testing.T) {
	for _, delays := range [][3]int{{0, 0, 0}, {0, 320, 920}, {920, 320, 0}, {320, 920, 0}} {
		h := newHub(Options{})
		all := []*rendition{newRendition(t, h, ""), newRendition(t, h, "b"), newRendition(t, h, "c")}
		const before = 60_000
		for now := 0; now < 80_000; now += 40 {
			for i, r := range all {
				e := now - delays[i]
				if e >= before {
					e += 5_000_000
				}
				if e >= 0 {
					if err := r.at(e, now); err != nil {
						t.Fatal(err)
					}
				}
			}
		}
		for _, r := range all {
			checkRising(t, r.got)
			sameTimes(t, fmt.Sprint(delays), all[0].times(), r.times(), 1900)
			jumps := 0
			for _, u := range r.got {
				if u.Discontinuity {
					jumps++
				}
			}
			if jumps != 1 {
				t.Errorf("%v: %d discontinuities", delays, jumps)
			}
		}
		h.Close()
	}
}

// TestEncodersOfTheirOwn: each has its own clock, and key frames that arrive nearly together.
func TestEncodersOfTheirOwn(t *testing.T) {
	for _, c := range []struct {
		what    string
		arrives int // the first key frame of the second encoder; those of the first come at 0, 1000, ...
		want    int // its stream time; -1: refused
	}{
		{"together", 20_000, 20_000},
		{"a little later", 20_180, 20_000},
		{"a little before the next", 20_840, 21_000},
		{"in the middle", 20_500, 20_000},
	} {
		h := newHub(Options{})
		a, b := newRendition(t, h, ""), newRendition(t, h, "b")
		const clock = 7_000_000
		for now := 0; now < 30_000; now += 20 {
			if now%40 == 0 {
				if err := a.at(now, now); err != nil {
					t.Fatal(err)
				}
			}
			if e := now - c.arrives; e >= 0 && e%40 == 0 {
				if err := b.at(clock+e, now); err != nil {
					t.Fatalf("%s: %v", c.what, err)
				}
			}
		}
		times := b.times()
		if got := times[clock]; got != c.want {
			t.Errorf("%s: the first key frame is at %d, want %d", c.what, got, c.want)
		}
		if got, want := len(times), (30_000-c.arrives)/40; got < want-1 {
			t.Errorf("%s: %d of %d pictures", c.what, got, want)
		}
		checkRising(t, b.got)
		h.Close()
	}
}

// TestMisalignedEncoder: with key frames each 5 s a second encoder's may be too far away.
func TestMisalignedEncoder(t *testing.T) {
	for _, c := range []struct {
		arrives int
		refused bool
	}{{20_000, false}, {20_480, false}, {20_600, true}, {22_520, true}, {24_400, true}, {24_520, false}} {
		h := newHub(Options{})
		a, b := newRendition(t, h, ""), newRendition(t, h, "b")
		var refused error
		for now := 0; now < 30_000; now += 40 {
			pic := a.picture(now, now%5000 == 0)
			if err := a.pub.write([]media.AccessUnit{pic}, wall(now)); err != nil {
				t.Fatal(err)
			}
			if e := now - c.arrives; e >= 0 && refused == nil {
				pic := b.picture(9_000_000+e, e%5000 == 0)
				refused = b.pub.write([]media.AccessUnit{pic}, wall(now))
			}
		}
		if c.refused != errors.Is(refused, ErrMisaligned) || (!c.refused && refused != nil) {
			t.Errorf("at %d: %v", c.arrives, refused)
		}
		if c.refused {
			if err := b.pub.Write(nil); !errors.Is(err, ErrMisaligned) {
				t.Errorf("later: %v", err)
			}
			b.pub.Lose(refused)
			if _, ok := h.Lookup(Name{"live", "movie", "b"}); ok {
				t.Error("a refused rendition is still there")
			}
		}
		h.Close()
	}
}

// TestRenditionReturns with the same clock, and with another one, after its connection was lost.
func TestRenditionReturns(t *testing.T) {
	for _, clock := range []int{0, -20_000, 3_000_000} {
		for _, away := range []int{0, 40, 3000} {
			h := newHub(Options{})
			a, b := newRendition(t, h, ""), newRendition(t, h, "b")
			back := 20_000 + away
			for now := 0; now < 30_000; now += 40 {
				if err := a.at(now, now); err != nil {
					t.Fatal(err)
				}
				switch {
				case now < 20_000:
					b.run(now, now+40, now)
				case now >= back:
					if now == back {
						b.connect("b")
					}
					if err := b.at(now+clock, now); err != nil {
						t.Fatalf("clock %d, %d ms away: %v", clock, away, err)
					}
				}
			}
			checkRising(t, b.got)
			times := a.times()
			for _, u := range samples(b.got) {
				if u.Epoch != 2 || u.Track.Kind != media.Video {
					continue
				}
				e := int(u.Nanos) - clock
				if want := times[e]; int(u.DTS/time.Millisecond) != want {
					t.Fatalf("clock %d, %d ms away: the picture of %d is at %v", clock, away, e, u.DTS)
				}
			}
			if last := b.got[len(b.got)-1]; last.Epoch != 2 || last.DTS < ms(29_000) {
				t.Errorf("clock %d, %d ms away: the second session ends at %v", clock, away, last.DTS)
			}
			h.Close()
		}
	}
}

// TestEncoderReconnects: all connections are lost, or seem alive, and the encoder begins again at
// 0.
func TestEncoderReconnects(t *testing.T) {
	for _, lost := range []bool{true, false} {
		h := newHub(Options{})
		all := []*rendition{newRendition(t, h, ""), newRendition(t, h, "b"), newRendition(t, h, "c")}
		for now := 0; now < 60_000; now += 40 {
			for _, r := range all {
				r.run(now, now+40, now)
			}
		}
		for _, r := range all {
			if lost {
				r.pub.Lose(io.EOF)
			}
		}
		for i, r := range all {
			r.got = nil
			r.connect([]string{"", "b", "c"}[i])
		}
		for now := 64_000; now < 70_000; now += 40 {
			for _, r := range all {
				if err := r.at(now-64_000, now); err != nil {
					t.Fatal(err)
				}
			}
		}
		for _, r := range all {
			sameTimes(t, fmt.Sprint("lost ", lost), all[0].times(), r.times(), 140)
			if got := r.times()[0]; got != 60_000 { // the pictures are 40 ms apart
				t.Errorf("lost %v: goes on at %d", lost, got)
			}
		}
		h.Close()
	}
}

// TestAudioRendition needs no key frames: it is where the others are.
func TestAudioRendition(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	newRendition(t, h, "").run(0, 20_000, 0)
	p, err := h.Publish(Name{"live", "movie", "audio"}, func(error) {})
	if err != nil {
		t.Fatal(err)
	}
	p.Expect(0, 1)
	if err := p.write([]media.AccessUnit{newEncoder().sound(5_000_000)}, wall(20_100)); err != nil {
		t.Fatal(err)
	}
	got, _ := drain(t, p.Publication().NewReader(ReaderOptions{GOPs: -1}))
	if len(got) != 1 || got[0].DTS != ms(19_960+140) || !got[0].Join {
		t.Errorf("%v", got)
	}
}

// TestQueueOfAMisalignedEncoderIsBounded also in units, when time stands still.
func TestQueueOfAMisalignedEncoderIsBounded(t *testing.T) {
	h := newHub(Options{Memory: 1 << 20})
	defer h.Close()
	a, b := newRendition(t, h, ""), newRendition(t, h, "b")
	a.run(0, 10_400, 0)
	var err error
	n := 0
	for ; err == nil && n < 10_000; n++ {
		err = b.pub.write([]media.AccessUnit{b.picture(7_000_000+n, n == 0)}, wall(10_700))
		if b.pub.queue > 2<<20 {
			t.Fatalf("%d bytes are kept", b.pub.queue)
		}
	}
	if !errors.Is(err, ErrMisaligned) || n > maxHeld+2 {
		t.Errorf("after %d units: %v", n, err)
	}
}
