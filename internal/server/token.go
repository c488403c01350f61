package server

import (
	"cmp"
	"errors"
	"io"
	"log/slog"
	"net/http"
	"net/url"
	"strings"

	"livego/internal/hls"
	"livego/internal/http1"
	"livego/internal/listen"
	"livego/internal/live"
	"livego/internal/watch"
)

// A viewer's token stands in front of the path (/~TOKEN/live/room/index.m3u8), where the relative
// URIs of playlists and pages keep it; in the query (?token=TOKEN); or in the header
// (Authorization: Bearer TOKEN, RFC 6750 §2.1). Only the first reaches everything that a player
// asks for.
const (
	tokenPrefix = "/~"
	tokenName   = "token"
)

// withoutPrefix takes a token off the path of a request.
func withoutPrefix(r *http.Request) (rest *http.Request, token string) {
	if !strings.HasPrefix(r.URL.Path, tokenPrefix) {
		return r, ""
	}
	path := cmp.Or(r.URL.RawPath, r.URL.Path) // the first, if a token has a slash
	token, _, more := strings.Cut(path[len(tokenPrefix):], "/")
	if r.URL.RawPath != "" {
		token, _ = url.PathUnescape(token) // it was understood before
	}
	if !more {
		return r, ""
	}
	return withPath(r, r.URL.Path[len(tokenPrefix)+len(token):]), token
}

// tokenIn returns the token in the query or the header of a request, and whether it stands in the
// query.
func tokenIn(r *http.Request) (token string, inQuery bool) {
	if token = queryToken(r.URL.RawQuery); token != "" {
		return token, true
	}
	for _, h := range r.Header["Authorization"] {
		if scheme, credentials, ok := strings.Cut(h, " "); ok && strings.EqualFold(scheme, "Bearer") {
			return strings.TrimSpace(credentials), false
		}
	}
	return "", false
}

// queryToken returns the token in a query.
func queryToken(query string) string {
	if !strings.Contains(query, tokenName) {
		return ""
	}
	values, _ := url.ParseQuery(query) // what does not parse says nothing
	return values.Get(tokenName)
}

// withoutToken is a query without its token, which no log and no list may have.
func withoutToken(query string) string {
	if !strings.Contains(query, tokenName) {
		return query
	}
	values, err := url.ParseQuery(query)
	if err != nil {
		return "" // who knows
	}
	if !values.Has(tokenName) {
		return query
	}
	values.Del(tokenName)
	return values.Encode()
}

// shownPath is the path of a request without a token, for logs.
func shownPath(r *http.Request) string {
	rest, _ := withoutPrefix(r)
	return said(rest.URL.Path)
}

// serveHLS is the one entrance to HLS and its pages, whatever version of HTTP a request came by.
func (s *Server) serveHLS(w http.ResponseWriter, r *http.Request) {
	r, token := withoutPrefix(normal(r))
	if !s.now().access.guarded || r.Method != http.MethodGet && r.Method != http.MethodHead {
		s.onHLS(w, r)
		return
	}
	s.serveGuarded(w, r, token)
}

// serveGuarded serves what not everybody may see. prefix is the token in front of the path.
func (s *Server) serveGuarded(w http.ResponseWriter, r *http.Request, prefix string) {
	recorded, _ := s.recorded(r.URL.Path)
	name, isMedia := cmp.Or(recorded, posterStream(r.URL.Path), hls.StreamName(r.URL.Path)), true
	if name == "" {
		name, isMedia = watch.StreamName(r.URL.Path), false
	}
	app, ok := s.app(nameOf(name).App)
	if !ok || !app.guarded() {
		s.onHLS(w, r) // it says what there is not
		return
	}
	token, toPrefix := prefix, false
	if token == "" {
		token, toPrefix = tokenIn(r)
	}
	protocol := protocolHLS
	if !isMedia {
		protocol = protocolPage
	}
	switch _, err := s.mayWatch(r, protocol, nameOf(name), token); {
	case errors.Is(err, errNotServed):
	case err != nil:
		refuseViewer(w, err)
		return
	case toPrefix:
		redirectToPrefix(w, r, token)
		return
	}
	if !isMedia {
		r = watch.WithToken(r, token)
	}
	if !s.now().opt.ViewerSharedCache {
		w = privateWriter{w}
	}
	s.onHLS(w, r)
}

// mayWatch asks whether who makes a request may watch a stream, and logs if not: of HLS for
// debugging only, as its players ask on and on.
func (s *Server) mayWatch(r *http.Request, protocol string, name live.Name, token string) (pass, error) {
	may, err := s.now().access.play(r.Context(), caller{protocol, listen.RequestAddr(r), r.URL.RawQuery}, name, token)
	if err != nil && !errors.Is(err, errNotServed) {
		level := slog.LevelInfo
		if protocol == protocolHLS || protocol == protocolPage {
			level = slog.LevelDebug
		}
		s.log.Log(r.Context(), level, "player refused", "protocol", protocol, "remote", r.RemoteAddr, "stream", said(name.String()), "reason", err.Error())
	}
	return may, err
}

// refuseViewer says why somebody may not watch.
func refuseViewer(w http.ResponseWriter, why error) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-store")
	status := http.StatusForbidden
	if errors.Is(why, errFull) {
		status = http.StatusServiceUnavailable
		h.Set("Retry-After", "5")
	}
	http.Error(w, why.Error(), status)
}

// redirectToPrefix leads from a token in the query to one in front of the path, relative to where
// the client is: a proxy may have put something before that.
func redirectToPrefix(w http.ResponseWriter, r *http.Request, token string) {
	up := strings.Repeat("../", strings.Count(r.URL.EscapedPath(), "/")-1)
	to := up + tokenPrefix[1:] + url.PathEscape(token) + r.URL.EscapedPath()
	if query := withoutToken(r.URL.RawQuery); query != "" {
		to += "?" + query
	}
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("Cache-Control", "no-store")
	h.Set("Location", to)
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusFound)
}

// privateWriter keeps shared caches from keeping an answer: it is for who has a token.
type privateWriter struct{ http.ResponseWriter }

func (w privateWriter) WriteHeader(status int) {
	if h := w.Header(); h.Get("Cache-Control") != "no-store" {
		h.Set("Cache-Control", "private, "+strings.TrimPrefix(h.Get("Cache-Control"), "public, "))
	}
	w.ResponseWriter.WriteHeader(status)
}

// WriteShared implements http1.Sharer.
func (w privateWriter) WriteShared(b []byte) (int, error) {
	return http1.WriteShared(w.ResponseWriter, b)
}

// Unwrap lets deadlines be moved.
func (w privateWriter) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// ReadFrom hands many pieces to the connection at once, where it takes them.
func (w privateWriter) ReadFrom(r io.Reader) (int64, error) {
	if conn, ok := w.ResponseWriter.(io.ReaderFrom); ok {
		return conn.ReadFrom(r)
	}
	return io.Copy(w.ResponseWriter, r)
}
