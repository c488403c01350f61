package e2e

import (
	"bytes"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"
)

// TestDefect16GOPNum publishes with each number of cached GOPs: joiners get that many, or wait for
// the next key frame.
func TestDefect16GOPNum(t *testing.T) {
	t.Parallel()
	tags := flvClip(t, "h264-aac", 5) // a key frame each second
	for _, gops := range []int{0, 1, 3, 10} {
		t.Run(fmt.Sprint(gops), func(t *testing.T) {
			t.Parallel()
			s := start(t, "--gop_num", fmt.Sprint(gops))
			room := "m"
			encoder := publish(t, s, s.key(t, room), tags, pacing{loop: true})
			eventually(t, 10*time.Second, "4.5 s", func() bool { return int(encoder.sent.Load()) > len(tags)*9/10 })
			before := encoder.position(tags)
			v := watchFLV(t, s, room)
			eventually(t, 5*time.Second, "a picture", func() bool { return firstOf(v.tags(), typeVideo).body != nil })
			after := encoder.position(tags)
			v.waitFrames(t, 60)
			got := v.tags()
			headersFirst(t, v.name, got, typeVideo, typeAudio)
			first := firstOf(got, typeVideo).time
			if least, most := joinsAt(tags, before, gops), joinsAt(tags, after, gops); first < least || first > most {
				t.Errorf("joined between %d and %d ms with %d GOPs: the first picture is at %d ms, want %d to %d", before, after, gops, first, least, most)
			}
		})
	}
	if output, err := runIn(t, t.TempDir(), nil, "--gop_num", "-1"); err == nil || !strings.Contains(output, "gop_num") {
		t.Errorf("--gop_num -1: %v: %s", err, output)
	}
}

// joinsAt returns the time of the picture with which a player begins that joins a loop of tags at a
// time, with a number of GOPs.
func joinsAt(tags []tag, now uint32, gops int) uint32 {
	var keys []uint32
	for round := tags; len(keys) < 60; round = later(round, tags) {
		for _, tag := range round {
			if tag.isKey() {
				keys = append(keys, tag.time)
			}
		}
	}
	next := slices.IndexFunc(keys, func(key uint32) bool { return key > now })
	return keys[max(0, next-gops)]
}

// TestDefect18FirstEarlyPlayer lets FFmpeg be the first player of a stream that comes later.
func TestDefect18FirstEarlyPlayer(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	key := s.key(t, room)
	player := launch(t, "ffmpeg", "-v", "error", "-i", s.rtmpURL(room), "-c", "copy", "-f", "framemd5", "-")
	pause(t, time.Second)
	encoder := ffmpegPublish(t, s, clip(t, "h264-aac", 5, "flv"), key)
	encoder.succeed(t, 20*time.Second)
	player.succeed(t, 10*time.Second)
	sent := flvClip(t, "h264-aac", 5)
	if got, want := strings.Count(player.output.String(), "\n0,"), len(only(bodiesOf(sent), typeVideo)); got != want {
		t.Errorf("FFmpeg got %d pictures of %d", got, want)
	}
}

// TestDefect19HLSAfterQuickRepublish ends a stream as an encoder does, and begins it again at once.
func TestDefect19HLSAfterQuickRepublish(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	key, tags := s.key(t, room), flvClip(t, "h264-aac", 5)
	first := publish(t, s, key, tags, pacing{speed: 2})
	s.waitOnAir(t, room)
	before := watchHLS(t, s, room)
	first.finish(t)
	old := before.waitEnd(t, 5*time.Second)

	second := publish(t, s, key, tags, pacing{})
	defer second.finish(t)
	s.waitOnAir(t, room)
	status, body, _ := s.fetch(t, s.hlsURL(room))
	if status != http.StatusOK {
		t.Fatalf("the playlist of the second session: %d %s", status, body)
	}
	list, err := parsePlaylist(s.hlsURL(room), body)
	if err != nil {
		t.Fatal(err)
	}
	if last := old[len(old)-1].sequence; list.sequence <= last || list.ended {
		t.Errorf("the second session's playlist begins with %d, the first one's ended with %d:\n%s", list.sequence, last, body)
	}
}

// TestDefect20KeepAfterEnd keeps an ended playlist, until the stream comes back.
func TestDefect20KeepAfterEnd(t *testing.T) {
	t.Parallel()
	s := start(t, "--hls_keep_after_end", "--hls_segment_duration", "1")
	room := roomOf(t)
	key, tags := s.key(t, room), flvClip(t, "h264-aac", 5)
	publish(t, s, key, tags, pacing{speed: 3}).finish(t)
	var kept string
	eventually(t, 10*time.Second, "ENDLIST", func() bool {
		_, kept, _ = s.fetch(t, s.hlsURL(room))
		return strings.Contains(kept, "#EXT-X-ENDLIST")
	})
	pause(t, 8*time.Second) // more than three target durations
	if _, again, _ := s.fetch(t, s.hlsURL(room)); again != kept {
		t.Errorf("the kept playlist changed from\n%s to\n%s", kept, again)
	}
	list, err := parsePlaylist(s.hlsURL(room), kept)
	if err != nil {
		t.Fatal(err)
	}
	for _, segment := range list.segments {
		if status, _, _ := get(segment.address); status != http.StatusOK {
			t.Errorf("a kept segment is answered with %d", status)
		}
	}
	second := publish(t, s, key, tags, pacing{loop: true})
	s.waitOnAir(t, room)
	var texts []string
	eventually(t, 15*time.Second, "the new session's playlist moves", func() bool {
		_, text, _ := s.fetch(t, s.hlsURL(room))
		if !slices.Contains(texts, text) {
			texts = append(texts, text)
		}
		return len(texts) >= 3
	})
	if strings.Contains(texts[len(texts)-1], "#EXT-X-ENDLIST") {
		t.Error("the new session's playlist is an ended one")
	}
	second.lose()
}

// TestDefect21SegmentsAfterTheEnd fetches the last segments just after the end, and the playlist
// later.
func TestDefect21SegmentsAfterTheEnd(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	encoder := publish(t, s, s.key(t, room), flvClip(t, "h264-aac", 5), pacing{speed: 2})
	s.waitOnAir(t, room)
	list := watchHLS(t, s, room)
	encoder.finish(t)
	segments := list.waitEnd(t, 5*time.Second)
	for _, segment := range segments {
		if status, _, _ := get(segment.address); status != http.StatusOK && status != http.StatusNotFound {
			t.Errorf("%s after the end: %d", segment.address, status)
		}
	}
	eventually(t, 15*time.Second, "the playlist is gone", func() bool {
		status, _, _ := get(s.hlsURL(room))
		if status != http.StatusOK && status != http.StatusNotFound {
			t.Errorf("the playlist is answered with %d", status)
		}
		return status == http.StatusNotFound
	})
	status, body, _ := s.fetch(t, segments[len(segments)-1].address)
	if status != http.StatusNotFound {
		t.Errorf("the last segment is answered with %d %s", status, body)
	}
}

// TestDefect22FastPublisher publishes ten times faster than real time: segment names stay unique,
// and all is there.
func TestDefect22FastPublisher(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	tags := slices.Concat(flvClip(t, "h264-aac", 5))
	p := publishAtOnce(t, s, room, tags)
	list := watchHLS(t, s, room)
	eventually(t, 5*time.Second, "the list", func() bool { return list.count() > 0 })
	_ = p.command(0, "deleteStream", 7, nil, 1)
	units, _ := unitsOfTS(t, list.waitEnd(t, 10*time.Second))
	comparison{tolerance: 2, whole: true}.check(t, "HLS", unitsOf(tags, h264NAL), units)
}

// withBad inserts a message at a time into a clip.
func withBad(tags []tag, at uint32, bad ...tag) (mixed []tag) {
	done := false
	for _, tag := range tags {
		if !done && tag.time >= at {
			for _, b := range bad {
				b.time = tag.time
				mixed = append(mixed, b)
			}
			done = true
		}
		mixed = append(mixed, tag)
	}
	return mixed
}

// TestDefect23BadMediaMessages mixes messages that are empty or cut short into a stream: nothing
// stops.
func TestDefect23BadMediaMessages(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	tags := flvClip(t, "h264-aac", 5)
	mixed := withBad(tags, 2000,
		tag{kind: typeAudio}, tag{kind: typeVideo},
		tag{kind: typeAudio, body: []byte{0xAF}}, tag{kind: typeVideo, body: []byte{0x17}}, tag{kind: typeVideo, body: []byte{0x27, 1, 0}},
		tag{kind: typeVideo, body: []byte{0x27, 1, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1}}, // a NAL unit longer than the message
		tag{kind: typeVideo, body: []byte{0x90, 'h', 'v'}}, tag{kind: typeAudio, body: []byte{0x91, 'O'}},
	)
	encoder := publish(t, s, s.key(t, room), mixed, pacing{})
	s.waitOnAir(t, room)
	list, flv := watchHLS(t, s, room), watchFLV(t, s, room)
	encoder.finish(t)
	wanted := map[string]bool{}
	for _, u := range bodiesOf(tags) {
		wanted[u.hash] = true
	}
	good := slices.DeleteFunc(bodiesOf(flv.waitEnd(t, 5*time.Second)), func(u unit) bool { return !wanted[u.hash] })
	comparison{}.check(t, "HTTP-FLV", bodiesOf(tags), good)
	units, _ := unitsOfTS(t, list.waitEnd(t, 10*time.Second))
	sent := map[string]bool{}
	for _, u := range unitsOf(tags, h264NAL) {
		sent[u.hash] = true
	}
	units = slices.DeleteFunc(units, func(u unit) bool { return !sent[u.hash] })
	comparison{tolerance: 2, whole: true}.check(t, "HLS", unitsOf(tags, h264NAL), units)
}

// TestDefect24BadDataMessages mixes script data that is no metadata into a stream: viewers go on,
// and joiners get the metadata.
func TestDefect24BadDataMessages(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	tags := flvClip(t, "h264-aac", 5)
	cue := amf("onCuePoint", object{"name", "x"})
	mixed := withBad(tags, 1500,
		tag{kind: typeData, body: amf(5)}, tag{kind: typeData}, tag{kind: typeData, body: []byte{2, 0xFF}},
		tag{kind: typeDataAMF3}, tag{kind: typeDataAMF3, body: []byte{0, 17, 1}}, tag{kind: typeDataAMF3, body: append([]byte{0}, cue...)},
		tag{kind: typeData, body: cue})
	encoder := publish(t, s, s.key(t, room), mixed, pacing{})
	s.waitOnAir(t, room)
	rtmp, flv, list := watchRTMP(t, s, room), watchFLV(t, s, room), watchHLS(t, s, room)
	eventually(t, 10*time.Second, "3 s", func() bool { return int(encoder.sent.Load()) > len(mixed)*3/5 })
	joined := watchFLV(t, s, room)
	encoder.finish(t)
	for _, v := range []*viewer{rtmp, flv, joined} {
		got := v.waitEnd(t, 5*time.Second)
		comparison{}.check(t, v.name, bodiesOf(tags), bodiesOf(got))
		metadata := slices.IndexFunc(got, func(g tag) bool { return g.kind == typeData && bytes.Contains(g.body, []byte("onMetaData")) })
		frame := slices.IndexFunc(got, func(g tag) bool { return g.kind != typeData && !g.isHeader() })
		if metadata < 0 || metadata > frame {
			t.Errorf("%s: onMetaData does not come first", v.name)
		}
		if slices.ContainsFunc(got, func(g tag) bool { return bytes.Contains(g.body, []byte("@setDataFrame")) }) {
			t.Errorf("%s: @setDataFrame is not for players", v.name)
		}
	}
	if n := count(flv.tags(), func(g tag) bool { return bytes.Equal(g.body, cue) }); n != 2 {
		t.Errorf("the cue point came %d times, was sent as type 18 and as type 15", n)
	}
	list.waitEnd(t, 10*time.Second)
}

// TestDefect25BigFrame sends a key frame of 3 MB.
func TestDefect25BigFrame(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	tags := flvClip(t, "h264-aac", 5)
	big := slices.Concat([]byte{0x17, 1, 0, 0, 0, 0, 0x2D, 0xC6, 0xC0, 0x65}, bytes.Repeat([]byte{0x55}, 3_000_000-1))
	mixed := withBad(tags, 2000, tag{kind: typeVideo, body: big})
	encoder := publish(t, s, s.key(t, room), mixed, pacing{})
	s.waitOnAir(t, room)
	rtmp, flv, ws, list := watchRTMP(t, s, room), watchFLV(t, s, room), watchWS(t, s, room), watchHLS(t, s, room)
	encoder.finish(t)
	for _, v := range []*viewer{rtmp, flv, ws} {
		comparison{}.check(t, v.name, bodiesOf(mixed), bodiesOf(v.waitEnd(t, 5*time.Second)))
	}
	list.waitEnd(t, 10*time.Second)
}

// TestDefect26HighProfileHLS decodes HLS of High 4:4:4 with FFmpeg, which must find nothing wrong.
func TestDefect26HighProfileHLS(t *testing.T) {
	t.Parallel()
	for _, name := range []string{"h264-444", "h264-aac-b", "h264-mp3"} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s, room := shared(t), roomOf(t)
			encoder := ffmpegPublish(t, s, clip(t, name, 5, "flv"), s.key(t, room))
			s.waitOnAir(t, room)
			list := watchHLS(t, s, room)
			encoder.succeed(t, 20*time.Second)
			for _, segment := range list.waitEnd(t, 10*time.Second) {
				if problems := decodeTS(t, segment.data); problems != "" {
					t.Errorf("segment %d: %s", segment.sequence, problems)
				}
			}
		})
	}
}

// TestDefect27SlowViewerJumpsForward reads a stream slower than it comes: the viewer skips to key
// frames, and time never falls.
func TestDefect27SlowViewerJumpsForward(t *testing.T) {
	t.Parallel()
	s := start(t)
	room := roomOf(t)
	tags := flvClip(t, "h264-big", 5)
	size := 0
	for _, tag := range tags {
		size += len(tag.body)
	}
	publish(t, s, s.key(t, room), tags, pacing{loop: true})
	s.waitOnAir(t, room)
	brisk := watchFLV(t, s, room)
	slow := watchSlowly(t, s.flv, "/live/"+room+".flv", size/5/4) // a quarter of what comes
	eventually(t, 60*time.Second, "20 s of the stream", func() bool {
		all := slow.tags()
		return len(all) > 0 && all[len(all)-1].time > 20_000
	})
	got := slow.tags()
	rising(t, "the slow viewer", got)
	jumps := 0
	var last *tag
	for i := range got {
		if got[i].kind != typeVideo || got[i].isHeader() {
			continue
		}
		if last != nil && got[i].time-last.time > 500 {
			jumps++
			if !got[i].isKey() {
				t.Errorf("a jump from %d to %d ms, not to a key frame", last.time, got[i].time)
			}
		}
		last = &got[i]
	}
	if jumps == 0 {
		t.Error("the slow viewer was never moved forward")
	}
	rising(t, "the other viewer", brisk.tags())
	gapless(t, "the other viewer", brisk.tags(), 250)
}

// TestDefect28Takeover publishes a second time with the same key while on air: players stay, the
// first publisher is closed.
func TestDefect28Takeover(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	key, tags := s.key(t, room), flvClip(t, "h264-aac", 5)
	first := publish(t, s, key, tags, pacing{loop: true})
	s.waitOnAir(t, room)
	list := watchHLS(t, s, room)
	viewers := []*viewer{watchRTMP(t, s, room), watchFLV(t, s, room), watchWS(t, s, room)}
	list.waitSegments(t, 2)
	second := publish(t, s, key, flvClip(t, "h264-444", 5), pacing{loop: true})
	first.closedByServer(t, 3*time.Second)
	for _, v := range viewers {
		v.waitFrames(t, 80)
		v.going(t)
		rising(t, v.name, v.tags())
		gapless(t, v.name, v.tags(), 250)
		checkHeaders(t, v, flvClip(t, "h264-444", 5))
	}
	list.waitSegments(t, 2)
	second.cancel()
	second.finish(t)
	segments := list.waitEnd(t, 10*time.Second)
	if n := count(segments, func(s segment) bool { return s.discontinuity }); n != 1 {
		t.Errorf("HLS: %d discontinuities, want 1", n)
	}
	keyFramesLead(t, segments)
	for _, segment := range segments {
		if problems := decodeTS(t, segment.data); problems != "" {
			t.Errorf("segment %d: %s", segment.sequence, problems)
		}
	}
}
