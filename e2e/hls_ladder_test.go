package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"
)

// ladderOf are the arguments with which one FFmpeg publishes three sizes of a picture, in time,
// with key frames together.
func ladderOf(urls map[int]string) (arguments []string) {
	arguments = strings.Fields("-v error -re -f lavfi -i testsrc2=size=640x360:rate=25:duration=8 -f lavfi -i sine=sample_rate=48000:duration=8 -filter_complex " +
		"[0:v]split=3[a][b][c];[a]null[640];[b]scale=320:180[320];[c]scale=160:90[160]")
	for _, width := range []int{640, 320, 160} {
		arguments = append(arguments, "-map", fmt.Sprintf("[%d]", width), "-map", "1:a", "-c:v", "libx264", "-preset", "ultrafast", "-g", "25",
			"-sc_threshold", "0", "-c:a", "aac", "-f", "flv", urls[width])
	}
	return arguments
}

// TestLadder publishes three renditions with one FFmpeg. Each is played by its name, and all are on
// one timeline.
func TestLadder(t *testing.T) {
	t.Parallel()
	s, room := shared(t), roomOf(t)
	key := s.key(t, room)
	encoder := launch(t, "ffmpeg", ladderOf(map[int]string{
		640: s.publishURL(key), 320: s.publishURL(key) + "?rendition=180p", 160: s.publishURL(key) + "?rendition=90p",
	})...)
	type rung struct {
		width     int
		query     string
		rtmp, flv *viewer
		probes    []*program
	}
	rungs := []*rung{{width: 640}, {width: 320, query: "?rendition=180p"}, {width: 160, query: "?rendition=90p"}}
	for _, r := range rungs {
		r.rtmp = watchRTMP(t, s, room+r.query)
	}
	for _, r := range rungs {
		r.rtmp.waitFrames(t, 10)
		r.flv = watchFLVAt(t, s.flvURL(room)+r.query)
		for _, url := range []string{s.rtmpURL(room) + r.query, s.flvURL(room) + r.query} {
			r.probes = append(r.probes, launch(t, "ffprobe", "-v", "error", "-select_streams", "v", "-show_entries", "stream=width", "-of", "csv=p=0", url))
		}
	}
	encoder.succeed(t, 30*time.Second)
	times := map[int]uint32{}
	for _, r := range rungs {
		for _, probe := range r.probes {
			probe.succeed(t, 15*time.Second)
			if got := strings.TrimSpace(probe.output.String()); got != fmt.Sprint(r.width) {
				t.Errorf("%q is %q wide, want %d", r.query, got, r.width)
			}
		}
		whole := r.rtmp.waitEnd(t, 10*time.Second)
		comparison{}.check(t, "HTTP-FLV of "+r.query, bodiesOf(whole), bodiesOf(r.flv.waitEnd(t, 10*time.Second)))
		headersFirst(t, r.query, whole, typeVideo, typeAudio)
		rising(t, r.query, whole)
		keys := keyTimes(whole)
		if len(keys) != 8 {
			t.Errorf("%q has %d key frames", r.query, len(keys))
		}
		for i, at := range keys {
			if other, ok := times[i]; ok && other != at {
				t.Errorf("key frame %d of %q is at %d, elsewhere at %d", i, r.query, at, other)
			}
			times[i] = at
		}
	}
}

func keyTimes(tags []tag) (times []uint32) {
	for _, tag := range tags {
		if tag.kind == typeVideo && tag.isKey() && !tag.isHeader() {
			times = append(times, tag.time)
		}
	}
	return times
}

// TestTracks publishes two video and two audio tracks as messages of Enhanced RTMP v2, with FFmpeg
// and the tests' clients as players of one of them each.
func TestTracks(t *testing.T) {
	t.Parallel()
	file := clip(t, "h264-aac-b", 5, "mp4")
	first, second := wrap(t, clip(t, "h264-aac", 5, "mp4"), wrapping{}), wrap(t, file, wrapping{})
	tags := slices.Clone(first)
	for _, other := range second {
		tags = append(tags, asTrack(other, 1))
	}
	slices.SortStableFunc(tags, func(a, b tag) int {
		if a.isHeader() != b.isHeader() { // both lists begin with their headers
			return map[bool]int{true: -1, false: 1}[a.isHeader()]
		}
		return int(a.time) - int(b.time)
	})
	metadata := object{}.with("width", 320.0).with("videocodecid", 7.0).with("audiocodecid", 10.0).
		with("videoTrackIdInfoMap", object{}.with("1", object{}.with("width", 320.0)))
	tags = append([]tag{{typeData, 0, amf("onMetaData", metadata)}}, tags...)

	s, room := shared(t), roomOf(t)
	players := []struct {
		what string
		v    *viewer
		want []tag
	}{
		{"RTMP", watchRTMP(t, s, room), first},
		{"RTMP with ?video=1&audio=1", watchRTMP(t, s, room+"?video=1&audio=1"), second},
	}
	ffmpeg := launch(t, "ffmpeg", "-v", "error", "-i", s.rtmpURL(room)+"?video=1&audio=1", "-map", "0:v", "-c", "copy", "-f", "framemd5", "-")
	encoder := publish(t, s, s.key(t, room), tags, pacing{})
	s.waitOnAir(t, room)
	late := watchFLVAt(t, s.flvURL(room)+"?video=1&audio=1")
	encoder.finish(t)
	for _, p := range players {
		got := p.v.waitEnd(t, 10*time.Second)
		comparison{whole: true}.check(t, p.what, unitsOf(p.want, h264NAL), unitsOf(got, h264NAL))
		checkHeaders(t, p.v, p.want)
	}
	comparison{}.check(t, "HTTP-FLV", unitsOf(second, h264NAL), unitsOf(late.waitEnd(t, 10*time.Second), h264NAL))
	ffmpeg.succeed(t, 10*time.Second)
	want := launch(t, "ffmpeg", "-v", "error", "-i", file, "-map", "0:v", "-c", "copy", "-f", "framemd5", "-")
	want.succeed(t, 10*time.Second)
	// FFmpeg takes its time to start, and may join at a later key frame.
	got, all := frameHashes(ffmpeg.output.String()), frameHashes(want.output.String())
	if len(got) < len(all)/5 || len(got) > len(all) || !slices.Equal(got, all[len(all)-len(got):]) {
		t.Errorf("FFmpeg got %d pictures of %d, or others", len(got), len(all))
	}
}

// asTrack puts a legacy message of AVC or AAC into a multitrack message with one track
// (AvMultitrackType OneTrack).
func asTrack(old tag, id byte) tag {
	packetType := old.body[1] // 0 header, 1 frame: the same in both
	head, fourCC, payload := []byte{0x95, packetType}, "mp4a", old.body[2:]
	if old.kind == typeVideo {
		head, fourCC = []byte{0x80 | old.body[0]&0x70 | 6, packetType}, "avc1"
		if packetType == 0 {
			payload = old.body[5:]
		}
	}
	return tag{old.kind, old.time, slices.Concat(head, []byte(fourCC), []byte{id}, payload)}
}
