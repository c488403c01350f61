package main

import (
	"encoding/json"
	"net/http"
	"net/http/httptest"
	"path/filepath"
	"strings"
	"testing"
	"time"

	v1 "livego/internal/api/v1"
)

// apiOf is what points commands to the API of a server.
func apiOf(url string) []string {
	return []string{"API_ADDR=" + strings.TrimPrefix(url, "http://"), "CONFIG_FILE="}
}

func TestReloadCommand(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "livego.yaml")
	write(t, file, "level: info\n")
	p := start(t, dir, nil)
	ask := func() output { return invoke(t, apiOf(p.api), "", "reload") }
	if got := ask(); got.code != 0 || got.stdout != "nothing has changed\n" {
		t.Errorf("%+v", got)
	}
	write(t, file, "level: 5x\n")
	if got := ask(); got.code != 1 || !strings.Contains(got.stderr, "livego.yaml:1: level") {
		t.Errorf("%+v", got)
	}
	// The server may have seen the change of the file before it was asked.
	write(t, file, "level: debug\ngop_num: 2\n")
	if got := ask(); got.code != 0 || !strings.Contains(got.stdout, "only with a new start: gop_num\n") {
		t.Errorf("%+v", got)
	}
	p.awaitLog(t, "changed=level")
	if got := invoke(t, apiOf("http://127.0.0.1:1"), "", "reload"); got.code != 1 || !strings.Contains(got.stderr, "no server runs at http://127.0.0.1:1") {
		t.Errorf("without a server: %+v", got)
	}
}

func TestHealthcheck(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, []string{"JWT_SECRET=0123456789abcdef"})
	for _, args := range [][]string{{"healthcheck"}, {"healthcheck", "--ready"}} {
		if got := invoke(t, apiOf(p.api), "", args...); got.code != 0 || got.stdout != "" {
			t.Errorf("%v: %+v", args, got)
		}
	}
	// A file that became wrong does not make a server ill that runs.
	t.Chdir(t.TempDir())
	write(t, "livego.yaml", "nonsense: yes\n")
	if got := invoke(t, []string{"API_ADDR=" + strings.TrimPrefix(p.api, "http://")}, "", "healthcheck"); got.code != 0 {
		t.Errorf("with a wrong file: %+v", got)
	}
	draining := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if r.URL.Path == "/readyz" {
			w.WriteHeader(http.StatusServiceUnavailable)
		}
	}))
	defer draining.Close()
	for args, want := range map[string]int{"healthcheck": 0, "healthcheck --ready": 1} {
		if got := invoke(t, apiOf(draining.URL), "", strings.Fields(args)...); got.code != want {
			t.Errorf("draining, %s: %+v", args, got)
		}
	}
	for _, api := range []string{"http://127.0.0.1:1", "http://"} {
		if got := invoke(t, apiOf(api), "", "healthcheck"); got.code != 1 || got.stderr == "" {
			t.Errorf("%s: %+v", api, got)
		}
	}
}

func TestCompletion(t *testing.T) {
	for _, shell := range []string{"bash", "zsh", "fish", "powershell"} {
		if got := invoke(t, nil, "", "completion", shell); got.code != 0 || !strings.Contains(got.stdout, "livego") {
			t.Errorf("%s: code %d, %.100q", shell, got.code, got.stdout)
		}
	}
	for _, args := range [][]string{{"completion"}, {"completion", "dos"}} {
		if got := invoke(t, nil, "", args...); got.code != exitUsage {
			t.Errorf("%v: %+v", args, got)
		}
	}
	if got := invoke(t, nil, "", "__complete", "sta"); !strings.Contains(got.stdout, "status") {
		t.Errorf("sta is completed to %q", got.stdout)
	}
}

func TestStatusCommand(t *testing.T) {
	p := start(t, t.TempDir(), []string{"JWT_SECRET=0123456789abcdef"})
	env := append(apiOf(p.api), "JWT_SECRET=0123456789abcdef")
	if got := invoke(t, env, "", "status"); got.code != 0 || !strings.Contains(got.stdout, "0 streams, 0 viewers, in 0 kbit/s") {
		t.Errorf("%+v", got)
	}
	var s status
	if got := invoke(t, env, "", "status", "--json"); got.code != 0 || json.Unmarshal([]byte(got.stdout), &s) != nil || s.Version.Version == "" || s.Streams == nil {
		t.Errorf("%+v", got)
	}
	if got := invoke(t, apiOf(p.api), "", "status"); got.code != 1 || !strings.Contains(got.stderr, "a token is required") {
		t.Errorf("without the secret: %+v", got)
	}
}

// One screen for people: what encoders say of themselves does not command the terminal.
func TestStatusScreen(t *testing.T) {
	var b strings.Builder
	writeStatus(&b, status{Address: "http://h", Version: v1.Version{Version: "v1", Started: time.Now().Add(-26 * time.Hour)}, Streams: []v1.Stream{{
		Name: "live/movie", State: "live", BitRate: 2_600_000, Viewers: v1.Viewers{Total: 7, BitRate: 12_000_000},
		Publications: []v1.Publication{
			{Encoder: "OBS\x1b[2J", BitRate: 2_500_000, FrameRate: 29.97, KeyFrameInterval: 2, Uptime: 90, Tracks: []v1.Track{
				{Kind: "video", Codec: "H264", Width: 1280, Height: 720}, {Kind: "audio", Codec: "AAC"},
			}},
			{Rendition: "360p", BitRate: 100_000},
		},
	}}})
	want := `livego v1 at http://h, up 1d2h
1 streams, 7 viewers, in 2.6 Mbit/s, out 12.0 Mbit/s (without HLS)

STREAM           STATE  VIEWERS  BIT RATE    VIDEO               AUDIO  KEY FRAMES  UP     ENCODER
live/movie       live   7        2.5 Mbit/s  H264 1280x720 30/s  AAC    2.0 s       1m30s  OBS?[2J
live/movie?360p                  100 kbit/s  -                   -      -           0s     
`
	if b.String() != want {
		t.Errorf("got\n%s\nwant\n%s", b.String(), want)
	}

	b.Reset()
	began := time.Now().Add(-90 * time.Second)
	writeStatus(&b, status{
		Streams: []v1.Stream{{Name: "live/a", State: "live", Node: "n1", Publications: []v1.Publication{{}}}},
		Nodes: []v1.Node{
			{ID: "n1", State: "ready", Region: "eu", Load: 0.42, Viewers: 7, Streams: 1, Started: began, Version: "v1", Address: "10.0.0.1:7100", Self: true},
			{ID: "n2", State: "gone", Started: began},
		},
	})
	want = `
NODE  STATE  REGION  LOAD  VIEWERS  STREAMS  UP     VERSION  ADDRESS
n1 *  ready  eu      42 %  7        1        1m30s  v1       10.0.0.1:7100
n2    gone           0 %   0        0        -               

STREAM  STATE  VIEWERS  BIT RATE  VIDEO  AUDIO  KEY FRAMES  UP  ENCODER  NODE
live/a  live   0        0 kbit/s  -      -      -           0s           n1
`
	if _, got, _ := strings.Cut(b.String(), "(without HLS)\n"); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}
