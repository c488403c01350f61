package e2e

import (
	"crypto/hmac"
	"crypto/rand"
	"crypto/sha256"
	"fmt"
	"net/http"
	"path"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

const clusterSecret = "0123456789abcdef0123456789abcdef"

// clusterNode is a server of a cluster.
type clusterNode struct {
	*server
	addr string // cluster_addr
}

// newClusterNode returns a node that does not run yet, and the environment that it is to have.
func newClusterNode(t testing.TB, r *redis, i int) (node *clusterNode, env []string) {
	t.Helper()
	node = &clusterNode{addr: freeAddress(t)}
	return node, []string{"REDIS_ADDR=" + r.address, "CLUSTER_ADDR=" + node.addr, "CLUSTER_SECRET=" + clusterSecret, fmt.Sprintf("NODE_ID=%c", 'a'+i)}
}

// startCluster starts so many nodes on one Redis.
func startCluster(t testing.TB, r *redis, n int, args ...string) (nodes []*clusterNode) {
	t.Helper()
	for i := range n {
		node, env := newClusterNode(t, r, i)
		node.server = startWith(t, env, append([]string{"--hls_segment_duration", "1"}, args...)...)
		nodes = append(nodes, node)
	}
	return nodes
}

// sameFiles checks that each file that the playlists of a stream name is the same at both servers,
// and returns how many there are.
func sameFiles(t testing.TB, a, b *server, room string) (n int) {
	t.Helper()
	seen := map[string]bool{}
	var visit func(name string)
	visit = func(name string) {
		if seen[name] {
			return
		}
		seen[name] = true
		status, text, _ := b.fetch(t, "http://"+b.hls+name)
		if status != http.StatusOK {
			return // gone meanwhile
		}
		if path.Ext(name) != ".m3u8" {
			if status, want, _ := a.fetch(t, "http://"+a.hls+name); status == http.StatusOK && want != text {
				t.Errorf("%s differs: %d bytes, and %d at its home", name, len(text), len(want))
			} else if status == http.StatusOK {
				n++
			}
			return
		}
		for line := range strings.Lines(text) {
			line = strings.TrimSpace(line)
			if _, after, ok := strings.Cut(line, `URI="`); ok && !strings.Contains(line, "PRELOAD-HINT") {
				line, _, _ = strings.Cut(after, `"`)
			}
			if line != "" && line[0] != '#' {
				visit(path.Join(path.Dir(name), line))
			}
		}
	}
	visit("/live/" + room + "/index.m3u8")
	visit("/live/" + room + ".m3u8")
	return n
}

// TestClusterPlays publishes at one node and plays at others, by RTMP, FLV, WebSocket-FLV and HLS:
// everybody gets what was published, and HLS files are the same at each node.
func TestClusterPlays(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, startRedis(t), 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	tags := flvClip(t, "h264-aac", 5)
	key := a.key(t, "m")
	if again := c.key(t, "m"); again != key {
		t.Fatal("two nodes have two keys")
	}
	publish(t, a.server, key, tags, pacing{loop: true})
	a.waitOnAir(t, "m")
	for _, v := range []*viewer{watchRTMP(t, b.server, "m"), watchFLV(t, b.server, "m"), watchWS(t, c.server, "m"), watchRTMP(t, c.server, "m")} {
		v.waitFrames(t, 150)
		got := v.tags()
		headersFirst(t, v.name, got, typeVideo, typeAudio)
		rising(t, v.name, got)
		gapless(t, v.name, got, 120)
		comparison{}.check(t, v.name, bodiesOf(slices.Concat(tags, again(tags))), bodiesOf(got[:100]))
	}
	for _, node := range []*clusterNode{b, c} {
		eventually(t, 20*time.Second, "HLS at another node", func() bool {
			status, text, _ := node.fetch(t, node.indexURL("m"))
			return status == http.StatusOK && strings.Contains(text, "I-FRAME")
		})
		if n := sameFiles(t, a.server, node.server, "m"); n < 20 {
			t.Errorf("only %d files were compared", n)
		}
	}
	viewer := watchLL(t, c.indexURL("m"), nil)
	viewer.waitSegments(t, 4, 30*time.Second)
}

// TestClusterRelaysPublishers publishes at a node a stream that has its home at another: a second
// rendition, and one that takes over.
func TestClusterRelaysPublishers(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, startRedis(t), 2)
	a, b := nodes[0], nodes[1]
	tags := flvClip(t, "h264-aac", 5)
	key := a.key(t, "m")
	first := publish(t, a.server, key, tags, pacing{loop: true})
	a.waitOnAir(t, "m")
	v := watchFLV(t, a.server, "m")
	v.waitFrames(t, 20)
	publish(t, b.server, key+"?rendition=low", tags, pacing{loop: true})
	eventually(t, 15*time.Second, "the second rendition at the home", func() bool {
		status, text, _ := a.fetch(t, a.indexURL("m"))
		return status == http.StatusOK && strings.Contains(text, "low")
	})
	publish(t, b.server, key, tags, pacing{loop: true})
	first.closedByServer(t, 10*time.Second)
	v.waitFrames(t, len(v.tags())+100)
	v.going(t)
}

// TestClusterHomeDies kills the home of a stream, whose encoder, FFmpeg, comes back at another
// node: viewers at a third one stay, by all protocols.
func TestClusterHomeDies(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, startRedis(t), 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	file := clip(t, "h264-aac", 5, "flv")
	key := a.key(t, "m")
	encoder := ffmpegPublish(t, a.server, file, key)
	a.waitOnAir(t, "m")
	flv, rtmp := watchFLV(t, c.server, "m"), watchRTMP(t, c.server, "m")
	flv.waitFrames(t, 50)
	rtmp.waitFrames(t, 50)
	eventually(t, 20*time.Second, "HLS at the third node", func() bool {
		status, _, _ := c.fetch(t, c.hlsURL("m"))
		return status == http.StatusOK
	})

	a.expectCrash = true
	a.kill()
	died := time.Now()
	encoder.kill()
	before := len(flv.tags())
	ffmpegPublish(t, b.server, file, key)
	statuses := map[int]int{}
	eventually(t, 20*time.Second, "HLS goes on at the third node", func() bool {
		status, text, _ := c.fetch(t, c.hlsURL("m"))
		statuses[status]++
		return status == http.StatusOK && time.Since(died) > time.Second && strings.Count(text, "#EXTINF") > 0 && b.onAir(t, "m")
	})
	if statuses[http.StatusNotFound] > 0 {
		t.Errorf("a playlist was said to be gone: %v", statuses)
	}
	eventually(t, 20*time.Second, "FLV and RTMP go on at the third node", func() bool {
		return len(flv.tags()) > before+50
	})
	t.Logf("FLV went on %v after the home's death", time.Since(died).Round(time.Millisecond))
	flv.going(t)
	rtmp.going(t)
	rising(t, "flv", flv.tags())
	rising(t, "rtmp", rtmp.tags())
}

// TestClusterHomeIsStopped stops the home for ten seconds, as a machine that is suspended. Its
// stream has a new home then, from which it serves its viewers. Players at another node stay, and
// each request for a file there is answered within seconds.
func TestClusterHomeIsStopped(t *testing.T) {
	t.Parallel()
	nodes := startCluster(t, startRedis(t), 3)
	a, b, c := nodes[0], nodes[1], nodes[2]
	tags := flvClip(t, "h264-aac", 5)
	key := a.key(t, "m")
	first := publish(t, a.server, key, tags, pacing{loop: true})
	a.waitOnAir(t, "m")
	v, elsewhere := watchFLV(t, a.server, "m"), watchFLV(t, c.server, "m")
	v.waitFrames(t, 20)
	elsewhere.waitFrames(t, 20)
	eventually(t, 20*time.Second, "HLS at another node", func() bool {
		status, _, _ := c.fetch(t, c.hlsURL("m"))
		return status == http.StatusOK
	})
	if err := a.command.Process.Signal(syscall.SIGSTOP); err != nil {
		t.Fatal(err)
	}
	stopped := time.Now()
	for time.Since(stopped) < 4*time.Second { // nobody else has the stream
		began := time.Now()
		status, text, _ := c.fetch(t, c.hlsURL("m"))
		if took := time.Since(began); status != http.StatusOK && status != http.StatusServiceUnavailable || took > 20*time.Second {
			t.Errorf("while the home is stopped: %d %s after %v", status, text, took)
		}
		pause(t, 500*time.Millisecond)
	}
	publish(t, b.server, key, tags, pacing{loop: true})
	b.waitOnAir(t, "m")
	before := len(elsewhere.tags())
	eventually(t, 20*time.Second, "the viewer at another node goes on", func() bool { return len(elsewhere.tags()) > before+50 })
	elsewhere.going(t)
	eventually(t, 20*time.Second, "HLS at another node goes on", func() bool {
		status, _, _ := c.fetch(t, c.hlsURL("m"))
		return status == http.StatusOK
	})
	pause(t, 10*time.Second-time.Since(stopped))
	if err := a.command.Process.Signal(syscall.SIGCONT); err != nil {
		t.Fatal(err)
	}
	first.closedByServer(t, 20*time.Second)
	before = len(v.tags())
	eventually(t, 20*time.Second, "the viewer at the old home goes on", func() bool { return len(v.tags()) > before+50 })
	v.going(t)
}

// TestClusterStrangers: who does not know the secret gets nothing, and streams go in no circle.
func TestClusterStrangers(t *testing.T) {
	t.Parallel()
	a := startCluster(t, startRedis(t), 1)[0]
	publish(t, a.server, a.key(t, "m"), flvClip(t, "h264-aac", 5), pacing{loop: true})
	a.waitOnAir(t, "m")
	var plain, two http.Protocols // HTTP/1.1, and HTTP/2 with prior knowledge
	plain.SetHTTP1(true)
	two.SetUnencryptedHTTP2(true)
	ask := func(protocols *http.Protocols, path string, header http.Header) int {
		t.Helper()
		client := &http.Client{Transport: &http.Transport{Protocols: protocols, DisableKeepAlives: true}}
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, "http://"+a.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header = header
		answer, err := client.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		answer.Body.Close()
		if is, want := answer.ProtoMajor, map[bool]int{true: 2, false: 1}[protocols == &two]; is != want {
			t.Errorf("HTTP/%d, want %d", is, want)
		}
		return answer.StatusCode
	}
	signed := func(secret, path string, at int64, more ...string) http.Header {
		code := hmac.New(sha256.New, []byte(secret))
		nonce := rand.Text()
		fmt.Fprintf(code, "GET\n%s\n%d\nx\na\n%s", path, at, nonce)
		h := http.Header{"Authorization": {fmt.Sprintf("Livego v1 node=x,ts=%d,nonce=%s,mac=%x", at, nonce, code.Sum(nil))}}
		for i := 0; i+1 < len(more); i += 2 {
			h.Set(more[i], more[i+1])
		}
		return h
	}
	now := time.Now().Unix()
	const feed, hls = "/feed/live/m", "/hls/live/m.m3u8"
	eventually(t, 20*time.Second, "HLS", func() bool { return ask(&plain, hls, signed(clusterSecret, hls, now)) == http.StatusOK })
	for what, c := range map[string]struct {
		path   string
		header func() http.Header // signed anew: each code is good once
		want   int
	}{
		"with the secret":    {feed, func() http.Header { return signed(clusterSecret, feed, now) }, http.StatusOK},
		"without":            {feed, func() http.Header { return http.Header{} }, http.StatusUnauthorized},
		"HLS":                {hls, func() http.Header { return signed(clusterSecret, hls, now) }, http.StatusOK},
		"HLS without":        {"/hls/live/m.m3u8", func() http.Header { return http.Header{} }, http.StatusUnauthorized},
		"with another":       {feed, func() http.Header { return signed(strings.Repeat("x", 32), feed, now) }, http.StatusUnauthorized},
		"of a minute ago":    {feed, func() http.Header { return signed(clusterSecret, feed, now-60) }, http.StatusUnauthorized},
		"of another path":    {"/feed/live/n", func() http.Header { return signed(clusterSecret, feed, now) }, http.StatusUnauthorized},
		"through itself":     {feed, func() http.Header { return signed(clusterSecret, feed, now, "Via", "x, a, y") }, http.StatusLoopDetected},
		"an unknown stream":  {"/feed/live/n", func() http.Header { return signed(clusterSecret, "/feed/live/n", now) }, http.StatusNotFound},
		"nothing that there": {"/x", func() http.Header { return signed(clusterSecret, "/x", now) }, http.StatusNotFound},
	} {
		for _, protocols := range []*http.Protocols{&plain, &two} {
			want := c.want
			if protocols == &two && c.path == feed && want == http.StatusOK {
				want = http.StatusHTTPVersionNotSupported // a feed has a connection of its own
			}
			if got := ask(protocols, c.path, c.header()); got != want {
				t.Errorf("%s, %v: %d, want %d", what, protocols, got, want)
			}
		}
	}
	if strings.Contains(a.log(), clusterSecret) {
		t.Error("the secret is in the log")
	}
}
