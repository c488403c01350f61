package e2e

import (
	"bytes"
	"encoding/binary"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"
)

// TestDefect37Races uses everything at once; the server of the test reports races, which its end
// checks.
func TestDefect37Races(t *testing.T) {
	t.Parallel()
	s := start(t, "--hls_segment_duration", "1", "--republish_grace", "1s")
	tags := flvClip(t, "h264-aac", 5)
	var group sync.WaitGroup
	for i := range 3 {
		room := fmt.Sprintf("race-%d", i)
		key := s.key(t, room)
		group.Go(func() {
			for range 3 {
				encoder := publish(t, s, key, tags, pacing{speed: 3})
				s.waitOnAir(t, room)
				list, flv, ws, rtmp := watchHLS(t, s, room), watchFLV(t, s, room), watchWS(t, s, room), watchRTMP(t, s, room)
				for range 10 {
					s.fetch(t, "http://"+s.api+"/stat/livestat")
					s.fetch(t, "http://"+s.api+"/stat/livestat?room=live/"+room)
					s.streams(t)
				}
				ws.leave()
				encoder.finish(t)
				flv.waitEnd(t, 5*time.Second)
				rtmp.waitEnd(t, 5*time.Second)
				list.leave()
			}
		})
	}
	group.Wait()
	s.alive(t)
}

// TestDefect38ManyEndsAtOnce ends a stream while forty players leave by themselves.
func TestDefect38ManyEndsAtOnce(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	encoder := publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{speed: 3})
	s.waitOnAir(t, room)
	var viewers []*viewer
	for range 10 {
		viewers = append(viewers, watchFLV(t, s, room), watchRTMP(t, s, room), watchWS(t, s, room), watchFLV(t, s, room))
	}
	<-encoder.ended
	var group sync.WaitGroup
	group.Go(func() { encoder.finish(t) })
	for _, v := range viewers {
		group.Go(v.leave)
	}
	group.Wait()
	s.alive(t)
	eventually(t, 5*time.Second, "nobody is left", func() bool { return s.players(t, room) == 0 })
}

// TestDefect39Acknowledgements publishes 7 MB: the server acknowledges at least every 2,500,000
// bytes.
func TestDefect39Acknowledgements(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	p := dial(t, s.rtmp)
	p.connect(t, "live")
	if err := p.publish(s.key(t, room)); err != nil {
		t.Fatal(err)
	}
	var acknowledged atomic.Uint32
	go func() {
		for {
			m, err := p.receive()
			if err != nil {
				return
			}
			if m.kind == typeAck && len(m.body) == 4 {
				acknowledged.Store(binary.BigEndian.Uint32(m.body))
			}
		}
	}()
	frame := slices.Concat([]byte{0x17, 1, 0, 0, 0, 0, 1, 0x86, 0x9B, 0x65}, bytes.Repeat([]byte{0x55}, 99_994))
	for i := range uint32(70) {
		if err := p.media(typeVideo, i*40, frame); err != nil {
			t.Fatal(err)
		}
	}
	eventually(t, 5*time.Second, "4.5 MB of 7 MB are acknowledged", func() bool { return acknowledged.Load() >= 4_500_000 })
}

// TestDefect40ChunkStreams interleaves messages on chunk streams with two and three byte ids, and
// sends time deltas that need the extended field, repeated in the type 3 chunks (RTMP 1.0 §5.3.1).
func TestDefect40ChunkStreams(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	p := dial(t, s.rtmp)
	p.connect(t, "live")
	_ = p.setChunkSize(128)
	if err := p.publish(s.key(t, room)); err != nil {
		t.Fatal(err)
	}
	clip := flvClip(t, "h264-aac", 5)
	for _, tag := range clip[:3] { // metadata and headers
		_ = p.media(tag.kind, 0, tag.body)
	}
	video := slices.Concat([]byte{0x17, 1, 0, 0, 0, 0, 0, 0, 191, 0x65}, bytes.Repeat([]byte{0x11}, 190))
	audio := slices.Concat([]byte{0xAF, 1}, bytes.Repeat([]byte{0x22}, 198))
	chunk := func(form byte, id int, header []byte, part []byte) []byte {
		first := []byte{form << 6, byte(id - 64)}
		if id >= 320 {
			first = []byte{form<<6 | 1, byte((id - 64) & 255), byte((id - 64) >> 8)}
		}
		return slices.Concat(first, header, part)
	}
	size := func(body []byte) []byte { return []byte{0, 0, byte(len(body))} }
	full := func(kind byte, body []byte) []byte {
		return slices.Concat([]byte{0, 0, 40}, size(body), []byte{kind, 1, 0, 0, 0})
	}
	// Ids 64 and 320 have the same second byte, and their messages are interleaved.
	p.Write(slices.Concat(
		chunk(0, 64, full(typeVideo, video), video[:128]), chunk(0, 320, full(typeAudio, audio), audio[:128]),
		chunk(3, 64, nil, video[128:]), chunk(3, 320, nil, audio[128:]),
	))
	// A delta of 0x1000000 ms in type 1 headers.
	wide := []byte{1, 0, 0, 0}
	delta := func(kind byte, body []byte) []byte {
		return slices.Concat([]byte{0xFF, 0xFF, 0xFF}, size(body), []byte{kind}, wide)
	}
	video2, audio2 := bytes.Replace(video, []byte{0x11}, []byte{0x33}, -1), bytes.Replace(audio, []byte{0x22}, []byte{0x44}, -1)
	p.Write(slices.Concat(
		chunk(1, 64, delta(typeVideo, video2), video2[:128]), chunk(1, 320, delta(typeAudio, audio2), audio2[:128]),
		chunk(3, 64, wide, video2[128:]), chunk(3, 320, wide, audio2[128:]),
	))
	v := watchFLV(t, s, room)
	eventually(t, 5*time.Second, "the last message comes", func() bool {
		return slices.ContainsFunc(v.tags(), func(g tag) bool { return bytes.Equal(g.body, audio2) })
	})
	if !slices.ContainsFunc(v.tags(), func(g tag) bool { return bytes.Equal(g.body, video2) }) {
		t.Error("the last picture did not come")
	}
	rising(t, "HTTP-FLV", v.tags())
}

// TestDefect41PublishersAreForgotten loses publishers: their sockets are closed and the lists
// forget them at once.
func TestDefect41PublishersAreForgotten(t *testing.T) {
	t.Parallel()
	s := start(t, "--republish_grace", "0s")
	tags := flvClip(t, "h264-aac", 5)
	files := func() int {
		entries, err := os.ReadDir(fmt.Sprintf("/proc/%d/fd", s.command.Process.Pid))
		if err != nil {
			t.Fatal(err)
		}
		return len(entries)
	}
	key := s.key(t, "m")
	before := files()
	for range 20 {
		encoder := publish(t, s, key, tags, pacing{})
		s.waitOnAir(t, "m")
		encoder.lose()
		eventually(t, 5*time.Second, "the list, which is made once a second, forgets the stream", func() bool { return !s.onAir(t, "m") })
		if status, body, _ := s.fetch(t, s.flvURL("m")); status != http.StatusNotFound {
			t.Errorf("HTTP-FLV answers %d %q", status, body)
		}
		if status, body := s.control(t, "/stat/livestat?room=live/m"); status != http.StatusNotFound {
			t.Errorf("livestat answers %d %s", status, body)
		}
	}
	if after := files(); after > before+5 {
		t.Errorf("%d files are open, %d were at first", after, before)
	}
}

// TestDefect42LongGOP caches a GOP of 1,500 pictures with audio.
func TestDefect42LongGOP(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	clip := flvClip(t, "h264-aac", 5)
	var tags []tag
	var picture, sound tag
	for _, next := range clip {
		if next.time > 0 && next.kind == typeVideo && !next.isKey() {
			picture = next
			break
		}
		if next.kind == typeAudio && !next.isHeader() {
			sound = next
		}
		tags = append(tags, next)
	}
	for i := range uint32(1500) {
		data := append(binary.BigEndian.AppendUint32(slices.Clone(picture.body), i), 0x80) // so that no two are equal, and none ends with zeros
		binary.BigEndian.PutUint32(data[5:], uint32(len(data)-9))
		tags = append(tags, tag{typeVideo, 60 + 10*i, data}, tag{typeAudio, 61 + 10*i, binary.BigEndian.AppendUint32(slices.Clone(sound.body), i)})
	}
	p := publishAtOnce(t, s, room, tags)
	v := watchFLV(t, s, room)
	eventually(t, 10*time.Second, "the last picture", func() bool {
		got := v.tags()
		return len(got) > 0 && got[len(got)-1].time >= tags[len(tags)-2].time
	})
	_ = p.command(0, "deleteStream", 7, nil, 1)
	comparison{whole: true}.check(t, "HTTP-FLV", bodiesOf(tags), bodiesOf(v.waitEnd(t, 5*time.Second)))
}

// TestDefect43ListedMeansPlayable asks for streams in the moment in which they appear.
func TestDefect43ListedMeansPlayable(t *testing.T) {
	t.Parallel()
	s := shared(t)
	tags := flvClip(t, "h264-aac", 5)
	for i := range 15 {
		room := fmt.Sprintf("defect43-%d", i)
		encoder := publish(t, s, s.key(t, room), tags, pacing{loop: true})
		s.waitOnAir(t, room)
		v := watchFLV(t, s, room) // fails on anything but 200
		v.waitFrames(t, 5)
		v.leave()
		encoder.lose()
	}
}

// TestDefect44PromptFLV plays a stream of few bytes: each frame comes when it is due, not when a
// buffer is full.
func TestDefect44PromptFLV(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	tags := slices.Clone(flvClip(t, "aac", 5))
	for i := range tags { // frames of 20 bytes
		if tags[i].kind == typeAudio && !tags[i].isHeader() {
			tags[i].body = tags[i].body[:min(len(tags[i].body), 20)]
		}
	}
	encoder := publish(t, s, s.key(t, room), tags, pacing{})
	s.waitOnAir(t, room)
	v := watchFLV(t, s, room)
	v.waitFrames(t, 5)
	for range 10 {
		// A quarter of a second is 12 frames; the delivery of audio waits for at most 60 ms.
		sent := int(encoder.sent.Load())
		if !waitUntil(500*time.Millisecond, func() bool { return len(v.tags()) > 0 && v.tags()[len(v.tags())-1].time >= tags[sent-1].time }) {
			t.Fatalf("after 500 ms the frame of %d ms has not come", tags[sent-1].time)
		}
		pause(t, 150*time.Millisecond)
	}
}

// TestDefect45FLVHeaderFlags: the flags say what the stream has. TestKinds checks more kinds.
func TestDefect45FLVHeaderFlags(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for name, want := range map[string]byte{"h264": 1, "aac": 4, "h264-aac": 5} {
		room := "defect45-" + name
		publish(t, s, s.key(t, room), flvClip(t, name, 5), pacing{loop: true})
		s.waitOnAir(t, room)
		for _, v := range []*viewer{watchFLV(t, s, room), watchWS(t, s, room)} {
			v.waitFrames(t, 3)
			if v.flags != want {
				t.Errorf("%s: the flags of %s are %d, want %d", v.name, name, v.flags, want)
			}
		}
	}
}

// TestDefect46HLSAnswers checks the answers of the HLS port.
func TestDefect46HLSAnswers(t *testing.T) {
	t.Parallel()
	s := start(t, "--hls_segment_duration", "1", "--hls_list_size", "3")
	room := "a/b c" // rooms may have slashes
	publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{loop: true, speed: 2})
	eventually(t, 5*time.Second, "on air", func() bool { return len(s.streams(t).Publishers) == 1 })
	address := "http://" + s.hls + "/live/a/b%20c.m3u8"
	status, body, header := s.fetch(t, address)
	list, err := parsePlaylist(address, body)
	if status != 200 || err != nil || len(list.segments) == 0 {
		t.Fatalf("the first playlist: %d %v %q", status, err, body)
	}
	expectHeader(t, header, "Content-Type", "application/vnd.apple.mpegurl", "application/x-mpegURL", "application/vnd.apple.mpegurl; charset=utf-8")
	expectHeader(t, header, "Cache-Control", "no-cache")
	expectHeader(t, header, "Access-Control-Allow-Origin", "*")
	first := list.segments[0].address
	_, _, header = s.fetch(t, first)
	expectHeader(t, header, "Content-Type", "video/mp2t")
	expectHeader(t, header, "Cache-Control", "public, max-age=31536000, immutable")
	expectHeader(t, header, "Access-Control-Allow-Origin", "*")

	eventually(t, 20*time.Second, "the first segment expires", func() bool { status, _, _ := get(first); return status == http.StatusNotFound })
	_, body, _ = s.fetch(t, address)
	if list, err = parsePlaylist(address, body); err != nil {
		t.Fatal(err)
	}
	total := 0.0
	for _, segment := range list.segments {
		total += segment.duration
	}
	if len(list.segments) < 3 || total < 3*float64(list.target) {
		t.Errorf("the playlist lists %d segments, %.1f s, with TARGETDURATION %d", len(list.segments), total, list.target)
	}
	for path, want := range map[string]int{
		"/": 404, "/live": 404, "/live/nobody.m3u8": 404, "/live/nobody/17.ts": 404, "/favicon.ico": 404,
		"/crossdomain.xml": 200, "/live/a/crossdomain.xml": 200,
	} {
		status, body, header := s.fetch(t, "http://"+s.hls+path)
		if status != want {
			t.Errorf("%s answers %d %q", path, status, body)
		}
		expectHeader(t, header, "Access-Control-Allow-Origin", "*")
		if status == 404 {
			expectHeader(t, header, "Cache-Control", "no-store")
		}
	}
	if status, _, _ := request(t, http.MethodOptions, address, nil); status != http.StatusNoContent {
		t.Errorf("OPTIONS answers %d", status)
	}
}

func expectHeader(t testing.TB, header http.Header, name string, allowed ...string) {
	t.Helper()
	if got := header.Get(name); !slices.Contains(allowed, got) {
		t.Errorf("%s: %q, want %q", name, got, allowed)
	}
}

// TestDefect47MissingCertificate asks for TLS with files that are not there: a start error for each
// listener.
func TestDefect47MissingCertificate(t *testing.T) {
	t.Parallel()
	for name, arguments := range map[string][]string{
		"HLS":  {"--use_hls_https"},
		"RTMP": {"--enable_rtmps", "--rtmps_cert", "nowhere.crt", "--rtmps_key", "nowhere.key"},
	} {
		if output, err := runIn(t, t.TempDir(), nil, arguments...); err == nil || !strings.Contains(output, ".crt") {
			t.Errorf("%s: %v: %s", name, err, output)
		}
	}
}

// TestDefect48AudioOnlyHLS plays audio-only AAC over HLS, and a stream with a codec that TS cannot
// carry logs no line per frame.
func TestDefect48AudioOnlyHLS(t *testing.T) {
	t.Parallel()
	s := start(t, "--hls_segment_duration", "1", "--hls_list_size", "20")
	tags := flvClip(t, "aac", 5)
	encoder := publish(t, s, s.key(t, "radio"), tags, pacing{speed: 2})
	s.waitOnAir(t, "radio")
	list := watchHLS(t, s, "radio")
	encoder.finish(t)
	units, _ := unitsOfTS(t, list.waitEnd(t, 10*time.Second))
	comparison{tolerance: 2, whole: true}.check(t, "HLS", unitsOf(tags, noNAL), units)

	speex := []tag{}
	for i := range uint32(200) {
		speex = append(speex, tag{typeAudio, i * 20, []byte{0xB6, byte(i), 2, 3, 4, 5, 6, 7}})
	}
	encoder = publish(t, s, s.key(t, "speex"), speex, pacing{speed: 2})
	s.waitOnAir(t, "speex")
	v := watchFLV(t, s, "speex")
	status, body, _ := s.fetch(t, s.hlsURL("speex"))
	if status != http.StatusNotFound || !strings.Contains(strings.ToLower(body), "codec") && !strings.Contains(body, "Speex") {
		t.Errorf("HLS of Speex answers %d %q", status, body)
	}
	encoder.finish(t)
	comparison{}.check(t, "HTTP-FLV", bodiesOf(speex), bodiesOf(v.waitEnd(t, 5*time.Second)))
	if lines := strings.Count(s.log(), "\n"); lines > 60 {
		t.Errorf("the log has %d lines", lines)
	}
}

// TestDefect49Environment: CONFIG_FILE names the file, SERVER is not an option, flags beat the
// environment, which beats the file.
func TestDefect49Environment(t *testing.T) {
	t.Parallel()
	file := filepath.Join(t.TempDir(), "other.yaml")
	text := "server:\n- appname: show\n  live: true\n  flv: true\nrtmp_noauth: true\ngop_num: 7\n"
	if err := os.WriteFile(file, []byte(text), 0o600); err != nil {
		t.Fatal(err)
	}
	s := startWith(t, []string{"CONFIG_FILE=" + file, "SERVER=anything", "API_ADDR=127.0.0.1:1"})
	publish(t, s, "free", flvClip(t, "h264-aac", 5), pacing{app: "show", loop: true})
	eventually(t, 5*time.Second, "on air in the file's app", func() bool {
		return slices.ContainsFunc(s.streams(t).Publishers, func(p struct{ Key, ID string }) bool { return p.Key == "show/free" })
	})
	if status, _, _ := s.fetch(t, "http://"+s.hls+"/show/free.m3u8"); status != http.StatusNotFound {
		t.Errorf("HLS, which is off for the app, answers %d", status)
	}
	if code := refused(t, s, "live", "free"); code != "NetConnection.Connect.Rejected" {
		t.Errorf("the app live, which is not in the file, is answered with %s", code)
	}
}

// TestDefect50KeysSurvive kills the server: keys are there again.
func TestDefect50KeysSurvive(t *testing.T) {
	t.Parallel()
	s := start(t)
	key := s.key(t, "m")
	s.kill()
	s.relaunch(t, raceBinary(t), nil)
	if again := s.key(t, "m"); again != key {
		t.Errorf("the key was %s and is %s", key, again)
	}
	publish(t, s, key, flvClip(t, "h264-aac", 5), pacing{loop: true})
	s.waitOnAir(t, "m")
}

// TestDefect51NoStartBeforeTheCheck is refused in every way; nobody is told that publishing or
// playing started.
func TestDefect51NoStartBeforeTheCheck(t *testing.T) {
	t.Parallel()
	s := shared(t)
	for _, key := range []string{"wrong", "", strings.Repeat("a", 48), strings.Repeat("a", 4000), "../x", "a\x00b", "live"} {
		if code := refused(t, s, "live", key); code != "NetStream.Publish.Denied" && code != "NetStream.Publish.BadName" {
			t.Errorf("key %.20q is answered with %q", key, code)
		}
	}
	for _, app := range []string{"nothing", "nothing/live", "LIVE"} {
		if code := refused(t, s, app, "x"); code != "NetConnection.Connect.Rejected" {
			t.Errorf("app %q is answered with %q", app, code)
		}
	}
	for _, app := range []string{"", "live/x"} { // they may go on with a key
		if code := refused(t, s, app, "x"); code != "NetStream.Publish.Denied" {
			t.Errorf("app %q is answered with %q", app, code)
		}
	}
	room := roomOf(t)
	p := dial(t, s.rtmp)
	p.connect(t, "live/") // a trailing slash and a query are not part of the app
	if err := p.publish(s.key(t, room) + "?token=1"); err != nil {
		t.Error(err)
	}
}

// TestDefect53DifficultMedia plays HE-AAC, composition times below zero, and key frames that fill a
// TS packet just so.
func TestDefect53DifficultMedia(t *testing.T) {
	t.Parallel()
	t.Run("HE-AAC", func(t *testing.T) {
		t.Parallel()
		s, room := shared(t), roomOf(t)
		tags := slices.Clone(flvClip(t, "h264-he-aac", 5))
		for i := range tags {
			if tags[i].kind == typeAudio && tags[i].isHeader() {
				// ISO 14496-3: object type 5 (SBR), 24 kHz, 1 channel, extended to 48 kHz, on
				// object type 2.
				tags[i].body = []byte{0xAF, 0, 0b00101_011, 0b0_0001_001, 0b1_00010_00, 0}
			}
		}
		encoder := publish(t, s, s.key(t, room), tags, pacing{})
		s.waitOnAir(t, room)
		list := watchHLS(t, s, room)
		encoder.finish(t)
		segments := list.waitEnd(t, 10*time.Second)
		units, _ := unitsOfTS(t, segments)
		comparison{tolerance: 2, whole: true}.check(t, "HLS", unitsOf(tags, h264NAL), units)
		// ADTS has two bits of profile: it names the core, AAC-LC (1) at 24 kHz (index 6).
		if adts := firstADTS(t, segments[0].data); adts[2]>>6 != 1 || adts[2]>>2&15 != 6 {
			t.Errorf("the ADTS header is % x", adts[:7])
		}
	})
	t.Run("negative composition", func(t *testing.T) {
		t.Parallel()
		s, room := shared(t), roomOf(t)
		tags := slices.Clone(flvClip(t, "h264-aac", 5))
		for i := range tags {
			if tags[i].kind == typeVideo && !tags[i].isHeader() {
				tags[i].body = slices.Concat(tags[i].body[:2], []byte{0xFF, 0xFF, 0xF6}, tags[i].body[5:]) // -10 ms
			}
		}
		encoder := publish(t, s, s.key(t, room), tags, pacing{})
		s.waitOnAir(t, room)
		list, flv := watchHLS(t, s, room), watchFLV(t, s, room)
		encoder.finish(t)
		comparison{}.check(t, "HTTP-FLV", bodiesOf(tags), bodiesOf(flv.waitEnd(t, 5*time.Second)))
		segments := list.waitEnd(t, 10*time.Second)
		units, _ := unitsOfTS(t, segments)
		if video, sent := only(units, typeVideo), only(unitsOf(tags, h264NAL), typeVideo); len(video) != len(sent) {
			t.Errorf("HLS: %d pictures of %d", len(video), len(sent))
		}
		for _, u := range units {
			if u.pts < u.dts-20 || u.pts > u.dts+1000 {
				t.Fatalf("HLS: unit at %d ms is shown at %d ms", u.dts, u.pts)
			}
		}
	})
	t.Run("small key frames", func(t *testing.T) {
		t.Parallel()
		s, room := shared(t), roomOf(t)
		clip := flvClip(t, "h264", 5)
		tags := slices.Clone(clip[:2])
		for i := range uint32(250) { // key frames of 1 to 250 bytes
			nal := append([]byte{0, 0, 0, byte(i + 1), 0x65}, bytes.Repeat([]byte{0x80 | byte(i)}, int(i))...)
			tags = append(tags, tag{typeVideo, i * 40, append([]byte{0x17, 1, 0, 0, 0}, nal...)})
		}
		tags[len(tags)-1].body[8] = 250
		encoder := publish(t, s, s.key(t, room), tags, pacing{speed: 3})
		s.waitOnAir(t, room)
		list := watchHLS(t, s, room)
		encoder.finish(t)
		units, _ := unitsOfTS(t, list.waitEnd(t, 10*time.Second))
		comparison{tolerance: 2, whole: true}.check(t, "HLS", unitsOf(tags, h264NAL), units)
	})
}

// firstADTS finds the first ADTS header of the segment's audio, on PID 0x101 or what the PMT says.
func firstADTS(t testing.TB, data []byte) []byte {
	t.Helper()
	for at := 0; at+188 <= len(data); at += 188 {
		packet := data[at : at+188]
		if i := bytes.Index(packet, []byte{0, 0, 1, 0xC0}); i > 0 && i+9 < 188 {
			start := i + 9 + int(packet[i+8])
			if start+7 <= 188 && packet[start] == 0xFF && packet[start+1]&0xF6 == 0xF0 {
				return packet[start:]
			}
		}
	}
	t.Fatal("no ADTS header in the segment")
	return nil
}

// TestDefect55Methods sends other methods than GET.
func TestDefect55Methods(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	status, body, header := request(t, http.MethodHead, s.flvURL(room), nil)
	if status != http.StatusOK || body != "" {
		t.Errorf("HEAD answers %d and %d bytes", status, len(body))
	}
	expectHeader(t, header, "Content-Type", "video/x-flv")
	expectHeader(t, header, "Access-Control-Allow-Origin", "*")
	if n := s.players(t, room); n != 0 {
		t.Errorf("HEAD made %d players", n)
	}
	for _, method := range []string{"POST", "PUT", "DELETE"} {
		if status, _, _ := request(t, method, s.flvURL(room), nil); status != http.StatusMethodNotAllowed {
			t.Errorf("%s answers %d", method, status)
		}
	}
	if status, _, header := request(t, http.MethodOptions, s.flvURL(room), nil); status != http.StatusNoContent || header.Get("Access-Control-Allow-Origin") != "*" {
		t.Errorf("OPTIONS answers %d", status)
	}
	for path, want := range map[string]int{"/live/nobody.flv": 404, "/live/x.mp4": 400, "/x.flv": 400, "/": 400} {
		status, body, header := s.fetch(t, "http://"+s.flv+path)
		if status != want || want == 400 && !(strings.HasPrefix(body, "invalid path\n") && strings.Contains(body, "/APP/STREAM.flv")) {
			t.Errorf("%s answers %d %q", path, status, body)
		}
		expectHeader(t, header, "Access-Control-Allow-Origin", "*")
	}
}

// TestStatistics compares the figures of /stat/livestat with what was sent.
func TestStatistics(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	tags := flvClip(t, "h264-aac", 5)
	encoder := publish(t, s, s.key(t, room), tags, pacing{speed: 2})
	s.waitOnAir(t, room)
	flv, rtmp := watchFLV(t, s, room), watchRTMP(t, s, room)
	<-encoder.ended
	var video, other uint64
	for _, tag := range tags {
		if tag.kind == typeVideo {
			video += uint64(len(tag.body))
		} else {
			other += uint64(len(tag.body))
		}
	}
	type figures struct {
		Key        string
		URL        string
		StreamID   uint32 `json:"stream_id"`
		VideoBytes uint64 `json:"video_total_bytes"`
		AudioBytes uint64 `json:"audio_total_bytes"`
	}
	var statistics struct{ Publishers, Players []figures }
	eventually(t, 5*time.Second, "all is counted", func() bool {
		_, data := s.control(t, "/stat/livestat?room=live/"+room)
		if err := json.Unmarshal([]byte(data), &statistics); err != nil {
			t.Fatalf("%v: %s", err, data)
		}
		return len(statistics.Publishers) == 1 && len(statistics.Players) == 2 && statistics.Publishers[0].VideoBytes >= video
	})
	if got := statistics.Publishers[0]; got.Key != "live/"+room || got.VideoBytes != video || got.AudioBytes > other+100 || got.AudioBytes+300 < other {
		t.Errorf("publisher: %+v, want %d bytes of video and about %d of the rest", got, video, other)
	}
	for _, got := range statistics.Players {
		if got.Key != "live/"+room || got.VideoBytes == 0 || got.VideoBytes > video+1000 || got.AudioBytes == 0 {
			t.Errorf("player: %+v", got)
		}
	}
	if status, data := s.control(t, "/stat/livestat?room=live/nobody"); status != 404 || data != "room not found or inactive" {
		t.Errorf("an unknown room: %d %s", status, data)
	}
	encoder.finish(t)
	flv.waitEnd(t, 5*time.Second)
	rtmp.waitEnd(t, 5*time.Second)
}
