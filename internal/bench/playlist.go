package bench

import (
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"
)

// mediaPlaylist is what a player needs of a playlist (RFC 8216bis §4.4). References to it are to
// its draft 18.
type mediaPlaylist struct {
	target   time.Duration
	sequence int
	// segments are those that are listed. Of the last one there may be parts only.
	segments []segment
	ended    bool
	// skipped is how many segments a delta update leaves out before the first one (§4.4.5.2).
	skipped int

	// partTarget is 0 if there are no parts (§4.4.3.7). blocks and skips are what the server can
	// do, holdBack how far behind the end a player of parts stays (§4.4.3.8).
	partTarget, holdBack time.Duration
	blocks, skips        bool
	// hint is the URI of the next part, which the server holds a request for (§4.4.5.3).
	hint string

	// variant is the first media playlist of a multivariant one, audio the rendition that belongs
	// to it (§4.4.6).
	variant, audio string
}

type segment struct {
	uri      string // empty while there are only parts
	duration time.Duration
	init     string // URI of the media initialization section (§4.4.4.5)
	gap      bool
	parts    []part
}

// part is a partial segment (§4.4.4.9).
type part struct {
	uri         string
	duration    time.Duration
	independent bool
	gap         bool
}

// errByteRange: this tool does not ask for ranges.
var errByteRange = errors.New("playlist with byte ranges, which are not supported")

// playlistReader holds what the lines before the present one said.
type playlistReader struct {
	mediaPlaylist
	next   segment
	init   string
	stream bool   // the next URI is that of a variant
	group  string // of its audio
	audio  map[string]string
}

// maxParsed bounds how many playlists are remembered.
const maxParsed = 64

// playlists reads playlists, each text once, however many players get it.
type playlists struct {
	mu     sync.Mutex
	parsed map[string]*mediaPlaylist
}

// parse is parsePlaylist. What it returns is shared, and must not be changed.
func (p *playlists) parse(text []byte) (*mediaPlaylist, error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if l := p.parsed[string(text)]; l != nil {
		return l, nil
	}
	l, err := parsePlaylist(string(text))
	if err != nil {
		return nil, err
	}
	if p.parsed == nil || len(p.parsed) >= maxParsed {
		p.parsed = make(map[string]*mediaPlaylist)
	}
	p.parsed[string(text)] = l
	return l, nil
}

// parsePlaylist reads a playlist; tags that say nothing to this player are skipped.
func parsePlaylist(text string) (*mediaPlaylist, error) {
	if !strings.HasPrefix(text, "#EXTM3U") {
		return nil, errors.New("what came is not a playlist")
	}
	r := playlistReader{}
	for line := range strings.Lines(text) {
		line = strings.TrimSpace(line)
		tag, value, _ := strings.Cut(line, ":")
		if err := r.line(line, tag, value); err != nil {
			return nil, fmt.Errorf("playlist: %s: %w", tag, err)
		}
		if r.variant != "" {
			break
		}
	}
	if r.variant != "" {
		r.mediaPlaylist.audio = r.audio[r.group]
		return &r.mediaPlaylist, nil
	}
	if len(r.next.parts) > 0 {
		r.segments = append(r.segments, r.next)
	}
	if r.target <= 0 {
		return nil, errors.New("playlist without target duration")
	}
	return &r.mediaPlaylist, nil
}

func (r *playlistReader) line(line, tag, value string) (err error) {
	switch tag {
	case "#EXT-X-PART":
		return r.part(attributes(value))
	case "#EXTINF":
		value, _, _ = strings.Cut(value, ",")
		r.next.duration, err = seconds(value)
	case "#EXT-X-GAP":
		r.next.gap = true
	case "#EXT-X-MAP":
		r.init = attributes(value).get("URI")
	case "#EXT-X-TARGETDURATION":
		r.target, err = seconds(value)
	case "#EXT-X-MEDIA-SEQUENCE":
		r.sequence, err = strconv.Atoi(value)
	case "#EXT-X-PART-INF":
		r.partTarget, err = seconds(attributes(value).get("PART-TARGET"))
	case "#EXT-X-SERVER-CONTROL":
		return r.control(attributes(value))
	case "#EXT-X-SKIP":
		if r.skipped, err = strconv.Atoi(attributes(value).get("SKIPPED-SEGMENTS")); err == nil && r.skipped < 0 {
			err = errors.New("below 0")
		}
	case "#EXT-X-PRELOAD-HINT":
		if a := attributes(value); a.get("TYPE") == "PART" {
			r.hint = a.get("URI")
		}
	case "#EXT-X-ENDLIST":
		r.ended = true
	case "#EXT-X-BYTERANGE":
		return errByteRange
	case "#EXT-X-STREAM-INF":
		r.stream, r.group = true, attributes(value).get("AUDIO")
	case "#EXT-X-MEDIA":
		r.media(attributes(value))
	default:
		if line != "" && line[0] != '#' {
			r.uri(line)
		}
	}
	return err
}

// uri takes a line that is one.
func (r *playlistReader) uri(line string) {
	if r.stream {
		r.variant = line
		return
	}
	r.next.uri, r.next.init = line, r.init
	r.segments = append(r.segments, r.next)
	r.next = segment{}
}

func (r *playlistReader) part(a attributes) (err error) {
	p := part{uri: a.get("URI"), independent: a.get("INDEPENDENT") == "YES", gap: a.get("GAP") == "YES"}
	if a.get("BYTERANGE") != "" {
		return errByteRange
	}
	p.duration, err = seconds(a.get("DURATION"))
	r.next.parts, r.next.init = append(r.next.parts, p), r.init
	return err
}

func (r *playlistReader) control(a attributes) (err error) {
	r.blocks = a.get("CAN-BLOCK-RELOAD") == "YES"
	r.skips = a.get("CAN-SKIP-UNTIL") != ""
	if holdBack := a.get("PART-HOLD-BACK"); holdBack != "" {
		r.holdBack, err = seconds(holdBack)
	}
	return err
}

// media keeps the first audio rendition of each group, or the default one.
func (r *playlistReader) media(a attributes) {
	uri, group := a.get("URI"), a.get("GROUP-ID")
	if a.get("TYPE") != "AUDIO" || uri == "" {
		return
	}
	if r.audio == nil {
		r.audio = map[string]string{}
	}
	if r.audio[group] == "" || a.get("DEFAULT") == "YES" {
		r.audio[group] = uri
	}
}

// attributes is an attribute list (§4.2).
type attributes string

// get returns a value without quotation marks, empty if it is not there.
func (a attributes) get(name string) string {
	for rest := string(a); rest != ""; {
		var key, value string
		key, rest, _ = strings.Cut(rest, "=")
		if quoted, ok := strings.CutPrefix(rest, `"`); ok {
			value, rest, _ = strings.Cut(quoted, `"`)
			rest = strings.TrimPrefix(rest, ",")
		} else {
			value, rest, _ = strings.Cut(rest, ",")
		}
		if strings.TrimSpace(key) == name {
			return value
		}
	}
	return ""
}

func seconds(text string) (time.Duration, error) {
	s, err := strconv.ParseFloat(text, 64)
	if err == nil && !(s >= 0 && s < 1e6) {
		err = errors.New("out of range")
	}
	return time.Duration(s * float64(time.Second)), err
}
