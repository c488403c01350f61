// Package watch serves what people look at on the HLS port: the watch page of a stream, the list of
// streams on air, the status of both as JSON, and the files that the pages are made of. All other
// requests go to the server of media.
//
// A page asks for nothing but what lies below its own address, and names no other host, so that it
// works on any path behind any proxy. Without script, or in a program that was built without Node,
// the same address gives a page in which the browser plays HLS by itself.
package watch

import (
	"context"
	"crypto/sha256"
	_ "embed"
	"encoding/base64"
	"encoding/json"
	"html/template"
	"log/slog"
	"net/http"
	"net/url"
	"path"
	"strconv"
	"strings"
	"time"

	"livego/internal/pages"
)

var (
	//go:embed page.html
	pageHTML string
	//go:embed page.css
	pageCSS string
)

// Streams knows the streams of the server. Its methods may be called at the same time.
type Streams interface {
	// Status says how the stream name ("app/stream") is. It is false where there cannot be one.
	Status(name string) (Status, bool)
	// Doors returns where the stream can be played besides HLS.
	Doors(name string) []Door
	// OnAir returns the streams that are live or interrupted, by name.
	OnAir() []Status
}

// Options configures a Handler.
type Options struct {
	// Media serves playlists and segments.
	Media   http.Handler
	Streams Streams
	// Pages is what web/ was built into.
	Pages *pages.Set
	// List shows at / what is on air.
	List func() bool
	// Frames returns the web origins whose pages may show these pages in a frame; "*" stands for
	// all.
	Frames func() []string
	// Log takes what goes wrong in making a page; nil: nothing is logged.
	Log *slog.Logger
}

// Handler serves the pages. It may be called at the same time.
type Handler struct {
	opt      Options
	template *template.Template
	list     list
	// style is the hash of the style of a page without script.
	style string
}

// New returns a handler.
func New(opt Options) *Handler {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	sum := sha256.Sum256([]byte(pageCSS))
	return &Handler{
		opt: opt, template: template.Must(template.New("page").Parse(pageHTML)),
		style: "'sha256-" + base64.StdEncoding.EncodeToString(sum[:]) + "'",
	}
}

const (
	statusFile     = "status.json"
	allowedMethods = "GET, HEAD, OPTIONS"
)

// ServeHTTP serves, of the stream /{app}/{stream}, which may contain slashes,
//
//	/              the watch page
//	/status.json   its Status
//	/assets/FILE   the files of the page
//
// and the same right below the root for the list of streams. A stream without its last slash leads
// to its page.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	dir, file, ok := split(r.URL.Path)
	if !ok || isMedia(file) {
		h.opt.Media.ServeHTTP(w, r)
		return
	}
	serve := h.resource(dir, file)
	if serve == nil && h.lacksSlash(dir, file) {
		serve = toPage
	}
	if serve == nil {
		h.opt.Media.ServeHTTP(w, r)
		return
	}
	head := w.Header()
	head.Set("Access-Control-Allow-Origin", "*")
	head.Set("X-Content-Type-Options", "nosniff")
	switch r.Method {
	case http.MethodGet, http.MethodHead:
		serve(w, r)
	case http.MethodOptions:
		head.Set("Access-Control-Allow-Methods", allowedMethods)
		head.Set("Access-Control-Allow-Headers", "*, Authorization")
		head.Set("Access-Control-Max-Age", "86400")
		fallthrough
	default:
		head.Set("Allow", allowedMethods)
		if r.Method == http.MethodOptions {
			w.WriteHeader(http.StatusNoContent)
			return
		}
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
	}
}

// isMedia says whether a file is one of those that players ask for many times a second: they cost
// nothing here.
func isMedia(file string) bool {
	switch path.Ext(file) {
	case ".m3u8", ".m4s", ".mp4", ".ts":
		return true
	}
	return false
}

// resource returns what serves a file of a folder, nil if that is not of a page.
func (h *Handler) resource(dir, file string) http.HandlerFunc {
	if before, ok := strings.CutSuffix("/"+dir, "/"+strings.TrimSuffix(pages.Folder, "/")); ok && file != "" {
		if !h.opt.Pages.Has(file) || before != "" && !isStream(before[1:]) {
			return nil
		}
		return func(w http.ResponseWriter, r *http.Request) { h.opt.Pages.Serve(w, r, file) }
	}
	root := dir == "" && h.opt.List()
	switch {
	case !root && !isStream(dir):
		return nil
	case root && file == "":
		return h.serveList
	case root && file == statusFile:
		return func(w http.ResponseWriter, r *http.Request) { h.writeJSON(w, r, h.list.get(h.opt.Streams)) }
	case file == "":
		return func(w http.ResponseWriter, r *http.Request) { h.serveWatch(w, r, dir) }
	case file == statusFile:
		return func(w http.ResponseWriter, r *http.Request) {
			s, _ := h.status(r, dir)
			h.writeJSON(w, r, s)
		}
	}
	return nil
}

// lacksSlash says whether somebody wants the page of a stream and has left the last slash out. What
// has a dot is a file, unless there is a stream of that name.
func (h *Handler) lacksSlash(dir, file string) bool {
	name := dir + "/" + file
	if !isStream(name) || !strings.Contains(file, ".") {
		return isStream(name)
	}
	s, ok := h.opt.Streams.Status(name)
	return ok && s.State != Offline
}

// toPage leads to the page, relative to where it was asked for.
func toPage(w http.ResponseWriter, r *http.Request) {
	_, file, _ := split(r.URL.Path)
	to := url.URL{Path: file + "/", RawQuery: r.URL.RawQuery}
	w.Header().Set("Location", to.String())
	w.Header().Set("Cache-Control", "no-store")
	w.WriteHeader(http.StatusFound)
}

// split cuts a path into its folder, without slashes around it, and its file.
func split(path string) (dir, file string, ok bool) {
	path, ok = strings.CutPrefix(path, "/")
	if i := strings.LastIndexByte(path, '/'); i >= 0 {
		return path[:i], path[i+1:], ok && i > 0
	}
	return "", path, ok
}

// maxName is longer than the name of any stream, in bytes. What is longer is not worth a page of
// its own.
const maxName = 1024

// isStream says whether a path without its first slash is one of a stream: "app/stream".
func isStream(name string) bool {
	if len(name) > maxName {
		return false
	}
	app, stream, ok := strings.Cut(name, "/")
	return ok && app != "" && stream != "" && !strings.HasSuffix(stream, "/")
}

// StreamName returns the stream ("app/stream") that a URL path is about, for checks before
// ServeHTTP: that of the watch page and of its status; "" for what everybody may have.
func StreamName(path string) string {
	dir, file, ok := split(path)
	if !ok || file != "" && file != statusFile || !isStream(dir) {
		return ""
	}
	return dir
}

// tokenKey is where the context of a request has the viewer's token.
type tokenKey struct{}

// WithToken is a request of a viewer with a token that was taken off its path: addresses of the
// stream that a page shows have it too.
func WithToken(r *http.Request, token string) *http.Request {
	return r.WithContext(context.WithValue(r.Context(), tokenKey{}, token))
}

func tokenOf(r *http.Request) string {
	token, _ := r.Context().Value(tokenKey{}).(string)
	return token
}

// status is the Status of a stream for a client, and whether there can be one. A stream that is not
// there is offline: a browser counts an answer of 404 as a fault of the page that asks.
func (h *Handler) status(r *http.Request, name string) (Status, bool) {
	s, ok := h.opt.Streams.Status(name)
	if !ok {
		s = Status{Stream: name, State: Offline}
	}
	s.Time = time.Now().UnixMilli()
	s.URLs = h.urls(r, name)
	return s, ok
}

// writeJSON sends what changes all the time. Caches in front of many viewers may keep it for a
// second.
func (h *Handler) writeJSON(w http.ResponseWriter, r *http.Request, v any) {
	body, err := json.Marshal(v)
	if err != nil {
		h.fail(w, err)
		return
	}
	w.Header().Set("Cache-Control", "public, max-age=1")
	write(w, r, http.StatusOK, "application/json", body)
}

func (h *Handler) fail(w http.ResponseWriter, err error) {
	h.opt.Log.Error("page not made", "err", err)
	http.Error(w, "this page could not be made", http.StatusInternalServerError)
}

func write(w http.ResponseWriter, r *http.Request, status int, contentType string, body []byte) {
	h := w.Header()
	h.Set("Content-Type", contentType)
	h.Set("Content-Length", strconv.Itoa(len(body)))
	w.WriteHeader(status)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body) // the client is gone if this fails
	}
}
