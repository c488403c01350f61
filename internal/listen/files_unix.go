//go:build unix

package listen

import (
	"math"
	"syscall"
)

// MaxFiles is how many files and connections the process may have open, 0: not known. The runtime
// has raised it as far as it may.
func MaxFiles() int {
	var limit syscall.Rlimit
	if syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit) != nil {
		return 0
	}
	return int(min(uint64(limit.Cur), math.MaxInt32))
}
