package hls

import (
	"fmt"
	"io"
	"net/http"
	"path/filepath"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/ledger"
)

// TestFirstNumber: media sequence numbers rise with the clock, at least as fast as segments come.
func TestFirstNumber(t *testing.T) {
	day := time.Date(2026, 1, 2, 0, 0, 0, 0, time.UTC)
	for segment, want := range map[time.Duration]int64{3 * time.Second: day.Unix(), time.Second: day.Unix(), 500 * time.Millisecond: 2 * 86400, 300 * time.Millisecond: 4 * 86400} {
		if got := firstNumber(day, segment); got != want {
			t.Errorf("segments of %v: %d, want %d", segment, got, want)
		}
	}
}

// TestNumbersAfter: numbers go on by one after a life that ended a moment ago, and are at least
// what the clock says after one of which the disk may have lost the end.
func TestNumbersAfter(t *testing.T) {
	s := newServer(Options{Now: func() time.Time { return noon }})
	s.used(noon.Unix() + 50)
	clock := noon.Unix()
	was := ledger.Entry{Segment: 1000, Next: 900, Begun: 20 * time.Second, Before: 16 * time.Second}
	tests := []struct {
		name     string
		ago      time.Duration
		complete bool
		known    bool
		ts, cmaf int64
		lost     int
	}{
		{"nothing is known", 0, false, false, clock + 51, clock + 52, 0},
		{"it broke off", time.Second, false, true, 900, 1002, 3},
		{"it ended", time.Second, true, true, 900, 1002, 0},
		{"half a minute ago", trusted, false, true, 900, 1002, 3},
		{"longer ago", trusted + 1, false, true, clock, clock + 1, 0},
		{"the clock was set back", -time.Second, false, true, clock, clock + 1, 0},
	}
	for _, test := range tests {
		last := ledger.Entry{}
		if test.known {
			last = was
			last.Noted, last.Complete = noon.Add(-test.ago), test.complete
		}
		if n := s.numbersAfter(&last, test.known); n.ts != test.ts || n.cmaf != test.cmaf || len(n.lost) != test.lost {
			t.Errorf("%s: %+v", test.name, n)
		}
	}
	was.Segment, was.Next, was.Noted = clock+2000, clock+1000, noon.Add(-time.Hour)
	if n := s.numbersAfter(&was, true); n.ts != clock+1000 || n.cmaf != clock+2002 {
		t.Errorf("numbers that ran ahead of the clock: %+v", n)
	}
	if n := s.numbersAfter(&ledger.Entry{Noted: noon}, true); n.ts < clock || n.cmaf < clock || n.lost != nil {
		t.Errorf("a life without segments: %+v", n)
	}
}

// TestAfterKill: after a kill the playlist begins with what players had of the last segments, as
// gaps, up to when the stream is back, whether somebody waits for it or not.
func TestAfterKill(t *testing.T) {
	for _, waits := range []bool{false, true} {
		synctest.Test(t, func(t *testing.T) {
			time.Sleep(time.Until(noon))
			path, left := filepath.Join(t.TempDir(), "ledger"), filepath.Join(t.TempDir(), "ledger")
			open := func(path string) *rewinding {
				return &rewinding{t: t, s: newServer(Options{Ledger: openLedger(t, path)})}
			}
			r := open(path)
			r.publish()
			r.play(0, 15*time.Second, newViewer(t), "v0", "a0")
			before := r.s.find("live/movie").cmaf.Rendition("v0").View.Load()
			last, part, _ := before.Last()
			copyFile(t, path, left)
			broke := time.Now()
			r.cancel()
			<-r.done

			time.Sleep(2 * time.Second)
			r = open(left)
			r.publish()
			if waits {
				r.s.wanted("live/movie", inCMAF)
			}
			r.play(0, 4*time.Second, newViewer(t))
			if !waits {
				r.play(4*time.Second, 5*time.Second, newViewer(t), "v0", "a0")
			}
			for _, id := range []string{"v0", "a0"} {
				v := r.s.find("live/movie").cmaf.Rendition(id).View.Load()
				if v.Segments[0].Seq != last-1 || part < 0 {
					t.Errorf("%s begins with %d after %d.%d", id, v.Segments[0].Seq, last, part)
				}
				for i, s := range v.Segments {
					gone := i < 3
					if s.Gap != gone || s.Complete && !s.Gap && len(s.Parts) == 0 {
						t.Errorf("%s: segment %d: gap %v", id, i, s.Gap)
					}
				}
				first := v.Segments[3]
				if away := first.At.Sub(broke); away < 2*time.Second || away > 3*time.Second {
					t.Errorf("%s: it is back after %v", id, away)
				}
				for i := range 2 { // the last one but two, and all the others, are where they were
					if end := v.Segments[i].Start + v.Segments[i].Duration; (end - v.Segments[i+1].Start).Abs() > time.Millisecond {
						t.Errorf("%s: segment %d ends at %v, the next one begins at %v", id, i, end, v.Segments[i+1].Start)
					}
				}
				if v.Target != before.Target { // players look for news as seldom as it says
					t.Errorf("%s: target duration %v after %v", id, v.Target, before.Target)
				}
				for _, name := range []string{fmt.Sprintf("%d.m4s", last+1), fmt.Sprintf("%d.0.m4s", last+1)} { // what players knew of, or ask for in vain
					a := ask(r.s, "GET", "/live/movie/"+id+"/"+name)
					if a.StatusCode != http.StatusOK || a.Header.Get("Cache-Control") != "no-store" || len(body(t, a)) != 0 {
						t.Errorf("%s: %s, which is missing: %d %v", id, name, a.StatusCode, a.Header)
					}
				}
				was := before.Segment(last - 1)
				if id == "v0" && (v.Segments[0].Start-was.Start).Abs() > 40*time.Millisecond {
					t.Errorf("%s: segment %d began at %v, and now at %v", id, last-1, was.Start, v.Segments[0].Start)
				}
			}
			r.cancel()
			<-r.done
		})
	}
}

// TestInherit: a life follows that of another server as it would follow one of its own, unless that
// is far ahead of the clock, or older than what is known here.
func TestInherit(t *testing.T) {
	now := time.Unix(yearZero+1_000_000, 0)
	clock := firstNumber(now, 3*time.Second)
	used := func(change func(*ledger.Entry)) ledger.Entry {
		e := ledger.Entry{
			Segment: clock + 50, Next: clock + 49, Discontinuity: 3, Begun: mediaTime(now) - time.Second, Before: mediaTime(now) - 4*time.Second,
			Reach: mediaTime(now) - time.Second, Noted: now.Add(-time.Second),
		}
		change(&e)
		return e
	}
	fresh := numbers{ts: clock, cmaf: clock + 1}
	for name, c := range map[string]struct {
		last ledger.Entry
		want numbers
	}{
		"nothing":                       {ledger.Entry{}, fresh},
		"broke off":                     {used(func(*ledger.Entry) {}), numbers{ts: clock + 49, cmaf: clock + 52}},
		"over":                          {used(func(e *ledger.Entry) { e.Over, e.Complete = true, true }), numbers{ts: clock + 49, cmaf: clock + 52}},
		"its clock is ahead":            {used(func(e *ledger.Entry) { e.Noted = now.Add(time.Second) }), numbers{ts: clock + 49, cmaf: clock + 52}},
		"long ago":                      {used(func(e *ledger.Entry) { e.Noted = now.Add(-time.Hour) }), numbers{ts: clock + 49, cmaf: clock + 52}},
		"numbers far ahead":             {used(func(e *ledger.Entry) { e.Segment = clock + 2*maxLeadNumbers }), fresh},
		"time far ahead":                {used(func(e *ledger.Entry) { e.Reach = mediaTime(now) + time.Hour }), fresh},
		"discontinuities far ahead":     {used(func(e *ledger.Entry) { e.Discontinuity = 2 * maxLeadNumbers }), fresh},
		"a discontinuity less than 0":   {used(func(e *ledger.Entry) { e.Discontinuity = -1 }), fresh},
		"a time less than 0":            {used(func(e *ledger.Entry) { e.Before = -1 }), fresh},
		"numbers that nobody has noted": {used(func(e *ledger.Entry) { e.Noted = time.Time{} }), fresh},
	} {
		s := newServer(Options{Now: func() time.Time { return now }})
		s.Inherit("live/a", c.last)
		s.mu.Lock()
		l, other := s.newLife("live/a"), s.newLife("live/b")
		s.mu.Unlock()
		if l.packager.First() != c.want.cmaf || other.packager.First() != clock+1 {
			t.Errorf("%s: first %d; another stream %d", name, l.packager.First()-clock, other.packager.First()-clock)
		}
		if c.want.cmaf != fresh.cmaf && (l.firstDiscontinuity != 3 || l.time.floor <= c.last.Reach) {
			t.Errorf("%s: discontinuity %d, time %v", name, l.firstDiscontinuity, l.time.floor-c.last.Reach)
		}
	}
}

// TestTargetOfTheLastLife: where somebody waits for the first segment, how long the segments of the
// last life were says what target duration is needed, unless they had to be cut.
func TestTargetOfTheLastLife(t *testing.T) {
	for gop, want := range map[int]time.Duration{25: 3 * time.Second, 50: 4 * time.Second, 500: 10 * time.Second} {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(Options{})
			for life := range 2 {
				feed, end := onAirAs(t, s, "", hlstest.Encoders(25, gop)[0])
				if life == 1 || gop == 500 {
					s.wanted("live/movie", inCMAF)
				}
				feed(900 * time.Millisecond)
				rendition := s.find("live/movie").cmaf.Rendition("v0")
				if life == 1 && (rendition == nil || rendition.View.Load().Target != want) {
					t.Errorf("a key frame each %d pictures: %+v", gop, rendition)
				}
				feed(25 * time.Second)
				if err := end(io.EOF); err != nil {
					t.Error(err)
				}
				time.Sleep(time.Hour)
			}
		})
	}
}
