//go:build !linux

package http1

import (
	"context"
	"crypto/tls"
	"net"
)

// secured is what a loop would know of a connection over TLS.
type secured struct{}

// loops are none: net/http has all connections.
type loops struct{}

func (loops) start(*Server)                {}
func (loops) take(net.Conn, *secured) bool { return false }
func (loops) secure(s *Server, c net.Conn) { s.rest.give(tls.Server(c, s.opt.TLS)) }
func (loops) drain(context.Context)        {}
func (loops) close()                       {}
