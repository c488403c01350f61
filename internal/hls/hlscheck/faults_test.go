package hlscheck

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
)

// fault is a session in which one rule is broken.
type fault struct {
	name, clause, text string
	edit               func(s *session)
}

// from changes the text of all responses with match in their URL, from the skip-th that has old on.
func from(skip int, match, old, replacement string) func(s *session) {
	return func(s *session) {
		n := 0
		for i := range s.list {
			r := &s.list[i]
			if strings.Contains(r.URL, match) && strings.Contains(string(r.Body), old) {
				if n++; n > skip {
					r.set(strings.ReplaceAll(string(r.Body), old, replacement))
				}
			}
		}
		if n <= skip {
			panic("nothing to change: " + old)
		}
	}
}

func all(match, old, replacement string) func(s *session) { return from(0, match, old, replacement) }

func (r *Response) set(body string) {
	r.Body = []byte(body)
	r.Header["Content-Length"] = []string{strconv.Itoa(len(body))}
}

// header changes a header of all responses with match in their URL.
func header(match, name, value string) func(s *session) {
	return func(s *session) {
		for i := range s.list {
			if strings.Contains(s.list[i].URL, match) {
				s.list[i].Header[name] = []string{value}
			}
		}
	}
}

// after adds a response at the end.
func after(url string, at time.Duration, status int, cache, body string) func(s *session) {
	return func(s *session) { s.add(url, at, status, cache, body) }
}

// between cuts the session off after so many parts, and adds a response.
func between(parts int, url string, status int, cache, body string) func(s *session) {
	return func(s *session) {
		at := time.Duration(parts) * partLength
		n := 0
		for n < len(s.list) && !s.list[n].At.After(begin.Add(at)) {
			n++
		}
		s.list = s.list[:n]
		s.add(url, at+100*time.Millisecond, status, cache, body)
	}
}

const v = "index-v0.m3u8"

func TestFaults(t *testing.T) {
	for _, f := range faults() {
		t.Run(f.clause+" "+f.name, func(t *testing.T) {
			s := good()
			f.edit(s)
			c := s.run(3 * time.Second)
			for _, p := range c.problems {
				if p.Clause == f.clause && strings.Contains(p.Text, f.text) {
					return
				}
			}
			t.Errorf("not found; but %v", c.Err())
		})
	}
}

func faults() []fault {
	return append(append(formFaults(), timeFaults()...), deliveryFaults()...)
}

// formFaults are seen in one playlist.
func formFaults() []fault {
	return []fault{
		{"no header", "4", "#EXTM3U", all(v, "#EXTM3U\n", "")},
		{"no header of the multivariant playlist", "4", "#EXTM3U", all("index.m3u8", "#EXTM3U\n", "")},
		{"bad number", "4", "EXTINF", all(v, "#EXTINF:2,", "#EXTINF:x,")},
		{"bad attribute list", "4", "EXT-X-PART", all(v, `,INDEPENDENT=YES`, `INDEPENDENT=YES`)},
		{"tag twice", "4.4", "EXT-X-VERSION", all(v, "#EXT-X-VERSION:9\n", "#EXT-X-VERSION:9\n#EXT-X-VERSION:9\n")},
		{"version", "8", "version 6 has tags of version 9", all(v, "VERSION:9", "VERSION:6")},
		{"version of EXT-X-MAP", "8", "version 5 has tags of version 6", all(v, "VERSION:9", "VERSION:5")},
		{"no target duration", "4.4.3.1", "no target duration", all(v, "#EXT-X-TARGETDURATION:2\n", "")},
		{"long segment", "4.4.3.1", "lasts 2.5s", all(v, "#EXTINF:2,", "#EXTINF:2.5,")},
		{"empty segment", "4.4.4.1", "no duration", all(v, "#EXTINF:2,", "#EXTINF:0,")},
		{"type of a live playlist", "6.2.2", "has a type", all(v, "#EXT-X-TARGETDURATION", "#EXT-X-PLAYLIST-TYPE:EVENT\n#EXT-X-TARGETDURATION")},
		{"no map", "4.4.4.5", "no EXT-X-MAP", all(v, "#EXT-X-MAP:URI=\"v0/100.mp4\"\n", "")},
		{"no part target", "4.4.3.7", "without a part target", all(v, "#EXT-X-PART-INF:PART-TARGET=0.5\n", "")},
		{"long part", "4.4.4.9", "lasts 500ms", all(v, "PART-TARGET=0.5", "PART-TARGET=0.4")},
		{"short part", "4.4.4.9", "less than 85 %", all(v, "DURATION=0.5,URI=\"v0/102.1", "DURATION=0.4,URI=\"v0/102.1")},
		{"parts are not the segment", "4.4.4.9", "lasts 1.9s", all(v, "#EXTINF:2,", "#EXTINF:1.9,")},
		{"part without URI", "4.4.4.9", "no URI", all(v, `URI="v0/102.1.m4s"`, `URI=""`)},
		{"hold back", "4.4.3.8", "HOLD-BACK=5", all(v, "HOLD-BACK=6", "HOLD-BACK=5")},
		{"part hold back", "4.4.3.8", "PART-HOLD-BACK=1.4", all(v, "PART-HOLD-BACK=1.5", "PART-HOLD-BACK=1.4")},
		{"no part hold back", "4.4.3.8", "without PART-HOLD-BACK", all(v, ",PART-HOLD-BACK=1.5", "")},
		{"skip boundary", "4.4.3.8", "CAN-SKIP-UNTIL=11", all(v, "CAN-SKIP-UNTIL=12", "CAN-SKIP-UNTIL=11")},
		{"no blocking", "B.1", "without blocking", all(v, "CAN-BLOCK-RELOAD=YES,", "")},
		{"no hint", "B.1", "no hint", all(v, "#EXT-X-PRELOAD-HINT", "#EXT-X-OTHER")},
		{"two hints", "6.2.6", "two hints", all(v, "#EXT-X-PRELOAD-HINT", "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"x\"\n#EXT-X-PRELOAD-HINT")},
		{"bad hint", "4.4.5.3", "bad hint", all(v, "TYPE=PART", "TYPE=SEGMENT")},
		{"hint after the end", "4.4.5.3", "hints at more", all(v, "#EXT-X-ENDLIST", "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"x\"\n#EXT-X-ENDLIST")},
		{"bad report", "4.4.5.4", "bad report", all(v, ",LAST-MSN", ",LAST")},
		{"absolute report", "4.4.5.4", "not relative", all(v, `URI="index-a0`, `URI="http://h/live/movie/index-a0`)},
		{"no report", "B.1", "no report of", all(v, "#EXT-X-RENDITION-REPORT", "#EXT-X-OTHER")},
		{"old parts", "6.2.2", "still has parts", all(v, "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:02.000Z\n", "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:02.000Z\n#EXT-X-PART:DURATION=2,URI=\"x\",INDEPENDENT=YES\n")},
		{"no range", "4.4.3.6", "no range", all("iframes", "#EXT-X-BYTERANGE:4@0\n", "")},
		{"date", "4.4.4.6", "segment 103", all(v, "12:00:06.000Z", "12:00:06.200Z")},
		{"date at a discontinuity", "6.2.1", "before the end of the one before", all(v, "12:00:08.000Z", "12:00:06.000Z")},
		{"no date at a discontinuity", "6.2.1", "has no date", all(v, "#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:08.000Z\n", "")},
		{"media without group", "4.4.6.1", "without TYPE", all("index.m3u8", `GROUP-ID="aac",`, "")},
		{"captions with a URI", "4.4.6.1", "bad captions", all("index.m3u8", `INSTREAM-ID="CC1"`, `INSTREAM-ID="CC1",URI="x"`)},
		{"same name", "4.4.6.1.1", "called Audio 1", all("index.m3u8", "#EXT-X-STREAM-INF", "#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID=\"aac\",NAME=\"Audio 1\",URI=\"index-a0.m3u8\"\n#EXT-X-STREAM-INF")},
		{"services", "8", "SERVICE1", all("index.m3u8", `INSTREAM-ID="CC1"`, `INSTREAM-ID="SERVICE1"`)},
		{"no bandwidth", "4.4.6.2", "without BANDWIDTH", all("index.m3u8", "BANDWIDTH=1000,CODECS=\"avc1.64001f,", "CODECS=\"avc1.64001f,")},
		{"no codecs", "4.4.6.2", "without CODECS", all("index.m3u8", `CODECS="avc1.64001f,mp4a.40.2",`, "")},
		{"no URI", "4.4.6.2", "without a URI", all("index.m3u8", "\nindex-v0.m3u8\n", "\n")},
		{"no group", "4.4.6.2", "no audio group", all("index.m3u8", `AUDIO="aac"`, `AUDIO="opus"`)},
		{"no captions group", "4.4.6.2", "no group of captions", all("index.m3u8", `CLOSED-CAPTIONS="cc"`, `CLOSED-CAPTIONS="c"`)},
		{"captions here and there", "4.4.6.2", "some variants have no captions", all("index.m3u8", "#EXT-X-I-FRAME", "#EXT-X-STREAM-INF:BANDWIDTH=1,CODECS=\"x\",CLOSED-CAPTIONS=NONE\nindex-v0.m3u8\n#EXT-X-I-FRAME")},
		{"I-frames without codecs", "4.4.6.3", "I-frame stream", all("index.m3u8", `CODECS="avc1.64001f",`, "")},
	}
}

// timeFaults are seen in several playlists.
func timeFaults() []fault {
	end := lastPart * partLength
	return []fault{
		{"target duration", "6.2.1", "target duration goes", from(5, v, "TARGETDURATION:2", "TARGETDURATION:3")},
		{"part target duration", "6.2.1", "part target duration goes", from(5, v, "PART-TARGET=0.5", "PART-TARGET=0.501")},
		{"server control", "6.2.1", "server control goes", from(5, v, ",HOLD-BACK=6", ",HOLD-BACK=7")},
		{"media sequence back", "6.2.2", "media sequence goes back", between(44, v, 200, "max-age=1", text("v0", 44, 11, 0))},
		{"discontinuity sequence back", "6.2.2", "discontinuity sequence goes back", from(3, v, "DISCONTINUITY-SEQUENCE:101", "DISCONTINUITY-SEQUENCE:99")},
		{"discontinuity not counted", "6.2.2", "discontinuity sequence number of segment 105", all(v, "DISCONTINUITY-SEQUENCE:101", "DISCONTINUITY-SEQUENCE:100")},
		{"playlist goes back", "6.2.1", "goes back from", between(24, v, 200, "max-age=1", text("v0", 22, 9, 0))},
		{"short window", "6.2.2", "after a segment was removed", between(24, v, 200, "max-age=1", text("v0", 25, 2, 0))},
		{"segment changed", "6.2.1", "segment 103 has changed", from(3, v, "v0/103.m4s", "v0/103b.m4s")},
		{"duration changed", "6.2.1", "segment 103 has changed", from(3, v, "#EXTINF:2,\nv0/103.m4s", "#EXTINF:1.999,\nv0/103.m4s")},
		{"gap changed", "6.2.1", "segment 107 has changed", from(2, v, "#EXT-X-GAP\n", "")},
		{"discontinuity changed", "6.2.1", "another discontinuity", from(3, v, "#EXT-X-DISCONTINUITY\n", "")},
		{"date changed", "6.2.1", "the date of segment 103", from(3, v, "12:00:06.000Z", "12:00:06.001Z")},
		{"map changed", "6.2.1", "EXT-X-MAP of segment", from(3, v, "v0/100.mp4", "v0/101.mp4")},
		{"part changed", "6.2.1", "part 103.1 has changed", from(3, v, "v0/103.1.m4s", "v0/103.1b.m4s")},
		{"part gone", "6.2.1", "segment 103 had 4 parts", from(2, v, "#EXT-X-PART:DURATION=0.5,URI=\"v0/103.3.m4s\"\n", "")},
		{"part after the end of the segment", "6.2.1", "got parts after its end", from(3, v, "#EXTINF:2,\nv0/103.m4s", "#EXT-X-PART:DURATION=0.001,URI=\"x\"\n#EXTINF:2,\nv0/103.m4s")},
		{"parts gone early", "6.2.2", "the parts of segment 103 have gone", func(s *session) {
			for k := range perSegment {
				independent := ""
				if k == 0 {
					independent = ",INDEPENDENT=YES"
				}
				from(2, v, fmt.Sprintf("#EXT-X-PART:DURATION=0.5,URI=\"v0/103.%d.m4s\"%s\n", k, independent), "")(s)
			}
		}},
		{"segment back", "6.2.2", "segment 100 is back", between(44, v, 200, "max-age=1", text("v0", 44, 11, 0))},
		{"hint not kept", "4.4.5.3", "the hint was", all(v, `TYPE=PART,URI="v0/103.1.m4s"`, `TYPE=PART,URI="v0/103.x.m4s"`)},
		{"goes on after the end", "4.4.3.4", "goes on after its end", after(v, end+time.Second, 200, "max-age=1", strings.ReplaceAll(text("v0", lastPart, 9, 0), "#EXT-X-ENDLIST\n", ""))},
		{"late part", "6.2.1", "a new part came", func(s *session) { s.delay(40, 6*time.Second) }},
		{"late segment", "6.2.1", "a new segment came", func(s *session) { s.delay(40, 8*time.Second) }},
		{"target of another rendition", "6.2.4", "target duration 3", all(v, "TARGETDURATION:2", "TARGETDURATION:3")},
		{"control of another rendition", "6.2.4", "server control", all(v, "PART-HOLD-BACK=1.5", "PART-HOLD-BACK=1.6")},
		{"discontinuity of another rendition", "6.2.4", "the discontinuity sequence number", func(s *session) {
			all(v, "DISCONTINUITY-SEQUENCE:100", "DISCONTINUITY-SEQUENCE:98")(s)
			all(v, "DISCONTINUITY-SEQUENCE:101", "DISCONTINUITY-SEQUENCE:99")(s)
		}},
		{"date of another rendition", "6.2.4", "begins at", all(v, "T12:", "T13:")},
		{"old report", "4.4.5.4", "parts behind", all("index-a0", "LAST-MSN=104,LAST-PART=3", "LAST-MSN=104,LAST-PART=0")},
		{"very old report", "4.4.5.4", "parts behind", all("index-a0", "LAST-MSN=104,LAST-PART=3", "LAST-MSN=102,LAST-PART=1")},
	}
}

// deliveryFaults are seen in how things are delivered.
func deliveryFaults() []fault {
	return []fault{
		{"delta not asked for", "6.2.5.1", "not asked for", func(s *session) { s.urls("&_HLS_skip=YES", "") }},
		{"no delta", "6.2.5.1", "no delta update", between(40, v+"?_HLS_skip=YES", 200, "max-age=1", text("v0", 40, 9, 0))},
		{"delta without an offer", "4.4.3.8", "without CAN-SKIP-UNTIL", all(v, "CAN-SKIP-UNTIL=12,", "")},
		{"delta of nothing", "4.4.5.2", "0 segments are skipped", from(0, v, "SKIPPED-SEGMENTS=2", "SKIPPED-SEGMENTS=0")},
		{"delta skips too much", "6.2.5.1", "skip boundary", between(40, v+"?_HLS_skip=YES", 200, "max-age=1", text("v0", 40, 9, 5))},
		{"delta skips what was not there", "6.2.5.1", "was in no playlist before", func(s *session) {
			s.list = slices.DeleteFunc(s.list, func(r Response) bool { return strings.Contains(r.URL, v) && !strings.Contains(r.URL, "skip") })
		}},
		{"delta of an ended playlist", "6.2.5.1", "of an ended playlist", from(0, "skip=YES", "#EXT-X-PRELOAD-HINT", "#EXT-X-ENDLIST\n#EXT-X-PRELOAD-HINT")},
		{"not blocked, part", "6.2.5.2", "was asked for", between(22, v+"?_HLS_msn=105&_HLS_part=2", 200, "max-age=12", text("v0", 22, 9, 0))},
		{"not blocked, part beyond the last", "6.2.5.2", "part 106.0 was asked for", between(24, v+"?_HLS_msn=105&_HLS_part=4", 200, "max-age=12", text("v0", 24, 9, 0))},
		{"not blocked, segment", "6.2.5.2", "segment 105 was asked for", between(22, v+"?_HLS_msn=105", 200, "max-age=12", text("v0", 22, 9, 0))},
		{"refused", "6.2.5.2", "is refused", between(22, v+"?_HLS_msn=105", 400, "no-store", "no")},
		{"cached too long", "livego", "cached as", header("index-v0", "Cache-Control", "max-age=3600")},
		{"index cached too long", "livego", "cached as", header("index.m3u8", "Cache-Control", "max-age=60")},
		{"segment not cached", "livego", "never changes", header("v0/102.m4s", "Cache-Control", "no-cache")},
		{"error cached", "livego", "an error may be cached", between(22, "v0/99.m4s", 404, "max-age=1", "no")},
		{"type", "4", "type is", header("index-v0", "Content-Type", "text/plain")},
		{"length", "RFC 9110 8.6", "Content-Length", header("v0/102.m4s", "Content-Length", "1")},
		{"weak tag", "livego", "no strong ETag", header("v0/102.m4s", "Etag", `W/"x"`)},
		{"file changed", "6.2.1", "file has changed", between(22, "v0/102.m4s", 200, immutable, "other")},
		{"discontinuity sequence", "livego", "hls.js", all(v, "DISCONTINUITY-SEQUENCE:1", "DISCONTINUITY-SEQUENCE:17953551")},
		{"tag changed", "livego", "another ETag", func(s *session) {
			for _, r := range s.list {
				if strings.HasSuffix(r.URL, "v0/102.m4s") {
					r.Header = map[string][]string{"Etag": {`"other"`}, "Cache-Control": {immutable}}
					s.list = append(s.list, r)
					return
				}
			}
		}},
		{"segment is not its parts", "4.4.4.9", "or others", from(0, "v0/102.1.m4s", "v0", "vv")},
		{"segment missing", "6.2.1", "segment 103, which is in the playlist", between(22, "v0/103.m4s", 404, "no-store", "no")},
		{"part missing", "6.2.1", "part of segment 105", between(22, "v0/105.1.m4s", 404, "no-store", "no")},
		{"segment missing soon", "6.2.2", "availability duration", between(44, "v0/101.m4s", 404, "no-store", "no")},
		{"part missing soon", "6.2.2", "within three target durations", between(30, "v0/102.3.m4s", 404, "no-store", "no")},
	}
}

// delay moves all that comes after n parts.
func (s *session) delay(n int, d time.Duration) {
	for i := range s.list {
		if r := &s.list[i]; r.At.After(begin.Add(time.Duration(n) * partLength)) {
			r.At, r.Asked = r.At.Add(d), r.Asked.Add(d)
		}
	}
}

// urls changes all URLs.
func (s *session) urls(old, replacement string) {
	for i := range s.list {
		s.list[i].URL = strings.ReplaceAll(s.list[i].URL, old, replacement)
	}
}

// What is no fault: a new life after the end, answers out of a cache, files that are long gone, a
// playlist that was asked for before.
func TestNoFaults(t *testing.T) {
	end := lastPart * partLength
	life := strings.NewReplacer("MEDIA-SEQUENCE:", "MEDIA-SEQUENCE:9", "v0/", "v0/9").Replace(text("v0", 12, 9, 0))
	for name, edit := range map[string]func(*session){
		"new life":         after(v, end+time.Minute, 200, "max-age=1", life),
		"the end again":    after(v, end+time.Second, 200, "max-age=1", text("v0", lastPart, 9, 0)),
		"gone for long":    after("v0/100.m4s", end+time.Minute, 404, "no-store", "no"),
		"gap":              between(36, "v0/107.m4s", 404, "no-store", "no"),
		"not modified":     between(36, v, 304, "max-age=1", ""),
		"too far":          between(36, v+"?_HLS_msn=500", 400, "no-store", "no"),
		"part without msn": between(36, v+"?_HLS_part=5", 400, "no-store", "no"),
		"no such playlist": after("index-v9.m3u8", end, 404, "no-store", "no"),
		"beyond the last":  between(25, v+"?_HLS_msn=105&_HLS_part=4", 200, "max-age=12", text("v0", 25, 9, 0)),
		"asked for long ago": func(s *session) {
			between(24, v, 200, "max-age=1", text("v0", 22, 9, 0))(s)
			s.list[len(s.list)-1].Asked = begin
		},
	} {
		s := good()
		edit(s)
		if err := s.run(0).Err(); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestChecker(t *testing.T) {
	c := &Checker{}
	if p := c.Add(Response{URL: "http://h/%zz"}); len(p) != 1 || !strings.Contains(p[0].Error(), "bad URL") || !strings.Contains(c.Err().Error(), "(3)") {
		t.Errorf("%v", p)
	}
	for range 2 * maxProblems {
		c.Add(Response{URL: "/x.m3u8", Status: 404})
	}
	if n := len(c.problems); n > maxProblems+1 {
		t.Errorf("%d problems are kept", n)
	}
}

// FuzzAdd: whatever a server sends, the checker goes on, and a second look at the same text finds
// the same.
func FuzzAdd(f *testing.F) {
	f.Add(index)
	f.Add(frames)
	f.Add(text("v0", 30, 9, 0))
	f.Add(text("v0", 39, 9, 3))
	f.Fuzz(func(t *testing.T, body string) {
		s := good()
		s.list = s.list[:30]
		c := s.run(0)
		r := Response{URL: "/live/movie/index-v0.m3u8?_HLS_skip=YES&_HLS_msn=105", Status: 200, Body: []byte(body), At: begin}
		c.Add(r)
		c.Add(r)
		p, err := parseMedia(body)
		if err != nil {
			return
		}
		again, err := parseMedia(body)
		if err != nil || fmt.Sprint(p) == "" || len(p.segments) != len(again.segments) {
			t.Errorf("%v", err)
		}
	})
}
