package hlscheck

import (
	"fmt"
	"strconv"
	"strings"
	"testing"
	"time"
)

const (
	partLength = 500 * time.Millisecond
	perSegment = 4
	firstSeq   = 100
)

// session is what a client sees of a stream of a video and an audio: segments of four parts of half
// a second, a discontinuity before segment 104, a gap in 107, five segments in the list. The end
// comes with part 60.
type session struct {
	list []Response
}

var begin = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC)

const lastPart = 60

// text is the playlist after n parts, with the last so many segments and without the first skip of
// them.
func text(id string, n, keep, skip int) string {
	segments, ended := n/perSegment, n == lastPart
	first := max(0, segments-keep)
	var b strings.Builder
	dsn := firstSeq
	if first > 4 {
		dsn++
	}
	fmt.Fprintf(&b, "#EXTM3U\n#EXT-X-VERSION:9\n#EXT-X-TARGETDURATION:2\n#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,HOLD-BACK=6,PART-HOLD-BACK=1.5\n")
	fmt.Fprintf(&b, "#EXT-X-PART-INF:PART-TARGET=0.5\n#EXT-X-MEDIA-SEQUENCE:%d\n#EXT-X-DISCONTINUITY-SEQUENCE:%d\n", firstSeq+first, dsn)
	if skip > 0 {
		fmt.Fprintf(&b, "#EXT-X-SKIP:SKIPPED-SEGMENTS=%d\n", skip)
	}
	for i := first + skip; i <= segments; i++ {
		gap := i == 7
		complete := i < segments
		if !complete && (n%perSegment == 0 || gap) {
			break
		}
		if i == 4 {
			b.WriteString("#EXT-X-DISCONTINUITY\n")
		}
		if i == first && skip == 0 {
			fmt.Fprintf(&b, "#EXT-X-MAP:URI=\"%s/100.mp4\"\n", id)
		}
		fmt.Fprintf(&b, "#EXT-X-PROGRAM-DATE-TIME:%s\n", begin.Add(time.Duration(i)*2*time.Second).Format("2006-01-02T15:04:05.000Z"))
		if segments-i <= 3 && !gap {
			for k := range min(perSegment, n-i*perSegment) {
				fmt.Fprintf(&b, "#EXT-X-PART:DURATION=0.5,URI=\"%s/%d.%d.m4s\"", id, firstSeq+i, k)
				if k == 0 || id == "a0" {
					b.WriteString(",INDEPENDENT=YES")
				}
				b.WriteByte('\n')
			}
		}
		if gap {
			b.WriteString("#EXT-X-GAP\n")
		}
		if complete {
			fmt.Fprintf(&b, "#EXTINF:2,\n%s/%d.m4s\n", id, firstSeq+i)
		}
	}
	if ended {
		b.WriteString("#EXT-X-ENDLIST\n")
		return b.String()
	}
	fmt.Fprintf(&b, "#EXT-X-PRELOAD-HINT:TYPE=PART,URI=\"%s/%d.%d.m4s\"\n", id, firstSeq+segments, n%perSegment)
	other := map[string]string{"v0": "a0", "a0": "v0"}[id]
	last := n - 1
	fmt.Fprintf(&b, "#EXT-X-RENDITION-REPORT:URI=\"index-%s.m3u8\",LAST-MSN=%d,LAST-PART=%d\n", other, firstSeq+last/perSegment, last%perSegment)
	return b.String()
}

const index = `#EXTM3U
#EXT-X-VERSION:6
#EXT-X-MEDIA:TYPE=AUDIO,GROUP-ID="aac",NAME="Audio 1",DEFAULT=YES,AUTOSELECT=YES,URI="index-a0.m3u8"
#EXT-X-MEDIA:TYPE=CLOSED-CAPTIONS,GROUP-ID="cc",NAME="CC1",INSTREAM-ID="CC1"
#EXT-X-STREAM-INF:BANDWIDTH=1000,CODECS="avc1.64001f,mp4a.40.2",RESOLUTION=640x360,AUDIO="aac",CLOSED-CAPTIONS="cc"
index-v0.m3u8
#EXT-X-I-FRAME-STREAM-INF:BANDWIDTH=1000,CODECS="avc1.64001f",URI="index-v0.iframes.m3u8"
`

// frames is the playlist of the video's I-frames.
const frames = `#EXTM3U
#EXT-X-VERSION:9
#EXT-X-TARGETDURATION:2
#EXT-X-I-FRAMES-ONLY
#EXT-X-SERVER-CONTROL:CAN-BLOCK-RELOAD=YES,CAN-SKIP-UNTIL=12,HOLD-BACK=6,PART-HOLD-BACK=1.5
#EXT-X-MEDIA-SEQUENCE:100
#EXT-X-DISCONTINUITY-SEQUENCE:100
#EXT-X-MAP:URI="v0/100.mp4"
#EXT-X-PROGRAM-DATE-TIME:2026-03-01T12:00:00.000Z
#EXTINF:2,
#EXT-X-BYTERANGE:4@0
v0/100.m4s
`

func (s *session) add(url string, at time.Duration, status int, cache, body string) {
	kind := "video/mp4"
	if strings.Contains(url, ".m3u8") {
		kind = "application/vnd.apple.mpegurl"
	}
	s.list = append(s.list, Response{
		URL: "http://h/live/movie/" + url, Asked: begin.Add(at - 10*time.Millisecond), At: begin.Add(at), Status: status, Body: []byte(body),
		Header: map[string][]string{"Cache-Control": {cache}, "Etag": {strconv.Quote(url)}, "Content-Type": {kind}, "Content-Length": {strconv.Itoa(len(body))}},
	})
}

// good is a session without a fault. The window is long enough for delta updates.
func good() *session {
	s := &session{}
	s.add("index.m3u8", 0, 200, "max-age=1", index)
	s.add("v0/100.mp4", 0, 200, immutable, "init")
	s.add("index-v0.iframes.m3u8", 0, 200, "max-age=1", frames)
	const keep = 9
	for n := 2 * perSegment; n <= lastPart; n++ {
		at := time.Duration(n) * partLength
		for _, id := range []string{"v0", "a0"} {
			url, cache, skip := "index-"+id+".m3u8", "max-age=1", 0
			if n > 2*perSegment {
				url += fmt.Sprintf("?_HLS_msn=%d&_HLS_part=%d", firstSeq+(n-1)/perSegment, (n-1)%perSegment)
				cache = "max-age=12"
			}
			if segments := n / perSegment; n%2 == 1 && segments > 6 {
				url += "&_HLS_skip=YES"
				skip = min(segments, keep) - 6
			}
			if n == 31 { // the gap: its parts never come
				continue
			}
			if n/perSegment == 7 && n < lastPart {
				n := 7 * perSegment
				s.add(strings.Split(url, "?")[0], at, 200, "max-age=1", text(id, n, keep, 0))
				continue
			}
			s.add(url, at, 200, cache, text(id, n, keep, skip))
			if n < lastPart {
				s.add(fmt.Sprintf("%s/%d.%d.m4s", id, firstSeq+(n-1)/perSegment, (n-1)%perSegment), at, 200, immutable, fmt.Sprint(id, " part ", n-1, ";"))
			}
			if seg := n/perSegment - 1; n%perSegment == 0 && seg != 7 {
				var body strings.Builder
				for k := range perSegment {
					fmt.Fprint(&body, id, " part ", seg*perSegment+k, ";")
				}
				s.add(fmt.Sprintf("%s/%d.m4s", id, firstSeq+seg), at, 200, immutable, body.String())
			}
		}
	}
	return s
}

func (s *session) run(slack time.Duration) *Checker {
	c := &Checker{Slack: slack}
	for _, r := range s.list {
		c.Add(r)
	}
	return c
}

func TestGoodSession(t *testing.T) {
	c := good().run(3 * time.Second)
	if err := c.Err(); err != nil {
		t.Error(err)
	}
	if c.Playlists() != 3 || c.Files() < 80 {
		t.Errorf("%d playlists, %d files", c.Playlists(), c.Files())
	}
}
