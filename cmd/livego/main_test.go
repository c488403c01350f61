package main

import (
	"bytes"
	"context"
	"errors"
	"net"
	"net/http"
	"net/http/httptest"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/alicebob/miniredis/v2"
	"go.uber.org/goleak"

	"livego/internal/api"
	"livego/internal/auth"
	"livego/internal/keys"
	"livego/internal/ticket"
)

func TestMain(m *testing.M) {
	if os.Getenv("LIVEGO_TEST_MAIN") != "" {
		main() // the test binary stands in for the program where a process of its own is needed
	}
	goleak.VerifyTestMain(m)
}

// output is what an invocation left behind.
type output struct {
	code           int
	stdout, stderr string
}

// invoke runs the program in a folder of its own, without a server and without a configuration file
// unless the test makes them.
func invoke(t *testing.T, environ []string, stdin string, args ...string) output {
	t.Helper()
	var stdout, stderr bytes.Buffer
	p := program{environ: environ, stdin: strings.NewReader(stdin), stdout: &stdout, stderr: &stderr}
	code := p.run(t.Context(), args)
	return output{code, stdout.String(), stderr.String()}
}

func TestCommandLine(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, tc := range []struct {
		args   string
		code   int
		stdout []string
		stderr string
	}{
		{"--help", 0, []string{"RTMP:", "--rtmp_addr address", "env JWT_SECRET", "check-config", "key ", "--version"}, ""},
		{"-h", 0, []string{"Usage:"}, ""},
		{"help key", 0, []string{"livego key get|set|reset|delete ROOM", "key reset"}, ""},
		{"key reset --help", 0, []string{"livego key reset ROOM", "--keep"}, ""},
		{"check-config --help", 0, []string{"livego check-config"}, ""},
		{"--version", 0, []string{"livego "}, ""},
		{"check-config", 0, []string{"defaults hold: ok"}, ""},
		{"check-config --rtmp-addr :1 --jwt.secret=0123456789abcdef", 0, []string{"ok"}, "warning: --jwt_secret on a command line"},

		{"--unknown", 2, nil, "unknown flag: --unknown\nSee livego --help."},
		{"--gop_num=x", 2, nil, `"x" is not a whole number`},
		{"--level=loud", 2, nil, `"loud" is not a level`},
		{"check-config --unknown", 2, nil, "unknown flag"},
		{"check-config more", 2, nil, "livego check-config takes no arguments"},
		{"start", 2, nil, `unknown command "start"`},
		{"key", 2, nil, "write livego key get|set|reset|delete ROOM"},
		{"key show m", 2, nil, "write livego key get|set|reset|delete ROOM"},
		{"key get", 2, nil, "write livego key get ROOM"},
		{"key get a b", 2, nil, "write livego key get ROOM"},
		{"key get --keep a", 2, nil, "unknown flag: --keep"},
		{"token", 2, nil, "name a stream, such as --path live/movie"},
		{"token --path movie", 2, nil, "is not APP/STREAM"},
		{"token --path live/movie --for -1h", 2, nil, "times must not be negative"},
		{"token --path live/movie --ip x", 2, nil, "is not an address"},
		{"token --path live/movie", 1, nil, "write viewer_keys into the configuration"},

		{"--config_file=none.yaml", 1, nil, "none.yaml"},
		{"check-config --hls_addr=:7001", 1, nil, "are the same port"},
		{"check-config --use_hls_https", 1, nil, "https_cert"},
		{"--enable_rtmps", 1, nil, "rtmps_cert"},
	} {
		got := invoke(t, nil, "", strings.Fields(tc.args)...)
		if got.code != tc.code || !strings.Contains(got.stderr, tc.stderr) {
			t.Errorf("livego %s: code %d, stderr %q; want %d, %q", tc.args, got.code, got.stderr, tc.code, tc.stderr)
		}
		for _, want := range tc.stdout {
			if !strings.Contains(got.stdout, want) {
				t.Errorf("livego %s: stdout lacks %q:\n%s", tc.args, want, got.stdout)
			}
		}
		if tc.stdout == nil && got.stdout != "" {
			t.Errorf("livego %s: stdout %q, want nothing", tc.args, got.stdout)
		}
	}
}

// Spec 7.11 and 7.49 at the program: a broken file ends it with a code, and a file without apps
// does not end it at all.
func TestDefect11BrokenFileEndsTheProgram(t *testing.T) {
	t.Chdir(t.TempDir())
	for file, want := range map[string]string{
		"server: [":                    "livego.yaml:1: is not valid YAML",
		"\nrtmp_adr: x":                "livego.yaml:2: there is no option rtmp_adr; did you mean rtmp_addr?",
		"server:\n- appname: off":      `write "off"`,
		"jwt:\n  secret: tooshort":     "jwt.secret has only 8 bytes",
		"gop_num: x\nhls_list_size: y": "livego.yaml:2:",
	} {
		if err := os.WriteFile("livego.yaml", []byte(file), 0o600); err != nil {
			t.Fatal(err)
		}
		for _, args := range [][]string{nil, {"check-config"}, {"key", "get", "m"}} {
			if got := invoke(t, nil, "", args...); got.code != exitFailed || !strings.Contains(got.stderr, want) {
				t.Errorf("livego %q with %q: code %d, %q; want %q", args, file, got.code, got.stderr, want)
			}
		}
	}
	if err := os.WriteFile("livego.yaml", []byte("level: debug\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := invoke(t, nil, "", "check-config"); got.code != exitOK || got.stdout != "livego.yaml: ok\n" {
		t.Errorf("a file without apps: code %d, %q%q", got.code, got.stdout, got.stderr)
	}
}

// closedPort returns an address on which nobody listens.
func closedPort(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

func TestKeysInTheFile(t *testing.T) {
	t.Chdir(t.TempDir())
	for _, addr := range []string{closedPort(t), ""} {
		environ := []string{"API_ADDR=" + addr, "DATA_DIR=" + t.TempDir()}
		key := func(stdin string, args ...string) output {
			return invoke(t, environ, stdin, append([]string{"key"}, args...)...)
		}

		first := key("", "get", "movie")
		if first.code != 0 || len(first.stdout) != 49 || !strings.Contains(first.stderr, "no server runs, in /") {
			t.Fatalf("get: %+v", first)
		}
		if again := key("", "get", "movie"); again.stdout != first.stdout {
			t.Errorf("the key is not stable: %q, %q", first.stdout, again.stdout)
		}
		if reset := key("", "reset", "movie"); reset.stdout == first.stdout || len(reset.stdout) != 49 {
			t.Errorf("reset: %+v", reset)
		}
		const own, other = "MyOwnKey0123456789", "AnotherKey0123456789"
		if set := key("", "set", "movie", own); set.stdout != own+"\n" {
			t.Errorf("set: %+v", set)
		}
		if set := key(other+"\nmore", "set", "movie"); set.stdout != other+"\n" {
			t.Errorf("set from the standard input: %+v", set)
		}
		if got := key("", "get", "movie"); got.stdout != other+"\n" {
			t.Errorf("get after set: %+v", got)
		}
		for _, bad := range [][]string{{"set", "movie", "short"}, {"get", ".."}, {"set", "else", other}} {
			if got := key("", bad...); got.code != exitFailed || got.stdout != "" {
				t.Errorf("%q: %+v", bad, got)
			}
		}
		if got := key("", "delete", "movie"); got.code != 0 || got.stdout != "" || !strings.Contains(got.stderr, "deleted") {
			t.Errorf("delete: %+v", got)
		}
		if got := key("", "delete", "movie"); got.code != exitFailed || !strings.Contains(got.stderr, "no such room") {
			t.Errorf("second delete: %+v", got)
		}
	}
}

func TestKeysFileInUse(t *testing.T) {
	t.Chdir(t.TempDir())
	store, err := keys.OpenFile(filepath.Join("data", "livego.db"), keys.Options{})
	if err != nil {
		t.Fatal(err)
	}
	defer store.Close()
	got := invoke(t, []string{"API_ADDR="}, "", "key", "get", "m")
	if got.code != exitFailed || !strings.Contains(got.stderr, "data_dir") || !strings.Contains(got.stderr, "api_addr") {
		t.Errorf("%+v", got)
	}
}

// kept notes whether a publisher was to stay.
type kept struct {
	keys.Store
	keep *bool
}

func (k kept) Reset(ctx context.Context, room string, keep bool) (string, error) {
	*k.keep = keep
	return k.Store.Reset(ctx, room, keep)
}

func TestKeysThroughTheServer(t *testing.T) {
	t.Chdir(t.TempDir())
	const secret = "0123456789abcdef0123456789abcdef"
	// A proxy of the environment must not see keys; the client would fail if it used this one.
	t.Setenv("HTTP_PROXY", "http://"+closedPort(t))
	for _, serverSecret := range []string{"", secret} {
		store := keys.NewMemory(keys.Options{})
		policy, err := auth.NewAPIPolicy(auth.APIOptions{Secret: serverSecret})
		if err != nil {
			t.Fatal(err)
		}
		keep := false
		running := httptest.NewServer(api.New(api.Options{Keys: kept{store, &keep}, Policy: policy}))
		environ := []string{"API_ADDR=" + running.Listener.Addr().String()}
		if serverSecret != "" {
			environ = append(environ, "JWT_SECRET="+serverSecret)
		}
		key := func(args ...string) output { return invoke(t, environ, "", append([]string{"key"}, args...)...) }

		want, err := store.Get(t.Context(), "a movie")
		if err != nil {
			t.Fatal(err)
		}
		if got := key("get", "a movie"); got.stdout != want+"\n" || !strings.Contains(got.stderr, "through the server at "+running.URL) {
			t.Errorf("get: %+v, want %q", got, want)
		}
		if got := key("reset", "a movie"); got.code != 0 || keep {
			t.Errorf("reset: %+v, keep %t", got, keep)
		}
		if got := key("reset", "a movie", "--keep"); got.code != 0 || !keep {
			t.Errorf("reset --keep: %+v, keep %t", got, keep)
		}
		const own = "MyOwnKey0123456789"
		if got := key("set", "a movie", own); got.stdout != own+"\n" {
			t.Errorf("set: %+v", got)
		}
		if got, err := store.Get(t.Context(), "a movie"); err != nil || got != own {
			t.Errorf("the server has %q, %v", got, err)
		}
		if got := key("delete", "a movie"); got.code != 0 || got.stdout != "" {
			t.Errorf("delete: %+v", got)
		}
		if got := key("delete", "a movie"); got.code != exitFailed || !strings.Contains(got.stderr, "room not found") {
			t.Errorf("second delete: %+v", got)
		}
		if _, err := os.Stat("data"); !errors.Is(err, os.ErrNotExist) {
			t.Error("the keys file was opened although a server runs")
		}
		if serverSecret != "" {
			got := invoke(t, environ[:1], "", "key", "get", "m")
			if got.code != exitFailed || !strings.Contains(got.stderr, "a token is required") {
				t.Errorf("without the secret: %+v", got)
			}
		}
		running.Close()
		if err := store.Close(); err != nil {
			t.Error(err)
		}
	}
}

func TestKeyCommandMeetsAnotherProgram(t *testing.T) {
	t.Chdir(t.TempDir())
	other := httptest.NewServer(http.NotFoundHandler())
	defer other.Close()
	got := invoke(t, []string{"API_ADDR=" + other.Listener.Addr().String()}, "", "key", "get", "m")
	if got.code != exitFailed || !strings.Contains(got.stderr, "is not a livego") {
		t.Errorf("%+v", got)
	}
}

func TestLoopback(t *testing.T) {
	for host, want := range map[string]string{
		"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1", "192.0.2.1": "192.0.2.1", "::1": "::1", "host": "host",
	} {
		if got := loopback(host); got != want {
			t.Errorf("%q is reached as %q, want %q", host, got, want)
		}
	}
}

func TestKeysInRedis(t *testing.T) {
	t.Chdir(t.TempDir())
	redis := miniredis.RunT(t)
	redis.RequireAuth("password")
	environ := []string{"REDIS_ADDR=" + redis.Addr(), "REDIS_PWD=password"}
	first := invoke(t, environ, "", "key", "get", "movie")
	if first.code != 0 || len(first.stdout) != 49 || !strings.Contains(first.stderr, "in Redis") {
		t.Fatalf("%+v", first)
	}
	if again := invoke(t, environ, "", "key", "get", "movie"); again.stdout != first.stdout {
		t.Errorf("the key is not stable: %+v", again)
	}
	if _, err := os.Stat("data"); !errors.Is(err, os.ErrNotExist) {
		t.Error("the keys file was opened although Redis is configured")
	}
	redis.Close()
	if got := invoke(t, environ, "", "key", "get", "movie"); got.code != exitFailed || strings.Contains(got.stderr, "password") {
		t.Errorf("without Redis: %+v", got)
	}
}

func TestTokenCommand(t *testing.T) {
	t.Chdir(t.TempDir())
	const secret = "0123456789abcdef0123456789abcdef"
	environ := []string{"VIEWER_KEYS=[{kid: a, algorithm: HS256, secret: " + secret + "}]"}
	got := invoke(t, environ, "", "token", "--path", "live/movie", "--path", "live/team/*", "--for", "1h", "--ip", "192.0.2.1")
	if got.code != 0 || got.stderr != "" {
		t.Fatalf("%+v", got)
	}
	c, err := ticket.New(ticket.Options{Keys: []ticket.KeyOptions{{ID: "a", Algorithm: "HS256", Secret: secret}}})
	if err != nil {
		t.Fatal(err)
	}
	token := strings.TrimSpace(got.stdout)
	for stream, want := range map[string]error{"live/movie": nil, "live/team/a": nil, "live/other": ticket.ErrStream} {
		grant, err := c.Check(token, stream, netip.MustParseAddr("192.0.2.1"))
		if !errors.Is(err, want) {
			t.Errorf("%s: %v, want %v", stream, err, want)
		}
		if left := time.Until(grant.Until); want == nil && (left < 50*time.Minute || left > 61*time.Minute) {
			t.Errorf("%s: good for %v", stream, left)
		}
	}
}
