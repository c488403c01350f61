//go:build linux

package main

import (
	"context"
	"io"
	"net"
	"strings"
	"sync"
	"time"
)

const (
	// floods is how many connections send requests without end, and slowHeads how many send a head
	// byte by byte. Nobody of the first reads an answer.
	floods, slowHeads = 64, 1000
	floodTime         = 6 * time.Second
	// floodCPU is what they may cost.
	floodCPU = 4 * time.Second
)

// pipelined has connections send request after request without reading, and others a head that
// never ends, beside viewers.
func pipelined(ctx context.Context, s *server, r *report) error {
	w, err := s.watch(ctx, 2_600_000, floodTime)
	if err != nil {
		return err
	}
	time.Sleep(watchWarmup)
	w.begin()
	sending, done := context.WithTimeout(ctx, floodTime)
	var all sync.WaitGroup
	get := "GET /" + watchStream + ".m3u8 HTTP/1.1\r\nHost: h\r\n\r\n"
	for range floods {
		all.Go(func() { send(sending, s.hls, strings.Repeat(get, 1000), 0) })
	}
	for range slowHeads {
		all.Go(func() { send(sending, s.hls, get[:4], time.Second) })
	}
	rss := 0.0
	for sending.Err() == nil {
		time.Sleep(time.Second / 4)
		rss = max(rss, s.memory())
	}
	r.did("%d connections send requests without end and read nothing, %d send a head byte by byte, beside %d viewers over HTTP-FLV", floods, slowHeads, watchPlayers)
	err = w.report(r, floodCPU)
	done()
	all.Wait()
	r.atMost("memory of the server", rss, 250, "MB")
	return err
}

// send writes text again and again, at once or a byte after each pause, until ctx ends or the
// server has had enough.
func send(ctx context.Context, addr, text string, pause time.Duration) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	for {
		if pause == 0 {
			if _, err := io.WriteString(conn, text); err != nil {
				return
			}
			continue
		}
		for i := range len(text) {
			if _, err := io.WriteString(conn, text[i:i+1]); err != nil {
				return
			}
			select {
			case <-ctx.Done():
				return
			case <-time.After(pause):
			}
		}
	}
}
