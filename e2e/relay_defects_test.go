package e2e

import (
	"crypto/tls"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"testing"
	"time"
)

// The defects of LiveGo in what records and relays. 32 is in relay_test.go, with all that cannot be
// reached.

// TestDefect04ArchiveStaysInside asks for a room whose name leads out of flv_dir: it is refused,
// and publishing to it or its name writes nothing anywhere.
func TestDefect04ArchiveStaysInside(t *testing.T) {
	t.Parallel()
	top := t.TempDir()
	s := start(t, "--flv_archive", "--flv_dir", filepath.Join(top, "a", "b", "archive"), "--rtmp_noauth")
	for _, name := range []string{"../../../pwned", "a/../../../../pwned"} {
		if status, _ := s.control(t, "/control/get?room="+url.QueryEscape(name)); status != http.StatusBadRequest {
			t.Errorf("room %q is answered with %d", name, status)
		}
		refused(t, s, "live", name)
	}
	pub := publish(t, s, "movie", flvClip(t, "h264-aac-b", 5), pacing{speed: 4})
	pub.finish(t)
	recorded(t, filepath.Join(top, "a", "b", "archive"), 1)
	var written []string
	_ = filepath.WalkDir(top, func(path string, d os.DirEntry, err error) error {
		if err == nil && !d.IsDir() {
			written = append(written, path)
		}
		return nil
	})
	if len(written) != 1 {
		t.Errorf("files: %q", written)
	}
	s.alive(t)
}

// TestDefect17ArchiveOfFolders records a room with a slash in its name, and one whose folder cannot
// be made: the server goes on. TestArchiveUnwritable has a folder that is none.
func TestDefect17ArchiveOfFolders(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	if err := os.MkdirAll(filepath.Join(dir, "live"), 0o700); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(filepath.Join(dir, "live", "taken"), nil, 0o600); err != nil {
		t.Fatal(err)
	}
	s := start(t, "--flv_archive", "--flv_dir", dir)
	tags := flvClip(t, "h264-aac-b", 5)
	for _, room := range []string{"taken/b", "a/b"} {
		publish(t, s, s.key(t, room), tags, pacing{speed: 4}).finish(t)
		s.waitOffAir(t, room)
		s.alive(t)
	}
	eventually(t, 5*time.Second, "the room with a slash is recorded", func() bool {
		found, _ := filepath.Glob(filepath.Join(dir, "live", "a", "b_*.flv"))
		return len(found) == 1
	})
	if !strings.Contains(s.log(), "recording ended") {
		t.Error("the log says nothing of the folder that cannot be made")
	}
}

// muteServer takes connections and answers nothing.
func muteServer(t testing.TB) string {
	t.Helper()
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { listener.Close() })
	return listener.Addr().String()
}

// startPushing runs a server that pushes the streams of its apps to addresses.
func startPushing(t *testing.T, targets map[string][]string) *server {
	t.Helper()
	text := "server:\n"
	for app, addresses := range targets {
		text += fmt.Sprintf("- {appname: %s, live: true, hls: true, flv: true, api: true, static_push: [%s]}\n", app, strings.Join(addresses, ", "))
	}
	file := filepath.Join(t.TempDir(), "livego.yaml")
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	return start(t, "--config_file", file)
}

// TestDefect29HangingTarget pushes to a target that hangs and to one that works: neither publisher
// nor viewers nor the other push notice it. TestStaticPush has one that goes and comes back.
func TestDefect29HangingTarget(t *testing.T) {
	t.Parallel()
	to := start(t, "--rtmp_noauth")
	s := startPushing(t, map[string][]string{"live": {"rtmp://" + muteServer(t) + "/live", "rtmp://" + to.rtmp + "/live"}})
	room := roomOf(t)
	pub := publish(t, s, s.key(t, room), flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	to.waitOnAir(t, room)
	viewers := []*viewer{watchFLV(t, s, room), watchFLV(t, to, room)}
	for _, v := range viewers {
		v.waitFrames(t, 200)
		gapless(t, v.name, v.tags(), 250)
	}
	pub.cancel()
	pub.finish(t)
	to.waitOffAir(t, room)
}

// TestDefect30StaticPushOfEachApp: each app has targets of its own, whichever is published first.
func TestDefect30StaticPushOfEachApp(t *testing.T) {
	t.Parallel()
	one, two := start(t, "--rtmp_noauth"), start(t, "--rtmp_noauth")
	s := startPushing(t, map[string][]string{"live": {"rtmp://" + one.rtmp + "/live"}, "other": {"rtmp://" + two.rtmp + "/live"}})
	tags := flvClip(t, "h264-aac-b", 5)
	publish(t, s, s.key(t, "second"), tags, pacing{loop: true, app: "other"})
	two.waitOnAir(t, "second")
	publish(t, s, s.key(t, "first"), tags, pacing{loop: true})
	one.waitOnAir(t, "first")
	if one.onAir(t, "second") || two.onAir(t, "first") {
		t.Error("a stream goes to the target of another app")
	}
}

// cpuSeconds is how long a server has worked.
func (s *server) cpuSeconds(t testing.TB) float64 {
	t.Helper()
	_, text, _ := s.fetch(t, "http://"+s.api+"/metrics")
	found := regexp.MustCompile(`(?m)^process_cpu_seconds_total (\S+)`).FindStringSubmatch(text)
	if found == nil {
		t.Fatal("no process_cpu_seconds_total")
	}
	seconds, err := strconv.ParseFloat(found[1], 64)
	if err != nil {
		t.Fatal(err)
	}
	return seconds
}

// TestDefect31SourceResets kills the source of a pull and the target of a push: the server tries
// again now and then, and rests in between.
func TestDefect31SourceResets(t *testing.T) {
	t.Parallel()
	var source, target server
	for _, peer := range []*server{&source, &target} {
		peer.launch(t, raceBinary(t), nil, "--rtmp_noauth")
	}
	s := start(t)
	tags := flvClip(t, "h264-aac-b", 5)
	publish(t, &source, "pulled", tags, pacing{loop: true})
	publish(t, s, s.key(t, "pushed"), tags, pacing{loop: true})
	source.waitOnAir(t, "pulled")
	s.waitOnAir(t, "pushed")
	for direction, peer := range map[string]*server{"pull": &source, "push": &target} {
		status, text := relayed(t, s, direction, direction+"ed", peer.rtmpURL(direction+"ed"))
		wantAnswer(t, direction, status, text, 200)
	}
	s.waitOnAir(t, "pulled")
	target.waitOnAir(t, "pushed")
	source.kill()
	target.kill()
	before, began := s.cpuSeconds(t), time.Now()
	pause(t, 5*time.Second)
	if used, most := s.cpuSeconds(t)-before, time.Since(began).Seconds()/2; used > most {
		t.Errorf("%.1f s of CPU in %v without source and target", used, time.Since(began))
	}
	var list []struct {
		State string
		Tries int
	}
	_, text := s.control(t, "/control/relays")
	if err := json.Unmarshal([]byte(text), &list); err != nil || len(list) != 2 {
		t.Fatalf("relays: %s, %v", text, err)
	}
	for _, r := range list {
		if r.Tries < 2 || r.Tries > 12 {
			t.Errorf("%d tries within 5 s", r.Tries)
		}
	}
}

// TestDefect33SecondStart starts relays twice: the second start is refused, and one stop stops all
// that was begun.
func TestDefect33SecondStart(t *testing.T) {
	t.Parallel()
	from, to := start(t, "--rtmp_noauth"), start(t, "--rtmp_noauth")
	publish(t, from, "movie", flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	from.waitOnAir(t, "movie")
	for _, c := range []struct {
		s           *server
		direction   string
		name, there string
	}{{from, "push", "movie", to.rtmpURL("pushed")}, {to, "pull", "pulled", from.rtmpURL("movie")}} {
		for i, want := range []int{200, 409, 409} {
			status, text := relayed(t, c.s, c.direction, c.name, c.there)
			wantAnswer(t, fmt.Sprintf("%s, start %d", c.direction, i+1), status, text, want)
		}
		to.waitOnAir(t, c.direction+"ed")
		status, text := relayed(t, c.s, c.direction, c.name, c.there, "oper", "stop")
		wantAnswer(t, "stop", status, text, 200)
		to.waitOffAir(t, c.direction+"ed")
		pause(t, 2*time.Second) // longer than the first wait before another try
		if to.onAir(t, c.direction+"ed") {
			t.Errorf("a %s goes on after its stop", c.direction)
		}
	}
}

// TestDefect34ManyCallsAtOnce starts and stops relays from many connections at the same time.
func TestDefect34ManyCallsAtOnce(t *testing.T) {
	t.Parallel()
	s := start(t)
	away := freeAddress(t)
	var calls sync.WaitGroup
	for i := range 16 {
		calls.Go(func() {
			for n := range 25 {
				query := url.Values{"app": {"live"}, "name": {fmt.Sprint("room", n%3)}, "url": {"rtmp://" + away + "/live/x"}, "oper": {[]string{"start", "stop"}[(i+n)%2]}}
				path := []string{"push", "pull"}[i%2] + "?" + query.Encode()
				if status, body, _ := get("http://" + s.api + "/control/" + path); !slices.Contains([]int{200, 404, 409, 502}, status) {
					t.Errorf("%s: %d %s", path, status, body)
				}
			}
		})
	}
	calls.Wait()
	s.alive(t)
}

// TestDefect35Address has a host in rtmp_addr, as all tests here: relays work, also without a port
// of RTMP that could be dialled from inside.
func TestDefect35Address(t *testing.T) {
	t.Parallel()
	from, to := start(t, "--rtmp_noauth"), &server{}
	to.rtmp, to.flv, to.hls, to.api = freeAddress(t), freeAddress(t), freeAddress(t), freeAddress(t)
	_, port, _ := net.SplitHostPort(to.rtmp)
	to.rtmp = "localhost:" + port
	to.launch(t, raceBinary(t), nil, "--rtmp_noauth")
	t.Cleanup(func() {
		if err := to.stop(); err != nil {
			t.Error(err)
		}
	})
	publish(t, from, "movie", flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	from.waitOnAir(t, "movie")
	status, text := relayed(t, to, "pull", "pulled", from.rtmpURL("movie"))
	wantAnswer(t, "pull", status, text, 200)
	status, text = relayed(t, to, "push", "pulled", from.rtmpURL("back"))
	wantAnswer(t, "push", status, text, 200)
	from.waitOnAir(t, "back")
}

// TestDefect52Recorder records one stream again and again within a second: no file is written over,
// others may not write to them, each has its duration, and viewers see no gap.
func TestDefect52Recorder(t *testing.T) {
	t.Parallel()
	dir := t.TempDir()
	s := start(t, "--flv_archive", "--flv_dir", dir, "--rtmp_noauth", "--republish_grace", "0")
	tags := flvClip(t, "h264-aac-b", 5)
	const sessions = 3
	for range sessions {
		publish(t, s, "movie", tags, pacing{speed: 20}).finish(t)
		s.waitOffAir(t, "movie")
	}
	for _, file := range recorded(t, dir, sessions) {
		info, err := os.Stat(file)
		if err != nil || info.Mode().Perm()&0o133 != 0 {
			t.Errorf("%s: %v, %v", file, info.Mode(), err)
		}
		if d := ffmpegReads(t, file); d < 4_500 || d > 5_500 {
			t.Errorf("%s has a duration of %d ms", file, d)
		}
	}
}

// TestDefect54Addresses relays over IPv6, and over TLS with the name of the server in its
// handshake.
func TestDefect54Addresses(t *testing.T) {
	t.Parallel()
	from := start(t, "--rtmp_noauth", "--enable_tls_verify=false")
	publish(t, from, "movie", flvClip(t, "h264-aac-b", 5), pacing{loop: true})
	from.waitOnAir(t, "movie")
	if probe, err := net.Listen("tcp", "[::1]:0"); err != nil {
		t.Logf("no IPv6 here: %v", err)
	} else {
		probe.Close()
		to := &server{}
		_, port, _ := net.SplitHostPort(freeAddress(t))
		to.rtmp, to.flv, to.hls, to.api = "[::1]:"+port, freeAddress(t), freeAddress(t), freeAddress(t)
		to.launch(t, raceBinary(t), nil, "--rtmp_noauth")
		t.Cleanup(func() {
			if err := to.stop(); err != nil {
				t.Error(err)
			}
		})
		status, text := relayed(t, from, "push", "movie", to.rtmpURL("six"))
		wantAnswer(t, "IPv6", status, text, 200)
		to.waitOnAir(t, "six")
	}

	certificate, key := selfSigned(t, t.TempDir())
	pair := must(tls.LoadX509KeyPair(certificate, key))
	names := make(chan string, 10)
	listener := must(tls.Listen("tcp", "127.0.0.1:0", &tls.Config{GetCertificate: func(h *tls.ClientHelloInfo) (*tls.Certificate, error) {
		names <- h.ServerName
		return &pair, nil
	}}))
	t.Cleanup(func() { listener.Close() })
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go io.Copy(io.Discard, conn) // the handshake is what counts
		}
	}()
	_, port, _ := net.SplitHostPort(listener.Addr().String())
	go get("http://" + from.api + "/control/push?" + url.Values{"app": {"live"}, "name": {"movie"}, "url": {"rtmps://localhost:" + port + "/live/x"}}.Encode())
	select {
	case name := <-names:
		if name != "localhost" {
			t.Errorf("the handshake names %q", name)
		}
	case <-time.After(10 * time.Second):
		t.Error("no handshake")
	}
}
