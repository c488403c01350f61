package spool

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// TestKilledBehindTheDisk: a process is killed while the disk is behind with its segments, or takes
// none at all. The next life begins beyond all numbers that were used, with gaps for what was lost.
func TestKilledBehindTheDisk(t *testing.T) {
	cases := []struct {
		name string
		// used is how many segments come after ten that are on disk. Of each so many one gets
		// there, 0: none.
		used, slow int64
		full       bool
	}{
		{name: "no lag"},
		{name: "stands still for a segment", used: 1},
		{name: "stands still as long as is allowed for", used: reserveLeft - 1}, // and one under way
		{name: "takes one in four", used: 60, slow: 4},
		{name: "is full", used: 300, full: true},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			d, dir := newTestDisk(), t.TempDir()
			s := open1(t, Options{Dir: dir, disk: d})
			r := s.Begin("a").Rendition("v0")
			fill(t, r, 100, 110)
			settled(t, s)
			d.mu.Lock()
			if c.full {
				d.quota = d.used
			} else {
				d.hold = make(chan struct{})
			}
			d.mu.Unlock()
			for seq := int64(110); seq < 110+c.used; seq++ {
				fill(t, r, seq, seq+1)
				if c.slow > 0 && seq%c.slow == 0 {
					d.hold <- struct{}{}
					eventually(t, "the reservation is written", func() bool {
						s.mu.Lock()
						defer s.mu.Unlock()
						return len(s.reservations) == 0
					})
				}
			}
			if c.full {
				settled(t, s)
			}
			left := wreck(t, dir)
			if d.hold != nil {
				close(d.hold)
			}

			l := open1(t, Options{Dir: left}).Begin("a")
			next, _, ok := l.Continues()
			if last := 110 + c.used; !ok || next <= last || next > last+reserveAhead+1 {
				t.Fatalf("a life begins at %d, %v; %d was under way", next, ok, last)
			}
			after := l.Rendition("v0")
			fill(t, after, next, next+3)
			settled(t, l.store)
			w := after.List(next + 3)
			wantWindow(t, w, 100, next+3)
			there, gaps := check(t, after, w)
			if there < 13 || int64(there+gaps) != next+3-100 {
				t.Errorf("%d segments, %d gaps up to %d", there, gaps, next)
			}
		})
	}
}

// TestTornReservations: a process is killed within the first copy of a reservation and the next one
// too: what the larger copy says counts.
func TestTornReservations(t *testing.T) {
	folder := t.TempDir()
	s := open1(t, Options{Dir: t.TempDir()})
	st := newStream(folder)
	for _, next := range []int64{12, 25} {
		if err := s.saveReservation(st, next); err != nil {
			t.Fatal(err)
		}
	}
	for lives, kill := range []int64{6, 3, 10, 0} {
		d := newTestDisk()
		d.budget = kill
		s.disk = d
		st = newStream(folder)
		st.readReservation()
		if st.reserved < 25 {
			t.Fatalf("life %d reads %d", lives, st.reserved)
		}
		if err := s.saveReservation(st, st.reserved+int64(lives)+1); err == nil {
			t.Fatal("the process was not killed")
		}
	}
	// One copy was written in all its bytes that differ, the other was not: the next one to be torn
	// must be the other.
	path := filepath.Join(folder, reserveFile)
	if err := os.WriteFile(path, appendMark(appendMark([]byte(reserveHead), reserveRecord, 1025), reserveRecord, 1013), 0o600); err != nil {
		t.Fatal(err)
	}
	d := newTestDisk()
	d.budget = 5
	s.disk = d
	st = newStream(folder)
	st.readReservation()
	_ = s.saveReservation(st, 1037)
	st = newStream(folder)
	if st.readReservation(); st.reserved != 1025 {
		t.Errorf("%d is left of 1025", st.reserved)
	}
}

// wreck returns a folder with what kill -9 would leave now.
func wreck(t *testing.T, dir string) string {
	t.Helper()
	left := t.TempDir()
	if err := os.CopyFS(left, os.DirFS(dir)); err != nil {
		t.Fatal(err)
	}
	return left
}

// TestReservationFile: it is read whichever copy is torn, does without when both are, and goes with
// the stream.
func TestReservationFile(t *testing.T) {
	const record = frameSize + markSize
	for name, c := range map[string]struct {
		torn []int
		want int64
	}{
		"whole":         {nil, 10 + 1 + reserveAhead},
		"first torn":    {[]int{0}, 10 + 1 + reserveAhead},
		"second torn":   {[]int{1}, 10 + 1 + reserveAhead},
		"both are torn": {[]int{0, 1}, 11 + killedSpare},
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			s := open1(t, Options{Dir: dir, Window: time.Hour})
			fill(t, s.Begin("a").Rendition("v0"), 10, 11)
			settled(t, s)
			path := filepath.Join(dir, "s-a", reserveFile)
			data, err := os.ReadFile(path)
			if err != nil || len(data) != len(reserveHead)+2*record {
				t.Fatalf("%d bytes, %v", len(data), err)
			}
			for _, i := range c.torn {
				data[len(reserveHead)+i*record+record-1] ^= 1
			}
			if err := os.WriteFile(path, data, 0o600); err != nil {
				t.Fatal(err)
			}
			s = reopen(t, s, Options{Dir: dir})
			next, _, _ := s.Begin("a").Continues()
			wantEqual(t, "first number", next, c.want)
			settled(t, s)
		})
	}
}
