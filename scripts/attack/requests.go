//go:build linux

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"time"
)

const (
	// oddRequests is how often each odd request is sent, over one connection. oddCost is what one
	// may cost, in ms of CPU time, with all that it has to be read for: at most 16 KB of header and
	// 64 KB of body.
	oddRequests, oddCost = 100, 3.0
	maxHeader            = 15 << 10
	maxBody              = 60 << 10
)

// oddOnes are requests of the largest size that cost more to answer than to send, if a server is
// careless.
func oddOnes(s *server, segment string) map[string]string {
	repeat := func(what string, size int) string { return strings.Repeat(what, size/len(what)) }
	get := func(addr, path string, headers ...string) string {
		return "GET " + path + " HTTP/1.1\r\nHost: " + addr + "\r\n" + strings.Join(append(headers, ""), "\r\n") + "\r\n"
	}
	list, page := "/live/movie.m3u8", "/live/movie/"
	odd := map[string]string{
		"entity tags":       get(s.hls, list, "If-None-Match: "+repeat(`"x",`, maxHeader)+`"y"`),
		"entity tags, all":  get(s.hls, segment, "If-Match: "+repeat(`W/"x", `, maxHeader)+`"y"`, "Range: bytes=0-0,2-2,4-4,6-6"),
		"cookies":           get(s.hls, list, repeat("Cookie: a=b\r\n", maxHeader)+"X: y"),
		"many headers":      get(s.hls, list, repeat("A:\r\n", maxHeader)+"X: y"),
		"encodings":         get(s.hls, list, "Accept-Encoding: "+repeat("gzip;q=0,", maxHeader)),
		"types":             get(s.api, "/stat/livestat", "Accept: "+repeat("text/plain,", maxHeader)),
		"forwarded":         get(s.hls, list, "X-Forwarded-For: "+repeat("127.0.0.1,", maxHeader)),
		"delivery":          get(s.hls, "/live/movie/index-v0.m3u8?"+repeat("_HLS_x=1&", maxHeader)),
		"path":              get(s.hls, repeat("/a", maxHeader)),
		"path, escaped":     get(s.hls, repeat("/%61", maxHeader)+"/"),
		"page":              get(s.hls, page),
		"page of nobody":    get(s.hls, "/live/"+repeat("&lt;", 4<<10)+"/"),
		"status":            get(s.hls, page+"status.json"),
		"query of a stream": get(s.flv, "/live/nobody.flv?"+repeat("video=1&", maxHeader)),
		"list of streams":   get(s.flv, "/streams"),
		"token":             get(s.api, "/stat/livestat", "Authorization: Bearer "+repeat("a.", maxHeader)),
		"playlist in gzip":  get(s.hls, "/live/movie/index.m3u8", "Accept-Encoding: gzip"),
		"preflight": "OPTIONS " + list + " HTTP/1.1\r\nHost: " + s.hls + "\r\nAccess-Control-Request-Headers: " +
			repeat("x,", maxHeader) + "\r\n\r\n",
		"unknown method": strings.Repeat("A", 1000) + " / HTTP/1.1\r\nHost: " + s.hls + "\r\n\r\n",
	}
	for name, addr := range map[string]string{"HLS": s.hls, "FLV": s.flv, "API": s.api} {
		odd["body to "+name] = post(addr, "/live/movie.m3u8", repeat("a=&", maxBody))
	}
	odd["body in chunks"] = "POST / HTTP/1.1\r\nHost: " + s.hls + "\r\nTransfer-Encoding: chunked\r\n\r\n" + repeat("1\r\na\r\n", maxBody) + "0\r\n\r\n"
	odd["form"] = post(s.api, "/control/get", repeat("room&", maxBody))
	return odd
}

func post(addr, path, body string) string {
	return fmt.Sprintf("POST %s HTTP/1.1\r\nHost: %s\r\nContent-Type: application/x-www-form-urlencoded\r\nContent-Length: %d\r\n\r\n%s", path, addr, len(body), body)
}

// requests sends odd requests, one kind after the other.
func requests(ctx context.Context, s *server, r *report) error {
	if err := s.publish(ctx, "movie"); err != nil {
		return err
	}
	segment, err := s.newest(ctx, "movie")
	if err != nil {
		return err
	}
	worst, which := 0.0, ""
	odd := oddOnes(s, segment)
	for name, request := range odd {
		addr := s.hls
		for _, other := range []string{s.flv, s.api} {
			if strings.Contains(request, "Host: "+other) {
				addr = other
			}
		}
		before := s.cpu()
		answered, err := sendMany(addr, request, oddRequests)
		if err != nil {
			return fmt.Errorf("%s: %w", name, err)
		}
		cost := milliseconds(s.cpu()-before) / float64(answered)
		if cost > worst {
			worst, which = cost, name
		}
	}
	r.did("%d kinds of odd requests with as much as a request may have, %d of each", len(odd), oddRequests)
	r.atMost("CPU time of the worst ("+which+")", worst, oddCost, "ms")
	return nil
}

// sendMany sends a request over and over, and returns how many were answered, which may be fewer
// only if the server closes the connections.
func sendMany(addr, request string, n int) (answered int, err error) {
	var conn net.Conn
	var in *bufio.Reader
	method, _, _ := strings.Cut(request, " ")
	for range n {
		if conn == nil {
			if conn, err = net.DialTimeout("tcp", addr, time.Second); err != nil {
				return answered, err
			}
			_ = conn.SetDeadline(time.Now().Add(15 * time.Second))
			in = bufio.NewReader(conn)
		}
		_, _ = io.WriteString(conn, request) // it may be refused before all of it is sent
		response, err := http.ReadResponse(in, &http.Request{Method: method})
		if err == nil {
			_, err = io.Copy(io.Discard, response.Body)
			response.Body.Close()
			answered++
		}
		if err != nil || response.Close {
			conn.Close()
			conn = nil
		}
	}
	if conn != nil {
		conn.Close()
	}
	return max(answered, 1), nil
}
