package e2e

import (
	"fmt"
	"net/url"
	"regexp"
	"strconv"
	"strings"
)

// llPlaylist is a media playlist of Low-Latency HLS as the tests read it (RFC 8216bis §4.4).
// Addresses are absolute.
type llPlaylist struct {
	target, partTarget, holdBack       float64
	sequence, discontinuities, skipped int
	segments                           []llSegment
	hint                               string
	reports                            map[string]attributes // rendition reports by address
	control                            attributes
	ended, independent                 bool
	version                            int
}

// llSegment is a segment, the last one of a playlist maybe without address: only its parts are
// known.
type llSegment struct {
	sequence      int
	address, init string
	duration      float64
	date          string
	discontinuity bool
	gap           bool
	parts         []llPart
}

type llPart struct {
	address     string
	duration    float64
	independent bool
}

// attributes is an attribute list (§4.2), values without their quotes.
type attributes map[string]string

var attribute = regexp.MustCompile(`([A-Z0-9-]+)=("[^"]*"|[^,]*)`)

func parseAttributes(text string) attributes {
	list := attributes{}
	for _, match := range attribute.FindAllStringSubmatch(text, -1) {
		list[match[1]] = strings.Trim(match[2], `"`)
	}
	return list
}

func (a attributes) seconds(name string) float64 {
	value, _ := strconv.ParseFloat(a[name], 64)
	return value
}

// resolve makes an address absolute; one that is malformed stays as it is, and will not be found.
func resolve(base, reference string) string {
	from, err := url.Parse(base)
	if err != nil {
		return reference
	}
	to, err := from.Parse(strings.TrimSpace(reference))
	if err != nil {
		return reference
	}
	return to.String()
}

func parseLL(address, text string) (list llPlaylist, err error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if lines[0] != "#EXTM3U" {
		return list, fmt.Errorf("no #EXTM3U: %.200q", text)
	}
	list.reports = map[string]attributes{}
	next, init := llSegment{}, ""
	for _, line := range lines {
		line = strings.TrimSpace(line)
		tag, value, _ := strings.Cut(line, ":")
		number, _ := strconv.Atoi(value)
		list := &list
		switch tag {
		case "#EXT-X-VERSION":
			list.version = number
		case "#EXT-X-TARGETDURATION":
			list.target = float64(number)
		case "#EXT-X-MEDIA-SEQUENCE":
			list.sequence = number
		case "#EXT-X-DISCONTINUITY-SEQUENCE":
			list.discontinuities = number
		case "#EXT-X-INDEPENDENT-SEGMENTS":
			list.independent = true
		case "#EXT-X-ENDLIST":
			list.ended = true
		case "#EXT-X-SERVER-CONTROL":
			list.control = parseAttributes(value)
			list.holdBack = list.control.seconds("PART-HOLD-BACK")
		case "#EXT-X-PART-INF":
			list.partTarget = parseAttributes(value).seconds("PART-TARGET")
		case "#EXT-X-SKIP":
			list.skipped, err = strconv.Atoi(parseAttributes(value)["SKIPPED-SEGMENTS"])
		case "#EXT-X-PRELOAD-HINT":
			list.hint = resolve(address, parseAttributes(value)["URI"])
		case "#EXT-X-RENDITION-REPORT":
			report := parseAttributes(value)
			list.reports[resolve(address, report["URI"])] = report
		case "#EXT-X-MAP":
			init = resolve(address, parseAttributes(value)["URI"])
		case "#EXT-X-DISCONTINUITY":
			next.discontinuity = true
		case "#EXT-X-GAP":
			next.gap = true
		case "#EXT-X-PROGRAM-DATE-TIME":
			next.date = value
		case "#EXT-X-PART":
			part := parseAttributes(value)
			next.parts = append(next.parts, llPart{resolve(address, part["URI"]), part.seconds("DURATION"), part["INDEPENDENT"] == "YES"})
		case "#EXTINF":
			seconds, _, _ := strings.Cut(value, ",")
			next.duration, err = strconv.ParseFloat(seconds, 64)
		}
		if err != nil {
			return *list, fmt.Errorf("%q: %w", line, err)
		}
		if line != "" && line[0] != '#' {
			next.address = resolve(address, line)
			list.add(&next, init)
		}
	}
	if len(next.parts) > 0 {
		list.add(&next, init)
	}
	return list, nil
}

func (list *llPlaylist) add(next *llSegment, init string) {
	next.init = init
	next.sequence = list.sequence + list.skipped + len(list.segments)
	list.segments = append(list.segments, *next)
	*next = llSegment{}
}

// next is what a client asks for next: the first part that is not there.
func (list llPlaylist) next() (sequence, part int) {
	if len(list.segments) == 0 {
		return list.sequence, 0
	}
	last := list.segments[len(list.segments)-1]
	if last.address == "" {
		return last.sequence, len(last.parts)
	}
	return last.sequence + 1, 0
}

// multivariant is a multivariant playlist (§4.4.6).
type multivariant struct {
	variants, media, pictures []attributes // with their addresses as URI; STREAM-INF, MEDIA and I-FRAME-STREAM-INF
}

func parseMultivariant(address, text string) (list multivariant, err error) {
	lines := strings.Split(strings.TrimSpace(text), "\n")
	if lines[0] != "#EXTM3U" {
		return list, fmt.Errorf("no #EXTM3U: %.200q", text)
	}
	var variant attributes
	for _, line := range lines {
		line = strings.TrimSpace(line)
		tag, value, _ := strings.Cut(line, ":")
		found := parseAttributes(value)
		if uri := found["URI"]; uri != "" {
			found["URI"] = resolve(address, uri)
		}
		switch {
		case tag == "#EXT-X-STREAM-INF":
			variant = found
		case tag == "#EXT-X-MEDIA":
			list.media = append(list.media, found)
		case tag == "#EXT-X-I-FRAME-STREAM-INF":
			list.pictures = append(list.pictures, found)
		case line != "" && line[0] != '#':
			variant["URI"] = resolve(address, line)
			list.variants = append(list.variants, variant)
		}
	}
	if len(list.variants) == 0 {
		return list, fmt.Errorf("no variant: %q", text)
	}
	return list, nil
}

// playlists are the addresses of all media playlists but those of I-frames.
func (list multivariant) playlists() (addresses []string) {
	seen := map[string]bool{}
	for _, found := range append(append([]attributes(nil), list.variants...), list.media...) {
		if uri := found["URI"]; uri != "" && !seen[uri] {
			seen[uri] = true
			addresses = append(addresses, uri)
		}
	}
	return addresses
}
