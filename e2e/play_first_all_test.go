package e2e

import (
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// firstKinds are players of a stream that has just begun: as docs/players.md configures them, and
// as they come.
var firstKinds = append(slices.Clone(playerKinds),
	playerKind{"hls.js without parts", hlsContainers, inPage(hlsJS, map[string]any{"lowLatencyMode": false}), true},
	playerKind{"Shaka as it comes", hlsContainers, inPage(shakaPlayer, map[string]any{"streaming": map[string]any{"lowLatencyMode": false, "liveSync": map[string]any{"enabled": false}}}), true},
	playerKind{"video.js as it comes", hlsContainers, inPage(videoJS, map[string]any{"html5": map[string]any{"vhs": map[string]any{"overrideNative": true}}}), true},
)

// TestPlayersFirst opens players with a stream's first picture, and says how long after it they
// play, and for how long they stand in the half minute after that: make players. Streams have a
// key frame each 2 to 20 s; nothing is known of them, or how long their segments were.
func TestPlayersFirst(t *testing.T) {
	if !wholeMatrix() {
		t.Skip("make players runs it")
	}
	s := startShipped(t)
	chromium.turn(t)
	for _, over := range []string{overTS, overCMAF, overFLV} {
		for _, gop := range []string{"2s", "9s", "10s", "20s", "2s known", "10s known"} {
			var list []*cell
			for i := range firstKinds {
				c := &cell{end: "first", kind: &streamKind{name: gop}, player: &firstKinds[i], over: over}
				if slices.Contains(c.player.over, over) && wanted(c) {
					list = append(list, c)
				}
			}
			tries, _ := strconv.Atoi(os.Getenv("ROUNDS"))
			for i := range max(1, tries) {
				t.Run(fmt.Sprintf("%s/%s/%d", over, gop, i), func(t *testing.T) { playFirst(t, s, list) })
			}
		}
	}
}

// playFirst lets players begin all at once with a stream, each with one of its own.
func playFirst(t *testing.T, s *server, list []*cell) {
	if len(list) == 0 {
		return
	}
	const patient, watched = 60 * time.Second, 30 * time.Second
	gop, known, _ := strings.Cut(list[0].kind.name, " ")
	rooms := map[string]string{}
	for i := range list {
		rooms[strconv.Itoa(i)] = roomOf(t) + strconv.Itoa(i)
	}
	if known != "" {
		length, _ := time.ParseDuration(gop)
		s.knowStreams(t, rooms, max(4*time.Second, length), nil)
	}
	seconds := 20
	if gop == "9s" {
		seconds = 18
	}
	tags := flvClip(t, "h264-"+gop, seconds)
	var all sync.WaitGroup
	lines := make([]string, len(list))
	for i, c := range list {
		room := rooms[strconv.Itoa(i)]
		encoder := publish(t, s, s.key(t, room), tags, pacing{loop: true})
		s.waitOnAir(t, room)
		p := c.player.play(t, c.address(s, room))
		all.Go(func() {
			began := waitUntil(patient, func() bool { return p.account(t).played > 0.1 })
			took := time.Since(encoder.began)
			if began {
				time.Sleep(watched)
			}
			a := p.account(t)
			lines[i] = fmt.Sprintf("%v plays after %4.1f s: %v, stands %4.1f s, begun anew %d times %s", c, took.Seconds(), began, a.stood, a.begun, a.said)
		})
	}
	all.Wait()
	t.Logf("\n%s", strings.Join(lines, "\n"))
}
