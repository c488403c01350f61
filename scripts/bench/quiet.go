//go:build linux

package main

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"livego/internal/bench"
)

// maxOthers is the CPU time in cores that other programs may take from server and load before figures mean little.
const maxOthers = 0.1

// errStat: /proc/stat is not as expected.
var errStat = errors.New("/proc/stat cannot be read")

// presence is what the processors of server and load have done so far.
type presence struct {
	at           time.Time
	busy, server time.Duration
}

// look reads the processors' time and the server's.
func (m *measurement) look(server *process) (presence, error) {
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
	used, _, err := bench.Usage(server.cmd.Process.Pid)
	return presence{at: time.Now(), busy: busy, server: used}, err
}

// others returns the cores that programs took which are neither the server nor the load. load is the load's CPU time.
func (p presence) others(later presence, load time.Duration) float64 {
	rest := later.busy - p.busy - (later.server - p.server) - load
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

// Fields of a line of /proc/stat behind the processor's name, from 0 (proc(5)): all but these two are work.
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
