package server

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/netip"
	"strings"
	"testing"

	"github.com/pires/go-proxyproto"
)

// speakFor is a proxy that says for whom it speaks, in front of a listener.
func speakFor(t testing.TB, to string, version byte, client string) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { l.Close() })
	go func() {
		for {
			in, err := l.Accept()
			if err != nil {
				return
			}
			out, err := net.Dial("tcp", to)
			if err != nil {
				in.Close()
				continue
			}
			from := net.TCPAddrFromAddrPort(netip.AddrPortFrom(netip.MustParseAddr(client), 4000))
			_, _ = proxyproto.HeaderProxyFromAddrs(version, from, out.RemoteAddr()).WriteTo(out)
			go func() { _, _ = io.Copy(out, in); out.Close() }()
			go func() { _, _ = io.Copy(in, out); in.Close() }()
		}
	}()
	return l.Addr().String()
}

// TestProxyProtocol: a proxy that is trusted says whose connection it is, on RTMP and HTTP ports,
// and nobody else can.
func TestProxyProtocol(t *testing.T) {
	t.Parallel()
	for version := byte(1); version <= 2; version++ {
		s, tags := start(t, func(o *Options) {
			o.ProxyProtocol, o.TrustedProxies = true, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
			o.Apps[0].Viewers.Deny = []netip.Prefix{netip.MustParsePrefix("198.51.100.0/24")}
		}), clip(t)
		publish(t, s, "movie").send(tags[:20]...) // without a header
		watchRTMPAt(t, "rtmp://"+speakFor(t, s.addr("rtmp"), version, "192.0.2.7")+"/live/movie").await(t, tags[19])
		watchFLVAt(t, "http://"+speakFor(t, s.addr("http-flv"), version, "2001:db8::7")+"/live/movie.flv").await(t, tags[19])
		denied := call(t, "GET", "http://"+speakFor(t, s.addr("http-flv"), version, "198.51.100.1")+"/live/movie.flv")
		wantEqual(t, "status of a client that is denied", denied.status, http.StatusForbidden)
		var remotes []string
		for _, session := range s.Sessions() {
			remotes = append(remotes, session.RemoteAddr)
		}
		wantContains(t, "addresses", strings.Join(remotes, " "), "192.0.2.7:4000", "[2001:db8::7]:4000", "127.0.0.1:")
	}
}

// TestProxyProtocolOfStrangers: who is not trusted cannot say that it is somebody else, and junk of
// proxies ends their connections.
func TestProxyProtocolOfStrangers(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) {
		o.ProxyProtocol, o.TrustedProxies = true, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	})
	answers := func(first string) string {
		nc := dial(t, s.addr("http-flv"))
		fmt.Fprintf(nc, "%sGET /streams HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n", first)
		text, _ := io.ReadAll(nc)
		return string(text)
	}
	wantContains(t, "answer without a header", answers(""), "200 OK")
	wantContains(t, "answer with one", answers("PROXY TCP4 192.0.2.1 127.0.0.1 1 2\r\n"), "400 Bad Request")
	trusting := start(t, func(o *Options) {
		o.ProxyProtocol, o.TrustedProxies = true, []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}
	})
	for _, junk := range []string{"PROXY TCP4 x\r\n", "PROXY " + strings.Repeat("x", 200) + "\r\n", "\r\n\r\n\x00\r\nQUIT\n\x21\x11\xff\xff"} {
		nc := dial(t, trusting.addr("rtmp"))
		fmt.Fprint(nc, junk)
		_ = nc.CloseWrite()
		if text, _ := io.ReadAll(nc); len(text) > 0 {
			t.Errorf("%q is answered with %q", junk, text)
		}
	}
}
