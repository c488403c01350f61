package e2e

import (
	"slices"
	"strings"
	"sync"
	"testing"
	"time"
)

// joinedKinds are the players of TestJoined. In make players there are all.
func joinedKinds() (kinds []playerKind) {
	for _, k := range append(slices.Clone(firstKinds), playerKind{"hls.js close to live", hlsContainers, inPage(hlsJS, lowLatency), true}) {
		if slices.Contains(k.over, overCMAF) && (wholeMatrix() || slices.Contains([]string{"hls.js", "Shaka", "FFmpeg"}, k.name)) {
			kinds = append(kinds, k)
		}
	}
	return kinds
}

// TestJoined plays streams whose pictures and sound are in one playlist with players of all kinds,
// also over an encoder that comes back.
func TestJoined(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s := startShipped(t, "--hls_joined")
	for _, name := range []string{"h264-aac-b", "av1-opus", "vp9-flac"} {
		t.Run(name, func(t *testing.T) {
			room := roomOf(t)
			tags, key := wrap(t, clip(t, name, 5, "mp4"), wrapping{}), s.key(t, room)
			encoder := publish(t, s, key, tags, pacing{loop: true})
			s.waitOnAir(t, room)
			waitIndex(t, s, room)
			status, text, _ := s.fetch(t, s.indexURL(room))
			if status != 200 || !strings.Contains(text, "\nindex-v0a0.m3u8\n") || strings.Contains(text, "TYPE=AUDIO") {
				t.Fatalf("status %d\n%s", status, text)
			}
			kinds := joinedKinds()
			if name != "h264-aac-b" {
				kinds = kinds[:1]
			}
			var running []player
			for _, k := range kinds {
				running = append(running, k.play(t, s.indexURL(room)))
			}
			played := func(more float64, from []account) {
				t.Helper()
				var all sync.WaitGroup
				for i, p := range running {
					all.Go(func() {
						before := 0.
						if from != nil {
							before = from[i].played
						}
						if !waitUntil(slack*30*time.Second, func() bool { return p.account(t).played > before+more }) {
							t.Errorf("%s stands still: %+v", kinds[i].name, p.account(t))
						}
					})
				}
				all.Wait()
			}
			played(8, nil)
			if t.Failed() || name != "h264-aac-b" {
				return
			}
			encoder.lose()
			s.waitOffAir(t, room)
			var before []account
			for _, p := range running {
				before = append(before, p.account(t))
			}
			publish(t, s, key, tags, pacing{loop: true})
			played(10, before)
			for i, p := range running {
				t.Logf("%s: %+v", kinds[i].name, p.account(t))
			}
		})
	}
}
