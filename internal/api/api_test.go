package api

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"livego/internal/auth"
	"livego/internal/keys"
)

// fixed is a list of sessions that does not change.
type fixed []Session

func (f fixed) Sessions() []Session { return f }

// watched adds HLS viewers.
type watched struct {
	fixed
	viewers map[string]int
}

func (w watched) HLSViewers() map[string]int { return w.viewers }

// broken is a key store whose every call fails in the same way.
type broken struct{ err error }

func (b broken) Get(context.Context, string) (string, error)         { return "", b.err }
func (b broken) Set(context.Context, string, string) error           { return b.err }
func (b broken) Reset(context.Context, string, bool) (string, error) { return "", b.err }
func (b broken) Delete(context.Context, string, bool) error          { return b.err }

func newAPI(t *testing.T, o Options) http.Handler {
	t.Helper()
	if o.Keys == nil {
		store := keys.NewMemory(keys.Options{})
		t.Cleanup(func() { store.Close() })
		o.Keys = store
	}
	if o.Sessions == nil {
		o.Sessions = fixed{}
	}
	if o.StaticDir == "" {
		o.StaticDir = filepath.Join(t.TempDir(), "none")
	}
	return New(o)
}

// call sends a request of a program on this machine.
func call(h http.Handler, method, target, body string, headers ...string) *httptest.ResponseRecorder {
	r := httptest.NewRequest(method, "http://localhost:8090"+target, strings.NewReader(body))
	r.RemoteAddr = "127.0.0.1:5000"
	if body != "" {
		r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	}
	for _, h := range headers {
		name, val, _ := strings.Cut(h, ": ")
		r.Header.Set(name, val)
	}
	w := httptest.NewRecorder()
	h.ServeHTTP(w, r)
	return w
}

func get(h http.Handler, target string) *httptest.ResponseRecorder { return call(h, "GET", target, "") }

// keyIn returns the channel key of an answer in LiveGo's form.
func keyIn(t *testing.T, w *httptest.ResponseRecorder) string {
	t.Helper()
	found := regexp.MustCompile(`^\{"status":200,"data":"([0-9a-zA-Z]{48})"\}$`).FindStringSubmatch(w.Body.String())
	if w.Code != http.StatusOK || found == nil {
		t.Fatalf("status %d, %q: want a key", w.Code, w.Body)
	}
	return found[1]
}

// Spec 9, item 1.
func TestLifeOfAKey(t *testing.T) {
	h := newAPI(t, Options{})
	first := keyIn(t, get(h, "/control/get?room=movie"))
	if again := keyIn(t, call(h, "POST", "/control/get", "room=movie")); again != first {
		t.Errorf("the key is not stable: %s, then %s", first, again)
	}
	if other := keyIn(t, get(h, "/control/get?room=other")); other == first {
		t.Error("two rooms have one key")
	}
	second := keyIn(t, get(h, "/control/reset?room=movie"))
	if second == first || keyIn(t, get(h, "/control/get?room=movie")) != second {
		t.Error("reset did not change the key")
	}
	keyIn(t, get(h, "/control/reset?room=new"))
	for _, want := range []string{`{"status":200,"data":"Ok"}`, `{"status":404,"data":"room not found"}`} {
		if w := get(h, "/control/delete?room=movie"); w.Body.String() != want || !strings.Contains(want, fmt.Sprint(w.Code)) {
			t.Errorf("delete: status %d, %q, want %q", w.Code, w.Body, want)
		}
	}
}

func TestSet(t *testing.T) {
	h := newAPI(t, Options{})
	const key = "MyOwnKey0123456789"
	for _, tc := range []struct {
		method, target, body string
		status               int
		data                 string
	}{
		{"POST", "/control/set", "room=movie&key=" + key, 200, `"` + key + `"`},
		{"GET", "/control/get?room=movie", "", 200, `"` + key + `"`},
		{"POST", "/control/set?room=movie", "key=" + key, 200, `"` + key + `"`},
		{"POST", "/control/set", "room=other&key=" + key, 409, `"channel key is in use by another room"`},
		{"POST", "/control/set", "room=movie&key=short", 400, `"bad channel key: `},
		{"POST", "/control/set", "room=movie", 400, `"POST /control/set needs`},
		{"POST", "/control/set?room=movie&key=" + key, "", 400, `"POST /control/set needs`}, // not in a query
		{"GET", "/control/set?room=movie&key=" + key, "", 405, `"method not allowed, use POST"`},
	} {
		w := call(h, tc.method, tc.target, tc.body)
		if want := fmt.Sprintf(`{"status":%d,"data":%s`, tc.status, tc.data); w.Code != tc.status || !strings.HasPrefix(w.Body.String(), want) {
			t.Errorf("%s %s %s: status %d, %q, want %q", tc.method, tc.target, tc.body, w.Code, w.Body, want)
		}
	}
}

func TestAnswersToBadRequests(t *testing.T) {
	h := newAPI(t, Options{})
	for _, tc := range []struct {
		method, target, body string
		status               int
		want                 string
	}{
		{"GET", "/control/get", "", 400, `{"status":400,"data":"url: /control/get?room=\u003cROOM_NAME\u003e"}`},
		{"GET", "/control/get?room=", "", 400, `{"status":400,"data":"url: /control/get?room=\u003cROOM_NAME\u003e"}`},
		{"GET", "/control/get?room=%zz", "", 400, `{"status":400,"data":"url: /control/get?room=\u003cROOM_NAME\u003e"}`},
		{"GET", "/control/reset?x=1", "", 400, `{"status":400,"data":"url: /control/reset?room=\u003cROOM_NAME\u003e"}`},
		{"POST", "/control/delete", "rooms=m", 400, `{"status":400,"data":"url: /control/delete?room=\u003cROOM_NAME\u003e"}`},
		{"GET", "/control/get?room=..%2F..%2Fpwned", "", 400, `{"status":400,"data":"bad room name: `},
		{"GET", "/control/reset?room=a%00b", "", 400, `{"status":400,"data":"bad room name: `},
		{"GET", "/control/get?room=" + strings.Repeat("a", 300), "", 400, `{"status":400,"data":"bad room name: `},
		{"POST", "/control/get", "room=" + strings.Repeat("a", 70<<10), 413, `{"status":413,"data":"the body is too large"}`},
		{"GET", "/control/push?oper=start&app=live&name=m&url=rtmp://h/a/b", "", 501, `{"status":501,"data":"relays are not available"}`},
		{"GET", "/control/pull?oper=stop&app=live&name=m&url=rtmp://h/a/b", "", 501, `{"status":501,"data":"relays are not available"}`},
		{"GET", "/control", "", 404, "404 page not found\n"},
		{"GET", "/nowhere", "", 404, "404 page not found\n"},
		{"GET", "/statics/x", "", 404, "404 page not found\n"},
		{"GET", "/stat/livestat?room=live/none", "", 404, `{"status":404,"data":"room not found or inactive"}`},
	} {
		w := call(h, tc.method, tc.target, tc.body)
		if w.Code != tc.status || !strings.HasPrefix(w.Body.String(), tc.want) {
			t.Errorf("%s %.60s: status %d, %q, want %d, %q", tc.method, tc.target, w.Code, w.Body, tc.status, tc.want)
		}
	}
}

func TestHeaders(t *testing.T) {
	h := newAPI(t, Options{})
	for _, target := range []string{"/control/get?room=m", "/control/get", "/stat/livestat", "/healthz"} {
		header := get(h, target).Header()
		if header.Get("Content-Type") != "application/json" || header.Get("Cache-Control") != "no-store" || header.Get("Access-Control-Allow-Origin") != "" {
			t.Errorf("%s: headers %v", target, header)
		}
	}
}

// The public docs of LiveGo promise the bare key, the program sends an envelope: both are to be
// had.
func TestTextAnswers(t *testing.T) {
	h := newAPI(t, Options{})
	key := keyIn(t, get(h, "/control/get?room=m"))
	for _, tc := range []struct {
		target, accept, want string
	}{
		{"/control/get?room=m&format=text", "", key},
		{"/control/get?room=m", "text/plain", key},
		{"/control/get?room=m", "text/plain;q=0.9, */*;q=0.1", key},
		{"/control/get?format=text", "", "url: /control/get?room=<ROOM_NAME>"},
		{"/control/get?room=m", "application/json, text/plain, */*", `{"status":200,"data":"` + key + `"}`},
		{"/control/get?room=m", "*/*", `{"status":200,"data":"` + key + `"}`},
		{"/control/get?room=m", "text/html", `{"status":200,"data":"` + key + `"}`},
		{"/control/get?room=m&format=json", "text/plain", `{"status":200,"data":"` + key + `"}`},
		{"/stat/livestat?format=text", "", `{"status":200,"data":{"publishers":[],"players":[],"hls_viewers":0}}`},
	} {
		w := call(h, "GET", tc.target, "", "Accept: "+tc.accept)
		wantType := "application/json"
		if !strings.HasPrefix(tc.want, "{") {
			wantType = "text/plain; charset=utf-8"
		}
		if w.Body.String() != tc.want || w.Header().Get("Content-Type") != wantType {
			t.Errorf("%s, Accept %q: %s %q, want %q", tc.target, tc.accept, w.Header().Get("Content-Type"), w.Body, tc.want)
		}
	}
}

// Spec 7.36: the status tells the real result, whatever the store.
func TestDefect36StatusCodes(t *testing.T) {
	for _, tc := range []struct {
		err    error
		status int
	}{
		{nil, 200},
		{keys.ErrNoRoom, 404},
		{fmt.Errorf("%w: it is empty", keys.ErrBadRoom), 400},
		{keys.ErrTooManyRooms, 507},
		{fmt.Errorf("%w: connection refused", keys.ErrUnavailable), 500},
		{io.ErrUnexpectedEOF, 500},
	} {
		h := newAPI(t, Options{Keys: broken{tc.err}})
		for _, target := range []string{"/control/get?room=m", "/control/reset?room=m", "/control/delete?room=m"} {
			w := get(h, target)
			var got answer
			if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || w.Code != tc.status || got.Status != tc.status {
				t.Errorf("%s with %v: status %d, %q, want %d", target, tc.err, w.Code, w.Body, tc.status)
			}
		}
	}
}

// kept notes what a call asked of the store.
type kept struct {
	broken
	keep []bool
}

func (k *kept) Reset(_ context.Context, _ string, keep bool) (string, error) {
	k.keep = append(k.keep, keep)
	return "K", nil
}

func (k *kept) Delete(_ context.Context, _ string, keep bool) error {
	k.keep = append(k.keep, keep)
	return nil
}

// Decision 37.
func TestKickIsTheDefault(t *testing.T) {
	for query, want := range map[string]bool{"": false, "&kick=1": false, "&kick=": false, "&kick=0": true, "&kick=false": true} {
		store := &kept{}
		h := newAPI(t, Options{Keys: store})
		get(h, "/control/reset?room=m"+query)
		get(h, "/control/delete?room=m"+query)
		if len(store.keep) != 2 || store.keep[0] != want || store.keep[1] != want {
			t.Errorf("%q: keep %v, want %t twice", query, store.keep, want)
		}
	}
}

// Spec 7.55: methods that promise to change nothing, and those that mean something else, change
// nothing.
func TestDefect55Methods(t *testing.T) {
	h := newAPI(t, Options{})
	before := keyIn(t, get(h, "/control/get?room=m"))
	for _, target := range []string{"/control/get", "/control/reset", "/control/delete", "/control/push"} {
		for _, method := range []string{"HEAD", "PUT", "PATCH", "DELETE", "TRACE", "BREW"} {
			w := call(h, method, target+"?room=m", "")
			want := `{"status":405,"data":"method not allowed, use GET, POST"}`
			if w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != "GET, POST" || w.Body.String() != want {
				t.Errorf("%s %s: status %d, Allow %q, %q", method, target, w.Code, w.Header().Get("Allow"), w.Body)
			}
		}
	}
	if after := keyIn(t, get(h, "/control/get?room=m")); after != before {
		t.Error("one of them changed the key")
	}
	for target, allow := range map[string]string{"/stat/livestat": "GET, HEAD, POST", "/": "GET, HEAD, POST", "/healthz": "GET, HEAD"} {
		if w := call(h, "DELETE", target, ""); w.Code != http.StatusMethodNotAllowed || w.Header().Get("Allow") != allow {
			t.Errorf("DELETE %s: status %d, Allow %q", target, w.Code, w.Header().Get("Allow"))
		}
		if w := call(h, "HEAD", target, ""); w.Code != http.StatusOK {
			t.Errorf("HEAD %s: status %d", target, w.Code)
		}
	}
}

func TestPolicyGuardsEverythingButHealth(t *testing.T) {
	policy, err := auth.NewAPIPolicy(auth.APIOptions{Secret: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, "f"), []byte("file"), 0o600); err != nil {
		t.Fatal(err)
	}
	h := newAPI(t, Options{Policy: policy, StaticDir: dir})
	for _, target := range []string{"/", "/control/get?room=m", "/control/set", "/stat/livestat", "/statics/f", "/nowhere"} {
		w := get(h, target)
		if w.Code != http.StatusForbidden || !strings.HasPrefix(w.Body.String(), `{"status":403,"data":"a token is required`) ||
			w.Header().Get("WWW-Authenticate") != "Bearer" || w.Header().Get("Cache-Control") != "no-store" {
			t.Errorf("%s: status %d, %q, headers %v", target, w.Code, w.Body, w.Header())
		}
	}
	token, err := auth.NewToken("0123456789abcdef", "", time.Minute)
	if err != nil {
		t.Fatal(err)
	}
	keyIn(t, get(h, "/control/get?room=m&jwt="+token))
	if w := get(h, "/healthz"); w.Code != http.StatusOK || w.Body.String() != `{"status":"ok"}` {
		t.Errorf("/healthz: status %d, %q", w.Code, w.Body)
	}
}

// Without a policy nothing is open to strangers, but for /healthz.
func TestDefaultPolicy(t *testing.T) {
	h := newAPI(t, Options{})
	remote := func(target string) *httptest.ResponseRecorder {
		r := httptest.NewRequest("GET", "http://localhost:8090"+target, nil)
		r.RemoteAddr = "192.0.2.1:5000"
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		return w
	}
	if w := remote("/control/get?room=m"); w.Code != http.StatusForbidden || !strings.Contains(w.Body.String(), "jwt.secret") {
		t.Errorf("status %d, %q", w.Code, w.Body)
	}
	if w := remote("/healthz"); w.Code != http.StatusOK {
		t.Errorf("/healthz: status %d", w.Code)
	}
}

// Spec 7.3 through the whole API: a preflight does not return the key.
func TestDefect03OptionsReturnsNoKey(t *testing.T) {
	h := newAPI(t, Options{})
	key := keyIn(t, get(h, "/control/get?room=m"))
	w := call(h, "OPTIONS", "/control/get?room=m", "")
	if w.Code != http.StatusNoContent || w.Body.Len() > 0 || strings.Contains(fmt.Sprint(w.Header()), key) {
		t.Errorf("OPTIONS: status %d, %q", w.Code, w.Body)
	}
}

func TestStatics(t *testing.T) {
	dir := t.TempDir()
	for name, content := range map[string]string{"a.txt": "A", "sub/b.txt": "B", "page/index.html": "<p>"} {
		if err := os.MkdirAll(filepath.Dir(filepath.Join(dir, name)), 0o700); err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o600); err != nil {
			t.Fatal(err)
		}
	}
	h := newAPI(t, Options{StaticDir: dir})
	for target, want := range map[string]int{
		"/statics/a.txt": 200, "/statics/sub/b.txt": 200, "/statics/page/": 200,
		"/statics/": 404, "/statics/sub/": 404, "/statics/none": 404, "/statics/..%2f..%2fetc/passwd": 404,
	} {
		if w := get(h, target); w.Code != want {
			t.Errorf("%s: status %d, %q, want %d", target, w.Code, w.Body, want)
		}
	}
	if w := call(h, "POST", "/statics/a.txt", "x=1"); w.Code != http.StatusMethodNotAllowed {
		t.Errorf("POST: status %d", w.Code)
	}
}

func TestIndexNamesTheEndpoints(t *testing.T) {
	w := get(newAPI(t, Options{}), "/")
	for _, path := range []string{"/control/get", "/control/reset", "/control/delete", "/control/set", "/stat/livestat", "/healthz"} {
		if !strings.Contains(w.Body.String(), path) {
			t.Errorf("the index lacks %s", path)
		}
	}
}

func TestLogNeverHoldsAKey(t *testing.T) {
	var log strings.Builder
	h := newAPI(t, Options{Log: slog.New(slog.NewTextHandler(&log, &slog.HandlerOptions{Level: slog.LevelDebug}))})
	secrets := []string{keyIn(t, get(h, "/control/get?room=m")), keyIn(t, get(h, "/control/reset?room=m")), "MyOwnKey0123456789"}
	call(h, "POST", "/control/set", "room=m&key="+secrets[2])
	get(h, "/control/delete?room=m")
	for _, s := range secrets {
		if strings.Contains(log.String(), s) {
			t.Errorf("a key is in the log:\n%s", log.String())
		}
	}
	for _, what := range []string{"channel key reset", "channel key set", "channel key deleted", "room=m"} {
		if !strings.Contains(log.String(), what) {
			t.Errorf("the log lacks %q:\n%s", what, log.String())
		}
	}
}

// Browsers get the console, whoever they are, and programs the list of paths, if the policy lets
// them.
func TestConsole(t *testing.T) {
	policy, err := auth.NewAPIPolicy(auth.APIOptions{Secret: "0123456789abcdef"})
	if err != nil {
		t.Fatal(err)
	}
	page := http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) { io.WriteString(w, "console "+r.URL.Path) })
	h := newAPI(t, Options{Policy: policy, Console: page})
	for _, tc := range []struct{ method, target, accept, want string }{
		{"GET", "/", "text/html,application/xhtml+xml", "console /"},
		{"GET", "/", "*/*", `{"status":403`},
		{"GET", "/", "", `{"status":403`},
		{"POST", "/", "text/html", `{"status":403`},
		{"GET", "/assets/a.js", "*/*", "console /assets/a.js"},
		{"GET", "/control/get?room=m", "text/html", `{"status":403`},
	} {
		r := httptest.NewRequest(tc.method, tc.target, nil)
		r.Header.Set("Accept", tc.accept)
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if !strings.HasPrefix(w.Body.String(), tc.want) {
			t.Errorf("%s %s with %q: %q", tc.method, tc.target, tc.accept, w.Body)
		}
	}
}
