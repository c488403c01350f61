package e2e

import (
	"errors"
	"fmt"
	"maps"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"path"
	"strings"
	"sync"
	"testing"
	"time"

	"livego/internal/bench"
)

// asked counts files that a server gives, by what they were asked for by. What it does not have,
// as at the end of a stream, nobody may keep.
type asked struct {
	mu    sync.Mutex
	times map[string]int
}

// countAsked starts a proxy in front of a server until the test ends, and returns its address.
func countAsked(t testing.TB, to string) (a *asked, address string) {
	t.Helper()
	a = &asked{times: map[string]int{}}
	s := httptest.NewServer(&httputil.ReverseProxy{
		Rewrite: func(r *httputil.ProxyRequest) { r.SetURL(&url.URL{Scheme: "http", Host: to}) },
		ModifyResponse: func(answer *http.Response) error {
			if r := answer.Request; answer.StatusCode == http.StatusOK && answer.Header.Get("Cache-Control") != "no-store" {
				a.mu.Lock()
				defer a.mu.Unlock()
				a.times[r.URL.RequestURI()+" "+r.Header.Get("Accept-Encoding")]++
			}
			return nil
		},
	})
	t.Cleanup(s.Close)
	return a, s.Listener.Addr().String()
}

// once checks that each file that may be kept was asked for once, and that there were some.
func (a *asked) once(t testing.TB) {
	t.Helper()
	a.mu.Lock()
	defer a.mu.Unlock()
	files := 0
	for what, times := range maps.All(a.times) {
		uri, _, _ := strings.Cut(what, " ")
		file, query, _ := strings.Cut(uri, "?")
		// A playlist without a position is good for a second.
		if ext := path.Ext(file); ext == ".m3u8" && query == "" {
			continue
		}
		files++
		if times > 1 {
			t.Errorf("%s was asked for %d times", what, times)
		}
	}
	if files < 20 {
		t.Errorf("only %d files were asked for", files)
	}
	t.Logf("%d files were asked for once", files)
}

// loadPlayers is how many players there are at an edge.
func loadPlayers() string {
	if _, measured := haltRounds(); measured {
		return "1000"
	}
	return "150"
}

// startSlimCluster starts nodes as they are shipped, on one Redis. The first one tells the others
// another address than its own, if one is made.
func startSlimCluster(t testing.TB, r *redis, n int, advertise func(clusterAddr string) string) (nodes []*clusterNode) {
	t.Helper()
	for i := range n {
		node, env := newClusterNode(t, r, i)
		if i == 0 && advertise != nil {
			env = append(env, "CLUSTER_ADVERTISE="+advertise(node.addr))
		}
		node.server = &server{}
		node.launch(t, setting(t, "LIVEGO_BIN"), env, "--hls_segment_duration", "1")
		t.Cleanup(func() { _ = node.stop() })
		nodes = append(nodes, node)
	}
	return nodes
}

// slim is a stream for many players on a busy machine.
func slim(more ...string) []string {
	return append([]string{"--stream", "m", "--video-rate", "150", "--audio-rate", "64", "--sample", "5", "--join-rate", "200"}, more...)
}

// TestClusterAsksOnce: however many players of Low-Latency HLS a node has, it asks the stream's
// home once for each file.
func TestClusterAsksOnce(t *testing.T) {
	t.Parallel()
	var times *asked
	nodes := startSlimCluster(t, startRedis(t), 2, func(addr string) (through string) {
		times, through = countAsked(t, addr)
		return through
	})
	a, b := nodes[0], nodes[1]
	report := loadTool(t, b.server, slim("--players", loadPlayers(), "--publish", "rtmp://"+a.rtmp+"/live/{key}",
		"--protocol", "ll-hls", "--warmup", "2s", "--duration", "4s")...)
	if report.Connected != report.Players || report.Faults != (bench.Faults{}) {
		t.Errorf("%v", report)
	}
	times.once(t)
}

// TestClusterBehindVarnish: Varnish in front of a node that is not the stream's home asks that once
// for each file, and viewers have all of Low-Latency HLS behind it.
func TestClusterBehindVarnish(t *testing.T) {
	t.Parallel()
	nodes := startSlimCluster(t, startRedis(t), 2, nil)
	a, b := nodes[0], nodes[1]
	times, through := countAsked(t, b.hls)
	varnish := startVarnish(t, through, "")
	publish(t, a.server, a.key(t, "w"), flvClip(t, "h264-aac", 5), pacing{loop: true})
	a.waitOnAir(t, "w")
	watchLL(t, "http://"+varnish+"/live/w/index.m3u8", nil).waitSegments(t, 3, 30*time.Second)
	report := loadTool(t, b.server, slim("--players", "60", "--publish", "rtmp://"+a.rtmp+"/live/{key}",
		"--play", "http://"+varnish+"/live/{stream}/index.m3u8", "--warmup", "2s", "--duration", "4s")...)
	if report.Connected != report.Players || report.Faults != (bench.Faults{}) {
		t.Errorf("%v", report)
	}
	times.once(t)
}

// TestClusterLoadWithoutRedis kills Redis while many watch at the home and at another node, by
// connections and by files: nobody notices. It comes back empty, and everything is registered
// again.
func TestClusterLoadWithoutRedis(t *testing.T) {
	t.Parallel()
	away := 6 * time.Second
	if _, measured := haltRounds(); measured {
		away = time.Minute
	}
	r := startRedis(t)
	nodes := startSlimCluster(t, r, 2, nil)
	a, b := nodes[0], nodes[1]
	key := a.key(t, "m")
	type result struct {
		report *bench.Report
		err    error
	}
	results := make(chan result, 1)
	go func() {
		report, err := runLoad(t.Context(), setting(t, "LIVEGO_BIN"), a.server, slim("--players", "100", "--publish", a.publishURL(key),
			"--play", strings.Join([]string{
				"http://" + a.flv + "/live/{stream}.flv", "http://" + b.flv + "/live/{stream}.flv", "rtmp://" + b.rtmp + "/live/{stream}",
				"http://" + b.hls + "/live/{stream}/index.m3u8",
			}, ","), "--warmup", "3s", "--duration", fmt.Sprint(away+4*time.Second))...)
		results <- result{report, err}
	}()
	eventually(t, 20*time.Second, "players of all kinds", func() bool { return a.onAir(t, "m") && b.players(t, "m") >= 50 })
	pause(t, 3*time.Second)
	r.program.kill()
	pause(t, away)
	r.dir = t.TempDir()
	r.up(t)
	eventually(t, 20*time.Second, "the stream is registered again", func() bool { return r.do(t, "EXISTS {livego}:stream:live/m") == "1" })
	got := <-results
	if got.err != nil {
		t.Fatal(got.err)
	}
	if p := got.report; p.Connected != p.Players || p.PublisherReconnects != 0 || p.Reconnects != 0 || p.Faults != (bench.Faults{}) {
		t.Errorf("%v", p)
	}
	t.Logf("%v", got.report)
	if problem := errors.Join(a.checkLog(), b.checkLog()); problem != nil {
		t.Error(problem)
	}
}
