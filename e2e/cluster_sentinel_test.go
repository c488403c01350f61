package e2e

import (
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// another starts a further redis-server with these arguments.
func another(t testing.TB, args ...string) *redis {
	t.Helper()
	r := &redis{address: freeAddress(t), dir: t.TempDir()}
	_, port, _ := net.SplitHostPort(r.address)
	r.program = launch(t, "redis-server", append(args, "--port", port, "--bind", "127.0.0.1", "--dir", r.dir, "--save", "")...)
	eventually(t, 10*time.Second, "redis-server answers", func() bool {
		answer, err := r.try("PING")
		return err == nil && answer == "PONG"
	})
	return r
}

// TestClusterMasterDies kills the master of Redis under three nodes, an encoder and viewers at each
// of them: nothing that runs stops, and with the new master, which three sentinels choose, streams
// come and are found as before.
func TestClusterMasterDies(t *testing.T) {
	t.Parallel()
	master := another(t)
	_, port, _ := net.SplitHostPort(master.address)
	another(t, "--replicaof", "127.0.0.1 "+port)
	eventually(t, 20*time.Second, "the replica", func() bool { return strings.Contains(redisInfo(master, "replication"), "state=online") })
	config := fmt.Sprintf("sentinel monitor main 127.0.0.1 %s 2\nsentinel down-after-milliseconds main 1000\nsentinel failover-timeout main 3000\n", port)
	var sentinels []string
	for range 3 {
		file := filepath.Join(t.TempDir(), "sentinel.conf")
		if err := os.WriteFile(file, []byte(config), 0o600); err != nil {
			t.Fatal(err)
		}
		sentinels = append(sentinels, another(t, file, "--sentinel").address)
	}
	for _, address := range sentinels {
		eventually(t, 20*time.Second, "sentinels that know each other", func() bool {
			return strings.Contains(redisInfo(&redis{address: address}, "sentinel"), "slaves=1,sentinels=3")
		})
	}

	nodes := startCluster(t, &redis{address: "redis+sentinel://" + strings.Join(sentinels, ",") + "/main/0"}, 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	tags := flvClip(t, "h264-aac", 5)
	publish(t, a.server, a.key(t, "m"), tags, pacing{loop: true})
	a.waitOnAir(t, "m")
	viewers := []*viewer{watchRTMP(t, a.server, "m"), watchFLV(t, b.server, "m"), watchRTMP(t, c.server, "m")}
	for _, v := range viewers {
		v.waitFrames(t, 50)
	}
	next := b.key(t, "next") // keys are kept there too
	master.program.kill()
	eventually(t, time.Minute, "a new master", func() bool {
		said := redisInfo(&redis{address: sentinels[0]}, "sentinel")
		return strings.Contains(said, "status=ok") && !strings.Contains(said, ":"+port+",")
	})
	publish(t, b.server, next, tags, pacing{loop: true})
	b.waitOnAir(t, "next")
	watchFLV(t, c.server, "next").waitFrames(t, 50)
	eventually(t, 30*time.Second, "HLS at another node", func() bool {
		status, _, _ := c.fetch(t, c.hlsURL("next"))
		return status == 200
	})
	for _, v := range viewers {
		v.waitFrames(t, len(v.tags())+100)
		v.going(t)
		gapless(t, v.name, v.tags(), 120)
	}
}

// redisInfo is a section of what a server says of itself.
func redisInfo(r *redis, section string) string {
	_, port, _ := net.SplitHostPort(r.address)
	out, _ := exec.Command("redis-cli", "-h", "127.0.0.1", "-p", port, "info", section).Output()
	return string(out)
}

// TestClusterOnRedisCluster lets two nodes share a Redis Cluster of three masters, of which they
// are told two: keys and what is registered have one hash tag, so that they are at one of them.
func TestClusterOnRedisCluster(t *testing.T) {
	t.Parallel()
	var addresses []string
	for range 3 {
		_, bus, _ := net.SplitHostPort(freeAddress(t))
		addresses = append(addresses, another(t, "--cluster-enabled", "yes", "--cluster-port", bus).address)
	}
	out, err := exec.Command("redis-cli", append(append([]string{"--cluster", "create"}, addresses...), "--cluster-yes")...).CombinedOutput()
	if err != nil {
		t.Fatalf("redis-cli: %v\n%s", err, out)
	}
	eventually(t, 30*time.Second, "a Redis Cluster", func() bool {
		answer, err := (&redis{address: addresses[2]}).try("CLUSTER INFO")
		return err == nil && strings.Contains(answer, "cluster_state:ok")
	})

	nodes := startCluster(t, &redis{address: "redis+cluster://" + strings.Join(addresses[:2], ",")}, 2)
	a, b := nodes[0], nodes[1]
	tags := flvClip(t, "h264-aac", 5)
	for _, room := range []string{"m", "n"} {
		key := a.key(t, room)
		if again := b.key(t, room); again != key {
			t.Fatalf("two keys of %s", room)
		}
		publish(t, a.server, key, tags, pacing{loop: true})
		a.waitOnAir(t, room)
		v := watchFLV(t, b.server, room)
		v.waitFrames(t, 100)
		gapless(t, v.name, v.tags(), 120)
	}
	if status, text, _ := b.fetch(t, "http://"+b.api+"/readyz"); status != 200 {
		t.Errorf("readyz: %d %s", status, text)
	}
}
