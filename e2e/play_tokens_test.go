package e2e

import (
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

const viewerKeys = "VIEWER_KEYS=[{kid: a, algorithm: HS256, secret: 0123456789abcdef0123456789abcdef}]"

// startClosed runs a server that asks viewers for tokens.
func startClosed(t testing.TB, args ...string) *server {
	t.Helper()
	return startWith(t, []string{viewerKeys, "VIEWER_AUTH=token"}, append([]string{"--hls_segment_duration", "1"}, args...)...)
}

// token makes one with the program.
func token(t testing.TB, path string, more ...string) string {
	t.Helper()
	command := exec.Command(setting(t, "LIVEGO_BIN"), append([]string{"token", "--path", path}, more...)...)
	command.Env = append(os.Environ(), viewerKeys)
	command.Dir = t.TempDir()
	text, err := command.Output()
	if err != nil {
		t.Fatal(err)
	}
	return strings.TrimSpace(string(text))
}

// TestTokens plays a stream with a token by all protocols, in real players, and with none by none.
func TestTokens(t *testing.T) {
	t.Parallel()
	s, room := startClosed(t), roomOf(t)
	publishBars(t, s, s.key(t, room))
	s.waitOnAir(t, room)
	good := token(t, "live/"+room, "--for", "1h")
	prefixed := "http://" + s.hls + "/~" + good + "/live/" + room
	waitPlaylist(t, prefixed+".m3u8")

	for name, address := range map[string]string{
		"HLS": s.hlsURL(room), "CMAF": s.indexURL(room), "page": s.pageURL(room), "FLV": s.flvURL(room),
		"another stream's token": s.flvURL(room) + "?token=" + token(t, "live/other"),
		"a broken token":         prefixed[:len(prefixed)-len("/live/"+room)] + "x/live/" + room + "/index.m3u8",
	} {
		if status, text, _ := s.fetch(t, address); status != http.StatusForbidden || !strings.Contains(text, "token") {
			t.Errorf("%s: %d %q", name, status, text)
		}
	}
	without := launch(t, "ffmpeg", "-v", "error", "-i", s.rtmpURL(room), "-t", "1", "-f", "null", "-")
	if without.wait(t, 20*time.Second); without.exit == nil {
		t.Error("FFmpeg plays RTMP without a token")
	}

	for name, address := range map[string]string{
		"RTMP": s.rtmpURL(room) + "?token=" + good, "FLV": s.flvURL(room) + "?token=" + good,
		"HLS, led to the prefix": s.hlsURL(room) + "?token=" + good, "CMAF": prefixed + "/index.m3u8",
	} {
		t.Run("FFmpeg over "+name, func(t *testing.T) {
			launch(t, "ffmpeg", "-v", "error", "-i", address, "-t", "2", "-c", "copy", "-f", "null", "-").succeed(t, 30*time.Second)
		})
	}
	for name, p := range map[string]*webPlayer{
		"hls.js":                  webPlay(t, hlsJS, prefixed+"/index.m3u8", lowLatency),
		"mpegts.js":               webPlay(t, mpegtsJS, s.flvURL(room)+"?token="+good, chasing),
		"mpegts.js, WebSocket":    webPlay(t, mpegtsJS, s.wsURL(room)+"?token="+good, chasing),
		"hls.js, led to a prefix": webPlay(t, hlsJS, s.hlsURL(room)+"?token="+good, nil),
	} {
		p.waitPlaying(t)
		if r := p.waitProgress(t, 3, 20*time.Second); r.Width != 320 {
			t.Errorf("%s: %v", name, r)
		}
	}
	if strings.Contains(s.log(), good) || strings.Contains(s.log(), good[:60]) {
		t.Error("the log has the token")
	}
}

// TestTokensBehindVarnish: a cache that takes the prefix off, as docs/access.md shows, asks the
// server once for what many viewers watch.
func TestTokensBehindVarnish(t *testing.T) {
	t.Parallel()
	s, room := startClosed(t, "--viewer_shared_cache"), roomOf(t)
	defer publish(t, s, s.key(t, room), flvClip(t, "h264-aac-b", 5), pacing{loop: true}).lose()
	s.waitOnAir(t, room)
	waitPlaylist(t, "http://"+s.hls+"/~"+token(t, "live/"+room)+"/live/"+room+".m3u8")
	var upstream atomic.Int64
	origin := httptest.NewServer(counting(&upstream, s.hls))
	defer origin.Close()
	front := startVarnish(t, strings.TrimPrefix(origin.URL, "http://"), recipe(t, token(t, "live/*")))

	const viewers = 50
	var all sync.WaitGroup
	var fetched, distinct atomic.Int64
	var segments sync.Map
	for i := range viewers {
		folder := fmt.Sprintf("http://%s/~viewer%d/live/", front, i)
		all.Go(func() {
			for line := range strings.SplitSeq(download(t, folder+room+".m3u8"), "\n") {
				if line == "" || strings.HasPrefix(line, "#") {
					continue
				}
				if _, again := segments.LoadOrStore(line, true); !again {
					distinct.Add(1)
				}
				if download(t, folder+line) != "" {
					fetched.Add(1)
				}
			}
		})
	}
	all.Wait()
	t.Logf("%d viewers, %d segments of %d names, %d requests to the server", viewers, fetched.Load(), distinct.Load(), upstream.Load())
	if fetched.Load() < 2*viewers {
		t.Error("viewers got too few segments")
	}
	// Each segment once, and the playlist, which is not kept, at most once for each viewer.
	if n := upstream.Load(); n > viewers+distinct.Load() {
		t.Errorf("%d requests reached the server", n)
	}
}

func download(t testing.TB, address string) string {
	resp, err := http.Get(address)
	if err != nil {
		t.Error(err)
		return ""
	}
	defer resp.Body.Close()
	body, err := io.ReadAll(resp.Body)
	if err != nil || resp.StatusCode != http.StatusOK {
		t.Errorf("%s: %s, %v", address, resp.Status, err)
	}
	return string(body)
}

// counting is a proxy that counts requests.
func counting(n *atomic.Int64, to string) http.Handler {
	proxy := httputil.NewSingleHostReverseProxy(&url.URL{Scheme: "http", Host: to})
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if strings.Contains(r.URL.Path, "~") {
			w.WriteHeader(http.StatusTeapot)
			return
		}
		n.Add(1)
		proxy.ServeHTTP(w, r)
	})
}

// recipe is the VCL of docs/access.md with a token in it.
func recipe(t testing.TB, token string) string {
	t.Helper()
	text, err := os.ReadFile("../docs/access.md")
	if err != nil {
		t.Fatal(err)
	}
	vcl := regexp.MustCompile("(?s)```vcl\n(.*?)```").FindSubmatch(text)
	if vcl == nil {
		t.Fatal("docs/access.md has no VCL")
	}
	return strings.ReplaceAll(string(vcl[1]), "TOKEN", token)
}

// startVarnish runs Varnish in front of a server and returns its address.
func startVarnish(t testing.TB, backend, rules string) string {
	t.Helper()
	dir, address := t.TempDir(), freeAddress(t)
	host, port, err := net.SplitHostPort(backend)
	if err != nil {
		t.Fatal(err)
	}
	vcl := fmt.Sprintf("vcl 4.1;\nbackend default { .host = %q; .port = %q; }\n%s", host, port, rules)
	file := filepath.Join(dir, "livego.vcl")
	if err := os.WriteFile(file, []byte(vcl), 0o600); err != nil {
		t.Fatal(err)
	}
	varnish := launch(t, "varnishd", "-F", "-n", filepath.Join(dir, "work"), "-a", address, "-f", file, "-s", "malloc,64m", "-T", "none", "-j", "none")
	eventually(t, 20*time.Second, "Varnish listens", func() bool {
		select {
		case <-varnish.ended:
			t.Fatalf("varnishd: %s", varnish.output.String())
		default:
		}
		conn, err := net.Dial("tcp", address)
		if err != nil {
			return false
		}
		conn.Close()
		return true
	})
	return address
}
