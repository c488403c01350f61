package e2e

import (
	"os"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// joinedKinds are the players of TestJoined, as many of them at a time as the machine bears. In
// make players there are all.
func joinedKinds() [][]playerKind {
	var kinds []playerKind
	only := strings.TrimPrefix(os.Getenv("LIVEGO_PLAYERS"), "all")
	for _, k := range append(slices.Clone(firstKinds), playerKind{"hls.js close to live", hlsContainers, inPage(hlsJS, lowLatency), true}) {
		if slices.Contains(k.over, overCMAF) && strings.Contains(k.name, only) && (wholeMatrix() || slices.Contains([]string{"hls.js", "Shaka", "FFmpeg"}, k.name)) {
			kinds = append(kinds, k)
		}
	}
	if wholeMatrix() {
		return slices.Collect(slices.Chunk(kinds, pagesAtOnce))
	}
	return [][]playerKind{kinds}
}

// TestJoined plays streams whose pictures and sound are in one playlist with players of all kinds,
// also over an encoder that comes back.
func TestJoined(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s := startShipped(t, "--hls_joined")
	for _, kinds := range joinedKinds() {
		t.Run(kinds[0].name, func(t *testing.T) { playJoined(t, s, "h264-aac-b", kinds) })
	}
	for _, name := range []string{"av1-opus", "vp9-flac"} {
		t.Run(name, func(t *testing.T) { playJoined(t, s, name, firstKinds[:1]) })
	}
}

func playJoined(t *testing.T, s *server, name string, kinds []playerKind) {
	room := roomOf(t)
	tags, key := wrap(t, clip(t, name, 5, "mp4"), wrapping{}), s.key(t, room)
	encoder := publish(t, s, key, tags, pacing{loop: true})
	s.waitOnAir(t, room)
	waitIndex(t, s, room)
	status, text, _ := s.fetch(t, s.indexURL(room))
	if status != 200 || !strings.Contains(text, "\nindex-v0a0.m3u8\n") || strings.Contains(text, "TYPE=AUDIO") {
		t.Fatalf("status %d\n%s", status, text)
	}
	running, before := make([]player, len(kinds)), make([]account, len(kinds))
	for i := range kinds {
		running[i] = kinds[i].play(t, s.indexURL(room))
	}
	played := func(more float64) {
		t.Helper()
		var all sync.WaitGroup
		for i, p := range running {
			all.Go(func() {
				if !waitUntil(slack*30*time.Second, func() bool { return p.account(t).played > before[i].played+more }) {
					t.Errorf("%s stands still: %+v", kinds[i].name, p.account(t))
				}
			})
		}
		all.Wait()
	}
	played(8)
	encoder.lose()
	s.waitOffAir(t, room)
	for i, p := range running {
		before[i] = p.account(t)
	}
	publish(t, s, key, tags, pacing{loop: true})
	played(8)
	for i, p := range running {
		a := p.account(t)
		t.Logf("%s: played %.1f s, stood for %.1f s, begun anew %d times", kinds[i].name, a.played, a.stood, a.begun)
	}
}
