package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	webhooks "github.com/standard-webhooks/standard-webhooks/libraries/go"
)

const hookSecret = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw"

// receiver is a receiver of hooks that notes what it gets, and checks each signature with a public
// library.
type receiver struct {
	*httptest.Server
	mu    sync.Mutex
	got   []string
	texts []string
	// answer, if set, is the status for a type of event or question, and what to say.
	answer func(kind string, body map[string]any) (int, string)
}

func receive(t testing.TB, answer func(string, map[string]any) (int, string)) *receiver {
	t.Helper()
	rc := &receiver{answer: answer}
	hook, err := webhooks.NewWebhook(hookSecret)
	if err != nil {
		t.Fatal(err)
	}
	rc.Server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		text, _ := io.ReadAll(r.Body)
		if err := hook.Verify(text, r.Header); err != nil {
			t.Errorf("signature: %v", err)
		}
		var body map[string]any
		if err := json.Unmarshal(text, &body); err != nil {
			t.Errorf("body %q: %v", text, err)
		}
		kind := fmt.Sprint(body["type"])
		rc.mu.Lock()
		rc.got, rc.texts = append(rc.got, kind+" "+fmt.Sprint(body["stream"])), append(rc.texts, string(text))
		rc.mu.Unlock()
		if rc.answer != nil {
			status, said := rc.answer(kind, body)
			w.WriteHeader(status)
			_, _ = io.WriteString(w, said)
		}
	}))
	t.Cleanup(rc.Close)
	return rc
}

// of returns what came about one stream, in order.
func (rc *receiver) of(stream string) (kinds []string) {
	rc.mu.Lock()
	defer rc.mu.Unlock()
	for _, line := range rc.got {
		if kind, of, _ := strings.Cut(line, " "); of == stream {
			kinds = append(kinds, kind)
		}
	}
	return kinds
}

// TestHooks: a receiver hears of a stream's life once and in order, also when it fails at first,
// and never of a key.
func TestHooks(t *testing.T) {
	t.Parallel()
	failed := false
	rc := receive(t, func(kind string, _ map[string]any) (int, string) {
		if kind == "stream.started" && !failed {
			failed = true
			return 503, ""
		}
		return 200, ""
	})
	s := startWith(t, []string{"HOOK_SECRET=" + hookSecret}, "--hook_url", rc.URL+"/hooks")
	room, tags := roomOf(t), flvClip(t, "h264-aac-b", 5)
	key := s.key(t, room)
	first := publish(t, s, key, tags, pacing{loop: true})
	s.waitOnAir(t, room)
	first.lose()
	s.waitOffAir(t, room)
	second := publish(t, s, key, tags, pacing{loop: true})
	s.waitOnAir(t, room)
	second.cancel()
	second.finish(t)
	want := []string{"stream.started", "stream.started", "rendition.added", "stream.lost", "stream.returned", "rendition.removed", "stream.ended"}
	eventually(t, 20*time.Second, "all events", func() bool { return len(rc.of("live/"+room)) >= len(want) })
	if got := rc.of("live/" + room); !slices.Equal(got, want) {
		t.Errorf("events %q, want %q", got, want)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	rc.mu.Lock()
	defer rc.mu.Unlock()
	if !slices.ContainsFunc(rc.got, func(line string) bool { return strings.HasPrefix(line, "server.draining") }) {
		t.Errorf("the end of the server is not told: %q", rc.got)
	}
	for _, text := range rc.texts {
		if strings.Contains(text, key) {
			t.Errorf("a channel key in %s", text)
		}
	}
}

// TestHangingHook: a receiver that never answers holds up neither publishers nor viewers nor the
// end.
func TestHangingHook(t *testing.T) {
	t.Parallel()
	free := make(chan struct{})
	rc := receive(t, func(string, map[string]any) (int, string) { <-free; return 200, "" })
	defer close(free)
	s := startWith(t, []string{"HOOK_SECRET=" + hookSecret}, "--hook_url", rc.URL, "--hook_events", "stream.started,viewer.joined", "--hook_timeout", "30s")
	room, tags := roomOf(t), flvClip(t, "h264-aac-b", 5)
	pub := publish(t, s, s.key(t, room), tags, pacing{loop: true})
	s.waitOnAir(t, room)
	v := watchFLV(t, s, room)
	v.waitFrames(t, 60)
	gapless(t, v.name, v.tags(), 250)
	pub.cancel()
	pub.finish(t)
	began := time.Now()
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	if took := time.Since(began); took > 15*time.Second {
		t.Errorf("the end took %v", took)
	}
}

// TestPublishAuth: a URL decides who publishes, beside the key; its reason reaches the encoder.
func TestPublishAuth(t *testing.T) {
	t.Parallel()
	room := roomOf(t)
	rc := receive(t, func(kind string, body map[string]any) (int, string) {
		switch {
		case kind != "publish" || body["stream"] != "live/"+room:
			t.Errorf("question %v", body)
		case strings.Contains(fmt.Sprint(body["query"]), "token=good"):
			return 200, ""
		case strings.Contains(fmt.Sprint(body["query"]), "token=broken"):
			return 500, ""
		}
		return 403, `{"reason":"come back tomorrow"}`
	})
	s := startWith(t, []string{"HOOK_SECRET=" + hookSecret}, "--publish_auth_url", rc.URL)
	key := s.key(t, room)
	for query, want := range map[string]string{"": "come back tomorrow", "?token=broken": "try again"} {
		p := dial(t, s.rtmp)
		p.connect(t, "live")
		if err := p.publish(key + query); err == nil || !strings.Contains(err.Error(), want) {
			t.Errorf("publishing with %q: %v, want %q", query, err, want)
		}
	}
	pub := publish(t, s, key+"?token=good", flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	pub.lose()
}
