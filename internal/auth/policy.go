// Package auth decides who may call the control API, and slows down those who guess channel keys.
package auth

import (
	"fmt"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"slices"
	"strconv"
	"strings"
)

// APIOptions says who may call the API.
type APIOptions struct {
	// Secret, if set, is what callers sign their tokens with. It has at least MinSecret bytes,
	// unless Short is set: nobody but programs on this machine can call then, so nobody else can
	// guess.
	Secret string
	Short  bool
	// Algorithm is the signing method: HS256 (the default), HS384 or HS512.
	Algorithm string
	// Allow lists the networks from which calls are taken. Empty: loopback without a secret,
	// everyone with it.
	Allow []netip.Prefix
	// Origins lists the web origins whose pages may call the API from a browser. They need a
	// secret: without one, pages of other origins are never answered.
	Origins []string
}

// APIPolicy guards the control API. It may be used from any goroutine.
//
// Without a secret the only proof of a caller's rights is that it runs on this machine, and a
// browser or a proxy on this machine can be made to call on behalf of strangers. So the request
// must then also be addressed to this machine by name (a page that rebinds its own name to
// 127.0.0.1 keeps that name in Host), show no trace of a proxy, and come from no foreign page.
type APIPolicy struct {
	verifier *verifier // nil without a secret
	allow    []netip.Prefix
	origins  []string
}

// Refuse answers a request that the policy turns down, with status 403 and the reason, which also
// says what to do about it.
type Refuse func(w http.ResponseWriter, r *http.Request, reason string)

// NewAPIPolicy checks the options. A secret that is too short or an unknown algorithm is an error.
func NewAPIPolicy(o APIOptions) (*APIPolicy, error) {
	p := &APIPolicy{allow: o.Allow, origins: o.Origins}
	switch {
	case o.Secret == "":
		return p, nil
	case len(o.Secret) < MinSecret && !o.Short:
		return nil, fmt.Errorf("jwt secret has %d bytes, needs at least %d", len(o.Secret), MinSecret)
	}
	v, err := newVerifier(o.Secret, o.Algorithm)
	if err != nil {
		return nil, err
	}
	p.verifier = v
	return p, nil
}

// Rules adapt a policy to what it guards.
type Rules struct {
	Refuse Refuse
	// Methods are those that there are; OPTIONS comes on top. Headers and Exposed are what pages of
	// listed origins may send and read beside what all may.
	Methods, Headers, Exposed []string
	// HeaderOnly takes tokens from the Authorization header only: queries end up in logs and
	// histories.
	HeaderOnly bool
}

// Handler is Guard with the rules of LiveGo's paths.
func (p *APIPolicy) Handler(next http.Handler, refuse Refuse) http.Handler {
	return p.Guard(next, Rules{
		Refuse: refuse, Methods: []string{http.MethodGet, http.MethodHead, http.MethodPost}, Headers: []string{"Authorization", "Content-Type"},
	})
}

// Guard passes on to next what the policy allows. It answers OPTIONS itself, so that no preflight
// ever runs a handler.
func (p *APIPolicy) Guard(next http.Handler, rules Rules) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if reason := p.checkCaller(r); reason != "" {
			rules.Refuse(w, r, reason)
			return
		}
		p.shareWithOrigin(w, r, &rules)
		if r.Method == http.MethodOptions {
			w.Header().Set("Allow", strings.Join(rules.Methods, ", ")+", OPTIONS")
			w.WriteHeader(http.StatusNoContent)
			return
		}
		if p.verifier != nil {
			if reason := p.verifier.check(r, rules.HeaderOnly); reason != "" {
				w.Header().Set("WWW-Authenticate", "Bearer") // RFC 6750 §3
				rules.Refuse(w, r, reason)
				return
			}
		}
		next.ServeHTTP(w, r)
	})
}

// checkCaller returns why the request may not be answered, whatever token it holds.
func (p *APIPolicy) checkCaller(r *http.Request) string {
	peer, ok := peerAddr(r.RemoteAddr)
	listed := slices.ContainsFunc(p.allow, func(n netip.Prefix) bool { return n.Contains(peer) })
	switch {
	case !ok:
		return "the caller's address is not known"
	case len(p.allow) > 0 && !listed:
		return fmt.Sprintf("%s is not in api_allow", peer) + p.howToAllow(peer)
	case p.verifier != nil:
		return ""
	case peer.IsLoopback():
		return checkLocal(r)
	case !listed:
		return "without jwt.secret the API answers only programs on its own machine" + p.howToAllow(peer) + howToOpen
	}
	return checkListed(r)
}

const howToOpen = "; set jwt.secret (environment variable JWT_SECRET) and send a token, or run livego key get ROOM where the server runs" +
	" (docker exec CONTAINER /livego key get ROOM)"

// howToAllow says which line lets the peer in, beside those who are in already.
func (p *APIPolicy) howToAllow(peer netip.Addr) string {
	list := `127.0.0.1, "::1"`
	if len(p.allow) > 0 {
		quoted := make([]string, len(p.allow))
		for i, n := range p.allow {
			quoted[i] = strconv.Quote(n.String())
		}
		list = strings.Join(quoted, ", ")
	}
	name := peer.String()
	if peer.Is6() {
		name = strconv.Quote(name)
	}
	return "; to let " + peer.String() + " call it, write into livego.yaml the line api_allow: [" + list + ", " + name + "]"
}

// checkLocal returns why the request may come from elsewhere although its connection is local.
func checkLocal(r *http.Request) string {
	if what := MadeElsewhere(r); what != "" {
		return "without jwt.secret the API answers " + what + howToOpen
	}
	return ""
}

// checkListed returns why the request may be somebody else's although its address is in api_allow.
// Names of this server are not known, so a page that rebinds its own name to the server's address
// shows only by a browser that calls a name which anybody may register.
func checkListed(r *http.Request) string {
	what := ""
	switch header := proxyHeader(r); {
	case header != "" && !isForwarded(r):
		what = "no request that came through a proxy (header " + header + ") that is not in trusted_proxies"
	case !fromOwnPage(r):
		what = foreignPage
	case strings.HasPrefix(r.UserAgent(), "Mozilla/") && !isPrivateHost(r.Host):
		what = "no browser that calls it by name: use its address"
	default:
		return ""
	}
	return "without jwt.secret the API answers " + what + howToOpen
}

// MadeElsewhere says by what a request from this machine shows that somebody elsewhere made it, as
// words after "the server answers"; empty if by nothing. It is addressed to another name (a page
// that rebinds its own name to 127.0.0.1 keeps that name in Host), it came through a proxy, or a
// page of another origin made a browser send it.
func MadeElsewhere(r *http.Request) string {
	if !isLocalHost(r.Host) {
		return "only requests to localhost or a loopback address"
	}
	if header := proxyHeader(r); header != "" {
		return "no request that came through a proxy (header " + header + ")"
	}
	if !fromOwnPage(r) {
		return foreignPage
	}
	return ""
}

const foreignPage = "no page of another origin"

// proxyHeaders are set by proxies and delivery networks, and by nobody else. Names that end with a
// dash are the beginning of names.
var proxyHeaders = []string{
	"Ali-Cdn-", "Cdn-Loop", "Cf-", "Client-Ip", "Do-Connecting-Ip", "Fastly-", "Fly-", "Forwarded", "Proxy-Client-Ip", "Surrogate-Capability",
	"True-Client-Ip", "Via", "Wl-Proxy-Client-Ip", "X-Amz-Cf-", "X-Amzn-", "X-Arr-", "X-Azure-", "X-Client-Ip", "X-Cloud-Trace-Context",
	"X-Cluster-Client-Ip", "X-Coming-From", "X-Envoy-", "X-Forwarded", "X-Forwarded-", "X-From", "X-Haproxy-", "X-Host", "X-Nginx-Proxy", "X-Original-",
	"X-Proxy-", "X-Proxyuser-Ip", "X-Real-Host", "X-Real-Ip", "X-Real-Port", "X-Remote-Addr", "X-Remote-Ip", "X-Rewrite-Url", "X-Varnish", "X-Vercel-",
}

// proxyHeader returns a header by which a proxy shows, empty if there is none.
func proxyHeader(r *http.Request) string {
	for name := range r.Header {
		if slices.ContainsFunc(proxyHeaders, func(h string) bool {
			return name == h || strings.HasSuffix(h, "-") && strings.HasPrefix(name, h)
		}) {
			return name
		}
	}
	return ""
}

// fromOwnPage says whether a request is not one that a page of another origin made a browser send.
// Fetch Metadata says so best: "none" is typed into the address bar; same-site is another port of
// this host, which is another program. Browsers without it say at least which page it was.
func fromOwnPage(r *http.Request) bool {
	for _, site := range r.Header.Values("Sec-Fetch-Site") {
		if site != "same-origin" && site != "none" {
			return false
		}
	}
	for _, origin := range r.Header.Values("Origin") {
		if !strings.EqualFold(origin, "http://"+r.Host) {
			return false
		}
	}
	for _, referer := range r.Header.Values("Referer") {
		page, err := url.Parse(referer)
		if err != nil || page.Scheme != "http" || !strings.EqualFold(page.Host, r.Host) {
			return false
		}
	}
	return true
}

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

// OnlyLocal says whether only programs on this machine reach a listen address.
func OnlyLocal(listen string) bool {
	host, _, err := net.SplitHostPort(listen)
	return err == nil && host != "" && isLocalHost(host)
}

// isPrivateHost says whether nobody can register the name in the Host header in public: an address,
// a name without a dot, or one below a domain for private use (RFC 6761, RFC 6762, RFC 8375, and
// ICANN's .internal).
func isPrivateHost(host string) bool {
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	host = strings.ToLower(strings.TrimSuffix(strings.TrimSuffix(strings.TrimPrefix(host, "["), "]"), "."))
	if _, err := netip.ParseAddr(host); err == nil || !strings.Contains(host, ".") {
		return true
	}
	return slices.ContainsFunc([]string{".local", ".localhost", ".internal", ".home.arpa", ".lan", ".test"}, func(domain string) bool {
		return strings.HasSuffix(host, domain)
	})
}

func peerAddr(remote string) (netip.Addr, bool) {
	peer, err := netip.ParseAddrPort(remote)
	return peer.Addr().Unmap().WithZone(""), err == nil
}

// preflightAge is how long, in seconds, a browser may remember the answer to a preflight.
const preflightAge = "600"

// shareWithOrigin lets a browser hand the answer to the page that asked, if its origin is listed
// (Fetch, CORS protocol).
func (p *APIPolicy) shareWithOrigin(w http.ResponseWriter, r *http.Request, rules *Rules) {
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
	if len(rules.Exposed) > 0 {
		h.Set("Access-Control-Expose-Headers", strings.Join(rules.Exposed, ", "))
	}
	if r.Method == http.MethodOptions {
		h.Set("Access-Control-Allow-Methods", strings.Join(rules.Methods, ", "))
		h.Set("Access-Control-Allow-Headers", strings.Join(rules.Headers, ", "))
		h.Set("Access-Control-Max-Age", preflightAge)
	}
}
