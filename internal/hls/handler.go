package hls

import (
	"bytes"
	"io"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"
)

const (
	// Cache-Control by kind of answer. A segment's name is never used again.
	cacheSegment  = "public, max-age=31536000, immutable"
	cachePlaylist = "no-cache"
	cacheNothing  = "no-store"

	allowedMethods = "GET, HEAD, OPTIONS"

	// policy lets Flash players of any site in, as LiveGo does.
	policy = `<?xml version="1.0" ?>
<cross-domain-policy>
	<allow-access-from domain="*" />
	<allow-http-request-headers-from domain="*" headers="*"/>
</cross-domain-policy>
`
)

// ServeHTTP serves playlists, segments and watch pages. Of query strings it knows the delivery directives (RFC 8216bis 6.2.5).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	h := w.Header()
	h.Set("Access-Control-Allow-Origin", "*")
	h.Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h.Set("Access-Control-Expose-Headers", "Content-Length, Content-Range, ETag")
		s.serve(w, r)
	case http.MethodOptions:
		h.Set("Allow", allowedMethods)
		h.Set("Access-Control-Allow-Methods", allowedMethods)
		h.Set("Access-Control-Allow-Headers", "Range, If-None-Match, Cache-Control")
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Allow", allowedMethods)
		refuse(w, http.StatusMethodNotAllowed, "method not allowed")
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request) {
	switch t := route(r.URL.Path); t.kind {
	case mediaPlaylist:
		s.servePlaylist(w, r, t.name)
	case mediaSegment:
		s.serveSegment(w, r, t.name, t.seq)
	case multivariantPlaylist:
		s.serveMultivariant(w, r, t)
	case renditionPlaylist, framesPlaylist:
		s.serveRendition(w, r, t)
	case cmafSegmentFile, cmafPartFile, cmafInitFile:
		s.serveFile(w, r, t)
	case watchPage:
		s.servePage(w, r, t.name)
	case crossDomainPolicy:
		writeBody(w, r, http.StatusOK, "application/xml", []byte(policy))
	default:
		refuse(w, http.StatusNotFound, "not found")
	}
}

func (s *Server) servePage(w http.ResponseWriter, r *http.Request, name string) {
	l := s.find(name)
	var playlists []string
	refresh := offAirRefresh
	if l != nil && !l.over.Load() {
		playlists, refresh = l.playlists(), l.settlesIn(s.opt.SegmentDuration)
	}
	s.page.serve(w, r, name, playlists, refresh)
}

func (s *Server) servePlaylist(w http.ResponseWriter, r *http.Request, name string) {
	l := s.find(name)
	if l == nil {
		refuse(w, http.StatusNotFound, "no publisher")
		return
	}
	if v := s.hold(w, r, s.opt.FirstSegmentWait, once(l.answerable)); v != late && s.refuseWait(w, v, time.Second, "") {
		return
	}
	view, reason := l.view.Load(), l.refusal.Load()
	switch {
	case reason != nil && l.cmaf.mayHave():
		redirect(w, path.Base(name)+"/"+indexName+playlistSuffix)
	case reason != nil || view == nil:
		s.refuseEmpty(w, l, reason)
	default:
		s.watched(r, l)
		w.Header().Set("Cache-Control", cachePlaylist)
		writeText(w, r, document{{data: view.playlist}}, document{{data: view.compressed}}, view.tag)
	}
}

// watched counts the client as a viewer.
func (s *Server) watched(r *http.Request, l *life) {
	if r.Method == http.MethodGet {
		l.audience.see(clientID(s.seed, r), s.opt.Now(), l.period(l.target()))
	}
}

// redirect sends the client to another playlist of the stream, relative to this one.
func redirect(w http.ResponseWriter, to string) {
	u := url.URL{Path: to}
	h := w.Header()
	h.Set("Cache-Control", cacheCurrent)
	h.Set("Location", u.String())
	h.Set("Content-Length", "0")
	w.WriteHeader(http.StatusFound)
}

func retryAfter(w http.ResponseWriter, d time.Duration) {
	w.Header().Set("Retry-After", strconv.Itoa(max(1, int(d/time.Second))))
}

// writeText serves a playlist, compressed if the client takes it.
func writeText(w http.ResponseWriter, r *http.Request, plain, compressed document, tag string) {
	h := w.Header()
	h.Set("Vary", "Accept-Encoding")
	h.Set("Content-Type", "application/vnd.apple.mpegurl")
	body, tag := plain, `"`+tag
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		body, tag = compressed, tag+"-gz"
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", tag+`"`)
	h.Set("Content-Length", strconv.Itoa(body.size())) // ServeContent leaves it out when there is an encoding
	if conditional(r.Header) {
		http.ServeContent(w, r, "", time.Time{}, &pieceReader{pieces: body, size: int64(body.size())})
		return
	}
	h.Set("Accept-Ranges", "bytes")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		body.write(w)
	}
}

// write sends all pieces, unless the client is gone.
func (d document) write(w io.Writer) {
	for i := range d {
		if _, err := w.Write(d[i].data); err != nil {
			return
		}
	}
}

func (s *Server) serveSegment(w http.ResponseWriter, r *http.Request, name string, seq int64) {
	var seg *segment
	if l := s.find(name); l != nil {
		if view := l.view.Load(); view != nil {
			seg = view.segment(seq)
		}
	}
	if seg == nil {
		refuse(w, http.StatusNotFound, "no such segment, or no longer")
		return
	}
	h := w.Header()
	h.Set("Cache-Control", cacheSegment)
	h.Set("Content-Type", "video/mp2t")
	h.Set("ETag", `"`+strconv.FormatInt(seq, 10)+`"`)
	http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(seg.data))
}

// acceptsGzip reads Accept-Encoding (RFC 9110 12.5.3).
func acceptsGzip(values []string) bool {
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			coding, params, _ := strings.Cut(item, ";")
			if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				continue
			}
			q, ok := strings.CutPrefix(strings.TrimSpace(params), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !ok || err == nil && weight > 0
		}
	}
	return false
}

func refuse(w http.ResponseWriter, status int, text string) {
	h := w.Header()
	h.Set("Cache-Control", cacheNothing)
	h.Set("Content-Type", "text/plain; charset=utf-8")
	h.Set("Content-Length", strconv.Itoa(len(text)+1))
	w.WriteHeader(status)
	_, _ = w.Write([]byte(text + "\n")) // the client is gone if this fails
}

func writeBody(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone if this fails
	}
}
