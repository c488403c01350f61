package hls

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"testing"
	"time"

	"livego/internal/hls/ladder"
	"livego/internal/hls/playlist"
)

// onAir is a server with the stream live/movie of some segments, 3 s each from number 1000 on.
func onAir(opt Options, segments int) *Server {
	opt.Now = func() time.Time { return time.Unix(1000, 0) }
	s := newServer(opt)
	l := s.begin("live/movie", &ladder.Publication{})(context.Background())
	w := &playlist.TSWindow{Dir: "movie", ListSize: 3, MaxBytes: 1 << 20, Target: 3 * time.Second, DiscontinuitySeq: 1000, Gzip: &playlist.Compressor{}}
	for i := range segments {
		sg := &playlist.TSSegment{Seq: int64(1000 + i), Duration: 3 * time.Second, Independent: true}
		sg.Data = playlist.NewTSMedia(fmt.Appendf(nil, "segment %d", sg.Seq), nil)
		w.Add(sg)
		l.ts.window = w
		l.ts.show(false)
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
		{"root", "GET", "/", nil, 404, map[string]string{"Cache-Control": "no-store"}, whatThereIs + "\n"},
		{"preflight", "OPTIONS", "/live/movie.m3u8", nil, 204, map[string]string{"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS", "Access-Control-Allow-Headers": "*, Authorization"}, ""},
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
		if got := AcceptsGzip([]string{value}); got != want {
			t.Errorf("%q: %v", value, got)
		}
	}
}

// A browser plays safely by itself when there are enough segments.
func TestOutlookOfAStreamThatStarts(t *testing.T) {
	for segments, seconds := range []int{9, 6, 3, 0} {
		o, ok := onAir(Options{}, segments).Outlook("live/movie")
		if !ok || o.Settles != seconds || o.Packaged != (segments > 0) || len(o.Playlists) == 0 || o.Ended {
			t.Errorf("%d segments: %v %+v", segments, ok, o)
		}
	}
	if o, ok := onAir(Options{}, 1).Outlook("live/other"); ok {
		t.Errorf("nobody publishes it: %+v", o)
	}
}

// Which playlists a page may offer.
func TestOutlookPlaylists(t *testing.T) {
	_, l, _, _ := lowLatency(Options{})
	reason := "no"
	l.transport().answer()
	s := newServer(Options{})
	s.lives["live/movie"] = l
	check := func(what string, settles int, want ...string) {
		t.Helper()
		o, _ := s.Outlook("live/movie")
		if !slices.Equal(o.Playlists, want) || o.Settles != settles || o.Packaged != (settles == 0) {
			t.Errorf("%s: %+v", what, o)
		}
	}
	check("both", 0, "index.m3u8", "../movie.m3u8")
	l.transport().refusal.Store(&reason)
	check("CMAF only", 0, "index.m3u8")
	l.cmaf = ladder.NewPresentation()
	l.transport().refusal.Store(nil)
	check("nothing yet", 9, "index.m3u8", "../movie.m3u8")
	l.cmaf.Refuse(reason)
	check("MPEG-TS only", 9, "../movie.m3u8")
	l.transport().refusal.Store(&reason)
	check("no form of HLS has it", 9)
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
