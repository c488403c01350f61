package server

import (
	"math"
	"net/http"
	"strings"
	"testing"
	"time"

	"livego/internal/amf"
	"livego/internal/cluster"
	"livego/internal/flv"
	"livego/internal/rtmp"
)

// TestLoadMeter: the load is the most of processors and network, follows within seconds, and stays
// between 0 and 1.
func TestLoadMeter(t *testing.T) {
	var m loadMeter
	now, used := time.Unix(1_800_000_000, 0), reading{}
	run := func(seconds int, cpu time.Duration, bytes uint64) (load float64) {
		for range seconds {
			now = now.Add(time.Second)
			used.cpu += cpu
			used.bytes += bytes
			load = m.measure(now, used, 2, 1000)
		}
		return load
	}
	for _, c := range []struct {
		cpu   time.Duration
		bytes uint64
		want  float64
	}{
		{0, 0, 0}, {time.Second, 0, 0.5}, {time.Second, 800, 0.8}, {3 * time.Second, 0, 1}, {0, 5000, 1}, {0, 0, 0},
	} {
		if got := run(20, c.cpu, c.bytes); math.Abs(got-c.want) > 0.01 {
			t.Errorf("%v of processors and %d bytes a second: load %v, want %v", c.cpu, c.bytes, got, c.want)
		}
	}
	run(20, time.Second, 0)
	if got := m.measure(now.Add(loadWindow/2), reading{}, 2, 1000); math.Abs(got-0.5) > 0.01 {
		t.Errorf("asked too soon: %v", got)
	}
	used.bytes = 0 // as when a session is over that is not summed up yet
	if got := run(1, time.Second, 0); math.Abs(got-0.5) > 0.01 {
		t.Errorf("with less bytes than before: %v", got)
	}
}

// TestOutMeter: what viewers get is the mean of five seconds.
func TestOutMeter(t *testing.T) {
	var m outMeter
	total := uint64(1 << 40)
	for i, c := range []struct{ bytes, want uint64 }{
		{0, 0}, {1000, 8000}, {1000, 8000}, {0, 16000 / 3}, {0, 4000}, {0, 3200}, {0, 1600}, {5000, 8000}, {0, 8000}, {0, 8000},
		{0, 8000}, {0, 8000}, {0, 0},
	} {
		total += c.bytes
		m.sample(total)
		if got := m.rate.Load(); got != c.want {
			t.Errorf("second %d: %d bit/s, want %d", i, got, c.want)
		}
	}
	m.sample(total - 100) // as when a session is over that is not summed up yet
	wantEqual(t, "with less bytes than before", m.rate.Load(), 0)
}

// TestBitRateOut: what viewers of HLS get counts, also at another node than the one that is asked.
func TestBitRateOut(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2, func(o *Options) { o.HLS.SegmentDuration = time.Second }), clip(t)
	publish(t, g.nodes[0], "movie").send(tags...)
	eventually(t, "both nodes know what viewers at one of them get", func() bool {
		if call(t, http.MethodGet, g.nodes[1].url("http", "hls", "/live/movie.m3u8")).status != http.StatusOK {
			return false
		}
		return resources{g.nodes[0].Server}.BitRateOut() > 0 && resources{g.nodes[1].Server}.BitRateOut() > 0
	})
	wantEqual(t, "what viewers at its home get", g.nodes[0].out.rate.Load(), 0)
}

// TestRedirects: a node with too much to do sends new viewers to another one of its region, once;
// who watches already stays.
func TestRedirects(t *testing.T) {
	t.Parallel()
	g, tags := startGroup(t, 2, func(o *Options) {
		o.HLS.SegmentDuration = time.Second
		if o.Cluster.ID == "a" {
			o.MaxViewers, o.Cluster.RedirectAbove = 10, 0.25
			o.Cluster.cpuTime = func() time.Duration { return 0 } // other tests need it
		}
	}), clip(t)
	a, b := g.nodes[0], g.nodes[1]
	// z is b, as it could say of itself if it knew its ports before.
	registerNode(t, g.registry, cluster.Node{
		ID: "z", Addr: b.addr("cluster"), PublicURL: b.url("http", "hls", ""), FLVURL: b.url("http", "http-flv", ""), RTMPURL: b.url("rtmp", "rtmp", ""),
	})
	registerNode(t, g.registry, cluster.Node{ID: "y", Region: "far", Addr: b.addr("cluster"), PublicURL: "http://far", FLVURL: "http://far", RTMPURL: "rtmp://far"})
	registerNode(t, g.registry, cluster.Node{ID: "x", Addr: b.addr("cluster"), PublicURL: "http://full", FLVURL: "http://full", RTMPURL: "rtmp://full", Load: 0.9})
	eventually(t, "all nodes know each other", func() bool { return len(a.node.member.Known()) == 5 })
	e := publish(t, a, "movie")
	e.send(tags...)
	location := func(s *testServer, protocol, path string, header ...string) (status int, to string) {
		t.Helper()
		client := httpClient()
		client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
		req, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.url("http", protocol, path), nil)
		if err != nil {
			t.Fatal(err)
		}
		for i := 0; i+1 < len(header); i += 2 {
			req.Header.Set(header[i], header[i+1])
		}
		resp, err := client.Do(req)
		if err != nil {
			t.Fatal(err)
		}
		resp.Body.Close()
		return resp.StatusCode, resp.Header.Get("Location")
	}
	eventually(t, "HLS", func() bool {
		status, _ := location(a, "hls", "/live/movie/index.m3u8", "User-Agent", "first")
		return status == http.StatusOK
	})
	first := watchFLV(t, a, "movie")
	watchFLV(t, a, "movie")
	awaitPlayers(t, a, "movie", 2)

	for i := range 20 { // two are picked by chance
		agent := "new" + string(rune('a'+i))
		for path, want := range map[string]string{
			"/live/movie.m3u8?token=t":   b.url("http", "hls", "/live/movie.m3u8?token=t&redirected=1"),
			"/live/movie/index.m3u8":     b.url("http", "hls", "/live/movie/index.m3u8?redirected=1"),
			"/live/movie.m3u8?a=%2F&b=c": b.url("http", "hls", "/live/movie.m3u8?a=%2F&b=c&redirected=1"),
		} {
			if status, to := location(a, "hls", path, "User-Agent", agent); status != http.StatusFound || to != want {
				t.Fatalf("%s: %d to %q, want %q", path, status, to, want)
			}
		}
	}
	status, to := location(a, "http-flv", "/live/movie.flv")
	if want := b.url("http", "http-flv", "/live/movie.flv?redirected=1"); status != http.StatusFound || to != want {
		t.Errorf("FLV: %d to %q, want %q", status, to, want)
	}
	client, err := rtmp.Dial(t.Context(), a.url("rtmp", "rtmp", "/live/movie"), rtmp.ClientOptions{})
	if err != nil {
		t.Fatal(err)
	}
	defer client.Close()
	err = client.Play(t.Context(), "")
	refusedWith(t, "RTMP", err, rtmp.CodePlayFailed)
	wantContains(t, "the reason", err.Error(), b.addr("rtmp"))

	player := newPeer(t, a) // who can be asked to connect again plays, and is asked
	player.command(0, "connect", 1.0, amf.Object{{Name: "app", Value: "live"}, {Name: "capsEx", Value: 1.0}})
	player.expect("_result")
	player.command(1, "play", 0.0, nil, "movie")
	for _, status := range []string{
		"NetStream.Play.Reset", "NetStream.Play.Start", "NetStream.Data.Start", "NetStream.Play.PublishNotify", "NetConnection.Connect.ReconnectRequest",
	} {
		player.expectStatus(status)
	}
	sent := newPeer(t, a) // who was sent here is not
	sent.command(0, "connect", 1.0, amf.Object{{Name: "app", Value: "live?redirected=1"}})
	sent.expect("_result")
	sent.command(1, "play", 0.0, nil, "movie")
	sent.expectMedia(flv.TypeVideo)

	for what, c := range map[string]struct{ protocol, path, agent string }{
		"who was sent here":        {"hls", "/live/movie.m3u8?redirected=1", "second"},
		"and goes on":              {"hls", "/live/movie.m3u8", "first"},
		"who plays already":        {"hls", "/live/movie/index.m3u8", "first"},
		"who was sent here by FLV": {"http-flv", "/live/movie.flv?redirected=1", ""},
	} {
		if status, to := location(a, c.protocol, c.path, "User-Agent", c.agent); status != http.StatusOK {
			t.Errorf("%s: %d to %q", what, status, to)
		}
	}
	follow := call(t, http.MethodGet, a.url("http", "hls", "/live/movie.m3u8"), "User-Agent: last")
	if follow.status != http.StatusOK || !strings.Contains(follow.body, "#EXTINF") {
		t.Errorf("at the other node: %d %s", follow.status, follow.body)
	}
	first.await(t, tags[len(tags)-1])
}
