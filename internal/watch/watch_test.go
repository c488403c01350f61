package watch

import (
	"encoding/json"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/fstest"
	"testing/synctest"
	"time"

	"livego/internal/pages"
)

// streams is live/movie as a test wants it.
type streams struct{ movie Status }

func (s streams) Status(name string) (Status, bool) {
	st := s.movie
	if st.Stream = name; name != "live/movie" {
		st = Status{Stream: name, State: Offline}
	}
	return st, strings.HasPrefix(name, "live/")
}

func (s streams) OnAir() []Status { return []Status{s.movie} }

func (s streams) Doors(string) []Door {
	return []Door{{HTTPFLV, "http", 7001, ".flv"}, {WebSocketFLV, "ws", 7001, ".flv"}, {RTMP, "rtmp", 1935, ""}}
}

var live = Status{
	Stream: "live/movie", State: Live, Playlists: []string{"index.m3u8", "../movie.m3u8"},
	Tracks: []Track{{Kind: "video", Codec: "H264", Codecs: "avc1.64000a", Width: 640, Height: 360}},
}

// set is pages as they are built, or none.
func set(t *testing.T, built bool) *pages.Set {
	t.Helper()
	files := fstest.MapFS{}
	if built {
		files = fstest.MapFS{
			".vite/manifest.json": {Data: []byte(`{"` + watchEntry + `": {"file": "assets/watch-1.js", "css": ["assets/watch-1.css"]},
				"` + hlsEntry + `": {"file": "assets/hls-1.js"}, "` + flvEntry + `": {"file": "assets/flv-1.js"}, "` + listEntry + `": {"file": "assets/list-1.js"}}`)},
			"assets/watch-1.js": {Data: []byte("script")},
		}
	}
	s, err := pages.New(files)
	if err != nil {
		t.Fatal(err)
	}
	return s
}

// other is what the server of media answers.
const other = http.StatusTeapot

func handler(t *testing.T, s Status, change func(*Options)) *Handler {
	o := Options{
		Media:   http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { w.WriteHeader(other) }),
		Streams: streams{s}, Pages: set(t, true), Frames: func() []string { return []string{"*"} }, List: func() bool { return false },
	}
	if change != nil {
		change(&o)
	}
	return New(o)
}

func ask(h *Handler, method, target string) (*http.Response, string) {
	w := httptest.NewRecorder()
	h.ServeHTTP(w, httptest.NewRequest(method, target, nil))
	r := w.Result()
	body, _ := io.ReadAll(r.Body) // of a recorder
	return r, string(body)
}

func contains(t *testing.T, what, body string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if !strings.Contains(body, part) {
			t.Errorf("%s lacks %q:\n%s", what, part, body)
		}
	}
}

func lacks(t *testing.T, what, body string, parts ...string) {
	t.Helper()
	for _, part := range parts {
		if strings.Contains(body, part) {
			t.Errorf("%s has %q:\n%s", what, part, body)
		}
	}
}

// Which paths are pages, and what is left to the server of media.
func TestPaths(t *testing.T) {
	plain := handler(t, live, nil)
	listing := handler(t, live, func(o *Options) { o.List = func() bool { return true } })
	for path, want := range map[string][2]int{
		"/live/movie/": {200, 200}, "/live/a/b/": {200, 200}, "/other/movie/": {404, 404}, "/live/movie/status.json": {200, 200},
		"/other/movie/status.json": {200, 200}, "/live/movie/assets/watch-1.js": {200, 200}, "/assets/watch-1.js": {200, 200},
		"/live/movie/assets/watch-2.js": {other, other}, "/live/assets/watch-1.js": {other, other}, "/live/movie/watch-1.js": {other, other},
		"/": {other, 200}, "/status.json": {other, 200}, "/live/": {other, other}, "/live/status.json": {other, other},
		"//": {other, other}, "/live/movie//": {other, other}, "/live/movie.m3u8": {other, other}, "/live/movie/index.m3u8": {other, other},
		"/live/movie/assets/": {200, 200}, "/live/movie/assets": {302, 302},
		"/live/" + strings.Repeat("a", maxName) + "/": {other, other}, "/live/" + strings.Repeat("a", maxName): {other, other},
		"/live/movie": {302, 302}, "/live/a/b": {302, 302}, "/live/none": {302, 302}, "/live/movie.mp4": {other, other}, "/live": {other, other}, "/movie": {other, other},
		"/live//": {other, other}, "/live/movie.flv": {other, other}, "/live/crossdomain.xml": {other, other},
	} {
		for i, h := range []*Handler{plain, listing} {
			if r, _ := ask(h, "GET", path); r.StatusCode != want[i] {
				t.Errorf("%s: %d, want %d", path, r.StatusCode, want[i])
			}
		}
	}
}

// TestPageWithoutSlash leads to the page, whatever proxy is in front, and never elsewhere.
func TestPageWithoutSlash(t *testing.T) {
	h := handler(t, live, nil)
	for path, want := range map[string]string{
		"/live/movie": "movie/", "/live/movie?autoplay=1": "movie/?autoplay=1", "/live/a%20b": "a%20b/", "/live/x:y": "./x:y/",
		"/live/%2f%2fevil.example": "", "/live/a%3fb": "a%3Fb/",
	} {
		if r, _ := ask(h, "GET", path); r.Header.Get("Location") != want {
			t.Errorf("%s leads to %q, want %q", path, r.Header.Get("Location"), want)
		}
	}
	all := handler(t, live, func(o *Options) { o.Streams = everything{} })
	if r, _ := ask(all, "GET", "/live/a.b"); r.Header.Get("Location") != "a.b/" {
		t.Errorf("a stream with a dot in its name: %v", r.Header)
	}
}

// everything is on air.
type everything struct{ streams }

func (everything) Status(name string) (Status, bool) { return Status{Stream: name, State: Live}, true }

// Requests of players pass without cost.
func TestMediaCostsNothing(t *testing.T) {
	h := handler(t, live, func(o *Options) { o.Media = http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}) })
	w, r := httptest.NewRecorder(), httptest.NewRequest("GET", "/live/a-stream-with-a-long-name/and-more/1080p.v0/1796000000.14.m4s", nil)
	if n := testing.AllocsPerRun(100, func() { h.ServeHTTP(w, r) }); n > 0 {
		t.Errorf("%v allocations", n)
	}
}

func TestMethods(t *testing.T) {
	h := handler(t, live, nil)
	for method, want := range map[string]int{"HEAD": 200, "OPTIONS": 204, "POST": 405, "DELETE": 405} {
		for _, path := range []string{"/live/movie/", "/live/movie/status.json", "/live/movie/assets/watch-1.js"} {
			r, body := ask(h, method, path)
			if r.StatusCode != want || r.Header.Get("Access-Control-Allow-Origin") != "*" || want < 300 && body != "" {
				t.Errorf("%s %s: %d %v %q", method, path, r.StatusCode, r.Header, body)
			}
		}
	}
}

// A built page has its files, and what a browser without script needs only there.
func TestBuiltPage(t *testing.T) {
	r, page := ask(handler(t, live, nil), "GET", "http://tv.example:7002/live/movie/")
	contains(t, "page", page, `<script type="module" src="assets/watch-1.js"></script>`, `<link rel="stylesheet" href="assets/watch-1.css">`,
		`<link rel="modulepreload" href="assets/flv-1.js">`, `data-status="{&#34;stream&#34;:&#34;live/movie&#34;`, "<noscript>")
	before, _, _ := strings.Cut(page, "<noscript>\n<header>")
	lacks(t, "page with script", before, "<video")
	policy := r.Header.Get("Content-Security-Policy")
	contains(t, "policy", policy, "default-src 'none'", "script-src 'self'", "connect-src 'self' http://tv.example:7001 ws://tv.example:7001;", "frame-ancestors *")
	lacks(t, "policy", policy, "unsafe", "1935")
	if r.Header.Get("Cache-Control") != "no-store" || r.Header.Get("Referrer-Policy") != "no-referrer" || r.Header.Get("X-Content-Type-Options") != "nosniff" {
		t.Errorf("%v", r.Header)
	}
}

// A page has the one player at once with which it begins, for the other one weighs too.
func TestPlayerOfThePage(t *testing.T) {
	plain := []Track{{Kind: "video", Codec: "H264"}, {Kind: "audio", Codec: "AAC"}}
	for what, test := range map[string]struct {
		status Status
		scheme string
		hls    bool
	}{
		"nothing is on air":            {Status{State: Offline}, "http", false},
		"nothing is on air, over TLS":  {Status{State: Offline}, "https", true},
		"it has just begun":            {Status{State: Live, Playlists: live.Playlists, Tracks: plain}, "http", false},
		"it has just begun, over TLS":  {Status{State: Live, Playlists: live.Playlists, Tracks: plain}, "https", true},
		"it is packaged":               {Status{State: Live, Playlists: live.Playlists, Tracks: plain, Packaged: true}, "http", true},
		"it is packaged, without CMAF": {Status{State: Live, Playlists: live.Playlists[1:], Tracks: plain, Packaged: true}, "http", false},
		"one can rewind":               {Status{State: Live, Playlists: live.Playlists, Tracks: plain, Rewind: 60}, "http", true},
		"it has levels":                {Status{State: Live, Playlists: live.Playlists, Tracks: append(plain[:1:1], plain...)}, "http", true},
		"HEVC":                         {Status{State: Live, Playlists: live.Playlists, Tracks: []Track{{Kind: "video", Codec: "HEVC"}}}, "http", true},
	} {
		_, page := ask(handler(t, test.status, nil), "GET", test.scheme+"://tv.example:7002/live/movie/")
		if hls, flv := strings.Contains(page, "assets/hls-1.js"), strings.Contains(page, "assets/flv-1.js"); hls != test.hls || flv == hls {
			t.Errorf("%s: hls.js %v, mpegts.js %v", what, hls, flv)
		}
	}
}

// Who may show the page in a frame.
func TestFrames(t *testing.T) {
	for want, frames := range map[string][]string{
		"frame-ancestors 'none'": nil, "frame-ancestors https://a.example https://*.b.example": {"https://a.example", "https://*.b.example"},
	} {
		r, _ := ask(handler(t, live, func(o *Options) { o.Frames = func() []string { return frames } }), "GET", "/live/movie/")
		contains(t, "policy", r.Header.Get("Content-Security-Policy"), want)
	}
}

// A program that was built without Node shows the browser's own player.
func TestStaticPage(t *testing.T) {
	static := func(o *Options) { o.Pages = set(t, false) }
	_, page := ask(handler(t, live, static), "GET", "http://tv.example:7002/live/movie/")
	contains(t, "page", page, `<video controls autoplay muted playsinline>`, `<source src="index.m3u8" type="application/vnd.apple.mpegurl">`,
		`<source src="../movie.m3u8"`, `<title>live/movie`, "http://tv.example:7002/live/movie.m3u8", "Open Network Stream", "on air")
	lacks(t, "page", page, "<script", "refresh", "<noscript", "assets/")
	starts := live
	starts.Settles = 6
	_, page = ask(handler(t, starts, static), "GET", "/live/movie/")
	contains(t, "page of a stream that starts", page, `http-equiv="refresh" content="6"`, "<video")
	for _, s := range []Status{{State: Offline}, {State: Ended, Playlists: live.Playlists}} {
		_, page = ask(handler(t, s, static), "GET", "/live/movie/")
		contains(t, "page with nothing to see", page, "off air")
		lacks(t, "page with nothing to see", page, "<video")
	}
	_, page = ask(handler(t, Status{State: Live}, static), "GET", "http://tv.example/live/movie/")
	contains(t, "page of codecs that HLS does not carry", page, "does not carry", "vlc http://tv.example:7001/live/movie.flv")
	lacks(t, "page of codecs that HLS does not carry", page, "<video")
	_, page = ask(handler(t, live, func(o *Options) { static(o); o.List = func() bool { return true } }), "GET", "/")
	contains(t, "list", page, `<a href="./live/movie/">live/movie</a>`)
}

// The style in the page is what the policy allows.
func TestStyle(t *testing.T) {
	_, page := ask(handler(t, live, func(o *Options) { o.Pages = set(t, false) }), "GET", "/live/movie/")
	_, style, _ := strings.Cut(page, "<style>")
	if style, _, _ = strings.Cut(style, "</style>"); style != pageCSS {
		t.Errorf("style %q", style)
	}
}

// Names come from anybody.
func TestMarkupInNames(t *testing.T) {
	s := live
	s.Stream = `live/"><script>alert(1)</script>`
	for _, built := range []bool{false, true} {
		h := handler(t, s, func(o *Options) { o.Pages = set(t, built); o.List = func() bool { return true } })
		for _, path := range []string{"/live/%22%3E%3Cscript%3Ealert(1)%3C/script%3E/", "/"} {
			_, page := ask(h, "GET", path)
			contains(t, path, page, "&lt;script&gt;alert(1)")
			lacks(t, path, page, "<script>")
		}
	}
}

func TestStatus(t *testing.T) {
	r, body := ask(handler(t, live, nil), "GET", "http://tv.example:7002/live/movie/status.json")
	var s Status
	if err := json.Unmarshal([]byte(body), &s); err != nil {
		t.Fatal(err)
	}
	if s.State != Live || s.URLs[HTTPFLV] != "http://tv.example:7001/live/movie.flv" || s.URLs[RTMP] != "rtmp://tv.example:1935/live/movie" {
		t.Errorf("%+v", s)
	}
	if r.Header.Get("Cache-Control") != "public, max-age=1" || r.Header.Get("Content-Type") != "application/json" {
		t.Errorf("%v", r.Header)
	}
	_, body = ask(handler(t, live, func(o *Options) { o.List = func() bool { return true } }), "GET", "http://tv.example/status.json")
	contains(t, "list", body, `{"streams":[{"stream":"live/movie","state":"live"`)
}

// The list is made once a second, however many ask.
func TestListIsKept(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		c := &counting{}
		h := handler(t, live, func(o *Options) { o.List = func() bool { return true }; o.Streams = c })
		for range 10 {
			ask(h, "GET", "/status.json")
			ask(h, "GET", "/")
		}
		if c.asked != 1 {
			t.Errorf("%d lists", c.asked)
		}
		time.Sleep(listAge)
		if _, body := ask(h, "GET", "/status.json"); c.asked != 2 || body != `{"streams":[]}` {
			t.Errorf("%d lists: %s", c.asked, body)
		}
	})
}

// counting counts the lists that it makes.
type counting struct {
	streams
	asked int
}

func (c *counting) OnAir() []Status {
	c.asked++
	return nil
}

// A client's Host goes into URLs and into a header of ours.
func TestHostname(t *testing.T) {
	for in, want := range map[string]string{
		"tv.example": "tv.example", "tv.example:7002": "tv.example", "127.0.0.1:80": "127.0.0.1", "[::1]:7002": "[::1]", "[::1]": "[::1]",
		"": "", "a;script-src": "", "a b": "", "a'b": "", "a/b": "", "a,b": "", "[fe80::1%25eth0]:1": "", "ä.example": "", "*": "",
		strings.Repeat("a", 254): "",
	} {
		if got := pages.Hostname(in); got != want {
			t.Errorf("%q: %q, want %q", in, got, want)
		}
	}
	r, _ := ask(handler(t, live, nil), "GET", "http://[::1]:7002/live/movie/")
	contains(t, "policy", r.Header.Get("Content-Security-Policy"), "connect-src 'self' http://*:7001 ws://*:7001;")
}
