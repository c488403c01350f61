//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"time"
)

// startTimeout is how long a server may take to listen.
const startTimeout = 10 * time.Second

var errNotInstalled = errors.New("not installed")

// target is a server about to be measured.
type target struct {
	command []string
	listens []string
	// load are the arguments by which livego bench finds it.
	load []string
	// beside are started before it, on the CPUs of the load.
	beside []*target
	// meanwhile, if set, runs beside the load until its context ends.
	meanwhile func(context.Context)
	// sound, if set, says at the end whether the server did what is to be measured.
	sound func(context.Context) error
	// origin is the API address of the node from which the server gets what it serves, empty if
	// there is none.
	origin string
}

// kind is a sort of server.
type kind interface {
	// prepare builds what is needed, and returns errNotInstalled if the server is not there.
	prepare(ctx context.Context, m *measurement) error
	// command returns how to start it with these arguments.
	command(m *measurement, args []string) (*target, error)
}

// awaitListener waits until the server takes connections.
func (p *process) awaitListener(ctx context.Context, addr string) error {
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", addr)
		if err == nil {
			return conn.Close()
		}
		select {
		case ended := <-p.done:
			p.done <- ended
			return fmt.Errorf("the server ended: %v", ended)
		case <-ctx.Done():
			return fmt.Errorf("the server does not listen on %s: %w", addr, err)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// floor is floor.c. Its argument is the batching time in milliseconds.
type floor struct{}

var _ kind = floor{}

func (floor) prepare(ctx context.Context, m *measurement) error {
	source, err := filepath.Abs("scripts/bench/floor/floor.c")
	if err != nil {
		return err
	}
	out, err := exec.CommandContext(ctx, "gcc", "-O2", "-o", filepath.Join(m.dir, "floor"), source).CombinedOutput()
	if err != nil {
		return fmt.Errorf("compiling the floor: %w\n%s", err, out)
	}
	return nil
}

func (floor) command(m *measurement, args []string) (*target, error) {
	_, port, err := net.SplitHostPort(m.flvAddr)
	if err != nil {
		return nil, err
	}
	return &target{
		command: append([]string{filepath.Join(m.dir, "floor"), port}, args...),
		listens: []string{m.flvAddr},
		load:    []string{"--publish", "http://" + m.flvAddr + "/{stream}", "--play", "http://" + m.flvAddr + "/{stream}.flv"},
	}, nil
}

// tlsFloor is floor/tls.
type tlsFloor struct{}

var _ kind = tlsFloor{}

func (tlsFloor) prepare(ctx context.Context, m *measurement) error {
	out, err := exec.CommandContext(ctx, "go", "build", "-o", filepath.Join(m.dir, "tls-floor"), "./scripts/bench/floor/tls").CombinedOutput()
	if err != nil {
		return fmt.Errorf("compiling the floor: %w\n%s", err, out)
	}
	return m.makeCertificate()
}

func (tlsFloor) command(m *measurement, _ []string) (*target, error) {
	return &target{
		command: []string{filepath.Join(m.dir, "tls-floor"), m.certificate(), m.privateKey(), m.flvAddr, m.tlsAddr},
		listens: []string{m.flvAddr, m.tlsAddr},
		load:    []string{"--publish", "http://" + m.flvAddr + "/{stream}", "--play", "https://" + m.tlsAddr + "/{stream}.flv"},
	}, nil
}

// livego is the server of this project. Its arguments are its flags.
type livego struct {
	// tls: the ports for players speak it.
	tls bool
}

var _ kind = livego{}

func (l livego) prepare(_ context.Context, m *measurement) error {
	if l.tls {
		if err := m.makeCertificate(); err != nil {
			return err
		}
	}
	_, err := os.Stat(m.livego)
	return err
}

func (l livego) command(m *measurement, args []string) (*target, error) {
	data, err := os.MkdirTemp(m.dir, "livego-")
	if err != nil {
		return nil, err
	}
	addrs := []string{"--rtmp_addr", m.rtmpAddr, "--httpflv_addr", m.flvAddr, "--hls_addr", m.hlsAddr, "--api_addr", m.apiAddr}
	if l.tls {
		addrs = append(addrs, "--rtmps_addr", m.tlsAddr, "--use_flv_https")
	}
	own := append([]string{m.livego, "--data_dir", data, "--level", "error"}, addrs...)
	if l.tls {
		own = append(own, "--rtmps_cert", m.certificate(), "--rtmps_key", m.privateKey(), "--https_cert", m.certificate(), "--https_key", m.privateKey())
	}
	return &target{command: append(own, args...), listens: []string{m.rtmpAddr, m.flvAddr, m.apiAddr}, load: addrs}, nil
}

// nginx is Debian's nginx with its RTMP module, in one process. Its arguments are lines for its
// application.
type nginx struct{}

var _ kind = nginx{}

const (
	nginxProgram = "/usr/sbin/nginx"
	nginxModule  = "/usr/lib/nginx/modules/ngx_rtmp_module.so"
)

func (nginx) prepare(context.Context, *measurement) error {
	for _, file := range []string{nginxProgram, nginxModule} {
		if _, err := os.Stat(file); err != nil {
			return fmt.Errorf("nginx with libnginx-mod-rtmp: %w", errNotInstalled)
		}
	}
	return nil
}

const nginxConfig = `load_module %s;
daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events { worker_connections 16384; }
rtmp {
  server {
    listen %s;
    chunk_size 60000;
    application live {
      live on;
      %s
    }
  }
}
`

func (nginx) command(m *measurement, args []string) (*target, error) {
	prefix, err := os.MkdirTemp(m.dir, "nginx-")
	if err != nil {
		return nil, err
	}
	lines := ""
	for _, line := range args {
		lines += line + "\n"
	}
	config := filepath.Join(prefix, "nginx.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxConfig, nginxModule, m.rtmpAddr, lines), 0o600); err != nil {
		return nil, err
	}
	url := "rtmp://" + m.rtmpAddr + "/live/{stream}"
	return &target{
		command: []string{nginxProgram, "-p", prefix, "-c", config},
		listens: []string{m.rtmpAddr},
		load:    []string{"--publish", url, "--play", url},
	}, nil
}
