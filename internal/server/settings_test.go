package server

import (
	"io"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"strings"
	"testing"

	"livego/internal/auth"
	"livego/internal/rtmp"
)

// reload takes over options that are changed from those of a test server.
func (s *testServer) reload(change func(*Options)) error {
	o := testOptions()
	o.Keys = s.keys
	change(&o)
	return s.Reload(o)
}

// An app that is added can be published to at once, one that is taken away no more; who is on air
// stays so.
func TestReloadApps(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	url := func(app, room string) string { return s.url("rtmp", "rtmp", "/"+app+"/"+s.key(room)) }
	if _, err := tryPublish(t, url("event", "b")); err == nil {
		t.Fatal("published to an app that there is not")
	}
	e := publish(t, s, "movie")
	e.send(tags[:8]...)
	w := watchFLV(t, s, "movie")
	w.await(t, tags[7])
	if err := s.reload(func(o *Options) { o.Apps = []App{{Name: "event", Live: true, FLV: true}} }); err != nil {
		t.Fatal(err)
	}
	publishTo(t, url("event", "b"))
	_, err := tryPublish(t, url("live", "c"))
	refusedWith(t, "an app that was taken away", err, rtmp.CodeConnectRejected)
	wantEqual(t, "playing in it", call(t, "GET", s.url("http", "http-flv", "/live/movie.flv")).status, 404)
	e.send(tags[8:]...)
	w.await(t, tags[len(tags)-1])
}

// A bad configuration changes nothing.
func TestReloadOfWhatIsWrong(t *testing.T) {
	t.Parallel()
	s := start(t)
	err := s.reload(func(o *Options) {
		o.Apps, o.Hooks.URLs = []App{{Name: "event", Live: true}}, []string{"no URL"}
	})
	if err == nil {
		t.Fatal("it was taken over")
	}
	publish(t, s, "movie")
}

// Who may call the API changes at once, in its management part too.
func TestReloadPolicy(t *testing.T) {
	t.Parallel()
	s := start(t)
	const secret = "0123456789abcdef"
	if err := s.reload(func(o *Options) { o.API.Secret = secret }); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "control without a token", call(t, "GET", s.url("http", "api", "/stat/livestat")).status, 403)
	wantEqual(t, "resources without a token", call(t, "GET", s.url("http", "api", "/api/v1/streams")).status, 401)
	token, err := auth.NewToken(secret, "", 1e9*60)
	if err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "with a token", call(t, "GET", s.url("http", "api", "/api/v1/streams"), "Authorization: Bearer "+token).status, 200)
	if err := s.reload(func(o *Options) { o.API.Allow = []netip.Prefix{netip.MustParsePrefix("192.0.2.0/24")} }); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "from another network", call(t, "GET", s.url("http", "api", "/api/v1/streams")).status, 403)
}

// The limits of connections, and what is listed for everybody.
func TestReloadLimits(t *testing.T) {
	t.Parallel()
	s := start(t)
	wantEqual(t, "list", call(t, "GET", s.url("http", "http-flv", "/streams")).status, 200)
	if err := s.reload(func(o *Options) { o.StreamList = false }); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "no list", call(t, "GET", s.url("http", "http-flv", "/streams")).status, 400)
	eventually(t, "the connections so far are gone", func() bool { return s.limits.Figures().Open == 0 })
	if err := s.reload(func(o *Options) { o.MaxConnections = 1 }); err != nil {
		t.Fatal(err)
	}
	publish(t, s, "movie")
	if _, err := httpClient().Get(s.url("http", "api", "/healthz")); err == nil {
		t.Error("a second connection was accepted")
	}
}

// Another receiver gets what happens from the reload on, the one before what happened before it.
func TestReloadHooks(t *testing.T) {
	t.Parallel()
	receiver := func() (string, chan string) {
		got := make(chan string, 100)
		server := httptest.NewServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
			body, _ := io.ReadAll(r.Body)
			got <- string(body)
		}))
		t.Cleanup(server.Close)
		return server.URL, got
	}
	await := func(what string, got chan string, event string) {
		t.Helper()
		for text := ""; !strings.Contains(text, `"type":"`+event+`"`); {
			if text = receive(t, what+": "+event, got); text == "" {
				t.FailNow()
			}
		}
	}
	firstURL, first := receiver()
	secondURL, second := receiver()
	s := start(t, func(o *Options) { o.Hooks.URLs = []string{firstURL} })
	e := publish(t, s, "movie")
	e.send(clip(t)...)
	await("the first receiver", first, "stream.started")
	if err := s.reload(func(o *Options) { o.Hooks.URLs = []string{secondURL} }); err != nil {
		t.Fatal(err)
	}
	e.unpublish()
	await("the second receiver", second, "stream.ended")
	if err := s.reload(func(*Options) {}); err != nil { // nobody
		t.Fatal(err)
	}
	publish(t, s, "other").unpublish()
	if err := s.reload(func(o *Options) { o.Hooks.URLs = []string{firstURL} }); err != nil {
		t.Fatal(err)
	}
	if err := s.stop(); err != nil {
		t.Fatal(err)
	}
	await("the first receiver again", first, "server.draining")
	for len(second) > 0 {
		if text := <-second; strings.Contains(text, "live/other") || strings.Contains(text, "draining") {
			t.Errorf("the second receiver got %s", text)
		}
	}
	if err := s.reload(func(*Options) {}); err == nil {
		t.Error("reloaded after the end")
	}
}

// TestReloadHookCounts: what hooks were told and asked is counted on when they change, and when
// there are none for a while.
func TestReloadHookCounts(t *testing.T) {
	t.Parallel()
	receiver := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) {}))
	defer receiver.Close()
	with := func(path string) func(*Options) {
		return func(o *Options) {
			o.Apps[0].ViewerAuth = ViewersByHook
			o.Hooks.URLs, o.Hooks.PublishURL, o.Hooks.ViewURL = []string{receiver.URL + path}, receiver.URL+path, receiver.URL+path
		}
	}
	s := start(t, with("/one"))
	const told, tries = `livego_hook_deliveries_total{result="delivered"}`, "livego_hook_attempts_total"
	const publishers, viewers = `livego_publish_questions_total{result="allowed"}`, `livego_viewer_questions_total{result="allowed"}`
	before := map[string]float64{}
	look := func(what string) {
		t.Helper()
		now := scrape(t, s.url("http", "api", "/metrics"))
		for _, name := range []string{told, tries, publishers, viewers} {
			if now[name] < before[name] {
				t.Errorf("%s: %s goes from %v back to %v", what, name, before[name], now[name])
			}
			before[name] = now[name]
		}
	}
	for i, change := range []func(*Options){with("/two"), func(*Options) {}, with("/one")} {
		if e := publish(t, s, "movie"); i != 2 {
			e.send(clip(t)[:20]...)
			wantEqual(t, "status", call(t, "HEAD", s.url("http", "http-flv", "/live/movie.flv")).status, 200)
			eventually(t, "the receiver is told", func() bool { return scrape(t, s.url("http", "api", "/metrics"))[told] > 0 })
			e.unpublish()
		}
		look("before a reload")
		if err := s.reload(change); err != nil {
			t.Fatal(err)
		}
		look("after it")
	}
	for name, n := range before {
		if n == 0 {
			t.Errorf("%s is 0", name)
		}
	}
}

// TestReloadOfPages: the list of streams, frames and who takes a stream over follow a reload.
func TestReloadOfPages(t *testing.T) {
	s := start(t)
	opt := s.opt
	if got := call(t, "GET", s.url("http", "hls", "/status.json")); got.status != 404 {
		t.Errorf("the list without public_status: %d", got.status)
	}
	publish(t, s, "movie")
	opt.PublicStatus, opt.FrameOrigins, opt.Live.Takeover = true, []string{"https://example.org"}, false
	if err := s.Reload(opt); err != nil {
		t.Fatal(err)
	}
	got := call(t, "GET", s.url("http", "hls", "/status.json"))
	wantEqual(t, "the list", got.status, 200)
	got = call(t, "GET", s.url("http", "hls", "/live/movie/"))
	wantContains(t, "who may frame the page", got.header.Get("Content-Security-Policy"), "frame-ancestors https://example.org")
	if _, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/"+s.key("movie"))); err == nil {
		t.Error("a second publisher takes over after takeover was switched off")
	}
	opt.Live.Takeover = true
	if err := s.Reload(opt); err != nil {
		t.Fatal(err)
	}
	publish(t, s, "movie")
}
