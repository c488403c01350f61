package keys

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"syscall"
	"testing"

	"go.etcd.io/bbolt"
)

// crashFileEnv makes the test binary a process that writes to the file that it names until it is
// killed.
const crashFileEnv = "LIVEGO_KEYS_CRASH_FILE"

func writeUntilKilled(path string) {
	s, err := OpenFile(path, Options{})
	if err != nil {
		fmt.Println("error:", err)
		os.Exit(1)
	}
	for i := 0; ; i++ {
		room := fmt.Sprint("room", i)
		key, err := s.Get(context.Background(), room)
		if err == nil && i%2 == 1 {
			key, err = s.Reset(context.Background(), room, false)
		}
		if err != nil {
			fmt.Println("error:", err)
			os.Exit(1)
		}
		fmt.Println(room, key)
	}
}

// Defect 50 of LiveGo: keys were lost. What a call has returned is there after kill -9.
func TestFileSurvivesKill(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "livego.db")
	told := map[string]string{}
	for life := range 3 {
		cmd := exec.Command(os.Args[0])
		cmd.Env = append(os.Environ(), crashFileEnv+"="+path)
		out, err := cmd.StdoutPipe()
		if err != nil {
			t.Fatal(err)
		}
		if err := cmd.Start(); err != nil {
			t.Fatal(err)
		}
		lines := bufio.NewScanner(out)
		for n := 0; lines.Scan(); n++ {
			room, key, _ := strings.Cut(lines.Text(), " ")
			if !WellFormed(key) {
				t.Errorf("child: %s", lines.Text())
			}
			told[room] = key
			if n == 40+7*life {
				_ = cmd.Process.Kill()
			}
		}
		_ = cmd.Wait()
	}

	s := openFile(t, path, Options{})
	for room, key := range told {
		if get(t, s, room) != key {
			t.Errorf("room %q lost its key", room)
		}
		lease(t, s, key, room)
	}
	if len(told) < 40 {
		t.Errorf("only %d rooms", len(told))
	}
}

func TestFileKeepsKeysOverRestart(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.db")
	first, err := OpenFile(path, Options{MaxRooms: 2})
	if err != nil {
		t.Fatal(err)
	}
	gone, old := get(t, first, "gone"), get(t, first, "movie")
	movie := reset(t, first, "movie", false)
	del(t, first, "gone", false)
	if err := first.Close(); err != nil {
		t.Fatal(err)
	}

	second := openFile(t, path, Options{MaxRooms: 2})
	lease(t, second, movie, "movie")
	wantUnknown(t, old, second)
	wantUnknown(t, gone, second)
	get(t, second, "two")
	if _, err := second.Get(t.Context(), "three"); !errors.Is(err, ErrTooManyRooms) {
		t.Errorf("the number of rooms was forgotten: %v", err)
	}
}

// TestFileOnAFullDisk: without room there are no keys, but a store; and as soon as there is room
// there are keys.
func TestFileOnAFullDisk(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "data", "livego.db")
	var full atomic.Bool
	full.Store(true)
	s := openFile(t, path, Options{openFile: func(name string, flag int, mode os.FileMode) (*os.File, error) {
		f, err := os.OpenFile(name, flag, mode)
		if err == nil && full.Load() { // the file can be made, but nothing be written to it
			_ = f.Close()
			return nil, &os.PathError{Op: "write", Path: name, Err: syscall.ENOSPC}
		}
		return f, err
	}})
	for _, call := range []func() error{
		func() error { _, err := s.Get(t.Context(), "movie"); return err },
		func() error { _, err := s.Reset(t.Context(), "movie", false); return err },
		func() error { return s.Set(t.Context(), "movie", strings.Repeat("Key0", 5)) },
		func() error { return s.Delete(t.Context(), "movie", false) },
	} {
		if err := call(); !errors.Is(err, ErrUnavailable) || !strings.Contains(err.Error(), "no space left on device") {
			t.Errorf("on a full disk: %v", err)
		}
	}
	wantUnknown(t, strings.Repeat("Key0", 5), s)
	wantHas(t, s, "movie", false)
	if rooms, err := s.Rooms(t.Context(), "", 1); err != nil || len(rooms) != 0 {
		t.Errorf("rooms %v, %v", rooms, err)
	}
	if _, err := os.Stat(path); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("what was begun is there: %v", err)
	}
	full.Store(false)
	lease(t, s, get(t, s, "movie"), "movie")
	if other, err := OpenFile(path, Options{}); err == nil || other != nil {
		t.Error("another process opens the file")
	}
}

func TestFileIsForOneProcess(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.db")
	openFile(t, path, Options{})
	s, err := OpenFile(path, Options{})
	if s != nil || err == nil || !strings.Contains(err.Error(), path+" is in use by another livego") {
		t.Errorf("second open: %v, %v", s, err)
	}
}

func TestFileIsForItsOwnerOnly(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "a", "data")
	path := filepath.Join(dir, "livego.db")
	openFile(t, path, Options{})
	for name, want := range map[string]os.FileMode{dir: os.ModeDir | 0o700, path: 0o600} {
		if info, err := os.Stat(name); err != nil || info.Mode() != want {
			t.Errorf("%s: %v, %v, want %v", name, info.Mode(), err, want)
		}
	}
}

// The digest, not the key, is the index: the layout of type file, read without it.
func TestFileLayout(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "k.db")
	s, err := OpenFile(path, Options{})
	if err != nil {
		t.Fatal(err)
	}
	set(t, s, "movie", "abcdefghijklmnop")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	db, err := bbolt.Open(path, 0o600, nil)
	if err != nil {
		t.Fatal(err)
	}
	defer db.Close()
	got := map[string]string{}
	err = db.View(func(tx *bbolt.Tx) error {
		return tx.ForEach(func(name []byte, b *bbolt.Bucket) error {
			return b.ForEach(func(k, v []byte) error {
				key := string(k)
				if string(name) == "keys" {
					key = fmt.Sprintf("%x", k)
				}
				got[string(name)+" "+key] = string(v)
				return nil
			})
		})
	})
	want := map[string]string{
		"meta schema": "1",
		"meta rooms":  "\x00\x00\x00\x00\x00\x00\x00\x01",
		"rooms movie": "abcdefghijklmnop",
		// printf abcdefghijklmnop | sha256sum
		"keys f39dac6cbaba535e2c207cd0cd8f154974223c848f727f98b3564cea569b41cf": "movie",
	}
	if err != nil || fmt.Sprint(got) != fmt.Sprint(want) {
		t.Errorf("got %q, %v\nwant %q", got, err, want)
	}
}

func TestOpenFileRefuses(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	newer := filepath.Join(dir, "newer.db")
	db, err := bbolt.Open(newer, 0o600, nil)
	if err == nil {
		err = db.Update(func(tx *bbolt.Tx) error {
			meta, err := tx.CreateBucket([]byte("meta"))
			if err != nil {
				return err
			}
			return meta.Put([]byte("schema"), []byte("2"))
		})
	}
	if err = errors.Join(err, db.Close()); err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "text")
	if err := os.WriteFile(text, []byte(strings.Repeat("no database\n", 5000)), 0o600); err != nil {
		t.Fatal(err)
	}
	short := filepath.Join(dir, "short")
	if err := os.WriteFile(short, []byte("x"), 0o600); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		newer:                       `version "2"`,
		text:                        "opening channel keys in " + text,
		short:                       "opening channel keys in " + short,
		dir:                         "opening channel keys in " + dir,
		filepath.Join(text, "k.db"): "making the folder",
	} {
		if s, err := OpenFile(path, Options{}); s != nil || err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("%s: %v, want an error with %q", path, err, want)
		}
	}
}

func TestClosedFileIsUnavailable(t *testing.T) {
	t.Parallel()
	s, err := OpenFile(filepath.Join(t.TempDir(), "k.db"), Options{})
	if err != nil {
		t.Fatal(err)
	}
	key := get(t, s, "movie")
	if err := s.Close(); err != nil {
		t.Fatal(err)
	}
	wantUnavailable(t, s, key)
}
