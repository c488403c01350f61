//go:build !linux

package iouring

import "errors"

// Ring is only known to Linux.
type Ring[U any] struct{}

// New fails.
func New[U any]() (*Ring[U], error)      { return nil, errors.ErrUnsupported }
func (*Ring[U]) Add(U, int, []byte) bool { return false }
func (*Ring[U]) Flush() []Send[U]        { return nil }
func (*Ring[U]) Close()                  {}
