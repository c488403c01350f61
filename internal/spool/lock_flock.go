//go:build darwin || dragonfly || freebsd || linux || netbsd || openbsd

package spool

import (
	"errors"
	"os"
	"syscall"
)

// openLocked opens a file and locks it. It fails with ErrInUse.
func openLocked(path string) (*os.File, error) {
	f, err := openToLock(path, 0)
	if err != nil {
		return nil, err
	}
	return flock(f)
}

// openLockedFolder does so with a folder.
func openLockedFolder(path string) (*os.File, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	return flock(f)
}

// flock locks a file, or closes it. The system lets the lock go with the process.
func flock(f *os.File) (*os.File, error) {
	var err error
	for {
		err = syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB)
		if !errors.Is(err, syscall.EINTR) {
			break
		}
	}
	if err == nil {
		return f, nil
	}
	_ = f.Close() // the first error says it all
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return nil, ErrInUse
	}
	return nil, err
}
