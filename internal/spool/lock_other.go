//go:build !(darwin || dragonfly || freebsd || linux || netbsd || openbsd)

package spool

import (
	"errors"
	"io/fs"
	"os"
)

// openLocked makes a file anew. Windows does not remove one that another process has open; other
// systems do, and there is no lock on these. It fails with ErrInUse.
func openLocked(path string) (*os.File, error) {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, errors.Join(ErrInUse, err)
	}
	f, err := openToLock(path, os.O_EXCL)
	if errors.Is(err, fs.ErrExist) {
		return nil, ErrInUse
	}
	return f, err
}

// openLockedFolder is for systems that lock folders.
func openLockedFolder(string) (*os.File, error) { return nil, errors.ErrUnsupported }
