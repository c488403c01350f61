package e2e

import (
	"crypto/tls"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// TestProxies runs each block for nginx in docs/proxies.md, with ports and certificate of the test.
func TestProxies(t *testing.T) {
	t.Parallel()
	s := start(t, "--trusted_proxies", "127.0.0.1")
	room := roomOf(t)
	pub := publish(t, s, s.key(t, room), flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	defer pub.lose()
	s.waitOnAir(t, room)
	blocks := regexp.MustCompile("(?s)```nginx\n(.*?)```").FindAllStringSubmatch(text(t, "../docs/proxies.md"), -1)
	if len(blocks) != 3 {
		t.Fatalf("%d blocks", len(blocks))
	}
	t.Run("host", func(t *testing.T) { checkProxy(t, startSite(t, s, blocks[0][1]), room, true) })
	t.Run("path", func(t *testing.T) { checkProxy(t, startSite(t, s, blocks[1][1])+"/tv", room, true) })
	t.Run("cache", func(t *testing.T) {
		base := startSite(t, s, blocks[2][1])
		checkProxy(t, base, room, false)
		checkCache(t, base, room)
	})
}

// startSite runs nginx with a block of its http section, and returns its address.
func startSite(t testing.TB, s *server, block string) string {
	t.Helper()
	dir, address := t.TempDir(), freeAddress(t)
	certificate, key := selfSigned(t, dir)
	site := strings.NewReplacer(
		"127.0.0.1:7002", s.hls, "127.0.0.1:7001", s.flv, "listen 443 ssl", "listen "+address+" ssl", "/var/cache/nginx", dir,
		"/etc/ssl/example.org.crt", certificate, "/etc/ssl/example.org.key", key,
	).Replace(block)
	user := ""
	if os.Getuid() == 0 {
		user = "user root;" // or its workers could not write to the cache
	}
	config := user + fmt.Sprintf("daemon off; pid %s/pid; error_log %s/log info; events {}\nhttp {\naccess_log off; client_body_temp_path %s/b; proxy_temp_path %s/p; fastcgi_temp_path %s/f; uwsgi_temp_path %s/u; scgi_temp_path %s/s;\n%s\n}\n",
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
	return "https://" + address
}

// proxyClient speaks HTTP/2 to a proxy.
func proxyClient(t testing.TB) *http.Client {
	transport := &http.Transport{TLSClientConfig: &tls.Config{InsecureSkipVerify: true}, ForceAttemptHTTP2: true}
	t.Cleanup(transport.CloseIdleConnections)
	return &http.Client{Transport: transport, Timeout: 30 * time.Second}
}

func getOver2(t testing.TB, client *http.Client, address string) (string, http.Header) {
	t.Helper()
	answer, err := client.Get(address)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	body, err := io.ReadAll(answer.Body)
	if err != nil || answer.StatusCode != http.StatusOK || answer.ProtoMajor != 2 {
		t.Errorf("%s: %s %s, %v", address, answer.Proto, answer.Status, err)
	}
	return string(body), answer.Header
}

// checkProxy asks a proxy for the page, HLS, a part that is yet to come, and with flv for HTTP-FLV
// and WebSocket-FLV.
func checkProxy(t *testing.T, base, room string, withFLV bool) {
	client := proxyClient(t)
	for path, want := range map[string]string{
		"/live/" + room + "/":            "<html",
		"/live/" + room + "/status.json": `"live"`,
		"/live/" + room + ".m3u8":        "#EXTINF",
		"/live/" + room + "/index.m3u8":  "#EXT-X-STREAM-INF",
	} {
		if body, _ := getOver2(t, client, base+path); !strings.Contains(body, want) {
			t.Errorf("%s: %.300q", path, body)
		}
	}
	list := base + "/live/" + room + "/index-v0.m3u8"
	body, _ := getOver2(t, client, list)
	msn, part := lastPart(t, body)
	if body, _ = getOver2(t, client, fmt.Sprintf("%s?_HLS_msn=%d&_HLS_part=%d", list, msn, part+2)); strings.Count(body, "#EXT-X-PART:") == 0 {
		t.Errorf("a held request: %.300q", body)
	}
	if !withFLV {
		return
	}
	answer, err := client.Get(base + "/live/" + room + ".flv")
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
	conn, _, _, err := dialer.Dial(t.Context(), "wss"+strings.TrimPrefix(base, "https")+"/live/"+room+".flv")
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

// checkCache looks whether parts and held playlists are fetched once.
func checkCache(t *testing.T, base, room string) {
	client := proxyClient(t)
	list := base + "/live/" + room + "/index-v0.m3u8"
	body, _ := getOver2(t, client, list)
	msn, part := lastPart(t, body)
	held := fmt.Sprintf("%s?_HLS_msn=%d&_HLS_part=%d", list, msn, part)
	first, _ := getOver2(t, client, held)
	again, header := getOver2(t, client, held)
	if header.Get("X-Cache") != "HIT" || first != again {
		t.Errorf("a playlist of a part: %s", header.Get("X-Cache"))
	}
	parts := regexp.MustCompile(`#EXT-X-PART:.*URI="([^"]+)"`).FindAllStringSubmatch(again, -1)
	if parts == nil {
		t.Fatalf("no part: %s", again)
	}
	file := base + "/live/" + room + "/" + parts[len(parts)-1][1] // the first may be of a gap
	getOver2(t, client, file)
	if _, header = getOver2(t, client, file); header.Get("X-Cache") != "HIT" {
		t.Errorf("a part: %s", header.Get("X-Cache"))
	}
}
