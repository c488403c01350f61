package hls

import (
	"fmt"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"livego/internal/hls/playlist"
)

func TestRoute(t *testing.T) {
	cases := []struct {
		path string
		want target
	}{
		{"/live/movie.m3u8", target{kind: mediaPlaylist, name: "live/movie"}},
		{"/live/a/b/c.m3u8", target{kind: mediaPlaylist, name: "live/a/b/c"}},
		{"/live/movie.m3u8.m3u8", target{kind: mediaPlaylist, name: "live/movie.m3u8"}},
		{"/live/movie/1772366400.ts", target{kind: mediaSegment, name: "live/movie", seq: 1772366400}},
		{"/live/a/b/7.ts", target{kind: mediaSegment, name: "live/a/b", seq: 7}},
		{"/crossdomain.xml", target{kind: crossDomainPolicy}},
		{"/live/a/b/crossdomain.xml", target{kind: crossDomainPolicy}},
		{"/live/movie/index.m3u8", target{kind: multivariantPlaylist, name: "live/movie"}},
		{"/live/a/b/index.m3u8", target{kind: multivariantPlaylist, name: "live/a/b"}},
		{"/live/movie/index-v0.m3u8", target{kind: renditionPlaylist, name: "live/movie", id: "v0"}},
		{"/live/a/b/index-720p.v0.m3u8", target{kind: renditionPlaylist, name: "live/a/b", id: "720p.v0"}},
		{"/live/movie/index-v0.iframes.m3u8", target{kind: framesPlaylist, name: "live/movie", id: "v0"}},
		{"/live/movie/v0/7.m4s", target{kind: cmafSegmentFile, name: "live/movie", id: "v0", seq: 7}},
		{"/live/a/b/720p.v0/7.m4s", target{kind: cmafSegmentFile, name: "live/a/b", id: "720p.v0", seq: 7}},
		{"/live/7/v0/7.0.m4s", target{kind: cmafPartFile, name: "live/7", id: "v0", seq: 7}},
		{"/live/movie/a1/7.14.m4s", target{kind: cmafPartFile, name: "live/movie", id: "a1", seq: 7, part: 14}},
		{"/live/movie/a1/7.mp4", target{kind: cmafInitFile, name: "live/movie", id: "a1", seq: 7}},
	}
	for _, c := range cases {
		if diff := cmp.Diff(c.want, route(c.path), cmp.AllowUnexported(target{})); diff != "" {
			t.Errorf("%q:\n%s", c.path, diff)
		}
		if got := StreamName(c.path); got != c.want.name {
			t.Errorf("StreamName(%q) = %q", c.path, got)
		}
	}
}

// Paths that stand for nothing: no stream, or numbers that a file has in another form too.
func TestRouteOfNothing(t *testing.T) {
	for _, path := range []string{
		"", "/", "live/movie.m3u8", "/movie.m3u8", "/live/.m3u8", "//movie.m3u8", "/live/", "/live//", "/live/movie//", "/live/movie/", "/live/movie",
		"/live/movie.flv", "/live/movie/01.ts", "/live/movie/+1.ts", "/live/movie/-1.ts", "/live/movie/x.ts", "/live/movie/.ts",
		"/live/movie/99999999999999999999.ts", "/live/1.ts",
		"/live/index.m3u8", "/live/index-v0.m3u8", "/live/movie/index-.m3u8", "/live/movie/index-.iframes.m3u8",
		"/live/v0/7.m4s", "/live/movie//7.m4s", "/live/movie/v0/07.m4s", "/live/movie/v0/7.00.m4s", "/live/movie/v0/7..m4s",
		"/live/movie/v0/7.-1.m4s", "/live/movie/v0/7.6001.m4s", "/live/movie/v0/7.1.2.m4s", "/live/movie/v0/.m4s", "/live/movie/v0/7.0.mp4",
		"/live/movie/v0/.mp4", "/live/v0/7.mp4", "/7.m4s", "/v0/7.mp4",
	} {
		if got := route(path); got != (target{}) {
			t.Errorf("%q: %+v", path, got)
		}
	}
}

// path is the only URL of a target.
func (t target) path() string {
	switch t.kind {
	case mediaPlaylist:
		return "/" + t.name + ".m3u8"
	case mediaSegment:
		return fmt.Sprintf("/%s/%d.ts", t.name, t.seq)
	case multivariantPlaylist:
		return "/" + t.name + "/index.m3u8"
	case renditionPlaylist:
		return "/" + t.name + "/index-" + t.id + ".m3u8"
	case framesPlaylist:
		return "/" + t.name + "/index-" + t.id + ".iframes.m3u8"
	case cmafSegmentFile:
		return fmt.Sprintf("/%s/%s/%d.m4s", t.name, t.id, t.seq)
	case cmafPartFile:
		return fmt.Sprintf("/%s/%s/%d.%d.m4s", t.name, t.id, t.seq, t.part)
	case cmafInitFile:
		return fmt.Sprintf("/%s/%s/%d.mp4", t.name, t.id, t.seq)
	}
	return ""
}

// FuzzRoute: a path that stands for something names it in one way only.
func FuzzRoute(f *testing.F) {
	for _, path := range []string{
		"/live/movie.m3u8", "/live/a/b/7.ts", "/live/movie/", "/x/crossdomain.xml", "/live/%2e/..", "//", "/a/b/-0.ts", "/a/b/index.m3u8",
		"/a/b/index-v0.m3u8", "/a/b/index-v0.iframes.m3u8", "/a/b/v0/1.m4s", "/a/b/v0/1.0.m4s", "/a/b/v0/1.mp4",
	} {
		f.Add(path)
	}
	f.Fuzz(func(t *testing.T, path string) {
		got := route(path)
		if got.kind == nothing || got.kind == crossDomainPolicy {
			if got.name != "" {
				t.Errorf("%q names %q", path, got.name)
			}
			return
		}
		if got.path() != path {
			t.Errorf("%q is %q", path, got.path())
		}
		if !strings.Contains(got.name, "/") || strings.Contains(got.id, "/") || got.part < 0 || got.part > playlist.MaxPartIndex || got.seq < 0 {
			t.Errorf("%q: %+v", path, got)
		}
	})
}

// TestCanonical: queries that mean the same are one, for a cache.
func TestCanonical(t *testing.T) {
	for _, c := range []struct{ path, query, want, bad string }{
		{"/live/a/index-v.m3u8", "_HLS_part=2&x=1&_HLS_msn=7", "_HLS_msn=7&_HLS_part=2", ""},
		{"/live/a/index-v.m3u8", "_HLS_skip=v2&_HLS_msn=07", "_HLS_msn=7&_HLS_skip=YES", ""},
		{"/live/a/index-v.m3u8", "_HLS_skip=YES&_HLS_skip=NO", "_HLS_skip=YES", ""},
		{"/live/a/index-v.m3u8", "_HLS_skip=NO&t=1", "", ""},
		{"/live/a/index-v.iframes.m3u8", "_HLS_msn=1", "_HLS_msn=1", ""},
		{"/live/a/index.m3u8", "_HLS_msn=1", "", ""},
		{"/live/a/v/1.m4s", "token=1", "", ""},
		{"/live/a/index-v.m3u8", "_HLS_part=2", "", playlist.ErrPartOnly.Error()},
		{"/live/a/index-v.m3u8", "_HLS_msn=x", "", playlist.ErrBadNumber.Error()},
	} {
		got, err := Canonical(c.path, c.query)
		if got != c.want || (err == nil) != (c.bad == "") || err != nil && err.Error() != c.bad {
			t.Errorf("%s?%s: %q, %v", c.path, c.query, got, err)
		}
	}
}
