package spool

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
)

// ErrInUse says that another Store has the folder: each would remove the other's segments.
var ErrInUse = errors.New("another server uses the folder")

// lock takes the folder for this Store until its writer is done, or the process is killed: the
// folder itself, and a file in it, as there are file systems that lock only files, and full disks
// on which none can be made. The file stays: to remove it would let two in.
func (s *Store) lock() error {
	path := filepath.Join(s.opt.Dir, lockFile)
	folder, err := s.disk.lockFolder(s.opt.Dir)
	if errors.Is(err, ErrInUse) {
		return fmt.Errorf("%s: %w", s.opt.Dir, err)
	}
	f, err := s.disk.lockFile(path)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		if folder == nil {
			s.log.Warn("the file system cannot lock: make sure that no other server uses the folder", "dir", s.opt.Dir, "error", err)
		}
		err = nil
	case errors.Is(err, ErrInUse):
		err = fmt.Errorf("%s: %w", s.opt.Dir, err)
	case isFull(err) && folder != nil:
		err = nil
	case err != nil:
		err = fmt.Errorf("locking %s: %w", path, err)
	}
	s.held = [2]*os.File{folder, f}
	if err != nil {
		s.unlock()
	}
	return err
}

// unlock lets the folder go.
func (s *Store) unlock() {
	for _, f := range s.held {
		if f != nil {
			_ = f.Close() // nothing was written
		}
	}
	s.held = [2]*os.File{}
}

// openToLock opens the file that is locked.
func openToLock(path string, flags int) (*os.File, error) {
	return os.OpenFile(path, os.O_RDWR|os.O_CREATE|flags, 0o600)
}
