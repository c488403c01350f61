// Package bucket keeps files by name, in a folder or in a bucket of S3.
//
// A name is one or more elements joined by "/", none of them empty, "." or "..". A file is there as
// a whole or not at all, and is replaced as a whole.
package bucket

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path/filepath"
	"strings"
	"time"
)

// ErrNotFound says that there is no file of that name.
var ErrNotFound = fs.ErrNotExist

// maxName bounds a name, in bytes: what S3 allows.
const maxName = 1024

// Bucket is a place for files. Its methods may be called at the same time.
type Bucket interface {
	// Put stores a file of the local disk, which must not change and may be of the same disk.
	Put(ctx context.Context, name, path string, as Meta) error
	// Write stores bytes.
	Write(ctx context.Context, name string, data []byte, as Meta) error
	// Open opens a file. It fails with ErrNotFound.
	Open(ctx context.Context, name string) (*File, error)
	// Stat returns the size of a file, in bytes. It fails with ErrNotFound.
	Stat(ctx context.Context, name string) (int64, error)
	// List returns the files of a folder by their names in it, without those of folders below.
	List(ctx context.Context, folder string) ([]string, error)
	// Remove removes files and folders that are empty then. That one is not there is no error.
	// After an error some of them may be there still.
	Remove(ctx context.Context, names ...string) error
}

// Meta is what HTTP says of a file; a folder does not keep it.
type Meta struct{ ContentType, CacheControl string }

// File is an open file. It has one user, who closes it.
type File struct {
	io.ReadSeekCloser
	Size     int64
	Modified time.Time
}

// Open returns the bucket at a location, a folder or
// "s3://BUCKET/PREFIX?endpoint=HOST:PORT&region=REGION&path_style=true". Nothing is asked of it
// yet.
func Open(location string) (Bucket, error) {
	if strings.HasPrefix(location, s3Scheme) {
		return openS3(location)
	}
	if location == "" {
		return nil, errors.New("no folder is named")
	}
	dir, err := filepath.Abs(location)
	if err != nil {
		return nil, err
	}
	return folder(dir), nil
}

// check refuses names that are none.
func check(name string) error {
	if len(name) > maxName || !filepath.IsLocal(filepath.FromSlash(name)) || strings.Contains("/"+name+"/", "//") ||
		strings.Contains("/"+name+"/", "/./") || strings.Contains("/"+name+"/", "/../") {
		return fmt.Errorf("%.80q is not the name of a file", name)
	}
	return nil
}
