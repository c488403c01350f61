// Package auth decides who may call the control API, and slows down those who guess channel keys.
package auth

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"slices"
	"strings"
)

// APIOptions says who may call the API.
type APIOptions struct {
	// Secret, if set, is what callers sign their tokens with. It has at least MinSecret bytes.
	Secret string
	// Algorithm is the signing method: HS256 (the default), HS384 or HS512.
	Algorithm string
	// Allow lists the networks from which calls are taken. Empty: loopback without a secret, everyone with it.
	Allow []netip.Prefix
	// Origins lists the web origins whose pages may call the API from a browser. They need a secret: without one, pages of
	// other origins are never answered.
	Origins []string
}

// APIPolicy guards the control API. It may be used from any goroutine.
//
// Without a secret the only proof of a caller's rights is that it runs on this machine, and a browser or a proxy on this machine
// can be made to call on behalf of strangers. So the request must then also be addressed to this machine by name (a page that
// rebinds its own name to 127.0.0.1 keeps that name in Host), show no trace of a proxy, and come from no foreign page.
type APIPolicy struct {
	verifier *verifier // nil without a secret
	allow    []netip.Prefix
	origins  []string
}

// Refuse answers a request that the policy turns down, with status 403 and the reason, which also says what to do about it.
type Refuse func(w http.ResponseWriter, r *http.Request, reason string)

// NewAPIPolicy checks the options. A secret that is too short or an unknown algorithm is an error.
func NewAPIPolicy(o APIOptions) (*APIPolicy, error) {
	p := &APIPolicy{allow: o.Allow, origins: o.Origins}
	if o.Secret == "" {
		return p, nil
	}
	v, err := newVerifier(o.Secret, o.Algorithm)
	if err != nil {
		return nil, err
	}
	p.verifier = v
	return p, nil
}

// Handler passes on to next what the policy allows. It answers OPTIONS itself, so that no preflight ever runs a handler.
func (p *APIPolicy) Handler(next http.Handler, refuse Refuse) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if reason := p.checkCaller(r); reason != "" {
			refuse(w, r, reason)
			return
		}
		p.shareWithOrigin(w, r)
		if r.Method == http.MethodOptions {
			w.Header().Set("Allow", allowedMethods)
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if p.verifier != nil {
			if reason := p.verifier.check(r); reason != "" {
				w.Header().Set("WWW-Authenticate", "Bearer") // RFC 6750 §3
				refuse(w, r, reason)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// checkCaller returns why the request may not be answered, whatever token it holds.
func (p *APIPolicy) checkCaller(r *http.Request) string {
	peer, ok := peerAddr(r.RemoteAddr)
	switch {
	case !ok:
		return "the caller's address is not known"
	case len(p.allow) > 0 && !slices.ContainsFunc(p.allow, func(n netip.Prefix) bool { return n.Contains(peer) }):
		return fmt.Sprintf("%s is not in api_allow", peer)
	case p.verifier != nil:
		return ""
	case len(p.allow) == 0 && !peer.IsLoopback():
		return "without jwt.secret the API answers only programs on its own machine" + howToOpen
	}
	return checkLocal(r)
}

const howToOpen = "; set jwt.secret (environment variable JWT_SECRET) and send a token, or run livego key get ROOM where the server runs"

// checkLocal returns why the request may come from elsewhere although its connection is local.
func checkLocal(r *http.Request) string {
	if !isLocalHost(r.Host) {
		return "without jwt.secret the API answers only requests to localhost or a loopback address" + howToOpen
	}
	for name := range r.Header {
		if name == "Forwarded" || name == "Via" || name == "X-Real-Ip" || strings.HasPrefix(name, "X-Forwarded") {
			return "without jwt.secret the API answers no request that came through a proxy (header " + name + ")" + howToOpen
		}
	}
	// Fetch Metadata: "none" is typed into the address bar. Same-site is another port of this host, which is another program.
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return foreignPage
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		if !strings.EqualFold(origin, "http://"+r.Host) {
			return foreignPage
		}
	}
	return ""
}

const foreignPage = "without jwt.secret the API answers no page of another origin" + howToOpen

// isLocalHost says whether the Host header names this machine to itself.
func isLocalHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.TrimSuffix(strings.TrimPrefix(host, "["), "]")
	if strings.EqualFold(host, "localhost") {
		return true
	}
	addr, err := netip.ParseAddr(host)
	return err == nil && addr.Unmap().IsLoopback()
}

func peerAddr(remote string) (netip.Addr, bool) {
	peer, err := netip.ParseAddrPort(remote)
	return peer.Addr().Unmap().WithZone(""), err == nil
}

const (
	allowedMethods = "GET, HEAD, POST, OPTIONS"
	// preflightAge is how long, in seconds, a browser may remember the answer to a preflight.
	preflightAge = "600"
)

// shareWithOrigin lets a browser hand the answer to the page that asked, if its origin is listed (Fetch, CORS protocol).
func (p *APIPolicy) shareWithOrigin(w http.ResponseWriter, r *http.Request) {
	if p.verifier == nil || len(p.origins) == 0 {
		return
	}
	h := w.Header()
	h.Add("Vary", "Origin")
	origin := r.Header.Get("Origin")
	if !slices.ContainsFunc(p.origins, func(o string) bool { return strings.EqualFold(o, origin) }) {
		return
	}
	h.Set("Access-Control-Allow-Origin", origin)
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", "GET, HEAD, POST")
		h.Set("Access-Control-Allow-Headers", "Authorization, Content-Type")
		h.Set("Access-Control-Max-Age", preflightAge)
	}
}
