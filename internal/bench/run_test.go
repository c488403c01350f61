package bench

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"log/slog"
	"net"
	"net/http"
	"os"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"go.uber.org/goleak"

	"livego/internal/keys"
	"livego/internal/server"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// startServer runs a livego and returns its addresses by protocol, and its keys.
func startServer(t *testing.T, changes ...func(*server.Options)) (map[string]net.Addr, keys.Store) {
	t.Helper()
	store := keys.NewMemory(keys.Options{Log: slog.New(slog.DiscardHandler)})
	o := server.Options{
		Log:      slog.New(slog.DiscardHandler),
		RTMPAddr: "127.0.0.1:0", FLVAddr: "127.0.0.1:0", HLSAddr: "127.0.0.1:0",
		Apps: []server.App{{Name: "live", Live: true, HLS: true, FLV: true}}, Keys: store, DrainTimeout: time.Second, HLSLoop: true,
	}
	o.Live.GOPs, o.Live.Grace, o.Live.Takeover, o.Fanout.Rings = 1, 10*time.Second, true, true
	o.HLS.SegmentDuration, o.HLS.ListSize, o.HLS.CMAF = 2*time.Second, 3, true
	for _, change := range changes {
		change(&o)
	}
	s, err := server.New(o)
	if err != nil {
		t.Fatal(err)
	}
	ctx, stop := context.WithCancel(context.Background())
	done := make(chan error, 1)
	go func() { done <- s.Run(ctx) }()
	t.Cleanup(func() {
		stop()
		if err := <-done; err != nil {
			t.Error(err)
		}
		store.Close()
	})
	return s.Addrs(), store
}

// TestRun puts a small load on a real server, by every protocol at once.
func TestRun(t *testing.T) {
	t.Parallel()
	addrs, store := startServer(t)
	flv, name := addrs["http-flv"].String(), "/live/{stream}"
	progress := 0
	o := Options{
		Publish: "rtmp://" + addrs["rtmp"].String() + "/live/{key}",
		Play: []string{
			"rtmp://" + addrs["rtmp"].String() + name, "http://" + flv + name + ".flv", "ws://" + flv + name + ".flv",
			"http://" + addrs["hls"].String() + name + ".m3u8",
		},
		Keys: store.Get, Stream: "test", Streams: 2, Players: 16, Sample: 8, JoinRate: 1000,
		VideoRate: 452_000, AudioRate: 64_000, Duration: time.Second,
		Progress: func(Progress) { progress++ },
	}
	if runtime.GOOS == "linux" {
		o.PIDs = []int{os.Getpid()}
	}
	r, err := Run(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if r.Connected != 16 || r.Gbit <= 0 || r.LatencyMS.Count == 0 || r.FirstKeyMS.Count != 8 {
		t.Errorf("%v", r)
	}
	if r.Faults != (Faults{}) || r.Reconnects != 0 || r.PublisherReconnects != 0 {
		t.Errorf("%v", r)
	}
	if o.PIDs != nil && (r.Server == nil || r.Server.RSS == 0) {
		t.Errorf("the server's cost: %+v", r.Server)
	}
	if progress == 0 {
		t.Error("no progress was told")
	}
	for _, want := range []string{"2 streams, 16 players", "16 connected", "latency", "faults"} {
		if !strings.Contains(r.String(), want) {
			t.Errorf("the report lacks %q:\n%v", want, r)
		}
	}
	var decoded Report
	if text, err := json.Marshal(r); err != nil || json.Unmarshal(text, &decoded) != nil || decoded.Connected != r.Connected {
		t.Errorf("JSON: %s, %v", text, err)
	}
}

// TestAudioOnly shows that a stream without pictures is measured too.
func TestAudioOnly(t *testing.T) {
	t.Parallel()
	addrs, store := startServer(t)
	r, err := Run(t.Context(), Options{
		Publish: "rtmp://" + addrs["rtmp"].String() + "/live/{key}", Play: []string{"rtmp://" + addrs["rtmp"].String() + "/live/{stream}"},
		Keys: store.Get, Stream: "radio", Streams: 1, Players: 2, Sample: 1, JoinRate: 1000, AudioRate: 64_000, Duration: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	if r.Connected != 2 || r.LatencyMS.Count == 0 || r.Faults != (Faults{}) {
		t.Errorf("%v", r)
	}
}

func TestOptionsAreChecked(t *testing.T) {
	good := Options{Play: []string{"rtmp://127.0.0.1/live/x"}, Streams: 1, Players: 1, JoinRate: 1, Duration: time.Second}
	for name, change := range map[string]func(*Options){
		"no stream":     func(o *Options) { o.Streams = 0 },
		"no URL":        func(o *Options) { o.Play = nil },
		"below 0":       func(o *Options) { o.Players = -1 },
		"storm below 0": func(o *Options) { o.Storm = -1 },
		"no rate":       func(o *Options) { o.JoinRate = 0 },
		"no duration":   func(o *Options) { o.Duration = 0 },
		"silent clip":   func(o *Options) { o.Publish = "rtmp://127.0.0.1/live/x" },
		"no key":        func(o *Options) { o.Publish, o.AudioRate = "rtmp://127.0.0.1/live/{key}", 1 },
		"bad URL":       func(o *Options) { o.Play = []string{"rtmp://127.0.0.1/%zz"} },
		"no process":    func(o *Options) { o.PIDs = []int{-1} },
		"no such file":  func(o *Options) { o.Publish, o.File = "rtmp://127.0.0.1/live/x", "does-not-exist.flv" },
		"key is secret": func(o *Options) { o.Publish, o.AudioRate = "rtmp://127.0.0.1/live/{key}", 1; o.Keys = noKey },
	} {
		o := good
		change(&o)
		if r, err := Run(t.Context(), o); err == nil {
			t.Errorf("%s: %v", name, r)
		}
	}
}

func noKey(context.Context, string) (string, error) { return "", errors.New("no") }

// TestRemoteIsRefused shows that nothing is sent to other machines: the refusal comes before the
// connection. The address is one of those that exist in documents only (RFC 5737).
func TestRemoteIsRefused(t *testing.T) {
	base := Options{Streams: 1, JoinRate: 1, AudioRate: 64_000, Duration: time.Second}
	play := base
	play.Players, play.Play = 1, []string{"http://192.0.2.1/live/x.flv"}
	publish := base
	publish.Publish = "rtmp://192.0.2.1/live/x"
	for _, o := range []Options{play, publish} {
		if _, err := Run(t.Context(), o); !errors.Is(err, ErrRemote) {
			t.Errorf("%v", err)
		}
	}
}

func TestRefusedPublisherEndsTheRun(t *testing.T) {
	addrs, _ := startServer(t)
	_, err := Run(t.Context(), Options{
		Publish: "rtmp://" + addrs["rtmp"].String() + "/live/wrong-key", Streams: 1, JoinRate: 1, AudioRate: 64_000, Duration: time.Second,
	})
	if err == nil || strings.Contains(err.Error(), "wrong-key") {
		t.Errorf("%v", err)
	}
}

func TestCanceled(t *testing.T) {
	ctx, cancel := context.WithCancelCause(t.Context())
	cause := errors.New("enough")
	cancel(cause)
	_, err := Run(ctx, Options{Play: []string{"rtmp://127.0.0.1:1/live/x"}, Streams: 1, Players: 1, JoinRate: 1, Duration: time.Second})
	if !errors.Is(err, cause) {
		t.Errorf("%v", err)
	}
}

// TestSpread checks that players and sample are spread evenly.
func TestSpread(t *testing.T) {
	l, err := prepare(t.Context(), Options{
		Play: []string{"rtmp://a/live/{stream}", "http://a/live/{stream}.flv"}, Stream: "s", Streams: 3, Players: 12, Sample: 4, JoinRate: 1,
		Duration: time.Second,
	})
	if err != nil {
		t.Fatal(err)
	}
	byURL, sampled := map[string]int{}, 0
	for i, p := range l.players {
		byURL[p.url.String()]++
		if p.sample != nil {
			sampled++
		}
		if want := (i + 1) / 3; sampled != want {
			t.Errorf("%d of the first %d players are in the sample", sampled, i+1)
		}
	}
	for _, url := range []string{"rtmp://a/live/s1", "rtmp://a/live/s3", "http://a/live/s2.flv"} {
		if byURL[url] != 2 {
			t.Errorf("%s has %d players: %v", url, byURL[url], byURL)
		}
	}
}

func TestParseStat(t *testing.T) {
	stat := "4242 (a) b (c)) S 1 4242 4242 0 -1 4194304 100 0 0 0 150 50 0 0 20 0 8 0 1000 123456789 300 18446744073709551615 1 1 0"
	cpu, pages, err := parseStat([]byte(stat))
	if cpu != 2*time.Second || pages != 300 || err != nil {
		t.Errorf("%v, %d pages, %v", cpu, pages, err)
	}
	for _, bad := range []string{"", "4242 (a", stat[:60], strings.Replace(stat, "150", "x", 1)} {
		if _, _, err := parseStat([]byte(bad)); err == nil {
			t.Errorf("%q: no error", bad)
		}
	}
}

// connect makes a pair of connections.
func connect(t *testing.T) (client, peer net.Conn) {
	t.Helper()
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if client, err = net.Dial("tcp", l.Addr().String()); err != nil {
		t.Fatal(err)
	}
	if peer, err = l.Accept(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { client.Close(); peer.Close() })
	return client, peer
}

// TestUpload reads an FLV upload as a server gets it, and refuses it.
func TestUpload(t *testing.T) {
	l, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	to, err := openTarget(t.Context(), newNetwork(&Options{}), "http://"+l.Addr().String()+"/up?a=b")
	if err != nil {
		t.Fatal(err)
	}
	defer to.close()
	peer, err := l.Accept()
	if err != nil {
		t.Fatal(err)
	}
	defer peer.Close()
	if err := errors.Join(to.write(8, 1, []byte{0xAF, 1}), to.flush()); err != nil {
		t.Fatal(err)
	}
	request, err := http.ReadRequest(bufio.NewReader(peer))
	if err != nil || request.Method != http.MethodPost || request.RequestURI != "/up?a=b" {
		t.Fatalf("%+v, %v", request, err)
	}
	if _, err := io.WriteString(peer, "HTTP/1.0 403 Forbidden\r\n\r\n"); err != nil {
		t.Fatal(err)
	}
	peer.Close()
	if err := to.wait(); err == nil || !strings.Contains(err.Error(), "403") {
		t.Errorf("%v", err)
	}
}

// TestUploadBytes has the bytes of a body: FLV header and tag (FLV E.2, E.4.1).
func TestUploadBytes(t *testing.T) {
	client, peer := connect(t)
	to := &upload{conn: client}
	if err := errors.Join(to.write(8, 0x01020304, []byte{0xAF, 1}), to.flush()); err != nil {
		t.Fatal(err)
	}
	want := "\x08\x00\x00\x02\x02\x03\x04\x01\x00\x00\x00\xAF\x01\x00\x00\x00\x0D"
	got := make([]byte, len(want))
	if _, err := io.ReadFull(peer, got); err != nil || string(got) != want {
		t.Errorf("% x, %v", got, err)
	}
}

// TestAlive reads the signs of life as their receivers do.
func TestAlive(t *testing.T) {
	want := "\x02\x00\x00\x00\x00\x00\x04\x03\x00\x00\x00\x00\x12\x34\x56\x78" + "\x02\x00\x00\x00\x00\x00\x06\x04\x00\x00\x00\x00\x00\x07\x00\x00\x00\x00"
	if got := rtmpAlive(0x912345678); string(got) != want {
		t.Errorf("% x", got)
	}
}

func TestStreamNames(t *testing.T) {
	o := Options{Stream: "bench", Streams: 1}
	if got := o.streamName(0); got != "bench" {
		t.Error(got)
	}
	o.Streams = 2
	if got := o.streamName(1); got != "bench2" {
		t.Error(got)
	}
	if got := expand("rtmp://h/live/{key}?name={stream}", "s", "k"); got != "rtmp://h/live/k?name=s" {
		t.Error(got)
	}
}

// TestDrain counts what a peer sends and sees its end.
func TestDrain(t *testing.T) {
	client, peer := connect(t)
	ctx, cancel := context.WithCancel(t.Context())
	d, ran := newDrain(), make(chan struct{})
	go func() { defer close(ran); d.run(ctx) }()
	defer func() { cancel(); <-ran }()
	sent := make([]byte, 3<<20)
	go func() {
		peer.Write(sent)
		peer.Close()
	}()
	var count atomic.Uint64
	err := d.swallow(ctx, &playback{raw: client.(*net.TCPConn)}, &count)
	if err == nil || count.Load() != uint64(len(sent)) {
		t.Errorf("%d bytes, %v", count.Load(), err)
	}
}
