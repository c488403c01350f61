package e2e

import (
	"bufio"
	"fmt"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// TestHAProxy: HAProxy in front of RTMP and HLS says by the PROXY protocol for whom it speaks, and
// those addresses are the clients'; nobody else is believed.
func TestHAProxy(t *testing.T) {
	t.Parallel()
	const proxy = "127.0.0.9" // HAProxy connects from there
	config := filepath.Join(t.TempDir(), "livego.yaml")
	rules := "server: [{appname: live, live: true, hls: true, flv: true, publish_deny: [" + proxy + "], play_deny: [" + proxy + "]}]"
	if err := os.WriteFile(config, []byte(rules), 0o600); err != nil {
		t.Fatal(err)
	}
	s, room := start(t, "--config_file", config, "--trusted_proxies", proxy, "--proxy_protocol", "--hls_segment_duration", "1"), roomOf(t)
	rtmp, hls := freeAddress(t), freeAddress(t)
	file := filepath.Join(t.TempDir(), "haproxy.cfg")
	text := fmt.Sprintf(`defaults
  mode tcp
  timeout connect 5s
  timeout client 1m
  timeout server 1m
listen rtmp
  bind %s
  server livego %s send-proxy-v2 source %[5]s
listen hls
  bind %[3]s
  server livego %[4]s send-proxy source %[5]s
`, rtmp, s.rtmp, hls, s.hls, proxy)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, "haproxy", "-db", "-f", file)
	eventually(t, 10*time.Second, "HAProxy listens", func() bool {
		c, err := net.Dial("tcp", hls)
		if err == nil {
			c.Close()
		}
		return err == nil
	})

	launch(t, "ffmpeg", "-v", "error", "-re", "-stream_loop", "-1", "-i", clip(t, "h264-aac", 5, "flv"), "-c", "copy", "-f", "flv", "rtmp://"+rtmp+"/live/"+s.key(t, room))
	s.waitOnAir(t, room)
	launch(t, "ffmpeg", "-v", "error", "-i", "rtmp://"+rtmp+"/live/"+room, "-t", "1", "-c", "copy", "-f", "null", "-").succeed(t, 30*time.Second)
	waitPlaylist(t, "http://"+hls+"/live/"+room+".m3u8")
	var sessions struct {
		Items []struct{ Role, Address string }
	}
	if status := s.resource(t, "GET", "/sessions", &sessions); status != 200 || len(sessions.Items) == 0 || !strings.HasPrefix(sessions.Items[0].Address, "127.0.0.1:") {
		t.Errorf("sessions: %d %+v", status, sessions)
	}

	// From elsewhere the header is no header: a forger has gained nothing.
	conn, err := net.Dial("tcp", s.hls)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(10 * time.Second))
	fmt.Fprintf(conn, "PROXY TCP4 192.0.2.1 192.0.2.2 1 2\r\nGET /live/%s.m3u8 HTTP/1.1\r\nHost: x\r\n\r\n", room)
	if answer, err := http.ReadResponse(bufio.NewReader(conn), nil); err == nil && answer.StatusCode == http.StatusOK {
		t.Error("a forged address is believed")
	}
	if strings.Contains(s.log(), "192.0.2.1") {
		t.Error("a forged address is in the log")
	}
}

// TestRecordingsWithTokens: recordings of an app that asks viewers for tokens are played with one
// of their stream, and by nobody else.
func TestRecordingsWithTokens(t *testing.T) {
	t.Parallel()
	dir := filepath.Join(t.TempDir(), "recordings")
	s, room := startClosed(t, "--record", "all", "--record_to", dir, "--record_join", "0"), roomOf(t)
	r, _, _ := recordClip(t, s, dir, room, "h264-aac-b", 5)
	good, other := token(t, "live/"+room), token(t, "live/other")
	for _, name := range []string{"index.m3u8", "v0.m3u8", "clip.m3u8?from=1&to=2", "clip.mp4"} {
		address := s.recordingURL(room, r.ID, name)
		with := func(token string) string { return strings.Replace(address, "/rec/", "/~"+token+"/rec/", 1) }
		for what, refused := range map[string]string{"no token": address, "another stream's": with(other), "none at all": with("x")} {
			if status, _, _ := s.fetch(t, refused); status != http.StatusForbidden {
				t.Errorf("%s with %s: %d", name, what, status)
			}
		}
		if status, _, header := s.fetch(t, with(good)); status != http.StatusOK || !strings.Contains(header.Get("Cache-Control"), "private") {
			t.Errorf("%s: %d, %v", name, status, header)
		}
	}
	prefixed := "http://" + s.hls + "/~" + good + "/rec/live/" + room + "/" + r.ID + "/index.m3u8"
	if d := ffmpegReads(t, prefixed); d < 4_000 || d > 6_000 {
		t.Errorf("FFmpeg takes it for %d ms long", d)
	}
	webPlay(t, hlsJS, prefixed, nil).waitPlaying(t)
}
