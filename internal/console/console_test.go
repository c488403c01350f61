package console

import (
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"

	"livego/internal/pages"
)

func newConsole(t *testing.T, files fstest.MapFS) *Handler {
	t.Helper()
	built, err := pages.New(files)
	if err != nil {
		t.Fatal(err)
	}
	return New(Options{Pages: built, Token: true, Media: func() []Port {
		return []Port{{"http", 7001}, {"ws", 7001}, {"https", 7002}}
	}})
}

func ask(h *Handler, method, target string) *httptest.ResponseRecorder {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	return w
}

var built = fstest.MapFS{
	".vite/manifest.json":  {Data: []byte(`{"src/console/main.tsx": {"file": "assets/main-1.js", "css": ["assets/main-1.css"]}}`)},
	"assets/main-1.js":     {Data: []byte("script")},
	"assets/main-1.css":    {Data: []byte("style")},
	"assets/licenses.txt":  {Data: []byte("licenses")},
	"assets/other-page.js": {Data: []byte("other")},
}

func TestPage(t *testing.T) {
	w := ask(newConsole(t, built), "GET", "http://tv.example:8090/")
	body, policy := w.Body.String(), w.Header().Get("Content-Security-Policy")
	for _, want := range []string{`<script type="module" src="assets/main-1.js">`, `<link rel="stylesheet" href="assets/main-1.css">`, `<div id="app" data-token>`} {
		if !strings.Contains(body, want) {
			t.Errorf("the page lacks %s:\n%s", want, body)
		}
	}
	const want = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data: blob: http://tv.example:7001 https://tv.example:7002; " +
		"media-src 'self' blob: http://tv.example:7001 https://tv.example:7002; " +
		"connect-src 'self' http://tv.example:7001 ws://tv.example:7001 https://tv.example:7002; " +
		"base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
	if policy != want {
		t.Errorf("policy\n%s, want\n%s", policy, want)
	}
	if w.Code != http.StatusOK || w.Header().Get("X-Frame-Options") != "DENY" || w.Header().Get("Cache-Control") != "no-store" {
		t.Errorf("status %d, %v", w.Code, w.Header())
	}
}

// What is no host never gets into the policy.
func TestBadHost(t *testing.T) {
	r := httptest.NewRequest("GET", "/", nil)
	r.Host = "a; script-src *"
	w := httptest.NewRecorder()
	newConsole(t, built).ServeHTTP(w, r)
	if policy := w.Header().Get("Content-Security-Policy"); strings.Contains(policy, "script-src *") || !strings.Contains(policy, "connect-src 'self';") {
		t.Errorf("policy %s", policy)
	}
}

func TestFiles(t *testing.T) {
	h := newConsole(t, built)
	for target, want := range map[string]int{
		"/assets/main-1.js": 200, "/assets/none.js": 404, "/assets/": 404, "/assets/../console.go": 404, "/": 200,
	} {
		if w := ask(h, "GET", "http://localhost"+target); w.Code != want {
			t.Errorf("%s: status %d, want %d", target, w.Code, want)
		}
	}
	if w := ask(h, "HEAD", "http://localhost/"); w.Code != 200 || w.Body.Len() > 0 {
		t.Errorf("HEAD: status %d, %q", w.Code, w.Body)
	}
	if w := ask(h, "POST", "http://localhost/"); w.Code != 405 || w.Header().Get("Allow") != "GET, HEAD" {
		t.Errorf("POST: status %d, %v", w.Code, w.Header())
	}
}

// Without Node the page says how to get the console.
func TestNotBuilt(t *testing.T) {
	w := ask(newConsole(t, fstest.MapFS{}), "GET", "http://localhost/")
	if w.Code != 200 || !strings.Contains(w.Body.String(), "make build") || strings.Contains(w.Body.String(), "<script") {
		t.Errorf("status %d, %s", w.Code, w.Body)
	}
}
