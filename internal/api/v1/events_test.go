package v1

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"testing/synctest"
	"time"

	"livego/internal/auth"
	"livego/internal/event"
)

// follow reads server-sent events from a real connection until the test or the server ends.
func follow(t *testing.T, server *httptest.Server, target string, headers ...string) *bufio.Reader {
	t.Helper()
	ctx, cancel := context.WithCancel(t.Context())
	t.Cleanup(cancel)
	r, err := http.NewRequestWithContext(ctx, "GET", server.URL+Prefix+target, nil)
	if err != nil {
		t.Fatal(err)
	}
	for _, h := range headers {
		name, val, _ := strings.Cut(h, ": ")
		r.Header.Set(name, val)
	}
	w, err := server.Client().Do(r)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { w.Body.Close() })
	if w.StatusCode != 200 || w.Header.Get("Content-Type") != "text/event-stream" {
		body, _ := io.ReadAll(w.Body)
		t.Fatalf("status %d, %s", w.StatusCode, body)
	}
	b := bufio.NewReader(w.Body)
	if got := next(t, b); got != "retry: 2000" {
		t.Fatalf("begins with %q", got)
	}
	return b
}

// next returns the next message, without the line between two.
func next(t *testing.T, b *bufio.Reader) string {
	t.Helper()
	var lines []string
	for {
		line, err := b.ReadString('\n')
		if err != nil {
			t.Fatalf("%v after %q", err, lines)
		}
		if line == "\n" {
			return strings.Join(lines, "\n")
		}
		lines = append(lines, strings.TrimSuffix(line, "\n"))
	}
}

// running serves an API whose events are told.
func running(t *testing.T, change ...func(*Options)) (*httptest.Server, *event.Bus) {
	t.Helper()
	bus := event.NewBus(event.Options{Boot: "boot"})
	a, _ := newBareAPI(t, append(change, func(o *Options) { o.Events = bus })...)
	server := httptest.NewServer(a.Guarded(new(auth.APIPolicy)))
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Run(t.Context())
	}()
	t.Cleanup(func() {
		server.CloseClientConnections()
		server.Close()
		bus.Close()
		<-done
	})
	return server, bus
}

func TestEvents(t *testing.T) {
	server, bus := running(t)
	b := follow(t, server, "/events?types=stream.started,stream.ended")
	bus.Emit(event.Event{Type: event.ViewerJoined, Stream: "live/a"})
	bus.Emit(event.Event{Type: event.StreamLost, Stream: "live/a"})
	bus.Emit(event.Event{Type: event.StreamStarted, Stream: "live/<b>", Session: &event.Session{ID: "s", Protocol: "rtmp"}, Data: event.Reason{Reason: "why"}})
	got := next(t, b)
	for _, part := range []string{
		"id: boot-2\nevent: stream.started\ndata: {", `"id":"boot-2"`, `"stream":"live/\u003cb\u003e"`, `"session":{"id":"s","protocol":"rtmp"}`, `"data":{"reason":"why"}`,
	} {
		if !strings.Contains(got, part) {
			t.Errorf("%q lacks %q", got, part)
		}
	}
}

func TestFigures(t *testing.T) {
	server, _ := running(t)
	b := follow(t, server, "/events?types=figures")
	got := next(t, b)
	if want := `"streams":[{"name":"live/c/d","state":"live","viewers":2,"bit_rate":1000},{"name":"live/a","state":"live","viewers":1,"bit_rate":1000},` +
		`{"name":"live/b","state":"live","viewers":0,"bit_rate":1000}],"on_air":3,"viewers":3,"bit_rate_in":3000,"bit_rate_out":9000}`; !strings.HasPrefix(got, "event: figures\ndata: {") || !strings.HasSuffix(got, want) {
		t.Errorf("figures %s", got)
	}
}

// A client that comes back gets what it has missed, and learns when that is not all.
func TestLastEventID(t *testing.T) {
	server, bus := running(t)
	b := follow(t, server, "/events")
	const n = maxKept + 10
	for i := range n {
		bus.Emit(event.Event{Type: event.KeyChanged})
		for id := ""; id != fmt.Sprintf("id: boot-%d", i); { // figures come between them
			id, _, _ = strings.Cut(next(t, b), "\n")
		}
	}
	for last, want := range map[string]string{
		fmt.Sprintf("boot-%d", n-3): fmt.Sprintf("id: boot-%d", n-2),
		"boot-9":                    "id: boot-10",
		"boot-8":                    "event: events.missed",
		"other-1500":                "event: events.missed",
		"rubbish":                   "event: events.missed",
	} {
		again := follow(t, server, "/events?types=key.changed", "Last-Event-ID: "+last)
		if got := next(t, again); !strings.HasPrefix(got, want+"\n") {
			t.Errorf("after %s comes %q, want %q", last, got, want)
		}
	}
}

func TestTooManyClients(t *testing.T) {
	s := newStream()
	for range maxClients {
		if _, err := s.join(nil, ""); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := s.join(nil, ""); err == nil {
		t.Error("there is room for one more")
	}
	for c := range s.clients {
		s.leave(c)
		break
	}
	if _, err := s.join(nil, ""); err != nil {
		t.Errorf("the place of one that left: %v", err)
	}
}

// Who does not read is dropped; who tells does not wait, and others get all.
func TestSlowClient(t *testing.T) {
	s := newStream()
	types := map[event.Type]bool{event.KeyChanged: true}
	slow, _ := s.join(types, "")
	fast, _ := s.join(types, "")
	got := 0
	for i := range 2 * maxQueued {
		s.add(event.KeyChanged, []byte("{}"), fmt.Sprintf("b-%d", i))
		if _, ok := <-fast.queue; ok {
			got++
		}
	}
	n := 0
	for range slow.queue { // it is closed
		n++
	}
	if n != maxQueued || got != 2*maxQueued {
		t.Errorf("the slow client has %d messages, the fast one %d", n, got)
	}
	s.leave(slow) // as its request does, later
	s.leave(fast)
	s.leave(fast)
}

// stuck is an answer that takes nothing.
type stuck struct {
	httptest.ResponseRecorder
	deadline time.Time
}

func (w *stuck) SetWriteDeadline(t time.Time) error { w.deadline = t; return nil }
func (w *stuck) Write([]byte) (int, error) {
	time.Sleep(time.Until(w.deadline))
	return 0, context.DeadlineExceeded
}

// What cannot be written in time ends the client.
func TestStuckClient(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream()
		c, _ := s.join(map[event.Type]bool{event.KeyChanged: true}, "")
		begin := time.Now()
		c.serve(t.Context(), new(stuck))
		if d := time.Since(begin); d != eventTimeout {
			t.Errorf("it took %v", d)
		}
	})
}

// A connection on which nothing happens is kept alive.
func TestHeartbeat(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		s := newStream()
		c, _ := s.join(nil, "")
		ctx, cancel := context.WithTimeout(t.Context(), 2*heartbeat+time.Second)
		defer cancel()
		w := httptest.NewRecorder()
		c.serve(ctx, w)
		if w.Body.String() != "retry: 2000\n\n: \n\n: \n\n" {
			t.Errorf("%q", w.Body)
		}
	})
}

// The end of the server ends all clients, and lets no more in.
func TestEndOfEvents(t *testing.T) {
	server, bus := running(t)
	b := follow(t, server, "/events?types=server.draining")
	bus.Emit(event.Event{Type: event.ServerDraining})
	bus.Close()
	if got := next(t, b); !strings.Contains(got, "server.draining") {
		t.Errorf("%q", got)
	}
	if rest, err := io.ReadAll(b); err != nil || len(rest) > 0 {
		t.Errorf("%q, %v", rest, err)
	}
	r, err := server.Client().Get(server.URL + Prefix + "/events")
	if err != nil {
		t.Fatal(err)
	}
	defer r.Body.Close()
	if r.StatusCode != 503 || r.Header.Get("Retry-After") == "" {
		t.Errorf("status %d, %v", r.StatusCode, r.Header)
	}
}
