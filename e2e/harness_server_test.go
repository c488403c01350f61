package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"syscall"
	"testing"
	"time"
)

// stopLimit is how long a server may take to end on SIGTERM: 5 s, and some for the race detector.
const stopLimit = 8 * time.Second

// everybody is the server that tests share which need none of their own.
var everybody server

// shared returns the server that tests share, with one-second HLS segments.
func shared(t testing.TB) *server {
	t.Helper()
	everybody.once.Do(func() {
		everybody.launch(t, raceBinary(t), nil, "--hls_segment_duration", "1", "--hls_list_size", "20")
	})
	if everybody.command == nil {
		t.Fatal("the server that tests share did not start")
	}
	t.Cleanup(func() {
		if !t.Failed() {
			return
		}
		for line := range strings.Lines(everybody.log()) {
			if strings.Contains(line, roomOf(t)) {
				t.Log(strings.TrimSpace(line))
			}
		}
	})
	return &everybody
}

// server is a running livego.
type server struct {
	once                 sync.Once
	dir                  string
	rtmp, flv, hls, api  string // listen addresses
	command              *exec.Cmd
	ended                chan struct{}
	exit                 error
	stopped, expectCrash bool
}

// start runs a server of the test's own, with the race detector, until the test ends. What it is
// stopped with must be a clean exit.
func start(t testing.TB, args ...string) *server {
	t.Helper()
	return startWith(t, nil, args...)
}

func startWith(t testing.TB, env []string, args ...string) *server {
	t.Helper()
	s := &server{}
	s.launch(t, raceBinary(t), env, args...)
	t.Cleanup(func() {
		if err := s.stop(); err != nil {
			t.Errorf("server: %v", err)
		}
		if t.Failed() {
			t.Logf("log of the server:\n%s", s.logTail())
		}
	})
	return s
}

func raceBinary(t testing.TB) string { return setting(t, "LIVEGO_RACE_BIN") }

func setting(t testing.TB, variable string) string {
	t.Helper()
	path := os.Getenv(variable)
	if path == "" {
		t.Fatalf("%s is not set: run make e2e", variable)
	}
	return path
}

// launch starts the program in a folder of its own and waits until it answers.
func (s *server) launch(t testing.TB, program string, env []string, args ...string) {
	t.Helper()
	if s.dir == "" {
		dir, err := os.MkdirTemp(work, "server-")
		if err != nil {
			t.Fatal(err)
		}
		s.dir = dir
	}
	if s.rtmp == "" {
		s.rtmp, s.flv, s.hls, s.api = freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	}
	s.relaunch(t, program, env, args...)
}

// writeScript writes a program to be started. No process begins meanwhile: one that did while the
// file is open would have it open for a moment too, and then it cannot be started ("text file
// busy").
func writeScript(t testing.TB, file, text string) {
	t.Helper()
	syscall.ForkLock.RLock()
	defer syscall.ForkLock.RUnlock()
	if err := os.WriteFile(file, []byte(text), 0o700); err != nil {
		t.Fatal(err)
	}
}

// relaunch starts the program again in the same folder and on the same ports.
func (s *server) relaunch(t testing.TB, program string, env []string, args ...string) {
	t.Helper()
	log, err := os.OpenFile(s.logPath(), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		t.Fatal(err)
	}
	defer log.Close()
	addresses := []string{"--rtmp_addr", s.rtmp, "--httpflv_addr", s.flv, "--hls_addr", s.hls, "--api_addr", s.api}
	command := exec.Command(program, append(addresses, args...)...)
	command.Dir, command.Stdout, command.Stderr = s.dir, log, log
	command.Env = append(os.Environ(), env...)
	command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	s.command, s.ended, s.stopped = command, make(chan struct{}), false
	go func(command *exec.Cmd, ended chan struct{}) {
		s.exit = command.Wait()
		close(ended)
	}(s.command, s.ended)

	ready := waitUntil(20*time.Second, func() bool {
		select {
		case <-s.ended:
			return true
		default:
		}
		answer, err := http.Get("http://" + s.api + "/healthz")
		if err != nil {
			return false
		}
		answer.Body.Close()
		return answer.StatusCode == http.StatusOK
	})
	select {
	case <-s.ended:
		t.Fatalf("the server ended at once: %v\n%s", s.exit, s.logTail())
	default:
	}
	if !ready {
		t.Fatalf("the server does not answer /healthz\n%s", s.logTail())
	}
}

// stop ends the server as an operator does and says what was wrong with it.
func (s *server) stop() error {
	if s.command == nil || s.stopped {
		return nil
	}
	s.stopped = true
	_ = s.command.Process.Signal(syscall.SIGTERM)
	var problems []error
	select {
	case <-s.ended:
		if s.exit != nil && !s.expectCrash {
			problems = append(problems, fmt.Errorf("exit: %w", s.exit))
		}
	case <-time.After(stopLimit):
		problems = append(problems, fmt.Errorf("still there %v after SIGTERM: %s", stopLimit, s.goroutineDump()))
	}
	return errors.Join(append(problems, s.checkLog())...)
}

// kill ends the server like a power cut.
func (s *server) kill() {
	s.stopped = true
	_ = s.command.Process.Kill()
	<-s.ended
}

// checkLog looks for what no log may hold.
func (s *server) checkLog() error {
	log := s.log()
	for _, bad := range []string{"DATA RACE", "panic:", "fatal error:", "goroutine 1 ["} {
		if strings.Contains(log, bad) && !s.expectCrash {
			return fmt.Errorf("the log says %q", bad)
		}
	}
	return nil
}

func (s *server) logPath() string { return filepath.Join(s.dir, "log") }

func (s *server) log() string {
	log, _ := os.ReadFile(s.logPath())
	return string(log)
}

func (s *server) logTail() string {
	log := s.log()
	if start := strings.Index(log, "WARNING: DATA RACE"); start >= 0 {
		return log[start:min(len(log), start+20_000)]
	}
	return log[max(0, len(log)-20_000):]
}

// alive fails the test when the server has ended or does not answer.
func (s *server) alive(t testing.TB) {
	t.Helper()
	select {
	case <-s.ended:
		t.Fatalf("the server ended: %v", s.exit)
	default:
	}
	if status, body, _ := s.fetch(t, "http://"+s.api+"/stat/livestat"); status != http.StatusOK {
		t.Fatalf("/stat/livestat answers %d %s", status, body)
	}
}

// goroutineDump makes the program print all its goroutines and end.
func (s *server) goroutineDump() string {
	before := len(s.log())
	s.expectCrash, s.stopped = true, true
	_ = s.command.Process.Signal(syscall.SIGQUIT)
	select {
	case <-s.ended:
	case <-time.After(stopLimit):
		_ = s.command.Process.Kill()
		<-s.ended
	}
	return s.log()[before:]
}

// goroutines ends the program and returns how many goroutines it had.
func (s *server) goroutines() (int, string) {
	dump := s.goroutineDump()
	return len(regexp.MustCompile(`(?m)^goroutine \d+ `).FindAllString(dump, -1)), dump
}

// memory returns the resident memory of the server in bytes.
func (s *server) memory(t testing.TB) int {
	t.Helper()
	status, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	match := regexp.MustCompile(`VmRSS:\s+(\d+) kB`).FindSubmatch(status)
	if match == nil {
		t.Fatal("no VmRSS")
	}
	kilobytes, _ := strconv.Atoi(string(match[1]))
	return kilobytes << 10
}

// The URLs of a stream.

func (s *server) publishURL(key string) string { return "rtmp://" + s.rtmp + "/live/" + key }
func (s *server) rtmpURL(stream string) string { return "rtmp://" + s.rtmp + "/live/" + stream }
func (s *server) flvURL(stream string) string  { return "http://" + s.flv + "/live/" + stream + ".flv" }
func (s *server) wsURL(stream string) string   { return "ws://" + s.flv + "/live/" + stream + ".flv" }
func (s *server) hlsURL(stream string) string  { return "http://" + s.hls + "/live/" + stream + ".m3u8" }

// fetch gets a whole answer.
func (s *server) fetch(t testing.TB, address string) (int, string, http.Header) {
	t.Helper()
	return request(t, http.MethodGet, address, nil)
}

func request(t testing.TB, method, address string, header http.Header) (int, string, http.Header) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 20*time.Second)
	defer cancel()
	r, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		t.Fatal(err)
	}
	for name, values := range header {
		r.Header[name] = values
		if name == "Host" {
			r.Host = values[0]
		}
	}
	answer, err := http.DefaultTransport.RoundTrip(r)
	if err != nil {
		t.Fatalf("%s %s: %v", method, address, err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, address, err)
	}
	return answer.StatusCode, string(body), answer.Header
}

// control calls the control API and returns the status and the data of the envelope.
func (s *server) control(t testing.TB, path string) (int, string) {
	t.Helper()
	status, body, _ := s.fetch(t, "http://"+s.api+path)
	var envelope struct {
		Status int             `json:"status"`
		Data   json.RawMessage `json:"data"`
	}
	if err := json.Unmarshal([]byte(body), &envelope); err != nil {
		t.Fatalf("%s answers %q: %v", path, body, err)
	}
	if envelope.Status != status {
		t.Errorf("%s: HTTP status %d, envelope says %d", path, status, envelope.Status)
	}
	var text string
	if json.Unmarshal(envelope.Data, &text) == nil {
		return status, text
	}
	return status, string(envelope.Data)
}

// key returns the channel key of the room.
func (s *server) key(t testing.TB, room string) string {
	t.Helper()
	status, key := s.control(t, "/control/get?room="+url.QueryEscape(room))
	if status != http.StatusOK || !regexp.MustCompile(`^[0-9a-zA-Z]{48}$`).MatchString(key) {
		t.Fatalf("/control/get answers %d %q", status, key)
	}
	return key
}

// listing is the answer of /streams.
type listing struct{ Publishers, Players []struct{ Key, ID string } }

func (s *server) streams(t testing.TB) (list listing) {
	t.Helper()
	_, body, _ := s.fetch(t, "http://"+s.flv+"/streams")
	if err := json.Unmarshal([]byte(body), &list); err != nil {
		t.Fatalf("/streams answers %q: %v", body, err)
	}
	return list
}

// onAir says whether the stream has a publisher.
func (s *server) onAir(t testing.TB, stream string) bool {
	t.Helper()
	for _, publisher := range s.streams(t).Publishers {
		if publisher.Key == "live/"+stream {
			return true
		}
	}
	return false
}

func (s *server) players(t testing.TB, stream string) (n int) {
	t.Helper()
	for _, player := range s.streams(t).Players {
		if player.Key == "live/"+stream {
			n++
		}
	}
	return n
}

func (s *server) waitOnAir(t testing.TB, stream string) {
	t.Helper()
	eventually(t, 30*time.Second, stream+" is on air", func() bool { return s.onAir(t, stream) })
}

func (s *server) waitOffAir(t testing.TB, stream string) {
	t.Helper()
	eventually(t, 30*time.Second, stream+" is off air", func() bool { return !s.onAir(t, stream) })
}

// slack is by how much longer than on an idle machine things may take that are waited for. Tests
// that judge times measure them.
const slack = 3

// eventually waits until the condition holds, and fails the test when it does not in time.
func eventually(t testing.TB, limit time.Duration, what string, holds func() bool) {
	t.Helper()
	if !waitUntil(slack*limit, holds) {
		t.Fatalf("not within %v: %s", slack*limit, what)
	}
}

// waitUntil asks for the condition every 30 ms and returns whether it held in time.
func waitUntil(limit time.Duration, holds func() bool) bool {
	deadline := time.Now().Add(limit)
	for tick := time.Tick(30 * time.Millisecond); !holds(); <-tick {
		if time.Now().After(deadline) {
			return false
		}
	}
	return true
}

// pause lets real time pass, where what must not happen has no event to wait for.
func pause(t testing.TB, d time.Duration) {
	t.Helper()
	select {
	case <-time.After(d):
	case <-t.Context().Done():
	}
}

// lastPort counts up below the ports that the system gives to outgoing connections, so that tests
// in parallel never meet.
var lastPort atomic.Int32

func freeAddress(t testing.TB) string {
	t.Helper()
	for range 5000 {
		port := 12000 + (os.Getpid()*97+int(lastPort.Add(1)))%18000
		address := fmt.Sprintf("127.0.0.1:%d", port)
		listener, err := net.Listen("tcp", address)
		if err != nil {
			continue
		}
		listener.Close()
		return address
	}
	t.Fatal("no free port")
	return ""
}

// program is a running client program.
type program struct {
	*exec.Cmd
	name   string
	output bytes.Buffer // both streams, complete after ended
	ended  chan struct{}
	exit   error
}

// launch starts a client program and ends it with the test.
func launch(t testing.TB, name string, args ...string) *program {
	t.Helper()
	p := &program{Cmd: exec.Command(name, args...), name: filepath.Base(name), ended: make(chan struct{})}
	p.Stdout, p.Stderr = &p.output, &p.output
	p.SysProcAttr = &syscall.SysProcAttr{Setpgid: true, Pdeathsig: syscall.SIGKILL}
	p.WaitDelay = time.Second
	if err := p.Start(); err != nil {
		t.Fatal(err)
	}
	go func() {
		p.exit = p.Wait()
		close(p.ended)
	}()
	t.Cleanup(func() {
		p.kill()
		if t.Failed() && p.output.Len() > 0 {
			out := p.output.String()
			t.Logf("%s said:\n%s", p.name, out[:min(len(out), 4000)])
		}
	})
	return p
}

// kill ends the program and its children, which are a process group of their own, and waits.
func (p *program) kill() {
	_ = syscall.Kill(-p.Process.Pid, syscall.SIGKILL)
	<-p.ended
}

// wait waits for the program's own end.
func (p *program) wait(t testing.TB, limit time.Duration) {
	t.Helper()
	select {
	case <-p.ended:
	case <-time.After(limit):
		t.Fatalf("%s still runs after %v", p.name, limit)
	}
}

// succeed waits for the program's own end, which must be a success.
func (p *program) succeed(t testing.TB, limit time.Duration) {
	t.Helper()
	p.wait(t, slack*limit)
	if p.exit != nil {
		t.Fatalf("%s %q: %v\n%s", p.name, p.Args[1:], p.exit, p.output.String())
	}
}

// roomOf names a room after the test.
func roomOf(t testing.TB) string {
	return strings.ToLower(regexp.MustCompile(`[^0-9A-Za-z]+`).ReplaceAllString(t.Name(), "-"))
}
