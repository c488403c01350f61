package server

import (
	"net"
	"net/http"
	"net/url"
	"strconv"
)

// redirect leads clients to the same path of a port with TLS, and answers the authority's HTTP-01
// challenges (RFC 8555 §8.3).
func (s *Server) redirect() http.Handler {
	lead := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		host := hostOf(r.Host)
		if host == "" || r.Method != http.MethodGet && r.Method != http.MethodHead {
			http.Error(w, "use HTTPS", http.StatusBadRequest)
			return
		}
		if port := s.httpsPort(); port != 443 {
			host = net.JoinHostPort(host, strconv.Itoa(port))
		}
		to := url.URL{Scheme: "https", Host: host, Path: r.URL.Path, RawPath: r.URL.RawPath, RawQuery: r.URL.RawQuery}
		w.Header().Set("Location", to.String())
		w.WriteHeader(http.StatusTemporaryRedirect)
	})
	if s.issuer != nil {
		return s.issuer.Challenges(lead)
	}
	return lead
}

// hostOf is the host of a Host header without its port, empty for what is no host.
func hostOf(header string) string {
	u, err := url.Parse("http://" + header)
	if err != nil || u.Host != header || u.User != nil {
		return ""
	}
	return u.Hostname()
}

// httpsPort is the port that is served by TLS for browsers.
func (s *Server) httpsPort() int {
	for _, l := range s.listeners {
		if addr, ok := l.Addr().(*net.TCPAddr); ok && l.Name == "https" {
			return addr.Port
		}
	}
	return 443
}
