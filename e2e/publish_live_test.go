package e2e

import (
	"bytes"
	"io"
	"slices"
	"testing"
	"time"

	"github.com/gobwas/ws"
)

// TestJoinMidGOP joins in the middle of a GOP of 4 s: the picture starts at once with its key
// frame, and sound is beside it.
func TestJoinMidGOP(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	tags := flvClip(t, "h264-4s", 8)
	encoder := publish(t, s, s.key(t, room), tags, pacing{loop: true})
	eventually(t, 15*time.Second, "the middle of the second GOP", func() bool { return int(encoder.sent.Load()) > len(tags)*5/8 })

	for _, v := range []*viewer{watchRTMP(t, s, room), watchFLV(t, s, room), watchWS(t, s, room)} {
		v.waitFrames(t, 100)
		got := v.tags()
		headersFirst(t, v.name, got, typeVideo, typeAudio)
		rising(t, v.name, got)
		gapless(t, v.name, got, 120)
		video, audio := firstOf(got, typeVideo), firstOf(got, typeAudio)
		if apart := int(video.time) - int(audio.time); apart < -100 || apart > 100 {
			t.Errorf("%s: the first picture is at %d ms, the first sound at %d ms", v.name, video.time, audio.time)
		}
		if !slices.ContainsFunc(got, func(g tag) bool { return g.kind == typeData }) {
			t.Errorf("%s: no metadata came", v.name)
		}
		comparison{}.check(t, v.name, bodiesOf(slices.Concat(tags, again(tags))), bodiesOf(got[:min(len(got), 100)]))
	}
}

// again returns tags as publish sends them in the second round of its loop.
func again(tags []tag) []tag { return later(tags, tags) }

// later returns tags with times that follow those before them.
func later(before, tags []tag) (moved []tag) {
	last := uint32(0)
	for _, tag := range before {
		last = max(last, tag.time)
	}
	for _, next := range tags {
		next.time += last + 20
		moved = append(moved, next)
	}
	return moved
}

func firstOf(tags []tag, kind byte) tag {
	for _, tag := range tags {
		if tag.kind == kind && !tag.isHeader() {
			return tag
		}
	}
	return tag{}
}

// TestRepublishWithinGrace breaks the encoder's connection and comes back: players of all protocols
// stay, and time goes on.
func TestRepublishWithinGrace(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	key, tags := s.key(t, room), flvClip(t, "h264-aac-b", 5)
	first := publish(t, s, key, tags, pacing{loop: true})
	s.waitOnAir(t, room)
	list := watchHLS(t, s, room)
	viewers := []*viewer{watchRTMP(t, s, room), watchFLV(t, s, room), watchWS(t, s, room)}
	list.waitSegments(t, 2)

	first.lose()
	s.waitOffAir(t, room)
	late := watchFLV(t, s, room) // joins while there is no publisher
	pause(t, 500*time.Millisecond)
	second := publish(t, s, key, tags, pacing{loop: true})
	s.waitOnAir(t, room)
	for _, v := range append(viewers, late) {
		v.going(t)
		v.waitFrames(t, 60)
		rising(t, v.name, v.tags())
		gapless(t, v.name, v.tags(), 250)
		headersFirst(t, v.name, v.tags(), typeVideo, typeAudio)
	}
	list.waitSegments(t, 3)
	second.cancel()
	second.finish(t)
	for _, v := range append(viewers, late) {
		v.waitEnd(t, 10*time.Second)
	}
	segments := list.waitEnd(t, 15*time.Second)
	if !slices.ContainsFunc(segments, func(s segment) bool { return s.discontinuity }) {
		t.Error("HLS: no EXT-X-DISCONTINUITY at the new session")
	}
	keyFramesLead(t, segments)
}

// keyFramesLead checks that each segment with video begins with a key frame.
func keyFramesLead(t testing.TB, segments []segment) {
	t.Helper()
	for _, s := range segments {
		units, _, err := readTS(s.data)
		if err != nil {
			t.Errorf("segment %d: %v", s.sequence, err)
		}
		if video := only(units, typeVideo); len(video) > 0 && !video[0].key {
			t.Errorf("segment %d begins with a picture that is no key frame", s.sequence)
		}
	}
}

// TestGraceRunsOut loses the encoder for good: everything ends as at an ordinary end.
func TestGraceRunsOut(t *testing.T) {
	t.Parallel()
	s := start(t, "--republish_grace", "1s", "--hls_segment_duration", "1")
	room := roomOf(t)
	encoder := publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	list := watchHLS(t, s, room)
	rtmp, flv, ws := watchRTMP(t, s, room), watchFLV(t, s, room), watchWS(t, s, room)
	list.waitSegments(t, 2)
	encoder.lose()
	for _, v := range []*viewer{rtmp, flv, ws} {
		v.waitEnd(t, 5*time.Second)
	}
	list.waitEnd(t, 5*time.Second)
	for _, want := range []string{"NetStream.Play.UnpublishNotify", "StreamEOF"} {
		if !slices.Contains(rtmp.status(), want) {
			t.Errorf("the RTMP player was not told %s: %v", want, rtmp.status())
		}
	}
}

// TestEnd ends a stream as encoders do: players get all of it and a clean end at once, and the
// lists forget it.
func TestEnd(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	tags := flvClip(t, "h264-aac", 5)
	encoder := publish(t, s, s.key(t, room), tags, pacing{speed: 2})
	s.waitOnAir(t, room)
	rtmp, flv, ws := watchRTMP(t, s, room), watchFLV(t, s, room), watchWS(t, s, room)
	encoder.finish(t)
	began := time.Now()
	for _, v := range []*viewer{rtmp, flv, ws} {
		got := v.waitEnd(t, 5*time.Second)
		if last := got[len(got)-1]; last.time != tags[len(tags)-1].time {
			t.Errorf("%s: the last tag is at %d ms, sent was %d ms", v.name, last.time, tags[len(tags)-1].time)
		}
	}
	if took := time.Since(began); took > 3*time.Second {
		t.Errorf("the end took %v", took)
	}
	for _, want := range []string{"NetStream.Play.UnpublishNotify", "StreamEOF"} {
		if !slices.Contains(rtmp.status(), want) {
			t.Errorf("the RTMP player was not told %s: %v", want, rtmp.status())
		}
	}
	eventually(t, time.Second, "the lists forget the stream", func() bool { return !s.onAir(t, room) && s.players(t, room) == 0 })
	if status, _, _ := s.fetch(t, s.flvURL(room)); status != 404 {
		t.Errorf("HTTP-FLV answers %d after the end", status)
	}
}

// TestCodecChange changes the picture's size in the middle of a session: players get the new header
// before the new pictures.
func TestCodecChange(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	before, after := flvClip(t, "h264-aac", 5), flvClip(t, "h264-444", 5)
	tags := slices.Concat(before, later(before, after))
	rtmp := watchRTMP(t, s, room)
	encoder := publish(t, s, s.key(t, room), tags, pacing{speed: 1.5})
	s.waitOnAir(t, room)
	list, flv := watchHLS(t, s, room), watchFLV(t, s, room)
	encoder.finish(t)
	for _, v := range []*viewer{rtmp, flv} {
		got := v.waitEnd(t, 5*time.Second)
		comparison{whole: v == rtmp}.check(t, v.name, bodiesOf(tags), bodiesOf(got))
		checkHeaders(t, v, tags)
		rising(t, v.name, got)
	}
	segments := list.waitEnd(t, 15*time.Second)
	if n := count(segments, func(s segment) bool { return s.discontinuity }); n != 1 {
		t.Errorf("HLS: %d discontinuities, want 1", n)
	}
	got, _ := unitsOfTS(t, segments)
	if sent := unitsOf(tags, h264NAL); len(only(got, typeVideo)) != len(only(sent, typeVideo)) {
		t.Errorf("HLS: %d pictures of %d", len(only(got, typeVideo)), len(only(sent, typeVideo)))
	}
}

func count[T any](list []T, holds func(T) bool) (n int) {
	for _, item := range list {
		if holds(item) {
			n++
		}
	}
	return n
}

// TestTimeWrap publishes across the wrap of RTMP's 32-bit time: RTMP players go on, FLV players get
// times that FLV can hold.
func TestTimeWrap(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	tags := flvClip(t, "h264-aac", 5)
	rtmp := watchRTMP(t, s, room)
	encoder := publish(t, s, s.key(t, room), tags, pacing{from: 0xFFFFFFFF - 2500})
	s.waitOnAir(t, room)
	list, flv := watchHLS(t, s, room), watchFLV(t, s, room)
	encoder.finish(t)
	got := rtmp.waitEnd(t, 5*time.Second)
	unwrapped, first := slices.Clone(got), firstOf(got, typeVideo).time
	for i := range unwrapped {
		unwrapped[i].time -= first - 1000 // in 32 bits, so that it does not wrap
	}
	comparison{whole: true}.check(t, "RTMP", bodiesOf(tags), bodiesOf(unwrapped))
	onFLV := flv.waitEnd(t, 5*time.Second)
	rising(t, "HTTP-FLV", onFLV)
	comparison{}.check(t, "HTTP-FLV", bodiesOf(tags), bodiesOf(onFLV))
	units, _ := unitsOfTS(t, list.waitEnd(t, 15*time.Second))
	comparison{tolerance: 2, whole: true}.check(t, "HLS", unitsOf(tags, h264NAL), units)
}

// TestPlayWait comes before the publisher: within play_wait the player gets the stream from its
// start, later it is refused.
func TestPlayWait(t *testing.T) {
	t.Parallel()
	s := start(t, "--play_wait", "2s")
	room := roomOf(t)
	key, tags := s.key(t, room), flvClip(t, "h264-aac", 5)
	early := watchRTMP(t, s, room)
	pause(t, 500*time.Millisecond)
	encoder := publish(t, s, key, tags, pacing{speed: 2})
	never := watchRTMP(t, s, "nobody")
	encoder.finish(t)
	comparison{whole: true}.check(t, "RTMP", bodiesOf(tags), bodiesOf(early.waitEnd(t, 5*time.Second)))
	select {
	case <-never.ended:
	case <-time.After(6 * time.Second):
		t.Fatal("the player of a stream that never comes is kept")
	}
	if codes := never.status(); !slices.Contains(codes, "NetStream.Play.StreamNotFound") {
		t.Errorf("it was told %v", codes)
	}
}

// TestSeveralStreamsOnOneConnection publishes two streams over one connection.
func TestSeveralStreamsOnOneConnection(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	keys := []string{s.key(t, room+"-a"), s.key(t, room+"-b")}
	p := dial(t, s.rtmp)
	p.connect(t, "live")
	_ = p.command(0, "createStream", 5, nil)
	answer, err := p.expect("_result", 5)
	if err != nil {
		t.Fatal(err)
	}
	second := uint32(answer[len(answer)-1].(float64))
	for i, stream := range []uint32{1, second} {
		_ = p.command(stream, "publish", 6+i, nil, keys[i], "live")
		if err := p.status("NetStream.Publish.Start"); err != nil {
			t.Fatal(err)
		}
	}
	tags := flvClip(t, "h264-aac", 5)
	var viewers []*viewer
	for i, tag := range tags {
		for _, stream := range []uint32{1, second} {
			if err := p.send(6, message{kind: tag.kind, stream: stream, time: tag.time, body: tag.body}); err != nil {
				t.Fatal(err)
			}
		}
		if i == len(tags)/2 {
			s.waitOnAir(t, room+"-a")
			s.waitOnAir(t, room+"-b")
			viewers = []*viewer{watchFLV(t, s, room+"-a"), watchFLV(t, s, room+"-b")}
			for _, v := range viewers {
				eventually(t, 5*time.Second, "the cached GOP", func() bool { return v.frames() > 0 })
			}
		}
	}
	_ = p.command(0, "deleteStream", 8, nil, 1)
	comparison{}.check(t, "the first", bodiesOf(tags), bodiesOf(viewers[0].waitEnd(t, 5*time.Second)))
	viewers[1].going(t)
	_ = p.command(0, "deleteStream", 9, nil, int(second))
	comparison{}.check(t, "the second", bodiesOf(tags), bodiesOf(viewers[1].waitEnd(t, 5*time.Second)))
}

// TestTakeoverRefused switches takeover off: the second publisher is refused, the first one stays.
func TestTakeoverRefused(t *testing.T) {
	t.Parallel()
	s := start(t, "--takeover=false")
	key, tags := s.key(t, "m"), flvClip(t, "h264-aac", 5)
	publish(t, s, key, tags, pacing{loop: true})
	s.waitOnAir(t, "m")
	v := watchFLV(t, s, "m")
	if code := refused(t, s, "live", key); code != "NetStream.Publish.BadName" {
		t.Errorf("the second publisher is answered with %s", code)
	}
	v.waitFrames(t, 30)
	v.going(t)
}

// TestTwoEncodersOneKey lets encoders take a stream from each other again and again: after three
// times the next one is refused.
func TestTwoEncodersOneKey(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	key, tags := s.key(t, room), flvClip(t, "h264-aac", 5)
	for range 4 {
		publish(t, s, key, tags, pacing{loop: true})
		s.waitOnAir(t, room)
	}
	if code := refused(t, s, "live", key); code != "NetStream.Publish.BadName" {
		t.Errorf("the fourth takeover is answered with %s", code)
	}
	if !s.onAir(t, room) {
		t.Error("the last encoder did not stay")
	}
}

// TestWebSocketPing pings in the middle of a stream: the pong comes between two tags.
func TestWebSocketPing(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	publish(t, s, s.key(t, room), flvClip(t, "h264-big", 5), pacing{loop: true})
	s.waitOnAir(t, room)
	conn, early, _, err := ws.Dial(t.Context(), s.wsURL(room))
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	conn.SetDeadline(time.Now().Add(10 * time.Second))
	var in io.Reader = conn
	if early != nil {
		in = io.MultiReader(early, conn)
	}
	pongs := 0
	for i := 0; pongs < 20; i++ {
		if i%3 == 0 {
			if err := ws.WriteFrame(conn, ws.MaskFrame(ws.NewPingFrame([]byte("still there?")))); err != nil {
				t.Fatal(err)
			}
		}
		header, err := ws.ReadHeader(in)
		if err != nil {
			t.Fatalf("after %d pongs: %v", pongs, err)
		}
		payload := make([]byte, header.Length)
		if _, err := io.ReadFull(in, payload); err != nil {
			t.Fatal(err)
		}
		switch header.OpCode {
		case ws.OpPong:
			if string(payload) != "still there?" {
				t.Errorf("a pong says %q", payload)
			}
			pongs++
		case ws.OpBinary:
			r := bytes.NewReader(payload)
			if i == 0 {
				if _, err := readFLVHeader(r); err != nil {
					t.Fatal(err)
				}
			}
			for r.Len() > 0 {
				if _, err := readTag(r); err != nil {
					t.Fatalf("after %d pongs: %v", pongs, err)
				}
			}
		default:
			t.Fatalf("a frame with opcode %d", header.OpCode)
		}
	}
}
