package spool

import (
	"errors"
	"os"
	"path/filepath"
	"testing"
)

// TestStartOnAFullDisk: what is there is listed, new segments get lost, and are stored again when
// there is room.
func TestStartOnAFullDisk(t *testing.T) {
	for _, full := range []string{"", "lock"} {
		dir := t.TempDir()
		first, err := Open(Options{Dir: dir})
		if err != nil {
			t.Fatal(err)
		}
		l := first.Begin("a")
		fill(t, l.Rendition("v0"), 0, 10)
		l.End(10)
		shut(t, first)
		if full == "lock" { // it was never there
			if err := os.Remove(filepath.Join(dir, lockFile)); err != nil {
				t.Fatal(err)
			}
		}

		d, log := newTestDisk(), &lines{}
		d.fill(1, full)
		s := open1(t, Options{Dir: dir, disk: d, Log: log.logger()})
		wantEqual(t, "segments", s.Stats().Segments, 10)
		wantEqual(t, "lines about the full disk", log.count("segments get lost"), 1)
		if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrInUse) {
			t.Errorf("a second store opens the folder: %v", err)
		}
		l = s.Begin("a")
		r := l.Rendition("v0")
		fill(t, r, 10, 13)
		settled(t, s)
		wantWindow(t, r.List(13), 0, 13)
		if there, gaps := check(t, r, r.List(13)); there != 10 || gaps != 3 {
			t.Errorf("%d segments and %d gaps on the full disk", there, gaps)
		}
		d.fill(0, "")
		fill(t, r, 13, 20)
		settled(t, s)
		if there, gaps := check(t, r, r.List(20)); there != 17 || gaps != 3 {
			t.Errorf("%d segments and %d gaps when there is room", there, gaps)
		}
	}
}

// TestFolderThatCannotBeMadeYet: the first start ever may be on a full disk.
func TestFolderThatCannotBeMadeYet(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "data", "hls")
	d, log := newTestDisk(), &lines{}
	d.fill(1, "folder")
	s := open1(t, Options{Dir: dir, disk: d, Log: log.logger()})
	wantEqual(t, "lines about the full disk", log.count("segments get lost"), 1)
	l := s.Begin("a")
	r := l.Rendition("v0")
	fill(t, r, 100, 103)
	settled(t, s)
	if there, gaps := check(t, r, r.List(103)); there != 0 || gaps != 3 {
		t.Errorf("%d segments and %d gaps on the full disk", there, gaps)
	}
	wantEqual(t, "bytes that wait", s.Stats().Queued, 0)
	d.fill(0, "")
	fill(t, r, 103, 106)
	settled(t, s)
	if there, gaps := check(t, r, r.List(106)); there != 3 || gaps != 3 {
		t.Errorf("%d segments and %d gaps when there is room", there, gaps)
	}
	if _, err := Open(Options{Dir: dir}); !errors.Is(err, ErrInUse) {
		t.Errorf("a second store opens the folder: %v", err)
	}
	if info, err := os.Stat(filepath.Dir(dir)); err != nil || info.Mode().Perm() != 0o700 {
		t.Errorf("the folder above: %v, %v", info.Mode(), err)
	}
}

// TestStartMakesRoom: what must go anyway goes before anything is written.
func TestStartMakesRoom(t *testing.T) {
	dir := t.TempDir()
	first, err := Open(Options{Dir: dir})
	if err != nil {
		t.Fatal(err)
	}
	l := first.Begin("a")
	fill(t, l.Rendition("v0"), 0, 200)
	l.End(200)
	shut(t, first)

	const most = 50 * (blockSize + entryBytes)
	s := open1(t, Options{Dir: dir, MaxBytes: most})
	if st := s.Stats(); st.Bytes > most || st.Segments < 40 || len(files(t, dir)) > 55 {
		t.Errorf("%+v, %d files", st, len(files(t, dir)))
	}
}

// TestShares: a stream that takes much room takes it from itself, whatever others do.
func TestShares(t *testing.T) {
	const most = 120 * (blockSize + entryBytes)
	dir := t.TempDir()
	o := Options{Dir: dir, MaxBytes: most}
	s := open1(t, o)
	names := []string{"small", "large", "middle"}
	rate := map[string]int64{"small": 1, "large": 20, "middle": 4}
	lives, renditions := map[string]*Life{}, map[string]*Rendition{}
	for _, name := range names {
		lives[name] = s.Begin(name)
		renditions[name] = lives[name].Rendition("v0")
	}
	next := map[string]int64{}
	for range 30 {
		for _, name := range names {
			fill(t, renditions[name], next[name], next[name]+rate[name])
			next[name] += rate[name]
		}
		settled(t, s)
	}
	wantShares := func(what string) {
		t.Helper()
		length := func(name string) int {
			w := renditions[name].List(next[name])
			return w.Len()
		}
		small, middle, large := length("small"), length("middle"), length("large")
		if small != 30 || middle < 38 || large < 38 || small+middle+large > 120 {
			t.Errorf("%s: %d, %d and %d segments", what, small, middle, large)
		}
	}
	wantShares("while they come")
	for _, name := range names {
		check(t, renditions[name], renditions[name].List(next[name]))
		lives[name].End(next[name])
	}
	settled(t, s)
	shut(t, s)

	s = open1(t, o)
	for _, name := range names {
		renditions[name] = s.Begin(name).Rendition("v0")
	}
	wantShares("after a restart")
	fill(t, renditions["large"], next["large"], next["large"]+500)
	next["large"] += 500
	settled(t, s)
	wantShares("after one more flood")
}

// TestStreamThatStoredNothingIsForgotten: names cost nothing.
func TestStreamThatStoredNothingIsForgotten(t *testing.T) {
	s := open1(t, Options{Dir: t.TempDir()})
	for _, name := range []string{"a", "b"} {
		l := s.Begin(name)
		l.Rendition("v0")
		l.End(5)
	}
	wantEqual(t, "streams", len(s.streams), 0)
}
