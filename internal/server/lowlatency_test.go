package server

import (
	"bytes"
	"context"
	"io"
	"net/http"
	"testing"
	"time"

	"github.com/quic-go/quic-go/http3"

	"livego/internal/flv"
	"livego/internal/hls/hlswatch"
)

// speed is how much faster than real time tests publish.
const speed = 4

// perform sends tags in their time, so many times one after the other. The clip lasts 8 s.
func (e *encoder) perform(t testing.TB, tags []flv.Tag, times int) {
	t.Helper()
	e.performAt(t, speed, tags, times)
}

// performAt is perform at a speed.
func (e *encoder) performAt(t testing.TB, speed time.Duration, tags []flv.Tag, times int) {
	t.Helper()
	const length = 8000
	began := time.Now()
	clock := time.NewTicker(5 * time.Millisecond)
	defer clock.Stop()
	for n := range times {
		for _, tag := range tags {
			if n > 0 && isHeader(tag) {
				continue
			}
			tag.TimestampMS += uint32(n * length)
			for time.Since(began)*speed < time.Duration(tag.TimestampMS)*time.Millisecond {
				<-clock.C
			}
			e.send(tag)
		}
	}
}

// awaitKeyFrames waits until a multivariant playlist names that of key frames, which is there once
// a segment is complete.
func awaitKeyFrames(ctx context.Context, client *http.Client, index string) {
	for ctx.Err() == nil {
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, index, nil)
		if err != nil {
			return
		}
		if resp, err := client.Do(request); err == nil {
			text, _ := io.ReadAll(resp.Body)
			resp.Body.Close()
			if bytes.Contains(text, []byte("#EXT-X-I-FRAME-STREAM-INF")) {
				return
			}
		}
		select {
		case <-time.After(50 * time.Millisecond):
		case <-ctx.Done():
		}
	}
}

// TestLowLatencyHLS has each response of a client that plays all renditions held against the rules,
// over a takeover and to the end.
func TestLowLatencyHLS(t *testing.T) {
	t.Parallel()
	secure := withTLS(t)
	for _, tc := range []struct {
		name, client, scheme string
		change               func(*Options)
		playlists, files     int
	}{
		{"HTTP/1.1", "HTTP/1.1", "http", func(*Options) {}, 3, 200},
		{"HTTP/2.0", "HTTP/2.0", "https", secure, 3, 200},
		{"HTTP/3.0", "HTTP/3.0", "https", func(o *Options) { secure(o); o.HLSHTTP3 = true }, 3, 200},
		{"joined", "HTTP/1.1", "http", func(o *Options) { o.HLS.Joined = true }, 2, 100}, // one more for the I-frames
	} {
		t.Run(tc.name, func(t *testing.T) {
			t.Parallel()
			s, tags := start(t, tc.change, func(o *Options) { o.HLS.SegmentDuration, o.HLS.ListSize = time.Second, 12 }), clip(t)
			client := clientOf(t, tc.client)
			client.Timeout = 0
			if tr, ok := client.Transport.(*http.Transport); ok {
				tr.MaxIdleConnsPerHost = 20
			}
			w := &hlswatch.Watcher{Client: client}
			ctx, cancel := context.WithTimeout(t.Context(), 4*patience)
			defer cancel()
			e := publish(t, s, "movie")
			watched := make(chan error, 1)
			go func() {
				index := s.url(tc.scheme, "hls", "/live/movie/index.m3u8")
				awaitKeyFrames(ctx, client, index)
				watched <- w.Watch(ctx, index)
			}()
			e.perform(t, tags, 2)
			second := publish(t, s, "movie")
			second.perform(t, tags, 1)
			second.unpublish()
			if err := receive(t, "end of the stream", watched); err != nil {
				t.Error(err)
			}
			if err := w.Checker.Err(); err != nil {
				t.Error(err)
			}
			if w.Checker.Playlists() != tc.playlists || w.Checker.Files() < tc.files {
				t.Errorf("%d playlists, %d files of\n%s", w.Checker.Playlists(), w.Checker.Files(), w.Index)
			}
			if tr, ok := client.Transport.(*http3.Transport); ok {
				tr.Close()
			}
		})
	}
}
