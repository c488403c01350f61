package e2e

import (
	"fmt"
	"net"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// relayed calls /control/push or /control/pull and returns status and data.
func relayed(t testing.TB, s *server, direction, name, target string, more ...string) (int, string) {
	t.Helper()
	query := url.Values{"app": {"live"}, "name": {name}, "url": {target}}
	for i := 0; i+1 < len(more); i += 2 {
		query.Set(more[i], more[i+1])
	}
	return s.control(t, "/control/"+direction+"?"+query.Encode())
}

func wantAnswer(t testing.TB, what string, status int, text string, want int, parts ...string) {
	t.Helper()
	if status != want {
		t.Errorf("%s: %d %s, want %d", what, status, text, want)
	}
	for _, part := range parts {
		if !strings.Contains(text, part) {
			t.Errorf("%s: %q, want %q in it", what, text, part)
		}
	}
}

// TestRelayPush pushes a stream to another server by the API: what arrives is what was published, a
// second start is refused, stop stops it for good, and nothing shows the key of the other server.
func TestRelayPush(t *testing.T) {
	t.Parallel()
	from, to := start(t), start(t)
	room, tags := roomOf(t), flvClip(t, "h264-aac-b", 5)
	key := to.key(t, "copy")
	target := to.publishURL(key)

	status, text := relayed(t, from, "push", room, target) // before its stream is there
	wantAnswer(t, "start", status, text, 200, "<h1>push url start "+target+" ok</h1></br>")
	pub := publish(t, from, from.key(t, room), tags, pacing{loop: true})
	defer pub.lose()
	to.waitOnAir(t, "copy")
	v := watchFLV(t, to, "copy")
	v.waitFrames(t, 90)
	rising(t, "pushed", v.tags())
	gapless(t, "pushed", v.tags(), 250)
	headersFirst(t, "pushed", v.tags(), typeVideo, typeAudio)
	sent := map[string]bool{}
	for _, u := range unitsOf(tags, h264NAL) {
		sent[u.hash] = true
	}
	for _, u := range unitsOf(v.tags(), h264NAL) {
		if !sent[u.hash] {
			t.Fatalf("an access unit of type %d at %d ms was never published", u.kind, u.dts)
		}
	}

	status, text = relayed(t, from, "push", room, target)
	wantAnswer(t, "second start", status, text, 409, "push error=")
	if _, list := from.control(t, "/control/relays"); strings.Contains(list, key) || !strings.Contains(list, `"running"`) {
		t.Errorf("list: %s", list)
	}
	if strings.Contains(from.log(), key) {
		t.Error("the key of the other server is in the log")
	}
	status, text = relayed(t, from, "push", room, target, "oper", "stop")
	wantAnswer(t, "stop", status, text, 200, "<h1>push url stop "+target+" ok</h1></br>")
	to.waitOffAir(t, "copy")
	status, text = relayed(t, from, "push", room, target, "oper", "stop")
	wantAnswer(t, "second stop", status, text, 404, "<h1>session key[push:live/"+room+"] not exist, please check it again.</h1>")
}

// TestRelayPull brings a stream from another server by RTMP and by HTTP-FLV, under a room's name or
// its key, and ends with it.
func TestRelayPull(t *testing.T) {
	t.Parallel()
	from, to := start(t), start(t)
	room, tags := roomOf(t), flvClip(t, "h264-aac-b", 5)
	pub := publish(t, from, from.key(t, room), tags, pacing{loop: true})
	from.waitOnAir(t, room)
	sources := map[string]string{"viartmp": from.rtmpURL(room), "viaflv": from.flvURL(room)}
	for name, source := range sources {
		as := name
		if name == "viaflv" {
			as = to.key(t, name) // LiveGo wanted the key
		}
		status, text := relayed(t, to, "pull", as, source)
		wantAnswer(t, "start", status, text, 200, "<h1>pull url start "+source+" ok</h1></br>")
		to.waitOnAir(t, name)
		v := watchFLV(t, to, name)
		v.waitFrames(t, 60)
		rising(t, name, v.tags())
		gapless(t, name, v.tags(), 250)
		status, text = relayed(t, to, "pull", name, source+"?other")
		wantAnswer(t, "a second source", status, text, 409)
	}
	pub.cancel()
	pub.finish(t)
	for name, source := range sources {
		to.waitOffAir(t, name)
		status, text := relayed(t, to, "pull", name, source, "oper", "stop")
		wantAnswer(t, "stop", status, text, 200, "<h1>pull url stop "+source+" ok</h1></br>")
		status, text = relayed(t, to, "pull", name, source, "oper", "stop")
		wantAnswer(t, "second stop", status, text, 404, "session key[pull:live/"+name+"] not exist, please check it again.")
	}
}

// TestDefect32 and its kind: servers that are mute, away or refuse, and URLs that cannot be, are
// answered in time and with the reason.
func TestDefect32(t *testing.T) {
	t.Parallel()
	s := start(t)
	room := roomOf(t)
	key := s.key(t, room)
	pub := publish(t, s, key, flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	defer pub.lose()
	s.waitOnAir(t, room)
	mute, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer mute.Close()
	for _, c := range []struct {
		what, direction, name, url string
		want                       int
		part                       string
	}{
		{"mute", "push", room, "rtmp://" + mute.Addr().String() + "/live/x", 502, "push error="},
		{"mute source", "pull", "other", "rtmp://" + mute.Addr().String() + "/live/x", 502, "pull error="},
		{"away", "push", room, "rtmp://" + freeAddress(t) + "/live/x", 502, "push error="},
		{"refused", "push", room, s.publishURL("wrongkey"), 502, "push error="},
		{"no stream", "push", room, "rtmp://127.0.0.1:1935/onlyapp", 400, "push error="},
		{"scheme", "push", room, "http://127.0.0.1/live/x", 400, "push error="},
		{"scheme of a file", "pull", "other", "file:///etc/passwd", 400, "pull error="},
		{"app", "push", room, "", 400, "control push parameter error, please check them."},
		{"name", "push", "a//b", "rtmp://127.0.0.1:1/live/x", 400, "push error="},
		{"loop by room", "pull", room, s.rtmpURL(room), 400, "leads back"},
		{"loop by key", "push", room, s.publishURL(key), 400, "leads back"},
		{"no such stream there", "pull", "other", s.rtmpURL("nothing"), 502, "pull error="},
	} {
		began := time.Now()
		status, text := relayed(t, s, c.direction, c.name, c.url)
		wantAnswer(t, c.what, status, text, c.want, c.part)
		if took := time.Since(began); took > 20*time.Second {
			t.Errorf("%s took %v", c.what, took)
		}
	}
	if _, list := s.control(t, "/control/relays"); strings.Contains(list, "state") {
		t.Errorf("relays that could not be are listed: %s", list)
	}
	v := watchFLV(t, s, room)
	v.waitFrames(t, 30)
	gapless(t, v.name, v.tags(), 250)
}

// TestStaticPush pushes each stream of an app to nginx-rtmp, also when that comes later and when it
// goes and comes back; the publisher and its viewers notice nothing (defects 29 and 30).
func TestStaticPush(t *testing.T) {
	t.Parallel()
	address := freeAddress(t)
	file := filepath.Join(t.TempDir(), "livego.yaml")
	text := fmt.Sprintf("server:\n- {appname: live, live: true, hls: true, flv: true, api: true, static_push: ['rtmp://%s/up']}\n", address)
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--config_file", file)
	room := roomOf(t)
	pub := publish(t, s, s.key(t, room), flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	defer pub.lose()
	s.waitOnAir(t, room)
	v := watchFLV(t, s, room)
	v.waitFrames(t, 30)
	for round := range 2 {
		nginx := startNginxAt(t, address, "application up { live on; }")
		copied := filepath.Join(t.TempDir(), fmt.Sprint(round, ".flv"))
		eventually(t, 45*time.Second, "nginx has the stream", func() bool {
			os.Remove(copied)
			launch(t, "ffmpeg", "-v", "error", "-rw_timeout", "3000000", "-i", "rtmp://"+address+"/up/"+room, "-t", "1", "-c", "copy", copied).wait(t, 15*time.Second)
			info, err := os.Stat(copied)
			return err == nil && info.Size() > 10_000
		})
		nginx.kill()
	}
	gapless(t, v.name, v.tags(), 250)
	v.going(t)
}

// TestRelayCircle pushes a stream to nginx-rtmp, which pushes all that it has back: that is refused
// again and again, with the reason in the log, and the encoder and its viewers notice nothing.
func TestRelayCircle(t *testing.T) {
	t.Parallel()
	s, address, room := start(t), freeAddress(t), roomOf(t)
	key := s.key(t, room)
	nginx := startNginxAt(t, address, fmt.Sprintf("application up { live on; push %s; }", s.publishURL(key)))
	defer nginx.kill()
	pub := publish(t, s, key, flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	defer pub.lose()
	s.waitOnAir(t, room)
	v := watchFLV(t, s, room)
	v.waitFrames(t, 30)
	status, text := relayed(t, s, "push", room, "rtmp://"+address+"/up/x")
	wantAnswer(t, "start", status, text, 200)
	eventually(t, 30*time.Second, "what comes back is refused", func() bool {
		return strings.Count(s.log(), "publisher refused") >= 2 && strings.Contains(s.log(), "leads back")
	})
	v.waitFrames(t, len(v.tags())+30)
	v.going(t)
	gapless(t, v.name, v.tags(), 250)
	select {
	case <-pub.ended:
		t.Errorf("the encoder was ended: %v", pub.err)
	default:
	}
	if strings.Contains(s.log(), "publisher taken over") {
		t.Error("the encoder was taken over")
	}
}

// TestRelaysSurviveRestart: what the API began goes on after a restart.
func TestRelaysSurviveRestart(t *testing.T) {
	t.Parallel()
	from, to := start(t), &server{}
	to.launch(t, raceBinary(t), nil)
	defer to.stop()
	room := roomOf(t)
	pub := publish(t, from, from.key(t, room), flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	defer pub.lose()
	from.waitOnAir(t, room)
	status, text := relayed(t, to, "pull", "copy", from.rtmpURL(room))
	wantAnswer(t, "start", status, text, 200)
	to.waitOnAir(t, "copy")
	if err := to.stop(); err != nil {
		t.Fatal(err)
	}
	to.relaunch(t, raceBinary(t), nil)
	to.waitOnAir(t, "copy")
}

// TestRelayNginx pushes a stream to nginx-rtmp, and another server pulls it from there: what
// arrives is what was published.
func TestRelayNginx(t *testing.T) {
	t.Parallel()
	from, to := start(t), start(t)
	room, tags := roomOf(t), flvClip(t, "h264-aac-b", 5)
	between := "rtmp://" + startNginx(t, "application hop { live on; }") + "/hop/x"
	pub := publish(t, from, from.key(t, room), tags, pacing{loop: true})
	defer pub.lose()
	from.waitOnAir(t, room)
	for direction, s := range map[string]*server{"push": from, "pull": to} {
		status, text := relayed(t, s, direction, map[string]string{"push": room, "pull": "copy"}[direction], between)
		wantAnswer(t, direction, status, text, 200)
	}
	to.waitOnAir(t, "copy")
	v := watchFLV(t, to, "copy")
	v.waitFrames(t, 200)
	rising(t, v.name, v.tags())
	headersFirst(t, v.name, v.tags(), typeVideo, typeAudio)
	known := map[string]bool{}
	for _, u := range bodiesOf(tags) {
		known[u.hash] = true
	}
	for _, u := range bodiesOf(v.tags()) {
		if !known[u.hash] {
			t.Fatalf("a unit at %d ms was never published", u.dts)
		}
	}
}
