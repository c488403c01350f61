// Package api serves the control API: channel keys and statistics, in the shapes that clients of
// LiveGo know.
package api

import (
	"context"
	"io"
	"io/fs"
	"log/slog"
	"net/http"
	"os"
	"path"
	"strings"

	"livego/internal/auth"
	"livego/internal/keys"
)

// Keys is the part of a key store that the API works on. See keys.Store for its contract.
type Keys interface {
	Get(ctx context.Context, room string) (string, error)
	Set(ctx context.Context, room, key string) error
	Reset(ctx context.Context, room string, keep bool) (string, error)
	Delete(ctx context.Context, room string, keep bool) error
}

var _ Keys = keys.Store(nil)

// Options configures the API.
type Options struct {
	// Keys and Sessions are what the API shows and changes; both are needed.
	Keys     Keys
	Sessions Sessions
	// Relays, if there, pushes and pulls streams.
	Relays Relays
	// Resources, if there, serves /api/v1, and guards it itself.
	Resources http.Handler
	// Console, if there, is the page that browsers get at /, and its files below /assets/. It is
	// open to everybody, as it shows nothing that does not come from Resources.
	Console http.Handler
	// Ready says whether new clients are welcome; nil: always.
	Ready func() bool
	// Policy guards all other paths but /healthz and /readyz; nil: only programs on this machine
	// are answered.
	Policy *auth.APIPolicy
	// Metrics, if there, answers scrapes at /metrics.
	Metrics http.Handler
	// StaticDir, if it exists, is served under /statics/; empty: "statics".
	StaticDir string
	// Log takes failures of the key storage and changes of keys; nil: nothing is logged.
	Log *slog.Logger
}

// New returns the handler of the API port. Its caller bounds the size of headers and the time that
// a request may take.
func New(o Options) http.Handler {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	if o.Policy == nil {
		o.Policy = new(auth.APIPolicy)
	}
	if o.StaticDir == "" {
		o.StaticDir = "statics"
	}
	c := control{keys: o.Keys, log: o.Log}
	guarded := http.NewServeMux()
	guarded.Handle("/{$}", only(index, reading...))
	guarded.Handle("/control/get", serve(c.get, changing...))
	guarded.Handle("/control/set", serve(c.set, http.MethodPost))
	guarded.Handle("/control/reset", serve(c.reset, changing...))
	guarded.Handle("/control/delete", serve(c.delete, changing...))
	guarded.Handle("/control/push", serve(relays{o.Relays}.push, changing...))
	guarded.Handle("/control/pull", serve(relays{o.Relays}.pull, changing...))
	guarded.Handle("/control/relays", serve(relays{o.Relays}.list, reading...))
	guarded.Handle("/stat/livestat", serve(livestat(o.Sessions), reading...))
	if o.Metrics != nil {
		guarded.Handle("/metrics", only(o.Metrics.ServeHTTP, http.MethodGet))
	}
	if info, err := os.Stat(o.StaticDir); err == nil && info.IsDir() {
		files := http.FileServerFS(noListing{os.DirFS(o.StaticDir)})
		guarded.Handle("/statics/", only(http.StripPrefix("/statics/", files).ServeHTTP, http.MethodGet, http.MethodHead))
	}

	all := http.NewServeMux()
	all.Handle("/healthz", only(health, http.MethodGet, http.MethodHead))
	all.Handle("/readyz", only(readiness(o.Ready), http.MethodGet, http.MethodHead))
	if o.Resources != nil {
		all.Handle("/api/v1/", o.Resources)
	}
	inside := o.Policy.Handler(guarded, refuse)
	all.Handle("/", inside)
	if o.Console != nil {
		all.Handle("/assets/", o.Console)
		all.Handle("/{$}", forBrowsers(o.Console, inside))
	}
	return all
}

// health answers everybody, so it says nothing about the server but that it answers.
func health(w http.ResponseWriter, _ *http.Request) {
	setHeaders(w, typeJSON)
	io.WriteString(w, `{"status":"ok"}`)
}

// readiness answers everybody too: 503 when others should take new clients, because this server
// ends.
func readiness(ready func() bool) http.HandlerFunc {
	return func(w http.ResponseWriter, _ *http.Request) {
		setHeaders(w, typeJSON)
		if ready != nil && !ready() {
			w.WriteHeader(http.StatusServiceUnavailable)
			io.WriteString(w, `{"status":"draining"}`)
			return
		}
		io.WriteString(w, `{"status":"ok"}`)
	}
}

// forBrowsers gives a page to those who ask for one, and leaves programs to next.
func forBrowsers(page, next http.Handler) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Add("Vary", "Accept")
		if (r.Method == http.MethodGet || r.Method == http.MethodHead) && strings.Contains(r.Header.Get("Accept"), "text/html") {
			page.ServeHTTP(w, r)
			return
		}
		next.ServeHTTP(w, r)
	})
}

const indexText = `livego control API; a browser has the console here

/control/get?room=ROOM           the channel key of a room, made on first use
/control/reset?room=ROOM         a new channel key; the old one ends at once (kick=0 leaves its publisher on air)
/control/delete?room=ROOM        forget the room and its key (kick=0 as above)
POST /control/set                give a room a key of your own: room=ROOM&key=KEY in the body
/control/push?app=APP&name=ROOM&url=RTMP_URL      send a stream to another server; oper=stop ends that
/control/pull?app=APP&name=ROOM&url=URL           bring a stream from another server; oper=stop ends that
/control/relays                  what is pushed and pulled, and how
/stat/livestat[?room=APP/ROOM]   publishers and players
/api/v1/openapi.json             what the management API offers: streams, sessions, rooms, relays, events
/metrics                         figures for Prometheus
/healthz                         whether the server answers; needs no token
/readyz                          whether it takes new clients; needs no token

Answers are JSON; with format=text, or with Accept: text/plain, those of /control are text.
`

func index(w http.ResponseWriter, _ *http.Request) {
	setHeaders(w, typeText)
	io.WriteString(w, indexText)
}

// noListing hides directories, but for those that have a page of their own.
type noListing struct{ fs.FS }

func (n noListing) Open(name string) (fs.File, error) {
	file, err := n.FS.Open(name)
	if err != nil {
		return nil, err
	}
	info, err := file.Stat()
	if err == nil && info.IsDir() {
		_, err = fs.Stat(n.FS, path.Join(name, "index.html"))
	}
	if err != nil {
		file.Close()
		return nil, &fs.PathError{Op: "open", Path: name, Err: fs.ErrNotExist}
	}
	return file, nil
}
