package server

import (
	"strings"
	"testing"

	"livego/internal/rtmp"
)

// withApps is a server that knows names of apps, and nothing else.
func withApps(names ...string) *Server {
	s, apps := new(Server), make(map[string]App)
	for _, name := range names {
		apps[name] = App{Name: name}
	}
	s.settings.Store(&settings{access: &access{apps: apps}})
	return s
}

// What encoders and people put into the two fields of RTMP.
func TestAddress(t *testing.T) {
	s := withApps("live", "event")
	const key = "sEcReTkEy0123456"
	for _, tc := range []struct {
		app, name        string // the name with its query
		wantApp, wantKey string
		wantQuery        string
	}{
		{"live", key, "live", key, ""},
		{"live", " " + key + "\r\n", "live", key, ""},
		{"live", "/" + key + "/", "live", key, ""},
		{"live", "//" + key, "live", key, ""},
		{"live", "\u200b" + key, "live", key, ""},
		{"live", "%73EcReTkEy0123456%0A", "live", key, ""},
		{"live", "mp4:" + key, "live", key, ""},
		{"live", key + "?token=a/b", "live", key, "token=a/b"},
		{"/live", key, "live", key, ""},
		{"live//", key, "live", key, ""},
		{" live ", key, "live", key, ""},
		{"l%69ve", key, "live", key, ""},
		{"live/_definst_", key, "live", key, ""},
		{"live/_definst_/", "/" + key, "live", key, ""},
		{"_definst_", key, "_definst_", key, ""},
		{"", key, "live", key, ""},
		{"/", key, "live", key, ""},
		{"live/" + key, "", "live", key, ""},
		{"live/" + key + "/", "", "live", key, ""},
		{"event/" + key + "?rendition=720p", "", "event", key, "rendition=720p"},
		// FFmpeg cuts rtmp://h/live/KEY?token=a/b/c at the last slash.
		{"live/" + key + "?token=a/b", "c", "live", key, "token=a/b/c"},
		{"live/" + key + "?token=a", "b?c=d", "live", key, "token=a/b?c=d"},
		// Flash players and encoders with a query in the server field.
		{"live?token=a", key, "live", key, "token=a"},
		{"live?rendition=480p&x=1", key + "?rendition=720p", "live", key, "rendition=720p&rendition=480p&x=1"},
		{"live/_definst_?token=a", key, "live", key, "token=a"},
		{"live/movie", key, "live", "movie/" + key, ""},
		{"live/a", "b", "live", "a/b", ""}, // FFmpeg, of rtmp://h/live/a/b
		{"live", "caf%C3%A9", "live", "café", ""},
		{"live", "100%", "live", "100%", ""},
		{"live", " RTMP://h:1935/live/" + key, "live", key, ""},
		{"live", "rtmps://h/" + key, "live", key, ""},
		{"rtmp://h/live", key, "live", key, ""},
		{"rtmp://h/live/" + key, "", "live", key, ""},
		{"live", "http://h/live/" + key, "live", "http:/h/live/" + key, ""},
		{"live", "", "live", "", ""},
	} {
		name, query, _ := strings.Cut(tc.name, "?")
		app, appQuery, _ := strings.Cut(tc.app, "?")
		at := s.addressOf(&rtmp.ConnectRequest{App: app, Query: appQuery}).join(name, query)
		if at.app != tc.wantApp || at.name() != tc.wantKey || at.query != tc.wantQuery {
			t.Errorf("app %q and name %q: %q, %q, %q; want %q, %q, %q", tc.app, tc.name, at.app, at.name(), at.query, tc.wantApp, tc.wantKey, tc.wantQuery)
		}
	}
	only := withApps("event")
	if at := only.addressOf(&rtmp.ConnectRequest{}); at.app != "event" {
		t.Errorf("without a name the only app is %q", at.app)
	}
}

func FuzzAddress(f *testing.F) {
	f.Add("live", "", "a/b", "")
	f.Add("rtmp://h/live/_definst_", "x=1", "mp4:%2F%0a", "?")
	s := withApps("live")
	f.Fuzz(func(t *testing.T, app, appQuery, name, query string) {
		at := s.addressOf(&rtmp.ConnectRequest{App: app, Query: appQuery}).join(name, query)
		for _, element := range append(at.path, at.app) {
			if element == "" || strings.TrimSpace(element) != element || strings.Contains(element, "/") {
				t.Errorf("app %+q, path %+q", at.app, at.path)
			}
		}
	})
}

func TestSaid(t *testing.T) {
	key := strings.Repeat("kEy0", 12)
	for given, want := range map[string]string{
		"live":                            "live",
		"live/" + key:                     "live/<48 characters>",
		"x" + key + "-" + key[:15]:        "x<48 characters>-" + key[:15],
		key[:16]:                          "<16 characters>",
		key[:24] + "\u200b" + key[24:]:    "<48 characters>",
		"%6B" + key[1:]:                   "<48 characters>",
		"%256B" + key[1:]:                 "<48 characters>",
		strings.Repeat("é ", 500):         strings.Repeat("é ", 21) + "…",
		"a\xffb":                          "a\uFFFDb",
		"FMLE/3.0 (compatible; FMSc/1.0)": "FMLE/3.0 (compatible; FMSc/1.0)",
	} {
		want = strings.Replace(want, "x<48", "<49", 1)
		if got := said(given); got != want {
			t.Errorf("%+q: %+q, want %+q", given, got, want)
		}
	}
	for url, want := range map[string]string{
		"rtmp://h:1935/live/" + key:              "rtmp://h:1935/live/movie?a=b",
		"rtmp://user:" + key + "@h/live":         "rtmp://h/live/movie?a=b",
		"rtmp://livestreamserver.example/live?x": "rtmp://livestreamserver.example/live/movie?a=b",
		"rtmp://" + key + ".example/live":        "rtmp://<48 characters>.example/live/movie?a=b",
		"":                                       "/live/movie?a=b",
		key:                                      "/live/movie?a=b",
	} {
		if got := shownURL(url, address{app: "live", query: "a=b"}, "movie"); got != want {
			t.Errorf("%q is shown as %q, want %q", url, got, want)
		}
	}
	if got := withQuery("/live/movie.flv", "a="+key+"&b=%6B"+key[1:]+strings.Repeat("&c=1", 1000)); strings.Contains(got, key) || len(got) > maxShownURL+4 {
		t.Errorf("shown: %q", got)
	}
}
