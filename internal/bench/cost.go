package bench

import (
	"bytes"
	"errors"
	"fmt"
	"os"
	"strconv"
	"time"
)

// Fields of /proc/PID/stat behind the command's name, from 0 (proc(5)).
const (
	statUser   = 11
	statSystem = 12
	statRSS    = 21
	// ticks per second of the times above, on all systems of today.
	ticks = 100
)

var errProc = errors.New("no such process, or a system without /proc/PID/stat")

// Usage returns the CPU time that processes have used, and their resident memory in bytes. It works
// on Linux only.
func Usage(pids ...int) (cpu time.Duration, rss uint64, err error) {
	for _, pid := range pids {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", pid))
		if err != nil {
			return 0, 0, fmt.Errorf("process %d: %w", pid, errProc)
		}
		c, pages, err := parseStat(stat)
		if err != nil {
			return 0, 0, fmt.Errorf("process %d: %w", pid, err)
		}
		cpu += c
		rss += pages * uint64(os.Getpagesize())
	}
	return cpu, rss, nil
}

// parseStat reads the content of a stat file. The command's name may hold spaces and parentheses.
func parseStat(stat []byte) (cpu time.Duration, pages uint64, err error) {
	fields := bytes.Fields(stat[bytes.LastIndexByte(stat, ')')+1:])
	if len(fields) <= statRSS {
		return 0, 0, errProc
	}
	number := func(i int) uint64 {
		n, parseErr := strconv.ParseUint(string(fields[i]), 10, 63)
		err = errors.Join(err, parseErr)
		return n
	}
	cpu = time.Duration(number(statUser)+number(statSystem)) * time.Second / ticks
	return cpu, number(statRSS), err
}
