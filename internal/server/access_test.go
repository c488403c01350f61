package server

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"sync"
	"testing"
)

// TestViewersByHook: a URL decides, once for each stream and token, or address of who shows none.
func TestViewersByHook(t *testing.T) {
	t.Parallel()
	var mu sync.Mutex
	var asked []string
	receiver := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		body, _ := io.ReadAll(r.Body)
		mu.Lock()
		asked = append(asked, string(body))
		mu.Unlock()
		if !strings.Contains(string(body), `"token":"good"`) {
			w.WriteHeader(http.StatusForbidden)
			fmt.Fprint(w, `{"reason":"pay first"}`)
		}
	}))
	defer receiver.Close()
	s := start(t, func(o *Options) {
		o.Apps[0].ViewerAuth = ViewersByHook
		o.Hooks.ViewURL = receiver.URL
	})
	tags := clip(t)
	publish(t, s, "movie").perform(t, tags, 1)
	for range 5 {
		a := call(t, "GET", s.url("http", "hls", "/~good/live/movie/index.m3u8"))
		wantEqual(t, "status", a.status, 200)
		wantContains(t, "Cache-Control", a.header.Get("Cache-Control"), "private")
		a = call(t, "GET", s.url("http", "hls", "/live/movie/index.m3u8"))
		wantEqual(t, "status without token", a.status, 403)
		wantContains(t, "answer", a.body, "pay first")
	}
	wantEqual(t, "status over FLV", call(t, "HEAD", s.url("http", "http-flv", "/live/movie.flv?token=good")).status, 200)
	wantEqual(t, "status of another stream", call(t, "GET", s.url("http", "hls", "/~good/live/other.m3u8")).status, 404)
	mu.Lock()
	defer mu.Unlock()
	if len(asked) != 3 {
		t.Errorf("asked %d times: %q", len(asked), asked)
	}
	answers := scrape(t, s.url("http", "api", "/metrics"))
	wantEqual(t, "viewers that were allowed", answers[`livego_viewer_questions_total{result="allowed"}`], 2)
	wantEqual(t, "viewers that were refused", answers[`livego_viewer_questions_total{result="refused"}`], 1)
	wantContains(t, "question", asked[0], `"type":"view"`, `"stream":"live/movie"`, `"protocol":"hls"`, `"remote":"127.0.0.1`)
}

// TestViewersByHookThatIsAway: hook_fail says what holds.
func TestViewersByHookThatIsAway(t *testing.T) {
	t.Parallel()
	for allow, want := range map[bool]int{false: 403, true: 200} {
		receiver := httptest.NewServer(http.NotFoundHandler())
		receiver.Close()
		s := start(t, func(o *Options) {
			o.Apps[0].ViewerAuth = ViewersByHook
			o.Hooks.ViewURL, o.Hooks.AllowOnFailure = receiver.URL, allow
		})
		publish(t, s, "movie").send(clip(t)[:20]...)
		wantEqual(t, "status", call(t, "HEAD", s.url("http", "http-flv", "/live/movie.flv")).status, want)
	}
}

// TestNetworks: who may publish and watch from where.
func TestNetworks(t *testing.T) {
	t.Parallel()
	here, there := []netip.Prefix{netip.MustParsePrefix("127.0.0.0/8")}, []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")}
	for _, tc := range []struct {
		name     string
		networks Networks
		admitted bool
	}{
		{"all", Networks{}, true},
		{"allowed", Networks{Allow: here}, true},
		{"others are allowed", Networks{Allow: there}, false},
		{"denied", Networks{Deny: here}, false},
		{"others are denied", Networks{Deny: there}, true},
		{"both", Networks{Allow: here, Deny: here}, false},
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s := start(t, func(o *Options) { o.Apps[0].Publishers = tc.networks })
			_, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/"+s.key("movie")))
			wantEqual(t, "published", err == nil, tc.admitted)
			if err != nil {
				wantContains(t, "refusal", err.Error(), "this address may not publish here")
			}
			s = start(t, func(o *Options) { o.Apps[0].Viewers = tc.networks })
			publish(t, s, "movie").perform(t, clip(t), 1)
			flv := call(t, "HEAD", s.url("http", "http-flv", "/live/movie.flv"))
			hls := call(t, "GET", s.url("http", "hls", "/live/movie/index.m3u8"))
			wantEqual(t, "watched over FLV", flv.status == 200, tc.admitted)
			wantEqual(t, "watched over HLS", hls.status == 200, tc.admitted)
			if !tc.admitted {
				wantContains(t, "refusal", hls.body, "this address may not watch here")
			}
		})
	}
}

// TestBoundsOfCrowds: there are never more streams and viewers than there may be, and who is in
// stays in.
func TestBoundsOfCrowds(t *testing.T) {
	t.Parallel()
	for name, change := range map[string]func(*Options){
		"of the app":    func(o *Options) { o.Apps[0].MaxStreams, o.Apps[0].MaxViewers = 1, 2 },
		"of the server": func(o *Options) { o.MaxStreams, o.MaxViewers = 1, 2 },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, tags := start(t, change), clip(t)
			e := publish(t, s, "movie")
			_, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/"+s.key("another")))
			if err == nil || !strings.Contains(err.Error(), "no room for more streams") {
				t.Errorf("a second stream: %v", err)
			}
			if _, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/"+s.key("movie")+"?rendition=low")); err != nil {
				t.Errorf("a second rendition: %v", err)
			}
			e.perform(t, tags, 1)
			index := s.url("http", "hls", "/live/movie/index.m3u8")
			wantEqual(t, "the first viewer", call(t, "GET", index).status, 200)
			watchFLV(t, s, "movie")
			awaitPlayers(t, s, "movie", 1)
			wantEqual(t, "a third viewer over FLV", call(t, "HEAD", s.url("http", "http-flv", "/live/movie.flv")).status, 503)
			wantEqual(t, "a third viewer over HLS", call(t, "GET", index, "User-Agent: another").status, 503)
			wantEqual(t, "the first viewer again", call(t, "GET", index).status, 200)
		})
	}
}
