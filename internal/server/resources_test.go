package server

import (
	"encoding/json"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	v1 "livego/internal/api/v1"
	"livego/internal/rtmp"
)

// resource calls the management API and decodes what it answers.
func resource[T any](t testing.TB, s *testServer, method, path string, status int) (v T) {
	t.Helper()
	a := call(t, method, s.url("http", "api", v1.Prefix+path))
	if a.status != status {
		t.Fatalf("%s %s: status %d, %s, want %d", method, path, a.status, a.body, status)
	}
	if a.body != "" {
		if err := json.Unmarshal([]byte(a.body), &v); err != nil {
			t.Fatalf("%s %s: %v in %s", method, path, err, a.body)
		}
	}
	return v
}

// resourceWith is resource with a body.
func resourceWith[T any](t testing.TB, s *testServer, method, path, body string, status int) (v T) {
	t.Helper()
	req, err := http.NewRequestWithContext(t.Context(), method, s.url("http", "api", v1.Prefix+path), strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	req.Header.Set("Content-Type", "application/json")
	resp, err := httpClient().Do(req)
	if err != nil {
		t.Fatal(err)
	}
	defer resp.Body.Close()
	text, _ := io.ReadAll(resp.Body)
	if resp.StatusCode != status {
		t.Fatalf("%s %s: status %d, %s, want %d", method, path, resp.StatusCode, text, status)
	}
	if err := json.Unmarshal(text, &v); err != nil {
		t.Fatalf("%s %s: %v in %s", method, path, err, text)
	}
	return v
}

func TestResourceOfAStream(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags...)
	flv, r := watchFLV(t, s, "movie"), watchRTMP(t, s, "movie")
	awaitAll(t, []*watcher{flv, r}, tags[len(tags)-1])

	st := resource[v1.Stream](t, s, "GET", "/streams/live%2Fmovie", 200)
	p := st.Publications[0]
	wantEqual(t, "state", st.State, "live")
	wantEqual(t, "viewers", st.Viewers.Total, 2)
	wantEqual(t, "RTMP viewers", st.Viewers.ByProtocol["rtmp"], 1)
	wantEqual(t, "FLV viewers", st.Viewers.ByProtocol["http-flv"], 1)
	wantEqual(t, "protocol", p.Protocol, "rtmp")
	if p.Encoder == "" || p.Bytes == 0 || p.KeyFrameInterval <= 0 || p.GOP <= 0 || len(p.Tracks) != 2 || st.Since.IsZero() {
		t.Errorf("publication %+v", p)
	}
	if v := p.Tracks[0]; v.Codec != "H264" || v.Profile == "" || !strings.HasPrefix(v.Codecs, "avc1.") || v.Width == 0 {
		t.Errorf("video %+v", v)
	}
	if a := p.Tracks[1]; a.Codec != "AAC" || a.Profile != "LC" || a.SampleRate == 0 {
		t.Errorf("audio %+v", a)
	}
	wantEqual(t, "streams", len(resource[v1.Page[v1.Stream]](t, s, "GET", "/streams", 200).Items), 1)
	wantEqual(t, "viewers' sessions", len(resource[v1.Page[v1.Session]](t, s, "GET", "/sessions?role=viewer", 200).Items), 2)
	encoder := resource[v1.Session](t, s, "GET", "/sessions/"+p.Session, 200)
	wantEqual(t, "role of the encoder", encoder.Role, "publisher")
	if text := call(t, "GET", s.url("http", "api", v1.Prefix+"/sessions")).body; strings.Contains(text, s.key("movie")) {
		t.Errorf("a channel key in %s", text)
	}
}

// Kicking a viewer ends its connection and no other; the stream goes on.
func TestKickAViewer(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:8]...)
	kicked, stays := watchFLV(t, s, "movie"), watchRTMP(t, s, "movie")
	awaitAll(t, []*watcher{kicked, stays}, tags[7])
	id := resource[v1.Page[v1.Session]](t, s, "GET", "/sessions?protocol=http-flv", 200).Items[0].ID
	resource[struct{}](t, s, "DELETE", "/sessions/"+id+"?reason=rude", 204)
	kicked.awaitEnd(t)
	e.send(tags[8:]...)
	stays.await(t, tags[len(tags)-1])
	eventually(t, "the log says why", func() bool { return strings.Contains(s.logs.String(), "ended by an operator: rude") })
	resource[struct{}](t, s, "DELETE", "/sessions/"+id, 404)
}

// A kicked encoder hears why, and its stream waits for it.
func TestKickAPublisher(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:8]...)
	w := watchFLV(t, s, "movie")
	w.await(t, tags[7])
	id := resource[v1.Page[v1.Session]](t, s, "GET", "/sessions?role=publisher", 200).Items[0].ID
	resource[struct{}](t, s, "DELETE", "/sessions/"+id+"?reason=too+loud", 204)
	refusedWith(t, "kicked", receive(t, "end of the encoder", e.ended), rtmp.CodePublishDenied)
	eventually(t, "the stream waits", func() bool {
		return resource[v1.Stream](t, s, "GET", "/streams/live%2Fmovie", 200).State == "interrupted"
	})
	publish(t, s, "movie").send(tags...)
	w.await(t, tags[len(tags)-1])
}

// A stream that is ended is over for its viewers at once, also while it waits for its encoder.
func TestEndAStream(t *testing.T) {
	t.Parallel()
	for name, lost := range map[string]bool{"on air": false, "waiting": true} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, tags := start(t, func(o *Options) { o.Live.Grace = time.Hour }), clip(t)
			e := publish(t, s, "movie")
			e.send(tags...)
			w := watchFLV(t, s, "movie")
			w.await(t, tags[len(tags)-1])
			if lost {
				e.lose()
				awaitPublishers(t, s, "movie", 0)
			}
			resource[struct{}](t, s, "DELETE", "/streams/live%2Fmovie", 204)
			w.awaitEnd(t)
			eventually(t, "the stream is gone", func() bool {
				return call(t, "GET", s.url("http", "api", v1.Prefix+"/streams/live%2Fmovie")).status == http.StatusNotFound
			})
		})
	}
}

// Relays begin and end through the API as through /control, and their keys are not shown.
func TestResourceOfARelay(t *testing.T) {
	t.Parallel()
	from, to, tags := start(t), start(t), clip(t)
	e := publish(t, from, "movie")
	e.send(tags[:8]...)
	target := to.url("rtmp", "rtmp", "/live/"+to.key("copy"))
	r := resourceWith[v1.Relay](t, from, "POST", "/streams/live%2Fmovie/pushes", `{"url":"`+target+`"}`, 200)
	if r.State != "running" || r.Stream != "live/movie" || strings.Contains(r.URL, to.key("copy")) {
		t.Errorf("relay %+v", r)
	}
	awaitPublishers(t, to, "copy", 1)
	resourceWith[struct{}](t, from, "POST", "/streams/live%2Fmovie/pushes", `{"url":"`+target+`"}`, 409)
	resourceWith[struct{}](t, from, "POST", "/pulls", `{"stream":"nowhere/x","url":"rtmp://127.0.0.1/live/x"}`, 422)
	wantEqual(t, "pushes", len(resource[v1.Page[v1.Relay]](t, from, "GET", "/streams/live%2Fmovie/pushes", 200).Items), 1)
	resource[struct{}](t, from, "DELETE", "/streams/live%2Fmovie/pushes/"+r.ID, 204)
	awaitPublishers(t, to, "copy", 0)
}

// Whether new clients are welcome: while the listeners are served, and not when the server ends.
func TestReadiness(t *testing.T) {
	t.Parallel()
	s := open(t)
	wantEqual(t, "ready before Run", s.ready.Load(), false)
	s.run()
	url := s.url("http", "api", "/readyz")
	eventually(t, "ready", func() bool { return call(t, "GET", url).status == 200 })
	conn := dial(t, s.addr("api"))
	ask := func() string {
		if _, err := conn.Write([]byte("GET /readyz HTTP/1.1\r\nHost: localhost\r\n\r\n")); err != nil {
			return err.Error()
		}
		b := make([]byte, 1024)
		n, _ := conn.Read(b)
		return string(b[:n])
	}
	wantContains(t, "ready", ask(), "200 OK")
	s.ready.Store(false) // as drain does first
	wantContains(t, "draining", ask(), "503 Service Unavailable", "draining")
}
