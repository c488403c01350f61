//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"time"

	"livego/internal/bench"
)

// The HLS scenario asks livego and nginx for the same files with wrk, which keeps 64 connections busy. livego packages the stream
// meanwhile. Cost is the server's CPU time for an answer.

const (
	hlsConnections = 64
	// maxHLSFile bounds what is fetched for nginx to serve, in bytes.
	maxHLSFile = 64 << 20
	// segmentsTimeout is how long the first segments may take.
	segmentsTimeout = 30 * time.Second
)

const nginxFiles = `daemon off;
master_process off;
pid nginx.pid;
error_log stderr;
events { worker_connections 1024; }
http {
  access_log off;
  sendfile on;
  tcp_nopush on;
  keepalive_requests 1000000000;
  types { application/vnd.apple.mpegurl m3u8; video/mp2t ts; }
  server { listen %s; root www; }
}
`

// hlsResult is what the rounds brought for one server and one file.
type hlsResult struct {
	name         string
	playlist     bool
	live         bool      // livego; else nginx
	microseconds []float64 // of CPU for an answer
	perSecond    []float64 // answers
	p99          []float64 // milliseconds
}

// hls measures requests for playlists and segments.
func (m *measurement) hls(ctx context.Context) error {
	if _, err := exec.LookPath("wrk"); err != nil {
		return fmt.Errorf("wrk: %w", errNotInstalled)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	own, err := livego{}.command(m, nil)
	if err != nil {
		return err
	}
	server, err := m.start(ctx, own)
	if err != nil {
		return err
	}
	defer server.stop()
	args := append([]string{"-c", m.loadCPU, m.livego, "bench", "--players", "0", "--duration", "24h"}, own.load...)
	publisher := exec.CommandContext(ctx, "taskset", args...)
	publisher.Dir = m.dir
	if err := publisher.Start(); err != nil {
		return err
	}
	defer func() { cancel(); _ = publisher.Wait() }() // ended on purpose
	if err := m.copyFiles(ctx); err != nil {
		return err
	}
	config := filepath.Join(m.dir, "files.conf")
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxFiles, m.filesAddr), 0o600); err != nil {
		return err
	}
	files, err := m.start(ctx, &target{command: []string{nginxProgram, "-p", m.dir, "-c", config}, listens: []string{m.filesAddr}})
	if err != nil {
		return err
	}
	defer files.stop()
	return m.hlsRounds(ctx, server, files)
}

// copyFiles waits for the playlist, and puts it and a segment where nginx finds them.
func (m *measurement) copyFiles(ctx context.Context) error {
	www := filepath.Join(m.dir, "www")
	if err := os.Mkdir(www, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, segmentsTimeout)
	defer cancel()
	for {
		segment, playlist, err := m.newestSegment(ctx)
		if err == nil {
			content, err := fetch(ctx, segment)
			return errors.Join(err,
				os.WriteFile(filepath.Join(www, "s.ts"), content, 0o600), os.WriteFile(filepath.Join(www, "p.m3u8"), playlist, 0o600))
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("no segment comes: %w", err)
		case <-time.After(200 * time.Millisecond):
		}
	}
}

// livePlaylist is the one that livego makes of the published stream.
func (m *measurement) livePlaylist() string { return "http://" + m.hlsAddr + "/live/bench.m3u8" }

// newestSegment returns the URL of the last segment in livego's playlist, and the playlist.
func (m *measurement) newestSegment(ctx context.Context) (segment string, playlist []byte, err error) {
	playlist, err = fetch(ctx, m.livePlaylist())
	if err != nil {
		return "", nil, err
	}
	base, err := url.Parse(m.livePlaylist())
	if err != nil {
		return "", nil, err
	}
	last := ""
	for line := range strings.Lines(string(playlist)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			last = line
		}
	}
	if last == "" {
		return "", nil, errors.New("a playlist without segments")
	}
	u, err := base.Parse(last)
	if err != nil {
		return "", nil, err
	}
	return u.String(), playlist, nil
}

func fetch(ctx context.Context, address string) ([]byte, error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, address, nil)
	if err != nil {
		return nil, err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return nil, err
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		return nil, fmt.Errorf("%s: %s", address, response.Status)
	}
	return io.ReadAll(io.LimitReader(response.Body, maxHLSFile))
}

func (m *measurement) hlsRounds(ctx context.Context, server, files *process) error {
	results := []*hlsResult{
		{name: "nginx, playlist", playlist: true},
		{name: "livego, playlist", playlist: true, live: true},
		{name: "nginx, segment"},
		{name: "livego, segment", live: true},
	}
	for round := range m.rounds {
		for _, r := range results {
			address, process := "http://"+m.filesAddr+"/s.ts", files
			if r.playlist {
				address = "http://" + m.filesAddr + "/p.m3u8"
			}
			if r.live {
				segment, _, err := m.newestSegment(ctx)
				if err != nil {
					return err
				}
				if address, process = segment, server; r.playlist {
					address = m.livePlaylist()
				}
			}
			if err := m.wrk(ctx, r, address, process.cmd.Process.Pid); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d/%d  %-18s %6.1f µs of CPU  %8.0f/s  p99 %.2f ms\n",
				round+1, m.rounds, r.name, r.microseconds[round], r.perSecond[round], r.p99[round])
		}
	}
	m.printHLS(os.Stdout, results)
	return nil
}

// wrk asks for one URL and adds what it saw to r.
func (m *measurement) wrk(ctx context.Context, r *hlsResult, address string, pid int) error {
	before, _, err := bench.Usage(pid)
	if err != nil {
		return err
	}
	connections, duration := strconv.Itoa(hlsConnections), strconv.Itoa(max(int(m.duration.Seconds()), 1))
	out, err := exec.CommandContext(ctx, "taskset", "-c", m.loadCPU, "wrk", "-t1", "-c"+connections, "-d"+duration, "--latency", address).CombinedOutput()
	if err != nil {
		return fmt.Errorf("wrk: %w\n%s", err, out)
	}
	after, _, err := bench.Usage(pid)
	if err != nil {
		return err
	}
	if bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte("Socket errors")) {
		return fmt.Errorf("not all answers were good:\n%s", out)
	}
	requests, perSecond, p99, err := parseWrk(out)
	if err != nil {
		return err
	}
	r.microseconds = append(r.microseconds, (after-before).Seconds()*1e6/requests)
	r.perSecond, r.p99 = append(r.perSecond, perSecond), append(r.p99, p99)
	return nil
}

// wrkFigures are the lines of wrk's report that count.
var wrkFigures = []string{`(?m)^\s*(\d+) requests in`, `(?m)^Requests/sec:\s*([\d.]+)`, `(?m)^\s*99%\s+([\d.]+(?:us|ms|s))`}

func parseWrk(out []byte) (requests, perSecond, p99 float64, err error) {
	found := make([]string, len(wrkFigures))
	for i, pattern := range wrkFigures {
		match := regexp.MustCompile(pattern).FindSubmatch(out)
		if match == nil {
			return 0, 0, 0, fmt.Errorf("wrk says:\n%s", out)
		}
		found[i] = string(match[1])
	}
	requests, err = strconv.ParseFloat(found[0], 64)
	perSecond, secondErr := strconv.ParseFloat(found[1], 64)
	latency, latencyErr := time.ParseDuration(found[2])
	return requests, perSecond, float64(latency) / float64(time.Millisecond), errors.Join(err, secondErr, latencyErr)
}

// printHLS compares each row of livego with the one of nginx before it.
func (m *measurement) printHLS(w io.Writer, results []*hlsResult) {
	out := bufio.NewWriter(w)
	defer out.Flush()
	fmt.Fprintf(out, "%s. Medians of %d rounds of %v (range).\n\n", m.scenario.title, m.rounds, m.duration)
	fmt.Fprintln(out, "| server and file | CPU per answer, µs | ratio | answers per second | latency p99, ms |")
	fmt.Fprintln(out, "|---|---|---|---|---|")
	for i, r := range results {
		reference := results[i-i%2].microseconds
		ratios := make([]float64, len(reference))
		for j := range ratios {
			ratios[j] = r.microseconds[j] / reference[j]
		}
		fmt.Fprintf(out, "| %s | %s | %s | %s | %s |\n", r.name, spreadOf(r.microseconds).text("%.1f"), spreadOf(ratios).text("%.2f"),
			spreadOf(r.perSecond).text("%.0f"), spreadOf(r.p99).text("%.1f"))
	}
	fmt.Fprintf(out, "\n%s\n", m.machine())
}
