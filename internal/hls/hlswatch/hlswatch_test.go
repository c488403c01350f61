package hlswatch

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func TestAfter(t *testing.T) {
	const head = "#EXTM3U\n#EXT-X-PART-INF:PART-TARGET=1\n#EXT-X-MEDIA-SEQUENCE:7\n"
	for text, want := range map[string]string{
		head: "_HLS_msn=7&_HLS_part=0",
		head + "#EXT-X-PART:URI=\"a\"\n#EXTINF:1,\na\n":                                                        "_HLS_msn=8&_HLS_part=0",
		head + "#EXT-X-SKIP:SKIPPED-SEGMENTS=4\n#EXTINF:1,\na\n#EXT-X-PART:URI=\"b\"\n#EXT-X-PART:URI=\"c\"\n": "_HLS_msn=12&_HLS_part=2",
		"#EXTM3U\n#EXT-X-MEDIA-SEQUENCE:7\n#EXTINF:1,\na\n":                                                    "_HLS_msn=8",
	} {
		if got := after(text); got != want {
			t.Errorf("%q: %s", text, got)
		}
	}
}

// TestWatch plays a stream that ends at once, and has faults.
func TestWatch(t *testing.T) {
	files := map[string]string{
		"/a/index.m3u8":    "#EXTM3U\n#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"g\",NAME=\"n\",URI=\"index-a0.m3u8\"\n#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"c\",AUDIO=\"g\"\nindex-v0.m3u8\n",
		"/a/index-v0.m3u8": "#EXTM3U\n#EXT-X-TARGETDURATION:1\n#EXT-X-MEDIA-SEQUENCE:1\n#EXT-X-MAP:URI=\"v0/1.mp4\"\n#EXTINF:1,\nv0/1.m4s\n#EXT-X-GAP\n#EXTINF:1,\nv0/2.m4s\n#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"v0/3.0.m4s\"\n#EXT-X-ENDLIST\n",
		"/a/v0/1.mp4":      "init", "/a/v0/1.m4s": "segment",
	}
	var asked []string
	s := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		asked = append(asked, r.URL.Path)
		text, ok := files[r.URL.Path]
		if !ok {
			w.WriteHeader(http.StatusNotFound)
		}
		_, _ = w.Write([]byte(text))
	}))
	defer s.Close()
	transport := &http.Transport{MaxConnsPerHost: 1}
	defer transport.CloseIdleConnections()
	w := &Watcher{Client: &http.Client{Transport: transport}}
	if err := w.Watch(t.Context(), s.URL+"/a/index.m3u8"); err == nil || !strings.Contains(err.Error(), "index-a0.m3u8: status 404") {
		t.Fatal(err)
	}
	for _, path := range []string{"/a/index-v0.m3u8", "/a/index-a0.m3u8", "/a/v0/1.mp4", "/a/v0/1.m4s", "/a/v0/3.0.m4s"} {
		if !strings.Contains(strings.Join(asked, " "), path) {
			t.Errorf("%s was not fetched: %v", path, asked)
		}
	}
	if strings.Contains(strings.Join(asked, " "), "/a/v0/2.m4s") {
		t.Error("a gap was fetched")
	}
	if err := w.Checker.Err(); err == nil || !strings.Contains(err.Error(), "(8)") {
		t.Errorf("the checker found %v", err)
	}
	if err := w.Watch(t.Context(), s.URL+"/b/index.m3u8"); err == nil {
		t.Error("no error without a playlist")
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := w.Watch(ended, s.URL+"/a/index.m3u8"); err == nil {
		t.Error("no error after the end")
	}
}
