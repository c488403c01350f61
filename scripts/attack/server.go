//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/pem"
	"errors"
	"fmt"
	"io"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"livego/internal/demo"
)

const (
	// startLimit and stopLimit are how long a server may take to answer, and to end.
	startLimit = 10 * time.Second
	stopLimit  = 6 * time.Second
	// clockTick is the unit of CPU times in /proc: USER_HZ, which is 100 on every Linux (man 5
	// proc).
	clockTick = 10 * time.Millisecond
)

// server is a running livego.
type server struct {
	rtmp, flv, hls, api string   // addresses
	secure, http3       bool     // the HLS port speaks TLS, and HTTP/3 too
	log                 string   // file
	pipe                *os.File // its log if nobody reads that, which must stay open
	binary              string
	command             *exec.Cmd
	ended               chan error
	// other is a server like it that nobody attacks, nil unless it is compared with one.
	other *server
}

// secured are the flags of a server that speaks TLS on its HLS port.
var secured = []string{"--use_hls_https", "--https_cert", "tls.crt", "--https_key", "tls.key"}

// startServer starts the program in a folder of its own, without keys, as an attack needs it, and
// waits until it answers.
func startServer(ctx context.Context, binary, dir string, a *attack) (*server, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	s := &server{log: filepath.Join(dir, "log"), ended: make(chan error, 1), secure: slices.Contains(a.flags, secured[0]), http3: slices.Contains(a.flags, "--hls_http3")}
	if err := makeCertificate(dir); err != nil {
		return nil, err
	}
	for _, addr := range []*string{&s.rtmp, &s.flv, &s.hls, &s.api} {
		var err error
		if *addr, err = freeAddress(); err != nil {
			return nil, err
		}
	}
	log, err := os.Create(s.log)
	if a.unread {
		s.pipe, log, err = os.Pipe()
	}
	if err != nil {
		return nil, err
	}
	defer log.Close()
	own := []string{
		"--rtmp_addr", s.rtmp, "--httpflv_addr", s.flv, "--hls_addr", s.hls, "--api_addr", s.api, "--rtmp_noauth",
		"--data_dir", filepath.Join(dir, "data"),
	}
	if a.prepare != nil {
		text, err := a.prepare(dir)
		if err != nil {
			return nil, err
		}
		file := filepath.Join(dir, "livego.yaml")
		if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
			return nil, err
		}
		own = append(own, "--config_file", file)
	}
	command := append(append([]string{binary}, own...), a.flags...)
	if a.files > 0 {
		command = append([]string{"sh", "-c", fmt.Sprintf(`ulimit -n %d && exec "$0" "$@"`, a.files)}, command...)
	}
	s.binary, s.command = binary, exec.Command(command[0], command[1:]...)
	s.command.Dir, s.command.Stdout, s.command.Stderr = dir, log, log
	s.command.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	if err := s.command.Start(); err != nil {
		return nil, err
	}
	go func() { s.ended <- s.command.Wait() }()
	if err := s.await(ctx); err != nil {
		_ = s.command.Process.Kill()
		return nil, err
	}
	return s, nil
}

// freeAddress returns a loopback address that nobody listens on.
func freeAddress() (string, error) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return "", err
	}
	defer l.Close()
	return l.Addr().String(), nil
}

// makeCertificate makes one that nobody trusts.
func makeCertificate(dir string) error {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return err
	}
	template := &x509.Certificate{
		SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)},
	}
	der, err := x509.CreateCertificate(rand.Reader, template, template, key.Public(), key)
	if err != nil {
		return err
	}
	secret, err := x509.MarshalPKCS8PrivateKey(key)
	if err != nil {
		return err
	}
	return errors.Join(
		os.WriteFile(filepath.Join(dir, "tls.key"), pem.EncodeToMemory(&pem.Block{Type: "PRIVATE KEY", Bytes: secret}), 0o600),
		os.WriteFile(filepath.Join(dir, "tls.crt"), pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der}), 0o600))
}

// client returns an HTTP client that takes any certificate.
func (s *server) client(within time.Duration) *http.Client {
	return &http.Client{Timeout: within, Transport: &http.Transport{
		TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true,
	}}
}

// hlsURL is where the HLS port has a path.
func (s *server) hlsURL(path string) string {
	if s.secure {
		return "https://" + s.hls + path
	}
	return "http://" + s.hls + path
}

// await waits until the server answers.
func (s *server) await(ctx context.Context) error {
	for deadline := time.Now().Add(startLimit); time.Now().Before(deadline); {
		if status, _, err := s.get("http://"+s.api+"/healthz", time.Second); err == nil && status == http.StatusOK {
			return nil
		}
		select {
		case err := <-s.ended:
			s.ended <- err
			log, _ := os.ReadFile(s.log)
			return fmt.Errorf("the server ended at once: %w\n%s", err, log)
		case <-ctx.Done():
			return ctx.Err()
		case <-time.After(20 * time.Millisecond):
		}
	}
	return errors.New("the server does not answer")
}

// stop ends the server as an operator does, and returns how long that took.
func (s *server) stop() (time.Duration, error) {
	begin := time.Now()
	_ = s.command.Process.Signal(syscall.SIGTERM)
	select {
	case err := <-s.ended:
		return time.Since(begin), err
	case <-time.After(2 * stopLimit):
		_ = s.command.Process.Kill()
		<-s.ended
		return time.Since(begin), nil
	}
}

// publish sends the demo clip as live/{name} until ctx ends, and returns once the server has taken
// it.
func (s *server) publish(ctx context.Context, name string) error {
	onAir, failed := make(chan struct{}), make(chan error, 1)
	go func() {
		once := false
		failed <- demo.Run(ctx, demo.Options{URL: "rtmp://" + s.rtmp + "/live/" + name, OnAir: func() {
			if !once {
				once = true
				close(onAir)
			}
		}})
	}()
	select {
	case <-onAir:
		return nil
	case err := <-failed:
		return err
	case <-ctx.Done():
		return ctx.Err()
	}
}

// get fetches a URL within a time.
func (s *server) get(url string, within time.Duration) (status int, body string, err error) {
	client := s.client(within)
	defer client.CloseIdleConnections()
	response, err := client.Get(url)
	if err != nil {
		return 0, "", err
	}
	defer response.Body.Close()
	text, err := io.ReadAll(io.LimitReader(response.Body, 64<<20))
	return response.StatusCode, string(text), err
}

// newest waits until the playlist of a stream names a segment and returns the path of its newest
// one.
func (s *server) newest(ctx context.Context, name string) (string, error) {
	for ctx.Err() == nil {
		_, list, err := s.get(s.hlsURL("/live/"+name+".m3u8"), 15*time.Second)
		lines := strings.Fields(list)
		if err == nil && len(lines) > 0 && strings.HasSuffix(lines[len(lines)-1], ".ts") {
			return "/live/" + lines[len(lines)-1], nil
		}
		time.Sleep(100 * time.Millisecond)
	}
	return "", ctx.Err()
}

// cpu is the CPU time that the server has used.
func (s *server) cpu() time.Duration {
	stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", s.command.Process.Pid))
	if err != nil {
		return 0
	}
	// The name of the program, in brackets, may have blanks in it. User and system time are the
	// 14th and 15th field.
	fields := strings.Fields(string(stat[bytes.LastIndexByte(stat, ')')+1:]))
	user, _ := strconv.Atoi(fields[11])
	system, _ := strconv.Atoi(fields[12])
	return time.Duration(user+system) * clockTick
}

// scheduled is for how long threads of the server ran so far, and for how long they could have, and
// waited for a processor (Documentation/scheduler/sched-stats.rst of Linux, /proc/PID/schedstat).
func (s *server) scheduled() (ran, waited time.Duration) {
	all, _ := filepath.Glob(fmt.Sprintf("/proc/%d/task/*/schedstat", s.command.Process.Pid))
	for _, file := range all {
		text, _ := os.ReadFile(file) // a thread may have ended
		if fields := strings.Fields(string(text)); len(fields) == 3 {
			run, _ := strconv.ParseInt(fields[0], 10, 64)
			wait, _ := strconv.ParseInt(fields[1], 10, 64)
			ran, waited = ran+time.Duration(run), waited+time.Duration(wait)
		}
	}
	return ran, waited
}

// memory is the resident memory of the server in MB.
func (s *server) memory() float64 {
	status, _ := os.ReadFile(fmt.Sprintf("/proc/%d/status", s.command.Process.Pid))
	for line := range strings.Lines(string(status)) {
		if rest, ok := strings.CutPrefix(line, "VmRSS:"); ok {
			kilobytes, _ := strconv.Atoi(strings.Fields(rest)[0])
			return float64(kilobytes) / 1024
		}
	}
	return 0
}
