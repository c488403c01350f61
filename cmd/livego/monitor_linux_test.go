package main

import (
	"runtime"
	"testing"

	"golang.org/x/sys/unix"
)

// TestLeaveRealTime: a thread with real-time priority gets the ordinary one, and others keep
// theirs.
func TestLeaveRealTime(t *testing.T) {
	policies := make(chan uint32, 2)
	go func() {
		defer close(policies)
		runtime.LockOSThread() // for good: the thread ends with the goroutine
		thread := unix.Gettid()
		policy := func() {
			leaveRealTime(thread)
			if a, err := unix.SchedGetAttr(thread, 0); err == nil {
				policies <- a.Policy
			}
		}
		policy()
		realTime := &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_FIFO, Priority: 1}
		if unix.SchedSetAttr(thread, realTime, 0) == nil { // root may
			policy()
		}
	}()
	got := 0
	for p := range policies {
		got++
		if p != unix.SCHED_NORMAL {
			t.Errorf("policy %d", p)
		}
	}
	if got == 0 {
		t.Error("nothing is known of the thread")
	}
}
