package e2e

import (
	"bytes"
	"context"
	"crypto/hmac"
	"crypto/sha256"
	"encoding/base64"
	"fmt"
	"net"
	"net/http"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
)

// The tests named TestDefectNN show that a defect of the original LiveGo, by its number in the
// behaviour specification, is not here. Numbers 4, 17, 29 to 35, 52 and 54 concern recording and
// relays, which are not here either.

// refused publishes with the key and returns the status code of the refusal.
func refused(t testing.TB, s *server, app, key string) string {
	t.Helper()
	p := dial(t, s.rtmp)
	if err := p.tryConnect(app); err != nil {
		return "NetConnection.Connect.Rejected"
	}
	_ = p.command(1, "publish", 3, nil, key, "live")
	codes, closed := p.untilClosed(10 * time.Second)
	if !closed {
		t.Errorf("publishing %s/%q: not closed, told %v", app, key, codes)
	}
	if slices.Contains(codes, "NetStream.Publish.Start") {
		t.Errorf("publishing %s/%q: told %v", app, key, codes)
	}
	if len(codes) == 0 {
		return ""
	}
	return codes[len(codes)-1]
}

// TestDefect01RevokedKeys resets and deletes a key: it is refused from then on, and a publisher on
// air with it is closed.
func TestDefect01RevokedKeys(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	tags := flvClip(t, "h264-aac", 5)
	old := s.key(t, room)

	encoder := publish(t, s, old, tags, pacing{loop: true})
	s.waitOnAir(t, room)
	_, renewed := s.control(t, "/control/reset?room="+room)
	encoder.closedByServer(t, 3*time.Second)
	if code := refused(t, s, "live", old); code != "NetStream.Publish.Denied" {
		t.Errorf("the old key after reset is answered with %s", code)
	}

	s.waitOffAir(t, room)
	kept := publish(t, s, renewed, tags, pacing{loop: true})
	s.waitOnAir(t, room)
	_, third := s.control(t, "/control/reset?kick=0&room="+room)
	pause(t, time.Second)
	if !s.onAir(t, room) {
		t.Error("kick=0 closed the publisher")
	}
	kept.lose()

	encoder = publish(t, s, third, tags, pacing{loop: true})
	if status, data := s.control(t, "/control/delete?room="+room); status != 200 || data != "Ok" {
		t.Errorf("delete answers %d %s", status, data)
	}
	encoder.closedByServer(t, 3*time.Second)
	for _, key := range []string{old, renewed, third} {
		if code := refused(t, s, "live", key); code != "NetStream.Publish.Denied" {
			t.Errorf("a key after delete is answered with %s", code)
		}
	}
	if status, data := s.control(t, "/control/delete?room="+room); status != 404 || data != "room not found" {
		t.Errorf("the second delete answers %d %s", status, data)
	}
}

// TestDefect02RoomIsNoKey publishes with a room's public name, which must be refused; no open
// endpoint shows a key.
func TestDefect02RoomIsNoKey(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	key := s.key(t, room)
	if code := refused(t, s, "live", room); code != "NetStream.Publish.Denied" {
		t.Errorf("answered with %q", code)
	}
	publish(t, s, key, flvClip(t, "h264-aac", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	watchFLV(t, s, room)
	for _, address := range []string{"http://" + s.flv + "/streams", "http://" + s.api + "/stat/livestat", s.hlsURL(room)} {
		if _, body, _ := s.fetch(t, address); strings.Contains(body, key) {
			t.Errorf("%s shows the channel key", address)
		}
	}
	if strings.Contains(s.log(), key) {
		t.Error("the log shows the channel key")
	}
	if status, data := s.control(t, "/control/get?room="+key); status == 200 && data == room {
		t.Error("a key asked for as a room answers the room's name")
	}
}

// TestDefect03OptionsNeedsToken calls the API with every method and no token.
func TestDefect03OptionsNeedsToken(t *testing.T) {
	t.Parallel()
	secret := strings.Repeat("s3cr3t-", 6)
	s := startWith(t, []string{"JWT_SECRET=" + secret})
	address := "http://" + s.api + "/control/get?room=m"
	for _, method := range []string{"GET", "POST", "PUT", "DELETE", "HEAD", "PATCH", "OPTIONS"} {
		status, body, _ := request(t, method, address, nil)
		if status == http.StatusOK && method != "OPTIONS" || len(body) > 48 && !strings.Contains(body, `"status"`) {
			t.Errorf("%s without a token answers %d %s", method, status, body)
		}
		if strings.Contains(body, `"status":200`) {
			t.Errorf("%s without a token answers %s", method, body)
		}
	}
	status, _, header := request(t, "GET", address, nil)
	if status != http.StatusForbidden || !strings.HasPrefix(header.Get("WWW-Authenticate"), "Bearer") {
		t.Errorf("GET without a token answers %d, WWW-Authenticate %q", status, header.Get("WWW-Authenticate"))
	}
	soon, past := time.Now().Add(time.Minute).Unix(), time.Now().Add(-time.Minute).Unix()
	for name, test := range map[string]struct {
		token string
		want  int
	}{
		"good":           {jwt(secret, "HS256", soon), http.StatusOK},
		"expired":        {jwt(secret, "HS256", past), http.StatusForbidden},
		"other secret":   {jwt(secret+"x", "HS256", soon), http.StatusForbidden},
		"other method":   {jwt(secret, "HS512", soon), http.StatusForbidden},
		"unsigned":       {strings.Join(append(strings.Split(jwt(secret, "none", soon), ".")[:2], ""), "."), http.StatusForbidden},
		"not a token":    {"abc", http.StatusForbidden},
		"nothing at all": {"", http.StatusForbidden},
	} {
		if status, body, _ := request(t, "GET", address, http.Header{"Authorization": {"Bearer " + test.token}}); status != test.want {
			t.Errorf("a token that is %s is answered with %d %s", name, status, body)
		}
		if status, body, _ := request(t, "GET", address+"&jwt="+test.token, nil); status != test.want {
			t.Errorf("a token in the query that is %s is answered with %d %s", name, status, body)
		}
	}
}

// jwt makes a JSON Web Token that is signed with HMAC-SHA-256, whatever it says (RFC 7519).
func jwt(secret, algorithm string, expires int64) string {
	encode := base64.RawURLEncoding.EncodeToString
	text := encode([]byte(`{"alg":"`+algorithm+`","typ":"JWT"}`)) + "." + encode(fmt.Appendf(nil, `{"exp":%d}`, expires))
	mac := hmac.New(sha256.New, []byte(secret))
	mac.Write([]byte(text))
	return text + "." + encode(mac.Sum(nil))
}

// TestDefect05HostileClients sends what crashed the original, each on a connection of its own.
func TestDefect05HostileClients(t *testing.T) {
	t.Parallel()
	s := start(t)
	raw := func(b ...byte) func(*probe) { return func(p *probe) { p.Write(b) } }
	send := func(m message) func(*probe) { return func(p *probe) { p.send(3, m) } }
	call := func(values ...any) func(*probe) { return func(p *probe) { p.command(0, values...) } }
	long := append([]byte{0x0C}, 0xFF, 0xFF, 0xFF, 0xF0) // an AMF0 long string that says it has 4 GiB
	deep := bytes.Repeat([]byte{3, 0, 1, 'a'}, 10_000)   // objects in objects
	for name, attack := range map[string]func(*probe){
		"a: name that is no URL":       func(p *probe) { p.tryConnect("live"); p.command(1, "play", 3, nil, "%zz") },
		"a: tcUrl that is none":        call("connect", 1, object{"app", "live", "tcUrl", "rtmp://%zz:x/%"}),
		"b: 16 MB before publish":      raw(3, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0x14, 0, 0, 0, 0),
		"c: empty command":             send(message{kind: typeCommand}),
		"c: empty AMF3 command":        send(message{kind: typeCommandAMF3}),
		"d: chunk size of two bytes":   send(message{kind: typeSetChunkSize, body: []byte{0, 0}}),
		"d: chunk size 0":              send(message{kind: typeSetChunkSize, body: []byte{0, 0, 0, 0}}),
		"d: chunk size with top bit":   send(message{kind: typeSetChunkSize, body: []byte{0xFF, 0, 0, 0}}),
		"e: app is a number":           call("connect", 1, object{"app", 5}),
		"e: objectEncoding is null":    call("connect", 1, object{"app", "live", "objectEncoding", nil}),
		"e: connect without an object": call("connect", 1),
		"e: connect is a number":       call(5, "connect"),
		"f: string of 4 GiB":           send(message{kind: typeCommand, body: long}),
		"f: deep objects":              send(message{kind: typeCommand, body: deep}),
		"abort of nothing":             send(message{kind: typeAbort, body: []byte{0, 0, 0, 9}}),
		"empty aggregate":              send(message{kind: typeAggregate}),
		"broken aggregate":             send(message{kind: typeAggregate, body: []byte{9, 0xFF, 0xFF, 0xFF, 0, 0, 0, 0, 0, 0, 0, 1}}),
		"type 3 chunk first":           raw(0xC5, 1, 2, 3, 4),
		"many chunk streams": func(p *probe) {
			for i := range 2000 {
				p.Write([]byte{1, byte(i), byte(i >> 8), 0, 0, 0, 0, 0xFF, 0xFF, 8, 0, 0, 0, 0, 1, 2, 3})
			}
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := dial(t, s.rtmp)
			attack(p)
			p.SetReadDeadline(time.Now().Add(300 * time.Millisecond))
			for {
				if _, err := p.receive(); err != nil {
					break
				}
			}
			s.alive(t)
		})
	}
	if used := s.memory(t); used > 300<<20 {
		t.Errorf("the server uses %d MiB", used>>20)
	}
}

// TestDefect06SlowViewersDoNotCrash lets HTTP-FLV viewers stall while the stream ends, and one that
// never reads.
func TestDefect06SlowViewersDoNotCrash(t *testing.T) {
	t.Parallel()
	s := start(t, "--write_timeout", "2")
	room := roomOf(t)
	encoder := publish(t, s, s.key(t, room), flvClip(t, "h264-big", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	for range 4 {
		conn, err := net.Dial("tcp", s.flv)
		if err != nil {
			t.Fatal(err)
		}
		defer conn.Close()
		conn.(*net.TCPConn).SetReadBuffer(4096)
		fmt.Fprintf(conn, "GET /live/%s.flv HTTP/1.1\r\nHost: x\r\n\r\n", room)
	}
	eventually(t, 5*time.Second, "four viewers", func() bool { return s.players(t, room) == 4 })
	brisk := watchFLV(t, s, room)
	eventually(t, 25*time.Second, "the stalled viewers are given up", func() bool { return s.players(t, room) == 1 })
	rising(t, "a viewer beside them", brisk.tags())
	gapless(t, "a viewer beside them", brisk.tags(), 250)

	slow := launch(t, "curl", "-s", "-o", "/dev/null", "--limit-rate", "50k", s.flvURL(room))
	eventually(t, 5*time.Second, "the slow viewer", func() bool { return s.players(t, room) == 2 })
	encoder.cancel()
	encoder.finish(t)
	brisk.waitEnd(t, 5*time.Second)
	s.alive(t)
	eventually(t, 15*time.Second, "the slow viewer is given up", func() bool { return s.players(t, room) == 0 })
	slow.kill()
	s.alive(t)
}

// TestDefect07ViewersLeaveNothing opens and closes 300 HTTP-FLV viewers.
func TestDefect07ViewersLeaveNothing(t *testing.T) {
	t.Parallel()
	s := &server{}
	s.launch(t, setting(t, "LIVEGO_BIN"), nil) // the race detector has a memory of its own
	room := roomOf(t)
	publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	visit := func(n int) {
		for range n {
			v := watchFLV(t, s, room)
			eventually(t, 5*time.Second, "a tag", func() bool { return len(v.tags()) > 0 })
			v.leave()
		}
		eventually(t, 5*time.Second, "all viewers are gone", func() bool { return s.players(t, room) == 0 })
	}
	visit(50)
	before := s.memory(t)
	visit(300)
	if grown := s.memory(t) - before; grown > 20<<20 {
		t.Errorf("300 viewers left %d MiB", grown>>20)
	}
	if n, dump := s.goroutines(); n > 60 {
		t.Errorf("%d goroutines are left:\n%s", n, dump[:min(len(dump), 8000)])
	}
}

// TestDefect08OutOfFileDescriptors opens more connections than the server may have files.
func TestDefect08OutOfFileDescriptors(t *testing.T) {
	t.Parallel()
	limited := filepath.Join(t.TempDir(), "limited")
	writeScript(t, limited, fmt.Sprintf("#!/bin/sh\nulimit -n 40\nexec %s \"$@\"\n", raceBinary(t)))
	s := &server{}
	s.launch(t, limited, nil)
	var open []net.Conn
	for range 60 {
		conn, err := net.DialTimeout("tcp", s.rtmp, 5*time.Second)
		if err != nil {
			t.Fatal(err)
		}
		open = append(open, conn)
	}
	pause(t, time.Second)
	for _, conn := range open {
		conn.Close()
	}
	eventually(t, 15*time.Second, "new connections are served", func() bool {
		p, err := tryDial(s.rtmp)
		if err != nil {
			return false
		}
		p.Close()
		return true
	})
	s.alive(t)
	if lines := strings.Count(s.log(), "too many open files"); lines > 20 {
		t.Errorf("the log says %d times that files are out", lines)
	}
	if err := s.stop(); err != nil {
		t.Error(err)
	}
}

// TestDefect09Deadlines keeps connections idle at each step: all are closed.
func TestDefect09Deadlines(t *testing.T) {
	t.Parallel()
	s := start(t, "--read_timeout", "2")
	for name, open := range map[string]func(t *testing.T) net.Conn{
		"nothing sent": func(t *testing.T) net.Conn { return plain(t, s.rtmp, "") },
		"half a handshake": func(t *testing.T) net.Conn {
			return plain(t, s.rtmp, "\x03"+strings.Repeat("\x00", 100))
		},
		"after the handshake": func(t *testing.T) net.Conn { return dial(t, s.rtmp) },
		"after connect":       func(t *testing.T) net.Conn { p := dial(t, s.rtmp); p.connect(t, "live"); return p },
		"silent publisher": func(t *testing.T) net.Conn {
			p := dial(t, s.rtmp)
			p.connect(t, "live")
			if err := p.publish(s.key(t, "silent")); err != nil {
				t.Error(err)
			}
			return p
		},
		"HTTP-FLV, half a request": func(t *testing.T) net.Conn { return plain(t, s.flv, "GET /live/x.flv HTTP/1.1\r\nA: ") },
		"HLS, half a request":      func(t *testing.T) net.Conn { return plain(t, s.hls, "GET /live/x.m3u8 HTTP/1.1\r\nA: ") },
		"API, half a request":      func(t *testing.T) net.Conn { return plain(t, s.api, "GET /healthz HTTP/1.1\r\nA: ") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			conn := open(t)
			conn.SetReadDeadline(time.Now().Add(20 * time.Second))
			buffer := make([]byte, 4096)
			for {
				if _, err := conn.Read(buffer); err != nil {
					if os.IsTimeout(err) {
						t.Error("the connection is kept open")
					}
					return
				}
			}
		})
	}
}

func plain(t testing.TB, address, first string) net.Conn {
	t.Helper()
	conn, err := net.Dial("tcp", address)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { conn.Close() })
	fmt.Fprint(conn, first)
	return conn
}

// TestDefect10RandomKeys starts two fresh servers: their keys differ.
func TestDefect10RandomKeys(t *testing.T) {
	t.Parallel()
	if a, b := start(t).key(t, "m"), start(t).key(t, "m"); a == b {
		t.Errorf("both gave %s", a)
	}
}

// TestDefect11ConfigTypo starts with files that do not say what they should: the server says where,
// and does not run.
func TestDefect11ConfigTypo(t *testing.T) {
	t.Parallel()
	for name, test := range map[string]struct{ file, want string }{
		"not YAML":     {"server: [", "livego.yaml"},
		"unknown key":  {"level: info\nrtmp_adr: :1935\n", "rtmp_adr"},
		"wrong type":   {"gop_num: many\n", "gop_num"},
		"unknown jwt":  {"jwt:\n  secret: 0123456789abcdef0123456789abcdef\n  algorithm: none\n", "algorithm"},
		"short secret": {"jwt:\n  secret: abc\n", "secret"}, // for an API that others reach
	} {
		t.Run(name, func(t *testing.T) {
			dir := t.TempDir()
			if err := os.WriteFile(filepath.Join(dir, "livego.yaml"), []byte(test.file), 0o600); err != nil {
				t.Fatal(err)
			}
			output, err := runIn(t, dir, []string{"API_ADDR=" + strings.Replace(freeAddress(t), "127.0.0.1", "0.0.0.0", 1)})
			if err == nil {
				t.Error("it ran and ended with exit status 0")
			}
			if !strings.Contains(output, test.want) {
				t.Errorf("it says nothing of %s: %s", test.want, output)
			}
		})
	}
	t.Run("named file is missing", func(t *testing.T) {
		if output, err := runIn(t, t.TempDir(), nil, "--config_file", "nowhere.yaml"); err == nil || !strings.Contains(output, "nowhere.yaml") {
			t.Errorf("it says %v: %s", err, output)
		}
	})
	t.Run("no server section", func(t *testing.T) { // defect 49
		s := &server{}
		s.dir = t.TempDir()
		if err := os.WriteFile(filepath.Join(s.dir, "livego.yaml"), []byte("level: debug\n"), 0o600); err != nil {
			t.Fatal(err)
		}
		s.launch(t, raceBinary(t), nil)
		s.key(t, "m")
		if err := s.stop(); err != nil {
			t.Error(err)
		}
	})
}

// runIn runs the program until it ends, for at most 10 s, on addresses that are free.
func runIn(t testing.TB, dir string, env []string, arguments ...string) (string, error) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Second)
	defer cancel()
	defaults := []string{"RTMP_ADDR=" + freeAddress(t), "HTTPFLV_ADDR=" + freeAddress(t), "HLS_ADDR=" + freeAddress(t), "API_ADDR=" + freeAddress(t)}
	command := exec.CommandContext(ctx, setting(t, "LIVEGO_BIN"), arguments...)
	command.Dir, command.Env = dir, slices.Concat(os.Environ(), defaults, env)
	output, err := command.CombinedOutput()
	if ctx.Err() != nil {
		t.Errorf("livego %q still runs after 10 s", arguments)
	}
	return string(output), err
}

// TestDefect12SecretsAreNotLogged greps the debug log.
func TestDefect12SecretsAreNotLogged(t *testing.T) {
	t.Parallel()
	secret, password := strings.Repeat("topsecret", 5), "redispassword"
	s := &server{}
	s.dir = t.TempDir()
	file := fmt.Sprintf("level: debug\nredis_addr: 127.0.0.1:1\nredis_pwd: %s\njwt:\n  secret: %s\n", password, secret)
	if err := os.WriteFile(filepath.Join(s.dir, "livego.yaml"), []byte(file), 0o600); err != nil {
		t.Fatal(err)
	}
	s.launch(t, raceBinary(t), nil)
	s.fetch(t, "http://"+s.api+"/control/get?room=m&jwt=a-token-of-somebody")
	if err := s.stop(); err != nil {
		t.Error(err)
	}
	for _, word := range []string{secret, password, "a-token-of-somebody"} {
		if strings.Contains(s.log(), word) {
			t.Errorf("the log shows %s", word)
		}
	}
}

// TestDefect13AppIsTheApp connects with a tcUrl that names another app: the app field counts.
func TestDefect13AppIsTheApp(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	p := dial(t, s.rtmp)
	p.connect(t, "live", "tcUrl", "rtmp://x/other?token=1")
	if err := p.publish(s.key(t, room)); err != nil {
		t.Fatal(err)
	}
	for _, tag := range flvClip(t, "h264-aac", 5)[:40] {
		_ = p.media(tag.kind, tag.time, tag.body)
	}
	s.waitOnAir(t, room)
	for _, publisher := range s.streams(t).Publishers {
		if strings.HasPrefix(publisher.Key, "other/") {
			t.Errorf("listed as %s", publisher.Key)
		}
	}
	if code := refused(t, s, "other", s.key(t, room)); code != "NetConnection.Connect.Rejected" {
		t.Errorf("an app that is not configured is answered with %s", code)
	}
}

// TestDefect14RoomNames asks for rooms with names that no stream can have.
func TestDefect14RoomNames(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for _, name := range []string{"..", "../x", "a/../b", "/a", "a//b", ".hidden", "a\x00b", "a\nb", strings.Repeat("x", 300), "index", "a/12345", "a/index", "\xff\xfe"} {
		if status, _ := s.control(t, "/control/get?room="+url.QueryEscape(name)); status != http.StatusBadRequest {
			t.Errorf("room %q is answered with %d", name, status)
		}
	}
	for _, name := range []string{"a/b", "room 1", "zimmer-ä", "UPPER.lower_1"} {
		s.key(t, "defect14/"+name)
	}
}

// TestDefect15CrossSiteRequests calls the API as a page of another site would, and as somebody
// behind a proxy.
func TestDefect15CrossSiteRequests(t *testing.T) {
	t.Parallel()
	s := shared(t)
	address := "http://" + s.api + "/control/reset?room=defect15"
	for name, header := range map[string]http.Header{
		"another site":   {"Sec-Fetch-Site": {"cross-site"}},
		"another origin": {"Origin": {"http://evil.example"}},
		"another host":   {"Host": {"evil.example"}},
		"a proxy":        {"X-Forwarded-For": {"203.0.113.1"}},
		"another proxy":  {"Forwarded": {"for=203.0.113.1"}},
		"a third proxy":  {"Via": {"1.1 proxy"}},
		"a fourth proxy": {"X-Real-Ip": {"203.0.113.1"}},
	} {
		status, body, _ := request(t, http.MethodGet, address, header)
		if status != http.StatusForbidden || !strings.Contains(body, "jwt.secret") {
			t.Errorf("%s: %d %s", name, status, body)
		}
	}
	if status, _, _ := request(t, http.MethodDelete, address, nil); status != http.StatusMethodNotAllowed {
		t.Errorf("DELETE is answered with %d", status)
	}
}
