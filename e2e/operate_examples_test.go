package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
)

// TestNginxExample runs examples/nginx in Debian's nginx, with ports and certificate of the test:
// HLS, a held request, HTTP-FLV, WebSocket-FLV and the watch page come through TLS and HTTP/2.
func TestNginxExample(t *testing.T) {
	t.Parallel()
	s := start(t, "--trusted_proxies", "127.0.0.1")
	example, err := os.ReadFile("../examples/nginx/livego.conf")
	if err != nil {
		t.Fatal(err)
	}
	room := roomOf(t)
	pub := publish(t, s, s.key(t, room), flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	defer pub.lose()
	s.waitOnAir(t, room)
	checkProxy(t, startSite(t, s, string(example)), room, true)
}

// lastPart returns the numbers of the newest part of a media playlist: of its segment, and within
// that.
func lastPart(t testing.TB, playlist string) (msn, part int) {
	t.Helper()
	part = -1
	for line := range strings.Lines(playlist) {
		switch {
		case strings.HasPrefix(line, "#EXT-X-MEDIA-SEQUENCE:"):
			if _, err := fmt.Sscanf(line, "#EXT-X-MEDIA-SEQUENCE:%d", &msn); err != nil {
				t.Fatal(err)
			}
		case strings.HasPrefix(line, "#EXTINF:"):
			msn, part = msn+1, -1
		case strings.HasPrefix(line, "#EXT-X-PART:"):
			part++
		}
	}
	return msn, part
}
