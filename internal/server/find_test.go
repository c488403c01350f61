package server

import (
	"testing"
	"time"

	"livego/internal/live"
)

// TestBring checks that viewers of all protocols have a stream brought that is not there, and wait
// for it.
func TestBring(t *testing.T) {
	for protocol, watch := range map[string]func(*testServer) error{
		"http-flv": func(s *testServer) error {
			resp, err := httpClient().Get(s.url("http", "http-flv", "/live/far.flv"))
			if err != nil {
				return err
			}
			wantEqual(s.t, "status", resp.StatusCode, 200)
			return resp.Body.Close()
		},
		"hls": func(s *testServer) error {
			resp, err := httpClient().Get(s.url("http", "hls", "/live/far/index.m3u8"))
			if err != nil {
				return err
			}
			wantEqual(s.t, "status", resp.StatusCode, 200)
			return resp.Body.Close()
		},
		"rtmp": func(s *testServer) error {
			tags := clip(s.t)
			watchRTMP(s.t, s, "far").await(s.t, tags[len(tags)-1])
			return nil
		},
	} {
		t.Run(protocol, func(t *testing.T) {
			t.Parallel()
			// Nobody waits without being told to.
			s := open(t, func(o *Options) { o.PlayWait, o.Live.Grace = 0, 0 })
			asked := make(chan live.Name, 16)
			s.sources = append(s.sources, func(name live.Name, _ []string) time.Duration {
				asked <- name
				return patience
			})
			s.run()
			came := make(chan error, 1)
			go func() { came <- watch(s) }()
			wantEqual(t, "asked for", receive(t, "a stream is asked for", asked), live.Name{App: "live", Stream: "far"})
			e := publish(t, s, "far")
			e.send(clip(t)...)
			if err := receive(t, "the viewer gets the stream", came); err != nil {
				t.Error(err)
			}
		})
	}
}
