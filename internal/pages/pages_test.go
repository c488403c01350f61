package pages

import (
	"bytes"
	"compress/gzip"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/fstest"
)

var output = fstest.MapFS{
	manifestFile: {Data: []byte(`{
		"src/watch/main.tsx": {"file": "assets/watch-1.js", "css": ["assets/watch-1.css"], "imports": ["_ui.js"], "dynamicImports": ["src/watch/flv.ts"], "isEntry": true},
		"src/watch/hls.ts": {"file": "assets/hls-1.js", "imports": ["_ui.js"]},
		"src/watch/flv.ts": {"file": "assets/flv-1.js"},
		"_ui.js": {"file": "assets/ui-1.js", "css": ["assets/ui-1.css"], "imports": ["_ui.js"]}}`)},
	"assets/watch-1.js":     {Data: []byte(strings.Repeat("script", 1000))},
	"assets/watch-1.js.gz":  {Data: packed(strings.Repeat("script", 1000))},
	"assets/watch-1.css":    {Data: []byte("x")},
	"assets/watch-1.css.gz": {Data: packed("x")},
}

func packed(text string) []byte {
	var b bytes.Buffer
	w := gzip.NewWriter(&b)
	_, _ = io.WriteString(w, text) // a buffer takes all
	_ = w.Close()
	return b.Bytes()
}

func ask(s *Set, name, encoding string) *http.Response {
	r := httptest.NewRequest("GET", "/", nil)
	if encoding != "" {
		r.Header.Set("Accept-Encoding", encoding)
	}
	w := httptest.NewRecorder()
	s.Serve(w, r, name)
	return w.Result()
}

// A page names its files, what they import and what it needs soon, each once.
func TestPage(t *testing.T) {
	s, err := New(output)
	if err != nil {
		t.Fatal(err)
	}
	p, ok := s.Page("src/watch/main.tsx", "src/watch/hls.ts")
	if !ok || p.Script != "assets/watch-1.js" || !slices.Equal(p.Styles, []string{"assets/ui-1.css", "assets/watch-1.css"}) ||
		!slices.Equal(p.Preload, []string{"assets/ui-1.js", "assets/hls-1.js"}) {
		t.Errorf("%v %+v", ok, p)
	}
	if _, ok := s.Page("src/other.tsx"); ok || s.Has("other.js") || s.Has("watch-1.js.gz") || !s.Has("watch-1.js") {
		t.Error("there is what was not built")
	}
}

func TestServe(t *testing.T) {
	s, err := New(output)
	if err != nil {
		t.Fatal(err)
	}
	for encoding, packed := range map[string]bool{
		"gzip": true, "br, GZIP;q=0.5": true, "": false, "gzip;q=0": false, "gzip;q=x": false, "br": false, "identity": false,
	} {
		r := ask(s, "watch-1.js", encoding)
		var body io.Reader = r.Body
		if got := r.Header.Get("Content-Encoding") == "gzip"; got != packed {
			t.Errorf("%q: packed %v", encoding, got)
		} else if packed {
			if body, err = gzip.NewReader(r.Body); err != nil {
				t.Fatal(err)
			}
		}
		data, err := io.ReadAll(body)
		if err != nil || string(data) != strings.Repeat("script", 1000) {
			t.Errorf("%q: %v, %d bytes", encoding, err, len(data))
		}
		if r.Header.Get("Content-Type") != "text/javascript; charset=utf-8" || !strings.Contains(r.Header.Get("Cache-Control"), "immutable") ||
			r.Header.Get("Vary") != "Accept-Encoding" {
			t.Errorf("%v", r.Header)
		}
	}
	if r := ask(s, "watch-1.css", "gzip"); r.Header.Get("Content-Encoding") != "" || r.Header.Get("Content-Type") != "text/css; charset=utf-8" {
		t.Errorf("a file that grows when it is packed: %v", r.Header)
	}
}

// Without Node there is nothing but the placeholder; half an output is an error at the start.
func TestNotBuilt(t *testing.T) {
	s, err := New(fstest.MapFS{"placeholder.txt": {}})
	if _, ok := s.Page("src/watch/main.tsx"); err != nil || ok {
		t.Errorf("%v %v", err, ok)
	}
	for _, files := range []fstest.MapFS{
		{manifestFile: {Data: []byte("{")}},
		{manifestFile: {Data: []byte("{}")}},
	} {
		if _, err := New(files); err == nil {
			t.Error("no error")
		}
	}
	if _, err := Built(); err != nil {
		t.Error(err)
	}
}
