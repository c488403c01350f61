package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrInUse says that another Store has the folder: each would remove the other's segments.
var ErrInUse = errors.New("another server uses the folder")

// lock takes the folder for this Store until its writer is done, or the process is killed. The file stays: to remove it would let two in.
func (s *Store) lock() error {
	path := filepath.Join(s.opt.Dir, lockFile)
	f, err := openLocked(path)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		s.log.Warn("the file system cannot lock: make sure that no other server uses the folder", "dir", s.opt.Dir, "error", err)
	case errors.Is(err, ErrInUse):
		return fmt.Errorf("%s: %w", s.opt.Dir, err)
	case err != nil:
		return fmt.Errorf("locking %s: %w", path, err)
	}
	s.held = f
	return nil
}

// unlock lets the folder go.
func (s *Store) unlock() {
	if s.held != nil {
		_ = s.held.Close() // nothing was written
	}
}

// openToLock opens the file that is locked.
func openToLock(path string, flags int) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|flags, 0o600)
}
