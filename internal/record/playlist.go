package record

import (
	"bytes"
	"errors"
	"fmt"
	"path"
	"strconv"
	"strings"
	"time"
)

// maxPlaylist bounds a media playlist of a recording, in bytes: 64 K segments and their gaps.
const maxPlaylist = 64 << 20

var errPlaylist = errors.New("the recording's playlist cannot be read")

// item is a segment in a playlist of a recording.
type item struct {
	uri, init string
	duration  time.Duration
	// size is in bytes, -1 if it is not known.
	size               int64
	gap, discontinuity bool
	// begin is where it begins in the playlist, at when that was by the clock of the day, zero if
	// that is not known.
	begin time.Duration
	at    time.Time
	dates []string
}

func (i *item) end() time.Duration { return i.begin + i.duration }

// mediaPlaylist is a media playlist of a recording.
type mediaPlaylist struct {
	target int
	ended  bool
	items  []item
}

// readMedia reads a media playlist as the timeline writes it.
func readMedia(text []byte) (p mediaPlaylist, err error) {
	next := item{size: -1}
	var init string
	var clock time.Time
	for l := range bytes.Lines(text) {
		line := strings.TrimRight(string(l), "\r\n")
		name, value, _ := strings.Cut(line, ":")
		switch name {
		case "#EXT-X-TARGETDURATION":
			p.target, err = strconv.Atoi(value)
		case "#EXT-X-ENDLIST":
			p.ended = true
		case "#EXT-X-GAP":
			next.gap = true
		case "#EXT-X-DISCONTINUITY":
			next.discontinuity = true
		case "#EXT-X-MAP":
			init = strings.TrimSuffix(strings.TrimPrefix(value, `URI="`), `"`)
		case "#EXT-X-PROGRAM-DATE-TIME":
			clock, err = time.Parse(time.RFC3339Nano, value)
		case "#EXT-X-DATERANGE":
			next.dates = append(next.dates, value)
		case sizeComment[:len(sizeComment)-1]:
			next.size, err = strconv.ParseInt(value, 10, 64)
		case "#EXTINF":
			var seconds float64
			seconds, err = strconv.ParseFloat(strings.TrimSuffix(value, ","), 64)
			next.duration = time.Duration(seconds * float64(time.Second))
		default:
			if line == "" || line[0] == '#' {
				continue
			}
			next.uri, next.init, next.at = line, init, clock
			if n := len(p.items); n > 0 {
				next.begin = p.items[n-1].end()
			}
			if !clock.IsZero() {
				clock = clock.Add(next.duration)
			}
			p.items = append(p.items, next)
			next = item{size: -1}
		}
		if err != nil || next.duration < 0 {
			return p, fmt.Errorf("%w: %.80q", errPlaylist, line)
		}
	}
	return p, nil
}

// span is some of the segments of a recording, the same in all renditions, and where in them to
// begin.
type span struct {
	first, end int
	offset     time.Duration
}

// String is the span as a query has it.
func (s span) String() string {
	return fmt.Sprintf("%d-%d-%d", s.first, s.end, s.offset.Milliseconds())
}

// parseSpan reads what String wrote.
func parseSpan(text string) (s span, err error) {
	var n [3]int
	parts := strings.Split(text, "-")
	if len(parts) != len(n) {
		return s, errSpan
	}
	for i, p := range parts {
		if n[i], err = strconv.Atoi(p); err != nil || n[i] < 0 || n[i] > 1<<30 {
			return s, errSpan
		}
	}
	return span{n[0], n[1], time.Duration(n[2]) * time.Millisecond}, nil
}

var errSpan = errors.New("there are no such segments")

// cut returns the span from one moment to another, each in seconds from the beginning, or as a time
// of RFC 3339. An empty text is the beginning, or the end.
func (p *mediaPlaylist) cut(from, to string) (s span, err error) {
	begin, end := time.Duration(0), time.Duration(1)<<62
	if from != "" {
		if begin, err = p.moment(from); err != nil {
			return s, fmt.Errorf("from: %w", err)
		}
	}
	if to != "" {
		if end, err = p.moment(to); err != nil {
			return s, fmt.Errorf("to: %w", err)
		}
	}
	s.first = -1
	for i := range p.items {
		it := &p.items[i]
		if s.first < 0 && it.end() > begin && !it.gap {
			s.first = i
			s.offset = max(0, begin-it.begin)
		}
		if it.begin < end {
			s.end = i + 1
		}
	}
	if s.first < 0 || s.end <= s.first || end <= begin {
		return s, errors.New("there is nothing between from and to")
	}
	return s, nil
}

// moment reads a moment of the recording.
func (p *mediaPlaylist) moment(text string) (time.Duration, error) {
	if seconds, err := strconv.ParseFloat(text, 64); err == nil && seconds >= 0 && seconds < 1e9 {
		return time.Duration(seconds * float64(time.Second)), nil
	}
	at, err := time.Parse(time.RFC3339, text)
	if err != nil {
		return 0, errors.New("write seconds from the beginning, such as 90.5, or a time such as 2026-03-01T12:00:00Z")
	}
	for i := range p.items {
		if it := &p.items[i]; !it.at.IsZero() && at.Before(it.at.Add(it.duration)) {
			return max(it.begin, it.begin+at.Sub(it.at)), nil
		}
	}
	if n := len(p.items); n > 0 {
		return p.items[n-1].end(), nil
	}
	return 0, nil
}

// render returns the playlist of a span, as a recording of its own.
func (p *mediaPlaylist) render(s span) ([]byte, error) {
	if s.first >= s.end || s.end > len(p.items) {
		return nil, errSpan
	}
	b := fmt.Appendf(nil, "#EXTM3U\n#EXT-X-VERSION:%s\n#EXT-X-TARGETDURATION:%d\n#EXT-X-PLAYLIST-TYPE:VOD\n#EXT-X-MEDIA-SEQUENCE:0\n", playlistVersion, p.target)
	if s.offset > 0 {
		b = fmt.Appendf(b, "#EXT-X-START:TIME-OFFSET=%.3f,PRECISE=YES\n", s.offset.Seconds())
	}
	init, dated := "", false
	for i := s.first; i < s.end; i++ {
		it := &p.items[i]
		if it.discontinuity && i > s.first {
			b = append(b, "#EXT-X-DISCONTINUITY\n"...)
			dated = false
		}
		if it.gap {
			b = appendGap(b, it.duration)
			dated = false
			continue
		}
		if it.init != init {
			init = it.init
			b = append(b, `#EXT-X-MAP:URI="`+init+"\"\n"...)
		}
		if !dated && !it.at.IsZero() {
			b = append(b, "#EXT-X-PROGRAM-DATE-TIME:"+it.at.UTC().Format(dateFormat)+"\n"...)
			dated = true
		}
		for _, d := range it.dates {
			b = append(b, "#EXT-X-DATERANGE:"+d+"\n"...)
		}
		b = appendDuration(b, it.duration)
		b = append(b, it.uri+"\n"...)
	}
	return append(b, "#EXT-X-ENDLIST\n"...), nil
}

// withQuery adds a query to all URIs of media playlists in a multivariant playlist.
func withQuery(index []byte, query string) []byte {
	return bytes.ReplaceAll(bytes.ReplaceAll(index, []byte(playlistSuffix+"\n"), []byte(playlistSuffix+"?"+query+"\n")),
		[]byte(playlistSuffix+`"`), []byte(playlistSuffix+"?"+query+`"`))
}

// number reads the name of a file of a rendition: digits and a suffix.
func number(name string) (int64, bool) {
	ext := path.Ext(name)
	if ext != segmentSuffix && ext != initSuffix {
		return 0, false
	}
	digits := strings.TrimSuffix(name, ext)
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil && n >= 0 && strconv.FormatInt(n, 10) == digits
}
