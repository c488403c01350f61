package server

import (
	"net/http"
	"strings"
	"testing"

	"livego/internal/live"
)

// TestTakePoster: only a command of the stream may send its picture, which is a JPEG of bounded
// size.
func TestTakePoster(t *testing.T) {
	s := start(t)
	key := s.now().access.lent.lend(live.Name{App: "live", Stream: "movie"})
	const jpeg = "\xff\xd8\xffpicture"
	for what, tc := range map[string]struct {
		path, body string
		want       int
	}{
		"no key":         {"/live/movie/poster.jpg", jpeg, 403},
		"a wrong key":    {"/live/movie/poster.jpg?token=x", jpeg, 403},
		"another stream": {"/live/other/poster.jpg?token=" + key, jpeg, 403},
		"another file":   {"/live/movie/poster.mp4?token=" + key, jpeg, 403},
		"a page":         {"/live/movie/poster.jpg?token=" + key, "<html><script>", 415},
		"too much":       {"/live/movie/poster.jpg?token=" + key, jpeg + strings.Repeat(" ", maxPoster), 413},
	} {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url("http", "hls", tc.path), strings.NewReader(tc.body))
		if err != nil {
			t.Fatal(err)
		}
		answer, err := httpClient().Do(r)
		if err != nil {
			t.Fatalf("%s: %v", what, err)
		}
		if answer.Body.Close(); answer.StatusCode != tc.want {
			t.Errorf("%s: %d, want %d", what, answer.StatusCode, tc.want)
		}
	}
	got := call(t, http.MethodGet, s.url("http", "hls", "/live/movie/poster.jpg"))
	wantEqual(t, "a picture that nobody could send", got.status, 404)
	s.posters.put("live/movie", []byte(jpeg))
	got = call(t, http.MethodGet, s.url("http", "hls", "/live/movie/poster.jpg"))
	wantEqual(t, "the picture", got.body, jpeg)
	wantEqual(t, "its type", got.header.Get("Content-Type"), "image/jpeg")
}

// TestPosterAtOtherNodes: pictures of a stream are the same at each node, also between regions, and
// the status of the stream says that there are some.
func TestPosterAtOtherNodes(t *testing.T) {
	t.Parallel()
	g := startRegions(t, []string{"x", "y", "y"})
	home, tags := g.nodes[0], clip(t)
	const jpeg = "\xff\xd8\xffpicture"
	e := publish(t, home, "movie")
	e.send(tags...)
	eventually(t, "the last key frame is there", func() bool { return home.Sessions()[0].VideoBytes >= size(tags) })
	home.posters.put("live/movie", []byte(jpeg))
	still := call(t, http.MethodGet, home.url("http", "hls", "/live/movie/poster.mp4"))
	wantEqual(t, "status", still.status, 200)
	for _, s := range g.nodes[1:] {
		var got answer
		eventually(t, "the picture is there", func() bool {
			got = call(t, http.MethodGet, s.url("http", "hls", "/live/movie/poster.jpg"))
			return got.status == 200
		})
		wantEqual(t, "the picture", got.body, jpeg)
		wantEqual(t, "its type", got.header.Get("Content-Type"), "image/jpeg")
		wantEqual(t, "the last key frame", call(t, http.MethodGet, s.url("http", "hls", "/live/movie/poster.mp4")).body, still.body)
		wantContains(t, "status", call(t, http.MethodGet, s.url("http", "hls", "/live/movie/status.json")).body, `"poster":"poster.jpg"`, `"still":true`)
	}
	wantEqual(t, "of a stream that there is not", call(t, http.MethodGet, g.nodes[1].url("http", "hls", "/live/other/poster.jpg")).status, 404)
}
