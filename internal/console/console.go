// Package console serves the web console: one page, and the files that it is made of. What the page
// shows and does goes through the API, which asks for a token or looks at where a call comes from.
// The page itself is the same for everybody, knows nothing, and is open: it is where people sign
// in, or read what to do to be let in.
package console

import (
	"bytes"
	_ "embed"
	"html/template"
	"log/slog"
	"net/http"
	"strconv"
	"strings"

	"livego/internal/pages"
)

//go:embed page.html
var pageHTML string

// entry is the source file of the console in web/.
const entry = "src/console/main.tsx"

// Port is another port of this server, from which the page may get media.
type Port struct {
	// Scheme is http, https, ws or wss.
	Scheme string
	Port   int
}

// Options configures a Handler.
type Options struct {
	// Pages is what web/ was built into.
	Pages *pages.Set
	// Token says that the API asks for one.
	Token bool
	// Media are the ports from which the page gets media, and the status of streams.
	Media func() []Port
	// Log takes what goes wrong in making the page; nil: nothing is logged.
	Log *slog.Logger
}

// Handler serves the page at every path that is none of its files. It may be called at the same
// time.
type Handler struct {
	opt      Options
	template *template.Template
}

// New returns a handler.
func New(opt Options) *Handler {
	if opt.Log == nil {
		opt.Log = slog.New(slog.DiscardHandler)
	}
	return &Handler{opt, template.Must(template.New("page").Parse(pageHTML))}
}

// ServeHTTP answers GET and HEAD.
func (h *Handler) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	head := w.Header()
	head.Set("X-Content-Type-Options", "nosniff")
	if r.Method != http.MethodGet && r.Method != http.MethodHead {
		head.Set("Allow", "GET, HEAD")
		http.Error(w, "method not allowed", http.StatusMethodNotAllowed)
		return
	}
	file, isFile := strings.CutPrefix(r.URL.Path, "/"+pages.Folder)
	switch {
	case !isFile:
		h.servePage(w, r)
	case h.opt.Pages.Has(file):
		h.opt.Pages.Serve(w, r, file)
	default:
		http.NotFound(w, r)
	}
}

func (h *Handler) servePage(w http.ResponseWriter, r *http.Request) {
	page, built := h.opt.Pages.Page(entry)
	var body bytes.Buffer
	if err := h.template.Execute(&body, struct {
		Built bool
		Token bool
		Page  pages.Page
	}{built, h.opt.Token, page}); err != nil {
		h.opt.Log.Error("console not made", "err", err)
		http.Error(w, "this page could not be made", http.StatusInternalServerError)
		return
	}
	head := w.Header()
	head.Set("Cache-Control", "no-store")
	head.Set("Content-Security-Policy", h.policy(r))
	head.Set("Content-Type", "text/html; charset=utf-8")
	head.Set("Content-Length", strconv.Itoa(body.Len()))
	head.Set("Cross-Origin-Opener-Policy", "same-origin")
	head.Set("Referrer-Policy", "no-referrer")
	head.Set("X-Frame-Options", "DENY")
	w.WriteHeader(http.StatusOK)
	if r.Method != http.MethodHead {
		_, _ = w.Write(body.Bytes()) // the client is gone if this fails
	}
}

// policy is the Content-Security-Policy: everything comes from here, but for media, which come from
// the other ports of the same host. Nothing may show the page in a frame.
func (h *Handler) policy(r *http.Request) string {
	var media, connect strings.Builder
	for _, p := range h.opt.Media() {
		source := pages.Source(p.Scheme, r.Host, p.Port)
		if source == "" {
			continue
		}
		connect.WriteString(" " + source)
		if strings.HasPrefix(p.Scheme, "http") {
			media.WriteString(" " + source)
		}
	}
	return "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob:" + media.String() + "; media-src 'self' blob:" + media.String() +
		"; connect-src 'self'" + connect.String() + "; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
}
