package server

import (
	"bufio"
	"encoding/json"
	"fmt"
	"io"
	"maps"
	"net/http"
	"net/netip"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/gobwas/ws"

	"livego/internal/api"
	"livego/internal/flv"
)

// Spec 2.8: the answers of the HTTP-FLV port other than a stream.
func TestAnswersOfTheFLVPort(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.Apps = append(o.Apps, App{Name: "noflv", Live: true, HLS: true}) })
	invalid := "invalid path\n" + s.flvHint() + "\n"
	wantContains(t, "what there is", invalid, "/APP/STREAM.flv", "/streams", "/APP/STREAM/", s.opt.HLSAddr)
	publish(t, s, "movie").send(clip(t)[:10]...)
	publishTo(t, s.url("rtmp", "rtmp", "/noflv/"+s.key("movie"))).send(clip(t)[:10]...)
	for _, tc := range []struct {
		method, path string
		status       int
		body         string
	}{
		{"GET", "/live/none.flv", 404, "no publisher\n"},
		{"HEAD", "/live/none.flv", 404, ""},
		{"GET", "/other/movie.flv", 404, "no publisher\n"},
		{"GET", "/noflv/movie.flv", 404, "no publisher\n"},
		{"GET", "/live/a/b/c.flv", 404, "no publisher\n"},
		{"GET", "/live/..%2fmovie.flv", 404, "no publisher\n"},
		{"GET", "/", 400, invalid},
		{"GET", "/live/movie", 400, invalid},
		{"GET", "/movie.flv", 400, invalid},
		{"GET", "/live/.flv", 400, invalid},
		{"GET", "//movie.flv", 400, invalid},
		{"HEAD", "/live/movie.flv", 200, ""},
		{"POST", "/live/movie.flv", 405, "method not allowed\n"},
		{"DELETE", "/live/movie.flv", 405, "method not allowed\n"},
		{"OPTIONS", "/live/movie.flv", 204, ""},
		{"OPTIONS", "/anything", 204, ""},
		{"OPTIONS", "/streams", 204, ""},
		{"POST", "/streams", 405, "method not allowed\n"},
	} {
		a := call(t, tc.method, s.url("http", "http-flv", tc.path), "Origin: https://page.example")
		name := tc.method + " " + tc.path
		wantEqual(t, name, a.status, tc.status)
		wantEqual(t, name, a.body, tc.body)
		wantEqual(t, name+": CORS", a.header.Get("Access-Control-Allow-Origin"), "*")
		if tc.status == 405 || tc.method == "OPTIONS" && tc.path != "/streams" {
			wantEqual(t, name+": Allow", a.header.Get("Allow"), "GET, HEAD, OPTIONS")
		}
		if tc.method == "OPTIONS" {
			wantEqual(t, name+": preflight", a.header.Get("Access-Control-Allow-Methods"), "GET, HEAD, OPTIONS")
			wantEqual(t, name+": preflight", a.header.Get("Access-Control-Allow-Headers"), "*, Authorization")
		}
	}
	eventually(t, "no request became a viewer", func() bool { return len(s.Sessions()) == 2 })
}

// Decision 20: the head comes at once and promises nothing about the length; old clients get the
// same bytes.
func TestHeadOfAStream(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	for _, version := range []string{"HTTP/1.1", "HTTP/1.0"} {
		nc := dial(t, s.addr("http-flv"))
		fmt.Fprintf(nc, "GET /live/movie.flv?x=1 %s\r\nHost: h\r\n\r\n", version)
		r := bufio.NewReader(nc)
		resp, err := http.ReadResponse(r, nil)
		if err != nil {
			t.Fatal(err)
		}
		wantEqual(t, version, resp.StatusCode, 200)
		for name, want := range map[string]string{
			"Content-Type": "video/x-flv", "Cache-Control": "no-cache, no-store", "Access-Control-Allow-Origin": "*",
			"X-Accel-Buffering": "no", "Transfer-Encoding": "", "Content-Length": "",
		} {
			wantEqual(t, version+": "+name, resp.Header.Get(name), want)
		}
		wantEqual(t, version+": the body ends with the connection", resp.Close, true)
		first, err := r.Peek(9)
		wantEqual(t, version+": begins with", fmt.Sprint(string(first), err), "FLV\x01\x05\x00\x00\x00\x09<nil>")
	}
	a := call(t, "HEAD", s.url("http", "http-flv", "/live/movie.flv"))
	wantEqual(t, "HEAD", a.header.Get("Content-Type"), "video/x-flv")
}

// TestViewersThatTalk: what an HTTP-FLV viewer sends is ignored, up to a bound. One that leaves is
// off the list at once.
func TestViewersThatTalk(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	nc := dial(t, s.addr("http-flv"))
	fmt.Fprint(nc, "GET /live/movie.flv HTTP/1.1\r\nHost: h\r\n\r\n")
	awaitPlayers(t, s, "movie", 1)
	fmt.Fprint(nc, "GET /live/movie.flv HTTP/1.1\r\nHost: h\r\n\r\n")
	w := watchFLV(t, s, "movie")
	awaitPlayers(t, s, "movie", 2)
	w.leave()
	awaitPlayers(t, s, "movie", 1)
	_, _ = nc.Write(make([]byte, 1<<20)) // it is cut off within
	awaitPlayers(t, s, "movie", 0)
	eventually(t, "a line of the log", func() bool { return s.logs.count("viewer sends data") > 0 })
}

func TestWebSocketControl(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:4]...)
	dialWS := func() io.ReadWriteCloser {
		nc, buffered, _, err := ws.Dial(t.Context(), s.url("ws", "http-flv", "/live/movie.flv"))
		if err != nil {
			t.Fatal(err)
		}
		t.Cleanup(func() { nc.Close() })
		if err := nc.SetDeadline(time.Now().Add(patience)); err != nil {
			t.Fatal(err)
		}
		if buffered == nil {
			return nc
		}
		return struct {
			io.Reader
			io.WriteCloser
		}{io.MultiReader(buffered, nc), nc}
	}
	expect := func(r io.Reader, code ws.OpCode) ws.Frame {
		t.Helper()
		for {
			f, err := readFrame(r)
			if err != nil {
				t.Fatal(err)
			}
			if f.Header.OpCode == code {
				return f
			}
		}
	}
	send := func(w io.Writer, f ws.Frame) {
		t.Helper()
		if _, err := w.Write(ws.MustCompileFrame(f)); err != nil {
			t.Fatal(err)
		}
	}

	nc := dialWS()
	awaitPlayers(t, s, "movie", 1)
	send(nc, ws.MaskFrame(ws.NewTextFrame([]byte("hello"))))
	send(nc, ws.MaskFrame(ws.NewFrame(ws.OpBinary, false, make([]byte, 1000))))
	send(nc, ws.MaskFrame(ws.NewFrame(ws.OpContinuation, true, nil)))
	send(nc, ws.MaskFrame(ws.NewPongFrame(nil)))
	send(nc, ws.MaskFrame(ws.NewPingFrame([]byte("are you there"))))
	wantEqual(t, "pong", string(expect(nc, ws.OpPong).Payload), "are you there")
	send(nc, ws.MaskFrame(ws.NewCloseFrame(ws.NewCloseFrameBody(ws.StatusGoingAway, "bye"))))
	code, _ := ws.ParseCloseFrameData(expect(nc, ws.OpClose).Payload)
	wantEqual(t, "answer to a close frame", code, ws.StatusNormalClosure)
	if n, err := nc.Read(make([]byte, 1)); n != 0 || err != io.EOF {
		t.Errorf("%d bytes, %v after the closing handshake", n, err)
	}
	awaitPlayers(t, s, "movie", 0)

	masked := func(code ws.OpCode, fin bool, n int) ws.Frame {
		return ws.MaskFrame(ws.NewFrame(code, fin, make([]byte, n)))
	}
	reserved := masked(ws.OpBinary, true, 1)
	reserved.Header.Rsv = ws.Rsv(true, false, false)
	var small []ws.Frame // more than 64 KiB together
	for range 5000 {
		small = append(small, masked(ws.OpText, true, 1))
	}
	const broken, much = ws.StatusProtocolError, ws.StatusPolicyViolation
	for what, tc := range map[string]struct {
		code   ws.StatusCode
		frames []ws.Frame
	}{
		"unmasked frame":             {broken, []ws.Frame{ws.NewTextFrame([]byte("x"))}},
		"long control frame":         {broken, []ws.Frame{masked(ws.OpPing, true, 126)}},
		"control frame parts":        {broken, []ws.Frame{masked(ws.OpPing, false, 0)}},
		"unknown kind of frame":      {broken, []ws.Frame{masked(3, true, 0)}},
		"bits of no extension":       {broken, []ws.Frame{reserved}},
		"continuation of nothing":    {broken, []ws.Frame{masked(ws.OpContinuation, true, 1)}},
		"continuation after the end": {broken, []ws.Frame{masked(ws.OpText, false, 1), masked(ws.OpContinuation, true, 1), masked(ws.OpContinuation, true, 1)}},
		"message within a message":   {broken, []ws.Frame{masked(ws.OpText, false, 1), masked(ws.OpPing, true, 1), masked(ws.OpBinary, true, 1)}},
		"huge frame":                 {much, []ws.Frame{{Header: ws.Header{Fin: true, OpCode: ws.OpBinary, Masked: true, Length: 1 << 40}}}},
		"much together":              {much, []ws.Frame{masked(ws.OpText, false, 30_000), masked(ws.OpContinuation, false, 30_000), masked(ws.OpContinuation, true, 30_000)}},
		"many small frames":          {much, small},
	} {
		nc := dialWS()
		awaitPlayers(t, s, "movie", 1)
		for _, frame := range tc.frames {
			if _, err := nc.Write(ws.MustCompileFrame(frame)); err != nil {
				break // it is over already
			}
		}
		if tc.code == broken {
			code, _ := ws.ParseCloseFrameData(expect(nc, ws.OpClose).Payload)
			wantEqual(t, what, code, tc.code)
		}
		eventually(t, what+" ends the viewer", func() bool { return len(s.Sessions()) == 1 })
	}
}

// TestBadUpgrade: a request that is no proper upgrade gets an answer of HTTP, and 404 comes before
// it.
func TestBadUpgrade(t *testing.T) {
	t.Parallel()
	s := start(t)
	publish(t, s, "movie").send(clip(t)[:4]...)
	a := call(t, "GET", s.url("http", "http-flv", "/live/movie.flv"), "Upgrade: websocket", "Connection: Upgrade", "Sec-WebSocket-Version: 5", "Sec-WebSocket-Key: x")
	if a.status < 400 || a.status > 499 {
		t.Errorf("bad upgrade: %d", a.status)
	}
	a = call(t, "GET", s.url("http", "http-flv", "/live/none.flv"), "Upgrade: websocket", "Connection: Upgrade")
	wantEqual(t, "upgrade for a stream that is not there", a.status, 404)
	wantEqual(t, "sessions", len(s.Sessions()), 1)
}

// Spec 2.8 and 6: the shapes of the lists.
func TestLists(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	streams := func() string { return call(t, "GET", s.url("http", "http-flv", "/streams")).body }
	livestat := func(query string) answer { return call(t, "GET", s.url("http", "api", "/stat/livestat"+query)) }
	wantEqual(t, "/streams without streams", streams(), `{"publishers":[],"players":[]}`)
	wantEqual(t, "livestat without streams", livestat("").body, `{"status":200,"data":{"publishers":[],"players":[],"hls_viewers":0}}`)

	e := publish(t, s, "movie")
	e.send(tags[:3]...)
	watchers := []*watcher{watchRTMP(t, s, "movie?jwt=secret&x=1"), watchFLV(t, s, "movie"), watchWS(t, s, "movie")}
	awaitPlayers(t, s, "movie", 3)
	e.send(tags[3])
	awaitAll(t, watchers, tags[3])
	e.send(tags[4:]...)
	eventually(t, "everything is counted", func() bool { return s.Sessions()[0].VideoBytes+s.Sessions()[3].VideoBytes >= 2*size(tags) })

	entry := `\{"key":"live/movie","id":"[A-Za-z0-9_=-]{16}"\}`
	listed := regexp.MustCompile(`^\{"publishers":\[` + entry + `\],"players":\[` + entry + `,` + entry + `,` + entry + `\]\}$`)
	eventually(t, "/streams lists them", func() bool { return listed.MatchString(streams()) }) // it is made once a second
	var all struct {
		Status int
		Data   struct{ Publishers, Players []map[string]any }
	}
	if err := json.Unmarshal([]byte(livestat("").body), &all); err != nil {
		t.Fatal(err)
	}
	wantEqual(t, "publishers", len(all.Data.Publishers), 1)
	wantEqual(t, "players", len(all.Data.Players), 3)
	p := all.Data.Publishers[0]
	for name, want := range map[string]any{
		"key": "live/movie", "protocol": "rtmp", "stream_id": 1.0, "video_codec": "H264", "audio_codec": "AAC", "player_count": 3.0,
		"url": s.url("rtmp", "rtmp", "/live/movie"), "video_total_bytes": float64(size(tags)),
	} {
		wantEqual(t, "publisher: "+name, p[name], want)
	}
	protocols := map[string]string{}
	for _, p := range all.Data.Players {
		protocols[p["protocol"].(string)] = p["url"].(string)
	}
	wantEqual(t, "URLs of players", fmt.Sprint(protocols), fmt.Sprint(map[string]string{
		"rtmp": s.url("rtmp", "rtmp", "/live/movie?x=1"), "http-flv": "/live/movie.flv", "ws-flv": "/live/movie.flv",
	}))
	wantEqual(t, "fields", strings.Join(slices.Sorted(maps.Keys(all.Data.Players[0])), " "),
		"audio_codec audio_speed audio_total_bytes id jumps key protocol remote_addr start_time stream_id url video_codec video_speed video_total_bytes")

	for query, want := range map[string]int{"?room=live/movie": 200, "?room=movie": 200, "?room=live/none": 404, "?room=live": 404} {
		wantEqual(t, query, livestat(query).status, want)
	}
	// A stream that has ended is off the lists as soon as its publisher is told so.
	e.unpublish()
	eventually(t, "the lists are empty", func() bool { return streams() == `{"publishers":[],"players":[]}` })
	wantEqual(t, "livestat of the ended stream", livestat("?room=live/movie").body, `{"status":404,"data":"room not found or inactive"}`)
}

// TestCountedPayload: the bytes that a player got are those that it was sent, headers in front not
// counted.
func TestCountedPayload(t *testing.T) {
	t.Parallel()
	s, tags := start(t), clip(t)
	e := publish(t, s, "movie")
	e.send(tags[:3]...)
	w := watchFLV(t, s, "movie")
	awaitPlayers(t, s, "movie", 1)
	e.send(tags[3:]...)
	w.await(t, tags[len(tags)-1])
	eventually(t, "the counts are those of the tags", func() bool {
		var video, audio uint64
		for _, tag := range w.got() {
			switch {
			case isHeader(tag):
			case tag.Type == flv.TypeVideo:
				video += uint64(len(tag.Body))
			default:
				audio += uint64(len(tag.Body))
			}
		}
		for _, session := range s.Sessions() {
			if !session.Publisher {
				return session.VideoBytes == video && session.AudioBytes == audio && video > 0
			}
		}
		return false
	})
}

// Defect of LiveGo: speeds never fell. Ours are a mean over five seconds.
func TestSpeeds(t *testing.T) {
	t.Parallel()
	total := figures{}
	v := &session{figures: func() figures { return total }, Session: api.Session{Publisher: true}}
	second := func() (video, audio uint64) { v.sample(); return v.kbps() }
	if video, audio := second(); video != 0 || audio != 0 {
		t.Errorf("at first: %d, %d", video, audio)
	}
	for i := range 10 { // 1 Mbit of video and 128 kbit of audio a second
		total.video += 125_000
		total.audio += 16_000
		if video, audio := second(); video != 1000 || audio != 128 {
			t.Errorf("second %d: %d, %d", i, video, audio)
		}
	}
	for i, want := range []uint64{800, 600, 400, 200, 0, 0} {
		if video, _ := second(); video != want {
			t.Errorf("%d s after the end: %d, want %d", i+1, video, want)
		}
	}
}

// TestNoStreamList: /streams can be switched off, and is no stream then either.
func TestNoStreamList(t *testing.T) {
	t.Parallel()
	s := start(t, func(o *Options) { o.StreamList = false })
	a := call(t, "GET", s.url("http", "http-flv", "/streams"))
	if a.status != http.StatusBadRequest || strings.Contains(a.body, "/streams") {
		t.Errorf("%d %s", a.status, a.body)
	}
}

// TestTrustedProxies: viewers behind a proxy that is believed are told apart, and those who only
// say that they are proxies are not.
func TestTrustedProxies(t *testing.T) {
	t.Parallel()
	for believed, want := range map[string]int{"127.0.0.0/8": 3, "192.0.2.0/24": 1} {
		s := start(t, func(o *Options) { o.TrustedProxies = []netip.Prefix{netip.MustParsePrefix(believed)} })
		e := publish(t, s, "movie")
		e.send(clip(t)...)
		e.send(between(clip(t), 0, 100)...)
		for i := range 3 {
			a := call(t, "GET", s.url("http", "hls", "/live/movie.m3u8"), fmt.Sprintf("X-Forwarded-For: 10.9.9.9, 198.51.100.%d", i+1))
			wantEqual(t, "playlist", a.status, http.StatusOK)
		}
		wantEqual(t, "viewers where "+believed+" is believed", s.HLSViewers()["live/movie"], want)

		req, err := http.NewRequestWithContext(t.Context(), "GET", s.url("http", "http-flv", "/live/movie.flv"), nil)
		if err != nil {
			t.Fatal(err)
		}
		req.Header.Set("X-Forwarded-For", "198.51.100.7")
		resp, err := httpClient().Do(req)
		if err != nil {
			t.Fatal(err)
		}
		awaitPlayers(t, s, "movie", 1)
		for _, ss := range s.Sessions() {
			if ss.Publisher {
				continue
			}
			if got := strings.HasPrefix(ss.RemoteAddr, "198.51.100.7"); got != (want == 3) {
				t.Errorf("%s is believed: the viewer is from %s", believed, ss.RemoteAddr)
			}
		}
		resp.Body.Close()
	}
}
