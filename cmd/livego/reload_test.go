package main

import (
	"io"
	"net/http"
	"os"
	"path/filepath"
	"runtime"
	"strings"
	"syscall"
	"testing"
	"time"
)

// awaitLog waits until the server's log holds a text.
func (p *process) awaitLog(t *testing.T, text string) {
	t.Helper()
	for deadline := time.Now().Add(time.Minute); !strings.Contains(p.logged(), text); runtime.Gosched() {
		if time.Now().After(deadline) {
			t.Fatalf("%q is not in the log:\n%s", text, p.logged())
		}
	}
}

// write puts a file in the place of another one, as deployments do.
func write(t *testing.T, name, text string) {
	t.Helper()
	if err := os.WriteFile(name+".new", []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Rename(name+".new", name); err != nil {
		t.Fatal(err)
	}
}

// TestReload: a changed file is taken over when it changes, on SIGHUP and when the API asks; what
// is wrong with it is said, and changes nothing.
func TestReload(t *testing.T) {
	dir := t.TempDir()
	file := filepath.Join(dir, "livego.yaml")
	write(t, file, "level: info\n")
	p := start(t, dir, nil)
	list := func() int {
		r, err := http.Get(p.api + "/api/v1/config")
		if err != nil {
			t.Fatal(err)
		}
		r.Body.Close()
		return r.StatusCode
	}

	write(t, file, "level: debug\nhls_list_size: 4\n")
	p.awaitLog(t, `the configuration was read again" "asked by"="change of the file" changed=level`)
	p.awaitLog(t, "these options take effect only with a new start\" options=hls_list_size")

	write(t, file, "level: debug\nreed_timeout: 3s\n")
	p.awaitLog(t, "the configuration is wrong, the one before stays in force")
	p.awaitLog(t, "reed_timeout")
	if status := list(); status != 200 {
		t.Fatalf("status %d", status)
	}

	write(t, file, "level: debug\napi_allow: [192.0.2.1, 127.0.0.1]\n")
	p.awaitLog(t, "changed=api_allow")
	answer, err := http.Post(p.api+"/api/v1/config/reload", "", nil)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if body, _ := io.ReadAll(answer.Body); answer.StatusCode != 200 || strings.TrimSpace(string(body)) != `{"taken":[],"left":[]}` {
		t.Errorf("status %d, %s", answer.StatusCode, body)
	}

	write(t, file, "level: debug\napi_allow: [192.0.2.1]\n")
	p.awaitLog(t, `"asked by"="change of the file" changed=api_allow`)
	for list() != 403 {
		runtime.Gosched()
	}
	if runtime.GOOS == "windows" {
		return
	}
	if err := p.Process.Signal(syscall.SIGHUP); err != nil {
		t.Fatal(err)
	}
	p.awaitLog(t, `nothing has changed" "asked by"=SIGHUP`)
}
