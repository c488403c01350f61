package api

import (
	"bytes"
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"testing/synctest"
	"time"
)

var start = time.Date(2026, 5, 1, 12, 0, 0, 0, time.UTC)

var onAir = watched{
	fixed{
		{Publisher: true, Key: "live/movie", ID: "AAAAAAAAAAAAAAAA", URL: "rtmp://h/live/movie", Protocol: "rtmp", RemoteAddr: "192.0.2.1:4000", StreamID: 1,
			VideoBytes: 1000, AudioBytes: 200, VideoKbps: 2600, AudioKbps: 128, Start: start, VideoCodec: "H264", AudioCodec: "AAC"},
		{Key: "live/movie", ID: "CCCCCCCCCCCCCCCC", URL: "/live/movie.flv?a=1&jwt=x", Protocol: "http-flv", RemoteAddr: "192.0.2.3:4000", Start: start.Add(2 * time.Second), Jumps: 3},
		{Key: "live/movie", ID: "BBBBBBBBBBBBBBBB", URL: "rtmp://h/live/movie", Protocol: "rtmp", RemoteAddr: "192.0.2.2:4000", StreamID: 1, Start: start.Add(time.Second)},
		{Publisher: true, Key: "live/a/b", ID: "DDDDDDDDDDDDDDDD", URL: "rtmp://h/live/a/b", Protocol: "rtmp", Start: start},
		{Publisher: true, Key: "other/twice", ID: "EEEEEEEEEEEEEEEE", Start: start},
		{Publisher: true, Key: "live/twice", ID: "FFFFFFFFFFFFFFFF", Start: start},
		{Key: "live/orphan", ID: "GGGGGGGGGGGGGGGG", Start: start}, // its publisher is lost, the grace runs
	},
	map[string]int{"live/movie": 5, "live/a/b": 2},
}

// Spec 6: LiveGo's fields by name, type and unit.
func TestLivestatShape(t *testing.T) {
	w := get(newAPI(t, Options{Sessions: onAir}), "/stat/livestat?room=live/movie")
	const want = `{"status":200,"data":{
		"publishers":[{"key":"live/movie","url":"rtmp://h/live/movie","stream_id":1,"video_total_bytes":1000,"video_speed":2600,"audio_total_bytes":200,"audio_speed":128,
			"id":"AAAAAAAAAAAAAAAA","protocol":"rtmp","remote_addr":"192.0.2.1:4000","start_time":"2026-05-01T12:00:00Z","video_codec":"H264","audio_codec":"AAC",
			"player_count":2,"hls_viewers":5}],
		"players":[{"key":"live/movie","url":"rtmp://h/live/movie","stream_id":1,"video_total_bytes":0,"video_speed":0,"audio_total_bytes":0,"audio_speed":0,
			"id":"BBBBBBBBBBBBBBBB","protocol":"rtmp","remote_addr":"192.0.2.2:4000","start_time":"2026-05-01T12:00:01Z","video_codec":"","audio_codec":"","jumps":0},
			{"key":"live/movie","url":"/live/movie.flv?a=1","stream_id":0,"video_total_bytes":0,"video_speed":0,"audio_total_bytes":0,"audio_speed":0,
			"id":"CCCCCCCCCCCCCCCC","protocol":"http-flv","remote_addr":"192.0.2.3:4000","start_time":"2026-05-01T12:00:02Z","video_codec":"","audio_codec":"","jumps":3}],
		"hls_viewers":5}}`
	var compact bytes.Buffer
	if err := json.Compact(&compact, []byte(want)); err != nil {
		t.Fatal(err)
	}
	if w.Code != http.StatusOK || w.Body.String() != compact.String() {
		t.Errorf("status %d, got\n%s\nwant\n%s", w.Code, w.Body, compact.String())
	}
}

func TestLivestatRoom(t *testing.T) {
	h := newAPI(t, Options{Sessions: onAir})
	for _, tc := range []struct {
		room                string
		publishers, players int
		problem             string
	}{
		{"", 4, 3, ""},
		{"live/movie", 1, 2, ""},
		{"movie", 1, 2, ""},
		{"a/b", 1, 0, ""},
		{"live/a/b", 1, 0, ""},
		{"b", 0, 0, "room not found or inactive"},
		{"live", 0, 0, "room not found or inactive"},
		{"live/", 0, 0, "room not found or inactive"},
		{"twice", 0, 0, "several apps"},
		{"other/twice", 1, 0, ""},
		{"orphan", 0, 1, ""},
	} {
		w := call(h, "POST", "/stat/livestat", "room="+tc.room)
		if tc.problem != "" {
			if w.Code != http.StatusNotFound || !strings.Contains(w.Body.String(), tc.problem) {
				t.Errorf("%q: status %d, %q", tc.room, w.Code, w.Body)
			}
			continue
		}
		var got struct{ Data statistics }
		if err := json.Unmarshal(w.Body.Bytes(), &got); err != nil || len(got.Data.Publishers) != tc.publishers || len(got.Data.Players) != tc.players {
			t.Errorf("%q: %d publishers, %d players, error %v", tc.room, len(got.Data.Publishers), len(got.Data.Players), err)
		}
	}
	if len(onAir.fixed) != 7 {
		t.Error("the filter changed the source")
	}
}

func TestNobodyOnAir(t *testing.T) {
	w := get(newAPI(t, Options{}), "/stat/livestat")
	if want := `{"status":200,"data":{"publishers":[],"players":[],"hls_viewers":0}}`; w.Body.String() != want {
		t.Errorf("got %s, want %s", w.Body, want)
	}
}

func TestWithoutTokens(t *testing.T) {
	for raw, want := range map[string]string{
		"":                                     "",
		"rtmp://h:1935/live/m":                 "rtmp://h:1935/live/m",
		"/live/m.flv?jwt=abc":                  "/live/m.flv",
		"/live/m.flv?a=1&TOKEN=abc&b=2":        "/live/m.flv?a=1&b=2",
		"/live/m.flv?access_token=x;a":         "/live/m.flv?a",
		"/live/m.flv?%6Awt=abc":                "/live/m.flv",
		"/live/m.flv?jwt":                      "/live/m.flv",
		"/live/m.flv?jwtx=1":                   "/live/m.flv?jwtx=1",
		"/live/m.flv?a=%zz&%zz=1":              "/live/m.flv?a=%zz&%zz=1",
		"rtmp://h/live?token=abc/m":            "rtmp://h/live",
		"rtmp://h/live?v=1?token=abc":          "rtmp://h/live?v=1",
		"rtmp://user:pass@h:1/live/m":          "rtmp://h:1/live/m",
		"rtmp://user:pass@h":                   "rtmp://h",
		"rtmp://h/live/a@b":                    "rtmp://h/live/a@b",
		"/live/m.flv?secret=a&password=b&ok=1": "/live/m.flv?ok=1",
	} {
		if got := withoutTokens(raw); got != want {
			t.Errorf("%q became %q, want %q", raw, got, want)
		}
	}
}

// Whatever a client puts into its URL, no parameter with a token's name is left, and a clean URL
// stays as it is.
func FuzzWithoutTokens(f *testing.F) {
	f.Add("rtmp://u:p@h/live?token=a/m?jwt=b&c;d")
	f.Add("/live/m.flv?a=1&%74oken=x")
	f.Fuzz(func(t *testing.T, raw string) {
		got := withoutTokens(raw)
		if again := withoutTokens(got); again != got {
			t.Errorf("%q became %q, and that %q", raw, got, again)
		}
		_, query, _ := strings.Cut(got, "?")
		for _, parameter := range strings.FieldsFunc(query, func(r rune) bool { return r == '&' || r == ';' || r == '?' }) {
			name, _, _ := strings.Cut(strings.ToLower(parameter), "=")
			if slices.Contains(tokenParameters, name) {
				t.Errorf("%q became %q, which has %s", raw, got, name)
			}
		}
	})
}

// counted counts how often it is asked.
type counted struct{ asked int }

func (c *counted) Sessions() []Session {
	c.asked++
	return nil
}

// Spec 2.8.
func TestStreams(t *testing.T) {
	ask := func(method string, source Sessions) *httptest.ResponseRecorder {
		w := httptest.NewRecorder()
		StreamsHandler(source).ServeHTTP(w, httptest.NewRequest(method, "/streams", nil))
		if w.Header().Get("Access-Control-Allow-Origin") != "*" {
			t.Errorf("%s: no CORS header", method)
		}
		return w
	}
	w := ask("GET", onAir.fixed[:3])
	const want = `{"publishers":[{"key":"live/movie","id":"AAAAAAAAAAAAAAAA"}],"players":[{"key":"live/movie","id":"BBBBBBBBBBBBBBBB"},{"key":"live/movie","id":"CCCCCCCCCCCCCCCC"}]}`
	if w.Code != http.StatusOK || w.Body.String() != want || w.Header().Get("Content-Type") != "application/json" {
		t.Errorf("status %d, %s, %s", w.Code, w.Header().Get("Content-Type"), w.Body)
	}
	if w := ask("GET", fixed{}); w.Body.String() != `{"publishers":[],"players":[]}` {
		t.Errorf("nobody on air: %s", w.Body)
	}
	synctest.Test(t, func(t *testing.T) {
		source := &counted{}
		h := StreamsHandler(source)
		for i := range 50 {
			h.ServeHTTP(httptest.NewRecorder(), httptest.NewRequest("GET", "/streams", nil))
			time.Sleep(100 * time.Millisecond)
			if want := i/10 + 1; source.asked != want {
				t.Fatalf("%d lists made for %d requests in %d ms, want %d", source.asked, i+1, 100*i, want)
			}
		}
	})
	for method, status := range map[string]int{"HEAD": 200, "OPTIONS": 204, "POST": 405, "DELETE": 405} {
		if w := ask(method, fixed{}); w.Code != status || status == 405 && w.Header().Get("Allow") != "GET, HEAD, OPTIONS" {
			t.Errorf("%s: status %d, Allow %q", method, w.Code, w.Header().Get("Allow"))
		}
	}
}
