package spool

import (
	"bytes"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime"
	"testing"

	"pgregory.net/rapid"
)

// reservationBytes is enough for what the disk gets first in a life.
const reservationBytes = 200

// TestKilledAnywhere kills the disk after any number of bytes, that is, in the middle of any file,
// several times over. Each time the store opens with all that was whole, numbers never repeat, and
// what is there is right.
func TestKilledAnywhere(t *testing.T) {
	rapid.Check(t, func(rt *rapid.T) {
		dir, err := os.MkdirTemp(t.TempDir(), "")
		if err != nil {
			t.Fatal(err)
		}
		next, stored := int64(1000), 0
		for range rapid.IntRange(1, 4).Draw(rt, "lives") {
			d := newTestDisk()
			s, err := Open(Options{Dir: dir, disk: d})
			if err != nil {
				rt.Fatal(err)
			}
			budget := rapid.Int64Range(0, 16*segmentSize).Draw(rt, "budget")
			d.mu.Lock()
			d.budget = budget
			d.mu.Unlock()
			l := s.Begin("live/movie")
			if first, _, ok := l.Continues(); ok {
				if first < next {
					rt.Fatalf("a life begins at %d, but %d was used", first, next-1)
				}
				next = first
			}
			r := l.Rendition("v0")
			there, _ := check(t, r, r.List(next))
			if there < stored {
				rt.Fatalf("%d segments of %d", there, stored)
			}
			first, n, listed := next, int64(rapid.IntRange(0, 20).Draw(rt, "segments")), next
			for seq := first; seq < first+n; seq++ {
				fill(t, r, seq, seq+1)
				settled(t, s)
				if d.dead() {
					next, listed = seq, seq
					if budget > reservationBytes { // the life goes on without the disk for a while
						next += rapid.Int64Range(0, reserveLeft).Draw(rt, "unnoticed")
					}
					break
				}
				next, listed = seq+1, seq+1
			}
			stored, _ = check(t, r, r.List(listed))
			shut(t, s)
		}
	})
}

// TestPowerLoss truncates, zeroes and removes files at random, as a file system does that had no
// time to write: the store opens, what is there is right, and it goes on.
func TestPowerLoss(t *testing.T) {
	for seed := range uint64(12) {
		random := rand.New(rand.NewPCG(seed, 1))
		dir := t.TempDir()
		s := open1(t, Options{Dir: dir})
		l := s.Begin("a")
		fill(t, l.Rendition("v0"), 0, 150)
		fill(t, l.Rendition("v1"), 70, 150)
		l.End(150)
		shut(t, s)
		for _, path := range files(t, dir) {
			if random.IntN(25) == 0 {
				damage(t, random, path)
			}
		}
		for range 2 {
			s = open1(t, Options{Dir: dir})
			l = s.Begin("a")
			next, _, ok := l.Continues()
			if !ok {
				next = 1 << 20
			}
			r := l.Rendition("v0")
			check(t, r, r.List(next))
			check(t, l.Rendition("v1"), l.Rendition("v1").List(next))
			fill(t, r, next, next+10)
			settled(t, s)
			if there, _ := check(t, r, r.List(next+10)); there < 10 {
				t.Errorf("seed %d: %d segments", seed, there)
			}
			shut(t, s)
		}
	}
}

func damage(t *testing.T, random *rand.Rand, path string) {
	t.Helper()
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	at := random.IntN(len(data) + 1)
	switch random.IntN(4) {
	case 0:
		err = os.Remove(path)
	case 1:
		err = os.Truncate(path, 0)
	case 2:
		err = os.Truncate(path, int64(at))
	case 3: // only an index can tell this
		if seq, suffix, _ := parseFile(filepath.Base(path)); suffix == indexSuffix && seq >= 0 {
			err = os.WriteFile(path, append(data[:at:at], bytes.Repeat([]byte{0}, len(data)-at)...), 0o600)
		}
	}
	if err != nil {
		t.Fatal(err)
	}
}

// BenchmarkOpen is the start with 100,000 stored segments of ten streams.
func BenchmarkOpen(b *testing.B) {
	const streams, each = 10, 10_000
	dir := b.TempDir()
	s := open1(b, Options{Dir: dir})
	for i := range streams {
		l := s.Begin(string(rune('a' + i)))
		r := l.Rendition("v0")
		for seq := range int64(each) {
			if err := r.Append(Segment{Seq: seq, Duration: 1}, []byte("init"), []byte("x")); err != nil {
				b.Fatal(err)
			}
			if seq%1000 == 0 {
				settled(b, s)
			}
		}
		l.End(each)
	}
	shut(b, s)
	b.ReportAllocs()
	for b.Loop() {
		before := liveHeap()
		s, err := Open(Options{Dir: dir})
		if err != nil {
			b.Fatal(err)
		}
		b.ReportMetric(float64(liveHeap()-before)/(streams*each), "heap-B/segment")
		if n := s.Stats().Segments; n != streams*each {
			b.Fatal(n)
		}
		shut(b, s)
	}
}

func liveHeap() uint64 {
	runtime.GC()
	var m runtime.MemStats
	runtime.ReadMemStats(&m)
	return m.HeapAlloc
}

// BenchmarkStore is a segment of a second at 2.6 Mbit/s on its way to the disk, with the removal of
// an old one.
func BenchmarkStore(b *testing.B) {
	s := open1(b, Options{Dir: b.TempDir(), MaxBytes: 200 << 20})
	r := s.Begin("a").Rendition("v0")
	data := make([]byte, 325_000)
	b.SetBytes(int64(len(data)))
	seq := int64(0)
	for b.Loop() {
		if err := r.Append(seg(seq), initOf(seq), data); err != nil {
			b.Fatal(err)
		}
		for s.Stats().Queued > 32<<20 {
			runtime.Gosched()
		}
		seq++
	}
	settled(b, s)
}
