package server

import (
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"livego/internal/live"
	"livego/internal/rtmp"
)

// scrape returns the metrics at an address, by name with labels.
func scrape(t testing.TB, address string) map[string]float64 {
	t.Helper()
	a := call(t, "GET", address)
	wantEqual(t, "status of "+address, a.status, 200)
	values := make(map[string]float64)
	for line := range strings.Lines(a.body) {
		if name, value, ok := strings.Cut(strings.TrimSpace(line), " "); ok && name != "#" {
			n, err := strconv.ParseFloat(value, 64)
			if err != nil {
				t.Fatalf("%q: %v", line, err)
			}
			values[name] = n
		}
	}
	return values
}

// TestMetrics looks at what metrics say of a publisher and its viewers, while they are there and
// afterwards.
func TestMetrics(t *testing.T) {
	s, tags := start(t, func(o *Options) { o.MetricsAddr = "127.0.0.1:0" }), clip(t)
	address := s.url("http", "metrics", "/metrics")
	e := publish(t, s, "movie")
	e.send(tags...)
	v := watchFLV(t, s, "movie")
	call(t, "GET", s.url("http", "hls", "/live/movie.m3u8"))
	call(t, "GET", s.url("http", "hls", "/live/nothing.m3u8"))
	if _, err := tryPublish(t, s.url("rtmp", "rtmp", "/live/"+strings.Repeat("x", 48))); err == nil {
		t.Error("a wrong key was taken")
	}
	dial(t, s.addr("rtmp")).Write([]byte("GET / HTTP/1.0\r\n\r\n"))

	var m map[string]float64
	within := func(what string, want map[string]func(float64) bool) {
		t.Helper()
		var missing []string
		eventually(t, what, func() bool {
			missing = missing[:0]
			m = scrape(t, address)
			for name, ok := range want {
				if v, there := m[name]; !there || !ok(v) {
					missing = append(missing, fmt.Sprintf("%s %v %t", name, v, there))
				}
			}
			return len(missing) == 0
		})
	}
	is := func(want float64) func(float64) bool { return func(v float64) bool { return v == want } }
	above := func(least float64) func(float64) bool { return func(v float64) bool { return v > least } }
	within("all is counted", map[string]func(float64) bool{
		`livego_streams{app="live",state="live"}`:                                is(1),
		`livego_publishers{app="live",protocol="rtmp"}`:                          is(1),
		`livego_viewers{app="live",protocol="http-flv"}`:                         is(1),
		`livego_viewers{app="live",protocol="hls"}`:                              is(1),
		`livego_stream_up{app="live",stream="movie"}`:                            is(1),
		`livego_stream_viewers{app="live",stream="movie"}`:                       is(2),
		`livego_stream_received_bytes_total{app="live",stream="movie"}`:          above(10_000),
		`livego_stream_sent_bytes_total{app="live",stream="movie"}`:              above(1000),
		`livego_stream_key_frame_interval_seconds{app="live",stream="movie"}`:    above(0),
		`livego_received_bytes_total{protocol="rtmp"}`:                           above(10_000),
		`livego_sent_bytes_total{protocol="http-flv"}`:                           above(1000),
		`livego_sent_bytes_total{protocol="hls"}`:                                above(100),
		`livego_hls_requests_total{code="200",kind="ts_playlist"}`:               is(1),
		`livego_hls_parts_total`:                                                 above(0),
		`livego_ring_bytes`:                                                      above(10_000),
		`livego_delivery_feeds`:                                                  is(1),
		`livego_publishers_refused_total{reason="unknown_key"}`:                  is(1),
		`livego_handshake_failures_total{protocol="rtmp",reason="http_request"}`: is(1),
		`livego_key_store_duration_seconds_count`:                                above(2),
		`livego_events_total{type="stream.started"}`:                             is(1),
		`livego_connections`:                                                     above(1),
	})
	before := m[`livego_received_bytes_total{protocol="rtmp"}`]
	e.unpublish()
	receive(t, "the viewer ends", v.ended)
	within("all is over", map[string]func(float64) bool{
		`livego_sessions_ended_total{protocol="rtmp",reason="unpublished",role="publisher"}`:   is(1),
		`livego_sessions_ended_total{protocol="http-flv",reason="stream_ended",role="player"}`: is(1),
		`livego_received_bytes_total{protocol="rtmp"}`:                                         is(before),
		`livego_delivery_feeds`: is(0),
	})
	if _, there := m[`livego_stream_up{app="live",stream="movie"}`]; there {
		t.Error("a stream that is over has metrics of its own")
	}
	wantEqual(t, "what else is there", call(t, "GET", s.url("http", "metrics", "/stat/livestat")).status, 404)
	wantEqual(t, "on the port of the API", scrape(t, s.url("http", "api", "/metrics"))[`livego_events_total{type="stream.ended"}`], 1)
}

// TestMetricsPolicy: on the port of the API metrics are for who may use it.
func TestMetricsPolicy(t *testing.T) {
	s := start(t, func(o *Options) { o.API.Secret = strings.Repeat("s", 32) })
	if a := call(t, "GET", s.url("http", "api", "/metrics")); a.status == 200 || strings.Contains(a.body, "livego_") {
		t.Errorf("without a token: %d %.100s", a.status, a.body)
	}
}

// TestHandshakeFailures: who does not get through TLS is counted on each port, and so is until when
// the certificate is good.
func TestHandshakeFailures(t *testing.T) {
	dir := t.TempDir()
	cert, key := filepath.Join(dir, "a.crt"), filepath.Join(dir, "a.key")
	writePEM(t, newCertificate(t, 1), cert, key)
	s := start(t, func(o *Options) {
		o.RTMPSAddr, o.FLVTLS, o.HLSTLS = "127.0.0.1:0", true, true
		o.RTMPSCert, o.RTMPSKey, o.HTTPSCert, o.HTTPSKey = cert, key, cert, key
	})
	for _, protocol := range []string{"rtmps", "http-flv", "hls"} {
		c := dial(t, s.addr(protocol))
		if _, err := io.WriteString(c, "this is not TLS, and goes on for longer than a record's header\r\n\r\n"); err != nil {
			t.Fatal(err)
		}
		_, _ = io.Copy(io.Discard, c) // until the server closes
		eventually(t, protocol+" is counted", func() bool {
			return s.handshakes.all()[handshake{protocol, failedTLS}] == 1
		})
	}
	good, err := tls.Dial("tcp", s.addr("hls"), trusting())
	if err != nil {
		t.Fatal(err)
	}
	good.Close()
	m := scrape(t, s.url("http", "api", "/metrics"))
	for _, option := range []string{"rtmps_cert", "https_cert"} {
		if m[`livego_certificate_expiry_timestamp_seconds{option="`+option+`"}`] < 1e9 {
			t.Errorf("no expiry of %s", option)
		}
	}
	wantEqual(t, "failures of hls", s.handshakes.all()[handshake{"hls", failedTLS}], 1)
}

// TestReasonWords: each cause has its word, and what nobody thought of has one too.
func TestReasonWords(t *testing.T) {
	for _, c := range []struct {
		err     error
		failed  string
		refused string
	}{
		{fmt.Errorf("reading: %w", rtmp.ErrProtocol), "protocol", "other"},
		{&net.OpError{Op: "read", Err: os.ErrDeadlineExceeded}, "timeout", "other"},
		{&rtmp.StatusError{Code: rtmp.CodeConnectRejected}, "refused", "other"},
		{io.EOF, "connection_lost", "other"},
		{errUndecided, "connection_lost", "hook_unanswered"},
		{fmt.Errorf("%w: no", errRefused), "connection_lost", "hook"},
		{&denied{"none", errNoKey}, "connection_lost", "no_key"},
		{live.ErrInUse, "connection_lost", "in_use"},
		{errors.New("new"), "connection_lost", "other"},
	} {
		wantEqual(t, fmt.Sprint("why it failed: ", c.err), handshakeReason(c.err), c.failed)
		wantEqual(t, fmt.Sprint("why it was refused: ", c.err), refusalReason(c.err), c.refused)
	}
}

// BenchmarkScrape scrapes a server with 1,000 streams and 10,000 players.
func BenchmarkScrape(b *testing.B) {
	s := open(b)
	defer s.drain()
	const streams, players = 1000, 10
	for i := range streams {
		name := live.Name{App: "live", Stream: fmt.Sprintf("stream-%04d", i)}
		pub, err := s.hub.Publish(name, func(error) {})
		if err != nil {
			b.Fatal(err)
		}
		for j := range 1 + players {
			ss := newSession([]string{"rtmp", "http-flv", "ws-flv"}[j%3], "192.0.2.1:1", name, "", j == 0)
			ss.figures = func() figures { return figures{video: uint64(i), audio: uint64(j), jumps: 1} }
			ss.pub, ss.close = pub.Publication(), func(error) {}
			s.sessions.add(ss)
			ss.sample()
			ss.sample()
		}
	}
	h := s.metrics.Handler()
	r := httptest.NewRequest(http.MethodGet, "/metrics", nil)
	var size int
	b.ReportAllocs()
	for b.Loop() {
		w := httptest.NewRecorder()
		h.ServeHTTP(w, r)
		if size = w.Body.Len(); w.Code != http.StatusOK || size < 50_000 {
			b.Fatal(w.Code, size)
		}
	}
	b.ReportMetric(float64(size), "bytes/scrape")
}
