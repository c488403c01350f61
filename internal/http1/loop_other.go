//go:build !linux

package http1

import (
	"context"
	"net"
)

// loops are none: net/http has all connections.
type loops struct{}

func (loops) start(*Server)         {}
func (loops) take(net.Conn) bool    { return false }
func (loops) drain(context.Context) {}
func (loops) close()                {}
