package main

import (
	"fmt"
	"os"
	"strconv"

	"golang.org/x/sys/unix"
)

// monitorSlack is how late, in nanoseconds, the Go runtime's monitor thread may wake up.
const monitorSlack = 4_000_000

// quietMonitor lets the Go runtime's monitor thread sleep longer. While the process has work it
// wakes every 20 µs at first, and interrupts the goroutine that writes to the players: with one
// processor and pictures 33 ms apart that took an eighth of all CPU time. The thread takes over
// processors whose goroutine waits in the kernel, which is now noticed up to four milliseconds
// later.
//
// The monitor is the first thread that the runtime starts. If it cannot be found or told, nothing
// is lost but CPU time.
func quietMonitor() {
	tasks, err := os.ReadDir("/proc/self/task")
	if err != nil {
		return
	}
	monitor, pid := 0, os.Getpid()
	for _, t := range tasks {
		if tid, err := strconv.Atoi(t.Name()); err == nil && tid > pid && (monitor == 0 || tid < monitor) {
			monitor = tid
		}
	}
	if monitor != 0 {
		leaveRealTime(monitor)
		_ = os.WriteFile(fmt.Sprintf("/proc/%d/timerslack_ns", monitor), strconv.AppendInt(nil, monitorSlack, 10), 0)
	}
}

// leaveRealTime gives a thread of a process with real-time priority (sched(7)) that of ordinary
// ones: what has real-time priority is woken to the microsecond, whatever slack it allows.
func leaveRealTime(thread int) {
	policy, err := unix.SchedGetAttr(thread, 0)
	if err != nil || policy.Policy != unix.SCHED_FIFO && policy.Policy != unix.SCHED_RR {
		return
	}
	_ = unix.SchedSetAttr(thread, &unix.SchedAttr{Size: unix.SizeofSchedAttr, Policy: unix.SCHED_NORMAL}, 0) // else it costs more
}
