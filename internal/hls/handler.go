package hls

import (
	"bytes"
	"net/http"
	"strconv"
	"strings"
	"time"
)

const (
	playlistSuffix = ".m3u8"
	segmentSuffix  = ".ts"
	policyFile     = "crossdomain.xml"

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

// resource is what a URL stands for.
type resource uint8

const (
	nothing resource = iota
	mediaPlaylist
	mediaSegment
	watchPage
	crossDomainPolicy
)

// route reads a URL's path: /{app}/{stream}.m3u8, /{app}/{stream}/{seq}.ts, /{app}/{stream}/ or anything/crossdomain.xml. The
// stream may contain slashes.
func route(path string) (kind resource, name string, seq int64) {
	path, ok := strings.CutPrefix(path, "/")
	if !ok {
		return nothing, "", 0
	}
	dir, file := "", path
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		dir, file = path[:i], path[i+1:]
	}
	if file == policyFile {
		return crossDomainPolicy, "", 0
	}
	if file == "" {
		return named(watchPage, dir, 0)
	}
	if _, ok := strings.CutSuffix(file, playlistSuffix); ok {
		return named(mediaPlaylist, strings.TrimSuffix(path, playlistSuffix), 0)
	}
	if digits, ok := strings.CutSuffix(file, segmentSuffix); ok {
		// One name for a segment, so that caches hold it once: no sign, no leading zeros.
		if seq, err := strconv.ParseInt(digits, 10, 64); err == nil && strconv.FormatInt(seq, 10) == digits {
			return named(mediaSegment, dir, seq)
		}
	}
	return nothing, "", 0
}

// named checks that a name has an app and a stream.
func named(kind resource, name string, seq int64) (resource, string, int64) {
	app, stream, ok := strings.Cut(name, "/")
	if !ok || app == "" || stream == "" || strings.HasSuffix(stream, "/") {
		return nothing, "", 0
	}
	return kind, name, seq
}

// StreamName returns the stream ("app/stream") that a URL path of a Server is about, for checks before ServeHTTP; "" for none.
func StreamName(path string) string {
	_, name, _ := route(path)
	return name
}

// ServeHTTP serves playlists, segments and watch pages. It ignores query strings.
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
	kind, name, seq := route(r.URL.Path)
	switch kind {
	case mediaPlaylist:
		s.servePlaylist(w, r, name)
	case mediaSegment:
		s.serveSegment(w, r, name, seq)
	case watchPage:
		l := s.find(name)
		onAir := l != nil && !l.over.Load()
		refresh := offAirRefresh
		if onAir {
			refresh = l.settlesIn(s.opt.SegmentDuration)
		}
		s.page.serve(w, r, name, onAir, refresh)
	case crossDomainPolicy:
		writeBody(w, r, http.StatusOK, "application/xml", []byte(policy))
	default:
		refuse(w, http.StatusNotFound, "not found")
	}
}

func (s *Server) servePlaylist(w http.ResponseWriter, r *http.Request, name string) {
	l := s.find(name)
	if l == nil {
		refuse(w, http.StatusNotFound, "no publisher")
		return
	}
	if !s.await(r, l) {
		return
	}
	view := l.view.Load()
	if reason := l.refusal.Load(); reason != nil {
		refuse(w, http.StatusNotFound, *reason)
		return
	}
	switch {
	case view != nil:
		if r.Method == http.MethodGet {
			l.audience.see(clientID(s.seed, r), s.opt.Now(), l.period(view.target))
		}
		writePlaylist(w, r, view)
	case l.over.Load():
		refuse(w, http.StatusNotFound, "no publisher")
	default:
		w.Header().Set("Retry-After", strconv.Itoa(max(1, int(s.opt.SegmentDuration/time.Second))))
		refuse(w, http.StatusNotFound, "no segment yet")
	}
}

// await holds a request until the stream can answer it, for a limited time. It is false if the client went away.
func (s *Server) await(r *http.Request, l *life) bool {
	select {
	case <-l.answerable:
		return true
	default:
	}
	timer := time.NewTimer(s.opt.FirstSegmentWait)
	defer timer.Stop()
	select {
	case <-l.answerable:
	case <-timer.C:
	case <-r.Context().Done():
		return false
	}
	return true
}

func writePlaylist(w http.ResponseWriter, r *http.Request, view *snapshot) {
	h := w.Header()
	h.Set("Cache-Control", cachePlaylist)
	h.Set("Vary", "Accept-Encoding")
	body, tag := view.playlist, `"`+view.tag+`"`
	if acceptsGzip(r.Header.Values("Accept-Encoding")) {
		body, tag = view.compressed, `"`+view.tag+`-gz"`
		h.Set("Content-Encoding", "gzip")
	}
	h.Set("ETag", tag)
	if r.Header.Get("If-None-Match") == tag {
		h.Del("Content-Encoding")
		w.WriteHeader(http.StatusNotModified)
		return
	}
	writeBody(w, r, http.StatusOK, "application/vnd.apple.mpegurl", body)
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
