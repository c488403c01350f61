package hls

import (
	"compress/gzip"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/ladder"
	"livego/internal/hls/playlist"
)

const (
	immutable = "public, max-age=31536000, immutable"
	v0        = "/live/movie/index-v0.m3u8"
)

// TestCMAFAnswers: status and headers of every kind of answer (decision 28).
func TestCMAFAnswers(t *testing.T) {
	s, _, video, _ := lowLatency(Options{})
	full := video.Text(playlist.Full)
	segment := "<v0 105.0><v0 105.1><v0 105.2><v0 105.3>"
	checkAnswers(t, s, []answer{
		{"playlist", "GET", v0 + "?x=1", nil, 200, map[string]string{"Content-Type": "application/vnd.apple.mpegurl", "Cache-Control": "max-age=1", "Content-Length": fmt.Sprint(len(full)), "Vary": "Accept-Encoding", "Content-Encoding": "", "Accept-Ranges": "bytes"}, full},
		{"playlist, HEAD", "HEAD", v0, nil, 200, map[string]string{"Content-Length": fmt.Sprint(len(full))}, ""},
		{"playlist, range", "GET", v0, []string{"Range", "bytes=1-6"}, 206, map[string]string{"Content-Range": fmt.Sprintf("bytes 1-6/%d", len(full))}, "EXTM3U"},
		{"playlist that names a segment", "GET", v0 + "?_HLS_msn=105", nil, 200, map[string]string{"Cache-Control": "max-age=12"}, full},
		{"segment", "GET", "/live/movie/v0/105.m4s", nil, 200, map[string]string{"Content-Type": "video/mp4", "Cache-Control": immutable, "Content-Length": "40", "Etag": `"105"`, "Accept-Ranges": "bytes"}, segment},
		{"segment, HEAD", "HEAD", "/live/movie/v0/105.m4s", nil, 200, map[string]string{"Content-Length": "40", "Cache-Control": immutable}, ""},
		{"segment, range over parts", "GET", "/live/movie/v0/105.m4s", []string{"Range", "bytes=8-21"}, 206, map[string]string{"Content-Range": "bytes 8-21/40", "Content-Length": "14", "Cache-Control": immutable}, segment[8:22]},
		{"segment, last bytes", "GET", "/live/movie/v0/105.m4s", []string{"Range", "bytes=-3"}, 206, map[string]string{"Content-Range": "bytes 37-39/40"}, ".3>"},
		{"segment, range beyond", "GET", "/live/movie/v0/105.m4s", []string{"Range", "bytes=50-"}, 416, map[string]string{"Content-Range": "bytes */40", "Cache-Control": "no-store"}, "invalid range: failed to overlap\n"},
		{"segment, wrong version", "GET", "/live/movie/v0/105.m4s", []string{"If-Match", `"1"`}, 412, map[string]string{"Cache-Control": "no-store", "Content-Length": ""}, ""},
		{"playlist, wrong version, compressed", "GET", v0, []string{"If-Match", `"1"`, "Accept-Encoding", "gzip"}, 412, map[string]string{"Cache-Control": "no-store", "Content-Length": "", "Content-Encoding": ""}, ""},
		{"segment not modified", "GET", "/live/movie/v0/105.m4s", []string{"If-None-Match", `"1", "105"`}, 304, map[string]string{"Etag": `"105"`, "Cache-Control": immutable}, ""},
		{"part", "GET", "/live/movie/v0/106.1.m4s", nil, 200, map[string]string{"Content-Type": "video/mp4", "Cache-Control": immutable, "Content-Length": "10", "Etag": `"106.1"`}, "<v0 106.1>"},
		{"part, range", "GET", "/live/movie/v0/106.1.m4s", []string{"Range", "bytes=1-2"}, 206, map[string]string{"Content-Range": "bytes 1-2/10"}, "v0"},
		{"part of a segment out of the list", "GET", "/live/movie/v0/100.3.m4s", nil, 200, nil, "<v0 100.3>"},
		{"audio", "GET", "/live/movie/a0/105.m4s", nil, 200, map[string]string{"Content-Type": "audio/mp4"}, strings.ReplaceAll(segment, "v0", "a0")},
		{"init", "GET", "/live/movie/v0/100.mp4", nil, 200, map[string]string{"Content-Type": "video/mp4", "Cache-Control": immutable, "Content-Length": "10"}, "init of v0"},
		{"init that never was", "GET", "/live/movie/v0/101.mp4", nil, 404, map[string]string{"Cache-Control": "no-store"}, "no such file, or no longer\n"},
		{"open segment", "GET", "/live/movie/v0/106.m4s", nil, 404, map[string]string{"Cache-Control": "no-store"}, "no such file, or no longer\n"},
		{"segment gone", "GET", "/live/movie/v0/99.m4s", nil, 404, nil, "no such file, or no longer\n"},
		// RFC 8216bis 6.2.6: not found unless it is hinted.
		{"part not hinted", "GET", "/live/movie/v0/106.3.m4s", nil, 404, map[string]string{"Cache-Control": "no-store"}, "no such file, or no longer\n"},
		{"part of the next segment", "GET", "/live/movie/v0/107.0.m4s", nil, 404, nil, "no such file, or no longer\n"},
		{"part that never was", "GET", "/live/movie/v0/105.4.m4s", nil, 404, nil, "no such file, or no longer\n"},
		{"no rendition", "GET", "/live/movie/index-v1.m3u8", nil, 404, map[string]string{"Cache-Control": "no-store"}, "no such rendition, or no longer\n"},
		{"no rendition, segment", "GET", "/live/movie/v1/105.m4s", nil, 404, nil, "no such rendition, or no longer\n"},
		{"I-frames of audio", "GET", "/live/movie/index-a0.iframes.m3u8", nil, 404, nil, "no such rendition, or no longer\n"},
		{"no stream", "GET", "/live/other/index.m3u8", nil, 404, nil, "no publisher\n"},
		{"no stream, rendition", "GET", "/live/other/index-v0.m3u8", nil, 404, nil, "no publisher\n"},
		{"no stream, segment", "GET", "/live/other/v0/105.m4s", nil, 404, nil, "no publisher\n"},
		{"preflight", "OPTIONS", v0, nil, 204, map[string]string{"Access-Control-Allow-Methods": "GET, HEAD, OPTIONS"}, ""},
		{"post", "POST", v0, nil, 405, map[string]string{"Allow": "GET, HEAD, OPTIONS"}, "method not allowed\n"},
	})
}

// Each form of a text has a strong tag of its own, and compression changes nothing else.
func TestCMAFTexts(t *testing.T) {
	s, _, video, _ := lowLatency(Options{})
	for range 6 {
		video.Full()
	}
	video.Show(12)
	tags := map[string]string{}
	for _, path := range []string{v0, v0 + "?_HLS_skip=YES", "/live/movie/index-v0.iframes.m3u8", "/live/movie/index-v0.iframes.m3u8?_HLS_skip=v2", "/live/movie/index.m3u8"} {
		plain := ask(s, "GET", path)
		text := body(t, plain)
		packed := ask(s, "GET", path, "Accept-Encoding", "gzip")
		compressed := body(t, packed)
		z, err := gzip.NewReader(strings.NewReader(compressed))
		if err != nil {
			t.Fatal(path, err)
		}
		if got, err := io.ReadAll(z); err != nil || string(got) != text {
			t.Errorf("%s: %v, %q", path, err, got)
		}
		if n := packed.Header.Get("Content-Length"); n != fmt.Sprint(len(compressed)) || packed.Header.Get("Content-Encoding") != "gzip" {
			t.Errorf("%s: %v", path, packed.Header)
		}
		for _, r := range []*http.Response{plain, packed} {
			tag := r.Header.Get("ETag")
			if other, ok := tags[tag]; ok || !strings.HasPrefix(tag, `"`) {
				t.Errorf("%s has the tag %s of %s", path, tag, other)
			}
			tags[tag] = path
			again := ask(s, "GET", path, "If-None-Match", "W/"+tag+", \"x\"", "Accept-Encoding", r.Header.Get("Content-Encoding"))
			if again.StatusCode != 304 || again.Header.Get("ETag") != tag || again.Header.Get("Cache-Control") != "max-age=1" {
				t.Errorf("%s: %d %v", path, again.StatusCode, again.Header)
			}
		}
	}
}

// Who looks at key frames only, for a small picture of the stream, is no viewer.
func TestKeyFramesAreNotWatched(t *testing.T) {
	s, _, video, _ := lowLatency(Options{})
	for range 6 {
		video.Full()
	}
	video.Show(12)
	for want, path := range []string{"/live/movie/index-v0.iframes.m3u8", v0} {
		if r := ask(s, "GET", path); r.StatusCode != 200 {
			t.Fatalf("%s: status %d", path, r.StatusCode)
		}
		if n := s.Stats()[0].Viewers; n != want {
			t.Errorf("after %s: %d viewers, want %d", path, n, want)
		}
	}
}

func TestMultivariantAnswers(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newServer(Options{})
		l := s.begin("live/movie", &ladder.Publication{})(context.Background())
		began := time.Now()
		r := ask(s, "GET", "/live/movie/index.m3u8")
		if r.StatusCode != 404 || r.Header.Get("Retry-After") != "3" || time.Since(began) != 10*time.Second || body(t, r) != "no segment yet\n" {
			t.Errorf("%d after %v: %v", r.StatusCode, time.Since(began), r.Header)
		}
		held := later(t, s, "/live/movie/index.m3u8")
		reason := "nothing that CMAF can carry"
		l.cmaf.Refusal.Store(&reason)
		l.cmaf.Answer()
		if r := <-held; r.StatusCode != 404 || body(t, r) != reason+"\n" {
			t.Errorf("%d %v", r.StatusCode, r.Header)
		}
		s.end(l, true)
	})
}

// later asks in the background, and returns when the request waits.
func later(t *testing.T, s *Server, path string) <-chan *http.Response {
	answer := make(chan *http.Response, 1)
	go func() { answer <- ask(s, "GET", path) }()
	synctest.Wait()
	select {
	case r := <-answer:
		t.Errorf("%s was answered at once: %d", path, r.StatusCode)
		answer <- r
	default:
	}
	return answer
}

const (
	tick = 500 * time.Millisecond
	ok   = 200
)

// TestBlocking: what a request waits for, and what it waits for in vain (RFC 8216bis 6.2.5.2). The
// open segment is 106, with parts 0 and 1.
func TestBlocking(t *testing.T) {
	part := func(d *hlstest.Drawn) { d.Part(tick).Show(3) }
	cut := func(d *hlstest.Drawn) { d.Cut().Show(3) }
	cutAndPart := func(d *hlstest.Drawn) { d.Cut().Part(tick).Show(3) }
	cases := []struct {
		name, query string
		changes     []func(*hlstest.Drawn) // all but the last keep it waiting
	}{
		{"segment", "_HLS_msn=106", []func(*hlstest.Drawn){part, part, cut}},
		{"next segment", "_HLS_msn=107", []func(*hlstest.Drawn){part, cut, part, cut}},
		{"next part", "_HLS_msn=106&_HLS_part=2", []func(*hlstest.Drawn){part}},
		{"part after the next", "_HLS_msn=106&_HLS_part=3", []func(*hlstest.Drawn){part, part}},
		{"first part of the next segment", "_HLS_msn=107&_HLS_part=0", []func(*hlstest.Drawn){part, cut, part}},
		{"complete at once with its next", "_HLS_msn=107&_HLS_part=0", []func(*hlstest.Drawn){cutAndPart}},
		{"beyond the last part of a complete segment", "_HLS_msn=105&_HLS_part=4", nil},
		{"beyond the last part of the open segment", "_HLS_msn=106&_HLS_part=4", []func(*hlstest.Drawn){part, cut, part}},
		{"long ago", "_HLS_msn=3&_HLS_part=99", nil},
		{"there already", "_HLS_msn=106&_HLS_part=1", nil},
		{"gap", "_HLS_msn=106&_HLS_part=2", []func(*hlstest.Drawn){func(d *hlstest.Drawn) { s := d.Open(); s.Gap, s.Parts = true, nil; d.Cut().Show(3) }}},
		{"end", "_HLS_msn=107", []func(*hlstest.Drawn){(*hlstest.Drawn).End}},
		{"delta", "_HLS_msn=106&_HLS_part=2&_HLS_skip=YES", []func(*hlstest.Drawn){part}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			synctest.Test(t, func(t *testing.T) {
				s, _, video, _ := lowLatency(Options{})
				if len(c.changes) == 0 {
					if r := ask(s, "GET", v0+"?"+c.query); r.StatusCode != ok || body(t, r) != video.Text(playlist.Full) {
						t.Errorf("%d %v", r.StatusCode, r.Header)
					}
					return
				}
				answer := later(t, s, v0+"?"+c.query)
				for i, change := range c.changes {
					if change(video); i < len(c.changes)-1 {
						synctest.Wait()
						if len(answer) > 0 {
							t.Fatalf("answered after change %d", i)
						}
					}
				}
				r := <-answer
				cache := map[bool]string{false: "max-age=12", true: "max-age=1"}[c.name == "end"]
				if r.StatusCode != ok || body(t, r) != video.Text(playlist.Full) || r.Header.Get("Cache-Control") != cache {
					t.Errorf("%d %v", r.StatusCode, r.Header)
				}
				if n := s.Waiting(); n != 0 {
					t.Errorf("%d requests wait", n)
				}
			})
		})
	}
}

// TestDirectiveErrors: each error rule of RFC 8216bis 6.2.5.2.
func TestDirectiveErrors(t *testing.T) {
	s, _, video, _ := lowLatency(Options{}) // segment 105 is complete, part targets last 0.5 s: 6 parts may be named in advance
	for query, want := range map[string]int{
		"_HLS_part=1":               400, // needs _HLS_msn
		"_HLS_msn=x":                400,
		"_HLS_msn=108":              400, // more than two after the last
		"_HLS_msn=108&_HLS_part=0":  400,
		"_HLS_msn=106&_HLS_part=8":  400, // exceeds the advance part limit
		"_HLS_msn=107&_HLS_part=7":  400,
		"_HLS_msn=105&_HLS_part=99": ok, // beyond the last part: the next segment's first
		"_HLS_msn=104&_HLS_part=99": ok,
	} {
		r := ask(s, "GET", v0+"?"+query)
		if r.StatusCode != want || want == 400 && r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%s: %d %v", query, r.StatusCode, r.Header)
		}
	}
	video.End()
	// A playlist with its end ignores them (the same).
	if r := ask(s, "GET", v0+"?_HLS_msn=500&_HLS_part=500&_HLS_skip=YES"); r.StatusCode != ok {
		t.Errorf("ended: %d", r.StatusCode)
	}
	if r := ask(s, "GET", v0+"?_HLS_part=1"); r.StatusCode != 400 {
		t.Errorf("ended, part without segment: %d", r.StatusCode)
	}
}

// The bound on parts in advance follows the part target duration (RFC 8216bis 6.2.5.2).
func TestAdvancePartLimit(t *testing.T) {
	for target, limit := range map[time.Duration]int{200 * time.Millisecond: 15, 333 * time.Millisecond: 10, time.Second: 3, 2 * time.Second: 3} {
		_, _, video, _ := lowLatency(Options{})
		video.Now.PartTarget = target
		v := video.Show(3).View.Load()
		if (playlist.Directives{MSN: 106, Part: 1 + limit}).TooFar(v) || !(playlist.Directives{MSN: 106, Part: 2 + limit}).TooFar(v) {
			t.Errorf("%v: not %d", target, limit)
		}
	}
	// hls.js without Low-Latency mode asks for the last part of a segment.
	_, _, video, _ := lowLatency(Options{})
	video.Now.Target, video.Now.PartTarget = 10*time.Second, 200*time.Millisecond
	if v := video.Show(3).View.Load(); (playlist.Directives{MSN: 106, Part: 51}).TooFar(v) || !(playlist.Directives{MSN: 106, Part: 52}).TooFar(v) {
		t.Error("a target duration of 10 s: not 50 parts")
	}
}

// A stream that stands still: unavailable after three target durations (RFC 8216bis 6.2.5.2).
func TestBlockingTooLong(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, _, _ := lowLatency(Options{})
		for _, path := range []string{v0 + "?_HLS_msn=106", "/live/movie/v0/106.2.m4s", "/live/movie/index-v0.iframes.m3u8?_HLS_msn=106&_HLS_part=0"} {
			began := time.Now()
			r := ask(s, "GET", path)
			if r.StatusCode != 503 || time.Since(began) != 6*time.Second || r.Header.Get("Retry-After") != "2" || r.Header.Get("Cache-Control") != "no-store" {
				t.Errorf("%s: %d after %v: %v", path, r.StatusCode, time.Since(began), r.Header)
			}
		}
	})
}

// A client that goes away, a rendition that leaves, a server that goes down, a crowd.
func TestBlockingInVain(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, video, audio := lowLatency(Options{MaxWaiting: 4}) // two for each address
		ctx, cancel := context.WithCancel(t.Context())
		done := make(chan struct{})
		go func() {
			defer close(done)
			s.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", v0+"?_HLS_msn=106", nil).WithContext(ctx))
		}()
		first := later(t, s, "/live/movie/index-a0.m3u8?_HLS_msn=106")
		if r := ask(s, "GET", v0+"?_HLS_msn=106"); r.StatusCode != 503 || body(t, r) != "too many requests wait\n" {
			t.Errorf("crowded: %d", r.StatusCode)
		}
		cancel()
		<-done
		second := later(t, s, v0+"?_HLS_msn=106")
		audio.Leave()
		if r := <-first; r.StatusCode != 404 || body(t, r) != "no such rendition, or no longer\n" {
			t.Errorf("left: %d", r.StatusCode)
		}
		close(video.View.Load().Replaced)
		if r := <-second; r.StatusCode != 503 || r.Header.Get("Retry-After") != "2" {
			t.Errorf("interrupted: %d", r.StatusCode)
		}
	})
}

// TestHintedPart: a hinted part is held until it is whole, and 404 as soon as it is known that
// there will be none (RFC 8216bis 6.2.6).
func TestHintedPart(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s, _, video, _ := lowLatency(Options{})
		answer := later(t, s, "/live/movie/v0/106.2.m4s")
		video.Part(tick).Show(3)
		if r := <-answer; r.StatusCode != ok || body(t, r) != "<v0 106.2>" || r.Header.Get("Cache-Control") != immutable {
			t.Errorf("%d %v", r.StatusCode, r.Header)
		}
		answer = later(t, s, "/live/movie/v0/106.3.m4s")
		video.Cut().Show(3)
		if r := <-answer; r.StatusCode != 404 || r.Header.Get("Cache-Control") != "no-store" {
			t.Errorf("%d %v", r.StatusCode, r.Header)
		}
		answer = later(t, s, "/live/movie/v0/107.0.m4s")
		video.Part(tick).Show(3)
		if r := <-answer; r.StatusCode != ok || body(t, r) != "<v0 107.0>" {
			t.Errorf("%d %v", r.StatusCode, r.Header)
		}
		answer = later(t, s, "/live/movie/v0/107.1.m4s")
		video.End()
		if r := <-answer; r.StatusCode != 404 {
			t.Errorf("%d %v", r.StatusCode, r.Header)
		}
	})
}

// TestRedirect: where MPEG-TS cannot carry the codecs, its playlist leads to the other one.
func TestRedirect(t *testing.T) {
	s, l, _, _ := lowLatency(Options{})
	reason := "no"
	l.transport().refusal.Store(&reason)
	l.transport().answer()
	r := ask(s, "GET", "/live/movie.m3u8")
	if r.StatusCode != 302 || r.Header.Get("Location") != "movie/index.m3u8" || r.Header.Get("Cache-Control") != "max-age=1" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	l.cmaf.View.Store(nil)
	if r := ask(s, "GET", "/live/movie.m3u8"); r.StatusCode != 404 || body(t, r) != "no\n" {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
	l.cmaf.Carries.Store(true)
	if r := ask(s, "GET", "/live/movie.m3u8"); r.StatusCode != 302 {
		t.Errorf("%d %v", r.StatusCode, r.Header)
	}
}

// One viewer asks for several playlists, many times.
func TestCMAFAudience(t *testing.T) {
	s, _, video, _ := lowLatency(Options{})
	ask(s, "GET", "/live/movie/index.m3u8")
	for range 5 {
		video.Part(tick).Show(3)
		ask(s, "GET", v0)
		ask(s, "GET", "/live/movie/index-a0.m3u8")
	}
	if n := s.Stats()[0].Viewers; n != 1 {
		t.Errorf("%d viewers", n)
	}
}

// A held request is answered although the connection's write deadline, which begins with the
// request, has passed.
func TestHeldRequestsOutliveTheWriteTimeout(t *testing.T) {
	const timeout = 50 * time.Millisecond
	for _, unencrypted2 := range []bool{false, true} {
		s, _, video, _ := lowLatency(Options{WriteTimeout: 20 * timeout})
		server := httptest.NewUnstartedServer(s)
		server.Config.WriteTimeout = timeout
		protocols := new(http.Protocols)
		protocols.SetHTTP1(!unencrypted2)
		protocols.SetUnencryptedHTTP2(unencrypted2)
		server.Config.Protocols = protocols
		server.Start()
		transport := &http.Transport{Protocols: protocols}
		held := make(chan string, 1)
		go func() {
			r, err := (&http.Client{Transport: transport}).Get(server.URL + v0 + "?_HLS_msn=106&_HLS_part=2")
			if err != nil {
				held <- err.Error()
				return
			}
			defer r.Body.Close()
			text, err := io.ReadAll(r.Body)
			held <- fmt.Sprint(string(text), err)
		}()
		<-time.After(4 * timeout)
		video.Part(tick).Show(3)
		if got := <-held; got != video.Text(playlist.Full)+"<nil>" {
			t.Errorf("HTTP/2 %v: %s", unencrypted2, got)
		}
		transport.CloseIdleConnections()
		server.Close()
	}
}
