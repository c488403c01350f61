//go:build linux

package main

import (
	"context"
	"net"
	"time"
)

// loggedPeers each leave a line in the log: together more than a pipe takes, which is 64 KiB.
const loggedPeers = 3000

// stalledLog fills the log, which nobody reads.
func stalledLog(ctx context.Context, s *server, r *report) error {
	if err := s.publish(ctx, "movie"); err != nil {
		return err
	}
	if _, err := s.newest(ctx, "movie"); err != nil {
		return err
	}
	for range loggedPeers {
		conn, err := net.DialTimeout("tcp", s.rtmp, time.Second)
		if err != nil {
			break // the bounds say what came of it
		}
		_, _ = conn.Write(make([]byte, 1600)) // no version of RTMP
		conn.Close()
	}
	r.did("stderr is a pipe that nobody reads, %d connections are refused", loggedPeers)
	r.atMost("a new publisher waits", s.took(func(ctx context.Context) error { return s.publish(ctx, "other") }).Seconds(), 2, "s")
	for what, url := range map[string]string{"the API waits": "http://" + s.api + "/stat/livestat", "the playlist waits": s.hlsURL("/live/movie.m3u8")} {
		r.atMost(what, s.took(func(context.Context) error {
			_, _, err := s.get(url, 10*time.Second)
			return err
		}).Seconds(), 2, "s")
	}
	return nil
}

// took returns how long something took that a server does, ten seconds at most.
func (s *server) took(f func(ctx context.Context) error) time.Duration {
	const most = 10 * time.Second
	ctx, cancel := context.WithTimeout(context.Background(), most)
	defer cancel()
	begin := time.Now()
	if f(ctx) != nil {
		return most
	}
	return time.Since(begin)
}
