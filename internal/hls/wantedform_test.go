package hls

import (
	"io"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/hls/hlstest"
)

// TestWantedInOneForm: who asks for one form does not make the other one begin as for somebody who
// waits: CMAF with a gap and a target duration of 10 s, MPEG-TS with a first segment of one GOP.
func TestWantedInOneForm(t *testing.T) {
	const ts, cmaf, media = "/live/movie.m3u8", "/live/movie/index.m3u8", "/live/movie/index-v0.m3u8"
	tests := []struct {
		asks         string
		early, short bool
	}{{ts, false, true}, {cmaf, true, false}, {media, true, false}, {"", false, false}}
	for _, test := range tests {
		synctest.Test(t, func(t *testing.T) {
			s := newServer(Options{})
			feed, end := onAirAs(t, s, "", hlstest.Encoders(25, 25)[0])
			if test.asks != "" {
				later(t, s, test.asks)
			}
			for at := time.Second / 4; at < 9*time.Second; at += time.Second / 4 {
				feed(at)
			}
			list, whole := body(t, ask(s, "GET", media)), body(t, ask(s, "GET", ts))
			if early := strings.Contains(list, "TARGETDURATION:10\n") && strings.Contains(list, "#EXT-X-GAP\n"); early != test.early {
				t.Errorf("after a request for %q CMAF has\n%s", test.asks, list)
			}
			if short := strings.Contains(whole, "#EXTINF:1.00000,\n"); short != test.short {
				t.Errorf("after a request for %q MPEG-TS has\n%s", test.asks, whole)
			}
			_ = end(io.EOF)
			time.Sleep(time.Minute)
		})
	}
}
