package v1

import (
	"context"
	"encoding/json"
	"flag"
	"net/http"
	"net/http/httptest"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"livego/internal/auth"
	"livego/internal/event"
	"livego/internal/keys"
	"livego/internal/ticket"
)

var update = flag.Bool("update", false, "write docs/openapi.json anew")

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// world is a server that stands still.
type world struct {
	streams  []Stream
	sessions []Session
	relays   []Relay
	relayErr error
	ended    []string // "name reason", "id reason"
	recorded []Recording
	nodes    []Node
	silent   []string
}

func (w *world) Nodes() []Node { return slices.Clone(w.nodes) }

func (w *world) Drain(id, reason string) error {
	if slices.Contains(w.silent, id) {
		return ErrNodeSilent
	}
	if !slices.ContainsFunc(w.nodes, func(n Node) bool { return n.ID == id }) {
		return ErrNoNode
	}
	w.ended = append(w.ended, id+" "+reason)
	return nil
}

func (w *world) Streams() List[Stream] { return List[Stream]{slices.Clone(w.streams), w.silent} }

func (w *world) Stream(name string) (Stream, bool) {
	i := slices.IndexFunc(w.streams, func(s Stream) bool { return s.Name == name })
	if i < 0 {
		return Stream{}, false
	}
	return w.streams[i], true
}

func (w *world) EndStream(name, reason string) bool {
	_, ok := w.Stream(name)
	w.ended = append(w.ended, name+" "+reason)
	return ok
}

func (w *world) Sessions() List[Session] { return List[Session]{slices.Clone(w.sessions), w.silent} }

func (w *world) Kick(id, reason string) bool {
	w.ended = append(w.ended, id+" "+reason)
	return slices.ContainsFunc(w.sessions, func(s Session) bool { return s.ID == id })
}

func (w *world) Relays() List[Relay] { return List[Relay]{slices.Clone(w.relays), w.silent} }

func (w *world) StartRelay(_ context.Context, direction, stream, url string) (Relay, error) {
	if w.relayErr != nil {
		return Relay{}, w.relayErr
	}
	r := Relay{ID: "r1", Direction: direction, Stream: stream, URL: "rtmp://h/…", State: "running"}
	w.relays = append(w.relays, r)
	return r, nil
}

func (w *world) StopRelay(id string) bool {
	n := len(w.relays)
	w.relays = slices.DeleteFunc(w.relays, func(r Relay) bool { return r.ID == id })
	return len(w.relays) < n
}

func (w *world) Sign(ticket.Wanted) (token, id string, err error) { return "t", "i", nil }
func (w *world) Revoke(id string, _ time.Time) error {
	if id == "full" {
		return ticket.ErrFull
	}
	w.ended = append(w.ended, id)
	return nil
}

func (w *world) BitRateOut() uint64 { return 9000 }

var began = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

func newWorld() *world {
	w := new(world)
	for i, name := range []string{"live/b", "live/a", "live/c/d"} {
		w.streams = append(w.streams, Stream{
			Name: name, State: "live", Since: began, Publications: []Publication{}, BitRate: 1000,
			Viewers: Viewers{Total: i, BitRate: uint64(i) * 3000, ByProtocol: map[string]int{"rtmp": i}},
		})
		w.sessions = append(w.sessions,
			Session{ID: "p" + name[5:6], Stream: name, Role: "publisher", Protocol: "rtmp", Since: began.Add(time.Duration(-i) * time.Hour)},
			Session{ID: "v" + name[5:6], Stream: name, Role: "viewer", Protocol: "http-flv", Since: began})
	}
	return w
}

// newAPI returns an API with an empty store of keys.
func newAPI(t *testing.T, change ...func(*Options)) (http.Handler, *world) {
	t.Helper()
	a, w := newBareAPI(t, change...)
	return a.Guarded(new(auth.APIPolicy)), w
}

// newBareAPI returns one without a policy.
func newBareAPI(t *testing.T, change ...func(*Options)) (*API, *world) {
	t.Helper()
	store := keys.NewMemory(keys.Options{})
	t.Cleanup(func() { store.Close() })
	w := newWorld()
	o := Options{
		Streams: w, Sessions: w, Nodes: w, Relays: w, Tokens: w, Recordings: w, Keys: store, Events: event.NewBus(event.Options{Boot: "boot"}),
		Reload:    func(context.Context) (taken, left []string, err error) { return []string{"level"}, nil, nil },
		Config:    func() Config { return Config{Options: []Option{}, Apps: []App{}} },
		Listeners: func() []Listener { return []Listener{{"rtmp", "rtmp", 1935}, {"hls", "https", 7002}} },
		Version:   Version{Version: "v9", Go: "go1", Started: began},
	}
	for _, f := range change {
		f(&o)
	}
	return New(o), w
}

// call sends a request of a program on this machine. A body is JSON.
func call(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost:8090"+Prefix+target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:5000"
	if body != "" {
		r.Header.Set("Content-Type", "application/json")
	}
	for _, h := range headers {
		name, val, _ := strings.Cut(h, ": ")
		r.Header.Set(name, val)
	}
	if host := r.Header.Get("Host"); host != "" {
		r.Host = host
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

// answer decodes the body of an answer.
func answer[T any](t *testing.T, w *httptest.ResponseRecorder) (v T) {
	t.Helper()
	if err := json.Unmarshal(w.Body.Bytes(), &v); err != nil {
		t.Fatalf("status %d, %q: %v", w.Code, w.Body, err)
	}
	return v
}

// names are those of a page of streams.
func names(p Page[Stream]) (all []string) {
	for _, s := range p.Items {
		all = append(all, s.Name)
	}
	return all
}

// TestDocument compares what is served with the copy for readers of the repository: go test
// ./internal/api/v1 -update writes it.
func TestDocument(t *testing.T) {
	const file = "../../../docs/openapi.json"
	a, _ := newAPI(t)
	w := call(a, "GET", "/openapi.json", "")
	if w.Code != 200 || w.Header().Get("Content-Type") != "application/openapi+json" {
		t.Fatalf("status %d, headers %v", w.Code, w.Header())
	}
	if *update {
		if err := os.WriteFile(file, w.Body.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	if want, err := os.ReadFile(file); err != nil || string(want) != w.Body.String() {
		t.Errorf("docs/openapi.json is not what is served (%v): run go test ./internal/api/v1 -update", err)
	}
}
