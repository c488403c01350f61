//go:build unix && !linux

package fanout

import "syscall"

func writeNow(fd int, b []byte) (int, error) { return syscall.Write(fd, b) }
