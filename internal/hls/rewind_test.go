package hls

import (
	"fmt"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"livego/internal/hls/hlstest"
	"livego/internal/spool"
)

// TestStoredFiles: segments and initialization sections from disk are answered like those from
// memory.
func TestStoredFiles(t *testing.T) {
	store := hlstest.OpenSpool(t, spool.Options{})
	s, l, video, _ := lowLatency(Options{})
	for range 5 {
		video.Full()
	}
	video.Gap(2 * time.Second)
	video.Full().Full().Full().Full()
	video.Show(1 << 30)
	paths := []string{"/live/movie/v0/100.m4s", "/live/movie/v0/103.m4s", "/live/movie/v0/100.mp4"}
	ranges := [][]string{nil, {"Range", "bytes=2-5"}, {"Range", "bytes=999999-"}, {"If-None-Match", `"103"`}}
	answers := func() map[string]string {
		m := map[string]string{}
		for _, path := range paths {
			for _, method := range []string{"GET", "HEAD"} {
				for _, headers := range ranges {
					r := ask(s, method, path, headers...)
					m[fmt.Sprint(method, path, headers)] = fmt.Sprint(r.StatusCode, r.Header, body(t, r))
				}
			}
		}
		return m
	}
	was := answers()
	view := video.Rewound(t, store, store.Begin(l.name), 4)
	video.View.Store(view)
	if diff := cmp.Diff(was, answers()); diff != "" {
		t.Error(diff)
	}
	for path, want := range map[string]int{
		"/live/movie/v0/111.m4s":   200, // the gap
		"/live/movie/v0/99.m4s":    404,
		"/live/movie/v0/103.0.m4s": 404, // parts are in memory only
		"/live/movie/v0/101.mp4":   404,
		"/live/movie/a0/99.m4s":    404, // of a rendition without a disk
	} {
		if r := ask(s, "GET", path); r.StatusCode != want {
			t.Errorf("%s: %d", path, r.StatusCode)
		}
	}
}
