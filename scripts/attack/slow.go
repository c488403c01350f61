//go:build linux

package main

import (
	"context"
	"crypto/tls"
	"encoding/binary"
	"fmt"
	"io"
	"net"
	"os"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/quic-go/quic-go"
	"github.com/quic-go/quic-go/http3"
)

const (
	slowReaders  = 500
	slowRate     = 8_000_000 // of the stream, in bits per second
	slowDuration = 8 * time.Second
	// slowJoin is the time in which they come: this machine does the cryptography of both sides.
	slowJoin = time.Second
	// slowPiece is what a slow reader takes each slowPause.
	slowPiece, slowPause = 8 << 10, 250 * time.Millisecond
	// maxGap is the longest time between two pictures that a viewer beside them may see.
	maxGap = 200 * time.Millisecond
	// slowCPU is what they may cost, with their handshakes, quicCPU the same over QUIC, whose
	// packets and acknowledgements the server itself has.
	slowCPU, quicCPU = 4 * time.Second, 8 * time.Second
	// maxUnread is what the kernel may hold for each of them, in MB: what the server has not sent
	// (256 KiB), what is on its way, and what a reader's own socket keeps.
	maxUnread = 1
)

// slowFlags make segments of several megabytes.
var slowFlags = []string{"--hls_segment_duration", "6"}

// dialer asks for a path in a connection of its own, and returns what reads the answer.
type dialer func(ctx context.Context, addr, path string) (io.ReadCloser, error)

// slowSegments has 500 readers fetch a segment and hardly read it, beside viewers of the same
// stream.
func slowSegments(dial dialer, cpu time.Duration) func(ctx context.Context, s *server, r *report) error {
	return func(ctx context.Context, s *server, r *report) error {
		w, err := s.watch(ctx, slowRate, slowDuration)
		if err != nil {
			return err
		}
		time.Sleep(watchWarmup)
		segment, err := s.newest(ctx, watchStream)
		if err != nil {
			return err
		}
		w.begin()
		before := kernelMemory()
		reading, done := context.WithCancel(ctx)
		var readers sync.WaitGroup
		for range slowReaders {
			time.Sleep(slowJoin / slowReaders)
			readers.Go(func() { readSlowly(reading, dial, s.hls, segment) })
		}
		most, rss := 0.0, 0.0
		for range int(slowDuration / (4 * slowPause)) {
			time.Sleep(2 * slowPause)
			most, rss = max(most, kernelMemory()-before), max(rss, s.memory())
		}
		r.did("%d readers take %d KiB/s of a segment of %d Mbit/s each, beside %d viewers over HTTP-FLV",
			slowReaders, slowPiece>>10*int(time.Second/slowPause), slowRate/1_000_000, watchPlayers)
		err = w.report(r, cpu)
		done()
		readers.Wait()
		r.atMost("memory of the kernel for TCP", most, slowReaders*maxUnread, "MB")
		r.atMost("memory of the server", rss, 250, "MB")
		return err
	}
}

// readSlowly asks for a file and takes a piece of the answer now and then.
func readSlowly(ctx context.Context, dial dialer, addr, path string) {
	answer, err := dial(ctx, addr, path)
	if err != nil {
		return
	}
	defer answer.Close()
	piece := make([]byte, slowPiece)
	for ctx.Err() == nil {
		if _, err := io.ReadFull(answer, piece); err != nil {
			return
		}
		select {
		case <-ctx.Done():
		case <-time.After(slowPause):
		}
	}
}

func dialHTTP1(_ context.Context, addr, path string) (io.ReadCloser, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, addr)
	return conn, err
}

func dialHTTPS(_ context.Context, addr, path string) (io.ReadCloser, error) {
	conn, err := tls.Dial("tcp", addr, &tls.Config{InsecureSkipVerify: true})
	if err != nil {
		return nil, err
	}
	_, err = fmt.Fprintf(conn, "GET %s HTTP/1.1\r\nHost: %s\r\n\r\n", path, addr)
	return conn, err
}

// dialHTTP2 speaks it without TLS, and lets the server send without end.
func dialHTTP2(_ context.Context, addr, path string) (io.ReadCloser, error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return nil, err
	}
	b := []byte("PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n")
	b = appendFrame(b, 4, 0, 0, []byte{0, 4, 0x7f, 0xff, 0xff, 0xff}) // SETTINGS_INITIAL_WINDOW_SIZE (RFC 9113 §6.5.2)
	b = appendFrame(b, 8, 0, 0, []byte{0x3f, 0xff, 0xff, 0xff})       // WINDOW_UPDATE of the connection (§6.9)
	b = appendFrame(b, 1, 0x5, 1, requestHeader(addr, path))          // HEADERS with END_STREAM and END_HEADERS (§6.2)
	_, err = conn.Write(b)
	return conn, err
}

// appendFrame appends a frame of HTTP/2 (RFC 9113 §4.1).
func appendFrame(b []byte, kind, flags byte, stream uint32, payload []byte) []byte {
	b = append(b, byte(len(payload)>>16), byte(len(payload)>>8), byte(len(payload)), kind, flags)
	b = binary.BigEndian.AppendUint32(b, stream)
	return append(b, payload...)
}

// requestHeader is a GET in HPACK: static entries for method and scheme, literals without indexing
// for the rest (RFC 7541 §6, appendix A).
func requestHeader(authority, path string) []byte {
	b := []byte{0x82, 0x86} // :method GET, :scheme http
	for index, value := range map[byte]string{1: authority, 4: path} {
		b = append(b, index, byte(len(value))) // below 127 bytes
		b = append(b, value...)
	}
	return b
}

func dialHTTP3(ctx context.Context, addr, path string) (io.ReadCloser, error) {
	conn, err := quic.DialAddr(ctx, addr, &tls.Config{InsecureSkipVerify: true, NextProtos: []string{http3.NextProtoH3}}, nil)
	if err != nil {
		return nil, err
	}
	control, err := conn.OpenUniStream()
	if err != nil {
		return nil, err
	}
	if _, err := control.Write([]byte{0x00, 0x04, 0x00}); err != nil { // a control stream with empty SETTINGS (RFC 9114 §6.2.1, §7.2.4)
		return nil, err
	}
	stream, err := conn.OpenStreamSync(ctx)
	if err != nil {
		return nil, err
	}
	// HEADERS (RFC 9114 §7.2.2) in QPACK: static entries 17 GET and 23 https, names 0 :authority
	// and 1 :path (RFC 9204 §4.5, appendix A).
	fields := []byte{0, 0, 0xc0 | 17, 0xc0 | 23}
	for index, value := range map[byte]string{0: addr, 1: path} {
		fields = append(fields, 0x50|index, byte(len(value)))
		fields = append(fields, value...)
	}
	if _, err := stream.Write(append([]byte{1, byte(len(fields))}, fields...)); err != nil { // below 64 bytes
		return nil, err
	}
	return quicAnswer{stream, conn}, stream.Close()
}

// quicAnswer is an answer with its connection.
type quicAnswer struct {
	*quic.Stream
	conn *quic.Conn
}

func (a quicAnswer) Close() error { return a.conn.CloseWithError(0, "") }

// kernelMemory is what all TCP sockets of this network namespace hold, in MB (/proc/net/sockstat
// counts pages).
func kernelMemory() float64 {
	stat, _ := os.ReadFile("/proc/net/sockstat")
	for line := range strings.Lines(string(stat)) {
		if fields := strings.Fields(line); len(fields) > 2 && fields[0] == "TCP:" {
			pages, _ := strconv.Atoi(fields[len(fields)-1])
			return float64(pages*os.Getpagesize()) / (1 << 20)
		}
	}
	return 0
}
