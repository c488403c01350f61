package server

import (
	"io"
	"net"
	"net/http"
	"net/url"
	"slices"
	"strings"

	"livego/internal/http1"
)

// origins are the web origins whose pages may play what the server has; nil: all.
type origins []string

// newOrigins reads a list in which * stands for all, and https://*.example.org for the hosts of a
// domain.
func newOrigins(list []string) origins {
	if list == nil || slices.Contains(list, "*") {
		return nil
	}
	return append(origins{}, list...)
}

// admit says whether pages of an origin may. Those of the host that was asked always may, whatever
// port they are from: the watch page and the console play from other ports than their own.
func (o origins) admit(origin, host string) bool {
	u, err := url.Parse(origin)
	if err != nil || u.Host == "" {
		return false // null, of a page without an origin
	}
	if name, _, err := net.SplitHostPort(host); err == nil {
		host = name
	}
	if strings.EqualFold(u.Hostname(), strings.Trim(host, "[]")) {
		return true
	}
	origin = strings.ToLower(origin)
	return slices.ContainsFunc(o, func(allowed string) bool {
		scheme, domain, wild := strings.Cut(allowed, "://*.")
		if !wild {
			return allowed == origin
		}
		rest, ok := strings.CutPrefix(origin, scheme+"://")
		return ok && strings.HasSuffix(rest, "."+domain)
	})
}

// forOrigins lets only pages of the origins that may use a handler; who is no page may always.
func (s *Server) forOrigins(h http.HandlerFunc) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		may := s.now().origins
		if may == nil {
			h(w, r)
			return
		}
		origin := r.Header.Get("Origin")
		switch {
		case origin != "" && !may.admit(origin, r.Host):
			w.Header().Set("Vary", "Origin")
			w.Header().Set("Cache-Control", "no-store")
			http.Error(w, "pages of this origin may not play from here: media_origins of the server says which may", http.StatusForbidden)
		case isWebSocket(r): // nothing of its answer is about origins
			h(w, r)
		default:
			h(&originWriter{ResponseWriter: w, origin: origin}, r)
		}
	}
}

// originWriter names the one origin that may read an answer, in place of all.
type originWriter struct {
	http.ResponseWriter
	origin string // empty: the client is no page
	begun  bool
}

func (w *originWriter) WriteHeader(status int) {
	w.begun = true
	h := w.Header()
	h.Add("Vary", "Origin")
	if h.Get(allowOrigin) != "" {
		h.Del(allowOrigin)
		if w.origin != "" {
			h.Set(allowOrigin, w.origin)
		}
	}
	w.ResponseWriter.WriteHeader(status)
}

func (w *originWriter) Write(b []byte) (int, error) {
	w.begin()
	return w.ResponseWriter.Write(b)
}

// ReadFrom hands many pieces to the connection at once, where it takes them.
func (w *originWriter) ReadFrom(r io.Reader) (int64, error) {
	w.begin()
	return io.Copy(w.ResponseWriter, r)
}

func (w *originWriter) begin() {
	if !w.begun {
		w.WriteHeader(http.StatusOK)
	}
}

// WriteShared implements http1.Sharer.
func (w *originWriter) WriteShared(b []byte) (int, error) {
	w.begin()
	return http1.WriteShared(w.ResponseWriter, b)
}

// Unwrap lets a connection be taken over, and deadlines be moved.
func (w *originWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

const allowOrigin = "Access-Control-Allow-Origin"

// flvHeadFor is the answer to a viewer over HTTP-FLV.
func (s *Server) flvHeadFor(r *http.Request) string {
	if s.now().origins == nil {
		return flvHead
	}
	const all = allowOrigin + ": *\r\n"
	named := "Vary: Origin\r\n"
	if origin := r.Header.Get("Origin"); origin != "" {
		named += allowOrigin + ": " + origin + "\r\n"
	}
	return strings.Replace(flvHead, all, named, 1)
}
