//go:build linux

package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"math"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"time"

	"livego/internal/bench"
)

// The HLS scenario asks livego and nginx for the same files with wrk, which keeps 64 connections
// busy. livego packages the stream meanwhile. Cost is the server's CPU time for an answer.

const (
	hlsConnections = 64
	// maxHLSFile bounds what is fetched for nginx to serve, in bytes.
	maxHLSFile = 64 << 20
	// segmentsTimeout is how long the first segments may take.
	segmentsTimeout = time.Minute
	copyRetry       = 200 * time.Millisecond
	// wholePlaylist is how many segments a playlist lists that is as long as later ones. The first
	// segments are short, or missing.
	wholePlaylist = 3
)

var errShort = errors.New("the playlist is still short")

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
  server {
    listen %s;
    listen %s ssl http2;
    ssl_certificate %s;
    ssl_certificate_key %s;
    ssl_protocols TLSv1.3;
    root www;
  }
}
`

// format is a way to package a stream.
type format struct {
	name string // and that of the copies that nginx serves
	// list returns the URL of the media playlist.
	list func(context.Context, *measurement) (*url.URL, error)
	over []way
}

var formats = []format{
	{"MPEG-TS", func(_ context.Context, m *measurement) (*url.URL, error) { return url.Parse(m.hlsURL(".m3u8")) }, []way{plain}},
	{"CMAF", func(ctx context.Context, m *measurement) (*url.URL, error) {
		return lastReference(ctx, m.hlsURL("/index.m3u8"))
	}, []way{plain, secure, secureH2}},
}

// hlsResult is what the rounds brought for one server and one file.
type hlsResult struct {
	name         string
	format       format
	over         way
	playlist     bool
	live         bool      // livego; else nginx
	microseconds []float64 // of CPU for an answer
	perSecond    []float64 // answers
	p99          []float64 // milliseconds, NaN where it is not known
}

// hlsResults has the row of nginx in front of each one of livego. Only those files are measured
// that have only in their names.
func hlsResults(only string) (results []*hlsResult) {
	for _, f := range formats {
		for _, over := range f.over {
			for _, playlist := range []bool{true, false} {
				file := f.name + " segment" + over.name
				if playlist {
					file = f.name + " playlist" + over.name
				}
				if !strings.Contains(file, only) {
					continue
				}
				results = append(results,
					&hlsResult{name: "nginx, " + file, format: f, over: over, playlist: playlist},
					&hlsResult{name: "livego, " + file, format: f, over: over, playlist: playlist, live: true})
			}
		}
	}
	return results
}

// hls measures requests for playlists and segments.
func (m *measurement) hls(ctx context.Context) error {
	for _, tool := range []string{"wrk", "h2load"} {
		if _, err := exec.LookPath(tool); err != nil {
			return fmt.Errorf("%s: %w", tool, errNotInstalled)
		}
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	own, err := livego{}.command(m, m.httpsFlags())
	if err = errors.Join(err, m.makeCertificate()); err != nil {
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
	if err := os.WriteFile(config, fmt.Appendf(nil, nginxFiles, m.filesAddr, m.secureFilesAddr, m.certificate(), m.privateKey()), 0o600); err != nil {
		return err
	}
	files, err := m.start(ctx, &target{command: []string{nginxProgram, "-p", m.dir, "-c", config}, listens: []string{m.filesAddr, m.secureFilesAddr}})
	if err != nil {
		return err
	}
	defer files.stop()
	return m.hlsRounds(ctx, server, files)
}

// copyFiles waits for the playlists, and puts them and a segment of each where nginx finds them.
func (m *measurement) copyFiles(ctx context.Context) error {
	www := filepath.Join(m.dir, "www")
	if err := os.Mkdir(www, 0o755); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, segmentsTimeout)
	defer cancel()
	for _, f := range formats {
		for {
			err := m.copyFormat(ctx, f, www)
			if err == nil {
				break
			}
			if pause(ctx, copyRetry) != nil {
				return fmt.Errorf("no %s comes: %w", f.name, err)
			}
		}
	}
	return nil
}

func (m *measurement) copyFormat(ctx context.Context, f format, www string) error {
	list, err := f.list(ctx, m)
	if err != nil {
		return err
	}
	playlist, err := fetch(ctx, list.String())
	if err != nil {
		return err
	}
	if bytes.Count(playlist, []byte("#EXTINF")) < wholePlaylist || bytes.Contains(playlist, []byte("#EXT-X-GAP")) {
		return errShort
	}
	segment, err := lastReference(ctx, list.String())
	if err != nil {
		return err
	}
	content, err := fetch(ctx, segment.String())
	return errors.Join(err,
		os.WriteFile(filepath.Join(www, f.name+".m3u8"), playlist, 0o600), os.WriteFile(filepath.Join(www, f.name), content, 0o600))
}

// hlsURL returns a URL of the published stream.
func (m *measurement) hlsURL(rest string) string { return "http://" + m.hlsAddr + "/live/bench" + rest }

// lastReference returns the last URL in a playlist.
func lastReference(ctx context.Context, list string) (*url.URL, error) {
	base, err := url.Parse(list)
	if err != nil {
		return nil, err
	}
	playlist, err := fetch(ctx, list)
	if err != nil {
		return nil, err
	}
	last := ""
	for line := range strings.Lines(string(playlist)) {
		if line = strings.TrimSpace(line); line != "" && line[0] != '#' {
			last = line
		}
	}
	if last == "" {
		return nil, fmt.Errorf("%s names nothing", list)
	}
	return base.Parse(last)
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
	results := hlsResults(m.only)
	for round := range m.rounds {
		for _, r := range results {
			address, process, err := m.hlsAddress(ctx, r, server, files)
			if err != nil {
				return err
			}
			if err := m.askFor(ctx, r, address, process.cmd.Process.Pid); err != nil {
				return fmt.Errorf("%s: %w", r.name, err)
			}
			fmt.Fprintf(os.Stderr, "round %d/%d  %-36s %6.1f µs of CPU  %8.0f/s  p99 %.2f ms\n",
				round+1, m.rounds, r.name, r.microseconds[round], r.perSecond[round], r.p99[round])
		}
	}
	return m.publish(func(w io.Writer) { m.printHLS(w, results) })
}

// hlsAddress returns the URL of a row, and the process that answers.
func (m *measurement) hlsAddress(ctx context.Context, r *hlsResult, server, files *process) (string, *process, error) {
	if !r.live {
		address := "http://" + m.filesAddr + "/" + r.format.name
		if r.over.tls {
			address = "https://" + m.secureFilesAddr + "/" + r.format.name
		}
		if r.playlist {
			address += ".m3u8"
		}
		return address, files, nil
	}
	u, err := r.format.list(ctx, m)
	if err == nil && !r.playlist {
		u, err = lastReference(ctx, u.String())
	}
	if err != nil {
		return "", nil, err
	}
	if r.over.tls {
		u.Scheme, u.Host = "https", m.tlsAddr
	}
	return u.String(), server, nil
}

// askFor has one URL asked for and adds what came of it to r.
func (m *measurement) askFor(ctx context.Context, r *hlsResult, address string, pid int) error {
	before, _, err := bench.Usage(pid)
	if err != nil {
		return err
	}
	got, err := r.over.load(m, ctx, address)
	if err != nil {
		return err
	}
	after, _, err := bench.Usage(pid)
	if err != nil {
		return err
	}
	r.microseconds = append(r.microseconds, (after-before).Seconds()*1e6/got.requests)
	r.perSecond, r.p99 = append(r.perSecond, got.perSecond), append(r.p99, got.p99)
	return nil
}

// wrk asks for one URL over HTTP/1.1.
func (m *measurement) wrk(ctx context.Context, address string) (answered, error) {
	connections, duration := strconv.Itoa(hlsConnections), strconv.Itoa(max(int(m.duration.Seconds()), 1))
	out, err := exec.CommandContext(ctx, "taskset", "-c", m.loadCPU, "wrk", "-t1", "-c"+connections, "-d"+duration, "--latency", address).CombinedOutput()
	if err != nil {
		return answered{}, fmt.Errorf("wrk: %w\n%s", err, out)
	}
	if bytes.Contains(out, []byte("Non-2xx")) || bytes.Contains(out, []byte("Socket errors")) {
		return answered{}, fmt.Errorf("not all answers were good:\n%s", out)
	}
	return parseWrk(out)
}

// wrkFigures are the lines of wrk's report that count.
var wrkFigures = []string{`(?m)^\s*(\d+) requests in`, `(?m)^Requests/sec:\s*([\d.]+)`, `(?m)^\s*99%\s+([\d.]+(?:us|ms|s))`}

func parseWrk(out []byte) (answered, error) {
	found := make([]string, len(wrkFigures))
	for i, pattern := range wrkFigures {
		match := regexp.MustCompile(pattern).FindSubmatch(out)
		if match == nil {
			return answered{}, fmt.Errorf("wrk says:\n%s", out)
		}
		found[i] = string(match[1])
	}
	requests, err := strconv.ParseFloat(found[0], 64)
	perSecond, secondErr := strconv.ParseFloat(found[1], 64)
	latency, latencyErr := time.ParseDuration(found[2])
	return answered{requests, perSecond, float64(latency) / float64(time.Millisecond)}, errors.Join(err, secondErr, latencyErr)
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
			spreadOf(r.perSecond).text("%.0f"), p99Text(r.p99))
	}
	fmt.Fprintf(out, "\n%s\n\nRepeat with `%s`.\n", m.machine(), m.repeat())
}

// p99Text is empty where the load tool does not tell.
func p99Text(values []float64) string {
	if slices.ContainsFunc(values, math.IsNaN) {
		return "–"
	}
	return spreadOf(values).text("%.1f")
}
