package ledger

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"log/slog"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"testing/synctest"
	"time"

	"pgregory.net/rapid"
)

var day = time.Date(2026, 5, 1, 0, 0, 0, 0, time.UTC)

func entries() *rapid.Generator[Entry] {
	return rapid.Custom(func(t *rapid.T) Entry {
		number := rapid.Int64Range(0, most)
		return Entry{
			Segment: number.Draw(t, "segment"), Next: number.Draw(t, "next"), Discontinuity: number.Draw(t, "discontinuity"),
			Begun: time.Duration(number.Draw(t, "begun")), Before: time.Duration(number.Draw(t, "before")), Reach: time.Duration(number.Draw(t, "reach")),
			Longest: time.Duration(number.Draw(t, "longest")),
			Over:    rapid.Bool().Draw(t, "over"), Complete: rapid.Bool().Draw(t, "complete"),
			Noted: time.Unix(0, rapid.Int64Min(0).Draw(t, "noted")),
		}
	})
}

// TestSlots: what was written is read, and nothing of a torn or changed slot.
func TestSlots(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		e, k := entries().Draw(t, "entry"), keyOf(rapid.String().Draw(t, "name"))
		b := appendSlot(nil, k, &e)
		if len(b) != slotSize {
			t.Fatalf("%d bytes", len(b))
		}
		if key, got, err := parseSlot(b); err != nil || key != k || got != e {
			t.Fatalf("%+v became %+v, %v", e, got, err)
		}
		b[rapid.IntRange(0, slotSize-1).Draw(t, "place")] ^= 1 << rapid.IntRange(0, 7).Draw(t, "bit")
		if _, got, err := parseSlot(b); err == nil {
			t.Fatalf("a changed slot was read: %+v", got)
		}
	})
}

// FuzzLoad: whatever is in the file, the ledger works, and what is noted is known again.
func FuzzLoad(f *testing.F) {
	e := Entry{Segment: 7, Next: 3, Noted: day}
	slot := appendSlot(nil, keyOf("live/a"), &e)
	f.Add([]byte{})
	f.Add(slot)
	f.Add(append(slot, slot...))
	f.Add(append(make([]byte, slotSize), slot[:slotSize-1]...))
	f.Fuzz(func(t *testing.T, data []byte) {
		path := filepath.Join(t.TempDir(), "ledger")
		if err := os.WriteFile(path, data, 0o600); err != nil {
			t.Fatal(err)
		}
		l := openAt(path, day)
		for _, name := range []string{"live/a", "live/b"} {
			life, last, ok := l.Begin(name)
			if ok && (last.Segment < 0 || last.Next < 0 || last.Reach < 0 || last.Discontinuity < 0) {
				t.Fatalf("%+v", last)
			}
			life.Note(Entry{Segment: 9})
		}
		shut(t, l)
		l = openAt(path, day)
		for _, name := range []string{"live/a", "live/b"} {
			if _, last, ok := l.Begin(name); !ok || last.Segment != 9 {
				t.Fatalf("%+v, %v", last, ok)
			}
		}
		shut(t, l)
	})
}

func openAt(path string, now time.Time) *Ledger {
	return Open(Options{Path: path, Now: func() time.Time { return now }})
}

func shut(t *testing.T, l *Ledger) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	if err := l.Close(ctx); err != nil {
		t.Fatal(err)
	}
}

// TestLives: the next life of a stream is told what the last one noted, in this process and the
// next; one that is replaced is not heard.
func TestLives(t *testing.T) {
	path := filepath.Join(t.TempDir(), "data", "ledger")
	l := openAt(path, day)
	first, _, ok := l.Begin("live/a")
	if ok {
		t.Error("something is known of a new stream")
	}
	first.Note(Entry{Segment: 5})
	first.Note(Entry{Segment: 6, Next: 2, Discontinuity: 1, Begun: 3, Before: 2, Reach: 4})
	second, last, ok := l.Begin("live/a")
	want := Entry{Segment: 6, Next: 2, Discontinuity: 1, Begun: 3, Before: 2, Reach: 4, Noted: day}
	if !ok || last != want {
		t.Errorf("%+v", last)
	}
	first.Note(Entry{Segment: 99})
	other, _, _ := l.Begin("live/b")
	other.Note(Entry{Segment: 50, Over: true, Complete: true})
	second.Note(Entry{Segment: 7})
	shut(t, l)
	second.Note(Entry{Segment: 8}) // too late
	shut(t, l)

	l = openAt(path, day.Add(expireAfter-time.Second))
	defer shut(t, l)
	for name, want := range map[string]Entry{"live/a": {Segment: 7, Noted: day}, "live/b": {Segment: 50, Over: true, Complete: true, Noted: day}} {
		if _, last, ok = l.Begin(name); !ok || !last.Noted.Equal(want.Noted) {
			t.Errorf("%s: %+v, %v", name, last, ok)
		}
		if last.Noted = want.Noted; last != want {
			t.Errorf("%s: %+v, want %+v", name, last, want)
		}
	}
	late := openAt(path, day.Add(expireAfter+time.Second))
	defer shut(t, late)
	if _, last, ok = late.Begin("live/a"); ok {
		t.Errorf("after a day: %+v", last)
	}
}

// TestKilled: what is noted is in the file a moment later, without a close.
func TestKilled(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		path := filepath.Join(t.TempDir(), "ledger")
		l := openAt(path, day)
		defer shut(t, l)
		life, _, _ := l.Begin("live/a")
		for n := range int64(100) {
			life.Note(Entry{Segment: n})
		}
		synctest.Wait()
		data, err := os.ReadFile(path)
		if err != nil || len(data) != slotSize {
			t.Fatalf("%d bytes, %v", len(data), err)
		}
		if _, e, err := parseSlot(data); err != nil || e.Segment != 99 {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

// TestManyStreams: there are so many slots, and a stream of which something was noted just now
// keeps its own.
func TestManyStreams(t *testing.T) {
	path := filepath.Join(t.TempDir(), "ledger")
	now := day
	l := Open(Options{Path: path, Now: func() time.Time { return now }})
	note := func(name string, n int64) {
		life, _, _ := l.Begin(name)
		life.Note(Entry{Segment: n})
	}
	for i := range maxStreams {
		note(fmt.Sprint(i), 1)
	}
	note("one too many", 1)
	now = now.Add(leaveAfter + time.Second)
	for i := range maxStreams {
		if i != 17 {
			note(fmt.Sprint(i), 2)
		}
	}
	note("late", 3)
	shut(t, l)
	info, err := os.Stat(path)
	if err != nil || info.Size() != maxStreams*slotSize || info.Size() > 1<<20 {
		t.Errorf("%v, %v", info.Size(), err)
	}
	l = openAt(path, now)
	defer shut(t, l)
	if len(l.streams) != maxStreams {
		t.Errorf("%d streams are known", len(l.streams))
	}
	for name, want := range map[string]int64{"0": 2, "17": 0, "one too many": 0, "late": 3} {
		if e := l.streams[keyOf(name)]; (e != nil) != (want > 0) || e != nil && e.entry.Segment != want {
			t.Errorf("%s: %+v", name, e)
		}
	}
}

// badFile is a file on a disk that is full, or stands still.
type badFile struct {
	mu     sync.Mutex
	broken error
	stands chan struct{}
	data   [maxStreams * slotSize]byte
}

func (f *badFile) WriteAt(b []byte, at int64) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.stands != nil {
		<-f.stands
	}
	if f.broken != nil {
		return copy(f.data[at:], b[:10]), f.broken
	}
	return copy(f.data[at:], b), nil
}

func (f *badFile) Close() error { return nil }

func onFile(f file, log *bytes.Buffer) *Ledger {
	l := &Ledger{
		log: slog.New(slog.NewTextHandler(log, nil)), now: time.Now, file: f,
		streams: make(map[key]*stream), wake: make(chan struct{}, 1), done: make(chan struct{}),
	}
	go l.run()
	return l
}

// TestFullDisk: a disk that takes nothing is one line in the log, and one when it takes something
// again; then nothing is missing.
func TestFullDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var log bytes.Buffer
		f := &badFile{broken: syscall.ENOSPC}
		l := onFile(f, &log)
		a, _, _ := l.Begin("live/a")
		b, _, _ := l.Begin("live/b")
		for n := range int64(10) {
			a.Note(Entry{Segment: n})
			b.Note(Entry{Segment: n})
			synctest.Wait()
		}
		if n := strings.Count(log.String(), "\n"); n != 1 {
			t.Errorf("%d lines:\n%s", n, &log)
		}
		f.broken = nil
		a.Note(Entry{Segment: 10})
		synctest.Wait()
		if n := strings.Count(log.String(), "\n"); n != 2 {
			t.Errorf("%d lines:\n%s", n, &log)
		}
		for i, want := range []int64{10, 9} {
			if _, e, err := parseSlot(f.data[i*slotSize:]); err != nil || e.Segment != want {
				t.Errorf("%+v, %v", e, err)
			}
		}
		shut(t, l)
	})
}

// TestStandingDisk: who notes does not wait for the disk, and who closes no longer than it wants
// to.
func TestStandingDisk(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		f := &badFile{stands: make(chan struct{})}
		l := onFile(f, new(bytes.Buffer))
		life, _, _ := l.Begin("live/a")
		for n := range int64(1000) {
			life.Note(Entry{Segment: n})
		}
		if len(l.unwritten) > 1 {
			t.Errorf("%d wait", len(l.unwritten))
		}
		ctx, cancel := context.WithTimeout(context.Background(), time.Second)
		defer cancel()
		if err := l.Close(ctx); !errors.Is(err, context.DeadlineExceeded) {
			t.Error(err)
		}
		close(f.stands)
		shut(t, l)
		if _, e, err := parseSlot(f.data[:]); err != nil || e.Segment != 999 {
			t.Errorf("%+v, %v", e, err)
		}
	})
}

// TestNoFile: without a place on disk the ledger knows what it is told, and says once why.
func TestNoFile(t *testing.T) {
	file := filepath.Join(t.TempDir(), "file")
	if err := os.WriteFile(file, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	for path, lines := range map[string]int{"": 0, filepath.Join(file, "ledger"): 1, t.TempDir(): 1} {
		var log bytes.Buffer
		l := Open(Options{Path: path, Log: slog.New(slog.NewTextHandler(&log, nil))})
		life, _, _ := l.Begin("live/a")
		life.Note(Entry{Segment: 4})
		if _, last, ok := l.Begin("live/a"); !ok || last.Segment != 4 {
			t.Errorf("%+v, %v", last, ok)
		}
		shut(t, l)
		if n := strings.Count(log.String(), "\n"); n != lines {
			t.Errorf("%q: %s", path, &log)
		}
	}
}
