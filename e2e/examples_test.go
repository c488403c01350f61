package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// TestNginxExample runs examples/nginx in Debian's nginx, with ports and certificate of the test:
// HLS, a held request, HTTP-FLV, WebSocket-FLV and the watch page come through TLS and HTTP/2.
func TestNginxExample(t *testing.T) {
	t.Parallel()
	s := start(t, "--trusted_proxies", "127.0.0.1")
	dir, address := t.TempDir(), freeAddress(t)
	certificate, key := selfSigned(t, dir)
	example, err := os.ReadFile("../examples/nginx/livego.conf")
	if err != nil {
		t.Fatal(err)
	}
	site := strings.NewReplacer(
		"127.0.0.1:7002", s.hls, "127.0.0.1:7001", s.flv, "listen 443 ssl", "listen "+address+" ssl",
		"/etc/ssl/example.org.crt", certificate, "/etc/ssl/example.org.key", key,
	).Replace(string(example))
	config := fmt.Sprintf("daemon off; pid %s/pid; error_log %s/log info; events {}\nhttp {\naccess_log off; client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n%s\n}\n",
		dir, dir, dir, dir, dir, dir, dir, site)
	path := filepath.Join(dir, "nginx.conf")
	if err := os.WriteFile(path, []byte(config), 0o600); err != nil {
		t.Fatal(err)
	}
	launch(t, "nginx", "-p", dir, "-c", path)
	eventually(t, 10*time.Second, "nginx listens", func() bool {
		conn, err := net.Dial("tcp", address)
		if err == nil {
			conn.Close()
		}
		return err == nil
	})
	room := roomOf(t)
	pub := publish(t, s, s.key(t, room), flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	defer pub.lose()
	s.waitOnAir(t, room)

	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	defer transport.CloseIdleConnections()
	client := &http.Client{Transport: transport, Timeout: 30 * time.Second}
	get := func(path string) string {
		t.Helper()
		answer, err := client.Get("https://" + address + path)
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		defer answer.Body.Close()
		text, err := io.ReadAll(answer.Body)
		if err != nil || answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2 {
			t.Errorf("%s: %s %s, %v", path, answer.Proto, answer.Status, err)
		}
		return string(text)
	}
	for path, want := range map[string]string{
		"/live/" + room + "/":           "<html",
		"/live/" + room + ".m3u8":       "#EXTINF",
		"/live/" + room + "/index.m3u8": "#EXT-X-STREAM-INF",
	} {
		if text := get(path); !strings.Contains(text, want) {
			t.Errorf("%s: %.300q", path, text)
		}
	}
	// A request for a part that is yet to come is held, and answered with it.
	list := "/live/" + room + "/index-v0.m3u8"
	msn, part := lastPart(t, get(list))
	if text := get(fmt.Sprintf("%s?_HLS_msn=%d&_HLS_part=%d", list, msn, part+2)); strings.Count(text, "#EXT-X-PART:") == 0 {
		t.Errorf("a held request: %.300q", text)
	}

	answer, err := client.Get("https://" + address + "/live/" + room + ".flv")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if _, err := readFLVHeader(answer.Body); err != nil {
		t.Fatalf("HTTP-FLV: %v", err)
	}
	for range 50 {
		if _, err := readTag(answer.Body); err != nil {
			t.Fatalf("HTTP-FLV: %v", err)
		}
	}
	dialer := ws.Dialer{TLSConfig: &tls.Config{InsecureSkipVerify: true}, Timeout: 10 * time.Second}
	conn, _, _, err := dialer.Dial(t.Context(), "wss://"+address+"/live/"+room+".flv")
	if err != nil {
		t.Fatalf("WebSocket: %v", err)
	}
	defer conn.Close()
	_ = conn.SetDeadline(time.Now().Add(20 * time.Second))
	for range 20 {
		if message, err := wsutil.ReadServerBinary(conn); err != nil || len(message) == 0 {
			t.Fatalf("WebSocket: %d bytes, %v", len(message), err)
		}
	}
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
