package e2e

import (
	"net/http"
	"os/exec"
	"strings"
	"testing"
	"time"
)

// startRegion starts a node that says where viewers reach it, in a region.
func startRegion(t testing.TB, r *redis, i int, region string, more ...string) *clusterNode {
	t.Helper()
	node, env := newClusterNode(t, r, i)
	node.server = &server{rtmp: freeAddress(t), flv: freeAddress(t), hls: freeAddress(t), api: freeAddress(t)}
	env = append(env, "REGION="+region, "PUBLIC_URL=http://"+node.hls)
	node.launch(t, raceBinary(t), append(env, more...), "--hls_segment_duration", "1")
	t.Cleanup(func() {
		if err := node.stop(); err != nil {
			t.Errorf("node: %v", err)
		}
		if t.Failed() {
			t.Logf("log of node %d:\n%s", i, node.logTail())
		}
	})
	return node
}

// TestClusterRegions: two nodes of one region, the first of which has a small network, and one of
// another region. Viewers come to the full one: FFmpeg over HTTP-FLV and hls.js go on to its
// neighbour, FFmpeg over RTMP is told of it, and nobody is sent to the other region, where the
// stream plays too.
func TestClusterRegions(t *testing.T) {
	chromium.turn(t)
	t.Parallel()
	r := startRedis(t)
	full := startRegion(t, r, 0, "north", "EGRESS_LIMIT=1", "REDIRECT_ABOVE=50")
	free, far := startRegion(t, r, 1, "north"), startRegion(t, r, 2, "south")
	publish(t, far.server, far.key(t, "m"), flvClip(t, "h264-aac", 5), pacing{loop: true})
	far.waitOnAir(t, "m")
	first := watchFLV(t, full.server, "m")
	for range 7 { // more than 1 Mbit/s together
		watchFLV(t, full.server, "m")
	}
	first.waitFrames(t, 50)

	client := &http.Client{CheckRedirect: func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }}
	address := "http://" + full.flv + "/live/m.flv"
	eventually(t, 15*time.Second, "the node is full", func() bool {
		resp, err := client.Get(address)
		if err != nil {
			return false
		}
		resp.Body.Close()
		to := resp.Header.Get("Location")
		if to != "" && !strings.HasPrefix(to, "http://"+free.flv+"/") {
			t.Errorf("viewers are sent to %s, and %s is free", to, free.flv)
		}
		return resp.StatusCode == http.StatusFound
	})

	player := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", address, "-c", "copy", "-f", "null", "-")
	if err := player.Start(); err != nil {
		t.Fatal(err)
	}
	eventually(t, 15*time.Second, "FFmpeg plays at the neighbour", func() bool { return free.players(t, "m") == 1 })
	_ = player.Process.Kill()
	_ = player.Wait()

	out, err := exec.CommandContext(t.Context(), "ffmpeg", "-v", "error", "-i", "rtmp://"+full.rtmp+"/live/m", "-f", "null", "-").CombinedOutput()
	if err == nil || !strings.Contains(string(out), free.rtmp) {
		t.Errorf("FFmpeg over RTMP at the full node: %v, %s", err, out)
	}

	page := webPlay(t, hlsJS, full.indexURL("m"), nil)
	page.waitPlaying(t)
	page.waitProgress(t, 2, 20*time.Second)
	hosts := map[string]int{}
	page.evaluate(t, `performance.getEntriesByType("resource").map(e => new URL(e.name)).filter(u => u.pathname.endsWith(".m4s")).
		reduce((n, u) => ({...n, [u.host]: 1 + (n[u.host] ?? 0)}), {})`, &hosts)
	if len(hosts) != 1 || hosts[free.hls] == 0 {
		t.Errorf("hls.js loads media from %v, not from %s", hosts, free.hls)
	}
	first.going(t) // who watches stays
	if n := far.players(t, "m"); n != 0 {
		t.Errorf("%d players were sent to another region", n)
	}
}
