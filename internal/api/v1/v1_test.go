package v1

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"livego/internal/auth"
	"livego/internal/keys"
)

func TestStreams(t *testing.T) {
	a, w := newAPI(t)
	if got := names(answer[Page[Stream]](t, call(a, "GET", "/streams", ""))); !slices.Equal(got, []string{"live/a", "live/b", "live/c/d"}) {
		t.Errorf("streams %v", got)
	}
	for _, target := range []string{"/streams/live%2Fc%2Fd", "/streams/live%2Fc%2fd"} {
		if r := call(a, "GET", target, ""); r.Code != 200 || answer[Stream](t, r).Name != "live/c/d" {
			t.Errorf("%s: status %d, %s", target, r.Code, r.Body)
		}
	}
	if r := call(a, "DELETE", "/streams/live%2Fa?reason=too+loud", ""); r.Code != 204 || !slices.Equal(w.ended, []string{"live/a too loud"}) {
		t.Errorf("delete: status %d, %s, ended %q", r.Code, r.Body, w.ended)
	}
}

func TestPages(t *testing.T) {
	a, _ := newAPI(t)
	var got []string
	for target := "/streams?limit=2"; target != ""; {
		p := answer[Page[Stream]](t, call(a, "GET", target, ""))
		got = append(got, strings.Join(names(p), " "))
		if target = ""; p.Next != "" {
			target = "/streams?limit=2&cursor=" + p.Next
		}
	}
	if !slices.Equal(got, []string{"live/a live/b", "live/c/d"}) {
		t.Errorf("pages %q", got)
	}
}

// A stream that ended between two pages does not move the second one.
func TestPagesWhileTheListChanges(t *testing.T) {
	a, w := newAPI(t)
	p := answer[Page[Stream]](t, call(a, "GET", "/streams?limit=1", ""))
	w.streams = slices.DeleteFunc(w.streams, func(s Stream) bool { return s.Name == "live/a" })
	if got := names(answer[Page[Stream]](t, call(a, "GET", "/streams?limit=1&cursor="+p.Next, ""))); !slices.Equal(got, []string{"live/b"}) {
		t.Errorf("the second page is %v", got)
	}
}

func TestSessions(t *testing.T) {
	a, w := newAPI(t)
	for target, want := range map[string]string{
		"/sessions":                             "pc pa pb va vb vc",
		"/sessions?stream=live/a":               "pa va",
		"/sessions?role=publisher":              "pc pa pb",
		"/sessions?protocol=http-flv":           "va vb vc",
		"/sessions?stream=live/b&role=viewer":   "vb",
		"/sessions?stream=live%2Fc%2Fd&limit=1": "pc",
		"/sessions?stream=none":                 "",
	} {
		var ids []string
		for _, s := range answer[Page[Session]](t, call(a, "GET", target, "")).Items {
			ids = append(ids, s.ID)
		}
		if got := strings.Join(ids, " "); got != want {
			t.Errorf("%s: %q, want %q", target, got, want)
		}
	}
	if r := call(a, "GET", "/sessions/va", ""); answer[Session](t, r).Stream != "live/a" {
		t.Errorf("status %d, %s", r.Code, r.Body)
	}
	if r := call(a, "DELETE", "/sessions/va?reason=a%0Ab", ""); r.Code != 204 || !slices.Equal(w.ended, []string{"va a b"}) {
		t.Errorf("kick: status %d, %s, ended %q", r.Code, r.Body, w.ended)
	}
}

// TestNodes: a list says which nodes it has nothing of, sessions are picked by node, and a node is
// let go.
func TestNodes(t *testing.T) {
	a, w := newAPI(t)
	w.nodes, w.silent = []Node{{ID: "n1", State: "ready"}, {ID: "n3", State: "silent"}}, []string{"n3"}
	w.sessions[0].Node, w.relays = "n2", []Relay{{ID: "r", Direction: Push, Stream: "live/a", Node: "n1"}, {ID: "r", Direction: Push, Stream: "live/a", Node: "n2"}}
	for _, path := range []string{"/streams", "/sessions", "/recordings", "/pulls", "/streams/live%2Fa/pushes?limit=1"} {
		if p := answer[Page[any]](t, call(a, "GET", path, "")); !slices.Equal(p.Incomplete, []string{"n3"}) {
			t.Errorf("%s: %q are missing", path, p.Incomplete)
		}
	}
	if p := answer[Page[Node]](t, call(a, "GET", "/nodes", "")); len(p.Items) != 2 || p.Incomplete != nil {
		t.Errorf("nodes: %+v", p)
	}
	if p := answer[Page[Session]](t, call(a, "GET", "/sessions?node=n2", "")); len(p.Items) != 1 || p.Items[0].ID != w.sessions[0].ID {
		t.Errorf("sessions of n2: %+v", p.Items)
	}
	first := answer[Page[Relay]](t, call(a, "GET", "/streams/live%2Fa/pushes?limit=1", ""))
	second := answer[Page[Relay]](t, call(a, "GET", "/streams/live%2Fa/pushes?limit=1&cursor="+first.Next, ""))
	if len(second.Items) != 1 || second.Items[0].Node != "n2" || second.Next != "" {
		t.Errorf("a push that two nodes have: %+v, %+v", first, second)
	}
	for path, status := range map[string]int{"/nodes/n1/drain?reason=new+disk": 202, "/nodes/n2/drain": 404, "/nodes/n3/drain": 503} {
		if w := call(a, "POST", path, ""); w.Code != status {
			t.Errorf("%s: %d %s", path, w.Code, w.Body)
		}
	}
	if !slices.Equal(w.ended, []string{"n1 new disk"}) {
		t.Errorf("ended: %q", w.ended)
	}
}

func TestLifeOfAKey(t *testing.T) {
	a, _ := newAPI(t)
	if r := call(a, "GET", "/rooms/a/key", ""); r.Code != 404 {
		t.Errorf("reading made a room: status %d, %s", r.Code, r.Body)
	}
	for _, want := range []int{201, 200} {
		if r := call(a, "PUT", "/rooms/a", ""); r.Code != want || answer[Room](t, r).Name != "a" || answer[Room](t, r).Streams[0] != "live/a" {
			t.Errorf("status %d, %s, want %d", r.Code, r.Body, want)
		}
	}
	first := call(a, "GET", "/rooms/a/key", "")
	if key := answer[Key](t, first); key.Room != "a" || len(key.Key) != 48 {
		t.Errorf("key %+v", key)
	}
	tag := first.Header().Get("ETag")
	if r := call(a, "PUT", "/rooms/a/key", `{"key":"MyOwnKey0123456789"}`, "If-Match: "+tag); r.Code != 200 || answer[Key](t, r).Key != "MyOwnKey0123456789" || r.Header().Get("ETag") == tag {
		t.Errorf("put: status %d, %s, %v", r.Code, r.Body, r.Header())
	}
	for _, tc := range [][2]string{{"PUT", `{"key":"AnotherKey0123456789"}`}, {"POST", ""}, {"DELETE", ""}} {
		if r := call(a, tc[0], "/rooms/a/key", tc[1], "If-Match: "+tag); r.Code != 412 {
			t.Errorf("%s of a key that is another by now: status %d, %s", tc[0], r.Code, r.Body)
		}
	}
	if key := answer[Key](t, call(a, "GET", "/rooms/a/key", "")).Key; key != "MyOwnKey0123456789" {
		t.Errorf("key %q", key)
	}
	reset := call(a, "POST", "/rooms/a/key", "", "If-Match: *")
	if key := answer[Key](t, reset).Key; reset.Code != 200 || len(key) != 48 {
		t.Errorf("reset: status %d, %s", reset.Code, reset.Body)
	}
	for _, want := range []int{204, 404} {
		if r := call(a, "DELETE", "/rooms/a", ""); r.Code != want {
			t.Errorf("delete: status %d, %s, want %d", r.Code, r.Body, want)
		}
	}
	if r := call(a, "PUT", "/rooms/a/key", `{"key":"MyOwnKey0123456789"}`, "If-Match: *"); r.Code != 412 {
		t.Errorf("If-Match: * without a key: status %d", r.Code)
	}
}

func TestRooms(t *testing.T) {
	a, _ := newAPI(t)
	for _, name := range []string{"b", "x", "c%2Fd"} {
		call(a, "PUT", "/rooms/"+name, "")
	}
	p := answer[Page[Room]](t, call(a, "GET", "/rooms?limit=2", ""))
	q := answer[Page[Room]](t, call(a, "GET", "/rooms?limit=2&cursor="+p.Next, ""))
	if got := fmt.Sprint(p.Items, " ", q.Items, q.Next); got != "[{b [live/b]} {c/d [live/c/d]}] [{x []}]" {
		t.Errorf("rooms %s", got)
	}
	if r := answer[Room](t, call(a, "GET", "/rooms/c%2Fd", "")); r.Name != "c/d" {
		t.Errorf("room %+v", r)
	}
}

// keep decides whether the publisher on the old key stays.
type kept struct {
	keys.Store
	seen []bool
}

func (k *kept) Reset(_ context.Context, _ string, keep bool) (string, error) {
	k.seen = append(k.seen, keep)
	return "k", nil
}

func (k *kept) Delete(_ context.Context, _ string, keep bool) error {
	k.seen = append(k.seen, keep)
	return nil
}

func TestKeep(t *testing.T) {
	store := new(kept)
	a, _ := newAPI(t, func(o *Options) { o.Keys = store })
	call(a, "POST", "/rooms/a/key", "")
	call(a, "POST", "/rooms/a/key?keep=true", "")
	call(a, "DELETE", "/rooms/a/key", "")
	call(a, "DELETE", "/rooms/a?keep=true", "")
	if !slices.Equal(store.seen, []bool{false, true, false, true}) {
		t.Errorf("keep %v", store.seen)
	}
}

func TestRelays(t *testing.T) {
	a, w := newAPI(t)
	push := call(a, "POST", "/streams/live%2Fa/pushes", `{"url":"rtmp://h/live/secret"}`)
	if r := answer[Relay](t, push); push.Code != 200 || r.Stream != "live/a" || r.Direction != "push" {
		t.Errorf("status %d, %s", push.Code, push.Body)
	}
	call(a, "POST", "/pulls", `{"stream":"live/z","url":"rtmp://h/live/z"}`)
	for target, want := range map[string]int{"/streams/live%2Fa/pushes": 1, "/streams/live%2Fb/pushes": 0, "/pulls": 1} {
		if got := answer[Page[Relay]](t, call(a, "GET", target, "")).Items; len(got) != want {
			t.Errorf("%s: %+v", target, got)
		}
	}
	for target, want := range map[string]int{"/streams/live%2Fb/pushes/r1": 404, "/pulls/none": 404} {
		if r := call(a, "DELETE", target, ""); r.Code != want {
			t.Errorf("%s: status %d", target, r.Code)
		}
	}
	if r := call(a, "DELETE", "/streams/live%2Fa/pushes/r1", ""); r.Code != 204 {
		t.Errorf("status %d, %s", r.Code, r.Body)
	}
	for _, tc := range []struct {
		err    error
		status int
	}{
		{fmt.Errorf("%w: no host", ErrBadRelay), 422},
		{fmt.Errorf("%w: it is empty", keys.ErrBadRoom), 422},
		{ErrRelayRunning, 409},
		{errors.New("connection refused"), 502},
	} {
		w.relayErr = tc.err
		if r := call(a, "POST", "/pulls", `{"stream":"live/z","url":"rtmp://h/live/z"}`); r.Code != tc.status || !strings.Contains(r.Body.String(), tc.err.Error()) {
			t.Errorf("%v: status %d, %s", tc.err, r.Code, r.Body)
		}
	}
}

func TestAbout(t *testing.T) {
	a, _ := newAPI(t)
	if v := answer[Version](t, call(a, "GET", "/version", "")); v.Version != "v9" || !v.Started.Equal(began) {
		t.Errorf("version %+v", v)
	}
	if p := answer[Page[Listener]](t, call(a, "GET", "/listeners", "")); len(p.Items) != 2 || p.Items[0] != (Listener{"hls", "https", 7002}) {
		t.Errorf("listeners %+v", p)
	}
	if r := call(a, "GET", "/config", ""); r.Code != 200 {
		t.Errorf("config: status %d", r.Code)
	}
	if r := call(a, "POST", "/config/reload", ""); r.Code != 200 || strings.TrimSpace(r.Body.String()) != `{"taken":["level"],"left":[]}` {
		t.Errorf("reload: status %d, %s", r.Code, r.Body)
	}
	bad, _ := newAPI(t, func(o *Options) {
		o.Reload = func(context.Context) (taken, left []string, err error) {
			return nil, nil, errors.New("livego.yaml:3: no")
		}
	})
	if r := call(bad, "POST", "/config/reload", ""); r.Code != 422 || !strings.Contains(r.Body.String(), "livego.yaml:3: no") {
		t.Errorf("reload of what is wrong: status %d, %s", r.Code, r.Body)
	}
}

// Everything that is wrong with a request is told as a problem that names the part to blame, and
// echoes nothing of it.
func TestProblems(t *testing.T) {
	a, w := newAPI(t)
	call(a, "PUT", "/rooms/a", "")
	call(a, "PUT", "/rooms/other/key", `{"key":"TakenKey0123456789"}`)
	const secret = "S3cretS3cretS3cret!"
	for _, tc := range []struct {
		method, target, body string
		status               int
		names                string
	}{
		{"GET", "", "", 404, ""},
		{"GET", "/nowhere", "", 404, ""},
		{"GET", "/streams/live/a", "", 404, ""},
		{"GET", "/streams/live%2Fnone", "", 404, "path.name"},
		{"DELETE", "/streams/live%2Fnone", "", 404, "path.name"},
		{"GET", "/sessions/none", "", 404, "path.id"},
		{"DELETE", "/sessions/none", "", 404, "path.id"},
		{"GET", "/rooms/none", "", 404, "path.room"},
		{"PUT", "/rooms/..%2Fx", "", 422, "path.room"},
		{"PUT", "/rooms/" + strings.Repeat("a", 300), "", 422, "path.room"},
		{"PUT", "/streams", "", 405, ""},
		{"BREW", "/streams", "", 405, ""},
		{"POST", "/version", "", 405, ""},
		{"GET", "/streams?limit=0", "", 422, "query.limit"},
		{"GET", "/streams?limit=1001", "", 422, "query.limit"},
		{"GET", "/streams?limit=many", "", 422, "query.limit"},
		{"GET", "/streams?limits=1", "", 422, "query.limits"},
		{"GET", "/streams?cursor=" + secret, "", 422, "query.cursor"},
		{"GET", "/sessions?cursor=" + cursorTo("streams", "live/a"), "", 422, "query.cursor"},
		{"GET", "/rooms?cursor=AAAA", "", 422, "query.cursor"},
		{"GET", "/sessions?role=king", "", 422, "query.role"},
		{"DELETE", "/sessions/va?reason=" + strings.Repeat("a", 201), "", 422, "query.reason"},
		{"PUT", "/rooms/a/key", "", 400, ""},
		{"PUT", "/rooms/a/key", "{", 400, "body"},
		{"PUT", "/rooms/a/key", `"` + secret + `"`, 422, "body"},
		{"PUT", "/rooms/a/key", `{"key":"` + secret + `"}`, 422, "body.key"},
		{"PUT", "/rooms/a/key", `{"key":"short"}`, 422, "body.key"},
		{"PUT", "/rooms/a/key", `{"key":5}`, 422, "body.key"},
		{"PUT", "/rooms/a/key", `{"key":"TakenKey0123456789"}`, 409, "body.key"},
		{"PUT", "/rooms/a/key", `{"kee":"` + secret + `"}`, 422, "body.kee"},
		{"PUT", "/rooms/a/key", `{"key":"` + strings.Repeat("a", maxBody) + `"}`, 413, ""},
		{"POST", "/pulls", `{"stream":"live/z"}`, 422, "body"},
		{"POST", "/pulls", `{"stream":"live/z","url":["x"]}`, 422, "body.url"},
		{"GET", "/events?types=" + secret, "", 422, "query.types"},
	} {
		r := call(a, tc.method, tc.target, tc.body)
		p := answer[struct {
			Title, Detail string
			Status        int
			Errors        []struct{ Location, Message string }
		}](t, r)
		named := len(p.Errors) > 0 && slices.ContainsFunc(p.Errors, func(e struct{ Location, Message string }) bool { return e.Location == tc.names })
		if r.Code != tc.status || p.Status != tc.status || p.Title != http.StatusText(tc.status) || p.Detail == "" || named != (tc.names != "") ||
			r.Header().Get("Content-Type") != "application/problem+json" {
			t.Errorf("%s %.60s %.40s: status %d, %s, %s; want %d and %q", tc.method, tc.target, tc.body, r.Code, r.Header().Get("Content-Type"), r.Body, tc.status, tc.names)
		}
		if strings.Contains(r.Body.String(), "S3cret") || strings.Contains(r.Body.String(), `"value"`) {
			t.Errorf("%s %s: the answer repeats what was sent: %s", tc.method, tc.target, r.Body)
		}
	}
	if r := call(a, "PUT", "/rooms/a/key", `key=x`, "Content-Type: application/x-www-form-urlencoded"); r.Code != 415 {
		t.Errorf("a form: status %d, %s", r.Code, r.Body)
	}
	if !slices.Equal(w.ended, []string{"live/none ", "none "}) {
		t.Errorf("what was ended: %q; only the calls for what there is not are well-formed", w.ended)
	}
	if r := call(a, "PUT", "/streams", ""); r.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("Allow %q", r.Header().Get("Allow"))
	}
}

// failing is a store whose every call fails.
type failing struct {
	keys.Store
	err error
}

func (f failing) Has(context.Context, string) (bool, error)            { return false, f.err }
func (f failing) Rooms(context.Context, string, int) ([]string, error) { return nil, f.err }
func (f failing) Set(context.Context, string, string) error            { return f.err }
func (f failing) Reset(context.Context, string, bool) (string, error)  { return "", f.err }

func TestFailures(t *testing.T) {
	for err, status := range map[error]int{
		fmt.Errorf("%w: dial tcp 10.0.0.7", keys.ErrUnavailable): 503,
		errors.New("disk 10.0.0.7"):                              500,
		keys.ErrTooManyRooms:                                     507,
	} {
		var log strings.Builder
		a, _ := newAPI(t, func(o *Options) { o.Keys, o.Log = failing{nil, err}, slog.New(slog.NewTextHandler(&log, nil)) })
		for _, tc := range [][2]string{{"GET", "/rooms"}, {"GET", "/rooms/a"}, {"PUT", "/rooms/a"}, {"POST", "/rooms/a/key"}} {
			if r := call(a, tc[0], tc[1], ""); r.Code != status || strings.Contains(r.Body.String(), "10.0.0.7") {
				t.Errorf("%s %s with %v: status %d, %s", tc[0], tc[1], err, r.Code, r.Body)
			}
		}
		if status < 507 && !strings.Contains(log.String(), "10.0.0.7") {
			t.Errorf("%v is not in the log:\n%s", err, &log)
		}
	}
}

func TestPolicy(t *testing.T) {
	policy, err := auth.NewAPIPolicy(auth.APIOptions{Secret: "0123456789abcdef", Origins: []string{"https://console.example"}})
	if err != nil {
		t.Fatal(err)
	}
	token, err := auth.NewToken("0123456789abcdef", "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	bare, _ := newBareAPI(t)
	a := bare.Guarded(policy)
	for _, target := range []string{"/streams", "/openapi.json", "/events", "/nowhere", "/rooms/a/key"} {
		if r := call(a, "GET", target, ""); r.Code != 401 || r.Header().Get("Content-Type") != "application/problem+json" || r.Header().Get("WWW-Authenticate") != "Bearer" {
			t.Errorf("%s: status %d, %v", target, r.Code, r.Header())
		}
	}
	if r := call(a, "GET", "/streams?jwt="+token, ""); r.Code != 401 {
		t.Errorf("a token in the query: status %d", r.Code)
	}
	if r := call(a, "GET", "/streams", "", "Authorization: Bearer "+token); r.Code != 200 {
		t.Errorf("with a token: status %d, %s", r.Code, r.Body)
	}
	r := call(a, "OPTIONS", "/rooms/a/key", "", "Origin: https://console.example")
	h := r.Header()
	if r.Code != 204 || h.Get("Access-Control-Allow-Methods") != "GET, HEAD, POST, PUT, DELETE" || !strings.Contains(h.Get("Access-Control-Allow-Headers"), "If-Match") {
		t.Errorf("preflight: status %d, %v", r.Code, h)
	}
	if r := call(a, "OPTIONS", "/rooms/a/key", "", "Origin: https://evil.example"); r.Header().Get("Access-Control-Allow-Methods") != "" {
		t.Errorf("preflight of a stranger: %v", r.Header())
	}
}

// Without a secret, pages of others reach nothing: not by their forms and scripts (CSRF), not by a
// name that they bind to this machine, and not in a frame.
func TestStrangers(t *testing.T) {
	a, w := newAPI(t)
	for _, header := range []string{
		"Host: evil.example", "Origin: https://evil.example", "Sec-Fetch-Site: cross-site", "Sec-Fetch-Site: same-site",
		"Referer: https://evil.example/", "X-Forwarded-For: 1.2.3.4", "Via: 1.1 proxy",
	} {
		for _, tc := range [][2]string{{"GET", "/streams"}, {"POST", "/rooms/a/key"}, {"DELETE", "/streams/live%2Fa"}, {"GET", "/events"}} {
			if r := call(a, tc[0], tc[1], "", header); r.Code != 403 || r.Header().Get("Content-Type") != "application/problem+json" {
				t.Errorf("%s %s with %s: status %d, %s", tc[0], tc[1], header, r.Code, r.Body)
			}
		}
	}
	if len(w.ended) > 0 {
		t.Errorf("ended %q", w.ended)
	}
	h := call(a, "GET", "/streams", "").Header()
	if h.Get("X-Frame-Options") != "DENY" || !strings.Contains(h.Get("Content-Security-Policy"), "frame-ancestors 'none'") || h.Get("Cache-Control") != "no-store" {
		t.Errorf("headers %v", h)
	}
}

func TestLogNeverHoldsAKey(t *testing.T) {
	var log strings.Builder
	a, _ := newAPI(t, func(o *Options) {
		o.Log = slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	})
	call(a, "PUT", "/rooms/a/key", `{"key":"MyOwnKey0123456789"}`)
	call(a, "PUT", "/rooms/a/key", `{"key":"MyOwnKey0123456789!"}`)
	call(a, "POST", "/rooms/a/key", "")
	call(a, "POST", "/streams/live%2Fa/pushes", `{"url":"rtmp://h/live/MyOwnKey0123456789"}`)
	call(a, "DELETE", "/rooms/a/key", "")
	if strings.Contains(log.String(), "MyOwnKey") {
		t.Errorf("a key is in the log:\n%s", &log)
	}
	for _, what := range []string{"channel key set", "channel key reset", "channel key deleted", "relay begun by the API"} {
		if !strings.Contains(log.String(), what) {
			t.Errorf("the log lacks %q:\n%s", what, &log)
		}
	}
}
