package spool

import (
	"bufio"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"syscall"
)

// disk is what the writer does to files; a test's one is full, slow, or dies.
type disk interface {
	// write makes a file of the pieces, and its folder. After an error there is no file, if that
	// can be helped.
	write(path string, pieces ...[]byte) error
	// writeAt puts data into a file at an offset; at 0 the file is made anew.
	writeAt(path string, offset int64, data []byte) error
	// remove removes a file or an empty folder; that it is not there is no error.
	remove(path string) error
	// makeFolder makes a folder, and those above it. lockFolder and lockFile lock one, and a file,
	// which is made; they fail with ErrInUse, and where there are no locks with
	// errors.ErrUnsupported.
	makeFolder(path string) error
	lockFolder(path string) (*os.File, error)
	lockFile(path string) (*os.File, error)
}

// isFull says that a disk has no room, or its user none on it. That passes, and costs segments
// only.
func isFull(err error) bool { return errors.Is(err, syscall.ENOSPC) || errors.Is(err, syscall.EDQUOT) }

// writeSize is how much is written at a time: pieces are many and small.
const writeSize = 64 << 10

// systemDisk is the real one. What it makes is for the owner only.
type systemDisk struct{}

var _ disk = systemDisk{}

func (systemDisk) write(path string, pieces ...[]byte) error {
	f, err := create(path)
	if err != nil {
		return err
	}
	w := bufio.NewWriterSize(f, writeSize)
	for _, piece := range pieces {
		_, _ = w.Write(piece) // Flush has the error
	}
	if err = errors.Join(w.Flush(), f.Close()); err != nil {
		_ = os.Remove(path) // the first error says it all
	}
	return err
}

// create makes an empty file, and its folder if that is missing.
func create(path string) (*os.File, error) {
	const flags, mode = os.O_WRONLY | os.O_CREATE | os.O_TRUNC, 0o600
	f, err := os.OpenFile(path, flags, mode)
	if !errors.Is(err, fs.ErrNotExist) {
		return f, err
	}
	if err := (systemDisk{}).makeFolder(filepath.Dir(path)); err != nil {
		return nil, err
	}
	return os.OpenFile(path, flags, mode)
}

func (d systemDisk) writeAt(path string, offset int64, data []byte) error {
	if offset == 0 {
		return d.write(path, data)
	}
	f, err := os.OpenFile(path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	_, err = f.WriteAt(data, offset)
	return errors.Join(err, f.Close())
}

func (systemDisk) remove(path string) error {
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return nil
}

func (systemDisk) makeFolder(path string) error { return os.MkdirAll(path, 0o700) }

func (systemDisk) lockFolder(path string) (*os.File, error) { return openLockedFolder(path) }
func (systemDisk) lockFile(path string) (*os.File, error)   { return openLocked(path) }
