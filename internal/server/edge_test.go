package server

import (
	"bytes"
	"context"
	"crypto/sha256"
	"errors"
	"io"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"livego/internal/cluster"
	"livego/internal/hls/hlswatch"
)

// notebook notes what files there were.
type notebook struct {
	http.RoundTripper
	mu    sync.Mutex
	files map[string][sha256.Size]byte // by path
}

func (n *notebook) RoundTrip(r *http.Request) (*http.Response, error) {
	resp, err := n.RoundTripper.RoundTrip(r)
	if err != nil || resp.StatusCode != http.StatusOK || strings.HasSuffix(r.URL.Path, ".m3u8") {
		return resp, err
	}
	body, err := io.ReadAll(resp.Body)
	resp.Body.Close()
	resp.Body = io.NopCloser(bytes.NewReader(body))
	n.mu.Lock()
	defer n.mu.Unlock()
	n.files[r.URL.Path] = sha256.Sum256(body)
	return resp, err
}

// withoutReports leaves out that rendition reports are old, as they may be in a playlist that a
// cache has kept.
func withoutReports(err error) error {
	if err == nil {
		return nil
	}
	var rest []string
	for line := range strings.Lines(err.Error()) {
		if !strings.Contains(line, "(4.4.5.4)") {
			rest = append(rest, line)
		}
	}
	if rest == nil {
		return nil
	}
	return errors.New(strings.Join(rest, ""))
}

// TestLowLatencyHLSAtOtherNodes plays all renditions of a stream at another node, over a takeover
// by an encoder that comes there, by the rules and to the end: each file is the same as at its
// home, which is asked for it once.
func TestLowLatencyHLSAtOtherNodes(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2, func(o *Options) { o.HLS.SegmentDuration, o.HLS.ListSize = time.Second, 12 }), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
	defer cancel()
	e := publish(t, a, "movie")
	eventually(t, "the stream is known", func() bool { _, err := b.node.lookup(t.Context(), "live/movie"); return err == nil })
	var notes [3]*notebook
	watched := make(chan error, len(notes))
	for i := range notes {
		transport := http.DefaultTransport.(*http.Transport).Clone()
		transport.MaxIdleConnsPerHost = 20
		notes[i] = &notebook{RoundTripper: transport, files: map[string][sha256.Size]byte{}}
		client := &http.Client{Transport: notes[i]}
		index := g.nodes[min(i, 1)].url("http", "hls", "/live/movie/index.m3u8")
		go func() {
			defer transport.CloseIdleConnections()
			w := &hlswatch.Watcher{Client: client}
			awaitKeyFrames(ctx, client, index)
			err := w.Watch(ctx, index)
			if err == nil {
				err = withoutReports(w.Checker.Err())
			}
			if w.Checker.Playlists() != 3 || w.Checker.Files() < 100 {
				t.Errorf("%d playlists, %d files of\n%s", w.Checker.Playlists(), w.Checker.Files(), w.Index)
			}
			watched <- err
		}()
	}
	e.perform(t, tags, 1)
	second := publish(t, b, "movie")
	second.perform(t, tags, 1)
	second.unpublish()
	for range notes {
		if err := receive(t, "end of the stream", watched); err != nil {
			t.Error(err)
		}
	}
	same := 0
	for path, sum := range notes[0].files {
		for _, other := range notes[1:] {
			if got, there := other.files[path]; there && got != sum {
				t.Errorf("%s differs", path)
			} else if there {
				same++
			}
		}
	}
	if same < 2*len(notes[0].files)*3/4 {
		t.Errorf("only %d files of 2 x %d were compared", same, len(notes[0].files))
	}
	stats := b.node.cache.Stats()
	t.Logf("%+v; %d files compared", stats, same)
	if stats.Failed > 0 || stats.Hits+stats.Coalesced < stats.Misses/2 {
		t.Errorf("two players at one node: %+v", stats)
	}

	// What nobody has is not asked for elsewhere.
	wantEqual(t, "status of a stream that is nowhere", call(t, http.MethodGet, b.url("http", "hls", "/live/none/v/1.m4s")).status, http.StatusNotFound)
	wantEqual(t, "misses", b.node.cache.Stats().Misses, stats.Misses)
}

// TestFilesAtOtherNodes: gzip, ranges, HEAD, conditions and bad directives are answered as by the
// home.
func TestFilesAtOtherNodes(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2, func(o *Options) { o.HLS.SegmentDuration = time.Second }), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	e := publish(t, a, "movie")
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	go func() {
		defer cancel()
		e.perform(t, tags, 1)
	}()
	index := b.url("http", "hls", "/live/movie/index.m3u8")
	awaitKeyFrames(ctx, httpClient(), index)
	<-ctx.Done()
	playlist := call(t, http.MethodGet, index)
	var rendition, segment string
	for line := range strings.Lines(playlist.body) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			rendition = "/live/movie/" + line
		}
	}
	for line := range strings.Lines(call(t, http.MethodGet, b.url("http", "hls", rendition)).body) {
		if strings.HasSuffix(strings.TrimSpace(line), ".m4s") {
			segment = "/live/movie/" + strings.TrimSpace(line)
		}
	}
	if rendition == "" || segment == "" {
		t.Fatalf("nothing to ask for in\n%s", playlist.body)
	}
	for _, c := range []struct {
		method, path string
		header       []string
	}{
		{http.MethodGet, segment, nil},
		{http.MethodHead, segment, nil},
		{http.MethodGet, segment, []string{"Range: bytes=10-19"}},
		{http.MethodGet, segment, []string{"Range: bytes=99999999-"}},
		{http.MethodGet, rendition, []string{"Accept-Encoding: gzip"}},
		{http.MethodGet, rendition, []string{"Accept-Encoding: identity"}},
		{http.MethodGet, rendition + "?_HLS_part=1", nil},
		{http.MethodGet, rendition + "?_HLS_msn=x", nil},
		{http.MethodGet, rendition + "?_HLS_msn=99999999999", nil},
		{http.MethodGet, "/live/movie/v/1.m4s", nil},
		{http.MethodGet, "/live/movie/nothing.m3u8", nil},
		{http.MethodOptions, segment, nil},
		{http.MethodPost, segment, nil},
	} {
		want := call(t, c.method, a.url("http", "hls", c.path), c.header...)
		if c.path == rendition { // what the other node asked for before may hold for a second more
			eventually(t, "the other node has the newest playlist", func() bool {
				want = call(t, c.method, a.url("http", "hls", c.path), c.header...)
				return call(t, c.method, b.url("http", "hls", c.path), c.header...).body == want.body
			})
		}
		for range 2 {
			got := call(t, c.method, b.url("http", "hls", c.path), c.header...)
			what := c.method + " " + c.path + " " + strings.Join(c.header, " ")
			if got.status != want.status || got.body != want.body {
				t.Errorf("%s: %d with %d bytes, want %d with %d", what, got.status, len(got.body), want.status, len(want.body))
			}
			wantEqual(t, "what nodes tell each other", got.header.Get(cluster.HeaderToken), "")
			for _, name := range []string{"Cache-Control", "Content-Type", "Etag", "Content-Encoding", "Vary", "Content-Range", "Access-Control-Allow-Origin", "Content-Length"} {
				if got.header.Get(name) != want.header.Get(name) {
					t.Errorf("%s: %s is %q, want %q", what, name, got.header.Get(name), want.header.Get(name))
				}
			}
		}
	}
	// Pages and programs hear at each node how the stream is.
	for _, g := range g.nodes {
		wantContains(t, "status", call(t, http.MethodGet, g.url("http", "hls", "/live/movie/status.json")).body, `"state":"live"`, `"codec":"H264"`, `"index.m3u8"`)
	}
	wantContains(t, "status of nothing", call(t, http.MethodGet, b.url("http", "hls", "/live/none/status.json")).body, `"state":"offline"`)
	tag := call(t, http.MethodGet, b.url("http", "hls", segment)).header.Get("Etag")
	wantEqual(t, "with its tag", call(t, http.MethodGet, b.url("http", "hls", segment), "If-None-Match: "+tag).status, http.StatusNotModified)
}

// TestHomeDies: a request for a playlist waits for the next home, and nothing is said to be gone.
func TestHomeDies(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 3, func(o *Options) { o.HLS.SegmentDuration = time.Second }), clip(t)
	a, b, c := g.nodes[0], g.nodes[1], g.nodes[2]
	e := publish(t, a, "movie")
	e.send(tags...)
	index, playlist := c.url("http", "hls", "/live/movie/index.m3u8"), c.url("http", "hls", "/live/movie.m3u8")
	wantEqual(t, "status", call(t, http.MethodGet, index).status, http.StatusOK)
	if err := a.stop(); err != nil {
		t.Fatal(err)
	}
	waited := make(chan answer, 1)
	go func() { waited <- call(t, http.MethodGet, playlist) }()
	publish(t, b, "movie").perform(t, tags, 1)
	if got := receive(t, "the playlist", waited); got.status != http.StatusOK {
		t.Errorf("%d %s", got.status, got.body)
	}
}
