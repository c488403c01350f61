//go:build !unix

package fanout

import "net"

// newSocket returns nil: players are written to by goroutines of their own.
func newSocket(net.Conn) socket { return nil }

// LimitUnsent does nothing: there is no such bound.
func LimitUnsent(net.Conn) {}
