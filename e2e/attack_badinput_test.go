package e2e

import (
	"slices"
	"strings"
	"testing"
	"time"

	"livego/internal/hls/hlscheck"
)

// loopOf repeats a clip of five seconds without a seam in the pictures, without its headers from
// the second time on.
func loopOf(tags []tag, times int) (out []tag) {
	const length = 5000
	for i := range times {
		for _, one := range tags {
			if one.isHeader() && i > 0 || one.time >= length-10 {
				continue
			}
			one.time += uint32(i) * length
			out = append(out, one)
		}
	}
	return out
}

// ofKind are the tags of one kind.
func ofKind(tags []tag, kind byte) []tag {
	return slices.DeleteFunc(slices.Clone(tags), func(one tag) bool { return one.kind != kind })
}

// TestBadInput publishes what no encoder should send, and holds every response of Low-Latency HLS
// against the rules of the draft. The sound, which is as it should be, goes on to all players;
// memory and log stay small.
func TestBadInput(t *testing.T) {
	t.Parallel()
	plain := func(t *testing.T, times int) []tag {
		return loopOf(wrap(t, clip(t, "h264-aac", 5, "mp4"), wrapping{}), times)
	}
	for _, test := range []struct {
		name string
		tags func(t *testing.T) []tag
		// at is the time that is sent for a tag, that of the tag itself if nil.
		at    func(time uint32) uint32
		lines int // of the log, at most
	}{
		{"codecs", func(t *testing.T) (tags []tag) { // the codec of the video changes every second
			var videos [][]tag
			for _, name := range []string{"h264-aac", "hevc-aac", "av1-opus", "vp9-flac"} {
				videos = append(videos, ofKind(wrap(t, clip(t, name, 5, "mp4"), wrapping{}), typeVideo))
			}
			for i := range 20 {
				for _, one := range videos[i%4] {
					if one.time < 1000 {
						one.time += uint32(i) * 1000
						tags = append(tags, one)
					}
				}
			}
			tags = append(tags, ofKind(plain(t, 4), typeAudio)...)
			slices.SortStableFunc(tags, func(a, b tag) int { return int(a.time) - int(b.time) })
			return tags
		}, nil, 40},
		{"times", func(t *testing.T) []tag { return plain(t, 4) }, func(at uint32) uint32 { // jump by hours, forward and back
			const hour = 3600 * 1000
			return at + []uint32{8 * hour, 11 * hour, hour, 1190 * hour}[at/5000]
		}, 24},
		{"tracks", func(t *testing.T) (tags []tag) { // 64 of each kind
			for _, one := range plain(t, 2) {
				tags = append(tags, one)
				for id := 1; id < 64; id++ {
					tags = append(tags, asTrack(one, byte(id)))
				}
			}
			return tags
		}, nil, 80},
		{"lies", func(t *testing.T) (tags []tag) { // ModEx and track lengths beyond the message, and sequence headers that do not parse
			lies := [][]byte{
				{0x97, 0xFF}, {0x97, 0xFF, 0xFF, 0xFF, 1}, {0x97, 200, 1, 2}, {0x96, 0x11, 'a', 'v', 'c', '1', 0, 0xFF, 0xFF, 0xFF, 1}, {0x96, 0x21, 'a', 'v'},
				slices.Concat([]byte{0x96, 0x00}, []byte("hvc1"), []byte{1, 1, 2, 3}),
			}
			for i, one := range plain(t, 3) {
				tags = append(tags, one)
				if i > 100 && i%7 == 0 {
					tags = append(tags, tag{typeVideo, one.time, lies[i/7%len(lies)]})
				}
			}
			return tags
		}, nil, 30},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			tags := test.tags(t)
			s, room := start(t, "--hls_segment_duration", "1"), roomOf(t)
			sound := ofKind(tags, typeAudio)
			sent := bodiesOf(slices.DeleteFunc(sound, func(one tag) bool { return one.body[0]>>4 == 9 })) // of track 0
			p := dial(t, s.rtmp)
			p.connect(t, "live")
			if err := p.publish(s.key(t, room)); err != nil {
				t.Fatal(err)
			}
			go func() {
				for {
					if _, err := p.receive(); err != nil {
						return
					}
				}
			}()
			ended := make(chan error, 1)
			go func() {
				began := time.Now()
				for _, one := range tags {
					time.Sleep(time.Until(began.Add(time.Duration(one.time) * time.Millisecond)))
					at := one.time
					if test.at != nil {
						at = test.at(at)
					}
					if err := p.media(one.kind, at, one.body); err != nil {
						ended <- err
						return
					}
				}
				ended <- nil
			}()
			s.waitOnAir(t, room)
			watch := watchFLV
			if test.name == "codecs" {
				watch = watchRTMP // FLV players end where a codec changes
			}
			listener := watch(t, s, room)
			var checker hlscheck.Checker
			v := watchLL(t, s.indexURL(room), func(r hlscheck.Response) { checker.Add(r) })
			if err := <-ended; err != nil {
				t.Fatal(err)
			}
			if mib := s.memory(t) >> 20; mib > 800 { // 151 without the race detector
				t.Errorf("%d MiB", mib)
			}
			_ = p.command(0, "FCUnpublish", 6, nil, "")
			_ = p.command(0, "deleteStream", 7, nil, 1)
			v.waitEnd(t, 20*time.Second)
			v.verify(t)
			v.observing.Lock()
			defer v.observing.Unlock()
			if err := checker.Err(); err != nil {
				t.Error(err)
			}
			if r := v.named(t, "a0"); len(r.segments) < 5 {
				t.Errorf("%d segments of sound", len(r.segments))
			}
			heard := 0
			for _, u := range bodiesOf(listener.waitEnd(t, 10*time.Second)) {
				if u.kind == typeAudio {
					heard++
				}
			}
			if heard < len(sent)-2 {
				t.Errorf("%d frames of sound of %d came by %s", heard, len(sent), listener.name)
			}
			if lines := strings.Count(s.log(), "\n"); lines > test.lines {
				t.Errorf("%d lines of log", lines)
			}
			if n := strings.Count(s.log(), "the encoder's time jumps"); (n == 1) != (test.at != nil) {
				t.Errorf("%d lines about jumps of time", n)
			}
			if n := strings.Count(s.log(), "bad message left out"); (n == 1) != (test.name == "lies") {
				t.Errorf("%d lines about bad messages", n)
			}
		})
	}
}
