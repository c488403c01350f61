package http1

import (
	"bytes"
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"strings"
	"testing"
	"time"

	"golang.org/x/net/http2"
	"golang.org/x/net/http2/hpack"
)

// over2 is a client of HTTP/2.
func (s *site) over2() *http.Client {
	tr := &http.Transport{TLSClientConfig: clientTLS(), Protocols: new(http.Protocols)}
	tr.Protocols.SetHTTP2(true)
	s.t.Cleanup(tr.CloseIdleConnections)
	return &http.Client{Transport: tr, Timeout: patience}
}

func (s *site) get(c *http.Client, path string) (int, string) {
	s.t.Helper()
	r, err := c.Get("https://" + s.addr + path)
	if err != nil {
		s.t.Fatal(err)
	}
	defer r.Body.Close()
	b, err := io.ReadAll(r.Body)
	if err != nil || r.ProtoMajor != 2 {
		s.t.Fatal(err, r.Proto)
	}
	return r.StatusCode, string(b)
}

// TestHTTP2 asks for one thing after the other, and for what is answered elsewhere.
func TestHTTP2(t *testing.T) {
	s := newSite(t, true).start()
	c := s.over2()
	for range 3 {
		for path, body := range map[string]string{"/now": "/now true", "/cold": "/cold true", "/blocking": "from net/http"} {
			if status, got := s.get(c, path); status != 200 || got != body {
				t.Errorf("%s: %d %q", path, status, got)
			}
		}
	}
	if n := s.inLoop.Load(); n != 6 {
		t.Errorf("%d calls from the loop, want 6", n)
	}
	var want strings.Builder
	for i := range 64 {
		fmt.Fprint(&want, strings.Repeat(string(rune('a'+i%26)), 64<<10))
	}
	if status, got := s.get(c, "/big"); status != 200 || got != want.String() {
		t.Errorf("%d, %d bytes", status, len(got))
	}
	if r, err := c.Get("https://" + s.addr + "/panic"); err == nil {
		r.Body.Close()
		t.Error("a panic is answered")
	}
	if status, _ := s.get(c, "/now"); status != 200 {
		t.Error("a panic ends the connection")
	}
}

// TestOneAnswerForAllOver2: those who wait for the same cause one call of the handler, on whatever
// connection; who leaves waits no longer.
func TestOneAnswerForAllOver2(t *testing.T) {
	s := newSite(t, true).start()
	const conns, each = 10, 8
	ctx, leave := context.WithCancel(t.Context())
	results := make(chan error, conns*each)
	var all []*http.Client
	for range conns {
		c := s.over2()
		s.get(c, "/now") // so that there is one connection
		all = append(all, c)
		for range each {
			go func() {
				r, err := c.Get("https://" + s.addr + "/wait")
				if err == nil {
					var b []byte
					b, err = io.ReadAll(r.Body)
					r.Body.Close()
					if string(b) != "open" {
						err = fmt.Errorf("%d %q %w", r.StatusCode, b, err)
					}
				}
				results <- err
			}()
		}
	}
	eventually(t, "not all wait", func() bool { return s.waiting.Load() == conns*each })
	left := make(chan error)
	go func() {
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, "https://"+s.addr+"/wait", nil)
		if err == nil {
			_, err = all[0].Do(r)
		}
		left <- err
	}()
	eventually(t, "one more waits", func() bool { return s.waiting.Load() == conns*each+1 })
	leave()
	if err := <-left; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	eventually(t, "it waits on", func() bool { return s.waiting.Load() == conns*each })
	close(s.open)
	for range conns * each {
		if err := <-results; err != nil {
			t.Error(err)
		}
	}
	again := s.calls.Load() - conns*each - 1
	if again+s.each.Load() != conns*each || again > 16 {
		t.Errorf("%d calls and %d shared answers for %d requests", again, s.each.Load(), conns*each)
	}
}

func TestWaitsEndOver2(t *testing.T) {
	s := newSite(t, true)
	s.limit = 10 * time.Millisecond
	s.start()
	c := s.over2()
	if status, got := s.get(c, "/wait"); status != 503 || got != "outcome 1\n" {
		t.Error(status, got)
	}
}

// TestShutdownOver2 lets requests under way end.
func TestShutdownOver2(t *testing.T) {
	s := newSite(t, true).start()
	c, idle := s.over2(), s.raw2()
	idle.ask(1, "/now")
	idle.want("1 200", "1 data 9 end")
	got := make(chan string)
	go func() {
		_, body := s.get(c, "/wait")
		got <- body
	}()
	eventually(t, "nothing waits", func() bool { return s.waiting.Load() == 1 })
	down := make(chan error, 1)
	go func() { down <- s.srv.Shutdown(context.Background()) }()
	idle.want("goaway 1 NO_ERROR")
	idle.wantEnd()
	close(s.open)
	if body := <-got; body != "open" {
		t.Error(body)
	}
	if err := <-down; err != nil {
		t.Error(err)
	}
}

// TestShutdownOver2AtRest: a connection on which nothing was for a while is closed at once, though
// its client does not close its side; one that got an answer just now is waited for, for its client
// may have something to say to that.
func TestShutdownOver2AtRest(t *testing.T) {
	for _, rested := range []time.Duration{0, lingers} {
		s := newSite(t, true).start()
		c := s.raw2()
		c.ask(1, "/now")
		c.want("1 200", "1 data 9 end")
		left := 0
		for _, l := range s.srv.loops.list() {
			drained := make(chan int)
			l.post(func() {
				for _, c := range l.conns {
					c.two.idle = l.now - rested
				}
				l.drain()
				drained <- len(l.conns)
			})
			left += <-drained
		}
		if want := map[bool]int{true: 0, false: 1}[rested == lingers]; left != want {
			t.Errorf("at rest for %v: %d connections are left, want %d", rested, left, want)
		}
		c.want("goaway 1 NO_ERROR")
		c.wantEnd()
		if err := s.srv.Shutdown(context.Background()); err != nil {
			t.Error(err)
		}
	}
}

// raw2 is a connection of HTTP/2 that does what it is told.
type raw2 struct {
	t *testing.T
	*tls.Conn
	*http2.Framer
	enc   *hpack.Encoder
	block bytes.Buffer
}

func (s *site) raw2(settings ...http2.Setting) *raw2 {
	s.t.Helper()
	cfg := clientTLS()
	cfg.NextProtos = []string{"h2"}
	c, err := tls.Dial("tcp", s.addr, cfg)
	if err != nil {
		s.t.Fatal(err)
	}
	_ = c.SetDeadline(time.Now().Add(patience))
	s.t.Cleanup(func() { c.Close() })
	r := &raw2{t: s.t, Conn: c, Framer: http2.NewFramer(c, c)}
	r.enc = hpack.NewEncoder(&r.block)
	r.ReadMetaHeaders = hpack.NewDecoder(4096, nil)
	_, _ = io.WriteString(c, http2.ClientPreface)
	_ = r.WriteSettings(settings...)
	r.want("settings", "settings")
	return r
}

func (r *raw2) ask(id uint32, path string, more ...string) {
	r.block.Reset()
	all := append([]string{":method", "GET", ":scheme", "https", ":authority", "h", ":path", path}, more...)
	for i := 0; i < len(all); i += 2 {
		_ = r.enc.WriteField(hpack.HeaderField{Name: all[i], Value: all[i+1]})
	}
	_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: id, BlockFragment: r.block.Bytes(), EndStream: true, EndHeaders: true})
}

// want reads frames.
func (r *raw2) want(frames ...string) {
	r.t.Helper()
	for _, want := range frames {
		f, err := r.ReadFrame()
		for err == nil && f.Header().Type == http2.FrameWindowUpdate {
			f, err = r.ReadFrame()
		}
		if err != nil {
			r.t.Fatalf("%v, want %s", err, want)
		}
		if got := shown(f); got != want {
			r.t.Fatalf("%s, want %s", got, want)
		}
	}
}

func shown(f http2.Frame) string {
	end := ""
	switch f := f.(type) {
	case *http2.MetaHeadersFrame:
		if f.StreamEnded() {
			end = " end"
		}
		return fmt.Sprintf("%d %s%s", f.StreamID, f.PseudoValue("status"), end)
	case *http2.DataFrame:
		if f.StreamEnded() {
			end = " end"
		}
		return fmt.Sprintf("%d data %d%s", f.StreamID, len(f.Data()), end)
	case *http2.RSTStreamFrame:
		return fmt.Sprintf("%d reset %v", f.StreamID, f.ErrCode)
	case *http2.GoAwayFrame:
		return fmt.Sprintf("goaway %d %v", f.LastStreamID, f.ErrCode)
	case *http2.SettingsFrame:
		return "settings"
	case *http2.PingFrame:
		return "ping"
	}
	return f.Header().String()
}

func (r *raw2) wantEnd() {
	r.t.Helper()
	var timeout net.Error
	if f, err := r.ReadFrame(); err == nil || errors.As(err, &timeout) && timeout.Timeout() {
		r.t.Fatalf("%v %v, want the end", f, err)
	}
}

// TestSlowOver2: who opens no window, who does not read, who is idle, who begins and does not go
// on, and who is not there any more.
func TestSlowOver2(t *testing.T) {
	s := newSite(t, true)
	s.std.ReadTimeout, s.std.IdleTimeout, s.std.WriteTimeout = 2*time.Second, 4*time.Second, 300*time.Millisecond
	s.std.HTTP2 = &http.HTTP2Config{SendPingTimeout: 300 * time.Millisecond, PingTimeout: 300 * time.Millisecond}
	s.start()
	closed := s.raw2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 0})
	closed.ask(1, "/now")
	closed.want("1 200", "1 reset CANCEL")

	stopped := s.raw2(http2.Setting{ID: http2.SettingInitialWindowSize, Val: 1<<31 - 1})
	_ = stopped.WriteWindowUpdate(0, 1<<31-1-65535)
	for i := range uint32(20) {
		stopped.ask(2*i+1, "/big")
	}
	begun := time.Now()
	for stopped.WritePing(false, [8]byte{}) == nil {
		if time.Since(begun) > patience {
			t.Fatal("who does not read is kept")
		}
		time.Sleep(100 * time.Millisecond)
	}
	if d := time.Since(begun); d < 200*time.Millisecond {
		t.Errorf("who does not read was ended after %v", d)
	}

	half := s.raw2()
	_, _ = half.Conn.Write([]byte{0, 0, 9, 1})
	half.wantEnd()
	idle := s.raw2()
	idle.want("goaway 0 NO_ERROR")
	idle.wantEnd()
	silent := s.raw2()
	silent.ask(1, "/wait")
	silent.want("ping")
	silent.wantEnd()
	eventually(t, "who is gone is waited for", func() bool { return s.waiting.Load() == 0 })
}

// elsewhere answers in goroutines.
func elsewhere(t *testing.T) http.HandlerFunc {
	return func(w http.ResponseWriter, r *http.Request) {
		switch r.URL.Path {
		case "/echo":
			b, err := io.ReadAll(r.Body)
			if err != nil {
				t.Error(err)
			}
			w.Header().Set("X-Length", fmt.Sprint(r.ContentLength))
			_, _ = w.Write(b)
		case "/unread":
			fmt.Fprint(w, "enough")
		case "/stream":
			for i := range 3 {
				fmt.Fprint(w, i)
				w.(http.Flusher).Flush()
			}
			<-r.Context().Done()
		case "/endless":
			_ = http.NewResponseController(w).SetWriteDeadline(time.Time{})
			for {
				if _, err := w.Write(make([]byte, 100000)); err != nil {
					return
				}
			}
		case "/deadline":
			_ = http.NewResponseController(w).SetWriteDeadline(time.Now().Add(-time.Second))
			<-r.Context().Done()
		case "/none":
			w.WriteHeader(http.StatusNoContent)
		case "/early":
			w.Header().Set("Link", "</a>")
			w.WriteHeader(http.StatusEarlyHints)
			w.WriteHeader(http.StatusTeapot)
		case "/short":
			w.Header().Set("Content-Length", "10")
			fmt.Fprint(w, "short")
		case "/abort":
			panic(http.ErrAbortHandler)
		default:
			fmt.Fprint(w, r.Method, " ", r.Host, " ", r.Proto, " ", r.RequestURI, " ", r.TLS != nil, " ", r.Header.Get("Cookie"))
		}
	}
}

// TestElsewhereOver2 has requests answered by the ordinary handler.
func TestElsewhereOver2(t *testing.T) {
	s := newSite(t, true)
	s.std.Handler = elsewhere(t)
	s.start()
	c := s.over2()
	do := func(method, path string, body io.Reader) (*http.Response, string) {
		t.Helper()
		r, err := http.NewRequest(method, "https://"+s.addr+path, body)
		if err != nil {
			t.Fatal(err)
		}
		r.Host = "name"
		r.Header["Cookie"] = []string{"a=b; c=d"}
		r.Header.Set("Range", "bytes=0-")
		a, err := c.Do(r)
		if err != nil {
			t.Fatal(method, path, err)
		}
		defer a.Body.Close()
		b, err := io.ReadAll(a.Body)
		if err != nil {
			t.Error(method, path, err)
		}
		return a, string(b)
	}
	_, got := do("DELETE", "/a?b=%20", nil)
	if want := "DELETE name HTTP/2.0 /a?b=%20 true a=b; c=d"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
	large := strings.Repeat("0123456789", 100000)
	if a, got := do("POST", "/echo", strings.NewReader(large)); got != large || a.Header.Get("X-Length") != "1000000" {
		t.Errorf("%d bytes of %s", len(got), a.Header.Get("X-Length"))
	}
	if a, got := do("POST", "/echo", io.MultiReader(strings.NewReader("abc"))); got != "abc" || a.Header.Get("X-Length") != "-1" || a.ContentLength != 3 {
		t.Errorf("%q of %v", got, a.Header)
	}
	for range 5 { // more than all windows
		if _, got := do("POST", "/unread", strings.NewReader(large)); got != "enough" {
			t.Errorf("%q", got)
		}
	}
	if a, got := do("HEAD", "/x", nil); got != "" || a.ContentLength != 42 && a.ContentLength <= 0 || a.Header.Get("Content-Type") == "" {
		t.Errorf("%q %v", got, a.Header)
	}
	if a, _ := do("GET", "/none", nil); a.StatusCode != 204 || a.Header.Get("Content-Length") != "" {
		t.Error(a.Status, a.Header)
	}
	if a, _ := do("GET", "/early", nil); a.StatusCode != 418 {
		t.Error(a.Status)
	}
	for _, path := range []string{"/short", "/abort", "/deadline"} {
		r, err := http.NewRequest("GET", "https://"+s.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Range", "bytes=0-")
		if a, err := c.Do(r); err == nil {
			if _, err := io.ReadAll(a.Body); err == nil {
				t.Errorf("%s is answered in full", path)
			}
			a.Body.Close()
		}
	}
	s.streams(t, c)
}

// streams reads what comes bit by bit, and leaves.
func (s *site) streams(t *testing.T, c *http.Client) {
	for _, path := range []string{"/stream", "/endless"} {
		ctx, leave := context.WithCancel(t.Context())
		r, err := http.NewRequestWithContext(ctx, "GET", "https://"+s.addr+path, nil)
		if err != nil {
			t.Fatal(err)
		}
		r.Header.Set("Range", "bytes=0-")
		a, err := c.Do(r)
		if err != nil {
			t.Fatal(err)
		}
		b := make([]byte, 3)
		if _, err := io.ReadFull(a.Body, b); err != nil || path == "/stream" && string(b) != "012" {
			t.Errorf("%q %v", b, err)
		}
		leave()
		a.Body.Close()
	}
	if status, _ := s.get(c, "/now"); status != 200 {
		t.Error(status)
	}
}

// TestContinueOver2: who asks for a word before content gets it.
func TestContinueOver2(t *testing.T) {
	s := newSite(t, true)
	s.std.Handler = elsewhere(t)
	s.start()
	r := s.raw2()
	r.block.Reset()
	for _, f := range []hpack.HeaderField{{Name: ":method", Value: "POST"}, {Name: ":scheme", Value: "https"}, {Name: ":authority", Value: "h"}, {Name: ":path", Value: "/echo"}, {Name: "expect", Value: "100-continue"}} {
		_ = r.enc.WriteField(f)
	}
	_ = r.WriteHeaders(http2.HeadersFrameParam{StreamID: 1, BlockFragment: r.block.Bytes(), EndHeaders: true})
	r.want("1 100")
	_ = r.WriteData(1, true, []byte("abc"))
	r.want("1 200", "1 data 3 end")
}

// TestManyOver2: no more requests are under way than may be, and the ones that are refused cost
// their client nothing else.
func TestManyOver2(t *testing.T) {
	s := newSite(t, true)
	s.std.HTTP2 = &http.HTTP2Config{MaxConcurrentStreams: 5}
	s.start()
	r := s.raw2()
	for i := range uint32(7) {
		r.ask(2*i+1, "/wait")
	}
	r.want("11 reset REFUSED_STREAM", "13 reset REFUSED_STREAM")
	close(s.open)
	for range 10 {
		if f, err := r.ReadFrame(); err != nil || strings.Contains(shown(f), "reset") {
			t.Fatal(f, err)
		}
	}
	_ = r.WriteData(99, true, nil)
	r.want("goaway 13 PROTOCOL_ERROR")
	r.wantEnd()
}
