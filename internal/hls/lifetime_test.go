package hls

import (
	"bytes"
	"encoding/binary"
	"io"
	"net/http"
	"sync/atomic"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"

	"livego/internal/hls/hlstest"
	"livego/internal/ledger"
	"livego/internal/media"
	"livego/internal/spool"
)

// noon is when the units of tests arrive if their stream time is 0.
var noon = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

// sinceYear is the media time of a moment.
func sinceYear(at time.Time) time.Duration {
	return at.Sub(time.Date(2026, 1, 1, 0, 0, 0, 0, time.UTC))
}

// firstTFDT returns the decode time of the first fragment of a segment (ISO/IEC 14496-12 §8.8.12,
// version 1).
func firstTFDT(t *testing.T, data []byte, scale int64) time.Duration {
	t.Helper()
	at := bytes.Index(data, []byte("tfdt\x01"))
	if at < 0 {
		t.Fatal("no tfdt of 64 bits")
	}
	ticks := int64(binary.BigEndian.Uint64(data[at+8:]))
	return time.Duration(ticks/scale)*time.Second + time.Duration(ticks%scale)*time.Second/time.Duration(scale)
}

// firstPCR returns the first clock reference of a transport stream, in ticks of 90 kHz (ISO/IEC
// 13818-1 2.4.3.5).
func firstPCR(t *testing.T, data []byte) int64 {
	t.Helper()
	for ; len(data) >= 188; data = data[188:] {
		if data[3]&0x20 != 0 && data[4] >= 7 && data[5]&0x10 != 0 {
			return int64(binary.BigEndian.Uint32(data[6:]))<<1 | int64(data[10]>>7)
		}
	}
	t.Fatal("no clock reference")
	return 0
}

// TestLifeBeginsAtTheClock: the media time of a life is the clock of the day at which its first
// unit came, in each rendition and in MPEG-TS.
func TestLifeBeginsAtTheClock(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		all := hlstest.Encoders(25, 50)
		for _, st := range all {
			st.Begin = 7 * time.Second // what an encoder's clock began with
		}
		feedA, endA := onAirAs(t, s, "", all[0])
		feedB, endB := onAirAs(t, s, "720p", all[1])
		for at := time.Second; at <= 8*time.Second; at += time.Second {
			feedA(at)
			feedB(at)
		}
		l, want := s.find("live/movie"), sinceYear(noon.Add(7*time.Second))
		for id, scale := range map[string]int64{"v0": 90000, "720p.v0": 90000, "a0": 48000} {
			seg := l.cmaf.Rendition(id).View.Load().Segments[0]
			if got := firstTFDT(t, seg.Parts[0].Data.Bytes(), scale); (got - want).Abs() > 30*time.Millisecond {
				t.Errorf("%s begins at %v, want %v", id, got, want)
			}
			if got := seg.At.Sub(noon.Add(7 * time.Second)); got.Abs() > 30*time.Millisecond {
				t.Errorf("%s: its date is off by %v", id, got)
			}
		}
		// 10 s is where the multiplexer's times begin, and 0.7 s how far its clock is behind.
		ticks := int64((want+10*time.Second-700*time.Millisecond)/time.Millisecond) * 90 % (1 << 33)
		if got := firstPCR(t, l.transport().view.Load().Segments[0].Data.Bytes()); (got-ticks) > 0 || got-ticks < -90*350 {
			t.Errorf("the clock of MPEG-TS begins at %d, want %d", got, ticks)
		}
		endA(io.EOF)
		endB(io.EOF)
	})
}

// TestLivesDoNotOverlap: the next life of a stream begins behind the last one in the same process,
// though the encoder is faster than the clock, or that is set back; its discontinuity sequence
// number is the one at which the last life ended.
func TestLivesDoNotOverlap(t *testing.T) {
	tests := []struct {
		name string
		// rate is stream time by clock time, back by how much the clock is set back, away for how
		// long nobody publishes.
		rate, away, back time.Duration
	}{
		{"in time", 1, time.Second, 0},
		{"twice as fast", 2, time.Second, 0},
		{"twice as fast, forgotten", 2, 20 * time.Second, 0},
		{"the clock is set back", 1, time.Second, 24 * time.Hour},
		{"the clock is set back, forgotten", 1, 2 * time.Minute, 24 * time.Hour},
		{"the clock was never set", 1, time.Second, 10 * 365 * 24 * time.Hour},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				var back atomic.Int64 // time.Duration; the server's timers read it too
				begun := time.Now()
				clock := func() time.Time { return noon.Add(time.Since(begun) - time.Duration(back.Load())) }
				s := newServer(Options{Now: clock})
				var last time.Duration
				discontinuity := int64(0)
				for life := range 3 {
					st := goOnAir(t, s)
					st.enc.Video = hlstest.AVCTrack(0)
					feed := func(units []media.AccessUnit) {
						for i := range units {
							units[i].Arrived = clock().UnixNano()
						}
						st.r.feed <- units
						synctest.Wait()
					}
					feed(st.enc.Headers())
					for range 8 {
						feed(st.enc.Play(1000))
						time.Sleep(time.Second / test.rate)
					}
					st.enc.Jump = true
					feed(st.enc.Play(4000))
					v := s.find("live/movie").cmaf.Rendition("v0").View.Load()
					first := v.Segments[0]
					at := firstTFDT(t, first.Parts[0].Data.Bytes(), 90000)
					if life > 0 && at < last {
						t.Errorf("life %d begins at %v, the one before it ended at %v", life, at, last)
					}
					if first.Before != discontinuity || first.Discontinuity {
						t.Errorf("life %d begins with discontinuity number %d, want %d", life, first.Before, discontinuity)
					}
					st.end(io.EOF)
					v = s.find("live/movie").cmaf.Rendition("v0").View.Load()
					end := v.Segments[len(v.Segments)-1]
					last, discontinuity = end.Start+end.Duration, end.Before
					if end.Discontinuity {
						discontinuity++
					}
					if discontinuity != int64(life+1) {
						t.Fatalf("%d discontinuities after life %d", discontinuity, life)
					}
					time.Sleep(test.away)
					back.Add(int64(test.back))
				}
			})
		})
	}
}

// TestEndOfStoredLife: where a life must begin of whose predecessor the disk tells.
func TestEndOfStoredLife(t *testing.T) {
	now := noon
	at := func(ago time.Duration) int64 { return now.Add(-ago).UnixNano() }
	tests := []struct {
		name  string
		reach spool.Reach
		want  time.Duration
	}{
		{"none", spool.Reach{}, 0},
		{"in time, a minute ago", spool.Reach{Time: sinceYear(now.Add(-time.Minute)), Stored: at(time.Minute), Unknown: time.Minute}, sinceYear(now)},
		{"of before media time went on", spool.Reach{Time: time.Hour, Stored: at(time.Minute), Unknown: time.Minute}, time.Hour + time.Minute},
		{"4 s ahead when the last segment came", spool.Reach{Time: sinceYear(now.Add(-time.Second)), Stored: at(5 * time.Second), Unknown: time.Minute}, sinceYear(now.Add(3750 * time.Millisecond))},
		{"4 s ahead, and a short segment may have come", spool.Reach{Time: sinceYear(now.Add(-time.Second)), Stored: at(5 * time.Second), Unknown: 2 * time.Second}, sinceYear(now.Add(time.Second))},
		{"faster than the clock", spool.Reach{Time: sinceYear(now.Add(9 * time.Second)), Stored: at(time.Second), Unknown: time.Minute}, sinceYear(now.Add(69 * time.Second))},
		{"the clock was set back", spool.Reach{Time: sinceYear(now.Add(time.Hour)), Stored: at(-time.Hour), Unknown: time.Minute}, sinceYear(now.Add(61 * time.Minute))},
	}
	for _, test := range tests {
		if got := endOf(test.reach, now); got != test.want {
			t.Errorf("%s: %v, want %v", test.name, got, test.want)
		}
	}
}

// TestKilledAgainAndAgain: no life begins before the end of the last one, and none ahead of the
// clock but for the reordering of pictures, if encoders are not.
func TestKilledAgainAndAgain(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		segment := time.Duration(rapid.SampledFrom([]int{1, 2, 4, 10, 20}).Draw(t, "segment in s")) * time.Second
		speed := rapid.SampledFrom([]float64{0.98, 1, 1.05, 2}).Draw(t, "speed")
		now, end := noon, time.Duration(0)
		var noted ledger.Entry
		for life := range 100 {
			begin := max(sinceYear(now), endOfNoted(&noted, now))
			// How much faster an encoder is than the clock is not known in its first segment.
			if hurry := time.Duration(max(0, speed-1) * float64(segment)); begin < end-hurry {
				t.Fatalf("life %d begins at %v, the one before it ended at %v", life, begin, end)
			}
			if lead := begin - sinceYear(now); lead > time.Second && speed <= 1 {
				t.Fatalf("life %d begins %v ahead of the clock", life, lead)
			}
			// In milliseconds.
			lasts := time.Duration(rapid.IntRange(1, 60_000).Draw(t, "lasts")) * time.Millisecond
			away := time.Duration(rapid.IntRange(300, 5000).Draw(t, "away")) * time.Millisecond
			media := time.Duration(float64(lasts) * speed)
			whole := media / segment * segment
			noted = ledger.Entry{
				Reach: begin + whole + 40*time.Millisecond, Noted: now.Add(time.Duration(float64(whole) / speed)),
			}
			if whole > 0 {
				noted.Longest = segment
			}
			now, end = now.Add(lasts+away), begin+media
		}
	})
}

// TestAwaitReturn: shortly after the start of a server the playlists of a stream that is not there
// wait for it, for viewers of a former process.
func TestAwaitReturn(t *testing.T) {
	for _, path := range []string{"/live/movie.m3u8", "/live/movie/index.m3u8", "/live/movie/index-v0.m3u8"} {
		t.Run(path, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s := newServer(Options{ReturnWait: 10 * time.Second})
				answers := make(chan *http.Response, 3)
				for range 2 {
					go func() { answers <- ask(s, "GET", path) }()
				}
				other := make(chan *http.Response, 1)
				go func() { other <- ask(s, "GET", "/live/other.m3u8") }()
				if r := ask(s, "GET", "/live/movie/v0/17.m4s"); r.StatusCode != 404 {
					t.Errorf("a segment: %d", r.StatusCode)
				}
				time.Sleep(2 * time.Second)
				st := goOnAir(t, s)
				st.enc.Video = hlstest.AVCTrack(0)
				st.start(5000)
				for range 2 {
					if r := <-answers; r.StatusCode != 200 {
						t.Errorf("%d %s", r.StatusCode, body(t, r))
					}
				}
				if r := <-other; r.StatusCode != 404 {
					t.Errorf("another stream: %d", r.StatusCode)
				}
				if r := ask(s, "GET", "/live/other.m3u8"); r.StatusCode != 404 || s.Waiting() != 0 || len(s.awaited) != 0 {
					t.Errorf("afterwards: %d, %d wait for %d streams", r.StatusCode, s.Waiting(), len(s.awaited))
				}
				st.end(io.EOF)
			})
		})
	}
}

// TestAwaitRendition: shortly after the start of a server the playlist of a rendition that is not
// there waits for its publisher, which comes later than that of another.
func TestAwaitRendition(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{ReturnWait: 10 * time.Second})
		all := hlstest.Encoders(25, 50)
		feedA, endA := onAirAs(t, s, "", all[0])
		feedA(time.Second)
		late, never := make(chan *http.Response, 1), make(chan *http.Response, 1)
		go func() { late <- ask(s, "GET", "/live/movie/index-720p.v0.m3u8") }()
		go func() { never <- ask(s, "GET", "/live/movie/index-1080p.v0.m3u8") }()
		synctest.Wait()
		if s.Waiting() != 2 {
			t.Fatalf("%d wait", s.Waiting())
		}
		feedB, endB := onAirAs(t, s, "720p", all[1])
		for at := 2 * time.Second; at <= 8*time.Second; at += time.Second {
			time.Sleep(time.Second)
			feedA(at)
			feedB(at)
		}
		if r := <-late; r.StatusCode != 200 {
			t.Errorf("%d %s", r.StatusCode, body(t, r))
		}
		if r := <-never; r.StatusCode != 404 {
			t.Errorf("one that does not come: %d", r.StatusCode)
		}
		if r := ask(s, "GET", "/live/movie/index-1080p.v0.m3u8"); r.StatusCode != 404 || s.Waiting() != 0 {
			t.Errorf("afterwards: %d, %d wait", r.StatusCode, s.Waiting())
		}
		_, _ = endA(io.EOF), endB(io.EOF)
	})
}
