package hlscheck

import (
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"
)

// playlist is a media playlist. A delta update has skipped > 0 and lacks that many segments at its
// beginning.
type playlist struct {
	// tags counts the lines of each tag.
	tags                       map[string]int
	version, target            int
	partTarget                 time.Duration
	control                    attributes
	mediaSequence, discontinue int64
	skipped                    int
	recentlyRemoved            bool
	// segments are complete; open has parts only, and is the last.
	segments []segment
	open     *segment
	hints    []attributes
	reports  []attributes
}

// segment is what a playlist says of a media segment.
type segment struct {
	msn, dsn       int64
	uri, byterange string
	duration       time.Duration
	discontinuity  bool
	init           string
	at             time.Time
	gap            bool
	parts          []part
}

type part struct {
	uri              string
	duration         time.Duration
	independent, gap bool
}

// multivariant is a multivariant playlist.
type multivariant struct {
	tags                   map[string]int
	version                int
	variants, media, frame []attributes
}

// attributes is an attribute list, without the quotes of its texts. Under "" it has the URI line
// that follows.
type attributes map[string]string

func (p *playlist) ended() bool { return p.tags["EXT-X-ENDLIST"] > 0 }

func (p *playlist) framesOnly() bool { return p.tags["EXT-X-I-FRAMES-ONLY"] > 0 }

func (p *playlist) lowLatency() bool { return p.tags["EXT-X-PART-INF"] > 0 }

// all returns the complete segments and the open one.
func (p *playlist) all() []segment {
	if p.open == nil {
		return p.segments
	}
	return append(p.segments[:len(p.segments):len(p.segments)], *p.open)
}

func (p *playlist) duration() (sum time.Duration) {
	for _, s := range p.segments {
		sum += s.duration
	}
	return sum
}

// lines returns the lines of a text that mean something.
func lines(text string) ([]string, error) {
	if !strings.HasPrefix(text, "#EXTM3U\n") && !strings.HasPrefix(text, "#EXTM3U\r\n") {
		return nil, fmt.Errorf("the first line is not #EXTM3U")
	}
	if !strings.HasSuffix(text, "\n") {
		return nil, fmt.Errorf("the last line has no end")
	}
	var list []string
	for line := range strings.Lines(text) {
		line = strings.TrimRight(line, "\r\n")
		if line != "" && (line[0] != '#' || strings.HasPrefix(line, "#EXT")) {
			list = append(list, line)
		}
	}
	return list[1:], nil
}

// cutTag splits a line into the name of its tag and the rest; a URI has the name "".
func cutTag(line string) (tag, value string) {
	if !strings.HasPrefix(line, "#") {
		return "", line
	}
	tag, value, _ = strings.Cut(line[1:], ":")
	return tag, value
}

// parseAttributes reads an attribute list (RFC 8216bis 4.2).
func parseAttributes(text string) (attributes, error) {
	list := attributes{}
	for text != "" {
		name, rest, ok := strings.Cut(text, "=")
		if !ok || name == "" {
			return nil, fmt.Errorf("attribute without a value at %q", text)
		}
		var value string
		if strings.HasPrefix(rest, `"`) {
			if value, rest, ok = strings.Cut(rest[1:], `"`); !ok {
				return nil, fmt.Errorf("attribute %s has no closing quote", name)
			}
			rest, ok = strings.CutPrefix(rest, ",")
			if !ok && rest != "" {
				return nil, fmt.Errorf("no comma after attribute %s", name)
			}
		} else {
			value, rest, _ = strings.Cut(rest, ",")
		}
		if _, twice := list[name]; twice {
			return nil, fmt.Errorf("attribute %s is there twice", name)
		}
		list[name], text = value, rest
	}
	return list, nil
}

// seconds reads a decimal number of seconds.
func seconds(text string) (time.Duration, error) {
	f, err := strconv.ParseFloat(text, 64)
	if err != nil || f < 0 || f > 1e6 || strings.ContainsAny(text, "eExXnN+-_") {
		return 0, fmt.Errorf("%q is not a number of seconds", text)
	}
	return time.Duration(math.Round(f*1e6)) * time.Microsecond, nil
}

// parsing is the state while a media playlist is read.
type parsing struct {
	playlist
	// next is the segment that tags apply to.
	next    segment
	touched bool
	init    string
}

func parseMedia(text string) (*playlist, error) {
	list, err := lines(text)
	if err != nil {
		return nil, err
	}
	p := &parsing{playlist: playlist{tags: map[string]int{}}}
	for _, line := range list {
		tag, value := cutTag(line)
		if p.tags[tag]++; tag == "" {
			p.uri(value)
			continue
		}
		if err := p.tag(tag, value); err != nil {
			return nil, fmt.Errorf("%s: %w", tag, err)
		}
	}
	if p.touched {
		p.place()
		p.open = &p.next
	}
	return &p.playlist, nil
}

// place numbers the segment under way.
func (p *parsing) place() {
	p.next.msn = p.mediaSequence + int64(p.skipped+len(p.segments))
	p.next.init = p.init
}

func (p *parsing) uri(uri string) {
	p.next.uri = uri
	p.place()
	p.segments = append(p.segments, p.next)
	p.next, p.touched = segment{}, false
}

// tag reads one tag.
func (p *parsing) tag(tag, value string) (err error) {
	switch tag {
	case "EXT-X-VERSION":
		p.version, err = strconv.Atoi(value)
	case "EXT-X-TARGETDURATION":
		p.target, err = strconv.Atoi(value)
	case "EXT-X-MEDIA-SEQUENCE":
		p.mediaSequence, err = strconv.ParseInt(value, 10, 64)
	case "EXT-X-DISCONTINUITY-SEQUENCE":
		p.discontinue, err = strconv.ParseInt(value, 10, 64)
	case "EXTINF":
		number, _, _ := strings.Cut(value, ",")
		p.next.duration, err = seconds(number)
	case "EXT-X-BYTERANGE":
		p.next.byterange = value
	case "EXT-X-DISCONTINUITY":
		p.next.discontinuity = true
	case "EXT-X-GAP":
		p.next.gap = true
	case "EXT-X-PROGRAM-DATE-TIME":
		p.next.at, err = time.Parse(time.RFC3339Nano, value)
	default:
		return p.attributeTag(tag, value)
	}
	return err
}

// attributeTag reads one tag with an attribute list. Others are left alone.
func (p *parsing) attributeTag(tag, value string) error {
	switch tag {
	case "EXT-X-SERVER-CONTROL", "EXT-X-PART-INF", "EXT-X-SKIP", "EXT-X-MAP", "EXT-X-PART", "EXT-X-PRELOAD-HINT", "EXT-X-RENDITION-REPORT":
	default:
		return nil
	}
	a, err := parseAttributes(value)
	if err != nil {
		return err
	}
	switch tag {
	case "EXT-X-SERVER-CONTROL":
		p.control = a
	case "EXT-X-PART-INF":
		p.partTarget, err = seconds(a["PART-TARGET"])
	case "EXT-X-SKIP":
		_, p.recentlyRemoved = a["RECENTLY-REMOVED-DATERANGES"]
		p.skipped, err = strconv.Atoi(a["SKIPPED-SEGMENTS"])
	case "EXT-X-MAP":
		p.init = a["URI"]
	case "EXT-X-PART":
		var d time.Duration
		d, err = seconds(a["DURATION"])
		p.next.parts = append(p.next.parts, part{uri: a["URI"], duration: d, independent: a["INDEPENDENT"] == "YES", gap: a["GAP"] == "YES"})
		p.touched = true
	case "EXT-X-PRELOAD-HINT":
		p.hints = append(p.hints, a)
	case "EXT-X-RENDITION-REPORT":
		p.reports = append(p.reports, a)
	}
	return err
}

// number gives each segment its discontinuity sequence number (RFC 8216bis 6.2.1).
func (p *playlist) number() {
	dsn := p.discontinue
	for i := range p.segments {
		if p.segments[i].discontinuity {
			dsn++
		}
		p.segments[i].dsn = dsn
	}
	if p.open != nil {
		if p.open.discontinuity {
			dsn++
		}
		p.open.dsn = dsn
	}
}

func parseMultivariant(text string) (*multivariant, error) {
	list, err := lines(text)
	if err != nil {
		return nil, err
	}
	m := &multivariant{tags: map[string]int{}}
	for i, line := range list {
		tag, value := cutTag(line)
		m.tags[tag]++
		switch tag {
		case "EXT-X-VERSION":
			if m.version, err = strconv.Atoi(value); err != nil {
				return nil, err
			}
		case "EXT-X-STREAM-INF", "EXT-X-MEDIA", "EXT-X-I-FRAME-STREAM-INF":
			a, err := parseAttributes(value)
			if err != nil {
				return nil, fmt.Errorf("%s: %w", tag, err)
			}
			switch tag {
			case "EXT-X-MEDIA":
				m.media = append(m.media, a)
			case "EXT-X-I-FRAME-STREAM-INF":
				m.frame = append(m.frame, a)
			default:
				if i+1 < len(list) && !strings.HasPrefix(list[i+1], "#") {
					a[""] = list[i+1]
				}
				m.variants = append(m.variants, a)
			}
		}
	}
	return m, nil
}
