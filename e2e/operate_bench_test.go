package e2e

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os/exec"
	"slices"
	"strconv"
	"testing"
	"time"

	"livego/internal/bench"
)

// loadTool runs `livego bench` on a server and returns its report.
func loadTool(t testing.TB, s *server, args ...string) *bench.Report {
	t.Helper()
	report, err := runLoad(t.Context(), setting(t, "LIVEGO_BIN"), s, args...)
	if err != nil {
		t.Fatal(err)
	}
	return report
}

// runLoad is loadTool for other goroutines than the test's.
func runLoad(ctx context.Context, program string, s *server, args ...string) (*bench.Report, error) {
	ctx, cancel := context.WithTimeout(ctx, 2*time.Minute)
	defer cancel()
	addresses := []string{"--rtmp_addr", s.rtmp, "--httpflv_addr", s.flv, "--hls_addr", s.hls, "--api_addr", s.api}
	all := slices.Concat([]string{"bench", "--json", "--pid", strconv.Itoa(s.command.Process.Pid)}, addresses, args)
	command := exec.CommandContext(ctx, program, all...)
	command.Dir = s.dir
	var said bytes.Buffer
	command.Stderr = &said
	out, err := command.Output()
	if err != nil {
		return nil, fmt.Errorf("livego bench: %w\n%s", err, said.String())
	}
	var r bench.Report
	if err := json.Unmarshal(out, &r); err != nil {
		return nil, fmt.Errorf("livego bench says %s: %w", out, err)
	}
	return &r, nil
}

// TestBench puts a small load on a server by each protocol, with a certificate of its own where
// there is TLS.
func TestBench(t *testing.T) {
	t.Parallel()
	certificate, key := selfSigned(t, t.TempDir())
	secureAddress := freeAddress(t)
	files := []string{"--rtmps_cert", certificate, "--rtmps_key", key, "--https_cert", certificate, "--https_key", key}
	secure := []string{"--rtmps_addr", secureAddress, "--use_flv_https", "--use_hls_https"}
	plainServer := start(t, "--hls_segment_duration", "1")
	secureServer := start(t, slices.Concat([]string{"--hls_segment_duration", "1"}, secure, files)...)
	small := []string{"--players", "6", "--sample", "3", "--video-rate", "400", "--warmup", "1s", "--duration", "2s"}
	for _, c := range []struct {
		name, protocol string
		tls            bool
	}{
		{"rtmp", "rtmp", false}, {"http-flv", "http-flv", false}, {"ws-flv", "ws-flv", false}, {"hls", "hls", false}, {"ll-hls", "ll-hls", false},
		{"rtmps", "rtmps", true}, {"https-flv", "http-flv", true}, {"wss-flv", "ws-flv", true}, {"https-hls", "hls", true}, {"https-ll-hls", "ll-hls", true},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			s, args := plainServer, []string{"--protocol", c.protocol, "--stream", c.name}
			if c.tls {
				s, args = secureServer, append(args, append(secure, "--insecure")...)
			}
			r := loadTool(t, s, append(args, small...)...)
			if r.Connected != 6 || r.Delivered+r.Starved == 0 || r.FirstKeyMS.Count != 3 || r.LatencyMS.Count == 0 || r.Reconnects != 0 {
				t.Errorf("%v", r)
			}
			if r.Faults != (bench.Faults{}) || r.Server == nil || r.Server.RSS == 0 {
				t.Errorf("%v", r)
			}
			if low := c.protocol == "ll-hls"; low != (r.PartMS.Count > 0) {
				t.Errorf("%v", r)
			}
		})
	}
}

// TestBenchFile publishes files over and over: FLV as it is, and what is not FLV.
func TestBenchFile(t *testing.T) {
	t.Parallel()
	s := start(t)
	for _, format := range []string{"flv", "mp4", "ts"} {
		t.Run(format, func(t *testing.T) {
			t.Parallel()
			r := loadTool(t, s, "--file", clip(t, "h264-aac", 2, format), "--stream", format, "--protocol", "http-flv",
				"--players", "2", "--sample", "1", "--warmup", "1s", "--duration", "4s")
			if r.Connected != 2 || r.LatencyMS.Count == 0 || r.Faults != (bench.Faults{}) || r.Jumps != 0 || r.Reconnects != 0 {
				t.Errorf("%v", r)
			}
		})
	}
}

// TestBenchStorm has players join while others watch.
func TestBenchStorm(t *testing.T) {
	t.Parallel()
	s := start(t)
	r := loadTool(t, s, "--stream", "storm", "--players", "5", "--sample", "5", "--storm", "40", "--video-rate", "400", "--warmup", "0s", "--duration", "3s")
	if r.Connected != 5 || r.StormConnected != 40 || r.StormFirstKeyMS.Count != 40 || r.GapMS.Count == 0 || r.Faults != (bench.Faults{}) {
		t.Errorf("%v", r)
	}
}
