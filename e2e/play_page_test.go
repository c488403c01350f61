package e2e

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// watchPage is a page of the server in the browser that tests share.
type watchPage struct{ page int }

// pageState is what a viewer sees of it.
type pageState struct {
	Phase, Title, Note, Badge, Facts string
	// First is when the first picture was shown, in ms since 1970.
	First              float64
	Position, Latency  float64
	Width, Decoded     int
	Muted, Paused, Bar bool
}

// seesPictures notes when the first picture is shown. It waits for changes of the page, and asks
// not at each frame: that would keep a page without a video from resting.
const seesPictures = `
	window.firstPicture = 0
	const change = new MutationObserver(() => {
		const video = document.querySelector('video')
		if (!video) return
		change.disconnect()
		video.requestVideoFrameCallback(() => (window.firstPicture = performance.timeOrigin + performance.now()))
	})
	change.observe(document, { childList: true, subtree: true })`

const readState = `(() => {
	const text = selector => document.querySelector(selector)?.textContent ?? ''
	const video = document.querySelector('video')
	return {
		phase: document.querySelector('.player')?.dataset.phase, title: text('.message h2'), note: text('.note'), badge: text('.badge'),
		facts: text('.facts'), latency: parseFloat(text('.live-badge span')) || 0, first: window.firstPicture ?? 0,
		position: video?.currentTime, width: video?.videoWidth, decoded: video?.getVideoPlaybackQuality().totalVideoFrames,
		muted: video?.muted, paused: video?.paused, bar: document.querySelector('.timeline') !== null,
	}
})()`

// openPage opens a page with options of its browser context and a script that runs before its own.
func openPage(t testing.TB, address string, options map[string]any, script string) *watchPage {
	t.Helper()
	return openPageWithout(t, address, "", options, script)
}

// openPageWithout lets requests fail that match a pattern, if that is not empty.
func openPageWithout(t testing.TB, address, block string, options map[string]any, script string) *watchPage {
	t.Helper()
	chromium.turn(t)
	p := &watchPage{}
	chromium.call(t, "open", map[string]any{"url": address, "block": block, "options": options, "script": seesPictures + "\n" + script}, &p.page)
	t.Cleanup(func() {
		var said []string
		if t.Failed() {
			t.Logf("the page: %+v", p.look(t))
			p.keep(t, "failed")
		}
		chromium.call(t, "close", map[string]any{"page": p.page}, &said)
		if t.Failed() && len(said) > 0 {
			t.Logf("the page said:\n%s", strings.Join(said, "\n"))
		}
	})
	return p
}

func (p *watchPage) evaluate(t testing.TB, script string, result any) {
	t.Helper()
	chromium.call(t, "evaluate", map[string]any{"page": p.page, "script": script}, result)
}

func (p *watchPage) look(t testing.TB) (s pageState) {
	t.Helper()
	p.evaluate(t, readState, &s)
	return s
}

func (p *watchPage) click(t testing.TB, selector string) {
	t.Helper()
	chromium.call(t, "click", map[string]any{"page": p.page, "selector": selector}, nil)
}

func (p *watchPage) press(t testing.TB, key string) {
	t.Helper()
	chromium.call(t, "press", map[string]any{"page": p.page, "key": key}, nil)
}

// text returns what stands in the elements of a selector.
func (p *watchPage) text(t testing.TB, selector string) (list []string) {
	t.Helper()
	quoted, err := json.Marshal(selector)
	if err != nil {
		t.Fatal(err)
	}
	p.evaluate(t, fmt.Sprintf("[...document.querySelectorAll(%s)].map(e => e.textContent)", quoted), &list)
	return list
}

func (p *watchPage) await(t testing.TB, what string, holds func(pageState) bool) pageState {
	t.Helper()
	var s pageState
	if !waitUntil(slack*30*time.Second, func() bool { s = p.look(t); return holds(s) }) {
		t.Fatalf("never: %s: %+v", what, s)
	}
	return s
}

func (p *watchPage) awaitPhase(t testing.TB, phase string) pageState {
	t.Helper()
	return p.await(t, "it is "+phase, func(s pageState) bool { return s.Phase == phase })
}

// awaitMoving waits until it plays, and goes on.
func (p *watchPage) awaitMoving(t testing.TB) pageState {
	t.Helper()
	from := p.awaitPhase(t, "playing")
	return p.await(t, "it moves", func(s pageState) bool {
		return s.Phase == "playing" && (s.Position > from.Position+0.5 || s.Position < from.Position)
	})
}

// clean fails the test if the page did what a page that is right does not.
func (p *watchPage) clean(t testing.TB) {
	t.Helper()
	var complaints []string
	chromium.call(t, "complaints", map[string]any{"page": p.page}, &complaints)
	if len(complaints) > 0 {
		t.Errorf("the page:\n%s", strings.Join(complaints, "\n"))
	}
}

// audit fails the test if axe finds a serious fault.
func (p *watchPage) audit(t testing.TB) {
	t.Helper()
	var faults []string
	chromium.call(t, "audit", map[string]any{"page": p.page}, &faults)
	if len(faults) > 0 {
		t.Errorf("axe:\n%s", strings.Join(faults, "\n"))
	}
}

// The most that the pages' own files may weigh on their way to a browser that was never there,
// compressed, in bytes.
const (
	watchPageLimit = 250_000
	consoleLimit   = 400_000
)

// light fails the test if what the page has loaded of its own files, as it was sent, is more than
// so many bytes.
func (p *watchPage) light(t testing.TB, limit int) {
	t.Helper()
	var bytes int
	p.evaluate(t, `[...performance.getEntriesByType('navigation'), ...performance.getEntriesByType('resource')]
		.filter(e => e.entryType === 'navigation' || e.name.includes('/assets/')).reduce((sum, e) => sum + e.encodedBodySize, 0)`, &bytes)
	if t.Logf("the page weighs %d bytes", bytes); bytes > limit || bytes < 20_000 {
		t.Errorf("the page weighs %d bytes, %d are allowed", bytes, limit)
	}
}

// keep saves a picture of the page below the folder SCREENSHOTS, if that is set.
func (p *watchPage) keep(t testing.TB, name string) {
	t.Helper()
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		path := filepath.Join(dir, strings.ReplaceAll(t.Name(), "/", "-")+"-"+name+".png")
		chromium.call(t, "screenshot", map[string]any{"page": p.page, "path": path}, nil)
	}
}

func (s *server) pageURL(stream string) string { return "http://" + s.hls + "/live/" + stream + "/" }

// sinceMS is how long after begin a time in ms since 1970 is.
func sinceMS(begin time.Time, at float64) time.Duration {
	return time.UnixMicro(int64(at * 1000)).Sub(begin)
}

// TestPageAtOnce opens the page before there is a stream, and right after its begin: the picture
// comes by itself. On an idle machine (make latency) it does so ten times within two seconds, and
// is at most 1.5 s behind.
func TestPageAtOnce(t *testing.T) {
	idle := os.Getenv("LIVEGO_LATENCY") != ""
	tries := 1
	if !idle {
		t.Parallel()
	} else {
		tries = 5
	}
	chromium.turn(t)
	s, room := start(t), roomOf(t)
	tags := readFLV(t, "../internal/demo/clip.flv")
	for i := range 2 * tries {
		stream := fmt.Sprintf("%s-%d", room, i)
		key := s.key(t, stream)
		var p *watchPage
		var begin time.Time
		var encoder *publication
		if i%2 == 0 {
			p = openPage(t, s.pageURL(stream), nil, "")
			if state := p.awaitPhase(t, "waiting"); state.Title != "Not live yet" {
				t.Errorf("before the stream it says %q", state.Title)
			}
			begin = time.Now()
			encoder = publish(t, s, key, tags, pacing{loop: true})
		} else {
			encoder = publish(t, s, key, tags, pacing{loop: true})
			begin = time.Now()
			p = openPage(t, s.pageURL(stream), nil, "")
		}
		state := p.await(t, "a picture", func(s pageState) bool { return s.First > 0 })
		took := sinceMS(begin, state.First)
		state = p.await(t, "how far it is behind", func(s pageState) bool {
			return s.Latency > 0 && sinceMS(begin, s.First)+3*time.Second < time.Since(begin)
		})
		t.Logf("try %d: picture after %v, then %.1f s behind: %s", i, took.Round(time.Millisecond), state.Latency, state.Facts)
		if idle && (took > 2*time.Second || state.Latency > 1.5) {
			t.Errorf("try %d: picture after %v, then %.1f s behind", i, took, state.Latency)
		}
		p.light(t, watchPageLimit)
		p.clean(t)
		encoder.lose()
	}
}

// TestPageHeals: an encoder that ends or is lost, and a server that is started anew, are told in
// words, and the picture comes back by itself.
func TestPageHeals(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := start(t, "--hls_segment_duration", "1"), roomOf(t)
	key, tags := s.key(t, room), flvClip(t, "h264-aac", 5)
	encoder := publish(t, s, key, tags, pacing{loop: true})
	p := openPage(t, s.pageURL(room), nil, "")
	p.awaitMoving(t)
	back := func(after string) {
		t.Helper()
		begin := time.Now()
		encoder = publish(t, s, key, tags, pacing{loop: true})
		p.awaitMoving(t)
		t.Logf("after %s: it moves %v after the encoder's return", after, time.Since(begin).Round(10*time.Millisecond))
	}

	encoder.cancel()
	encoder.finish(t)
	if state := p.awaitPhase(t, "ended"); state.Title != "The stream has ended" {
		t.Errorf("after its end it says %q", state.Title)
	}
	p.clean(t)
	back("an end")
	encoder.lose()
	if state := p.awaitPhase(t, "interrupted"); state.Title != "The stream is interrupted" {
		t.Errorf("after a loss it says %q", state.Title)
	}
	p.clean(t)
	back("a loss")
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	encoder.lose()
	p.awaitPhase(t, "unreachable")
	s.relaunch(t, raceBinary(t), nil, "--hls_segment_duration", "1")
	back("a restart of the server")
}

// TestPageCannotDecode: what this browser has no decoder for is named, and what is left of the
// stream plays.
func TestPageCannotDecode(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := shared(t), roomOf(t)
	publish(t, s, s.key(t, room+"-hevc"), wrap(t, clip(t, "hevc-aac", 5, "mp4"), wrapping{}), pacing{loop: true})
	publish(t, s, s.key(t, room+"-ac3"), wrap(t, clip(t, "h264-ac3", 5, "mp4"), wrapping{}), pacing{loop: true})

	p := openPage(t, s.pageURL(room+"-hevc"), nil, "")
	if state := p.awaitPhase(t, "undecodable"); state.Title != "This browser cannot decode HEVC (H.265)" {
		t.Errorf("it says %q", state.Title)
	}
	if links := p.text(t, ".ways .copy-text"); !slices.Equal(links, []string{s.hlsURL(room + "-hevc")}) {
		t.Errorf("links: %q", links)
	}
	p.audit(t)
	p.keep(t, "hevc")
	p.click(t, ".ways .button")
	if state := p.awaitMoving(t); state.Muted || state.Width != 0 {
		t.Errorf("the sound alone: %+v", state)
	}
	p.clean(t)

	p = openPage(t, s.pageURL(room+"-ac3"), nil, "")
	if state := p.awaitMoving(t); state.Note != "No sound: this browser cannot decode AC-3" || state.Width == 0 {
		t.Errorf("pictures alone: %+v", state)
	}
	p.clean(t)
}

// TestPageControls: the sound, the levels, the keys, the links, names with markup, and what a
// screen reader needs.
func TestPageControls(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := start(t, "--hls_segment_duration", "1", "--public_status"), `a<b>"`+roomOf(t)+`"`
	publishPair(t, s, room)
	p := openPage(t, s.pageURL(url.PathEscape(room)), map[string]any{"colorScheme": "light", "viewport": map[string]int{"width": 1000, "height": 760}}, "")
	if state := p.awaitMoving(t); !state.Muted || state.Badge != "Live" {
		t.Errorf("it begins %+v", state)
	}
	if name := p.text(t, "h1"); !slices.Equal(name, []string{room}) {
		t.Errorf("its name is %q", name)
	}
	p.click(t, ".sound")
	p.await(t, "the sound is on", func(s pageState) bool { return !s.Muted && !s.Paused })
	p.press(t, "m")
	p.await(t, "the sound is off", func(s pageState) bool { return s.Muted })
	p.press(t, "k")
	p.await(t, "it is paused", func(s pageState) bool { return s.Paused && s.Badge == "Paused" })
	p.press(t, "k")
	p.awaitMoving(t)

	p.click(t, "[aria-label=Quality]")
	if levels := p.text(t, "[role=menuitemradio]"); len(levels) != 3 || !strings.HasPrefix(levels[0], "Automatic") || levels[1] != "180p" || levels[2] != "90p" {
		t.Errorf("levels %q", levels)
	}
	p.click(t, "[role=menuitemradio]:nth-child(3)")
	p.await(t, "the level that was chosen", func(s pageState) bool { return s.Width == 160 })

	p.click(t, ".below .button")
	links := p.text(t, "dialog .copy-text")
	want := []string{s.pageURL(url.PathEscape(room)), "", s.indexURL(url.PathEscape(room)), s.hlsURL(url.PathEscape(room)),
		s.flvURL(url.PathEscape(room)), s.wsURL(url.PathEscape(room)), s.rtmpURL(url.PathEscape(room))}
	if len(links) != len(want) {
		t.Fatalf("links %q", links)
	}
	for i := range want {
		if want[i] != "" && unescape(t, links[i]) != unescape(t, want[i]) {
			t.Errorf("link %q, want %q", links[i], want[i])
		}
	}
	p.audit(t)
	p.press(t, "Escape")
	p.audit(t)
	p.keep(t, "page")
	p.clean(t)

	p = openPage(t, "http://"+s.hls+"/", nil, "")
	p.await(t, "the list", func(pageState) bool { return slices.Equal(p.text(t, ".card-name"), []string{room}) })
	p.audit(t)
	p.click(t, ".card")
	p.awaitMoving(t)
	p.clean(t)
}

func unescape(t testing.TB, address string) string {
	t.Helper()
	plain, err := url.PathUnescape(address)
	if err != nil {
		t.Fatal(err)
	}
	return plain
}

// TestPageOfSound: a stream without pictures has a look of its own.
func TestPageOfSound(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := shared(t), roomOf(t)
	publish(t, s, s.key(t, room), flvClip(t, "aac", 5), pacing{loop: true})
	p := openPage(t, s.pageURL(room), map[string]any{"viewport": map[string]int{"width": 390, "height": 700}}, "")
	p.awaitMoving(t)
	if bars := p.text(t, ".bars p"); !slices.Equal(bars, []string{room}) {
		t.Errorf("%q stands where there is no picture", bars)
	}
	p.click(t, ".sound")
	p.await(t, "the sound is on", func(s pageState) bool { return !s.Muted && !s.Paused })
	p.audit(t)
	p.keep(t, "sound")
	p.clean(t)
}

// TestPageBehindProxy shows the page on another path: that of a whole server, and of one page
// alone. It is shown in a frame of another site too, if frame_origins says so.
func TestPageBehindProxy(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := start(t, "--hls_segment_duration", "1", "--frame_origins", ""), roomOf(t)
	publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{loop: true})
	backend, err := url.Parse("http://" + s.hls)
	if err != nil {
		t.Fatal(err)
	}
	proxy := &httputil.ReverseProxy{FlushInterval: -1, Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(backend) }}
	routes := http.NewServeMux()
	routes.Handle("/tv/", http.StripPrefix("/tv", proxy))
	routes.Handle("/stage/", http.StripPrefix("/stage", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		r.URL.Path = "/live/" + room + r.URL.Path
		proxy.ServeHTTP(w, r)
	})))
	routes.HandleFunc("/frame", func(w http.ResponseWriter, _ *http.Request) {
		fmt.Fprintf(w, `<iframe src="%s?embed=1" width="600" height="340" allow="autoplay"></iframe>`, "http://"+everybody.hls+"/live/"+room+"/")
	})
	site := httptest.NewServer(routes)
	defer site.Close()
	public := strings.Replace(site.URL, "127.0.0.1", "localhost", 1) // a name that the server does not hear
	for _, path := range []string{"/tv/live/" + room + "/", "/stage/"} {
		p := openPage(t, public+path, nil, "")
		p.awaitMoving(t)
		p.click(t, ".below .button")
		links := p.text(t, "dialog .copy-text")
		for _, link := range links {
			if !strings.HasPrefix(link, public) && !strings.HasPrefix(link, "<iframe src=\""+public) {
				t.Errorf("%s: a link that does not lead through the proxy: %s", path, link)
			}
		}
		if len(links) < 3 {
			t.Errorf("%s: links %q", path, links)
		}
		p.clean(t)
	}

	shown := shared(t)
	publish(t, shown, shown.key(t, room), flvClip(t, "h264-aac", 5), pacing{loop: true})
	p := openPage(t, site.URL+"/frame", nil, "")
	var moves bool
	eventually(t, 20*time.Second, "it plays in a frame", func() bool {
		p.evaluateInFrame(t, "document.querySelector('video').currentTime > 1 && !document.querySelector('header')", &moves)
		return moves
	})
	_, _, header := s.fetch(t, s.pageURL(room))
	if policy := header.Get("Content-Security-Policy"); !strings.Contains(policy, "frame-ancestors 'none'") {
		t.Errorf("without frame_origins the policy is %q", policy)
	}
}

// evaluateInFrame runs an expression in the page's frame.
func (p *watchPage) evaluateInFrame(t testing.TB, script string, result any) {
	t.Helper()
	chromium.call(t, "evaluate", map[string]any{"page": p.page, "script": script, "frame": true}, result)
}

// TestPageFallsBack takes away what the page plays with first: it plays in another way.
func TestPageFallsBack(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := start(t, "--hls_segment_duration", "1"), roomOf(t)
	publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{loop: true})
	waitPlaylist(t, s.hlsURL(room))
	const noNative = "HTMLMediaElement.prototype.canPlayType = () => ''\n"
	for name, test := range map[string]struct{ script, block, want string }{
		"no playlists": {noNative, `m3u8`, "HTTP-FLV"},
		"no playlists and no HTTP-FLV": {noNative + `const ask = window.fetch
			window.fetch = (url, init) => init?.signal && String(url).endsWith('.flv') && init.method !== 'HEAD' ? Promise.reject(new TypeError('no')) : ask(url, init)`,
			`m3u8`, "WebSocket-FLV"},
		"no Media Source": {"delete window.MediaSource; delete window.ManagedMediaSource", "", "HLS"},
	} {
		t.Run(name, func(t *testing.T) {
			p := openPageWithout(t, s.pageURL(room), test.block, nil, test.script)
			p.await(t, test.want, func(s pageState) bool {
				return s.Phase == "playing" && s.Decoded > 20 && strings.HasSuffix(s.Facts, " · "+test.want)
			})
			p.awaitMoving(t)
		})
	}
}

// TestPageRewinds: with a window there is a bar, one can go back, and return to live.
func TestPageRewinds(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := start(t, "--hls_segment_duration", "1", "--hls_dvr_window", "1h"), roomOf(t)
	publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{loop: true})
	p := openPage(t, s.pageURL(room), nil, "")
	p.awaitMoving(t)
	p.light(t, watchPageLimit)
	live := p.await(t, "the bar", func(s pageState) bool { return s.Bar })
	p.press(t, "ArrowLeft")
	p.await(t, "ten seconds back", func(s pageState) bool { return s.Position < live.Position-5 })
	p.awaitMoving(t)
	if to := p.text(t, ".to-live"); len(to) != 1 || !strings.HasPrefix(to[0], "Go live") {
		t.Errorf("the way back to live: %q", to)
	}
	p.keep(t, "rewound")
	p.click(t, ".to-live")
	p.await(t, "live again", func(s pageState) bool { return s.Latency > 0 && s.Position > live.Position })
	p.clean(t)
}

// TestPageWithoutScript: the browser's own player is in the page for those who have no script.
func TestPageWithoutScript(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := shared(t), roomOf(t)
	publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{loop: true})
	waitPlaylist(t, s.hlsURL(room))
	p := openPage(t, s.pageURL(room), map[string]any{"javaScriptEnabled": false}, "")
	p.await(t, "a picture", func(s pageState) bool { return s.Position > 0.5 && s.Width > 0 })
}
