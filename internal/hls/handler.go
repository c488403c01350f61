package hls

import (
	"context"
	"io"
	"net"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"livego/internal/hls/playlist"
	"livego/internal/http1"
)

const (
	// Cache-Control by kind of answer. A segment's name is never used again.
	cacheSegment  = "public, max-age=31536000, immutable"
	cachePlaylist = "no-cache"
	cacheNothing  = "no-store"

	allowedMethods = "GET, HEAD, OPTIONS"
	// anyHeader is what pages of other origins may send; the star does not stand for Authorization
	// (Fetch, CORS-preflight fetch).
	anyHeader = "*, Authorization"
	// whatThereIs is for who asks for something that there never is.
	whatThereIs = "not found. This is the HLS port of livego: ask for /APP/STREAM/ (a page to watch), /APP/STREAM.m3u8 or /APP/STREAM/index.m3u8 (Low-Latency HLS)"

	// policy lets Flash players of any site in, as LiveGo does.
	policy = `<?xml version="1.0" ?>
<cross-domain-policy>
	<allow-access-from domain="*" />
	<allow-http-request-headers-from domain="*" headers="*"/>
</cross-domain-policy>
`
)

// ServeHTTP serves playlists and segments. Of query strings it knows the delivery directives (RFC
// 8216bis 6.2.5).
func (s *Server) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	t := route(r.URL.Path)
	w, seen := s.answers.observe(w)
	s.answer(w, r, t)
	if waiter := http1.WaiterOf(w); waiter != nil && waiter.Waits() {
		s.answers.drop(seen)
		return
	} else if waiter != nil && seen.status == http.StatusOK {
		bytes := seen.bytes
		waiter.Share(func() { s.answers.count(t.kind, http.StatusOK, bytes) })
	}
	if isUncounted(r) {
		s.answers.toServers.Add(uint64(seen.bytes))
	}
	s.answers.add(t.kind, seen)
}

func (s *Server) answer(w http.ResponseWriter, r *http.Request, t target) {
	h := w.Header()
	h["Access-Control-Allow-Origin"] = anyOrigin
	h["X-Content-Type-Options"] = noSniff
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		h["Access-Control-Expose-Headers"] = exposedHeaders
		s.serve(w, r, t)
	case http.MethodOptions:
		h.Set("Allow", allowedMethods)
		h.Set("Access-Control-Allow-Methods", allowedMethods)
		h.Set("Access-Control-Allow-Headers", anyHeader)
		h.Set("Access-Control-Max-Age", "86400")
		w.WriteHeader(http.StatusNoContent)
	default:
		h.Set("Allow", allowedMethods)
		refuse(w, http.StatusMethodNotAllowed, "method not allowed")
	}
}

func (s *Server) serve(w http.ResponseWriter, r *http.Request, t target) {
	switch t.kind {
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
	case crossDomainPolicy:
		writeBody(w, r, http.StatusOK, "application/xml", []byte(policy))
	default:
		refuse(w, http.StatusNotFound, whatThereIs)
	}
}

func (s *Server) servePlaylist(w http.ResponseWriter, r *http.Request, name string) {
	if l := s.await(w, r, name, inTS); l != nil {
		s.servePlaylistOf(w, r, l)
	}
}

// servePlaylistOf is servePlaylist for who has found the life of the stream.
func (s *Server) servePlaylistOf(w http.ResponseWriter, r *http.Request, l *life) {
	shown, name := l.transport(), l.name
	if v := s.holdFor(l, w, r, s.opt.FirstSegmentWait, once(shown.answerable)); v != http1.Late && s.refuseWait(w, v, time.Second, "") {
		return
	}
	view, reason := shown.view.Load(), shown.refusal.Load()
	switch {
	case reason != nil && l.cmaf.MayHave():
		redirect(w, path.Base(name)+"/"+playlist.IndexName+playlist.PlaylistSuffix)
	case reason == nil && view == nil && l.isReplaced(): // it ended as nobody had asked, or too early
		s.servePlaylist(w, r, name)
	case reason != nil || view == nil:
		s.refuseEmpty(w, l, reason)
	case s.watched(w, r, l):
		w.Header()["Cache-Control"] = revalidate
		s.writeText(w, r, view.Text())
	}
}

// fullFor is after what time who found no room may ask again.
const fullFor = 5 * time.Second

// watched counts the client as a viewer. It is false if there is no room for one more, which the
// client was told.
func (s *Server) watched(w http.ResponseWriter, r *http.Request, l *life) bool {
	if r.Method != http.MethodGet || isUncounted(r) {
		return true
	}
	client, now, period := clientID(s.seed, r), s.opt.Now(), l.period(l.target())
	if s.opt.Admit != nil && !l.audience.knows(client, now, period) && !s.opt.Admit(l.name) {
		retryAfter(w, fullFor)
		refuse(w, http.StatusServiceUnavailable, "no room for more viewers")
		return false
	}
	l.audience.see(client, now, period)
	return true
}

// uncounted marks the context of a request.
type uncounted struct{}

func isUncounted(r *http.Request) bool { return r.Context().Value(uncounted{}) != nil }

// Uncounted returns a request that is not one of a viewer: another server asks for its own.
func Uncounted(r *http.Request) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), uncounted{}, true))
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
func (s *Server) writeText(w http.ResponseWriter, r *http.Request, text *playlist.Text) {
	if text.Err != nil {
		s.opt.Log.Error("playlist not compressed", "error", text.Err)
		refuse(w, http.StatusInternalServerError, "playlist not compressed")
		return
	}
	h, f := w.Header(), &text.Plain
	h["Vary"] = byEncoding
	h["Content-Type"] = playlistType
	if AcceptsGzip(r.Header["Accept-Encoding"]) {
		f = &text.Compressed
		h["Content-Encoding"] = inGzip
	}
	WriteFile(w, r, f)
}

// WriteFile answers a request, GET or HEAD, with a file, the part of it that the request asks for,
// or that the client has it (RFC 9110 13, 14). It does not join the file's pieces. The rest of the
// header is there already.
func WriteFile(w http.ResponseWriter, r *http.Request, f *playlist.File) {
	h := w.Header()
	h["Etag"] = f.Tag
	if conditional(r.Header) {
		if h["Content-Encoding"] != nil {
			h["Content-Length"] = f.Length // ServeContent leaves it out then
		}
		http.ServeContent(refusals{w}, r, "", time.Time{}, f.Body.Reader())
		return
	}
	h["Accept-Ranges"] = byteRanges
	h["Content-Length"] = f.Length
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		writePieces(w, f.Body)
	}
}

// refusals keeps caches from keeping what ServeContent refuses: that a client named a wrong version
// (412) or range (416) says nothing of the file, whose header is there already.
type refusals struct{ http.ResponseWriter }

func (w refusals) WriteHeader(status int) {
	if h := w.Header(); status >= http.StatusBadRequest {
		h.Set("Cache-Control", cacheNothing)
		h.Del("Content-Length")
		h.Del("Content-Encoding")
		h.Del("Age")
	}
	w.ResponseWriter.WriteHeader(status)
}

// ReadFrom lets the system send files by itself.
func (w refusals) ReadFrom(r io.Reader) (int64, error) { return io.Copy(w.ResponseWriter, r) }

// maxWrite bounds, in bytes, what is handed to the connection at once: a copy of a whole segment in
// the kernel would hold up live delivery beside it.
const maxWrite = 256 << 10

// writePieces sends all pieces, unless the client is gone. A plain connection takes many of them at
// once, as its ReadFrom does not copy them.
func writePieces(w io.Writer, d playlist.Document) {
	conn, gathers := w.(io.ReaderFrom)
	if len(d) > 1 && gathers {
		gather(conn, d)
		return
	}
	for i := range d {
		for rest := d[i].Data.Bytes(); len(rest) > 0; {
			n, err := http1.WriteShared(w, rest[:min(len(rest), maxWrite)])
			if err != nil {
				return
			}
			rest = rest[n:]
		}
	}
}

// gather sends the pieces, as many at once as maxWrite allows.
func gather(conn io.ReaderFrom, d playlist.Document) {
	var pieces [][]byte
	size := 0
	var batch net.Buffers
	send := func() error {
		batch, pieces, size = pieces, pieces[:0], 0
		_, err := conn.ReadFrom(&batch)
		return err
	}
	for rest := range d.Pieces() {
		for len(rest) > 0 {
			n := min(len(rest), maxWrite-size)
			pieces, size, rest = append(pieces, rest[:n]), size+n, rest[n:]
			if size == maxWrite && send() != nil {
				return
			}
		}
	}
	_ = send() // the client is gone if this fails
}

func (s *Server) serveSegment(w http.ResponseWriter, r *http.Request, name string, seq int64) {
	var seg *playlist.TSSegment
	if l := s.wanted(name, inTS); l != nil {
		if view := l.transport().view.Load(); view != nil {
			seg = view.Segment(seq)
		}
	}
	if seg == nil {
		refuse(w, http.StatusNotFound, "no such segment, or no longer")
		return
	}
	h := w.Header()
	h["Cache-Control"] = keepForever
	h["Content-Type"] = transportType
	f := playlist.NewFile(playlist.DocumentOf(seg.Data.Bytes()), strconv.FormatInt(seq, 10))
	WriteFile(w, r, &f)
}

// AcceptsGzip says whether a client takes gzip, by its Accept-Encoding (RFC 9110 12.5.3).
func AcceptsGzip(values []string) bool {
	for _, v := range values {
		for item := range strings.SplitSeq(v, ",") {
			coding, params, _ := strings.Cut(item, ";")
			if !strings.EqualFold(strings.TrimSpace(coding), "gzip") {
				continue
			}
			q, ok := strings.CutPrefix(strings.TrimSpace(params), "q=")
			if !ok {
				return true
			}
			weight, err := strconv.ParseFloat(q, 64)
			return err == nil && weight > 0
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
