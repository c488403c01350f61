package hls

import (
	"compress/gzip"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
)

// onAir is a server with the stream live/movie of some segments, 3 s each from number 1000 on.
func onAir(opt Options, segments int) *Server {
	opt.Now = func() time.Time { return time.Unix(1000, 0) }
	s := NewServer(opt)
	l := s.begin("live/movie", &publication{})
	w := &window{dir: "movie", listSize: 3, maxBytes: 1 << 20, target: 3 * time.Second, discontinuitySeq: 1000, gzip: &compressor{}}
	for i := range segments {
		sg := seg(int64(1000+i), 3*time.Second)
		sg.data = fmt.Appendf(nil, "segment %d", sg.seq)
		w.add(sg)
		l.show(s.opt.Log, w, false)
	}
	return s
}

func ask(s *Server, method, path string, headers ...string) *http.Response {
	r := httptest.NewRequest(method, path, nil)
	for i := 0; i < len(headers); i += 2 {
		r.Header.Set(headers[i], headers[i+1])
	}
	w := httptest.NewRecorder()
	s.ServeHTTP(w, r)
	return w.Result()
}

func body(t *testing.T, r *http.Response) string {
	t.Helper()
	b, err := io.ReadAll(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

// answer is a request and what has to come back.
type answer struct {
	name, method, path string
	request            []string
	status             int
	headers            map[string]string
	body               string
}

// checkAnswers asks the server for each of them.
func checkAnswers(t *testing.T, s *Server, cases []answer) {
	t.Helper()
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			r := ask(s, c.method, c.path, c.request...)
			if r.StatusCode != c.status {
				t.Errorf("status %d", r.StatusCode)
			}
			for k, want := range c.headers {
				if got := r.Header.Get(k); got != want {
					t.Errorf("%s: %q, want %q", k, got, want)
				}
			}
			if got := r.Header.Get("Access-Control-Allow-Origin"); got != "*" {
				t.Errorf("Access-Control-Allow-Origin: %q", got)
			}
			if got := body(t, r); c.method != "HEAD" && got != c.body {
				t.Errorf("body %q, want %q", got, c.body)
			}
		})
	}
}

// TestAnswers: status and headers of every kind of answer (decision 28, spec 2.9).
func TestAnswers(t *testing.T) {
	s := onAir(Options{}, 9)
	playlist := body(t, ask(s, "GET", "/live/movie.m3u8"))
	checkAnswers(t, s, []answer{
		{"playlist", "GET", "/live/movie.m3u8?x=1", nil, 200, map[string]string{"Content-Type": "application/vnd.apple.mpegurl", "Cache-Control": "no-cache", "Content-Length": fmt.Sprint(len(playlist)), "Vary": "Accept-Encoding", "Etag": `"1008"`, "Content-Encoding": ""}, playlist},
		{"playlist, HEAD", "HEAD", "/live/movie.m3u8", nil, 200, map[string]string{"Content-Type": "application/vnd.apple.mpegurl", "Content-Length": fmt.Sprint(len(playlist))}, ""},
		{"playlist not modified", "GET", "/live/movie.m3u8", []string{"If-None-Match", `"1008"`}, 304, map[string]string{"Etag": `"1008"`, "Cache-Control": "no-cache"}, ""},
		{"segment", "GET", "/live/movie/1008.ts", nil, 200, map[string]string{"Content-Type": "video/mp2t", "Cache-Control": "public, max-age=31536000, immutable", "Content-Length": "12", "Etag": `"1008"`, "Accept-Ranges": "bytes"}, "segment 1008"},
		{"segment, HEAD", "HEAD", "/live/movie/1008.ts", nil, 200, map[string]string{"Content-Length": "12"}, ""},
		{"segment, range", "GET", "/live/movie/1008.ts", []string{"Range", "bytes=8-10"}, 206, map[string]string{"Content-Range": "bytes 8-10/12", "Cache-Control": "public, max-age=31536000, immutable"}, "100"},
		{"segment, range beyond", "GET", "/live/movie/1008.ts", []string{"Range", "bytes=50-"}, 416, map[string]string{"Content-Range": "bytes */12"}, "invalid range: failed to overlap\n"},
		{"segment out of the list", "GET", "/live/movie/1003.ts", nil, 200, nil, "segment 1003"},
		{"oldest segment", "GET", "/live/movie/1002.ts", nil, 200, nil, "segment 1002"},
		{"segment gone", "GET", "/live/movie/1001.ts", nil, 404, map[string]string{"Cache-Control": "no-store"}, "no such segment, or no longer\n"},
		{"segment to come", "GET", "/live/movie/1009.ts", nil, 404, map[string]string{"Cache-Control": "no-store"}, "no such segment, or no longer\n"},
		{"no stream", "GET", "/live/other.m3u8", nil, 404, map[string]string{"Cache-Control": "no-store", "Content-Type": "text/plain; charset=utf-8", "Retry-After": ""}, "no publisher\n"},
		{"no stream, segment", "GET", "/live/other/1000.ts", nil, 404, nil, "no such segment, or no longer\n"},
		{"root", "GET", "/", nil, 404, map[string]string{"Cache-Control": "no-store"}, "not found\n"},
		{"preflight", "OPTIONS", "/live/movie.m3u8", nil, 204, map[string]string{"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS"}, ""},
		{"post", "POST", "/live/movie.m3u8", nil, 405, map[string]string{"Allow": "GET, HEAD, OPTIONS", "Cache-Control": "no-store"}, "method not allowed\n"},
		{"delete", "DELETE", "/live/movie/1008.ts", nil, 405, map[string]string{"Allow": "GET, HEAD, OPTIONS"}, "method not allowed\n"},
		{"policy", "GET", "/any/where/crossdomain.xml", nil, 200, map[string]string{"Content-Type": "application/xml"}, policy},
	})
}

func TestCompressedPlaylist(t *testing.T) {
	s := onAir(Options{}, 3)
	want := body(t, ask(s, "GET", "/live/movie.m3u8"))
	r := ask(s, "GET", "/live/movie.m3u8", "Accept-Encoding", "br, gzip")
	if r.Header.Get("Content-Encoding") != "gzip" || r.Header.Get("Etag") != `"1002-gz"` || r.Header.Get("Content-Length") != fmt.Sprint(len(body2(t, s))) {
		t.Errorf("%v", r.Header)
	}
	z, err := gzip.NewReader(r.Body)
	if err != nil {
		t.Fatal(err)
	}
	if got, err := io.ReadAll(z); err != nil || string(got) != want {
		t.Errorf("%q, %v", got, err)
	}
}

func body2(t *testing.T, s *Server) string {
	return body(t, ask(s, "GET", "/live/movie.m3u8", "Accept-Encoding", "gzip"))
}

func TestAcceptsGzip(t *testing.T) {
	for value, want := range map[string]bool{
		"": false, "gzip": true, "GZIP": true, "br, gzip": true, "gzip;q=0.5": true, "gzip; q=0": false, "gzip;q=0.0": false,
		"deflate": false, "gzip;q=x": false, "identity": false, "x-gzip": false,
	} {
		if got := acceptsGzip([]string{value}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

// A browser that opens the page before there are enough segments loads it once more when there are.
func TestWatchPageOfAStreamThatStarts(t *testing.T) {
	for segments, seconds := range []string{"9", "6", "3"} {
		want := `http-equiv="refresh" content="` + seconds + `"`
		page := body(t, ask(onAir(Options{}, segments), "GET", "http://tv.example:7002/live/movie/"))
		if !strings.Contains(page, want) || !strings.Contains(page, "<video") {
			t.Errorf("%d segments: %q or the video is not in\n%s", segments, want, page)
		}
	}
}

func TestWatchPage(t *testing.T) {
	s := onAir(Options{}, startSegments)
	r := ask(s, "GET", "http://tv.example:7002/live/movie/")
	page := body(t, r)
	if r.StatusCode != 200 || r.Header.Get("Content-Type") != "text/html; charset=utf-8" || r.Header.Get("Cache-Control") != "no-store" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	for _, part := range []string{
		`<video controls autoplay muted playsinline>`, `<source src="../movie.m3u8" type="application/vnd.apple.mpegurl">`, `<title>live/movie`, `href="../movie.m3u8"`,
		"http://tv.example:7002/live/movie.m3u8", "Open Network Stream", "on air",
	} {
		if !strings.Contains(page, part) {
			t.Errorf("the page lacks %q:\n%s", part, page)
		}
	}
	if strings.Contains(page, "<script") || strings.Contains(page, "refresh") {
		t.Errorf("script or refresh in the page:\n%s", page)
	}
	if csp := r.Header.Get("Content-Security-Policy"); !strings.Contains(csp, "default-src 'none'") || !strings.Contains(csp, "media-src 'self'") {
		t.Errorf("policy %q", csp)
	}
	// The style is what the policy names.
	_, style, _ := strings.Cut(page, "<style>")
	if style, _, _ = strings.Cut(style, "</style>"); style != pageCSS {
		t.Errorf("style %q", style)
	}
}

// Which playlists the page offers, and when it loads again.
func TestWatchPageSources(t *testing.T) {
	_, l, _, _ := lowLatency(Options{})
	reason := "no"
	l.answer()
	s, refresh := NewServer(Options{}), `http-equiv="refresh"`
	s.lives["live/movie"] = l
	show := func() string { return body(t, ask(s, "GET", "http://tv.example/live/movie/")) }
	page := show()
	first, second := strings.Index(page, `<source src="index.m3u8"`), strings.Index(page, `<source src="../movie.m3u8"`)
	if first < 0 || second < first || strings.Contains(page, refresh) || !strings.Contains(page, "http://tv.example/live/movie/index.m3u8") {
		t.Errorf("both:\n%s", page)
	}
	l.refusal.Store(&reason)
	if page = show(); strings.Contains(page, "../movie.m3u8") || !strings.Contains(page, `<source src="index.m3u8"`) || strings.Contains(page, refresh) {
		t.Errorf("CMAF only:\n%s", page)
	}
	l.cmaf = newPresentation()
	l.refusal.Store(nil)
	if page = show(); strings.Contains(page, "index.m3u8") || !strings.Contains(page, `<source src="../movie.m3u8"`) || !strings.Contains(page, refresh) {
		t.Errorf("nothing yet:\n%s", page)
	}
}

func TestWatchPageOffAir(t *testing.T) {
	s := onAir(Options{}, 1)
	r := ask(s, "GET", `/live/%3Cscript%3E%22x/`)
	page := body(t, r)
	if r.StatusCode != 404 || !strings.Contains(page, "off air") || !strings.Contains(page, `http-equiv="refresh"`) || strings.Contains(page, "<video") {
		t.Errorf("%d\n%s", r.StatusCode, page)
	}
	if strings.Contains(page, "<script") || !strings.Contains(page, "&lt;script&gt;") {
		t.Errorf("name not escaped:\n%s", page)
	}
}

func TestAudience(t *testing.T) {
	s := onAir(Options{}, 3)
	now := time.Unix(1000, 0)
	s.opt.Now = func() time.Time { return now }
	visit := func(address, agent string) {
		r := httptest.NewRequest("GET", "/live/movie.m3u8", nil)
		r.RemoteAddr = address
		r.Header.Set("User-Agent", agent)
		s.ServeHTTP(httptest.NewRecorder(), r)
	}
	viewers := func() int { return s.Stats()[0].Viewers }

	if n := viewers(); n != 0 {
		t.Errorf("%d viewers before any", n)
	}
	for range 3 {
		visit("192.0.2.1:1000", "VLC")
		visit("192.0.2.1:2000", "VLC")
		visit("192.0.2.1:3000", "Safari")
		visit("[2001:db8::1]:1", "VLC")
		visit("@", "VLC")
	}
	ask(s, "HEAD", "/live/movie.m3u8")
	if n := viewers(); n != 4 {
		t.Errorf("%d viewers, want 4", n)
	}
	for range 20 {
		now = now.Add(3 * time.Second)
		visit("192.0.2.1:1000", "VLC")
	}
	if n := viewers(); n != 1 {
		t.Errorf("%d viewers, want the one that stayed", n)
	}
	now = now.Add(9 * time.Second)
	if n := viewers(); n != 0 {
		t.Errorf("%d viewers after all left", n)
	}
}

func TestAudienceBound(t *testing.T) {
	var a audience
	now := time.Unix(0, 0)
	for i := range maxViewers + 1000 {
		a.see(uint64(i), now, time.Second)
	}
	if n := a.count(now, time.Second); n != maxViewers {
		t.Errorf("%d viewers", n)
	}
}
