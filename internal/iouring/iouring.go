// Package iouring hands many sends to the system with one call (io_uring(7)), where Linux has that
// and allows it.
package iouring

// Size is how many sends go with one system call. The scheduler does not hear of the call, so it
// must not take long: a few hundred microseconds.
const Size = 64

// Send is one send and how many bytes of it were taken: none also if it failed.
type Send[U any] struct {
	User  U
	Bytes []byte
	N     int
}
