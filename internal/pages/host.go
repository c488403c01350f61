package pages

import (
	"net/netip"
	"net/url"
	"strconv"
	"strings"
)

// maxHostname is the longest name that there is (RFC 1035 2.3.4).
const maxHostname = 253

// Hostname returns the host of a Host header as it stands in URLs, empty for what is no host. The
// header comes from anybody, and what is made of it goes into a header of ours.
func Hostname(hostport string) string {
	u := url.URL{Host: hostport}
	host := u.Hostname()
	if addr, err := netip.ParseAddr(host); err == nil && addr.Is6() && addr.Zone() == "" {
		return "[" + addr.String() + "]"
	}
	bad := func(c rune) bool {
		return c != '-' && c != '.' && c != '_' && (c < '0' || c > '9') && (c < 'A' || c > 'Z') && (c < 'a' || c > 'z')
	}
	if len(host) > maxHostname || strings.ContainsFunc(host, bad) {
		return ""
	}
	return host
}

// Source is another port of the host of a Host header, as a Content-Security-Policy names it (CSP 3
// 2.3.1); empty for what is no host. CSP knows no addresses of IPv6: there it is that port of every
// host.
func Source(scheme, hostport string, port int) string {
	host := Hostname(hostport)
	switch {
	case host == "":
		return ""
	case strings.HasPrefix(host, "["):
		host = "*"
	}
	return scheme + "://" + host + ":" + strconv.Itoa(port)
}
