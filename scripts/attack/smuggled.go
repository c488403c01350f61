//go:build linux

package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// holders is how many requests for the next part are held of clients that read no answer, and
	// holdTime for how long they come again.
	holders   = 3000
	holdTime  = 6 * time.Second
	holdPause = 250 * time.Millisecond
	// holdCPU is what they may cost, listWithin how long another client may wait for a playlist.
	holdCPU    = 4 * time.Second
	listWithin = time.Second
	// quiet is after what time nothing more is an answer.
	quiet = time.Second
)

// disguises are requests with a body, or something like one, in which a second request hides: %d is
// its length, %s itself. What comes behind the head is no request of its own by the rules of RFC
// 9112 §6.3, or the request is refused.
var disguises = []string{
	"Host: h\r\nContent-Length: %d\r\n\r\n%s",
	"Host: h\r\nContent-Length: %[1]d\r\nContent-Length: %[1]d\r\n\r\n%[2]s",
	"Host: h\r\nContent-Length: 0\r\nContent-Length: %d\r\n\r\n%s",
	"Host: h\r\nContent-Length: 0, %d\r\n\r\n%s",
	"Host: h\r\nContent-Length: +%d\r\n\r\n%s",
	"Host: h\r\nContent-Length : %d\r\n\r\n%s",
	"Host: h\r\nContent-Length: 0\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
	"Host: h\r\nTransfer-Encoding: chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
	"Host: h\r\ntransfer-encoding: Chunked\r\n\r\n%x\r\n%s\r\n0\r\n\r\n",
	"Host: h\r\nTransfer-Encoding: xchunked\r\nX-Length: %d\r\n\r\n%s",
	"Host: h\r\nTransfer-Encoding : chunked\r\nX-Length: %d\r\n\r\n%s",
	"Host: h\r\nTransfer-Encoding: identity, chunked\r\nX-Length: %d\r\n\r\n%s",
	"Host: h\r\nX: a\x00b\r\nX-Length: %d\r\n\r\n%s",
	"Host: h\nContent-Length: %d\n\n%s",
	"Host: h\r\nHost: i\r\nX-Length: %d\r\n\r\n%s",
	"X-Length: %d\r\n\r\n%s",
}

// smuggled sends requests in which others hide, behind one that the loop of Low-Latency HLS
// answers, and counts those that were answered all the same.
func smuggled(ctx context.Context, s *server, r *report) error {
	if err := s.publish(ctx, "movie"); err != nil {
		return err
	}
	if _, err := s.newest(ctx, "movie"); err != nil {
		return err
	}
	hidden := "GET /live/movie/index.m3u8 HTTP/1.1\r\nHost: h\r\n\r\n"
	open, err := hiding(s.hls, "Host: h\r\nX-Length: %d\r\n\r\n%s", hidden)
	if err != nil || open != 1 {
		return fmt.Errorf("a request that does not hide is answered %d times: %w", open, err)
	}
	counts, failures := make([]int, len(disguises)), make([]error, len(disguises))
	var all sync.WaitGroup
	for i, disguise := range disguises {
		all.Go(func() { counts[i], failures[i] = hiding(s.hls, disguise, hidden) })
	}
	all.Wait()
	if err := errors.Join(failures...); err != nil {
		return err
	}
	found := 0
	for _, n := range counts {
		found += n
	}
	r.did("%d forms of requests in which another one hides, behind a plain one on the same connection", len(disguises))
	r.atMost("hidden requests that are answered", float64(found), 0, "")
	return nil
}

// hiding sends a plain request, and then another one in which a third hides. It returns how often
// that was answered.
func hiding(addr, disguise, hidden string) (int, error) {
	const plain = "GET /live/movie.m3u8 HTTP/1.1\r\n"
	answers, err := exchange(addr, plain+"Host: h\r\n\r\n", fmt.Sprintf(plain+disguise, len(hidden), hidden))
	if err != nil {
		return 0, fmt.Errorf("%q: %w", disguise, err)
	}
	return max(answers-2, 0), nil
}

// exchange sends texts one after the other, each when the answers to those before are there, and
// counts the answers.
func exchange(addr string, texts ...string) (answers int, err error) {
	conn, err := net.Dial("tcp", addr)
	if err != nil {
		return 0, err
	}
	defer conn.Close()
	for _, text := range texts {
		if _, err := io.WriteString(conn, text); err != nil {
			return 0, err
		}
		_ = conn.SetReadDeadline(time.Now().Add(quiet)) // shows at the read
		got, _ := io.ReadAll(conn)                      // up to then, or to the end
		answers += bytes.Count(got, []byte("HTTP/1.1 "))
		if answers == 0 {
			return 0, fmt.Errorf("no answer: %q", got)
		}
	}
	return answers, nil
}

// held has thousands of connections of one client ask for what is not there yet, again and again,
// without reading what comes, beside viewers; another client wants to be served meanwhile.
func held(ctx context.Context, s *server, r *report) error {
	w, err := s.watch(ctx, 2_600_000, holdTime)
	if err != nil {
		return err
	}
	time.Sleep(watchWarmup)
	for _, s := range []*server{s, s.other} {
		if _, err := s.newest(ctx, watchStream); err != nil {
			return err
		}
	}
	w.begin()
	asking, done := context.WithTimeout(ctx, holdTime)
	defer done()
	var hint atomic.Value
	hint.Store("")
	var all sync.WaitGroup
	for range holders {
		all.Go(func() { s.holdParts(asking, &hint) })
	}
	rss, slowest, other := 0.0, time.Duration(0), time.Duration(0)
	for asking.Err() == nil {
		list, took, err := s.list()
		if err != nil {
			return err
		}
		if _, next, ok := strings.Cut(list, `#EXT-X-PRELOAD-HINT:TYPE=PART,URI="`); ok {
			part, _, _ := strings.Cut(next, `"`)
			hint.Store(part)
		}
		_, control, err := s.other.list()
		if err != nil {
			return err
		}
		slowest, other, rss = max(slowest, took), max(other, control), max(rss, s.memory())
		time.Sleep(holdPause)
	}
	r.did("%d connections ask for the next part of Low-Latency HLS again and again and read nothing, beside %d viewers over HTTP-FLV", holders, watchPlayers)
	err = w.report(r, holdCPU)
	all.Wait()
	r.without("longest time to a playlist for another client", milliseconds(slowest), milliseconds(other), w.stretch, milliseconds(listWithin), "ms")
	r.atMost("memory of the server", rss, 400, "MB")
	return err
}

// list fetches a media playlist of Low-Latency HLS of the stream that is watched.
func (s *server) list() (text string, took time.Duration, err error) {
	began := time.Now()
	status, text, err := s.get(s.hlsURL("/live/"+watchStream+"/index-v0.m3u8"), holdTime)
	if err != nil || status != http.StatusOK {
		return "", 0, fmt.Errorf("another client: %d %w", status, err)
	}
	return text, time.Since(began), nil
}

// holdParts asks for the part that a playlist hinted at last, again and again, and reads no answer.
func (s *server) holdParts(ctx context.Context, hint *atomic.Value) {
	conn, err := net.Dial("tcp", s.hls)
	if err != nil {
		return
	}
	defer conn.Close()
	for ctx.Err() == nil {
		if part := hint.Load(); part != "" {
			_ = conn.SetWriteDeadline(time.Now().Add(quiet)) // shows at the write
			if _, err := fmt.Fprintf(conn, "GET /live/%s/%s HTTP/1.1\r\nHost: h\r\n\r\n", watchStream, part); err != nil {
				return
			}
		}
		select {
		case <-ctx.Done():
		case <-time.After(holdPause):
		}
	}
}
