package spool

import (
	"errors"
	"os"
	"os/exec"
	"strings"
	"testing"
)

// TestLock: a folder has one Store at a time, and the second one touches nothing.
func TestLock(t *testing.T) {
	dir := t.TempDir()
	s := open1(t, Options{Dir: dir})
	r := s.Begin("a").Rendition("v0")
	fill(t, r, 0, 3)
	settled(t, s)
	for range 2 {
		_, err := Open(Options{Dir: dir})
		if !errors.Is(err, ErrInUse) || !strings.Contains(err.Error(), dir) {
			t.Fatalf("a second store: %v", err)
		}
	}
	fill(t, r, 3, 6)
	settled(t, s)
	there, _ := check(t, r, r.List(6))
	wantEqual(t, "segments", there, 6)
	shut(t, s)
	s = open1(t, Options{Dir: dir})
	wantEqual(t, "segments of the next one", s.Stats().Segments, 6)
}

// heldBy names the folder that the test's other process holds.
const heldBy = "LIVEGO_TEST_SPOOL"

// TestLockOfAnotherProcess: it holds as long as the process lives, and no longer, however it ends.
func TestLockOfAnotherProcess(t *testing.T) {
	if dir := os.Getenv(heldBy); dir != "" {
		open1(t, Options{Dir: dir})
		_, _ = os.Stdout.WriteString("held")
		select {} // until it is killed
	}
	dir := t.TempDir()
	other := exec.Command(os.Args[0], "-test.run=^TestLockOfAnotherProcess$")
	other.Env = append(os.Environ(), heldBy+"="+dir)
	out, err := other.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := other.Start(); err != nil {
		t.Fatal(err)
	}
	said := make([]byte, len("held"))
	_, err = out.Read(said)
	_, inUse := Open(Options{Dir: dir})
	_ = other.Process.Kill()
	_ = other.Wait() // killed
	if err != nil || string(said) != "held" || !errors.Is(inUse, ErrInUse) {
		t.Fatalf("%q, %v, then %v", said, err, inUse)
	}
	open1(t, Options{Dir: dir})
}
