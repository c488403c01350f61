package auth

import (
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"
)

func TestClientBehindProxies(t *testing.T) {
	trusted := Proxies{netip.MustParsePrefix("127.0.0.0/8"), netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("2001:db8:1::/48")}
	for _, tc := range []struct {
		name, peer string
		header     []string
		want       string
	}{
		{"no proxy", "192.0.2.1:5", nil, "192.0.2.1:5"},
		{"a stranger who says he is one", "192.0.2.1:5", []string{"203.0.113.9"}, "192.0.2.1:5"},
		{"a proxy for itself", "127.0.0.1:5", nil, "127.0.0.1:5"},
		{"one proxy", "127.0.0.1:5", []string{"203.0.113.9"}, "203.0.113.9:0"},
		{"IPv4 in IPv6", "[::ffff:127.0.0.1]:5", []string{"::ffff:203.0.113.9"}, "203.0.113.9:0"},
		{"what the client wrote is before it", "127.0.0.1:5", []string{"127.0.0.1, 198.51.100.7, 203.0.113.9"}, "203.0.113.9:0"},
		{"in lines of its own", "127.0.0.1:5", []string{"198.51.100.7", "203.0.113.9"}, "203.0.113.9:0"},
		{"two proxies", "127.0.0.1:5", []string{"198.51.100.7, 203.0.113.9, 10.1.2.3"}, "203.0.113.9:0"},
		{"proxies only", "127.0.0.1:5", []string{"10.1.2.3,10.1.2.4"}, "10.1.2.3:0"},
		{"IPv6", "[2001:db8:1::1]:5", []string{"2001:db8:2::7"}, "[2001:db8:2::7]:0"},
		{"with ports", "127.0.0.1:5", []string{"[2001:db8:2::7]:443, 10.1.2.3:8080"}, "[2001:db8:2::7]:0"},
		{"no address", "127.0.0.1:5", []string{"203.0.113.9, unknown"}, "127.0.0.1:5"},
		{"no address before a proxy", "127.0.0.1:5", []string{"203.0.113.9, unknown, 10.1.2.3"}, "10.1.2.3:0"},
		{"empty", "127.0.0.1:5", []string{""}, "127.0.0.1:5"},
		{"more hops than there are", "127.0.0.1:5", []string{"203.0.113.9" + strings.Repeat(",10.1.2.3", 3000)}, "10.1.2.3:0"},
		{"a peer without address", "@", []string{"203.0.113.9"}, "@"},
	} {
		r := httptest.NewRequest("GET", "/", nil)
		r.RemoteAddr, r.Header["X-Forwarded-For"] = tc.peer, tc.header
		got := trusted.Client(r)
		if got.RemoteAddr != tc.want {
			t.Errorf("%s: %s, want %s", tc.name, got.RemoteAddr, tc.want)
		}
		if r.RemoteAddr != tc.peer || isForwarded(got) != (tc.want != tc.peer) {
			t.Errorf("%s: the request became %s, marked %v", tc.name, r.RemoteAddr, isForwarded(got))
		}
		if got := (Proxies)(nil).Client(r); got != r {
			t.Errorf("%s: nobody is believed, and the request is another one", tc.name)
		}
	}
}

func TestNetwork(t *testing.T) {
	for addr, want := range map[string]string{
		"192.0.2.1": "192.0.2.1", "::ffff:192.0.2.1": "192.0.2.1", "2001:db8:1:2:3:4:5:6": "2001:db8:1:2::", "fe80::1%eth0": "fe80::",
	} {
		if got := Network(netip.MustParseAddr(addr)); got.String() != want {
			t.Errorf("%s counts as %s, want %s", addr, got, want)
		}
	}
}
