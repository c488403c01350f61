//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"

	"livego/internal/bench"
)

// maxOthers is the CPU time in cores that other programs may take from server and load before
// figures mean little.
const maxOthers = 0.1

// errStat: /proc/stat is not as expected.
var errStat = errors.New("/proc/stat cannot be read")

// presence is what the processors of server and load have done so far: all of it, the server's
// part, and the network's work that the kernel has put off to threads of its own, which is done for
// server and load and counted as nobody's.
type presence struct {
	at                     time.Time
	busy, server, deferred time.Duration
}

// look reads the processors' time and that of the server and of what it needs beside it.
func (m *measurement) look(servers []*process) (presence, error) {
	wanted, err := processors(m.serverCPU + "," + m.loadCPU)
	if err != nil {
		return presence{}, err
	}
	stat, err := os.ReadFile("/proc/stat")
	if err != nil {
		return presence{}, err
	}
	busy, err := busyTime(string(stat), wanted)
	if err != nil {
		return presence{}, err
	}
	var pids []int
	for _, p := range servers {
		pids = append(pids, p.pids()...)
	}
	used, _, err := bench.Usage(pids...)
	if err != nil {
		return presence{}, err
	}
	deferred, _, err := bench.Usage(deferring("/proc", wanted)...)
	return presence{at: time.Now(), busy: busy, server: used, deferred: deferred}, err
}

// deferring finds the kernel's threads for interrupts that were put off, of some processors. A
// container does not see them.
func deferring(proc string, wanted map[int]bool) (pids []int) {
	names, _ := filepath.Glob(filepath.Join(proc, "[0-9]*", "comm"))
	for _, name := range names {
		comm, _ := os.ReadFile(name) // a process may have ended meanwhile
		number, is := strings.CutPrefix(strings.TrimSpace(string(comm)), "ksoftirqd/")
		cpu, err := strconv.Atoi(number)
		pid, pidErr := strconv.Atoi(filepath.Base(filepath.Dir(name)))
		if is && err == nil && pidErr == nil && wanted[cpu] {
			pids = append(pids, pid)
		}
	}
	return pids
}

// others returns the cores that programs took which are neither the server nor the load. load is
// the load's CPU time.
func (p presence) others(later presence, load time.Duration) float64 {
	rest := later.busy - p.busy - (later.server - p.server) - (later.deferred - p.deferred) - load
	return max(rest.Seconds()/later.at.Sub(p.at).Seconds(), 0)
}

// processors reads a list as taskset does: 0,2-3.
func processors(list string) (map[int]bool, error) {
	set := map[int]bool{}
	for item := range strings.SplitSeq(list, ",") {
		low, high, isRange := strings.Cut(item, "-")
		if !isRange {
			high = low
		}
		first, firstErr := strconv.Atoi(low)
		last, lastErr := strconv.Atoi(high)
		if err := errors.Join(firstErr, lastErr); err != nil || first < 0 || last > 1<<16 {
			return nil, fmt.Errorf("list of CPUs %q: want numbers and ranges", list)
		}
		for i := first; i <= last; i++ {
			set[i] = true
		}
	}
	return set, nil
}

// Fields of a line of /proc/stat behind the processor's name, from 0 (proc(5)): all but these two
// are work.
const (
	statIdle   = 3
	statWait   = 4
	statFields = 8 // those behind are parts of others
	statTick   = time.Second / 100
)

// busyTime adds up what processors worked.
func busyTime(stat string, wanted map[int]bool) (time.Duration, error) {
	sum, found := 0, 0
	for line := range strings.Lines(stat) {
		fields := strings.Fields(line)
		if len(fields) <= statFields || !strings.HasPrefix(fields[0], "cpu") || fields[0] == "cpu" {
			continue
		}
		number, err := strconv.Atoi(fields[0][len("cpu"):])
		if err != nil || !wanted[number] {
			continue
		}
		found++
		for i, field := range fields[1 : 1+statFields] {
			ticks, err := strconv.Atoi(field)
			if err != nil {
				return 0, errStat
			}
			if i != statIdle && i != statWait {
				sum += ticks
			}
		}
	}
	if found != len(wanted) {
		return 0, fmt.Errorf("%d of %d CPUs: %w", found, len(wanted), errStat)
	}
	return time.Duration(sum) * statTick, nil
}
