package auth

import (
	"context"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// Proxies are the networks of the proxies that are believed when they say whom they speak for.
type Proxies []netip.Prefix

// maxHops bounds how many addresses of a header are looked at: more proxies than anybody has in a
// row.
const maxHops = 32

// forwarded marks requests in their context whose RemoteAddr a believed proxy has named.
type forwarded struct{}

// Client returns the request with the address of the client itself in RemoteAddr, if it came
// through a proxy that is believed: the last one of X-Forwarded-For that is not such a proxy's, for
// whatever stands before it the client may have written itself. Other requests stay as they are.
func (p Proxies) Client(r *http.Request) *http.Request {
	peer, ok := peerAddr(r.RemoteAddr)
	if !ok || !p.Contains(peer) {
		return r
	}
	client := peer
	hops := strings.Split(strings.Join(r.Header["X-Forwarded-For"], ","), ",")
	for i, hop := range slices.Backward(hops) {
		addr, ok := hopAddr(hop)
		if !ok || len(hops)-i > maxHops {
			break // the one before it is the last that is known
		}
		if client = addr; !p.Contains(addr) {
			break
		}
	}
	if client == peer {
		return r
	}
	r = r.WithContext(context.WithValue(r.Context(), forwarded{}, true))
	r.RemoteAddr = net.JoinHostPort(client.String(), "0")
	return r
}

// Contains says whether an address is one of theirs.
func (p Proxies) Contains(addr netip.Addr) bool {
	return slices.ContainsFunc(p, func(n netip.Prefix) bool { return n.Contains(addr) })
}

// hopAddr reads an element of X-Forwarded-For: an address, which some proxies write with a port or
// in brackets.
func hopAddr(hop string) (netip.Addr, bool) {
	hop = strings.TrimSpace(hop)
	if withPort, err := netip.ParseAddrPort(hop); err == nil {
		return withPort.Addr().Unmap().WithZone(""), true
	}
	addr, err := netip.ParseAddr(strings.TrimSuffix(strings.TrimPrefix(hop, "["), "]"))
	return addr.Unmap().WithZone(""), err == nil
}

// isForwarded says whether a believed proxy has named the client.
func isForwarded(r *http.Request) bool { return r.Context().Value(forwarded{}) != nil }

// Network is what an address counts as where addresses are counted: of IPv6 a /64, of which one
// host usually has all.
func Network(addr netip.Addr) netip.Addr {
	addr = addr.Unmap().WithZone("")
	if !addr.Is6() {
		return addr
	}
	const siteBits = 64
	prefix, err := addr.Prefix(siteBits)
	if err != nil {
		return addr
	}
	return prefix.Addr()
}
