package config

import (
	"fmt"
	"log/slog"
	"net/netip"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// The defaults are LiveGo's, and those of decisions.md for options that LiveGo does not have.
func TestDefaults(t *testing.T) {
	want := map[string]string{
		"level": "info", "log_format": "text", "data_dir": "data", "drain_timeout": "5s", "drain_delay": "0s", "drain_publishers": "0s",
		"rtmp_addr": ":1935", "enable_rtmps": "false", "rtmps_cert": "server.crt", "rtmps_key": "server.key", "rtmp_noauth": "false",
		"read_timeout": "10s", "write_timeout": "10s", "max_message_size": "8MiB", "enable_tls_verify": "true",
		"httpflv_addr": ":7001", "use_flv_https": "false", "flv_streams": "true",
		"hls_addr": ":7002", "use_hls_https": "false", "hls_http3": "false", "hls_fast_http": "true", "hls_segment_duration": "3s",
		"hls_part_duration": "200ms", "hls_list_size": "3", "hls_cmaf": "true", "hls_joined": "false", "hls_on_demand": "true", "hls_keep_after_end": "false",
		"hls_dvr_window": "0s", "hls_dvr_max_bytes": "10GiB", "public_status": "false", "frame_origins": "*", "media_origins": "*",
		"https_cert": "server.crt", "https_key": "server.key",
		"api_addr": ":8090", "jwt.algorithm": "HS256", "metrics_streams": "200", "redis_prefix": "{livego}", "key_cache": "10m0s",
		"cluster_idle": "30s", "edge_cache_bytes": "512MiB", "redirect_above": "0", "egress_limit": "0",
		"gop_num": "1", "takeover": "true", "play_wait": "10s", "republish_grace": "10s", "stream_memory": "64MiB", "player_lag": "5s",
		"max_batch_delay": "100ms", "min_batch_delay": "0s", "io_uring": "true", "proxy_protocol": "false",
		"max_connections": "0", "max_connections_per_addr": "0", "max_streams": "0", "max_viewers": "0",
		"publish_max_bit_rate": "0", "publish_max_frame_rate": "0", "publish_max_key_frame_interval": "0s", "publish_max_time": "0s", "publish_limits": "close",
		"viewer_auth": "off", "viewer_session_max": "12h0m0s", "viewer_shared_cache": "false",
		"hook_timeout": "2s", "hook_format": "livego", "hook_fail": "deny",
		"flv_archive": "false", "flv_dir": "tmp", "record": "off", "record_to": "recordings",
		"record_name": "{app}/{stream}/{start:20060102T150405Z}-{id}", "record_join": "10m0s", "record_keep": "0s", "record_spool_bytes": "10GiB",
	}
	got, warnings := given{}.mustLoad(t)
	for _, o := range options { // those that are not named are empty
		if printed := o.bind(&got).print(); printed != want[o.key] {
			t.Errorf("%s is %q, want %q", o.key, printed, want[o.key])
		}
	}
	if a := got.ServerOptions().Apps; len(a) != 1 || a[0].Name != "live" || !a[0].Live || !a[0].HLS || !a[0].FLV || !a[0].API {
		t.Errorf("apps %+v", a)
	}
	if len(warnings) > 0 {
		t.Errorf("defaults warn: %q", warnings)
	}
	if diff := cmp.Diff(printed(got), printed(Default())); diff != "" {
		t.Errorf("Default differs (-want +got):\n%s", diff)
	}
}

// samples are values of all options, none of them the default.
func samples() map[string]string {
	return map[string]string{
		"level": "debug", "log_format": "json", "data_dir": "/var/lib/livego", "drain_timeout": "2s", "drain_delay": "1s", "drain_publishers": "1m",
		"rtmp_addr": "127.0.0.1:2935", "enable_rtmps": "true", "rtmps_addr": ":443", "rtmps_cert": "a.crt", "rtmps_key": "a.key",
		"rtmp_noauth": "true", "read_timeout": "7s", "write_timeout": "8s", "max_message_size": "1MiB", "enable_tls_verify": "false",
		"httpflv_addr": "[::1]:80", "use_flv_https": "true", "flv_streams": "false", "hls_addr": ":81", "use_hls_https": "true",
		"hls_segment_duration": "1.5s", "hls_part_duration": "333ms", "hls_http3": "true", "hls_fast_http": "false", "hls_list_size": "6", "hls_cmaf": "false", "hls_joined": "true", "hls_on_demand": "false", "hls_keep_after_end": "true",
		"hls_dvr_window": "2h0m0s", "hls_dvr_max_bytes": "1GiB", "public_status": "true", "frame_origins": "https://example.org,https://*.example.net:8443", "media_origins": "https://example.org", "https_addr": ":8443", "http_redirect_addr": ":8080",
		"acme_domains": "live.example.org,tv.example.org", "acme_email": "a@example.org", "acme_directory": "https://ca.example.org/directory", "https_cert": "b.crt", "https_key": "b.key",
		"api_addr": ":82", "metrics_addr": ":9100", "metrics_streams": "7", "pprof_addr": "127.0.0.1:83", "jwt.secret": strings.Repeat("s", 40), "jwt.algorithm": "HS512",
		"api_allow": "10.0.0.0/8", "api_origins": "https://example.org", "redis_addr": "redis:6379", "redis_pwd": "p", "redis_prefix": "{tv}", "key_cache": "1h0m0s",
		"cluster_addr": ":84", "cluster_advertise": "10.0.0.1:84", "cluster_secret": strings.Repeat("c", 40) + "," + strings.Repeat("d", 40), "cluster_cert": "c.crt",
		"cluster_key": "c.key", "cluster_ca": "ca.crt", "node_id": "node-1", "region": "eu-1", "redirect_above": "80", "egress_limit": "10000", "cluster_idle": "1m0s", "public_url": "https://node1.example.org:8443", "edge_cache_bytes": "1GiB",
		"gop_num": "0", "takeover": "false", "play_wait": "0s", "republish_grace": "1m0s", "stream_memory": "128MiB",
		"player_lag": "250ms", "max_batch_delay": "0s", "min_batch_delay": "40ms", "io_uring": "false", "trusted_proxies": "10.0.0.0/8,::1/128", "proxy_protocol": "true", "max_connections": "10", "max_connections_per_addr": "2",
		"viewer_auth": "token", "viewer_keys": "[{kid: a, algorithm: HS256, secret: " + strings.Repeat("v", 32) + "}]", "viewer_session_max": "1h0m0s", "viewer_shared_cache": "true", "run_on_stream": `[[ffmpeg, -i, "{rtmp_url}"]]`, "viewer_auth_url": "https://example.org/view", "max_streams": "7", "max_viewers": "8",
		"publish_max_bit_rate": "6000000", "publish_max_picture": "1920x1080", "publish_max_frame_rate": "60", "publish_max_key_frame_interval": "4s",
		"publish_max_time": "12h0m0s", "publish_codecs": "H264,AAC", "publish_limits": "warn",
		"flv_archive": "true", "flv_dir": "records",
		"record": "all", "record_to": "s3://recordings/livego?endpoint=http://127.0.0.1:9000&region=eu&path_style=true", "record_name": "{app}/{stream}/{id}",
		"record_join": "1m0s", "record_keep": "720h0m0s", "record_spool_bytes": "1GiB",
		"hook_url": "https://example.org/a,http://127.0.0.1:9/b", "hook_secret": strings.Repeat("h", 40), "hook_events": "stream.started,stream.ended",
		"hook_timeout": "3s", "hook_format": "srs", "publish_auth_url": "https://example.org/may", "hook_fail": "allow",
	}
}

// Every option, in each place where LiveGo or this server reads it.
func TestEveryOptionFromEverySource(t *testing.T) {
	samples := samples()
	for _, o := range options {
		t.Run(o.key, func(t *testing.T) {
			raw, ok := samples[o.key]
			if !ok {
				t.Fatal("no sample value: add one")
			}
			yaml := raw
			if k := o.bind(new(Config)).kind; k == kindText || k == kindAddress || k == kindSecret {
				yaml = fmt.Sprintf("%q", raw)
			}
			if parent, leaf, ok := strings.Cut(o.key, "."); ok {
				yaml = parent + ":\n  " + leaf + ": " + yaml
			} else {
				yaml = o.key + ": " + yaml
			}
			dashed := "--" + strings.ReplaceAll(o.flag(), "_", "-")
			var check Config
			if err := o.bind(&check).parse(raw); err != nil {
				t.Fatal(err)
			}
			want := o.bind(&check).print()
			if initial := Default(); o.bind(&initial).print() == want {
				t.Fatalf("the sample %q is the default", raw)
			}
			for _, g := range []given{
				{file: yaml},
				{env: []string{o.env() + "=" + raw}},
				{flags: []string{"--" + o.flag() + "=" + raw}},
				{flags: []string{dashed + "=" + raw}},
			} {
				if o.key == "viewer_auth" {
					g.env = append(g.env, "VIEWER_KEYS="+samples["viewer_keys"])
				}
				if o.key == "cluster_addr" { // it needs others
					g.env = append(g.env, "REDIS_ADDR=h:1", "CLUSTER_SECRET="+strings.Repeat("c", 40))
				}
				cfg, _ := g.mustLoad(t)
				if got := o.bind(&cfg).print(); got != want {
					t.Errorf("%+v: got %q, want %q", g, got, want)
				}
			}
		})
	}
}

func TestPrecedence(t *testing.T) {
	const file = "gop_num: 2"
	env := []string{"GOP_NUM=3"}
	flags := []string{"--gop_num=4"}
	for _, tc := range []struct {
		given given
		want  int
	}{
		{given{}, 1},
		{given{file: file}, 2},
		{given{file: file, env: env}, 3},
		{given{file: file, env: env, flags: flags}, 4},
		{given{file: file, flags: flags}, 4},
		{given{file: file, flags: []string{"--gop_num=1"}}, 1}, // a flag that says what the default is still counts
	} {
		if cfg, _ := tc.given.mustLoad(t); cfg.Live.GOPs != tc.want {
			t.Errorf("%+v: gop_num %d, want %d", tc.given, cfg.Live.GOPs, tc.want)
		}
	}
}

func TestEmptyVariableCountsAsSet(t *testing.T) {
	cfg, _ := given{file: "api_addr: \":9000\"\nenable_rtmps: true", env: []string{"API_ADDR=", "ENABLE_RTMPS=", "JWT_ALGORITHM="}}.mustLoad(t)
	if cfg.APIAddr != "" || cfg.RTMPTLS {
		t.Errorf("api_addr %q, enable_rtmps %t, want empty and false", cfg.APIAddr, cfg.RTMPTLS)
	}
	for _, name := range []string{"GOP_NUM", "READ_TIMEOUT", "STREAM_MEMORY", "DATA_DIR"} {
		if _, _, err := (given{env: []string{name + "="}}).load(t); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("%s= gave %v, want an error that names it", name, err)
		}
	}
}

func TestWhichFile(t *testing.T) {
	read := func(g given) string {
		t.Helper()
		g.file = "gop_num: 2"
		cfg, _, err := g.load(t)
		if err != nil {
			return "error: " + err.Error()
		}
		return cfg.File
	}
	for _, tc := range []struct {
		given given
		want  string
	}{
		{given{}, "livego.yaml"},
		{given{flags: []string{"--config_file=livego.json"}}, "livego.json"},
		{given{env: []string{"CONFIG_FILE=livego.env"}}, "livego.env"},
		{given{env: []string{"CONFIG_FILE=livego.env"}, flags: []string{"--config-file", "livego.flag"}}, "livego.flag"},
		{given{env: []string{"CONFIG_FILE="}}, ""},
		{given{flags: []string{"--config_file=other.yaml"}}, "error: reading the configuration: open other.yaml: file does not exist"},
		{given{env: []string{"CONFIG_FILE=other.yaml"}}, "error: reading the configuration: open other.yaml: file does not exist"},
		{given{flags: []string{"--config_file=livego.toml"}}, "error: livego.toml: TOML is not read; write the same keys as YAML, for example: livego.yaml"},
	} {
		if got := read(tc.given); got != tc.want {
			t.Errorf("%+v: %q, want %q", tc.given, got, tc.want)
		}
	}
}

// Spec 7.49: CONFIG_FILE is honoured, SERVER breaks nothing, a file without server still has the
// app live.
func TestDefect49EnvironmentAndMissingServer(t *testing.T) {
	cfg, warnings := given{file: "level: warn", env: []string{"SERVER=anything", "CONFIG_FILE=livego.yml"}}.mustLoad(t)
	if cfg.File != "livego.yml" || len(cfg.Apps) != 1 || cfg.Apps[0].Name != "live" || !cfg.Apps[0].Live {
		t.Errorf("file %q, apps %+v", cfg.File, cfg.Apps)
	}
	if len(warnings) != 1 || !strings.Contains(warnings[0], "SERVER") {
		t.Errorf("warnings %q, want one about SERVER", warnings)
	}
	if got := cfg.ServerOptions().RTMP.ReadTimeout; got != 10*time.Second {
		t.Errorf("read_timeout does not reach the server: %v", got)
	}
}

// Spec 7.16: 0 and large numbers work, negative ones stop the start.
func TestDefect16GOPNum(t *testing.T) {
	for _, n := range []string{"0", "1", "2", "3", "100"} {
		if cfg, _ := (given{flags: []string{"--gop_num", n}}).mustLoad(t); fmt.Sprint(cfg.ServerOptions().Live.GOPs) != n {
			t.Errorf("gop_num %s became %d", n, cfg.Live.GOPs)
		}
	}
	for _, g := range []given{{flags: []string{"--gop_num=-1"}}, {file: "gop_num: -1"}, {env: []string{"GOP_NUM=-1"}}} {
		if _, _, err := g.load(t); err == nil || !strings.Contains(err.Error(), "at least 0") {
			t.Errorf("%+v gave %v", g, err)
		}
	}
}

// Spec 7.12: whatever way a configuration is printed, its secrets are not in it.
func TestDefect12SecretsAreNotLogged(t *testing.T) {
	const jwt, pwd = "jwt-secret-jwt-secret-jwt-secret", "redis-password"
	cfg, _ := given{file: "viewer_keys: [{algorithm: HS256, secret: " + pwd + "}]\njwt:\n  secret: " + jwt + "\nredis_pwd: " + pwd + "\nredis_addr: redis://u:" + pwd + "@h:1"}.mustLoad(t)
	if cfg.API.Secret != jwt || cfg.Store.RedisPassword != pwd {
		t.Fatal("the secrets were not read")
	}
	var text, json strings.Builder
	debug := &slog.HandlerOptions{Level: slog.LevelDebug}
	slog.New(slog.NewTextHandler(&text, debug)).Debug("configuration", "config", cfg)
	slog.New(slog.NewJSONHandler(&json, debug)).Debug("configuration", "config", cfg)
	if !strings.Contains(text.String(), "gop_num=1") {
		t.Errorf("the dump lacks options: %s", text.String())
	}
	cfg.Store.RedisAddr = ""
	for _, out := range []string{text.String(), json.String(), fmt.Sprintf("%v %+v %#v %s", cfg, &cfg, cfg, struct{ C Config }{cfg})} {
		if strings.Contains(out, jwt) || strings.Contains(out, pwd) {
			t.Errorf("a secret is in %s", out)
		}
	}
	// Errors about secrets do not repeat them either.
	for _, g := range []given{
		{file: "jwt:\n  secret: 1234567890123"},
		{file: "redis_pwd: *1234567890123"},
		{file: "redis_addr: redis/:1234567890123@h"},
		{file: "server:\n- appname: live\n  static_push: [http://h/1234567890123]"},
		{env: []string{"JWT_SECRET=1234567890123"}},
		{file: "viewer_keys: [{kid: a, secret: 1234567890123}]"},
		{file: "viewer_keys: 1234567890123"},
		{env: []string{"VIEWER_KEYS=[{kid: 1234567890123}"}},
	} {
		if _, _, err := g.load(t); err == nil || strings.Contains(err.Error(), "1234567890123") {
			t.Errorf("%+v gave %v", g, err)
		}
	}
}

func TestWarnings(t *testing.T) {
	for _, tc := range []struct {
		given given
		want  string
	}{
		{given{flags: []string{"--jwt-secret", strings.Repeat("x", 32)}}, "--jwt_secret on a command line can be read by every user"},
		{given{env: []string{"JWT_SECRET=7 bytes", "API_ADDR=127.0.0.1:8090"}}, "jwt.secret has only 7 bytes, which can be guessed"},
		{given{env: []string{"JWT_SECRET=7 bytes", "API_ADDR=localhost:8090"}}, "jwt.secret has only 7 bytes, which can be guessed"},
		{given{env: []string{"JWT_SECRET=7 bytes", "API_ADDR="}}, "jwt.secret has only 7 bytes, which can be guessed"},
		{given{env: []string{"JWT_SECRET=" + strings.Repeat("x", 16)}}, "jwt.secret has 16 bytes; RFC 7518 asks for at least 32"},
		{given{file: "jwt: {algorithm: HS512}"}, "jwt.algorithm has no effect without jwt.secret"},
		{given{file: "api_origins: [https://a.example]"}, "api_origins has no effect without jwt.secret"},
		{given{file: "hls_http3: true"}, "livego.yaml:1: hls_http3 has no effect without use_hls_https"},
		{given{file: "http_redirect_addr: \":80\""}, "there is no https_addr"},
		{given{file: "acme_domains: [live.example.org]"}, "acme_domains has no effect without a port with TLS"},
		{given{file: "acme_email: a@example.org"}, "have no effect without acme_domains"},
		{given{file: "enable_rtmps: true\nrtmps_addr: \":443\""}, "no port is left for plain RTMP"},
	} {
		_, warnings := tc.given.mustLoad(t)
		if len(warnings) != 1 || !strings.Contains(warnings[0], tc.want) {
			t.Errorf("%+v warns %q, want one with %q", tc.given, warnings, tc.want)
		}
	}
	if _, warnings := (given{file: "flv_dir: tmp\nflv_archive: false\nenable_tls_verify: true"}).mustLoad(t); len(warnings) > 0 {
		t.Errorf("options set to their defaults warn: %q", warnings)
	}
}

func TestLists(t *testing.T) {
	want := []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8"), netip.MustParsePrefix("192.0.2.7/32"), netip.MustParsePrefix("::1/128")}
	for _, g := range []given{
		{file: "api_allow: [10.1.2.3/8, 192.0.2.7, \"::1\"]"},
		{file: "api_allow:\n- 10.0.0.0/8\n- 192.0.2.7\n- '::1'\n"},
		{env: []string{"API_ALLOW=10.0.0.0/8, 192.0.2.7,::1"}},
		{flags: []string{"--api_allow", "10.0.0.0/8,192.0.2.7", "--api-allow=::1"}},
	} {
		cfg, _ := g.mustLoad(t)
		if got := cfg.ServerOptions().API.Allow; !slices.Equal(got, want) {
			t.Errorf("%+v: %v, want %v", g, got, want)
		}
	}
	cfg, _ := given{env: []string{"API_ORIGINS=https://A.example/,http://b.example:3000"}}.mustLoad(t)
	if got := cfg.API.Origins; !slices.Equal(got, []string{"https://a.example", "http://b.example:3000"}) {
		t.Errorf("api_origins %q", got)
	}
}

func TestServerOptions(t *testing.T) {
	cfg, _ := given{flags: []string{"--play_wait=0", "--republish_grace=0", "--takeover=false", "--max_batch_delay=0", "--rtmp_noauth"}}.mustLoad(t)
	o := cfg.ServerOptions()
	if o.PlayWait != 0 || o.Live.Grace != 0 {
		t.Errorf("0 must mean none, not a default: play_wait %v, republish_grace %v", o.PlayWait, o.Live.Grace)
	}
	if o.Live.Takeover || o.Fanout.MaxBatch != 0 || !o.NoAuth {
		t.Errorf("options are lost: %+v", o)
	}
	if len(o.Apps) != 1 || o.Apps[0].Name != "live" || !o.Apps[0].HLS {
		t.Errorf("apps %+v", o.Apps)
	}
}

func TestUnits(t *testing.T) {
	durations := map[string]time.Duration{"0": 0, "10": 10 * time.Second, "1.5s": 1500 * time.Millisecond, "250ms": 250 * time.Millisecond, "2m": 2 * time.Minute}
	for raw, want := range durations {
		if got, err := parseDuration(raw); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", raw, got, err, want)
		}
	}
	for _, raw := range []string{"", "1.5", "10 s", "abc", "9223372037", "99999999999999999999"} {
		if got, err := parseDuration(raw); err == nil {
			t.Errorf("%q gave %v, want an error", raw, got)
		}
	}
	sizes := map[string]int64{"0": 0, "67108864": 64 << 20, "64MiB": 64 << 20, "64 mib": 64 << 20, "512KiB": 512 << 10, "1GiB": 1 << 30, "1KB": 1000, "5B": 5}
	for raw, want := range sizes {
		if got, err := parseSize(raw); err != nil || got != want {
			t.Errorf("%q: %v, %v, want %v", raw, got, err, want)
		}
	}
	for _, raw := range []string{"", "MiB", "1.5MiB", "64M", "64 MiB x", "9999999999GiB"} {
		if got, err := parseSize(raw); err == nil {
			t.Errorf("%q gave %v, want an error", raw, got)
		}
	}
}
