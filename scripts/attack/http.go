//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/quic-go/quic-go/http3"
)

// httpAttacks are those on the HTTP ports.
func httpAttacks() []attack {
	return []attack{
		{name: "ranges", run: ranges},
		{name: "ranges-http2", flags: secured, run: ranges},
		{name: "ranges-http3", flags: slices.Concat(secured, []string{"--hls_http3"}), run: ranges},
		{name: "requests", run: requests},
		{name: "slow-http1", compared: true, flags: slowFlags, run: slowSegments(dialHTTP1, slowCPU)},
		{name: "slow-https", compared: true, flags: slices.Concat(slowFlags, secured), run: slowSegments(dialHTTPS, slowCPU)},
		{name: "slow-http2", compared: true, flags: slowFlags, run: slowSegments(dialHTTP2, slowCPU)},
		{name: "slow-https2", compared: true, flags: slices.Concat(slowFlags, secured), run: slowSegments(dialHTTPS2, slowCPU)},
		{name: "http2-floods", flags: secured, run: http2Floods},
		{name: "slow-http3", compared: true, flags: slices.Concat(slowFlags, secured, []string{"--hls_http3"}), run: slowSegments(dialHTTP3, quicCPU)},
		{name: "pipelined", compared: true, run: pipelined},
		{name: "smuggled", run: smuggled},
		{name: "held", compared: true, run: held},
		{name: "idle", files: floodFiles, run: idleConnections},
		{name: "memory", flags: secured, run: memoryReturns},
		{name: "quic", flags: slices.Concat(secured, []string{"--hls_http3"}), run: quicHandshakes},
		{name: "stalled-log", unread: true, flags: []string{"--level", "debug"}, run: stalledLog},
	}
}

const (
	// manyRanges fill the headers that a request may have.
	manyRanges    = 3800
	rangeRequests = 40
)

// ranges asks for a segment in thousands of ranges.
func ranges(ctx context.Context, s *server, r *report) error {
	if err := s.publish(ctx, "movie"); err != nil {
		return err
	}
	segment, err := s.newest(ctx, "movie")
	if err != nil {
		return err
	}
	plain, err := s.costOf(rangeRequests, segment, nil)
	if err != nil {
		return err
	}
	many, err := s.costOf(rangeRequests, segment, http.Header{"Range": {"bytes=" + strings.Repeat("0-0,", manyRanges-1) + "0-0"}})
	if err != nil {
		return err
	}
	r.did("%d requests for a segment with %d ranges each", rangeRequests, manyRanges)
	r.atMost("CPU per request", milliseconds(many), 5*milliseconds(plain)+2, "ms")
	return nil
}

// costOf is the CPU time that the server spends on a request.
func (s *server) costOf(n int, path string, header http.Header) (time.Duration, error) {
	client := s.client(15 * time.Second)
	if s.http3 {
		client.Transport = &http3.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}}
	}
	defer client.CloseIdleConnections()
	before := s.cpu()
	for range n {
		request, err := http.NewRequest(http.MethodGet, s.hlsURL(path), nil)
		if err != nil {
			return 0, err
		}
		if header != nil {
			request.Header = header
		}
		response, err := client.Do(request)
		if err != nil {
			return 0, err
		}
		_, err = io.Copy(io.Discard, response.Body)
		response.Body.Close()
		if err != nil {
			return 0, fmt.Errorf("%s: %w", path, err)
		}
	}
	return (s.cpu() - before) / time.Duration(n), nil
}

func milliseconds(d time.Duration) float64 { return float64(d) / float64(time.Millisecond) }
