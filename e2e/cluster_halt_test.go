package e2e

import (
	"context"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"
)

// roam publishes a file over and over with FFmpeg, which comes back at the next node when its own
// has ended, as behind a load balancer.
func roam(t testing.TB, file, key string, nodes ...*clusterNode) {
	t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	var running sync.WaitGroup
	running.Go(func() {
		for i := 0; ctx.Err() == nil; i++ {
			to := nodes[i%len(nodes)].publishURL(key)
			began := time.Now()
			out, _ := exec.CommandContext(ctx, "ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", file, "-c", "copy", "-f", "flv", to).CombinedOutput()
			first, _, _ := strings.Cut(string(out), "\n")
			t.Logf("FFmpeg was at node %d from %s to %s: %s", i%len(nodes), began.Format("05.000"), time.Now().Format("05.000"), first)
		}
	})
	t.Cleanup(func() { cancel(); running.Wait() })
}

// halts are for how long players stood still, by their names.
type halts map[string][]time.Duration

func (h halts) add(player string, d time.Duration) { h[player] = append(h[player], d) }

// table is one line for each player: the median and the worst.
func (h halts) table() string {
	var b strings.Builder
	for _, player := range slices.Sorted(maps.Keys(h)) {
		all := slices.Sorted(slices.Values(h[player]))
		fmt.Fprintf(&b, "| %s | %d | %.2f | %.2f |\n", player, len(all), all[len(all)/2].Seconds(), all[len(all)-1].Seconds())
	}
	return b.String()
}

// haltBed is three nodes, an encoder that goes back and forth between the first two, and players at
// the third.
type haltBed struct {
	nodes     []*clusterNode
	env       [][]string
	program   string
	home      int
	flv, rtmp *viewer
	web       *webPlayer
}

// haltRounds is how many rounds there are: some for figures (make cluster-halts), else one.
func haltRounds() (rounds int, measured bool) {
	rounds, err := strconv.Atoi(os.Getenv("LIVEGO_HALTS"))
	return max(rounds, 1), err == nil
}

// room is such that of the first two nodes that which stays takes the stream when the other one
// ends (cluster.Parents).
const haltRoom = "m"

// haltArgs let a node that ends take what its encoders send for so long that viewers at others are
// seen to go on, and viewers wait for an FFmpeg that needs long to begin on a busy machine.
var haltArgs = []string{"--hls_segment_duration", "2", "--drain_publishers", "12s", "--republish_grace", "40s"}

// startHaltBed starts all of it. With figures to take it is the program as it is shipped.
func startHaltBed(t *testing.T) *haltBed {
	t.Helper()
	chromium.turn(t)
	b := &haltBed{program: raceBinary(t)}
	if _, measured := haltRounds(); measured {
		b.program = setting(t, "LIVEGO_BIN")
	}
	r := startRedis(t)
	for i := range 3 {
		node, env := newClusterNode(t, r, i)
		b.env = append(b.env, env)
		node.server = &server{}
		b.nodes = append(b.nodes, node)
		node.launch(t, b.program, env, haltArgs...)
		t.Cleanup(func() {
			if err := node.stop(); err != nil {
				t.Errorf("node: %v", err)
			}
			if t.Failed() {
				t.Logf("log of node %d:\n%s", i, node.logTail())
			}
		})
	}
	roam(t, clip(t, "h264-aac", 20, "flv"), b.nodes[0].key(t, haltRoom), b.nodes[0], b.nodes[1])
	b.nodes[0].waitOnAir(t, haltRoom)
	third := b.nodes[2]
	waitPlaylist(t, third.hlsURL(haltRoom))
	b.web = webPlay(t, hlsJS, third.indexURL(haltRoom), nil)
	b.web.waitPlaying(t)
	b.flv, b.rtmp = watchFLV(t, third.server, haltRoom), watchRTMP(t, third.server, haltRoom)
	b.flv.waitFrames(t, 50)
	b.rtmp.waitFrames(t, 50)
	return b
}

// round ends the home by a signal, waits until all play on from the other node, and starts the one
// that ended again.
func (b *haltBed) round(t *testing.T, signal syscall.Signal, h halts) {
	t.Helper()
	old, next := b.nodes[b.home], b.nodes[1-b.home]
	// While FFmpeg began anew it sent nothing, and by so much hls.js is nearer to live than it
	// wants to be. Each round has a viewer who plays where hls.js begins.
	b.web.playLive(t)
	began := time.Now()
	old.expectCrash = signal == syscall.SIGKILL
	_ = old.command.Process.Signal(signal)
	comesBack := ""
	if signal == syscall.SIGTERM {
		next.waitOnAir(t, haltRoom)
		b.note(t, "", began, 4, h)
		b.web.forget(t)
		began, comesBack = time.Now(), ", FFmpeg comes back"
	}
	<-old.ended
	old.stopped = true
	next.waitOnAir(t, haltRoom)
	b.note(t, comesBack, began, 6, h)
	old.relaunch(t, b.program, b.env[b.home], haltArgs...)
	b.home = 1 - b.home
	// Its name is taken until its lease is over.
	pause(t, 4*time.Second)
}

// note waits until all have played for some seconds since a time, and notes for how long they stood
// still.
func (b *haltBed) note(t *testing.T, when string, since time.Time, seconds float64, h halts) {
	t.Helper()
	b.flv.waitFrames(t, int(50*seconds))
	b.rtmp.waitFrames(t, int(50*seconds))
	flv, rtmp := b.flv.halt(since), b.rtmp.halt(since) // the browser may be so slow that the next halt comes meanwhile
	r := b.web.waitProgress(t, seconds, 30*time.Second)
	b.flv.going(t)
	b.rtmp.going(t)
	h.add("hls.js"+when, time.Duration(r.stood()*float64(time.Second)))
	h.add("HTTP-FLV"+when, flv)
	h.add("RTMP"+when, rtmp)
	t.Logf("halts%s: hls.js %.2f s, HTTP-FLV %.2f s, RTMP %.2f s; %v", when, r.stood(), flv.Seconds(), rtmp.Seconds(), r)
}

// TestClusterHalts ends the home of a stream, again and again, by a signal that nothing can catch
// and by the one that operators use. FFmpeg comes back at another node, and players at a third one
// stay: hls.js with its default options, RTMP and HTTP-FLV. How long they stood still is what `make
// cluster-halts` prints. A node that is ended goes on taking what FFmpeg sends for a while, and
// another node is the home meanwhile. FFmpeg must begin anew at the end of that: that halt is its
// own.
func TestClusterHalts(t *testing.T) {
	for name, c := range map[string]struct {
		signal syscall.Signal
		// most is the longest halt that is in order when it is measured.
		most time.Duration
	}{
		"killed": {syscall.SIGKILL, 3 * time.Second},
		"ended":  {syscall.SIGTERM, 300 * time.Millisecond},
	} {
		t.Run(name, func(t *testing.T) {
			rounds, measured := haltRounds()
			if !measured {
				t.Parallel()
			}
			b, h := startHaltBed(t), halts{}
			for range rounds {
				b.round(t, c.signal, h)
			}
			rising(t, "flv", b.flv.tags())
			rising(t, "rtmp", b.rtmp.tags())
			if !measured {
				return
			}
			fmt.Printf("\nThe home is %s: for how many seconds players at another node stand still\n\n| player | rounds | median | worst |\n|---|---|---|---|\n%s", name, h.table())
			for player, all := range h {
				most := c.most
				if strings.HasSuffix(player, "comes back") {
					most = 3 * time.Second
				}
				if slices.Max(all) > most {
					t.Errorf("%s stood still for %v, aim %v", player, slices.Max(all).Round(time.Millisecond), most)
				}
			}
		})
	}
}
