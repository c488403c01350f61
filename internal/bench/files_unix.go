//go:build unix

package bench

import (
	"fmt"
	"syscall"
)

// allowFiles raises the limit of open files to what this run needs, as far as this user may.
func allowFiles(needed uint64) error {
	var limit syscall.Rlimit
	if err := syscall.Getrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil {
		return fmt.Errorf("limit of open files: %w", err)
	}
	if uint64(limit.Cur) >= needed {
		return nil
	}
	hard := uint64(limit.Max)
	limit.Cur = limit.Max
	if err := syscall.Setrlimit(syscall.RLIMIT_NOFILE, &limit); err != nil || hard < needed {
		return fmt.Errorf("%d players and streams need %d open files, and this user may have %d: raise it for both ends (ulimit -Hn %d as root, "+
			"LimitNOFILE= of a service, or /etc/security/limits.conf)", needed-spareFiles, needed, hard, needed)
	}
	return nil
}
