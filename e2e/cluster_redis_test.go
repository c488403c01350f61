package e2e

import (
	"fmt"
	"net/http"
	"os"
	"strings"
	"syscall"
	"testing"
	"time"

	"livego/internal/bench"
)

// TestClusterRedisAway lets Redis be away for a while under load: killed, so that it comes back
// empty, and mute, as on a machine that is suspended: it takes connections and questions, and
// answers nothing. LIVEGO_REDIS_AWAY says for how long (make cluster-redis).
func TestClusterRedisAway(t *testing.T) {
	away, err := time.ParseDuration(os.Getenv("LIVEGO_REDIS_AWAY"))
	if err != nil {
		away = 10 * time.Second
		t.Parallel()
	}
	t.Run("killed", func(t *testing.T) {
		r := startRedis(t)
		withoutRedis(t, r, away, r.program.kill, func() {
			r.dir = t.TempDir()
			r.up(t)
		})
	})
	t.Run("mute", func(t *testing.T) {
		r := startRedis(t)
		signal := func(s syscall.Signal) {
			if err := r.program.Process.Signal(s); err != nil {
				t.Error(err)
			}
		}
		withoutRedis(t, r, away, func() { signal(syscall.SIGSTOP) }, func() { signal(syscall.SIGCONT) })
	})
}

// withoutRedis has Redis go, and come back after a while. What plays goes on at each node, by all
// protocols, and new viewers join it; encoders whose keys a node has accepted lately come and go,
// others are refused; and everything is registered afterwards.
func withoutRedis(t *testing.T, r *redis, away time.Duration, goes, comesBack func()) {
	nodes := startCluster(t, r, 2)
	a, b := nodes[0], nodes[1]
	tags := flvClip(t, "h264-aac", 5)
	known := a.key(t, "known")
	accepted := publish(t, b.server, known, tags, pacing{loop: true})
	b.waitOnAir(t, "known")
	accepted.cancel()
	accepted.finish(t)
	b.waitOffAir(t, "known")

	const players, urls = 100, 10
	args := []string{"--stream", "m", "--players", fmt.Sprint(players), "--sample", "30", "--video-rate", "400", "--warmup", "2s", "--duration", fmt.Sprint(away + 12*time.Second)}
	for _, node := range nodes {
		for _, url := range []string{node.rtmpURL("m"), node.flvURL("m"), node.wsURL("m"), node.hlsURL("m"), node.indexURL("m")} {
			args = append(args, "--play", url)
		}
	}
	type result struct {
		report *bench.Report
		err    error
	}
	load := make(chan result, 1)
	go func() {
		report, err := runLoad(t.Context(), setting(t, "LIVEGO_BIN"), a.server, args...)
		load <- result{report, err}
	}()
	for _, node := range nodes {
		eventually(t, 60*time.Second, "players of RTMP, FLV and WebSocket", func() bool { return node.players(t, "m") >= 3*players/urls })
		eventually(t, 30*time.Second, "HLS", func() bool {
			status, _, _ := node.fetch(t, node.indexURL("m"))
			return status == http.StatusOK
		})
	}

	goes()
	for end := time.Now().Add(away); time.Now().Before(end); pause(t, 500*time.Millisecond) {
		for _, node := range nodes {
			if status, text, _ := node.fetch(t, node.indexURL("m")); status != http.StatusOK {
				t.Fatalf("HLS without Redis: %d %s", status, text)
			}
			if status, _, _ := node.fetch(t, "http://"+node.api+"/healthz"); status != http.StatusOK {
				t.Fatalf("healthz without Redis: %d", status)
			}
		}
		comes := publish(t, b.server, known, tags, pacing{loop: true})
		b.waitOnAir(t, "known")
		late := watchRTMP(t, b.server, "m")
		late.waitFrames(t, 20)
		watchFLV(t, b.server, "known").waitFrames(t, 20)
		late.leave()
		comes.cancel()
		comes.finish(t)
		b.waitOffAir(t, "known")
		if code := refused(t, b.server, "live", strings.Repeat("x", len(known))); code == "" {
			t.Error("a key that nobody knows is not refused")
		}
	}

	comesBack()
	eventually(t, 20*time.Second, "the stream is registered again", func() bool { return r.do(t, "EXISTS {livego}:stream:live/m") == "1" })
	watchFLV(t, b.server, "m").waitFrames(t, 20)
	got := <-load
	if got.err != nil {
		t.Fatal(got.err)
	}
	if l := got.report; l.Connected != players || l.Reconnects != 0 || l.PublisherReconnects != 0 || l.Jumps != 0 || l.Faults != (bench.Faults{}) {
		t.Errorf("what played did not go on:\n%v", l)
	}
}
