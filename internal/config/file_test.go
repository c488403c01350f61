package config

import (
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"livego/internal/record"
	"livego/internal/server"
	"livego/internal/ticket"
)

func TestApps(t *testing.T) {
	cfg, _ := given{file: `
server:
- appname: live
  live: true
  hls: true
  api: true
  flv: true
- appname: "off"
  live: on
  static_push: ["rtmp://a.example/x", "rtmps://b.example/y"]
- appname: plain
`}.mustLoad(t)
	want := []server.App{
		{Name: "live", Live: true, HLS: true, FLV: true, API: true},
		{Name: "off", Live: true, StaticPush: []string{"rtmp://a.example/x", "rtmps://b.example/y"}},
		{Name: "plain"}, // what an entry does not name is off
	}
	for i := range want {
		want[i].PullIdle, want[i].Record = 30*time.Second, record.Off
	}
	if diff := cmp.Diff(want, cfg.ServerOptions().Apps, prefixes()); diff != "" {
		t.Errorf("apps differ (-want +got):\n%s", diff)
	}
}

func TestFilesThatAreAccepted(t *testing.T) {
	for name, file := range map[string]string{
		"comments only":        "# nothing\n",
		"empty mapping":        "{}",
		"group commented out":  "jwt:\n#  secret: x\n",
		"list commented out":   "api_allow:\n",
		"JSON with tabs":       "{\n\t\"gop_num\": 1,\n\t\"server\": [{\"appname\": \"live\", \"live\": true, \"hls\": true, \"flv\": true, \"api\": true}]\n}",
		"names in upper case":  "GOP_NUM: 1\nServer:\n- AppName: live\n  live: true\n  hls: true\n  flv: true\n  api: true\n",
		"words of YAML 1.1":    "enable_rtmps: off\ntakeover: yes",
		"quoted number":        "gop_num: \"1\"",
		"seconds and duration": "read_timeout: 10\nwrite_timeout: 10s",
		"anchors":              "read_timeout: &t 10\nwrite_timeout: *t",
		"document markers":     "---\ngop_num: 1\n...\n",
	} {
		cfg, warnings := given{file: file}.mustLoad(t)
		cfg.File = ""
		if diff := cmp.Diff(printed(Default()), printed(cfg)); diff != "" || len(warnings) > 0 {
			t.Errorf("%s: warnings %q, differs from the defaults:\n%s", name, warnings, diff)
		}
	}
}

// Spec 7.11: whatever is wrong in the file stops the start, and the error says where and what to
// write.
func TestDefect11ConfigTypoStopsTheStart(t *testing.T) {
	for _, tc := range []struct {
		file string
		want []string
	}{
		{"server: [", []string{"livego.yaml:1: is not valid YAML"}},
		{"level: info\njwt: 'abc\n", []string{"livego.yaml:", "is not valid YAML", "quote"}},
		{"just text", []string{"livego.yaml:1: is not a list of options"}},
		{"- a\n- b", []string{"is not a list of options"}},
		{"gop_num:2", []string{"is not a list of options", "space after the colon"}},
		{"gop_num: 1\n---\ngop_num: 2", []string{"second document"}},
		{"redis_pwd: *x", []string{"begins with *", "quotes"}},

		{"level: info\nrtmp_adr: x", []string{"livego.yaml:2: there is no option rtmp_adr; did you mean rtmp_addr?"}},
		{"jwt_secret: x", []string{"did you mean jwt.secret?"}},
		{"hls-list-size: 3", []string{"did you mean hls_list_size?"}},
		{"secret: x", []string{"write\n  jwt:\n    secret: …"}},
		{"jwt:\n  secrt: x", []string{"livego.yaml:2:", "did you mean jwt.secret?"}},
		{"jwt:\n  gop_num: 1", []string{"stands too deep", "write gop_num"}},
		{"appname: live", []string{"appname belongs into an entry of server"}},
		{"config_file: x", []string{"cannot stand in it"}},
		{"blabla: 1", []string{"there is no option blabla", "--help"}},
		{"gop_num: 1\nGOP_NUM: 2", []string{"livego.yaml:2: gop_num stands twice, first on line 1"}},
		{"jwt: secret", []string{"jwt must hold its options on lines of their own"}},

		{"viewer_auth: token", []string{"livego.yaml:1: viewer_auth: token needs viewer_keys"}},
		{"server:\n- {appname: live, live: true, viewer_auth: token}", []string{"viewer_auth: token needs viewer_keys"}},
		{"server:\n- {appname: live, pull: 'ftp://user:1234567890@h/live'}", []string{"pull of an entry of server: must be a URL such as rtmp://example.org/live"}},
		{"run_on_stream: ffmpeg", []string{"livego.yaml:1: run_on_stream: must be a list of commands"}},
		{"run_on_stream: [[]]", []string{"run_on_stream: must be a list of commands"}},
		{"viewer_auth: hook", []string{"livego.yaml:1: viewer_auth: hook needs viewer_auth_url"}},
		{"server:\n- {appname: live, publish_allow: [x]}", []string{"publish_allow of an entry of server", "is not an address or network"}},
		{"viewer_keys: [{kid: a, algorithm: HS256}]", []string{"livego.yaml:1: viewer_keys: must be a list of keys"}},
		{"viewer_keys: [{kid: a, algorithm: HS256, secert: x}]", []string{"livego.yaml:1: viewer_keys: must be a list of keys"}},
		{"server:\n- {appname: ~live, live: true}", []string{"begins with ~"}},

		{"gop_num: two", []string{`livego.yaml:1: gop_num: "two" is not a whole number`}},
		{"gop_num: 1.5", []string{"gop_num: 1.5 is not a number, for example gop_num: 1"}},
		{"gop_num: [1]", []string{"gop_num: must be one number", "for example gop_num: 1"}},
		{"gop_num:", []string{"gop_num: has no value"}},
		{"gop_num: true", []string{"gop_num: true is not a number"}},
		{"enable_rtmps: 1", []string{"enable_rtmps: must be true or false"}},
		{"enable_rtmps: maybe", []string{`"maybe" is not a bool, use true or false`}},
		{"enable_rtmps: ''", []string{"is empty; write true or false"}},
		{"rtmp_addr: 1935", []string{`rtmp_addr: 1935 is only a port, write ":1935"`}},
		{"rtmp_addr: '1935'", []string{`write ":1935"`}},
		{"rtmp_addr: localhost", []string{"is not an address"}},
		{"rtmp_addr: rtmp://h:1935", []string{"is not an address"}},
		{"rtmp_addr: h:99999", []string{"must be a number from 0 to 65535"}},
		{"rtmp_addr: {a: 1}", []string{"rtmp_addr: must be one address"}},
		{"read_timeout: 10 seconds", []string{"is not a time", "1.5s"}},
		{"read_timeout: 1.5", []string{"1.5 is not a duration"}},
		{"read_timeout: 0", []string{"0 is too small"}},
		{"read_timeout: -5", []string{"-5 is too small"}},
		{"stream_memory: 64M", []string{"is not a size", "64MiB"}},
		{"stream_memory: 64", []string{"64 is too small, it must be at least 1MiB"}},
		{"max_message_size: 64MiB", []string{"out of range"}},
		{"hls_segment_duration: 3000", []string{"out of range, it must be from 100ms to 1m0s"}},
		{"hls_part_duration: 200", []string{"out of range, it must be from 50ms to 5s"}},
		{"hls_dvr_max_bytes: 1MiB", []string{"too small, it must be at least 64MiB"}},
		{"hls_dvr_window: -2h", []string{"-2h is too small"}},
		{"hls_list_size: 0", []string{"out of range, it must be from 1"}},
		{"max_connections: -1", []string{"at least 0"}},
		{"level: verbose", []string{`"verbose" is not a level, use trace, debug, info`}},
		{"level: off", []string{"off without quotes is not a text"}},
		{"log_format: xml", []string{`"xml" is not known, use text or json`}},
		{"redis_pwd: 12345", []string{"redis_pwd: is not a text to YAML; put it in quotes"}},
		{"redis_addr: localhost", []string{"must be host:port"}},
		{"api_allow: [10.0.0.0/33]", []string{"is not an address or network"}},
		{"api_allow: {a: 1}", []string{"must be a list"}},
		{"api_allow: [[a]]", []string{"must be a list of texts"}},
		{"acme_domains: [localhost]", []string{"is not the name of a server"}},
		{"acme_domains: [192.0.2.1]", []string{"is not the name of a server"}},
		{`acme_domains: ["*.example.org"]`, []string{"is not the name of a server"}},
		{"acme_domains: [-a.example.org]", []string{"is not the name of a server"}},
		{"acme_directory: ftp://example.org", []string{"must be a URL"}},
		{"api_origins: [example.org]", []string{"is not an origin"}},
		{"api_origins: [https://example.org/path]", []string{"is not an origin"}},
		{"frame_origins: [example.org]", []string{"is not an origin"}},
		{`frame_origins: ["*.example.org"]`, []string{"is not an origin"}},
		{`frame_origins: ["https://*.*.org"]`, []string{"is not an origin"}},
		{"frame_origins: [https://a;b.example]", []string{"is not an origin"}},
		{"frame_origins: ['none']", []string{"is not an origin"}},
		{"data_dir: ''", []string{"data_dir: must not be empty"}},

		{"cluster_addr: :84", []string{"cluster_addr needs redis_addr", "cluster_addr needs cluster_secret"}},
		{"cluster_secret: short", []string{"cluster_secret: each secret needs 32 bytes or more"}},
		{"node_id: a b", []string{"node_id: the name of a node"}},
		{"cluster_addr: :84\nredis_addr: h:1\ncluster_secret: " + strings.Repeat("x", 32) + "\ncluster_cert: a", []string{"cluster_cert, cluster_key and cluster_ca need each other"}},

		{"jwt: {secret: short}", []string{"livego.yaml:1: jwt.secret has only 5 bytes; give it at least 16", "api_addr: 127.0.0.1:8090"}},
		{"jwt: {secret: short}\napi_addr: 0.0.0.0:8090", []string{"livego.yaml:1: jwt.secret has only 5 bytes"}},
		{"jwt: {secret: short}\napi_addr: 192.168.1.5:8090", []string{"livego.yaml:1: jwt.secret has only 5 bytes"}},
		{"jwt: {secret: ''}", []string{"jwt.secret is empty"}},
		{"jwt:\n  algorithm: RS256\n  secret: " + strings.Repeat("x", 32), []string{`"RS256" is not known, use HS256, HS384 or HS512`}},

		{"server:", []string{"server must be a list with at least one app", "appname: live"}},
		{"server: []", []string{"server must be a list with at least one app"}},
		{"server: live", []string{"server must be a list"}},
		{"server:\n- live", []string{"an entry of server must name an app"}},
		{"server:\n- live: true", []string{"livego.yaml:2: an entry of server has no appname"}},
		{"server:\n- appname: off", []string{`appname of an entry of server: off without quotes is not a text to YAML, write "off"`}},
		{"server:\n- appname: 123", []string{`write "123"`}},
		{"server:\n- appname: a/b", []string{"holds a character"}},
		{"server:\n- appname: a b", []string{"holds a character"}},
		{"server:\n- appname: ..", []string{"begins with a dot"}},
		{"server:\n- appname: " + strings.Repeat("a", 256), []string{"more than 255 bytes"}},
		{"server:\n- appname: a\n- appname: a", []string{`livego.yaml:3: app "a" stands twice`}},
		{"server:\n- appname: a\n  liveon: true", []string{"in an entry of server: there is no option liveon; did you mean live?"}},
		{"server:\n- appname: a\n  rtmp_addr: x", []string{"rtmp_addr is an option of the whole server"}},
		{"server:\n- appname: a\n  live: 1", []string{"live of an entry of server: must be true or false"}},
		{"server:\n- appname: a\n  static_push: [http://h/a]", []string{"must be URLs such as rtmp://"}},
	} {
		_, _, err := given{file: tc.file}.load(t)
		if err == nil {
			t.Errorf("%q loads", tc.file)
			continue
		}
		for _, want := range tc.want {
			if !strings.Contains(err.Error(), want) {
				t.Errorf("%q: error %q lacks %q", tc.file, err, want)
			}
		}
	}
}

func TestAllProblemsAreReportedAtOnce(t *testing.T) {
	_, _, err := given{file: "gop_num: x\nrtmp_adr: y\n", env: []string{"READ_TIMEOUT=z"}}.load(t)
	for _, want := range []string{"livego.yaml:1:", "livego.yaml:2:", "environment variable READ_TIMEOUT:"} {
		if err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("error %v lacks %q", err, want)
		}
	}
}

func TestListeners(t *testing.T) {
	for _, tc := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--hls_addr=:7001"}, "flag --hls_addr: httpflv_addr :7001 and hls_addr :7001 are the same port"},
		{[]string{"--rtmp_addr=127.0.0.1:8090"}, "flag --rtmp_addr: rtmp_addr 127.0.0.1:8090 and api_addr :8090 are the same port"},
		{[]string{"--rtmps_addr=0.0.0.0:1935"}, "the same port"},
		{[]string{"--rtmp_addr=[::]:1", "--hls_addr=127.0.0.1:1"}, "the same port"},
		{[]string{"--rtmp_addr=0.0.0.0:1", "--hls_addr=[::1]:1"}, ""},
		{[]string{"--rtmp_addr=127.0.0.1:1", "--hls_addr=127.0.0.2:1"}, ""},
		{[]string{"--rtmp_addr=127.0.0.1:0", "--hls_addr=127.0.0.1:0"}, ""},
		{[]string{"--rtmp_addr=", "--httpflv_addr=", "--hls_addr=", "--api_addr="}, "all listen addresses are empty"},
		{[]string{"--httpflv_addr=", "--hls_addr=", "--api_addr="}, ""},
	} {
		_, _, err := given{flags: tc.flags}.load(t)
		if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want %q", tc.flags, err, tc.want)
		}
	}
}

func TestBatchDelays(t *testing.T) {
	for _, tc := range []struct {
		flags []string
		want  string
	}{
		{[]string{"--min_batch_delay=100ms"}, ""},
		{[]string{"--min_batch_delay=50ms", "--max_batch_delay=50ms"}, ""},
		{[]string{"--min_batch_delay=101ms"}, "flag --min_batch_delay: min_batch_delay 101ms is more than max_batch_delay 100ms"},
		{[]string{"--hls_on_demand", "--hls_dvr_window=2h"}, ""},
		{[]string{"--hls_cmaf=false", "--hls_dvr_window=2h"}, "flag --hls_cmaf: hls_dvr_window needs hls_cmaf"},
		{[]string{"--hls_cmaf=false"}, ""},
		{[]string{"--min_batch_delay=10ms", "--max_batch_delay=0"}, "is more than max_batch_delay 0s"},
	} {
		_, _, err := given{flags: tc.flags}.load(t)
		if (tc.want == "") != (err == nil) || err != nil && !strings.Contains(err.Error(), tc.want) {
			t.Errorf("%q: error %v, want %q", tc.flags, err, tc.want)
		}
	}
}

func TestFlagErrors(t *testing.T) {
	for _, flag := range []string{"--gop_num=x", "--level=loud", "--enable_rtmps=maybe", "--rtmp_addr=1935", "--unknown"} {
		if _, _, err := (given{flags: []string{flag}}).load(t); err == nil {
			t.Errorf("%s is accepted", flag)
		}
	}
}

func TestFlagHelpNamesEveryOption(t *testing.T) {
	help := FlagHelp()
	for _, o := range options {
		if !strings.Contains(help, "  --"+o.flag()) || !strings.Contains(help, "env "+o.env()+")") {
			t.Errorf("the help text lacks %s", o.key)
		}
	}
	for _, topic := range topics {
		if !strings.Contains(help, "\n"+topic.title+":\n") {
			t.Errorf("the help text lacks the topic %s", topic.title)
		}
	}
}

func TestTableIsConsistent(t *testing.T) {
	seen := map[string]bool{}
	for _, o := range options {
		if seen[o.flag()] || o.doc == "" || !strings.HasSuffix(o.doc, ".") {
			t.Errorf("%s stands twice or has no sentence for a doc", o.key)
		}
		seen[o.flag()] = true
		for line := range strings.SplitSeq(o.doc, "\n") {
			if len(line) > 120 {
				t.Errorf("%s: a line of the doc has %d characters", o.key, len(line))
			}
		}
	}
	for _, topic := range topics {
		if _, ok := find(topic.first); !ok {
			t.Errorf("topic %s begins with an unknown option", topic.title)
		}
	}
}

// rootSample is the sample that users copy. UPDATE_SAMPLE=1 go test ./internal/config writes it
// anew.
const rootSample = "../../livego.yaml"

func TestSampleInRootIsTheGeneratedOne(t *testing.T) {
	if os.Getenv("UPDATE_SAMPLE") != "" {
		if err := os.WriteFile(rootSample, Sample(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	got, err := os.ReadFile(rootSample)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(string(Sample()), string(got)); diff != "" {
		t.Errorf("livego.yaml is not up to date, run UPDATE_SAMPLE=1 go test ./internal/config (-want +got):\n%s", diff)
	}
}

// The sample loads to the defaults as it is, and with every line of it switched on. Only jwt.secret
// has no default to show.
func TestSampleLoadsToTheDefaults(t *testing.T) {
	var active []string
	for line := range strings.Lines(string(Sample())) {
		rest, commented := strings.CutPrefix(line, "#")
		bare := strings.TrimLeft(rest, " ")
		switch {
		case strings.HasPrefix(bare, "secret:"):
		case strings.HasPrefix(line, "  #"):
			active = append(active, strings.Replace(line, "#", "", 1))
		case commented && rest != "" && (rest[0] >= 'a' && rest[0] <= 'z' || strings.HasPrefix(rest, "  ")):
			active = append(active, rest)
		default:
			active = append(active, line)
		}
	}
	for name, file := range map[string]string{"as it is": string(Sample()), "switched on": strings.Join(active, "")} {
		cfg, warnings := given{file: file}.mustLoad(t)
		cfg.File = ""
		if diff := cmp.Diff(printed(Default()), printed(cfg)); diff != "" {
			t.Errorf("%s: differs from the defaults (-want +got):\n%s", name, diff)
		}
		warnings = slices.DeleteFunc(warnings, func(w string) bool { return strings.Contains(w, "jwt.algorithm") })
		if len(warnings) > 0 {
			t.Errorf("%s: warnings %q", name, warnings)
		}
	}
	all := strings.Join(active, "")
	for _, o := range options {
		leaf := o.key[strings.LastIndexByte(o.key, '.')+1:]
		if o.key != "jwt.secret" && !strings.Contains(all, leaf+": ") {
			t.Errorf("the sample lacks %s", o.key)
		}
	}
}

func TestReadsARealFile(t *testing.T) {
	name := filepath.Join(t.TempDir(), "my.yaml")
	if err := os.WriteFile(name, []byte("gop_num: 5\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	cfg, _, err := Load(Sources{Environ: []string{"CONFIG_FILE=" + name}})
	if err != nil || cfg.Live.GOPs != 5 || cfg.File != name {
		t.Errorf("gop_num %d from %q, error %v", cfg.Live.GOPs, cfg.File, err)
	}
	if _, _, err := Load(Sources{Environ: []string{"CONFIG_FILE=" + t.TempDir()}}); err == nil {
		t.Error("a directory is accepted as the file")
	}
}

func TestCheckFiles(t *testing.T) {
	cfg := Default()
	if err := cfg.CheckFiles(); err != nil {
		t.Errorf("nothing needs a certificate, but: %v", err)
	}
	cfg.HLSTLS, cfg.HTTPSCert = true, filepath.Join(t.TempDir(), "none.crt")
	if err := cfg.CheckFiles(); err == nil || !strings.Contains(err.Error(), "https_cert") {
		t.Errorf("a missing certificate gave %v", err)
	}
}

func FuzzFile(f *testing.F) {
	f.Add(string(Sample()))
	f.Add("server:\n- appname: live\n  live: true\njwt: {secret: '0123456789abcdef'}\napi_allow: [::1]\n")
	f.Add("{\"gop_num\": 1}")
	f.Add("a: &x [*x]")
	f.Fuzz(func(t *testing.T, file string) {
		l := loader{origin: map[string]string{}, cfg: Config{raw: &written{}}}
		for _, o := range options {
			l.set(o, o.def, "default")
		}
		l.cfg.Apps = defaultApps()
		l.parseFile("livego.yaml", []byte(file))
		if len(l.problems) > 0 {
			return
		}
		// What is accepted is usable: every value parses again from its own text, and there is an
		// app.
		for _, o := range options {
			v := o.bind(&l.cfg)
			if v.kind == kindSecret || v.kind == kindYAML || v.kind == kindText && strings.Contains(v.print(), "://") {
				continue
			}
			printed := v.print()
			if v.kind == kindList {
				printed = strings.ReplaceAll(printed, " ", ",")
			}
			if err := o.bind(&l.cfg).parse(printed); err != nil {
				t.Errorf("%s accepts what prints as %q, and does not accept that: %v", o.key, printed, err)
			}
		}
		if len(l.cfg.Apps) == 0 {
			t.Error("no app is left")
		}
	})
}

// TestViewerAuthOfApps: an app that says nothing has the server's.
func TestViewerAuthOfApps(t *testing.T) {
	cfg, _ := given{file: `
viewer_auth: token
viewer_keys:
- kid: a
  algorithm: HS256
  secret: 0123456789abcdef0123456789abcdef
- {kid: b, algorithm: ES256, file: b.pem}
server:
- {appname: closed, live: true}
- {appname: open, live: true, viewer_auth: off}
`}.mustLoad(t)
	o := cfg.ServerOptions()
	want := []ticket.KeyOptions{
		{ID: "a", Algorithm: "HS256", Secret: "0123456789abcdef0123456789abcdef"}, {ID: "b", Algorithm: "ES256", File: "b.pem"},
	}
	if diff := cmp.Diff(want, o.Tickets.Keys); diff != "" {
		t.Error(diff)
	}
	if o.Apps[0].ViewerAuth != server.ViewersWithToken || o.Apps[1].ViewerAuth != server.AllViewers {
		t.Errorf("apps %+v", o.Apps)
	}
	if err := cfg.CheckFiles(); err == nil || !strings.Contains(err.Error(), "viewer_keys") {
		t.Errorf("a file that is not there: %v", err)
	}
}

// TestOptionsOfLiveGoAreExplained: the page for those who come from LiveGo has each of its options
// (spec 1.1, 1.2).
func TestOptionsOfLiveGoAreExplained(t *testing.T) {
	page, err := os.ReadFile("../../docs/coming-from-livego.md")
	if err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{
		"config_file", "level", "rtmp_addr", "enable_rtmps", "rtmps_cert", "rtmps_key", "httpflv_addr", "hls_addr", "api_addr", "hls_keep_after_end", "use_hls_https",
		"flv_archive", "flv_dir", "rtmp_noauth", "read_timeout", "write_timeout", "gop_num", "enable_tls_verify", "redis_addr", "redis_pwd", "jwt.secret", "jwt.algorithm",
		"server", "appname", "live", "hls", "flv", "api", "static_push",
	} {
		if !strings.Contains(string(page), "`"+name+"`") {
			t.Errorf("docs/coming-from-livego.md lacks %s", name)
		}
	}
}
