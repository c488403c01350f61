package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"
)

func TestStoreAndReopen(t *testing.T) {
	o := Options{Dir: t.TempDir()}
	s := open1(t, o)
	l := s.Begin("live/movie")
	if _, _, ok := l.Continues(); ok {
		t.Error("a new stream continues")
	}
	v, a := l.Rendition("v0"), l.Rendition("a1")
	fill(t, v, 500, 900)
	fill(t, a, 500, 900)
	settled(t, s)
	w := v.List(890)
	wantWindow(t, w, 500, 890)
	there, gaps := check(t, v, w)
	wantEqual(t, "segments", there, 390)
	wantEqual(t, "gaps", gaps, 0)
	check(t, a, a.List(900))
	l.End(901)
	shut(t, s)

	s = open1(t, o)
	wantEqual(t, "stored after a restart", s.Stats().Segments, 800)
	l = s.Begin("live/movie")
	next, discontinuity, ok := l.Continues()
	if next != 901 || discontinuity != 0 || !ok {
		t.Errorf("continues at %d, %d, %v", next, discontinuity, ok)
	}
	v = l.Rendition("v0")
	first := seg(next)
	first.Discontinuity = true
	if err := v.Append(first, initOf(next), body("v0", next, segmentSize)); err != nil {
		t.Fatal(err)
	}
	settled(t, s)
	w = v.List(next + 1)
	wantWindow(t, w, 500, 902)
	there, gaps = check(t, v, w)
	wantEqual(t, "segments", there, 401)
	wantEqual(t, "gaps", gaps, 1) // number 900, which was used for something that never got whole
	wantEqual(t, "time of the gap", w.At(900).Start, 1800*time.Second)
	if e := w.At(901); !e.Discontinuity || e.Key != 10 || !e.Independent || e.Duration != 2*time.Second {
		t.Errorf("%+v", e)
	}
}

// TestKilled: a process that ends without a word leaves numbers out that it may have used, however
// often it happens.
func TestKilled(t *testing.T) {
	dir := t.TempDir()
	s := open1(t, Options{Dir: dir})
	fill(t, s.Begin("a").Rendition("v0"), 10, 20)
	settled(t, s)
	want := int64(16 + reserveAhead) // segment 15 was the last to reserve further ones
	for range 3 {
		s = reopen(t, s, Options{Dir: dir})
		next, _, ok := s.Begin("a").Continues()
		if next != want || !ok {
			t.Fatalf("continues at %d, %v, want %d", next, ok, want)
		}
		settled(t, s)
		want += reserveAhead
	}
	l := s.Begin("a")
	want += killedSpare - reserveAhead // this process knows what it used
	r := l.Rendition("v0")
	fill(t, r, want, want+5)
	settled(t, s)
	w := r.List(want + 5)
	there, gaps := check(t, r, w)
	wantEqual(t, "segments", there, 15)
	wantEqual(t, "gaps", gaps, int(want-20))
	l.End(want + 5)
	settled(t, s)
	s = reopen(t, s, Options{Dir: dir})
	next, _, _ := s.Begin("a").Continues()
	wantEqual(t, "after a proper end", next, want+5)
}

func TestLives(t *testing.T) {
	s := open1(t, Options{Dir: t.TempDir()})
	old := s.Begin("a")
	r := old.Rendition("v0")
	fill(t, r, 5, 8)
	if err := r.Append(seg(7), initOf(7), nil); !errors.Is(err, ErrOrder) {
		t.Errorf("a number twice: %v", err)
	}
	discontinuity := seg(8)
	discontinuity.Discontinuity, discontinuity.DiscontinuitySeq, discontinuity.Target = true, 41, 7
	if err := r.Append(discontinuity, initOf(8), []byte("x")); err != nil {
		t.Fatal(err)
	}
	l := s.Begin("a")
	next, sequence, ok := l.Continues()
	if next != 9+killedSpare || sequence != 42 || !ok {
		t.Errorf("continues at %d, %d, %v", next, sequence, ok)
	}
	wantEqual(t, "target duration", l.Target(), 7*time.Second)
	wantEqual(t, "end", l.Until(), discontinuity.At+int64(discontinuity.Duration))
	if err := r.Append(seg(9), nil, nil); !errors.Is(err, ErrOver) {
		t.Errorf("a life that was replaced: %v", err)
	}
	old.End(100) // too late
	fill(t, l.Rendition("v0"), next, next+1)
	wantWindow(t, r.List(8), 5, 8)
	l.End(next + 1)
	if err := l.Rendition("v0").Append(seg(50), nil, nil); !errors.Is(err, ErrOver) {
		t.Errorf("a life that ended: %v", err)
	}
	shut(t, s)
	if err := s.Begin("b").Rendition("v0").Append(seg(1), initOf(1), nil); !errors.Is(err, ErrOver) {
		t.Errorf("a closed store: %v", err)
	}
}

// TestHoles: a rendition that was away gets gaps with the times of the others; after a long time it
// begins anew.
func TestHoles(t *testing.T) {
	dir := t.TempDir()
	s := open1(t, Options{Dir: dir})
	l := s.Begin("a")
	v, w := l.Rendition("v0"), l.Rendition("720p.v0")
	fill(t, w, 10, 12)
	for seq := int64(10); seq < 20; seq++ {
		e := seg(seq)
		e.Duration, e.Discontinuity, e.DiscontinuitySeq = time.Duration(seq)*time.Second, seq == 15, 1
		if seq > 15 {
			e.DiscontinuitySeq = 2
		}
		if err := v.Append(e, initOf(seq), body("v0", seq, segmentSize)); err != nil {
			t.Fatal(err)
		}
	}
	fill(t, w, 20, 21)
	settled(t, s)
	list, other := w.List(21), v.List(20)
	there, gaps := check(t, w, list)
	wantEqual(t, "segments", there, 3)
	wantEqual(t, "gaps", gaps, 8)
	for seq := int64(12); seq < 20; seq++ {
		a, b := list.At(seq), other.At(seq)
		if a.Duration != b.Duration || a.Discontinuity != b.Discontinuity || a.DiscontinuitySeq != b.DiscontinuitySeq || a.Start != b.Start {
			t.Errorf("segment %d: %+v, the other's %+v", seq, a, b)
		}
	}

	fill(t, w, 21+maxFill+1, 21+maxFill+3)
	settled(t, s)
	wantWindow(t, w.List(21+maxFill+3), 21+maxFill+1, 21+maxFill+3)
	check(t, w, w.List(21+maxFill+3))
	s = reopen(t, s, Options{Dir: dir})
	w = s.Begin("a").Rendition("720p.v0")
	wantWindow(t, w.List(1<<40), 21+maxFill+1, 21+maxFill+3)
	check(t, w, w.List(1<<40))
}

// TestShortHole: gaps after a restart are not longer than the time that it took.
func TestShortHole(t *testing.T) {
	for name, tc := range map[string]struct {
		later, want time.Duration
	}{
		"at once":           {0, time.Millisecond},
		"the clock is back": {-time.Hour, time.Millisecond},
		"soon":              {600 * time.Millisecond, 200 * time.Millisecond},
		"late":              {time.Hour, 2 * time.Second},
	} {
		s := open1(t, Options{Dir: t.TempDir(), disk: idleDisk{}})
		r := s.Begin("a").Rendition("v0")
		fill(t, r, 1, 3)
		next := seg(6)
		next.At = seg(3).At + int64(tc.later)
		if err := r.Append(next, nil); err != nil {
			t.Fatal(err)
		}
		settled(t, s)
		w := r.List(7)
		for seq := int64(3); seq < 6; seq++ {
			wantEqual(t, name, w.At(seq).Duration, tc.want)
		}
		wantEqual(t, name, w.At(5).At, seg(3).At+2*int64(tc.want))
	}
}

// TestOwnGaps: a segment that the packager had no media for.
func TestOwnGaps(t *testing.T) {
	dir := t.TempDir()
	s := open1(t, Options{Dir: dir})
	r := s.Begin("a").Rendition("v0")
	fill(t, r, 1, 3)
	gap := seg(3)
	gap.Gap, gap.Key = true, 0
	if err := r.Append(gap, nil); err != nil {
		t.Fatal(err)
	}
	fill(t, r, 4, 5)
	settled(t, s)
	for range 2 {
		there, gaps := check(t, r, r.List(5))
		wantEqual(t, "segments", there, 3)
		wantEqual(t, "gaps", gaps, 1)
		if _, err := r.Open(3); !errors.Is(err, ErrNotStored) {
			t.Errorf("a gap was opened: %v", err)
		}
		s = reopen(t, s, Options{Dir: dir})
		r = s.Begin("a").Rendition("v0")
	}
	wantEqual(t, "lost", s.Stats().Lost, 0)
}

// TestSlowDisk: the queue is bounded, what does not fit and what is not written in time are gaps,
// one line says so.
func TestSlowDisk(t *testing.T) {
	var log lines
	d := newTestDisk()
	d.hold = make(chan struct{})
	dir := t.TempDir()
	s := open1(t, Options{Dir: dir, disk: d, MaxQueueBytes: 10 * (segmentSize + 100), Log: log.logger()})
	r := s.Begin("a").Rendition("v0")
	fill(t, r, 0, 30)
	if q := s.Stats().Queued; q > 10*(segmentSize+100) {
		t.Errorf("%d bytes wait", q)
	}
	w := r.List(5)
	wantWindow(t, w, 0, 5)
	wantEqual(t, "gap", w.At(4).Gap, true)
	close(d.hold)
	settled(t, s)
	w = r.List(30)
	there, gaps := check(t, r, w)
	if there < 4 || there > 6 || there+gaps != 30 {
		t.Errorf("%d segments, %d gaps", there, gaps)
	}
	for seq := range int64(5) {
		wantEqual(t, "listed as a gap", w.At(seq).Gap, true)
	}
	r = reopen(t, s, Options{Dir: dir}).Begin("a").Rendition("v0")
	again, _ := check(t, r, r.List(30))
	wantWindow(t, r.List(30), 5, 30) // gaps at the beginning go
	wantEqual(t, "segments after a restart", again, there)
	wantEqual(t, "lines", log.count("get lost"), 1)
	wantEqual(t, "advice", log.count("hls_dvr_max_bytes"), 1)
	wantEqual(t, "cause", log.count(errSlow.Error()), 1)
}

// TestFullDisk: segments become gaps while the disk is full, and are stored again when it is not.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log lines
		d := newTestDisk()
		d.quota = 10 * segmentSize
		dir := t.TempDir()
		s, err := Open(Options{Dir: dir, disk: d, Log: log.logger()})
		if err != nil {
			t.Fatal(err)
		}
		r := s.Begin("a").Rendition("v0")
		fill(t, r, 0, 30)
		synctest.Wait()
		there, gaps := check(t, r, r.List(30))
		if there == 0 || gaps < 20 {
			t.Errorf("%d segments, %d gaps", there, gaps)
		}
		wantEqual(t, "lost", s.Stats().Lost, uint64(gaps))
		wantEqual(t, "lines", log.count("get lost"), 1)
		wantEqual(t, "cause", log.count(errFull.Error()), 1)

		d.mu.Lock()
		d.quota = 1 << 30
		d.mu.Unlock()
		fill(t, r, 30, 40)
		synctest.Wait()
		wantEqual(t, "too early to say", log.count("stored again"), 0)
		time.Sleep(2 * calm)
		fill(t, r, 40, 50)
		synctest.Wait()
		wantEqual(t, "stored again", log.count("stored again"), 1)
		now, _ := check(t, r, r.List(50))
		wantEqual(t, "segments", now, there+20)
		shut(t, s)
		s = open1(t, Options{Dir: dir})
		r = s.Begin("a").Rendition("v0")
		again, _ := check(t, r, r.List(50))
		wantEqual(t, "segments after a restart", again, now)
		shut(t, s)
	})
}

// TestBytesBound: the oldest segments go first, the files never take more than is allowed, and who
// reads one reads it to its end.
func TestBytesBound(t *testing.T) {
	d := newTestDisk()
	const most = 100 * (blockSize + entryBytes)
	s := open1(t, Options{Dir: t.TempDir(), disk: d, MaxBytes: most})
	a, b := s.Begin("a").Rendition("v0"), s.Begin("b").Rendition("v0")
	fill(t, a, 0, 10)
	settled(t, s)
	f, err := a.Open(0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	for seq := int64(10); seq < 300; seq++ {
		fill(t, a, seq, seq+1)
		fill(t, b, seq, seq+1)
	}
	settled(t, s)
	wa, wb := a.List(300), b.List(300)
	// The disk writes behind: which of two equal streams gives way, and by how many segments that
	// wait, is left open.
	if wa.Len() < 40 || wa.Len() > 50 || wb.Len() < wa.Len()-4 || wb.Len() > wa.Len()+4 {
		t.Errorf("%d and %d segments", wa.Len(), wb.Len())
	}
	check(t, a, wa)
	check(t, b, wb)
	if d.peak > most {
		t.Errorf("%d bytes on disk, the most is %d", d.peak, most)
	}
	if _, err := a.Open(0); !errors.Is(err, ErrNotStored) {
		t.Errorf("a removed segment: %v", err)
	}
	got, err := io.ReadAll(f)
	if err != nil || !bytes.Equal(got, body("v0", 0, segmentSize)) {
		t.Errorf("a segment that was removed while it was read: %d bytes, %v", len(got), err)
	}
	if _, err := a.Open(wa.First() - 1); err != nil {
		t.Errorf("a segment that just left the window: %v", err)
	}
}

// TestWindow: segments leave the playlist, then the disk; a stream that is off the air leaves
// nothing.
func TestWindow(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		dir := t.TempDir()
		const window = 10 * time.Minute
		s, err := Open(Options{Dir: dir, Window: window})
		if err != nil {
			t.Fatal(err)
		}
		l := s.Begin("a")
		r := l.Rendition("v0")
		for seq := range int64(600) {
			fill(t, r, seq, seq+1)
			time.Sleep(2 * time.Second)
		}
		synctest.Wait()
		w := r.List(600)
		if first := w.First(); first < 299 || first > 305 {
			t.Errorf("window of %d segments", w.Len())
		}
		check(t, r, w)
		if _, err := r.Open(w.First() - 5); err != nil {
			t.Errorf("a segment that just left the window: %v", err)
		}
		if _, err := r.Open(w.First() - 50); !errors.Is(err, ErrNotStored) {
			t.Errorf("a segment that is too old: %v", err)
		}
		l.End(600)
		time.Sleep(window - time.Minute)
		again := s.Begin("a")
		next, _, ok := again.Continues()
		if next != 600 || !ok {
			t.Errorf("within the window: %d %v", next, ok)
		}
		again.End(600)
		time.Sleep(90 * time.Second)
		if _, _, ok := s.Begin("b").Continues(); ok {
			t.Error("another stream continues")
		}
		again = s.Begin("a")
		if next, _, ok := again.Continues(); ok {
			t.Errorf("after the window: %d", next)
		}
		fill(t, again.Rendition("v0"), 100_000, 100_001)
		wantWindow(t, again.Rendition("v0").List(100_001), 100_000, 100_001)
		again.End(100_001)
		time.Sleep(window + 2*keepUnlisted)
		wantEqual(t, "files", len(files(t, dir)), 0)
		wantEqual(t, "bytes", s.Stats().Bytes, 0)
		wantEqual(t, "listed bytes", s.listedBytes, 0)
		shut(t, s)
	})
}

// TestForeignFiles: what the store did not make stays, what it made and needs no more goes.
func TestForeignFiles(t *testing.T) {
	dir := t.TempDir()
	s := open1(t, Options{Dir: dir})
	r := s.Begin("a").Rendition("v0")
	fill(t, r, 1, 4)
	settled(t, s)
	shut(t, s)
	shelf := r.shelf.folder
	foreign := []string{"notes.txt", "s-x.txt", "other/1.m4s", "s-a/list.txt", "s-a/r-v0/README", "s-a/r-v0/01.m4s", "s-a/x/1.m4s", "s-b/r-v0/mine"}
	for _, name := range foreign {
		put(t, filepath.Join(dir, name))
	}
	if err := os.Mkdir(filepath.Join(shelf, "9.m4s"), 0o700); err != nil {
		t.Fatal(err)
	}
	orphans := []string{"77.m4s", "77.mp4"}
	for _, name := range orphans {
		put(t, filepath.Join(shelf, name))
	}
	s = open1(t, Options{Dir: dir})
	for _, name := range foreign {
		if _, err := os.Stat(filepath.Join(dir, name)); err != nil {
			t.Errorf("a foreign file: %v", err)
		}
	}
	for _, name := range orphans {
		if _, err := os.Stat(filepath.Join(shelf, name)); !errors.Is(err, os.ErrNotExist) {
			t.Errorf("%s is still there: %v", name, err)
		}
	}
	r = s.Begin("a").Rendition("v0")
	there, _ := check(t, r, r.List(10))
	wantEqual(t, "segments", there, 3)
}

func put(t *testing.T, path string) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(path), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(path, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
}

func TestFolderThatCannotBeWritten(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	put(t, file)
	for name, o := range map[string]Options{
		"a file":       {Dir: file},
		"below a file": {Dir: filepath.Join(file, "hls")},
		"broken":       {Dir: t.TempDir(), disk: brokenDisk{}},
	} {
		if s, err := Open(o); err == nil {
			t.Errorf("%s: opened", name)
			shut(t, s)
		}
	}
}

// TestFolderRemovedWhileRunning: the files of others are lost, new ones are not.
func TestFolderRemovedWhileRunning(t *testing.T) {
	dir := t.TempDir()
	s := open1(t, Options{Dir: dir})
	r := s.Begin("a").Rendition("v0")
	fill(t, r, 1, 4)
	settled(t, s)
	if err := os.RemoveAll(r.shelf.folder); err != nil {
		t.Fatal(err)
	}
	fill(t, r, 4, 6)
	settled(t, s)
	if _, err := r.Open(2); !errors.Is(err, ErrNotStored) {
		t.Errorf("a file that is gone: %v", err)
	}
	if _, err := read(r, 5); err != nil {
		t.Errorf("a new segment: %v", err)
	}
}

// TestTogether: many packagers, readers and evictions at once.
func TestTogether(t *testing.T) {
	s := open1(t, Options{Dir: t.TempDir(), MaxBytes: 150 * blockSize})
	var wg sync.WaitGroup
	for i := range 4 {
		l := s.Begin(fmt.Sprint("stream", i%3))
		r := l.Rendition(fmt.Sprint("v", i))
		wg.Go(func() {
			for seq := range int64(200) {
				if err := r.Append(seg(seq), initOf(seq), body(r.id, seq, segmentSize)); err != nil && !errors.Is(err, ErrOver) {
					t.Error(err)
				}
				w := r.List(seq - 3)
				for at := w.First(); at < w.End(); at++ {
					if e := w.At(at); e.Seq != at {
						t.Errorf("segment %d: %+v", at, e)
					}
				}
			}
			l.End(200)
		})
		wg.Go(func() {
			for i := range int64(5000) {
				seq := i % 200
				got, err := read(r, seq)
				if err == nil && !bytes.Equal(got, body(r.id, seq, segmentSize)) {
					t.Errorf("segment %d: %q", seq, got)
				}
			}
		})
	}
	wg.Wait()
	settled(t, s)
}

// TestListDoesNotAllocate: what is done for each part costs nothing, however long the window is.
func TestListDoesNotAllocate(t *testing.T) {
	s := open1(t, Options{Dir: t.TempDir(), disk: idleDisk{}})
	r := s.Begin("a").Rendition("v0")
	fill(t, r, 0, 5000)
	settled(t, s)
	allocs := testing.AllocsPerRun(100, func() {
		if w := r.List(5000); w.Len() != 5000 {
			t.Error(w.Len())
		}
	})
	wantEqual(t, "allocations", allocs, 0)
}

// brokenDisk cannot be written to, and not because it is full.
type brokenDisk struct{ systemDisk }

func (brokenDisk) write(string, ...[]byte) error { return syscall.EIO }

// idleDisk writes nothing.
type idleDisk struct{ systemDisk }

func (idleDisk) write(string, ...[]byte) error       { return nil }
func (idleDisk) writeAt(string, int64, []byte) error { return nil }
func (idleDisk) remove(string) error                 { return nil }

// TestCloseOfAStuckDisk: the end of the server does not wait for ever.
func TestCloseOfAStuckDisk(t *testing.T) {
	d := newTestDisk()
	d.hold = make(chan struct{})
	s, err := Open(Options{Dir: t.TempDir(), disk: d})
	if err != nil {
		t.Fatal(err)
	}
	fill(t, s.Begin("a").Rendition("v0"), 0, 5)
	short, cancel := context.WithTimeout(t.Context(), 10*time.Millisecond)
	defer cancel()
	for range 2 {
		if err := s.Close(short); err == nil {
			t.Error("closed")
		}
	}
	close(d.hold)
	<-s.done
	wantEqual(t, "segments that wait", len(s.queue) >= 4, true)
}
