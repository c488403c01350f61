//go:build unix && !linux

package fanout

import "syscall"

func limitUnsent(syscall.RawConn) {}
