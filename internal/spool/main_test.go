package spool

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"log/slog"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"

	"livego/internal/property"
)

func TestMain(m *testing.M) {
	property.Fix()
	goleak.VerifyTestMain(m)
}

// patience bounds every wait for something that must happen.
const patience = 20 * time.Second

var errFull = fmt.Errorf("the test's disk: %w", syscall.ENOSPC)

// testDisk is a real disk that can be full, stand still, or die like the disk of a killed process.
type testDisk struct {
	systemDisk
	mu sync.Mutex
	// quota bounds used, the bytes of all files; 0: it does not.
	quota, used, peak int64
	sizes             map[string]int64
	// budget is how many bytes are written before the process dies; negative: it lives on.
	budget int64
	// full is what cannot be made: "folder" or "lock".
	full string
	// hold, if set, lets writes of segments wait until it is closed.
	hold chan struct{}
}

func newTestDisk() *testDisk { return &testDisk{sizes: make(map[string]int64), budget: -1} }

func (d *testDisk) wait(path string) {
	d.mu.Lock()
	hold := d.hold
	d.mu.Unlock()
	if hold != nil && strings.HasSuffix(path, segmentSuffix) {
		<-hold
	}
}

// admit accounts for a file that grows to size by n bytes, and says how many of them may be
// written.
func (d *testDisk) admit(path string, size, n int64) (int64, error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	if d.quota > 0 && d.used-d.sizes[path]+size > d.quota {
		return 0, errFull
	}
	err := error(nil)
	if d.budget >= 0 {
		if n > d.budget {
			n, err = d.budget, errFull
		}
		d.budget -= n
	}
	d.used += size - d.sizes[path]
	d.sizes[path] = size
	d.peak = max(d.peak, d.used)
	return n, err
}

// fill lets the disk be full, or with 0 have all the room there is.
func (d *testDisk) fill(quota int64, full string) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.quota, d.full = quota, full
}

func (d *testDisk) refuses(what string) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.full == what
}

func (d *testDisk) makeFolder(path string) error {
	if d.refuses("folder") {
		return errFull
	}
	return d.systemDisk.makeFolder(path)
}

func (d *testDisk) lockFile(path string) (*os.File, error) {
	if d.refuses("lock") {
		return nil, errFull
	}
	return d.systemDisk.lockFile(path)
}

func (d *testDisk) dead() bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.budget == 0
}

func (d *testDisk) write(path string, pieces ...[]byte) error {
	d.wait(path)
	data := bytes.Join(pieces, nil)
	n, err := d.admit(path, int64(len(data)), int64(len(data)))
	if err != nil && n == 0 {
		return err
	}
	return errors.Join(d.systemDisk.write(path, data[:n]), err)
}

func (d *testDisk) writeAt(path string, offset int64, data []byte) error {
	d.mu.Lock()
	size := max(d.sizes[path], offset+int64(len(data))) // a file does not shrink when its beginning is written over
	d.mu.Unlock()
	n, err := d.admit(path, size, int64(len(data)))
	if err != nil && n == 0 {
		return err
	}
	return errors.Join(d.systemDisk.writeAt(path, offset, data[:n]), err)
}

func (d *testDisk) remove(path string) error {
	if d.dead() {
		return errFull
	}
	d.mu.Lock()
	d.used -= d.sizes[path]
	delete(d.sizes, path)
	d.mu.Unlock()
	return d.systemDisk.remove(path)
}

// lines counts log lines by message.
type lines struct {
	mu   sync.Mutex
	text strings.Builder
}

func (l *lines) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.text.Write(p)
}

func (l *lines) count(part string) int {
	l.mu.Lock()
	defer l.mu.Unlock()
	return strings.Count(l.text.String(), part)
}

func (l *lines) logger() *slog.Logger { return slog.New(slog.NewTextHandler(l, nil)) }

func open1(t testing.TB, o Options) *Store {
	t.Helper()
	s, err := Open(o)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { shut(t, s) })
	return s
}

// reopen opens the folder of a store whose process was killed.
func reopen(t testing.TB, killed *Store, o Options) *Store {
	t.Helper()
	killed.unlock()
	return open1(t, o)
}

func shut(t testing.TB, s *Store) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	if err := s.Close(ctx); err != nil {
		t.Error(err)
	}
}

// body is what segment seq of the rendition id holds.
func body(id string, seq int64, size int) []byte {
	return bytes.Repeat([]byte(fmt.Sprintf("%s/%d ", id, seq)), size)[:size]
}

const segmentSize = 1000

// seg is the segment seq of a plain stream of two-second segments.
func seg(seq int64) Segment {
	at := time.Duration(seq) * 2 * time.Second
	return Segment{Seq: seq, Start: at, Duration: 2 * time.Second, At: int64(at) + 1, Init: seq / 100 * 100, Independent: true, Key: 10}
}

// fill appends the segments from first to before end.
func fill(t testing.TB, r *Rendition, first, end int64) {
	t.Helper()
	for seq := first; seq < end; seq++ {
		data := body(r.id, seq, segmentSize)
		if err := r.Append(seg(seq), initOf(seq), data[:segmentSize/3], data[segmentSize/3:]); err != nil {
			t.Fatal(err)
		}
	}
}

func initOf(seq int64) []byte { return fmt.Appendf(nil, "init %d", seq/100*100) }

// settled waits until the writer has nothing to do.
func settled(t testing.TB, s *Store) {
	t.Helper()
	idle := func() bool {
		s.mu.Lock()
		defer s.mu.Unlock()
		return !s.busy && len(s.queue)+len(s.reservations) == 0
	}
	for range 1000 {
		if idle() {
			return
		}
		runtime.Gosched()
	}
	eventually(t, "the queue is empty", idle)
}

func eventually(t testing.TB, what string, ok func() bool) {
	t.Helper()
	deadline := time.NewTimer(patience)
	defer deadline.Stop()
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !ok() {
		select {
		case <-deadline.C:
			t.Fatalf("not within %v: %s", patience, what)
		case <-tick.C:
		}
	}
}

// read returns what is stored of a segment.
func read(r *Rendition, seq int64) ([]byte, error) {
	f, err := r.Open(seq)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	return io.ReadAll(f)
}

// check holds what must always be true of a window against the files, and returns how many segments
// are there and how many are gaps.
func check(t testing.TB, r *Rendition, w Window) (there, gaps int) {
	t.Helper()
	for seq := w.First(); seq < w.End(); seq++ {
		e := w.At(seq)
		if e == nil || e.Seq != seq {
			t.Fatalf("segment %d of [%d, %d) is %+v", seq, w.First(), w.End(), e)
		}
		if e.Gap {
			gaps++
			continue
		}
		there++
		got, err := read(r, seq)
		if err != nil || !bytes.Equal(got, body(r.id, seq, segmentSize)) {
			t.Fatalf("segment %d: %d bytes, %v", seq, len(got), err)
		}
		f, err := r.OpenInit(e.Init)
		if err != nil {
			t.Fatalf("init segment %d: %v", e.Init, err)
		}
		init, err := io.ReadAll(f)
		if f.Close(); err != nil || !bytes.Equal(init, initOf(e.Init)) {
			t.Fatalf("init segment %d: %q, %v", e.Init, init, err)
		}
	}
	return there, gaps
}

// files lists what is in a folder, without the folders and the lock.
func files(t testing.TB, dir string) (paths []string) {
	t.Helper()
	err := filepath.WalkDir(dir, func(path string, d fs.DirEntry, err error) error {
		if err == nil && !d.IsDir() && d.Name() != lockFile {
			paths = append(paths, path)
		}
		return err
	})
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	return paths
}

func wantEqual[T comparable](t testing.TB, what string, got, want T) {
	t.Helper()
	if got != want {
		t.Errorf("%s: %v, want %v", what, got, want)
	}
}

func wantWindow(t testing.TB, w Window, first, end int64) {
	t.Helper()
	if w.First() != first || w.End() != end {
		t.Errorf("window [%d, %d), want [%d, %d)", w.First(), w.End(), first, end)
	}
}
