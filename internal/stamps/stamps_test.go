package stamps

import (
	"bytes"
	"errors"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"livego/internal/media"
)

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// sender makes the units of a session, and takes what becomes of them.
type sender struct {
	session      Session
	video, audio *media.Track
	faults       []Fault
	sent, got    []media.AccessUnit
}

func newSender() *sender {
	s := &sender{
		video: &media.Track{Kind: media.Video, Codec: media.H264, Parsed: true},
		audio: &media.Track{Kind: media.Audio, Codec: media.AAC, Parsed: true, SampleRate: 48000, SamplesPerFrame: 1024},
	}
	s.session.Report = func(f Fault) { s.faults = append(s.faults, f) }
	return s
}

// send sends a sample that comes at a time, both in ms.
func (s *sender) send(track *media.Track, stamp, composition, comes int) {
	u := media.AccessUnit{Track: track, DTS: ms(stamp), PTS: ms(stamp + composition), Body: []byte{1, 2, 3}, Arrived: int64(ms(comes))}
	u.Data = u.Body[1:]
	s.sent = append(s.sent, u)
	s.got = s.session.Append(s.got, []media.AccessUnit{u})
}

// TestRightStampsPass at once and as they came, whatever the pictures do.
func TestRightStampsPass(t *testing.T) {
	for name, is := range map[string]func(n int) (stamp, composition, comes int){
		"30 a second":        func(n int) (int, int, int) { return n * 100 / 3, 0, n * 100 / 3 },
		"reordered":          func(n int) (int, int, int) { return n * 40, n * 7 % 5 * 40, n * 40 },
		"slides":             func(n int) (int, int, int) { return n * 2000, 0, n * 2000 },
		"of any distance":    func(n int) (int, int, int) { return n*40 + n*n%31, 0, n*40 + n*n%31 },
		"all at once":        func(n int) (int, int, int) { return n * 40, 0, 0 },
		"over 2^32":          func(n int) (int, int, int) { return 1<<32 - 2000 + n*40, 0, n * 40 },
		"begins again":       func(n int) (int, int, int) { return n % 50 * 40, 0, n * 40 },
		"wraps at 2^24":      func(n int) (int, int, int) { return (1<<24 - 2000 + n*40) % (1 << 24), 0, n * 40 },
		"pauses":             func(n int) (int, int, int) { return n*40 + n/50*9000, 0, n*40 + n/50*9000 },
		"late and then fast": func(n int) (int, int, int) { return n * 40, 0, max(n*40, 3000) },
	} {
		for _, kind := range []media.Kind{media.Video, media.Audio} {
			s := newSender()
			track := s.video
			if kind == media.Audio {
				track = &media.Track{Kind: kind, Codec: media.PCMU, SampleRate: 8000} // frames of no length that is known
			}
			for n := range 300 {
				stamp, composition, comes := is(n)
				s.send(track, stamp, composition, comes)
				if n == 0 && s.session.Waits() == maxFirst {
					continue // for the second
				}
				if len(s.got) != len(s.sent) {
					t.Fatalf("%s, %v: unit %d waits", name, kind, n)
				}
				if u := s.got[n]; u.DTS != s.sent[n].DTS || u.PTS != s.sent[n].PTS || &u.Body[0] != &s.sent[n].Body[0] {
					t.Fatalf("%s, %v: unit %d is changed", name, kind, n)
				}
			}
		}
	}
}

// TestPicturesBesideOddSound: pictures are not held against sound whose own time stamps are not
// those of its frames: an encoder may leave half of the time out.
func TestPicturesBesideOddSound(t *testing.T) {
	s := newSender()
	for n := range 4000 {
		s.send(s.video, 10*n, 0, n/100)
		s.send(s.audio, 10*n+1, 0, n/100)
	}
	for n, u := range s.got {
		if u.DTS != s.sent[n].DTS {
			t.Fatalf("unit %d is at %v, not %v: %v", n, u.DTS, s.sent[n].DTS, s.faults)
		}
	}
}

// TestRightSoundPasses at once and as it came.
func TestRightSoundPasses(t *testing.T) {
	const length = 1024.0 / 48
	for name, is := range map[string]func(n int) (stamp, comes int){
		"live":               func(n int) (int, int) { return int(float64(n) * length), int(float64(n) * length) },
		"a file":             func(n int) (int, int) { return int(float64(n) * length), n },
		"four of one stamp":  func(n int) (int, int) { return int(float64(n-n%4) * length), int(float64(n) * length) },
		"holes":              func(n int) (int, int) { return int(float64(n)*length) + n/60*400, int(float64(n)*length) + n/60*400 },
		"silence left out":   func(n int) (int, int) { return n * 400, n * 400 },
		"jitter of 20 ms":    func(n int) (int, int) { return 100 + int(float64(n)*length) + n*7%41 - 20, int(float64(n) * length) },
		"a thousandth fast":  func(n int) (int, int) { return int(float64(n) * length * 1.001), int(float64(n) * length) },
		"late and then fast": func(n int) (int, int) { return int(float64(n) * length), max(int(float64(n)*length), 3000) },
		"begins again":       func(n int) (int, int) { return int(float64(n%100) * length), int(float64(n) * length) },
	} {
		s := newSender()
		for n := range 3000 {
			stamp, comes := is(n)
			s.send(s.audio, stamp, 0, comes)
			if n == 0 && s.session.Waits() == maxFirst {
				continue // for the second
			}
			if len(s.got) != len(s.sent) {
				t.Fatalf("%s: frame %d waits", name, n)
			}
			if s.got[n].DTS != s.sent[n].DTS {
				t.Fatalf("%s: frame %d is at %v, not %v", name, n, s.got[n].DTS, s.sent[n].DTS)
			}
		}
		if len(s.faults) > 0 {
			t.Errorf("%s: %v", name, s.faults)
		}
	}
}

// TestHeaderThatLies about the sampling rate: time stamps are right if the frames come so. That
// takes half a second to see.
func TestHeaderThatLies(t *testing.T) {
	s := newSender()
	s.audio.SampleRate = 24000
	for n := range 500 {
		s.send(s.audio, n*21, 0, n*21)
	}
	if len(s.got) != len(s.sent) || len(s.faults) > 0 {
		t.Fatalf("%d of %d, %v", len(s.got), len(s.sent), s.faults)
	}
	for n := range s.got {
		if s.got[n].DTS != s.sent[n].DTS {
			t.Fatalf("frame %d is at %v", n, s.got[n].DTS)
		}
	}
}

// TestCompositionTimesInTicks are converted, in the message too, those in milliseconds are not.
func TestCompositionTimesInTicks(t *testing.T) {
	for _, unit := range []int{90, 1} {
		s := newSender()
		s.session.Body = func(like, u *media.AccessUnit) ([]byte, error) {
			if (like.PTS - like.DTS) != 90*(u.PTS-u.DTS) {
				return nil, errors.New("another composition time")
			}
			return append([]byte{byte((u.PTS - u.DTS).Milliseconds())}, u.Data...), nil
		}
		for n := range 200 {
			s.send(s.video, n*40*90, n%4*40*unit, n*40)
		}
		s.got = s.session.Flush(s.got)
		for n, u := range s.got {
			if u.DTS != ms(n*40) || u.PTS-u.DTS != ms(n%4*40) || !bytes.Equal(u.Data, []byte{2, 3}) {
				t.Fatalf("unit of %d: picture %d is at %v and shown %v later", unit, n, u.DTS, u.PTS-u.DTS)
			}
			if body := u.Body[0]; unit == 90 && n%4 > 0 && body != byte(n%4*40) {
				t.Fatalf("picture %d says %d", n, body)
			}
		}
	}
}

// TestTimesOfPresentation: pictures are stamped with when they are shown, in the order of decoding.
// They get times of decoding that rise, and are shown when they were stamped.
func TestTimesOfPresentation(t *testing.T) {
	for name, order := range map[string][]int{"pairs": {1, 0}, "two B pictures": {2, 0, 1}, "a pyramid": {3, 1, 0, 2}} {
		s := newSender()
		s.session.Body = func(like, u *media.AccessUnit) ([]byte, error) {
			return append([]byte{byte((u.PTS - u.DTS).Milliseconds())}, u.Data...), nil
		}
		var shown []int
		for n := range 300 {
			at := 1000 + 40*(n/len(order)*len(order)+order[n%len(order)])
			if n == 200 {
				at += 5000 // it may jump
			}
			shown = append(shown, at)
			s.send(s.video, at, 0, n*40)
		}
		s.got = s.session.Flush(s.got)
		for n, u := range s.got {
			if n < 2*seen || n > 190 && n < 200+2*seen {
				continue // until it is known
			}
			if before := s.got[n-1].DTS; u.DTS <= before || u.DTS > before+ms(81) || u.PTS != ms(shown[n]) || u.PTS < u.DTS || u.PTS-u.DTS > ms(200) {
				t.Fatalf("%s: picture %d is decoded at %v after %v, shown at %v, not %d", name, n, u.DTS, before, u.PTS, shown[n])
			}
			if composition := (u.PTS - u.DTS).Milliseconds(); composition > 0 && u.Body[0] != byte(composition) {
				t.Fatalf("%s: the message of picture %d says %d, not %d", name, n, u.Body[0], composition)
			}
		}
		if !slices.ContainsFunc(s.faults, func(f Fault) bool { return f.What == faultPresentation }) {
			t.Errorf("%s: faults %v", name, s.faults)
		}
	}
}

// TestFirstUnits wait for the second ones where it matters what their time stamps count.
func TestFirstUnits(t *testing.T) {
	for _, first := range []int{0, 23, 10_000} {
		s := newSender()
		s.audio.SamplesPerFrame = 1920
		for n := range 100 {
			s.send(s.video, (first+n*40)*90, 0, n*40)
			if waits := len(s.got) < len(s.sent); n == 0 && waits != (first > 0) {
				t.Errorf("from %d: the first picture waits: %v", first, waits)
			}
			s.send(s.audio, first+n*40, 0, n*40)
		}
		if len(s.got) != len(s.sent) {
			t.Fatalf("from %d: %d of %d units", first, len(s.got), len(s.sent))
		}
		for i := range s.got {
			if want := ms(first + i/2*40); s.got[i].Track == s.video && (s.got[i].DTS-want).Abs() > ms(1) {
				t.Fatalf("from %d: unit %d is at %v, want %v", first, i, s.got[i].DTS, want)
			}
		}
	}
	s := newSender()
	s.send(s.video, 10_000, 0, 0)
	s.send(s.audio, 10_000, 0, 0)
	s.send(s.audio, 10_021, 0, 21)
	if s.session.Waits() != maxFirst || len(s.got) > 0 {
		t.Error("the first picture does not wait")
	}
	if s.send(s.audio, 10_042, 0, 300); len(s.got) != len(s.sent) {
		t.Error("the first picture waits on")
	}
}

// TestJitterFromTheBegin: nothing is handed out before it is known where it belongs, though the
// pictures come as fast as the sound.
func TestJitterFromTheBegin(t *testing.T) {
	for seed := range 20 {
		s := newSender()
		s.video.FrameRate, s.audio.SamplesPerFrame = 25, 1920
		rnd := rand.New(rand.NewPCG(uint64(seed), 0))
		for n := range 200 {
			s.send(s.video, 5000+n*40+rnd.IntN(601)-300, 0, n*40)
			s.send(s.audio, 5000+n*40, 0, n*40)
		}
		last, least := time.Duration(0), time.Duration(0)
		for i := 0; i < len(s.got); i += 2 {
			u := s.got[i]
			if step := u.DTS - last; i > 0 && step < least {
				least = step
			}
			last = u.DTS
		}
		if least < -150*time.Millisecond {
			t.Errorf("seed %d: time goes back by %v", seed, least)
		}
	}
}

// TestWaitIsBounded in time, by number and by bytes.
func TestWaitIsBounded(t *testing.T) {
	s := newSender()
	for n := 0; len(s.got) < 2; n++ {
		s.send(s.video, n*n*1000, 0, n*40)
		if wait := s.session.Waits(); n*40 > 1400 || len(s.got) < len(s.sent) && wait == 0 {
			t.Fatalf("%d units wait after %d ms", len(s.session.held), n*40)
		}
	}
	s = newSender()
	s.send(s.video, 0, 0, 0)
	for n := range 5000 {
		s.send(s.video, n*n*1000, 0, 0)
		if len(s.session.held) > maxHeld {
			t.Fatal("too many units wait")
		}
	}
}

// TestNothingIsLost, and the order stays, whatever the stamps say.
func TestNothingIsLost(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		s := newSender()
		n := rapid.IntRange(1, 400).Draw(rt, "n")
		for range n {
			track := s.video
			if rapid.Bool().Draw(rt, "sound") {
				track = s.audio
			}
			stamp := rapid.OneOf(rapid.IntRange(-1<<42, 1<<42), rapid.IntRange(0, 1000)).Draw(rt, "stamp")
			s.send(track, stamp, rapid.IntRange(-1<<23, 1<<23).Draw(rt, "composition"), rapid.IntRange(0, 1<<20).Draw(rt, "comes"))
		}
		s.got = s.session.Flush(s.got)
		if len(s.got) != n {
			rt.Fatalf("%d of %d units", len(s.got), n)
		}
		for i := range s.got {
			if u := s.got[i]; u.Track != s.sent[i].Track || u.DTS%time.Millisecond != 0 || u.DTS.Abs() > ms(1<<42) {
				rt.Fatalf("unit %d is of another track, or at %v", i, u.DTS)
			}
		}
	})
}

// TestRightStampsDoNotAllocate.
func TestRightStampsDoNotAllocate(t *testing.T) {
	s := newSender()
	units := []media.AccessUnit{{Track: s.video, Body: []byte{1, 2}, Data: []byte{2}}, {Track: s.audio, Body: []byte{1, 2}, Data: []byte{2}}}
	var out []media.AccessUnit
	n := 0
	if got := testing.AllocsPerRun(1000, func() {
		n++
		for i := range units {
			units[i].DTS, units[i].Arrived = ms(n*21), int64(ms(n*21))
		}
		out = s.session.Append(out[:0], units)
	}); got > 0 {
		t.Errorf("%v allocations", got)
	}
}

// TestCompositionTimesOfAnotherRate: who counts pictures at another rate does so in composition
// times too, in messages as well. Without sound nothing is known, and nothing is changed.
func TestCompositionTimesOfAnotherRate(t *testing.T) {
	for _, sound := range []bool{true, false} {
		s := newSender()
		s.session.Body = func(like, u *media.AccessUnit) ([]byte, error) {
			return append([]byte{byte((u.PTS - u.DTS).Milliseconds())}, u.Data...), nil
		}
		s.audio.SamplesPerFrame = 1920
		for n := range 200 { // counted at 20 a second, 25 come
			s.send(s.video, n*50, n%3*50, n*40)
			if sound {
				s.send(s.audio, n*40, 0, n*40)
			}
		}
		s.got = s.session.Flush(s.got)
		for n, u := range s.got {
			picture := n
			if sound {
				picture = n / 2
			}
			switch {
			case u.Track == s.audio || sound && picture < 60:
			case !sound && (u.DTS != ms(picture*50) || u.PTS != ms(picture*50+picture%3*50)):
				t.Fatalf("without sound picture %d is at %v, shown at %v", picture, u.DTS, u.PTS)
			case sound && ((u.DTS-ms(picture*40)).Abs() > ms(20) || (u.PTS-u.DTS-ms(picture%3*40)).Abs() > ms(1) || picture%3 > 0 && u.Body[0] != byte((u.PTS-u.DTS).Milliseconds())):
				t.Fatalf("picture %d is at %v, shown at %v, as %v", picture, u.DTS, u.PTS, u.Body)
			}
		}
	}
}

// TestPicturesShownBeforeTheyAreDecoded are decoded earlier, and shown when they were. Where only
// pictures between key frames are, as with negative composition times, nothing is wrong.
func TestPicturesShownBeforeTheyAreDecoded(t *testing.T) {
	for _, early := range []int{200, 0} {
		s := newSender()
		s.session.Body = func(like, u *media.AccessUnit) ([]byte, error) {
			return append([]byte{byte((u.PTS - u.DTS).Milliseconds())}, u.Data...), nil
		}
		composition := func(n int) int { return (n%3-2*(n%3/2)*2)*40 - early } // 0, 40, -80
		for n := range 100 {
			u := media.AccessUnit{Track: s.video, DTS: ms(1000 + n*40), PTS: ms(1000 + n*40 + composition(n)), RandomAccess: n%30 == 0, Body: []byte{1, 2, 3}, Arrived: int64(ms(n * 40))}
			u.Data = u.Body[1:]
			s.got = s.session.Append(s.got, []media.AccessUnit{u})
		}
		s.got = s.session.Flush(s.got)
		for n, u := range s.got {
			if u.DTS != ms(1000+n*40-early) || u.PTS != ms(1000+n*40+composition(n)) || early > 0 && u.Body[0] != byte(composition(n)+early) || !bytes.Equal(u.Data, []byte{2, 3}) {
				t.Fatalf("%d: picture %d is decoded at %v, shown at %v: %v", early, n, u.DTS, u.PTS, u.Body)
			}
		}
	}
}
