// Package v1 serves the management API below /api/v1: what is on air, who watches, channel keys,
// relays, and what happens. docs/api.md shows it to callers; the OpenAPI document follows from the
// types here.
//
// Each resource is a file of its own: its types, the interface that it needs, and its operations.
package v1

import (
	"context"
	"encoding/json"
	"log/slog"
	"net/http"
	"strings"
	"sync"
	"time"

	"github.com/danielgtaylor/huma/v2"
	"github.com/danielgtaylor/huma/v2/adapters/humago"

	"livego/internal/auth"
	"livego/internal/event"
)

// Prefix is where the API is.
const Prefix = "/api/v1"

const (
	// maxBody bounds the body of a request, in bytes: a URL or a key.
	maxBody = 64 << 10
	// bodyTimeout bounds how long a body may take to come.
	bodyTimeout = 5 * time.Second
)

// Options says what the API shows and changes. All but Log is needed.
type Options struct {
	Streams  Streams
	Sessions Sessions
	Nodes    Nodes
	Keys     Keys
	Relays   Relays
	// Recordings keeps what was streamed.
	Recordings Recordings
	Tokens     Tokens
	// Config returns the configuration in force.
	Config func() Config
	// Listeners returns the ports of media, in any order; the caller owns the slice.
	Listeners func() []Listener
	// Reload reads the configuration again. It returns which options have changed: those that were
	// taken over, and those that need a new start. Its error says what is wrong with the
	// configuration.
	Reload func(context.Context) (taken, left []string, err error)
	// Version is what /version answers.
	Version Version
	// Events is what /events tells, and Elsewhere what follows the same of the other nodes of a
	// cluster; nil: there are none.
	Events    *event.Bus
	Elsewhere func() Follower
	// Log takes what callers changed, and failures; nil: nothing is logged.
	Log *slog.Logger
}

// API answers on all paths below Prefix, through Guarded. Run feeds its events.
type API struct {
	opt    Options
	api    huma.API
	mux    *http.ServeMux
	events *stream
	cursor *event.Cursor // only for Run

	changing sync.Mutex // held from the look at a key's ETag until the key has changed
}

// New returns the API. Its caller bounds the size of headers and the time that a request may take.
func New(o Options) *API {
	if o.Log == nil {
		o.Log = slog.New(slog.DiscardHandler)
	}
	a := &API{opt: o, mux: http.NewServeMux(), events: newStream(), cursor: o.Events.Follow()}
	a.events.alone = o.Elsewhere != nil
	a.api = humago.NewWithPrefix(a.mux, Prefix, huma.Config{
		OpenAPI:       document(),
		Formats:       map[string]huma.Format{"application/json": huma.DefaultJSONFormat, "json": huma.DefaultJSONFormat}, // and +json
		DefaultFormat: "application/json",
		Transformers:  []huma.Transformer{withoutValues},
		// A parameter that is not known is a mistake of the caller, who would be told what it did
		// not ask for.
		RejectUnknownQueryParameters: true,
	})
	a.streams()
	a.sessions()
	a.nodes()
	a.rooms()
	a.relays()
	a.recordings()
	a.tokens()
	a.about()
	a.happenings()
	a.describe()
	return a
}

// Guarded returns a handler that answers whom the policy lets in. Several may be made, one after
// the other: they share clients and events.
func (a *API) Guarded(policy *auth.APIPolicy) http.Handler {
	guarded := policy.Guard(http.HandlerFunc(a.route), auth.Rules{
		Refuse: refuse, Methods: methods, Headers: headers, Exposed: exposed, HeaderOnly: true,
	})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		h := w.Header()
		h.Set("Cache-Control", "no-store") // keys are among the answers
		h.Set("X-Content-Type-Options", "nosniff")
		h.Set("X-Frame-Options", "DENY")
		h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'")
		guarded.ServeHTTP(w, r)
	})
}

// What pages of other origins may use, if api_origins names them.
var (
	methods = []string{http.MethodGet, http.MethodHead, http.MethodPost, http.MethodPut, http.MethodDelete}
	headers = []string{"Authorization", "Content-Type", "If-Match", "Last-Event-ID"}
	exposed = []string{"ETag", "Location"}
)

func document() *huma.OpenAPI {
	return &huma.OpenAPI{
		OpenAPI: "3.1.0",
		Info: &huma.Info{
			Title:   "livego",
			Version: "1",
			Description: "Manages a livego server: what is on air, who publishes and watches, channel keys, relays, and events as they happen. " +
				"A stream is named app/room; in a path its name is one segment: live%2Froom. Errors are problems by RFC 9457.",
			License: &huma.License{Name: "MIT", Identifier: "MIT"},
		},
		Servers: []*huma.Server{{URL: Prefix}},
		Components: &huma.Components{
			Schemas: huma.NewMapRegistry("#/components/schemas/", huma.DefaultSchemaNamer),
			SecuritySchemes: map[string]*huma.SecurityScheme{"token": {
				Type: "http", Scheme: "bearer", BearerFormat: "JWT",
				Description: "Needed if jwt.secret is set. livego token --api makes one.",
			}},
		},
		Security: []map[string][]string{{"token": {}}, {}},
	}
}

// operation fills in what all operations have.
func operation(id, method, path, tag, summary string, errors ...int) huma.Operation {
	return huma.Operation{
		OperationID: id, Method: method, Path: path, Tags: []string{tag}, Summary: summary,
		Errors:       append([]int{http.StatusUnauthorized, http.StatusForbidden, http.StatusUnprocessableEntity}, errors...),
		MaxBodyBytes: maxBody, BodyReadTimeout: bodyTimeout,
	}
}

// route answers paths and methods that there are not with a problem too.
func (a *API) route(w http.ResponseWriter, r *http.Request) {
	if _, pattern := a.mux.Handler(r); pattern == "" {
		a.unknown(w, r)
		return
	}
	a.mux.ServeHTTP(&patient{ResponseWriter: w}, r)
}

// unknown asks the mux which methods the path has.
func (a *API) unknown(w http.ResponseWriter, r *http.Request) {
	found := &header{h: make(http.Header)}
	a.mux.ServeHTTP(found, r)
	if allow := found.h.Get("Allow"); found.status == http.StatusMethodNotAllowed {
		w.Header().Set("Allow", allow)
		writeProblem(w, http.StatusMethodNotAllowed, "this resource knows "+allow+" only")
		return
	}
	writeProblem(w, http.StatusNotFound, "there is no such resource; "+Prefix+"/openapi.json lists all")
}

// header keeps the head of an answer, and nothing else.
type header struct {
	h      http.Header
	status int
}

func (w *header) Header() http.Header         { return w.h }
func (w *header) WriteHeader(status int)      { w.status = status }
func (w *header) Write(b []byte) (int, error) { return len(b), nil }

// patient hides from huma, which panics, that a client is gone.
type patient struct{ http.ResponseWriter }

func (w *patient) Write(b []byte) (int, error) {
	_, _ = w.ResponseWriter.Write(b)
	return len(b), nil
}

// Unwrap is for http.ResponseController.
func (w *patient) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// describe serves the OpenAPI document.
func (a *API) describe() {
	text, err := json.MarshalIndent(a.api.OpenAPI(), "", "  ")
	if err != nil {
		panic("the OpenAPI document: " + err.Error()) // it does not depend on anything that is known only here
	}
	a.mux.HandleFunc("GET "+Prefix+"/openapi.json", func(w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Content-Type", "application/openapi+json")
		_, _ = w.Write(text)
		_, _ = w.Write([]byte("\n"))
	})
}

// trimmed is a text of a caller as it may be logged and shown: cut, and without what is no text.
func trimmed(text string, most int) string {
	text = strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return ' '
		}
		return r
	}, strings.ToValidUTF8(text, "\uFFFD"))
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "…"
	}
	return strings.TrimSpace(text)
}
