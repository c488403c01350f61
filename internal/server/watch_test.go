package server

import (
	"encoding/json"
	"strings"
	"testing"
	"time"

	"livego/internal/watch"
)

// statusOf is what the page of a stream hears.
func statusOf(t testing.TB, s *testServer, stream string) (st watch.Status) {
	t.Helper()
	a := call(t, "GET", s.url("http", "hls", "/"+stream+"/status.json"))
	if err := json.Unmarshal([]byte(a.body), &st); err != nil || a.status != 200 || a.header.Get("Access-Control-Allow-Origin") != "*" {
		t.Fatalf("status of %s: %v: %d %s", stream, err, a.status, a.body)
	}
	return st
}

func awaitState(t testing.TB, s *testServer, stream string, want watch.State) (st watch.Status) {
	t.Helper()
	eventually(t, stream+" is "+string(want), func() bool { st = statusOf(t, s, stream); return st.State == want })
	return st
}

// TestStatusOfAStream follows a stream from before its begin to its end.
func TestStatusOfAStream(t *testing.T) {
	t.Parallel()
	s, tags := start(t, func(o *Options) { o.PublicStatus = true }), clip(t)
	wantEqual(t, "before", statusOf(t, s, "live/movie").State, watch.Offline)
	wantEqual(t, "of no app", statusOf(t, s, "other/movie").State, watch.Offline)
	e := publish(t, s, "movie")
	starts := awaitState(t, s, "live/movie", watch.Starting)
	wantEqual(t, "tracks of a publisher without media", len(starts.Tracks), 0)
	e.send(tags...)
	st := awaitState(t, s, "live/movie", watch.Live)
	eventually(t, "both tracks", func() bool { st = statusOf(t, s, "live/movie"); return len(st.Tracks) == 2 })
	video := st.Tracks[0]
	if video.Kind != "video" || video.Codec != "H264" || video.Codecs == "" || video.Width == 0 || st.Tracks[1].Codecs != "mp4a.40.2" {
		t.Errorf("%+v", st.Tracks)
	}
	wantEqual(t, "FLV", st.URLs[watch.HTTPFLV], s.url("http", "http-flv", "/live/movie.flv"))
	wantEqual(t, "RTMP", st.URLs[watch.RTMP], s.url("rtmp", "rtmp", "/live/movie"))
	wantEqual(t, "best playlist", st.Playlists[0], "index.m3u8")

	watchFLV(t, s, "movie")
	eventually(t, "one viewer", func() bool { return statusOf(t, s, "live/movie").Viewers == 1 })
	eventually(t, "the stream is in the list", func() bool {
		return strings.Contains(call(t, "GET", s.url("http", "hls", "/status.json")).body, `"stream":"live/movie","state":"live"`)
	})
	wantContains(t, "list", call(t, "GET", s.url("http", "hls", "/")).body, "live/movie/")

	e.lose()
	awaitState(t, s, "live/movie", watch.Interrupted)
	e = publish(t, s, "movie")
	e.send(tags...)
	awaitState(t, s, "live/movie", watch.Live)
	e.unpublish()
	awaitState(t, s, "live/movie", watch.Ended)
	eventually(t, "the viewer is gone", func() bool { return statusOf(t, s, "live/movie").Viewers == 0 })
	eventually(t, "the list is empty", func() bool {
		return call(t, "GET", s.url("http", "hls", "/status.json")).body == `{"streams":[]}`
	})
}

// TestStatusOfALadder: a stream is live as long as one of its publications is, and stands in the
// list once.
func TestStatusOfALadder(t *testing.T) {
	t.Parallel()
	s, tags := start(t, func(o *Options) { o.PublicStatus = true; o.Live.Grace = time.Minute }), clip(t)
	whole := publish(t, s, "movie")
	publishTo(t, s.url("rtmp", "rtmp", "/live/"+s.key("movie")+"?rendition=low")).send(tags...)
	publish(t, s, "movie-2").send(tags...)
	whole.send(tags...)
	eventually(t, "all tracks", func() bool { return len(statusOf(t, s, "live/movie").Tracks) == 4 })
	whole.lose()
	eventually(t, "one publication is left", func() bool {
		var list struct{ Streams []watch.Status }
		if err := json.Unmarshal([]byte(call(t, "GET", s.url("http", "hls", "/status.json")).body), &list); err != nil {
			t.Fatal(err)
		}
		return len(list.Streams) == 2 && list.Streams[0].State == watch.Live && list.Streams[1].Stream == "live/movie-2"
	})
}

// TestStatusOfApps: a page shows what HLS or FLV has, and names only the protocols of the app.
func TestStatusOfApps(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) {
		o.Apps = []App{{Name: "flv", Live: true, FLV: true}, {Name: "rtmp", Live: true}}
	})
	for app, page := range map[string]int{"flv": 200, "rtmp": 404} {
		publishTo(t, s.url("rtmp", "rtmp", "/"+app+"/"+s.key("movie"+app))).send(clip(t)...)
		wantEqual(t, app, call(t, "GET", s.url("http", "hls", "/"+app+"/movie"+app+"/")).status, page)
	}
	st := awaitState(t, s, "flv/movieflv", watch.Live)
	if len(st.Playlists) != 0 || st.URLs[watch.HTTPFLV] == "" {
		t.Errorf("%+v", st)
	}
	wantEqual(t, "state of an app of RTMP only", statusOf(t, s, "rtmp/moviertmp").State, watch.Offline)
	wantEqual(t, "list that is off", call(t, "GET", s.url("http", "hls", "/status.json")).status, 404)
}
