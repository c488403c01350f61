package hlsclient

import (
	"context"
	"crypto/tls"
	"errors"
	"net"
	"net/http"
	"net/netip"
	"net/url"
	"syscall"
)

// newHTTP returns a client that goes where the URL says, whatever network that is in: whoever
// configured it knows. Where its answers lead, by redirects and in playlists, must be public, for
// only who runs the other server wrote that.
func newHTTP(u *url.URL, config *tls.Config) *http.Client {
	given := hostPort(u)
	dialer := &net.Dialer{Timeout: connectTimeout}
	public := &net.Dialer{Timeout: connectTimeout, Control: onlyPublic}
	t := http.DefaultTransport.(*http.Transport).Clone()
	t.Proxy = nil // it would look up names in our place
	t.TLSClientConfig, t.ResponseHeaderTimeout, t.TLSHandshakeTimeout = config, connectTimeout, connectTimeout
	t.MaxResponseHeaderBytes, t.MaxIdleConnsPerHost = 64<<10, 2
	t.DialContext = func(ctx context.Context, network, addr string) (net.Conn, error) {
		if addr == given {
			return dialer.DialContext(ctx, network, addr)
		}
		return public.DialContext(ctx, network, addr)
	}
	return &http.Client{Transport: t, CheckRedirect: func(r *http.Request, via []*http.Request) error {
		if len(via) > maxRedirects {
			return errors.New("too many redirects")
		}
		if hostPort(r.URL) != given {
			r.Header.Del("Authorization")
		}
		return nil
	}}
}

// hostPort is where a URL is dialled.
func hostPort(u *url.URL) string {
	port := u.Port()
	if port == "" {
		port = map[string]string{"http": "80", "https": "443"}[u.Scheme]
	}
	return net.JoinHostPort(u.Hostname(), port)
}

// onlyPublic lets no connection be made to an address that is not public. It is called with the
// address that a name led to, so that nothing is gained by a name that changes.
func onlyPublic(_, address string, _ syscall.RawConn) error {
	at, err := netip.ParseAddrPort(address)
	if err != nil || !isPublic(at.Addr().Unmap()) {
		return ErrForbidden
	}
	return nil
}

// isPublic says whether an address may be anybody's.
func isPublic(a netip.Addr) bool {
	shared := netip.MustParsePrefix("100.64.0.0/10") // RFC 6598
	mapped := netip.MustParsePrefix("64:ff9b::/96")  // RFC 6052: leads to any IPv4 address
	return a.IsGlobalUnicast() && !a.IsPrivate() && !shared.Contains(a) && !mapped.Contains(a)
}
