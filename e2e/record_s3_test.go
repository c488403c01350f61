package e2e

import (
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestS3 records into a bucket of a real S3 server: what is there is what was published, access
// unit by access unit, with types for CDNs; the server plays it from there, cuts clips of it, and
// deletes what is too old.
func TestS3(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	s := startWith(t, gatewayEnv(gatewaySecret), "--record", "all", "--record_to", g.location(""), "--record_join", "0",
		"--record_keep", "20s", "--hls_segment_duration", "1")
	room := roomOf(t)
	r, folder, tags := recordClip(t, s, g.stored(), room, "h264-aac-b", 12)
	recordedWhole(t, g.stored(), room, tags)
	in := unitsOf(tags, h264NAL)

	p := webPlay(t, hlsJS, s.recordingURL(room, r.ID, "index.m3u8"), nil)
	p.waitPlaying(t)
	file := filepath.Join(t.TempDir(), "clip.mp4")
	status, body, _ := get(s.recordingURL(room, r.ID, "clip.mp4?from=3.5&to=7.5"))
	if status != http.StatusOK || os.WriteFile(file, body, 0o600) != nil {
		t.Fatalf("clip.mp4: %d, %d bytes", status, len(body))
	}
	comparison{tolerance: 2}.check(t, "clip.mp4", in, fileUnits(t, file))
	if d := ffmpegReads(t, s.recordingURL(room, r.ID, "clip.m3u8?from=3.5&to=7.5")); d < 4_000 || d > 6_000 {
		t.Errorf("a clip of 4 s is %d ms long", d)
	}
	segment := s.recordingURL(room, r.ID, lastSegment(t, folder))
	if status, body, h := request(t, http.MethodGet, segment, http.Header{"Range": {"bytes=100-199"}}); status != 206 || len(body) != 100 || h.Get("Content-Type") != "video/mp4" {
		t.Errorf("a range: %d, %d bytes, %v", status, len(body), h)
	}
	eventually(t, 100*time.Second, "it is deleted, as it is older than record_keep", func() bool { return len(g.files()) == 0 })
	if log := s.log(); strings.Contains(log, gatewaySecret) || strings.Contains(log, "level=ERROR") {
		t.Error("the log has the secret, or an error")
	}
}

// recordTo are the options of a server that records into the bucket.
func (g *gateway) recordTo(link string) []string {
	return []string{"--record", "all", "--record_to", g.location(link), "--record_join", "1s", "--hls_segment_duration", "1"}
}

// TestS3Away kills the gateway in mid-recording.
func TestS3Away(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	s := startWith(t, gatewayEnv(gatewaySecret), g.recordTo("")...)
	troubled(t, g.stored(), s, g.kill, func() { g.up(t) })
}

// TestS3Full fills the gateway's disk in mid-recording.
func TestS3Full(t *testing.T) {
	t.Parallel()
	g := newGateway(t)
	g.small("8m")
	g.up(t)
	g.bucket = filepath.Join("/proc", fmt.Sprint(g.Process.Pid), "root", g.bucket)
	filler := filepath.Join(g.bucket, "filler")
	s := startWith(t, gatewayEnv(gatewaySecret), g.recordTo("")...)
	troubled(t, g.stored(), s, func() { fillDisk(t, filler) }, func() {
		if err := os.Remove(filler); err != nil {
			t.Fatal(err)
		}
	})
}

// TestS3Refuses gives the server a wrong secret: it says so, the stream goes on, and with the right
// one all of it is stored.
func TestS3Refuses(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	s := startWith(t, gatewayEnv("not"+gatewaySecret), g.recordTo("")...)
	troubled(t, g.stored(), s, func() {}, func() {
		if err := s.stop(); err != nil {
			t.Error(err)
		}
		if found := g.files(); len(found) > 0 {
			t.Errorf("stored with the wrong secret: %q", found)
		}
		s.relaunch(t, raceBinary(t), gatewayEnv(gatewaySecret), g.recordTo("")...)
	})
}

// TestS3Slow records over a link that is slower than the stream: no viewer notices, segments wait
// on the local disk, and all of them come in the end.
func TestS3Slow(t *testing.T) {
	t.Parallel()
	g := startGateway(t)
	const link = 10 << 10 // bytes a second of each of two connections
	s := startWith(t, gatewayEnv(gatewaySecret), g.recordTo(slowLink(t, g.address, link))...)
	room, tags := roomOf(t), flvClip(t, "h264-aac-b", 12)
	pub := publish(t, s, s.key(t, room), tags, pacing{})
	s.waitOnAir(t, room)
	v := watchFLV(t, s, room)
	pub.finish(t)
	gapless(t, v.name, v.waitEnd(t, 10*time.Second), 250)
	if waiting := must(filepath.Glob(filepath.Join(s.dir, "data", "record", "*", "*", "*.m4s"))); len(waiting) < 3 {
		t.Errorf("the link is not slow: %q", waiting)
	}
	recordedWhole(t, g.stored(), room, tags)
}
