package main

import (
	"encoding/json"
	"errors"
	"regexp"
	"strings"
	"testing"

	"livego/internal/bench"
	"livego/internal/config"
)

// TestBenchURLs checks where the load goes when no URL is given: to the server of this
// configuration.
func TestBenchURLs(t *testing.T) {
	plain := config.Default()
	secure := config.Default()
	secure.RTMPTLS, secure.FLVTLS, secure.HLSTLS, secure.RTMPSAddr = true, true, true, "127.0.0.1:1936"
	open := config.Default()
	open.NoAuth = true
	for _, c := range []struct {
		cfg           config.Config
		flags         benchFlags
		publish, play string
	}{
		{plain, benchFlags{protocol: "rtmp"}, "rtmp://127.0.0.1:1935/live/{key}", "rtmp://127.0.0.1:1935/live/{stream}"},
		{plain, benchFlags{protocol: "http-flv"}, "rtmp://127.0.0.1:1935/live/{key}", "http://127.0.0.1:7001/live/{stream}.flv"},
		{plain, benchFlags{protocol: "ws-flv"}, "rtmp://127.0.0.1:1935/live/{key}", "ws://127.0.0.1:7001/live/{stream}.flv"},
		{plain, benchFlags{protocol: "hls", noPublish: true}, "", "http://127.0.0.1:7002/live/{stream}.m3u8"},
		{open, benchFlags{protocol: "rtmp"}, "rtmp://127.0.0.1:1935/live/{stream}", "rtmp://127.0.0.1:1935/live/{stream}"},
		{secure, benchFlags{protocol: "rtmp"}, "rtmps://127.0.0.1:1935/live/{key}", "rtmps://127.0.0.1:1935/live/{stream}"},
		{secure, benchFlags{protocol: "rtmps"}, "rtmps://127.0.0.1:1935/live/{key}", "rtmps://127.0.0.1:1936/live/{stream}"},
		{secure, benchFlags{protocol: "ws-flv"}, "rtmps://127.0.0.1:1935/live/{key}", "wss://127.0.0.1:7001/live/{stream}.flv"},
		{secure, benchFlags{protocol: "hls"}, "rtmps://127.0.0.1:1935/live/{key}", "https://127.0.0.1:7002/live/{stream}.m3u8"},
		{plain, benchFlags{protocol: "ll-hls", noPublish: true}, "", "http://127.0.0.1:7002/live/{stream}/index.m3u8"},
		{plain, benchFlags{protocol: "rtmps"}, "", ""},
		{plain, benchFlags{protocol: "srt"}, "", ""},
	} {
		// The addresses of the default configuration are those of all interfaces.
		var o bench.Options
		err := completeBench(&o, c.flags, c.cfg)
		if c.play == "" {
			if err == nil {
				t.Errorf("%+v: accepted as %+v", c.flags, o)
			}
			continue
		}
		if err != nil || len(o.Play) != 1 {
			t.Errorf("%+v: %+v, %v", c.flags, o.Play, err)
			continue
		}
		local := strings.NewReplacer("[::1]", "127.0.0.1")
		if local.Replace(o.Publish) != c.publish || local.Replace(o.Play[0]) != c.play {
			t.Errorf("%+v: publishes to %s and plays %s, want %s and %s", c.flags, o.Publish, o.Play[0], c.publish, c.play)
		}
		if (o.Keys != nil) != strings.Contains(c.publish, "{key}") {
			t.Errorf("%+v: asks for keys: %v", c.flags, o.Keys != nil)
		}
	}
}

func TestBenchKey(t *testing.T) {
	if key, err := benchKeys("given", config.Default())(t.Context(), "x"); key != "given" || err != nil {
		t.Errorf("%q, %v", key, err)
	}
	cfg := config.Default()
	cfg.APIAddr = "127.0.0.1:1" // nobody listens there
	if _, err := benchKeys("", cfg)(t.Context(), "x"); !errors.Is(err, errNoServer) {
		t.Errorf("%v", err)
	}
}

// TestBench puts a small load on a server in a process of its own, which it asks for the key.
func TestBench(t *testing.T) {
	dir := t.TempDir()
	server := start(t, dir, nil)
	rtmp := regexp.MustCompile(`url=rtmp://([^/]+)/`).FindStringSubmatch(server.logged())
	if rtmp == nil {
		t.Fatalf("the log has no RTMP link:\n%s", server.logged())
	}
	t.Chdir(dir)
	environ := []string{"API_ADDR=" + strings.TrimPrefix(server.api, "http://"), "RTMP_ADDR=" + rtmp[1]}
	got := invoke(t, environ, "", "bench", "--players=2", "--sample=1", "--video-rate=100", "--warmup=0s", "--duration=1s", "--json")
	var report bench.Report
	if err := json.Unmarshal([]byte(got.stdout), &report); err != nil || got.code != exitOK {
		t.Fatalf("%+v, %v", got, err)
	}
	if report.Connected != 2 || report.Faults != (bench.Faults{}) {
		t.Errorf("%+v", report)
	}
	if !strings.Contains(got.stderr, "2/2 players") {
		t.Errorf("no progress was told: %q", got.stderr)
	}
	if wrong := invoke(t, environ, "", "bench", "--protocol=smoke-signals"); wrong.code != exitUsage {
		t.Errorf("%+v", wrong)
	}
}
