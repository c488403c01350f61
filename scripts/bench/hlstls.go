//go:build linux

package main

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os/exec"
	"regexp"
	"strconv"
)

// way is how a file is asked for.
type way struct {
	name string // behind that of the file
	tls  bool
	load func(m *measurement, ctx context.Context, address string) (answered, error)
}

// The ways that the HLS scenario measures. Browsers on https pages have the latter two.
var (
	plain    = way{load: (*measurement).wrk}
	secure   = way{name: ", TLS, HTTP/1.1", tls: true, load: (*measurement).wrk}
	secureH2 = way{name: ", TLS, HTTP/2", tls: true, load: (*measurement).h2load}
)

// answered is what the load tool saw.
type answered struct {
	requests, perSecond float64
	p99                 float64 // milliseconds, NaN where it is not told
}

// streamsEach is how many requests h2load has under way on each connection, as many as there are
// of a player for sound and pictures.
const streamsEach = 4

// h2load asks for one URL over HTTP/2, with as many requests under way as wrk has.
func (m *measurement) h2load(ctx context.Context, address string) (answered, error) {
	duration := strconv.Itoa(max(int(m.duration.Seconds()), 1))
	out, err := exec.CommandContext(ctx, "taskset", "-c", m.loadCPU, "h2load", "-t1", "-c"+strconv.Itoa(hlsConnections/streamsEach),
		"-m"+strconv.Itoa(streamsEach), "-D"+duration, address).CombinedOutput()
	if err != nil {
		return answered{}, fmt.Errorf("h2load: %w\n%s", err, out)
	}
	return parseH2load(out)
}

// h2loadFigures are the lines of h2load's report that count.
var h2loadFigures = []*regexp.Regexp{
	regexp.MustCompile(`(?m)^status codes: (\d+) 2xx, 0 3xx, 0 4xx, 0 5xx`),
	regexp.MustCompile(`(?m)^finished in [\d.]+m?s, ([\d.]+) req/s`),
	regexp.MustCompile(`(?m)^(Application protocol: h2)$`),
}

// parseH2load reads h2load's report.
func parseH2load(out []byte) (answered, error) {
	var found []string
	for _, pattern := range h2loadFigures {
		match := pattern.FindSubmatch(out)
		if match == nil {
			return answered{}, fmt.Errorf("h2load says:\n%s", out)
		}
		found = append(found, string(match[1]))
	}
	requests, err := strconv.ParseFloat(found[0], 64)
	perSecond, err2 := strconv.ParseFloat(found[1], 64)
	return answered{requests, perSecond, math.NaN()}, errors.Join(err, err2)
}

// httpsFlags have livego serve all that browsers ask for over TLS too.
func (m *measurement) httpsFlags() []string {
	return []string{"--https_addr", m.tlsAddr, "--https_cert", m.certificate(), "--https_key", m.privateKey()}
}

// livegoHTTPS is livego, whose players of Low-Latency HLS come over TLS and HTTP/1.1, or HTTP/2.
type livegoHTTPS struct {
	livego
	two bool
}

var _ kind = livegoHTTPS{}

func (k livegoHTTPS) prepare(ctx context.Context, m *measurement) error {
	return errors.Join(m.makeCertificate(), k.livego.prepare(ctx, m))
}

func (k livegoHTTPS) command(m *measurement, args []string) (*target, error) {
	t, err := k.livego.command(m, append(m.httpsFlags(), args...))
	if err != nil {
		return nil, err
	}
	t.load = append(t.load, "--publish", "rtmp://"+m.rtmpAddr+"/live/{key}", "--play", "https://"+m.tlsAddr+"/live/{stream}/index.m3u8", "--insecure")
	if k.two {
		t.load = append(t.load, "--http2")
	}
	return t, nil
}
