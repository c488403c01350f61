package listen

import (
	"crypto/tls"
	"net"
	"net/netip"
	"syscall"
	"testing"
)

// TestSocket: who reads from the socket itself gets that of a connection on which nothing else is,
// and of which nobody else reads.
func TestSocket(t *testing.T) {
	t.Parallel()
	for name, tc := range map[string]struct {
		l    *Listener
		want bool
	}{
		"plain":           {&Listener{}, true},
		"TLS":             {&Listener{tls: new(tls.Config)}, false},
		"through a proxy": {&Listener{Fronts: func() []netip.Prefix { return []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")} }}, false},
	} {
		inner, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			t.Fatal(err)
		}
		tc.l.Listener, tc.l.Limits = inner, &Limits{}
		if tc.l.Fronts != nil {
			tc.l.Listener = newFrontedListener(inner, tc.l.Fronts)
		}
		defer tc.l.Close()
		client, err := net.Dial("tcp", inner.Addr().String())
		if err != nil {
			t.Fatal(err)
		}
		defer client.Close()
		if _, err := client.Write([]byte("PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nmedia")); err != nil {
			t.Fatal(err)
		}
		c, err := tc.l.Accept()
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
		s, ok := c.(interface {
			Socket() (syscall.RawConn, bool)
		})
		got := false
		if ok {
			_, got = s.Socket()
		}
		if got != tc.want {
			t.Errorf("%s: a socket is there: %v, want %v", name, got, tc.want)
		}
	}
}
