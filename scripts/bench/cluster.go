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
	"strconv"
	"strings"

	"livego/internal/bench"
)

// The cluster scenarios compare a node that serves a stream of another one with that other one,
// which is its home. Redis and, behind an edge, the home run beside the load.

const (
	redisProgram   = "redis-server"
	varnishProgram = "/usr/sbin/varnishd"
	benchSecret    = "a secret that is for benchmarks alone"
)

// redisTarget is a Redis of the scenario's own.
func (m *measurement) redisTarget() (*target, error) {
	_, port, err := net.SplitHostPort(m.redisAddr)
	if err != nil {
		return nil, err
	}
	return &target{
		command: []string{redisProgram, "--bind", "127.0.0.1", "--port", port, "--dir", m.dir, "--save", "", "--appendonly", "no"},
		listens: []string{m.redisAddr},
	}, nil
}

func installed(program string) error {
	if _, err := exec.LookPath(program); err != nil {
		return fmt.Errorf("%s: %w", program, errNotInstalled)
	}
	return nil
}

// nodeTarget is a livego that is a node.
func (m *measurement) nodeTarget(id string, a nodeAddrs, args []string) (*target, error) {
	data, err := os.MkdirTemp(m.dir, "node-")
	if err != nil {
		return nil, err
	}
	command := []string{
		m.livego, "--data_dir", data, "--level", "error", "--rtmp_addr", a.rtmp, "--httpflv_addr", a.flv, "--hls_addr", a.hls, "--api_addr", a.api,
		"--node_id", id, "--cluster_addr", a.cluster, "--cluster_secret", benchSecret, "--redis_addr", m.redisAddr,
	}
	return &target{command: append(command, args...), listens: []string{a.rtmp, a.api, a.cluster}}, nil
}

// clusterHome is a node at which the stream is published and played.
type clusterHome struct{ protocol string }

var _ kind = clusterHome{}

func (clusterHome) prepare(context.Context, *measurement) error { return installed(redisProgram) }

func (k clusterHome) command(m *measurement, args []string) (*target, error) {
	redis, err := m.redisTarget()
	if err != nil {
		return nil, err
	}
	t, err := m.nodeTarget("home", m.home, args)
	if err != nil {
		return nil, err
	}
	t.beside, t.origin = []*target{redis}, m.home.api
	t.load = m.homeLoad(playURL(k.protocol, m.home))
	return t, nil
}

// homeLoad lets the load tool publish at the home, and play.
func (m *measurement) homeLoad(play string) []string {
	return []string{"--publish", "rtmp://" + m.home.rtmp + "/live/{key}", "--api_addr", m.home.api, "--play", play}
}

func playURL(protocol string, a nodeAddrs) string {
	switch protocol {
	case "http-flv":
		return "http://" + a.flv + "/live/{stream}.flv"
	case "ll-hls":
		return "http://" + a.hls + "/live/{stream}/index.m3u8"
	}
	return "rtmp://" + a.rtmp + "/live/{stream}"
}

// clusterEdge is a node at which a stream is played that is published at another one.
type clusterEdge struct{ protocol string }

var _ kind = clusterEdge{}

func (clusterEdge) prepare(context.Context, *measurement) error { return installed(redisProgram) }

func (k clusterEdge) command(m *measurement, args []string) (*target, error) {
	home, err := clusterHome{}.command(m, args)
	if err != nil {
		return nil, err
	}
	t, err := m.nodeTarget("edge", m.edge, args)
	if err != nil {
		return nil, err
	}
	t.beside, t.origin = append(home.beside, home), m.home.api
	t.load = m.homeLoad(playURL(k.protocol, m.edge))
	return t, nil
}

// proxyEdge is a cache of another make in front of the home's HLS port.
type proxyEdge struct {
	program string
	// config is what its configuration is called and holds, with its own address and that of the
	// origin, each as host and port.
	file, config string
	// arguments start it with a configuration in a folder.
	arguments func(m *measurement, dir, file string) []string
}

var _ kind = proxyEdge{}

func (k proxyEdge) prepare(context.Context, *measurement) error {
	return errors.Join(installed(redisProgram), installed(k.program))
}

func (k proxyEdge) command(m *measurement, args []string) (*target, error) {
	home, err := clusterHome{}.command(m, args)
	if err != nil {
		return nil, err
	}
	dir, err := os.MkdirTemp(m.dir, "edge-")
	if err != nil {
		return nil, err
	}
	host, port, err := net.SplitHostPort(m.home.hls)
	if err != nil {
		return nil, err
	}
	file := filepath.Join(dir, k.file)
	config := strings.NewReplacer("LISTEN", m.edge.hls, "HOST", host, "PORT", port).Replace(k.config)
	if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
		return nil, err
	}
	return &target{
		command: append([]string{k.program}, k.arguments(m, dir, file)...), listens: []string{m.edge.hls},
		beside: append(home.beside, home), origin: m.home.api, load: m.homeLoad(playURL("ll-hls", m.edge)),
	}, nil
}

// nginxEdge is nginx as docs/proxies.md has it, without TLS.
func nginxEdge() proxyEdge {
	return proxyEdge{program: nginxProgram, file: "nginx.conf", config: `daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events { worker_connections 16384; }
http {
  access_log off;
  keepalive_requests 1000000000;
  proxy_cache_path cache keys_zone=livego:16m max_size=2g inactive=5m use_temp_path=off;
  upstream livego_hls { server HOST:PORT; keepalive 64; }
  server {
    listen LISTEN;
    proxy_http_version 1.1;
    proxy_set_header Host $host;
    proxy_set_header Connection "";
    proxy_read_timeout 60s;
    location / {
      proxy_pass http://livego_hls;
      proxy_cache livego;
      proxy_cache_key $host$uri$is_args$args;
      proxy_cache_lock on;
      proxy_cache_lock_timeout 10s;
      proxy_cache_lock_age 10s;
    }
  }
}
`, arguments: func(_ *measurement, dir, file string) []string { return []string{"-p", dir, "-c", file} }}
}

// varnishEdge is Varnish, whose default is to ask once for all who ask for the same.
func varnishEdge() proxyEdge {
	return proxyEdge{program: varnishProgram, file: "livego.vcl", config: `vcl 4.1;
backend default { .host = "HOST"; .port = "PORT"; }
`, arguments: func(m *measurement, dir, file string) []string {
		return []string{"-F", "-n", filepath.Join(dir, "work"), "-a", m.edge.hls, "-f", file, "-s", "malloc,512m", "-T", "none", "-j", "none"}
	}}
}

// Figures of a home, by the names of its metrics.
const (
	metricRequests = "livego_hls_requests_total{"
	metricParts    = "livego_hls_parts_total"
)

// upstream is what the home of a stream was asked for, and what it made.
type upstream struct{ requests, parts float64 }

// askedAtHome reads the counters of the target's home, if it has one.
func (t *target) askedAtHome(ctx context.Context) (u upstream, err error) {
	if t.origin == "" {
		return u, nil
	}
	text, err := fetch(ctx, "http://"+t.origin+"/metrics")
	if err != nil {
		return u, err
	}
	for line := range strings.Lines(string(text)) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		v, err := strconv.ParseFloat(value, 64)
		switch {
		case err != nil:
		case strings.HasPrefix(name, metricRequests):
			u.requests += v
		case strings.HasPrefix(name, metricParts):
			u.parts += v
		}
	}
	return u, nil
}

// perPart is how many requests came for each part that was made since a look before; 0: no part
// was.
func (u upstream) perPart(before upstream) float64 {
	if u.parts <= before.parts {
		return 0
	}
	return (u.requests - before.requests) / (u.parts - before.parts)
}

// behind is by how much a quantile is above that of the row's base, round by round, in
// milliseconds.
func behind(title string, times func(*bench.Report) bench.Quantiles, of func(bench.Quantiles) float64) column {
	return column{title, func(m *measurement, r *result) string {
		value := func(b *bench.Report) float64 { return of(times(b)) }
		values := r.of(value)
		for i, reference := range m.base(r).of(value) {
			values[i] -= reference
		}
		return spreadOf(values).text("%+.1f")
	}}
}

var (
	behind50Column     = behind("behind the home p50, ms", latency, p50)
	behind99Column     = behind("behind the home p99, ms", latency, p99)
	partBehind50Column = behind("behind the home p50, ms", partDelay, p50)
	upstreamColumn     = column{"requests at the home per part", func(_ *measurement, r *result) string { return spreadText(r.upstream, "%.1f") }}
)

// clusterScenarios are those of this file.
func clusterScenarios() []scenario {
	return []scenario{
		{
			name:    "cluster",
			title:   "One stream of 2.6 Mbit/s to 1,000 players at its home, and at another node (HLS is off)",
			load:    players(1000),
			columns: []column{costColumn, ratioColumn, latency50Column, behind50Column, latency99Column, behind99Column, memoryColumn, servedColumn},
			rows: []row{
				{name: "home, RTMP", kind: clusterHome{"rtmp"}, args: []string{noHLS}},
				{name: "edge, RTMP", kind: clusterEdge{"rtmp"}, args: []string{noHLS}},
				{name: "home, HTTP-FLV", kind: clusterHome{"http-flv"}, args: []string{noHLS}, base: true},
				{name: "edge, HTTP-FLV", kind: clusterEdge{"http-flv"}, args: []string{noHLS}},
			},
		},
		{
			name:    "cluster-hls",
			title:   "Low-Latency HLS of one stream of 0.36 Mbit/s to 1,000 players at its home, at another node, and at caches of other makes in front of the home",
			load:    players(1000, "--video-rate", "300", "--audio-rate", "64", "--join-rate", "200", "--warmup", "4s"),
			columns: []column{part50Column, partBehind50Column, part99Column, coresColumn, upstreamColumn, servedColumn},
			rows: []row{
				{name: "home", kind: clusterHome{"ll-hls"}},
				{name: "edge", kind: clusterEdge{"ll-hls"}},
				{name: "nginx, proxy_cache_lock", kind: nginxEdge()},
				{name: "Varnish", kind: varnishEdge()},
			},
		},
		{
			name:  "cluster-registry",
			title: "Streams that are registered, with a segment of HLS each 3 s but without media: what their node and Redis do all the time, and how long it takes to look where one is",
			run:   (*measurement).registry,
		},
	}
}
