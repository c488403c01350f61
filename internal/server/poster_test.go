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
	key := s.now().access.lent.lend(newCommanded(live.Name{App: "live", Stream: "movie"}))
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
		wantEqual(t, what, sendPoster(t, s, tc.path, tc.body), tc.want)
	}
	got := call(t, http.MethodGet, s.url("http", "hls", "/live/movie/poster.jpg"))
	wantEqual(t, "a picture that nobody could send", got.status, 404)
	s.posters.put("live/movie", poster{jpeg: []byte(jpeg)})
	got = call(t, http.MethodGet, s.url("http", "hls", "/live/movie/poster.jpg"))
	wantEqual(t, "the picture", got.body, jpeg)
	wantEqual(t, "its type", got.header.Get("Content-Type"), "image/jpeg")
}

// sendPoster sends a picture as commands do, and returns the status of the answer.
func sendPoster(t *testing.T, s *testServer, path, picture string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, s.url("http", "hls", path), strings.NewReader(picture))
	if err != nil {
		t.Fatal(err)
	}
	answer, err := httpClient().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	return answer.StatusCode
}

// TestPosterOfTheNextLife: a command of a life that is over, which runs a moment longer, takes away
// nothing of the next life, and leaves nothing behind.
func TestPosterOfTheNextLife(t *testing.T) {
	t.Parallel()
	s, jpeg := start(t), "\xff\xd8\xff"
	movie := live.Name{App: "live", Stream: "movie"}
	former, next := newCommanded(movie), newCommanded(movie)
	send := func(of *commanded, picture string) int {
		return sendPoster(t, s, "/live/movie/poster.jpg?token="+s.now().access.lent.lend(of), jpeg+picture)
	}
	shown := func() answer { return call(t, http.MethodGet, s.url("http", "hls", "/live/movie/poster.jpg")) }
	wantEqual(t, "the first picture", send(former, "a"), 204)
	wantEqual(t, "one of the next life", send(next, "b"), 204)
	s.endPoster(former)
	wantEqual(t, "after the end of the first life", shown().body, jpeg+"b")
	wantEqual(t, "one that comes too late", send(former, "c"), 410)
	wantEqual(t, "after that", shown().body, jpeg+"b")
	s.endPoster(next)
	wantEqual(t, "after both", shown().status, 404)
	wantEqual(t, "too late again", send(next, "d"), 410)
	wantEqual(t, "nothing is left", shown().status, 404)
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
	home.posters.put("live/movie", poster{jpeg: []byte(jpeg)})
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
