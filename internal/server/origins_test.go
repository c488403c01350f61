package server

import (
	"net/http"
	"strings"
	"testing"
)

// TestMediaOrigins: with a list only pages of those origins, and of this host, may use any of the
// viewers' protocols; what is no page may always. A reload changes the list.
func TestMediaOrigins(t *testing.T) {
	s := start(t, func(o *Options) {
		o.MediaOrigins = []string{"https://example.org", "https://*.example.net"}
	})
	urls := map[string]string{
		"HLS": s.url("http", "hls", "/live/nothing.m3u8"), "status": s.url("http", "hls", "/live/movie/status.json"),
		"FLV": s.url("http", "http-flv", "/live/nothing.flv"), "streams": s.url("http", "http-flv", "/streams"),
	}
	own := "http://" + strings.Split(s.addr("hls"), ":")[0] + ":8090"
	for what, url := range urls {
		for _, method := range []string{"GET", "OPTIONS"} {
			for origin, want := range map[string]string{
				"https://example.org": "https://example.org", "https://a.example.net": "https://a.example.net", own: own, "": "",
				"https://example.net": "refused", "http://example.org": "refused", "https://example.org.evil.example": "refused", "null": "refused", "https://evil.example": "refused",
			} {
				var header []string
				if origin != "" {
					header = []string{"Origin: " + origin}
				}
				got := call(t, method, url, header...)
				allowed := got.header.Get("Access-Control-Allow-Origin")
				switch {
				case want == "refused" && (got.status != http.StatusForbidden || allowed != ""):
					t.Errorf("%s %s from %q: %d, allowed %q", method, what, origin, got.status, allowed)
				case want != "refused" && (got.status == http.StatusForbidden || allowed != want):
					t.Errorf("%s %s from %q: %d, allowed %q, want %q", method, what, origin, got.status, allowed, want)
				case !strings.Contains(strings.Join(got.header.Values("Vary"), ","), "Origin"):
					t.Errorf("%s %s from %q: caches are not told", method, what, origin)
				}
			}
		}
	}
	socket := []string{"Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 13", "Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==", "Origin: https://evil.example"}
	if got := call(t, "GET", s.url("http", "http-flv", "/live/movie.flv"), socket...); got.status != http.StatusForbidden {
		t.Errorf("a WebSocket from elsewhere: %d", got.status)
	}
	opt := s.opt
	opt.MediaOrigins = []string{"*"}
	if err := s.Reload(opt); err != nil {
		t.Fatal(err)
	}
	got := call(t, "GET", urls["HLS"], "Origin: https://evil.example")
	wantEqual(t, "after a reload", got.header.Get("Access-Control-Allow-Origin"), "*")
}
