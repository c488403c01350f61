package metrics

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/testutil"

	"livego/internal/event"
	"livego/internal/fanout"
	"livego/internal/hls"
	"livego/internal/spool"
)

// full are figures in which nothing is left out.
func full() *Figures {
	return &Figures{
		Streams: []Stream{
			{App: "live", Name: "a", OnAir: true, Viewers: 3, Received: 1000, Sent: 3000, Rate: 125, KeyInterval: 2 * time.Second},
			{App: "live", Name: "quote\" and \\ and\nline \xff", Viewers: 1, Received: 5},
		},
		Sessions:  []Sessions{{"live", Publisher, "rtmp", 1}, {"live", Player, "http-flv", 3}, {"live", Player, "hls", 1}},
		Ended:     []Ended{{Player, "rtmp", "stalled", 2}},
		Traffic:   []Traffic{{Publisher, "rtmp", 1005, 1}, {Player, "http-flv", 3000, 4}},
		Refused:   map[string]uint64{"unknown_key": 7},
		Tokens:    map[string]uint64{"valid": 5},
		RingBytes: 10, Delivery: fanout.Stats{Feeds: 1, LogBytes: 20, Wait: 10 * time.Millisecond},
		HLS: hls.Totals{
			Segments: 1, Bytes: 2, CMAFSegments: 3, Parts: 4, CMAFBytes: 5, WideParts: 6, Dropped: 7, ForcedCuts: 8, Silence: 1500 * time.Millisecond,
			WindowBytes: 9, Answers: []hls.Answers{{Kind: "part", Code: 200, Count: 11}, {Kind: "other", Count: 1}}, SentBytes: 12, Held: 13,
		},
		Rewind:     &spool.Stats{Segments: 1, Bytes: 2, Queued: 3, Lost: 4},
		Recordings: &Recordings{Active: 1, Complete: 2, Queued: 3, Spooled: 4, Stored: 5, Bytes: 6, Failed: 7, Lost: 8, Took: time.Second},
		Cluster:    &Cluster{Ahead: time.Millisecond, LostClaims: 1, Claims: map[string]uint64{"got": 2}, Nodes: map[string]int{"gone": 3}, Load: 0.5, Feeds: 1, Moves: 2, Redirects: 3, Copies: 2, Hits: 3, Misses: 4, Coalesced: 5, Failed: 6, Files: 7, Bytes: 8},
		Relays:     []Relays{{Direction: "push", States: map[string]int{"running": 1}, Tries: 2, Failures: 1, Bytes: 3, Skipped: 4}},
		Hooks:      &Hooks{Delivered: 1, Failed: 2, Dropped: 3, Missed: 4, Tries: 5, Waiting: 6},
		Questions:  &Questions{Allowed: 1, Refused: 2, Unanswered: 3}, ViewerQuestions: &Questions{Allowed: 4},
		Events:      map[event.Type]uint64{event.StreamStarted: 2},
		Connections: Connections{Open: 5, Viewers: 4, Limit: 100, ViewerLimit: 90, Refused: 1, Evicted: 2},
		Handshakes:  []Handshakes{{"rtmp", "protocol", 3}},
		LogLines:    map[string]uint64{"error": 1}, LeftOut: 2,
		Certificates: map[string]time.Time{"https_cert": time.Unix(1_800_000_000, 0)},
	}
}

// TestNames checks names, types and help by the conventions of Prometheus, and that all metrics are
// there.
func TestNames(t *testing.T) {
	m := New(Options{Streams: 200, Version: "test", Read: full})
	m.Delivered(3 * time.Millisecond)
	m.Published(40 * time.Millisecond)
	m.KeysAsked(time.Millisecond, true)
	m.RegistryAsked(time.Millisecond, true)
	problems, err := testutil.GatherAndLint(m.registry)
	if err != nil {
		t.Fatal(err)
	}
	for _, p := range problems {
		t.Errorf("%s: %s", p.Metric, p.Text)
	}
	families, err := m.registry.Gather()
	if err != nil {
		t.Fatal(err)
	}
	there := make(map[string]bool)
	for _, f := range families {
		there[f.GetName()] = true
	}
	c := newCollector(1, full)
	for _, d := range c.all {
		name, _, _ := strings.Cut(strings.TrimPrefix(d.String(), `Desc{fqName: "`), `"`)
		if !there[name] {
			t.Errorf("no figure leads to %s", name)
		}
	}
}

// TestScrape compares some lines with what they should be, over HTTP.
func TestScrape(t *testing.T) {
	m := New(Options{Streams: 200, Version: "1.2.3", Read: full})
	m.Delivered(3 * time.Millisecond)
	w := httptest.NewRecorder()
	m.Handler().ServeHTTP(w, httptest.NewRequest(http.MethodGet, "/metrics", nil))
	body, err := io.ReadAll(w.Result().Body)
	if err != nil || w.Code != http.StatusOK {
		t.Fatalf("%d, %v", w.Code, err)
	}
	for _, line := range []string{
		`livego_streams{app="live",state="live"} 1`, `livego_streams{app="live",state="interrupted"} 1`,
		`livego_publishers{app="live",protocol="rtmp"} 1`, `livego_viewers{app="live",protocol="hls"} 1`,
		`livego_sessions_ended_total{protocol="rtmp",reason="stalled",role="player"} 2`,
		`livego_received_bytes_total{protocol="rtmp"} 1005`, `livego_sent_bytes_total{protocol="http-flv"} 3000`, `livego_sent_bytes_total{protocol="hls"} 12`,
		`livego_stream_up{app="live",stream="a"} 1`, `livego_stream_key_frame_interval_seconds{app="live",stream="a"} 2`,
		`livego_stream_viewers{app="live",stream="quote\" and \\ and\nline ` + "\uFFFD" + `"} 1`,
		`livego_delivery_latency_seconds_bucket{le="0.005"} 1`, `livego_delivery_wait_seconds 0.01`,
		`livego_hls_requests_total{code="200",kind="part"} 11`, `livego_hls_requests_total{code="other",kind="other"} 1`, `livego_hls_silence_seconds_total 1.5`,
		`livego_cluster_registry_up 1`, `livego_cluster_nodes{state="gone"} 3`, `livego_cluster_claims_total{result="got"} 2`, `livego_cluster_load_ratio 0.5`, `livego_edge_requests_total{result="coalesced"} 5`, `livego_recordings{state="active"} 1`,
		`livego_events_total{type="stream.started"} 2`, `livego_events_total{type="stream.ended"} 0`,
		`livego_certificate_expiry_timestamp_seconds{option="https_cert"} 1.8e+09`,
	} {
		if !strings.Contains(string(body), line+"\n") {
			t.Errorf("no line %s", line)
		}
	}
	if !strings.Contains(string(body), `version="1.2.3"`) || strings.Contains(string(body), `"_other"`) {
		t.Errorf("the version is missing, or there are others:\n%s", body)
	}
}

// TestOthers: only so many streams have series of their own, which stay until they end, and the
// counts of the others never go down.
func TestOthers(t *testing.T) {
	c := newSelection(2)
	at := func(name string, viewers int, received uint64) Stream {
		return Stream{App: "live", Name: name, OnAir: true, Viewers: viewers, Received: received, Rate: 1}
	}
	for i, step := range []struct {
		streams []Stream
		own     string
		rest    string // received, viewers, up
	}{
		{[]Stream{at("a", 1, 10), at("b", 2, 20)}, "b a", ""},
		{[]Stream{at("a", 1, 11), at("b", 2, 21), at("c", 9, 100), at("d", 0, 5)}, "b a", "105 9 2"},
		{[]Stream{at("a", 1, 12), at("c", 9, 110), at("d", 0, 6)}, "c a", "106 0 1"},
		{[]Stream{at("a", 1, 12), at("c", 9, 120)}, "c a", "106 0 0"},
		{[]Stream{at("a", 1, 12), at("c", 9, 120), at("d", 0, 3), at("e", 0, 4)}, "c a", "113 0 2"},
		{[]Stream{at("a", 1, 12), at("c", 9, 120), at("d", 0, 2), at("e", 0, 5)}, "c a", "114 0 2"},
		{nil, "", "114 0 0"},
	} {
		own, rest, up, ok := c.split(step.streams)
		var names []string
		for _, s := range own {
			names = append(names, s.Name)
		}
		text := ""
		if ok {
			text = fmt.Sprint(rest.Received, rest.Viewers, up)
		}
		if diff := cmp.Diff([]string{step.own, step.rest}, []string{strings.Join(names, " "), text}); diff != "" {
			t.Errorf("step %d (-want +got):\n%s", i, diff)
		}
	}
	none := newSelection(-1)
	if own, rest, up, ok := none.split([]Stream{at("a", 1, 10)}); len(own) > 0 || up != 1 || !ok || rest.Received != 10 {
		t.Errorf("none of their own: %v, %v, %d, %t", own, rest, up, ok)
	}
}

// TestOtherByName: nobody makes two series of one by the name of an app.
func TestOtherByName(t *testing.T) {
	read := func() *Figures {
		return &Figures{Streams: []Stream{{App: other, Name: other}, {App: "live", Name: "a"}, {App: "live", Name: "b"}}}
	}
	registry := prometheus.NewRegistry()
	registry.MustRegister(newCollector(1, read))
	if _, err := registry.Gather(); err != nil {
		t.Error(err)
	}
}
