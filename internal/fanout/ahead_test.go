package fanout

import (
	"bufio"
	"errors"
	"io"
	"testing"
	"time"

	"livego/internal/live"
	"livego/internal/media"
)

// interleaved publishes a second of media: pictures each 40 ms, the first of them a key frame, and
// sound each 20 ms, which is sent so much before the pictures beside which it is to be heard.
func (s *source) interleaved(ahead time.Duration) {
	for i := range 50 {
		at := s.at + time.Duration(i)*20*time.Millisecond
		if i%2 == 0 {
			kind := byte('P')
			if i == 0 {
				kind = 'K'
			}
			v := s.body(kind, s.size)
			s.write(media.AccessUnit{Track: s.video, RandomAccess: i == 0, MessageType: 9, DTS: at, PTS: at, Body: v, Data: v, Arrived: time.Now().UnixNano()})
		}
		a := s.body('A', 100)
		s.write(media.AccessUnit{Track: s.audio, RandomAccess: true, MessageType: 8, DTS: at + ahead, PTS: at + ahead, Body: a, Data: a, Arrived: time.Now().UnixNano()})
	}
	s.at += time.Second
}

// TestSoundAheadOfPictures: players that join have all the sound from the picture on with which
// they begin, though an encoder sent it before that.
func TestSoundAheadOfPictures(t *testing.T) {
	for _, ahead := range []time.Duration{0, 200 * time.Millisecond, 1500 * time.Millisecond} {
		for _, gops := range []int{0, 1, 2} {
			for _, way := range transports {
				f := newFanout(Options{GOPs: gops})
				s := newSource(t, live.Options{GOPs: max(gops, 1)})
				s.pub.Expect(1, 1)
				s.headers()
				for range 4 {
					s.interleaved(ahead)
				}
				var ends []<-chan error
				join := func() {
					server, client := way.pair(t)
					p := play(f, s.stream, PlayerOptions{Conn: server, Format: plainFormat{}})
					end := make(chan error, 1)
					go func() { end <- allSound(client) }()
					go func() { <-p.Done(); server.Close() }()
					ends = append(ends, end)
				}
				for range 3 { // the first one begins with the feed
					join()
					s.interleaved(ahead)
				}
				s.interleaved(ahead)
				s.pub.Unpublish()
				for i, end := range ends {
					if err := <-end; err != nil {
						t.Errorf("%v ahead, %d GOPs, %s, player %d: %v", ahead, gops, way.name, i, err)
					}
				}
			}
		}
	}
}

// allSound reads what a player gets, and asks for sound from its first picture on, each 20 ms.
func allSound(from io.Reader) error {
	r := bufio.NewReader(from)
	var first, due uint32
	var sound []uint32
	headers, pictures := 0, 0
	for {
		m, err := readMessage(r)
		if err != nil {
			break
		}
		switch {
		case m.header():
			headers++
		case m.typ == 9:
			if pictures++; pictures == 1 {
				if first = m.ts; !m.key() {
					return errors.New("it begins with a picture that is no key frame")
				}
			}
		default:
			sound = append(sound, m.ts)
		}
	}
	if headers < 2 || pictures < 25 || len(sound) < 50 {
		return errors.New("it got next to nothing")
	}
	due = first
	for _, at := range sound {
		switch {
		case at < first:
		case at != due:
			return errors.New("sound is missing")
		default:
			due += 20
		}
	}
	return nil
}
