package hlsclient

import (
	"fmt"
	"net/url"
	"strconv"
	"strings"
	"time"

	lists "github.com/bluenviron/gohlslib/v2/pkg/playlist"
)

// byteRange is a part of a file; length 0: all of it.
type byteRange struct{ start, length uint64 }

// section is an initialization section.
type section struct {
	uri  string
	part byteRange
}

// segment is one of a media playlist.
type segment struct {
	uri      string
	part     byteRange
	init     section // empty: MPEG-TS
	number   uint64  // media sequence number
	period   int     // discontinuities before it, in the playlist and in all that it no longer lists
	duration time.Duration
	gap      bool
}

// mediaList is what a media playlist says (RFC 8216 §4.3.2, 4.3.3).
type mediaList struct {
	target   time.Duration
	segments []segment
	over     bool
}

// parsePlaylist reads a media playlist.
func parsePlaylist(text []byte) (*mediaList, error) {
	if !strings.HasPrefix(strings.TrimPrefix(string(text), "\ufeff"), "#EXTM3U") {
		return nil, ErrNotHLS
	}
	p := listParser{list: new(mediaList)}
	for line := range strings.Lines(string(text)) {
		if line = strings.TrimSpace(line); line == "" {
			continue
		}
		tag, value, _ := strings.Cut(line, ":")
		if err := p.line(line, tag, value); err != nil {
			return nil, err
		}
	}
	if p.list.target <= 0 || p.list.target > maxTarget {
		return nil, fmt.Errorf("%w: a target duration of %v", ErrNotHLS, p.list.target)
	}
	return p.list, nil
}

// listParser reads a playlist line by line.
type listParser struct {
	list   *mediaList
	next   segment // what tags say of the next one
	number uint64
	period int
	init   section
	behind map[string]uint64 // by URI, the end of its last range
}

func (p *listParser) line(line, tag, value string) (err error) {
	switch tag {
	case "#EXT-X-TARGETDURATION":
		p.list.target, err = seconds(value)
	case "#EXT-X-MEDIA-SEQUENCE":
		p.number, err = strconv.ParseUint(value, 10, 62)
	case "#EXT-X-DISCONTINUITY-SEQUENCE":
		p.period, err = strconv.Atoi(value)
	case "#EXT-X-DISCONTINUITY":
		p.period++
	case "#EXTINF":
		text, _, _ := strings.Cut(value, ",")
		p.next.duration, err = seconds(text)
	case "#EXT-X-BYTERANGE":
		p.next.part, err = parseRange(value)
	case "#EXT-X-GAP":
		p.next.gap = true
	case "#EXT-X-ENDLIST":
		p.list.over = true
	case "#EXT-X-MAP":
		p.init = section{uri: attribute(value, "URI")}
		if part := attribute(value, "BYTERANGE"); part != "" {
			p.init.part, err = parseRange(part)
		}
		if p.init.uri == "" || len(p.init.uri) > maxURI {
			return fmt.Errorf("%w: an EXT-X-MAP without a URI", ErrNotHLS)
		}
	case "#EXT-X-KEY":
		if attribute(value, "METHOD") != "NONE" {
			return ErrEncrypted
		}
	default:
		if !strings.HasPrefix(line, "#") {
			return p.uri(line)
		}
	}
	if err != nil {
		return fmt.Errorf("%w: %.64q", ErrNotHLS, line)
	}
	return nil
}

// uri ends what there is to say of a segment.
func (p *listParser) uri(line string) error {
	if len(line) > maxURI {
		return fmt.Errorf("%w: a URI of %d bytes", ErrNotHLS, len(line))
	}
	s := p.next
	s.uri, s.init, s.number, s.period = line, p.init, p.number, p.period
	if s.part.length > 0 {
		if p.behind == nil {
			p.behind = make(map[string]uint64)
		}
		if s.part.start == afterLast {
			s.part.start = p.behind[line]
		}
		p.behind[line] = s.part.start + s.part.length
	}
	p.list.segments = append(p.list.segments, s)
	p.next = segment{}
	p.number++
	return nil
}

// afterLast: a range goes on where the last one of its file ended.
const afterLast = 1<<64 - 1

// parseRange reads LENGTH or LENGTH@START.
func parseRange(text string) (r byteRange, err error) {
	length, start, has := strings.Cut(text, "@")
	if r.length, err = strconv.ParseUint(length, 10, 32); err != nil || r.length == 0 {
		return r, fmt.Errorf("%w: a range of %.32q bytes", ErrNotHLS, length)
	}
	r.start = afterLast
	if has {
		r.start, err = strconv.ParseUint(start, 10, 62)
	}
	return r, err
}

func seconds(text string) (time.Duration, error) {
	s, err := strconv.ParseFloat(strings.TrimSpace(text), 64)
	if err != nil || !(s >= 0 && s <= 86400) {
		return 0, ErrNotHLS
	}
	return time.Duration(s * float64(time.Second)), nil
}

// attribute returns a value of an attribute list, without quotes (RFC 8216 §4.2).
func attribute(list, name string) string {
	for list != "" {
		key, rest, ok := strings.Cut(list, "=")
		if !ok {
			return ""
		}
		var value string
		if quoted, is := strings.CutPrefix(rest, `"`); is {
			value, rest, _ = strings.Cut(quoted, `"`)
			rest = strings.TrimPrefix(rest, ",")
		} else {
			value, rest, _ = strings.Cut(rest, ",")
		}
		if strings.TrimSpace(key) == name {
			return value
		}
		list = rest
	}
	return ""
}

// choose picks of a multivariant playlist the variant of the highest bit rate, and the playlist of
// its sound if that has one of its own. Of a media playlist it returns nil.
func choose(text []byte, from *url.URL) (media, sound *url.URL, err error) {
	if !strings.Contains(string(text), "#EXT-X-STREAM-INF") {
		return nil, nil, nil
	}
	parsed, err := lists.Unmarshal(text)
	multi, ok := parsed.(*lists.Multivariant)
	if err != nil || !ok {
		return nil, nil, ErrNotHLS
	}
	var best *lists.MultivariantVariant
	for _, v := range multi.Variants {
		if best == nil || v.Bandwidth > best.Bandwidth {
			best = v
		}
	}
	if best == nil {
		return nil, nil, ErrNotHLS
	}
	if media, err = join(from, best.URI); err != nil {
		return nil, nil, err
	}
	if uri := soundOf(multi, best.Audio); uri != "" {
		sound, err = join(from, uri)
	}
	return media, sound, err
}

// soundOf returns the URI of the default rendition of a group, or of its first; empty if the sound
// is beside the pictures.
func soundOf(multi *lists.Multivariant, group string) (uri string) {
	for _, r := range multi.Renditions {
		if group == "" || r.Type != lists.MultivariantRenditionTypeAudio || r.GroupID != group {
			continue
		}
		if r.URI == nil {
			if r.Default {
				return ""
			}
			continue
		}
		if uri == "" || r.Default {
			uri = *r.URI
		}
	}
	return uri
}

// join resolves a URI of a playlist, which must be one of HTTP.
func join(base *url.URL, uri string) (*url.URL, error) {
	u, err := url.Parse(uri)
	if err != nil {
		return nil, fmt.Errorf("%w: a bad URI", ErrNotHLS)
	}
	if u = base.ResolveReference(u); u.Scheme != "http" && u.Scheme != "https" {
		return nil, fmt.Errorf("%w: a URI of the scheme %.16q", ErrNotHLS, u.Scheme)
	}
	return u, nil
}
