package main

import (
	"bufio"
	"bytes"
	"cmp"
	"context"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"runtime"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"livego/internal/config"
	"livego/internal/server"
)

// anyPorts has the system choose all ports.
var anyPorts = []string{"RTMP_ADDR=127.0.0.1:0", "HTTPFLV_ADDR=127.0.0.1:0", "HLS_ADDR=127.0.0.1:0", "API_ADDR=127.0.0.1:0"}

// process is a server in a process of its own.
type process struct {
	*exec.Cmd
	api    string // URL of its API
	stderr io.Closer

	mu  sync.Mutex
	log bytes.Buffer
	end chan struct{} // closed when the log has ended
}

var apiLink = regexp.MustCompile(`url="(http://[^/]+)/control/get`)

// start runs the server in dir and waits until it listens.
func start(t *testing.T, dir string, environ []string, args ...string) *process {
	t.Helper()
	p := &process{Cmd: exec.Command(os.Args[0], args...), end: make(chan struct{})}
	p.Dir = dir
	p.Env = append(append([]string{"LIVEGO_TEST_MAIN=1"}, anyPorts...), environ...)
	stderr, err := p.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	p.stderr = stderr
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		_ = p.Process.Kill()
		<-p.end
	})
	ready := make(chan string, 1)
	go p.read(stderr, ready)
	select {
	case p.api = <-ready:
	case <-p.end:
		t.Fatalf("the server ended at once:\n%s", p.logged())
	case <-time.After(time.Minute):
		t.Fatalf("the server does not say where its API is:\n%s", p.logged())
	}
	return p
}

func (p *process) read(stderr io.Reader, ready chan<- string) {
	defer close(p.end)
	lines := bufio.NewScanner(stderr)
	for lines.Scan() {
		p.mu.Lock()
		p.log.WriteString(lines.Text() + "\n")
		p.mu.Unlock()
		if found := apiLink.FindStringSubmatch(lines.Text()); found != nil {
			ready <- found[1]
		}
	}
}

func (p *process) logged() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.log.String()
}

// stop sends the signals and returns the exit code.
func (p *process) stop(t *testing.T, signals ...os.Signal) int {
	t.Helper()
	for _, s := range signals {
		if err := p.Process.Signal(s); err != nil {
			t.Fatal(err)
		}
	}
	<-p.end
	_ = p.Wait()
	return p.ProcessState.ExitCode()
}

func TestServeAndEnd(t *testing.T) {
	dir := t.TempDir()
	p := start(t, dir, []string{"JWT_SECRET=0123456789abcdef0123456789abcdef", "LEVEL=debug", "SERVER=x"})
	answer, err := http.Get(p.api + "/healthz")
	if err != nil || answer.StatusCode != http.StatusOK {
		t.Fatalf("/healthz: %v, %v", answer, err)
	}
	answer.Body.Close()
	http.DefaultClient.CloseIdleConnections()

	// The key command finds the running server, although that one holds the keys file.
	t.Chdir(dir)
	environ := []string{"API_ADDR=" + strings.TrimPrefix(p.api, "http://"), "JWT_SECRET=0123456789abcdef0123456789abcdef"}
	first := invoke(t, environ, "", "key", "get", "movie")
	if first.code != 0 || len(first.stdout) != 49 || !strings.Contains(first.stderr, "through the server") {
		t.Errorf("key get: %+v", first)
	}
	if code := p.stop(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d after SIGTERM:\n%s", code, p.logged())
	}
	for _, want := range []string{"publish over RTMP", "/live/CHANNELKEY", "/live/STREAM.m3u8", "environment variable SERVER is ignored", "gop_num=1"} {
		if !strings.Contains(p.logged(), want) {
			t.Errorf("the log lacks %q:\n%s", want, p.logged())
		}
	}
	for _, secret := range []string{"0123456789abcdef", strings.TrimSpace(first.stdout)} {
		if strings.Contains(p.logged(), secret) {
			t.Errorf("the log holds a secret:\n%s", p.logged())
		}
	}
	// After the end the same command works on the file, and the key is the same.
	if again := invoke(t, environ, "", "key", "get", "movie"); again.stdout != first.stdout || !strings.Contains(again.stderr, "no server runs") {
		t.Errorf("key get after the end: %+v", again)
	}
}

// TestStalledLog: stderr is a pipe that nobody reads. The server goes on, and ends when it is told
// to.
func TestStalledLog(t *testing.T) {
	for name, gone := range map[string]bool{"nobody reads": false, "the reader is gone": true} {
		t.Run(name, func(t *testing.T) {
			in, out, err := os.Pipe()
			if err != nil {
				t.Fatal(err)
			}
			defer in.Close()
			rtmp, api := freeAddress(t), freeAddress(t)
			p := exec.Command(os.Args[0])
			p.Dir, p.Stderr = t.TempDir(), out
			p.Env = []string{"LIVEGO_TEST_MAIN=1", "LEVEL=debug", "RTMP_ADDR=" + rtmp, "API_ADDR=" + api, "HTTPFLV_ADDR=", "HLS_ADDR="}
			if err := p.Start(); err != nil {
				t.Fatal(err)
			}
			out.Close()
			if gone {
				in.Close()
			}
			ended := make(chan error, 1)
			go func() { ended <- p.Wait() }()
			for deadline := time.Now().Add(time.Minute); !givesKey(api); {
				if time.Now().After(deadline) {
					t.Fatal("the API never answers")
				}
			}
			for range 1500 { // each leaves a line in the log; a pipe takes 64 KiB
				nc, err := net.Dial("tcp", rtmp)
				if err != nil {
					t.Fatal(err)
				}
				_, _ = nc.Write(make([]byte, 1600)) // no version of RTMP
				nc.Close()
			}
			if !givesKey(api) {
				t.Error("the API does not answer any more")
			}
			_ = p.Process.Signal(syscall.SIGTERM)
			select {
			case err := <-ended:
				if err != nil {
					t.Errorf("it ended with %v", err)
				}
			case <-time.After(time.Minute):
				_ = p.Process.Kill()
				t.Error("SIGTERM does not end it")
			}
		})
	}
}

// freeAddress is one that nobody listens on.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	return l.Addr().String()
}

// givesKey says whether the API gives out a channel key.
func givesKey(api string) bool {
	client := http.Client{Timeout: 5 * time.Second, Transport: &http.Transport{DisableKeepAlives: true}}
	answer, err := client.Get("http://" + api + "/control/get?room=movie")
	if err != nil {
		return false
	}
	answer.Body.Close()
	return answer.StatusCode == http.StatusOK
}

func TestInterruptEndsToo(t *testing.T) {
	if code := start(t, t.TempDir(), nil).stop(t, os.Interrupt); code != exitOK {
		t.Errorf("exit code %d", code)
	}
}

// TestServerOutlivesSignals: neither a hangup nor the end of the log's reader ends it.
func TestServerOutlivesSignals(t *testing.T) {
	p := start(t, t.TempDir(), nil)
	healthy := func(after string) {
		t.Helper()
		answer, err := http.Get(p.api + "/healthz")
		if err != nil {
			t.Fatalf("after %s: %v", after, err)
		}
		answer.Body.Close()
	}
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	for deadline := time.Now().Add(time.Minute); !strings.Contains(p.logged(), "SIGHUP"); {
		if time.Now().After(deadline) {
			t.Fatalf("SIGHUP is not in the log:\n%s", p.logged())
		}
		runtime.Gosched()
	}
	healthy("SIGHUP")
	p.stderr.Close()
	<-p.end
	for range 3 { // each is in the log
		answer, err := http.Get(p.api + "/control/reset?room=movie")
		if err != nil {
			t.Fatalf("after the end of the log's reader: %v", err)
		}
		answer.Body.Close()
	}
	healthy("the end of the log's reader")
	if code := p.stop(t, syscall.SIGTERM); code != exitOK {
		t.Errorf("exit code %d after SIGTERM", code)
	}
}

func TestOccupiedPortIsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	got := invoke(t, append([]string{"HLS_ADDR=" + l.Addr().String()}, anyPorts[:2]...), "", "--api_addr=127.0.0.1:0")
	if got.code != exitFailed || !strings.Contains(got.stderr, "hls_addr") || !strings.Contains(got.stderr, l.Addr().String()) {
		t.Errorf("%+v", got)
	}
}

func TestUnwritableDataDirIsNamed(t *testing.T) {
	t.Chdir(t.TempDir())
	if err := os.WriteFile("data", nil, 0o600); err != nil { // a file where the folder should be
		t.Fatal(err)
	}
	got := invoke(t, anyPorts, "")
	if got.code != exitFailed || !strings.Contains(got.stderr, `data_dir "data"`) {
		t.Errorf("%+v", got)
	}
}

// TestDataDirIsForTheOwnerOnly, but for one that is of other use too.
func TestDataDirIsForTheOwnerOnly(t *testing.T) {
	for _, tc := range []struct {
		has  string
		mode os.FileMode // it has before; 0: it is not there
		want os.FileMode
		log  string
	}{
		{"", 0, 0o700, ""},
		{"livego.db", 0o755, 0o700, "is closed now"},
		{"hls", 0o2770, 0o700, "is closed now"},
		{"", 0o500, 0o500, ""},
		{"notes.txt", 0o755, 0o755, "is open to other users"},
	} {
		dir := filepath.Join(t.TempDir(), "data")
		if tc.mode != 0 {
			if err := errors.Join(os.Mkdir(dir, 0o700), os.WriteFile(filepath.Join(dir, cmp.Or(tc.has, "hls")), nil, 0o600), os.Chmod(dir, tc.mode.Perm())); err != nil {
				t.Fatal(err)
			}
		}
		var out strings.Builder
		if err := makeDataDir(dir, slog.New(slog.NewTextHandler(&out, nil))); err != nil {
			t.Fatal(err)
		}
		info, err := os.Stat(dir)
		if err != nil || info.Mode().Perm() != tc.want || !strings.Contains(out.String(), tc.log) || tc.log == "" && out.Len() > 0 {
			t.Errorf("%o with %q: %v, %v, log %q", tc.mode, tc.has, info.Mode(), err, out.String())
		}
	}
}

func TestTwoServersNeedTwoDataDirs(t *testing.T) {
	dir := t.TempDir()
	start(t, dir, nil)
	t.Chdir(dir)
	got := invoke(t, anyPorts, "")
	if got.code != exitFailed || !strings.Contains(got.stderr, "data_dir") || !strings.Contains(got.stderr, filepath.Join("data", "livego.db")) {
		t.Errorf("%+v", got)
	}
}

func TestLinks(t *testing.T) {
	var log strings.Builder
	cfg := config.Default()
	cfg.RTMPTLS, cfg.NoAuth, cfg.HLSAddr = true, true, "192.0.2.1:0"
	cfg.Apps = []config.App{{App: server.App{Name: "off", HLS: true}}, {App: server.App{Name: "on", Live: true}}}
	addrs := map[string]net.Addr{
		"rtmp": &net.TCPAddr{IP: net.IPv6zero, Port: 1935},
		"hls":  &net.TCPAddr{IP: net.IPv4(192, 0, 2, 1), Port: 4711},
		// Nobody may play over HTTP-FLV, so there is nothing to open.
		"http-flv": &net.TCPAddr{IP: net.IPv6zero, Port: 7001},
	}
	logLinks(slog.New(slog.NewTextHandler(&log, nil)), cfg, addrs)
	for _, want := range []string{"rtmps://127.0.0.1:1935/on/STREAM", "http://192.0.2.1:4711/off/STREAM.m3u8", "http://192.0.2.1:4711/off/STREAM/"} {
		if !strings.Contains(log.String(), want) {
			t.Errorf("the log lacks %s:\n%s", want, log.String())
		}
	}
	for _, not := range []string{"CHANNELKEY", ".flv", "control"} {
		if strings.Contains(log.String(), not) {
			t.Errorf("the log has %s:\n%s", not, log.String())
		}
	}
}

// TestOpenAPIIsTold: who starts the server reads whether others can get channel keys.
func TestOpenAPIIsTold(t *testing.T) {
	for _, tc := range []struct {
		change func(*config.Config)
		want   string
	}{
		{func(*config.Config) {}, "level=INFO msg=\"the control API listens for others too, without jwt.secret: it answers only this machine"},
		{func(c *config.Config) { c.APIAddr = "0.0.0.0:8090" }, "it answers only this machine"},
		{func(c *config.Config) { c.API.Allow = []netip.Prefix{netip.MustParsePrefix("10.0.0.0/8")} }, "level=WARN msg=\"the control API listens for others too"},
		{func(c *config.Config) { c.APIAddr = "127.0.0.1:8090" }, ""},
		{func(c *config.Config) { c.APIAddr = "" }, ""},
		{func(c *config.Config) { c.API.Secret = "secret" }, ""},
	} {
		var log strings.Builder
		cfg := config.Default()
		tc.change(&cfg)
		logOpenAPI(slog.New(slog.NewTextHandler(&log, nil)), cfg)
		if !strings.Contains(log.String(), tc.want) || tc.want == "" && log.Len() > 0 {
			t.Errorf("%q, want %q", log.String(), tc.want)
		}
	}
}

// TestConfigOfTheContainer: livego.yaml may be a link to a file that is not there until somebody
// mounts it, as in the Dockerfile.
func TestConfigOfTheContainer(t *testing.T) {
	dir := t.TempDir()
	t.Chdir(dir)
	if err := os.Symlink(filepath.Join(dir, "app", "livego.yaml"), "livego.yaml"); err != nil {
		t.Fatal(err)
	}
	if got := invoke(t, nil, "", "check-config"); got.code != exitOK || !strings.Contains(got.stdout, "defaults hold") {
		t.Errorf("without a file: %+v", got)
	}
	if err := os.MkdirAll("app", 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join("app", "livego.yaml"), []byte("nonsense: 1"), 0o600); err != nil {
		t.Fatal(err)
	}
	if got := invoke(t, nil, "", "check-config"); got.code != exitFailed || !strings.Contains(got.stderr, "nonsense") {
		t.Errorf("with a file: %+v", got)
	}
}

func TestLoggers(t *testing.T) {
	for format, want := range map[string]string{
		"text": `^time=\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.\d{3} level=INFO msg="two words" time=mine\n$`,
		"json": `^\{"time":".*","level":"INFO","msg":"two words","time":"mine"\}\n$`,
	} {
		var out strings.Builder
		cfg := config.Default()
		cfg.LogFormat = format
		log := newLogger(&out, cfg.LogFormat, cfg.Level)
		log.Debug("hidden")
		log.Log(context.Background(), slog.LevelInfo, "two words", "time", "mine")
		if !regexp.MustCompile(want).MatchString(out.String()) {
			t.Errorf("%s: %q, want %s", format, out.String(), want)
		}
	}
}
