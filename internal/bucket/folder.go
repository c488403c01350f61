package bucket

import (
	"bytes"
	"context"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
)

const (
	dirMode, fileMode = 0o755, 0o644
	// partSuffix is of files that are being written.
	partSuffix = ".part"
)

// folder is a bucket on the local disk.
type folder string

var _ Bucket = folder("")

func (f folder) path(name string) (string, error) {
	return filepath.Join(string(f), filepath.FromSlash(name)), check(name)
}

// Put implements Bucket. On the same file system the file is linked, which copies nothing.
func (f folder) Put(_ context.Context, name, path string, _ Meta) error {
	to, err := f.path(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), dirMode); err != nil {
		return err
	}
	if os.Link(path, to) == nil {
		return nil
	}
	from, err := os.Open(path)
	if err != nil {
		return err
	}
	defer from.Close()
	return replace(to, from)
}

// Write implements Bucket.
func (f folder) Write(_ context.Context, name string, data []byte, _ Meta) error {
	to, err := f.path(name)
	if err != nil {
		return err
	}
	if err := os.MkdirAll(filepath.Dir(to), dirMode); err != nil {
		return err
	}
	return replace(to, bytes.NewReader(data))
}

// replace writes a file beside its place and moves it there.
func replace(to string, data io.Reader) error {
	part := to + partSuffix
	w, err := os.OpenFile(part, os.O_WRONLY|os.O_CREATE|os.O_TRUNC, fileMode)
	if err != nil {
		return err
	}
	_, err = io.Copy(w, data)
	if err = errors.Join(err, w.Close()); err == nil {
		err = os.Rename(part, to)
	}
	if err != nil {
		_ = os.Remove(part) // the first error says it all
	}
	return err
}

// Open implements Bucket.
func (f folder) Open(_ context.Context, name string) (*File, error) {
	path, err := f.path(name)
	if err != nil {
		return nil, err
	}
	r, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	st, err := r.Stat()
	if err == nil && st.IsDir() {
		err = ErrNotFound
	}
	if err != nil {
		_ = r.Close()
		return nil, err
	}
	return &File{ReadSeekCloser: r, Size: st.Size(), Modified: st.ModTime()}, nil
}

// Stat implements Bucket.
func (f folder) Stat(_ context.Context, name string) (int64, error) {
	path, err := f.path(name)
	if err != nil {
		return 0, err
	}
	st, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return st.Size(), nil
}

// List implements Bucket.
func (f folder) List(_ context.Context, name string) (names []string, err error) {
	path, err := f.path(name)
	if err != nil {
		return nil, err
	}
	entries, err := os.ReadDir(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	for _, e := range entries {
		if e.Type().IsRegular() && !strings.HasSuffix(e.Name(), partSuffix) {
			names = append(names, e.Name())
		}
	}
	return names, err
}

// Remove implements Bucket.
func (f folder) Remove(ctx context.Context, names ...string) error {
	for _, name := range names {
		if err := context.Cause(ctx); err != nil {
			return err
		}
		if err := f.remove(name); err != nil {
			return err
		}
	}
	return nil
}

func (f folder) remove(name string) error {
	path, err := f.path(name)
	if err != nil {
		return err
	}
	if err := os.Remove(path); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	for dir := filepath.Dir(path); len(dir) > len(f); dir = filepath.Dir(dir) {
		if os.Remove(dir) != nil {
			break // there is something in it
		}
	}
	return nil
}
