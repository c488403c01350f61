package live

import (
	"fmt"
	"testing"

	"livego/internal/media"
)

// interleaved writes a second of media from a time on, in ms: pictures each 40 ms, with a key frame
// each second, and sound each 20 ms, which is sent so many ms before the pictures beside which it
// is to be heard.
func (e *encoder) interleaved(t *testing.T, p *Publisher, at, ahead int) {
	t.Helper()
	for now := at; now < at+1000; now += 20 {
		if now%40 == 0 {
			write(t, p, e.picture(now, now%1000 == 0))
		}
		write(t, p, e.sound(now+ahead))
	}
}

// TestSoundAheadOfPictures: an encoder sends its sound sooner than the pictures beside which it is
// to be heard. Who begins at a picture, or goes on there after it was overtaken, has all the sound
// from there on, and the ring as well when the GOP before is gone.
func TestSoundAheadOfPictures(t *testing.T) {
	for _, ahead := range []int{0, 20, 200, 1500, 2400} {
		for _, gops := range []int{-1, 0, 1, 2} {
			t.Run(fmt.Sprintf("%d ms, %d GOPs", ahead, gops), func(t *testing.T) {
				h := NewHub(Options{Takeover: true, GOPs: 2, Memory: 150_000})
				defer h.Close()
				p, e := publish(t, h), newEncoder()
				p.Expect(1, 1)
				write(t, p, e.headers()...)
				e.interleaved(t, p, 0, ahead)
				overtaken := p.Publication().NewReader(ReaderOptions{GOPs: -1})
				if _, err := drain(t, overtaken); err != nil {
					t.Fatal(err)
				}
				for at := 1000; at < 12_000; at += 1000 {
					e.interleaved(t, p, at, ahead)
				}
				r := p.Publication().NewReader(ReaderOptions{GOPs: gops})
				for at := 12_000; at < 14_000; at += 1000 {
					e.interleaved(t, p, at, ahead)
				}
				for what, r := range map[string]*Reader{"who joins": r, "who was overtaken": overtaken} {
					got, err := drain(t, r)
					if err != nil {
						t.Fatal(err)
					}
					checkRising(t, got)
					checkSoundFrom(t, what, e, samples(got))
				}
				if skipped := overtaken.Skipped(); skipped == 0 || skipped > 13*75 {
					t.Errorf("%d units are skipped", skipped)
				}
			})
		}
	}
}

// checkSoundFrom asks that samples begin with a key frame, and have sound from then on, each 20 ms.
func checkSoundFrom(t *testing.T, what string, e *encoder, got []media.AccessUnit) {
	t.Helper()
	if len(got) == 0 || !got[0].Join || got[0].Track != e.video {
		t.Fatalf("%s begins with %d samples that are none to begin with", what, len(got))
	}
	due := got[0].DTS
	for _, u := range got {
		if u.Track == e.audio && u.DTS >= got[0].DTS {
			if u.DTS != due {
				t.Fatalf("%s begins at %v, and has sound at %v where %v is due", what, got[0].DTS, u.DTS, due)
			}
			due += ms(20)
		}
	}
	if due < got[len(got)-1].DTS {
		t.Errorf("%s has sound until %v", what, due)
	}
}

// TestSoundOfAnotherHeader that was sent before the picture with which readers begin is none that
// they can have: they have the newest headers.
func TestSoundOfAnotherHeader(t *testing.T) {
	h := newHub(Options{})
	defer h.Close()
	p, e := publish(t, h), newEncoder()
	p.Expect(1, 1)
	write(t, p, e.headers()...)
	e.interleaved(t, p, 0, 200)
	write(t, p, e.sound(1200))
	e.audio = &media.Track{Kind: media.Audio, Codec: media.AAC}
	write(t, p, e.headers()[1], e.sound(1220), e.picture(1000, true), e.sound(1240))
	got, err := drain(t, p.Publication().NewReader(ReaderOptions{GOPs: 1}))
	if err != nil {
		t.Fatal(err)
	}
	var sound []media.AccessUnit
	for _, u := range samples(got) {
		if u.Track.Kind == media.Audio {
			sound = append(sound, u)
		}
	}
	if len(sound) != 2 || sound[0].DTS != ms(1220) || sound[1].DTS != ms(1240) {
		t.Errorf("%d frames of sound", len(sound))
	}
}
