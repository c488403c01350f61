package e2e

import (
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/gobwas/ws"
	"github.com/gobwas/ws/wsutil"
)

// browser is a headless Chromium with one page, driven by the DevTools protocol.
type browser struct {
	conn net.Conn
	in   io.Reader
	last int
}

func startBrowser(t testing.TB) *browser {
	t.Helper()
	address := freeAddress(t)
	_, port, _ := net.SplitHostPort(address)
	profile, err := os.MkdirTemp(work, "chromium-")
	if err != nil {
		t.Fatal(err)
	}
	launch(t, "chromium", "--headless=new", "--no-sandbox", "--disable-gpu", "--mute-audio", "--window-size=800,600", "--no-first-run",
		"--autoplay-policy=no-user-gesture-required", "--remote-debugging-port="+port, "--user-data-dir="+profile, "about:blank")
	var pages []struct {
		Type                 string
		WebSocketDebuggerURL string `json:"webSocketDebuggerUrl"`
	}
	target := ""
	eventually(t, 30*time.Second, "Chromium answers", func() bool {
		answer, err := http.Get("http://" + address + "/json/list")
		if err != nil {
			return false
		}
		defer answer.Body.Close()
		if json.NewDecoder(answer.Body).Decode(&pages) != nil {
			return false
		}
		for _, page := range pages {
			if page.Type == "page" {
				target = page.WebSocketDebuggerURL
			}
		}
		return target != ""
	})
	conn, early, _, err := ws.Dial(t.Context(), target)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	b := &browser{conn: conn, in: conn}
	if early != nil {
		b.in = io.MultiReader(early, conn)
	}
	return b
}

// call runs a command of the DevTools protocol and returns its result.
func (b *browser) call(t testing.TB, method string, parameters map[string]any) json.RawMessage {
	t.Helper()
	b.last++
	request, err := json.Marshal(map[string]any{"id": b.last, "method": method, "params": parameters})
	if err != nil {
		t.Fatal(err)
	}
	b.conn.SetDeadline(time.Now().Add(20 * time.Second))
	if err := wsutil.WriteClientText(b.conn, request); err != nil {
		t.Fatal(err)
	}
	for {
		text, err := wsutil.ReadServerText(struct {
			io.Reader
			io.Writer
		}{b.in, b.conn})
		if err != nil {
			t.Fatalf("%s: %v", method, err)
		}
		var answer struct {
			ID     int
			Error  json.RawMessage
			Result json.RawMessage
		}
		if err := json.Unmarshal(text, &answer); err != nil {
			t.Fatal(err)
		}
		if answer.ID != b.last {
			continue // an event
		}
		if answer.Error != nil {
			t.Fatalf("%s: %s", method, answer.Error)
		}
		return answer.Result
	}
}

// evaluate runs an expression in the page, waits for it if it is a promise, and decodes its value.
func (b *browser) evaluate(t testing.TB, expression string, value any) {
	t.Helper()
	result := b.call(t, "Runtime.evaluate", map[string]any{
		"expression": expression, "returnByValue": true, "awaitPromise": true, "userGesture": true,
	})
	var answer struct {
		Result           struct{ Value json.RawMessage }
		ExceptionDetails json.RawMessage
	}
	if err := json.Unmarshal(result, &answer); err != nil {
		t.Fatal(err)
	}
	if answer.ExceptionDetails != nil {
		t.Fatalf("%s: %s", expression, answer.ExceptionDetails)
	}
	if value == nil || answer.Result.Value == nil {
		return
	}
	if err := json.Unmarshal(answer.Result.Value, value); err != nil {
		t.Fatalf("%s gives %s: %v", expression, answer.Result.Value, err)
	}
}

// screenshot returns a picture of the page, and keeps it below the folder SCREENSHOTS, if that is
// set.
func (b *browser) screenshot(t testing.TB, name string) string {
	t.Helper()
	var picture struct{ Data string }
	if err := json.Unmarshal(b.call(t, "Page.captureScreenshot", map[string]any{"format": "png"}), &picture); err != nil {
		t.Fatal(err)
	}
	data, err := base64.StdEncoding.DecodeString(picture.Data)
	if err != nil {
		t.Fatal(err)
	}
	if dir := os.Getenv("SCREENSHOTS"); dir != "" {
		if err := os.WriteFile(filepath.Join(dir, name+".png"), data, 0o600); err != nil {
			t.Error(err)
		}
	}
	return hashOf(data)
}

// waitPlaylist waits until a playlist has three segments. Chromium counts the time that it takes to
// begin as a pause, and gives a live stream up that has nothing newer after it.
func waitPlaylist(t testing.TB, address string) {
	t.Helper()
	eventually(t, 30*time.Second, "three segments", func() bool {
		_, body, _ := get(address)
		list, err := parsePlaylist(address, string(body))
		return err == nil && len(list.segments) >= 3
	})
}

// watchMoves opens a page with a video and checks that it plays, and that what is seen changes.
func watchMoves(t testing.TB, page, name string) {
	t.Helper()
	b := startBrowser(t)
	b.call(t, "Page.navigate", map[string]any{"url": page})
	eventually(t, 20*time.Second, "the page has a video", func() bool {
		found := false
		b.evaluate(t, "document.readyState == 'complete' && document.querySelector('video') != null", &found)
		return found
	})
	b.evaluate(t, "(() => { const v = document.querySelector('video'); v.muted = true; v.play().catch(() => {}) })()", nil)
	position := func() (seconds float64) {
		b.evaluate(t, "document.querySelector('video').currentTime", &seconds)
		return seconds
	}
	// The pixels of the picture itself, so that moving controls do not count.
	const look = `(() => { const v = document.querySelector('video'), c = document.createElement('canvas');
		c.width = 64; c.height = 36; const x = c.getContext('2d'); x.drawImage(v, 0, 0, 64, 36);
		return Array.from(x.getImageData(0, 0, 64, 36).data).filter((_, i) => i % 16 < 3).join() })()`
	var start float64
	if !waitUntil(slack*30*time.Second, func() bool { start = position(); return start > 0 }) {
		var state string
		b.evaluate(t, "(() => { const v = document.querySelector('video'); return `readyState ${v.readyState}, networkState ${v.networkState}, error ${v.error && v.error.message}, src ${v.currentSrc}` })()", &state)
		t.Fatalf("the video does not play: %s", state)
	}
	var pictures, shots []string
	for i := range 3 {
		if !waitUntil(slack*20*time.Second, func() bool { return position() > start+float64(i) }) {
			t.Fatalf("the video stands at %.2f s", position())
		}
		var pixels string
		b.evaluate(t, look, &pixels)
		pictures = append(pictures, hashOf([]byte(pixels)))
		shots = append(shots, b.screenshot(t, fmt.Sprintf("%s-%d", name, i+1)))
	}
	if pictures[0] == pictures[1] || pictures[1] == pictures[2] || shots[0] == shots[2] {
		t.Errorf("the picture does not move: %v %v", pictures, shots)
	}
	var width int
	b.evaluate(t, "document.querySelector('video').videoWidth", &width)
	if width != 640 {
		t.Errorf("the picture is %d wide", width)
	}
}
