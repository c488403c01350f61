package listen

import (
	"crypto/tls"
	"net"
	"syscall"
	"testing"
)

// TestUnsentBytesAreBounded: what the kernel keeps for a peer that reads slowly is bounded on every
// listener (TCP_NOTSENT_LOWAT of linux/tcp.h).
func TestUnsentBytesAreBounded(t *testing.T) {
	t.Parallel()
	const tcpNotsentLowat, bound = 25, 256 << 10
	for name, l := range map[string]*Listener{
		"plain":      {},
		"TLS":        {tls: new(tls.Config)},
		"TLS and h2": {tls: new(tls.Config), Multiplexed: true},
	} {
		var err error
		if l.Listener, err = net.Listen("tcp", "127.0.0.1:0"); err != nil {
			t.Fatal(err)
		}
		defer l.Close()
		l.Limits = &Limits{}
		client, err := net.Dial("tcp", l.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		c, err := l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		switch over := c.(type) {
		case *tls.Conn:
			c = over.NetConn()
		case *tlsConn:
			c = over.under
		}
		raw, err := c.(*Conn).NetConn().(*net.TCPConn).SyscallConn()
		if err != nil {
			t.Fatal(err)
		}
		var got int
		if err := raw.Control(func(fd uintptr) { got, err = syscall.GetsockoptInt(int(fd), syscall.IPPROTO_TCP, tcpNotsentLowat) }); err != nil || got != bound {
			t.Errorf("%s: %d bytes, %v", name, got, err)
		}
	}
}
