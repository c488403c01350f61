package e2e

import (
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"
)

// turned is a clip whose sound is that of another one, with a header of its own, in each time
// from..to in milliseconds. The sound comes ahead by some milliseconds.
func turned(clip, other []tag, ahead int, spans ...[2]uint32) []tag {
	within := func(at uint32) bool {
		return slices.ContainsFunc(spans, func(s [2]uint32) bool { return at >= s[0] && at < s[1] })
	}
	header := func(tags []tag, at uint32) tag {
		h := tags[slices.IndexFunc(tags, func(one tag) bool { return one.kind == typeAudio && one.isHeader() })]
		h.time = at
		return h
	}
	var sounds, mixed []tag
	for _, one := range clip {
		if one.kind == typeAudio && !one.isHeader() && !within(one.time) {
			sounds = append(sounds, one)
		}
	}
	for _, one := range other {
		if one.kind == typeAudio && !one.isHeader() && within(one.time) {
			sounds = append(sounds, one)
		}
	}
	slices.SortStableFunc(sounds, func(a, b tag) int { return cmp.Compare(a.time, b.time) })
	inside := false
	for _, one := range sounds {
		if now := within(one.time); now != inside {
			inside = now
			mixed = append(mixed, header(map[bool][]tag{true: other, false: clip}[now], one.time))
		}
		mixed = append(mixed, one)
	}
	for _, one := range clip {
		if one.kind != typeAudio || one.isHeader() {
			mixed = append(mixed, one)
		}
	}
	due := func(one tag) int {
		switch {
		case one.isHeader() && one.time == 0 || one.kind == typeData:
			return -1
		case one.kind == typeAudio:
			return max(0, int(one.time)-ahead)
		}
		return int(one.time)
	}
	slices.SortStableFunc(mixed, func(a, b tag) int { return cmp.Compare(due(a), due(b)) })
	return mixed
}

// TestSoundHeader: the sound gets another header in mid-GOP, and its old one back at a key frame.
// All players get every frame and every picture.
func TestSoundHeader(t *testing.T) {
	t.Parallel()
	for name, ahead := range map[string]int{"in time": 0, "ahead": 150, "behind": -150} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			first, second := wrap(t, clip(t, "h264-aac", kindSeconds, "mp4"), wrapping{}), wrap(t, clip(t, "h264-aac-2", kindSeconds, "mp4"), wrapping{})
			tags := turned(first, second, ahead, [2]uint32{2600, 4000})
			s, room := shared(t), roomOf(t)
			early := watchRTMP(t, s, room)
			encoder := publish(t, s, s.key(t, room), tags, pacing{})
			s.waitOnAir(t, room)
			list, cmaf := watchHLS(t, s, room), watchLL(t, s.indexURL(room), nil)
			early.waitFrames(t, 10)
			flv := watchFLV(t, s, room)
			encoder.finish(t)

			sent := unitsOf(tags, h264NAL)
			whole := early.waitEnd(t, 10*time.Second)
			comparison{whole: true, tolerance: 1}.check(t, "RTMP", sent, unitsOf(whole, h264NAL))
			comparison{tolerance: 1}.check(t, "HTTP-FLV", sent, unitsOf(flv.waitEnd(t, 10*time.Second), h264NAL))
			if problems := decode(t, fileOf(whole)); problems != "" {
				t.Errorf("FFmpeg of RTMP: %s", problems)
			}
			cmaf.waitEnd(t, 20*time.Second)
			cmaf.verify(t)
			got, _ := cmaf.units(t, "")
			comparison{whole: true, tolerance: 25}.check(t, "CMAF", sent, got)
			segments := list.waitEnd(t, 20*time.Second)
			got, _ = unitsOfTS(t, segments)
			comparison{whole: true, tolerance: 25}.check(t, "HLS", sent, got)
			if n := count(segments, func(one segment) bool { return one.discontinuity }); n != 2 {
				t.Errorf("HLS: %d discontinuities", n)
			}
			for _, one := range segments {
				if problems := decodeTS(t, one.data); strings.Contains(problems, "aac") {
					t.Errorf("FFmpeg of HLS: %s", problems)
				}
			}
		})
	}
}

// TestSoundHeaderPlays: hls.js and mpegts.js play on where the sound gets another header in mid-GOP
// and back, each five seconds.
func TestSoundHeaderPlays(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := shared(t), roomOf(t)
	tags := turned(wrap(t, clip(t, "h264-aac", 5, "mp4"), wrapping{}), wrap(t, clip(t, "h264-aac-2", 5, "mp4"), wrapping{}), 0, [2]uint32{2600, 4300})
	publish(t, s, s.key(t, room), tags, pacing{loop: true})
	s.waitOnAir(t, room)
	waitIndex(t, s, room)
	waitPlaylist(t, s.hlsURL(room))
	for name, c := range map[string]struct {
		player, url string
		config      map[string]any
		// stand is for how long it may stand, in seconds: in MPEG-TS hls.js leaves out pictures up
		// to a key frame.
		stand float64
	}{
		"mpegts.js":           {mpegtsJS, s.flvURL(room), chasing, mayStand},
		"hls.js, CMAF":        {hlsJS, s.indexURL(room), lowLatency, mayStand},
		"hls.js with MPEG-TS": {hlsJS, s.hlsURL(room), nil, 6},
	} {
		t.Run(name, func(t *testing.T) {
			p := webPlay(t, c.player, c.url, c.config)
			p.waitPlaying(t)
			p.forget(t)
			r := p.waitProgress(t, 11, 40*time.Second)
			if len(r.Fatal) > 0 || r.stood() > c.stand || r.Decoded < 200 {
				t.Errorf("it stood still for %.1f s: %s", r.stood(), r)
			}
			t.Log(r)
		})
	}
}

// TestSoundHeaderBegins: hls.js begins in MPEG-TS at the segments that another header of the sound
// begins in mid-GOP; one of them has no key frame. It took that for sound alone, and gave up at the
// pictures of the next one.
func TestSoundHeaderBegins(t *testing.T) {
	t.Parallel()
	chromium.turn(t)
	s, room := shared(t), roomOf(t)
	first, second := wrap(t, clip(t, "h264-aac", 5, "mp4"), wrapping{}), wrap(t, clip(t, "h264-aac-2", 5, "mp4"), wrapping{})
	viewer := watchHLS(t, s, room)
	encoder := publish(t, s, s.key(t, room), loopOf(turned(first, second, 0, [2]uint32{2600, 4300}), 2), pacing{})
	encoder.finish(t)
	segments := viewer.waitEnd(t, 20*time.Second)
	headers := 0
	for at, one := range segments {
		if !one.discontinuity {
			continue
		}
		headers++
		p := webPlay(t, hlsJS, recordingOf(t, segments[at:]), nil)
		p.waitPlaying(t)
		if r := p.waitFor(t, 30*time.Second, "the end", func(r webReport) bool { return r.Complete }); r.Decoded < 100 {
			t.Errorf("it showed %d pictures: %s", r.Decoded, r)
		}
	}
	if headers != 2 {
		t.Errorf("%d segments begin with another header", headers)
	}
}

// recordingOf serves segments as a playlist that has ended.
func recordingOf(t *testing.T, segments []segment) (address string) {
	t.Helper()
	list := "#EXTM3U\n#EXT-X-VERSION:3\n#EXT-X-TARGETDURATION:10\n"
	for i, one := range segments {
		if i > 0 && one.discontinuity {
			list += "#EXT-X-DISCONTINUITY\n"
		}
		list += fmt.Sprintf("#EXTINF:%.3f,\n%d.ts\n", one.duration, i)
	}
	list += "#EXT-X-ENDLIST\n"
	site := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Access-Control-Allow-Origin", "*")
		var n int
		if _, err := fmt.Sscanf(r.URL.Path, "/%d.ts", &n); err == nil && n < len(segments) {
			w.Header().Set("Content-Type", "video/mp2t")
			_, _ = w.Write(segments[n].data)
			return
		}
		w.Header().Set("Content-Type", "application/vnd.apple.mpegurl")
		_, _ = io.WriteString(w, list)
	}))
	t.Cleanup(site.Close)
	return site.URL + "/index.m3u8"
}
