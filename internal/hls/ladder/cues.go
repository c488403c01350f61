package ladder

import (
	"encoding/base64"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"livego/internal/amf"
	"livego/internal/fmp4"
	"livego/internal/media"
)

const (
	// maxCue bounds a data message that is passed on as an event: an SCTE-35 section has at most 4
	// KiB, in base64 a third more.
	maxCue = 8 << 10
	// maxCues bounds the events of a segment and those that wait for one.
	maxCues = 16
	// maxCueAttributes and maxCueText bound what a date range says of an event.
	maxCueAttributes, maxCueText = 16, 256
)

// cue is an event that an encoder sent as script data, as playlists and players get it.
type cue struct {
	name string
	// properties are those of its object, nested ones after their own.
	properties amf.Object
	// message is what players get: JSON of its arguments, or an SCTE-35 section.
	message []byte
	scte35  bool
	// duration is in seconds, negative if not known.
	duration float64
}

// readCue reads a data message: onCuePoint, onAdCue and onTextData are events, others are not.
func readCue(data []byte) (c cue, ok bool) {
	if len(data) > maxCue {
		return cue{}, false
	}
	values, err := amf.DecodeAll(data)
	if err != nil || len(values) < 2 {
		return cue{}, false
	}
	c.name, _ = values[0].(string)
	if c.name != "onCuePoint" && c.name != "onAdCue" && c.name != "onTextData" {
		return cue{}, false
	}
	object := amf.Properties(values[1])
	for _, p := range object {
		if nested := amf.Properties(p.Value); nested == nil {
			c.properties = append(c.properties, p)
		}
	}
	for _, p := range object {
		c.properties = append(c.properties, amf.Properties(p.Value)...)
	}
	c.duration = -1
	for _, p := range c.properties {
		if v, ok := p.Value.(float64); ok && v >= 0 && v < 1e6 && (p.Name == "duration" || p.Name == "break_duration_sec") {
			c.duration = v
		}
	}
	if c.message = splice(c.properties); c.message != nil {
		c.scte35 = true
		return c, true
	}
	c.message, err = json.Marshal(plain(values[1]))
	return c, err == nil && len(object) > 0
}

// splice returns the SCTE-35 section that one of the properties holds in base64, nil if none does
// (ANSI/SCTE 35 §9.6.1: table_id 0xFC, then a length of 12 bits).
func splice(properties amf.Object) []byte {
	const table, head = 0xFC, 3
	for _, p := range properties {
		text, ok := p.Value.(string)
		if !ok || len(text) < 20 {
			continue
		}
		b, err := base64.StdEncoding.DecodeString(strings.TrimSpace(text))
		if err == nil && len(b) > head && b[0] == table && int(binary.BigEndian.Uint16(b[1:])&0xFFF)+head == len(b) {
			return b
		}
	}
	return nil
}

// plain makes an AMF value one that JSON can say.
func plain(v any) any {
	switch v := v.(type) {
	case string, bool:
		return v
	case float64:
		if math.IsNaN(v) || math.IsInf(v, 0) {
			return nil
		}
		return v
	case amf.Date:
		return v.UnixMS
	case amf.StrictArray:
		list := make([]any, 0, len(v))
		for _, e := range v {
			list = append(list, plain(e))
		}
		return list
	}
	properties := amf.Properties(v)
	if properties == nil {
		return nil
	}
	m := make(map[string]any, len(properties))
	for _, p := range properties {
		m[p.Name] = plain(p.Value)
	}
	return m
}

// dateRange renders the attributes of an EXT-X-DATERANGE (RFC 8216bis 4.4.5.1).
func (c *cue) dateRange(id string, at time.Time) string {
	b := fmt.Appendf(nil, `ID="%s",CLASS="%s",START-DATE="%s"`, id, c.name, at.UTC().Format("2006-01-02T15:04:05.000Z"))
	if c.duration >= 0 {
		name := "DURATION"
		if c.scte35 {
			name = "PLANNED-DURATION"
		}
		b = append(append(b, ","+name+"="...), strconv.FormatFloat(c.duration, 'f', -1, 64)...)
	}
	if c.scte35 {
		return string(append(append(b, ",SCTE35-CMD=0x"...), strings.ToUpper(hex.EncodeToString(c.message))...))
	}
	var seen []string
	for _, p := range c.properties {
		name, value := attributeName(p.Name), attributeValue(p.Value)
		if name == "" || value == "" || slices.Contains(seen, name) || len(seen) == maxCueAttributes {
			continue
		}
		seen = append(seen, name)
		b = append(append(append(append(b, ",X-"...), name...), '='), value...)
	}
	return string(b)
}

// attributeName makes a name for a client attribute: capital letters, digits and hyphens (RFC
// 8216bis 4.2).
func attributeName(s string) string {
	if len(s) > maxCueText {
		return ""
	}
	return strings.Map(func(r rune) rune {
		switch {
		case r >= 'a' && r <= 'z':
			return r - 'a' + 'A'
		case r >= 'A' && r <= 'Z', r >= '0' && r <= '9', r == '-':
			return r
		case r == '_' || r == ' ' || r == '.':
			return '-'
		}
		return -1
	}, s)
}

// attributeValue makes a quoted string or a number (RFC 8216bis 4.2), empty for what is neither.
func attributeValue(v any) string {
	switch v := v.(type) {
	case float64:
		if v >= 0 && v < 1e15 {
			return strconv.FormatFloat(v, 'f', -1, 64)
		}
		return `"` + strconv.FormatFloat(v, 'g', -1, 64) + `"`
	case bool:
		if v {
			return `"YES"`
		}
		return `"NO"`
	case string:
		if len(v) > maxCueText {
			return ""
		}
		return `"` + strings.Map(func(r rune) rune {
			switch {
			case r == '"':
				return '\''
			case r < ' ', r >= 0x7F && r < 0xA0: // control characters (4.1)
				return ' '
			}
			return r
		}, strings.ToValidUTF8(v, "?")) + `"`
	}
	return ""
}

// event is what players get in the media: an SCTE-35 section, or an ID3 tag.
func (c *cue) event(id uint32, at time.Duration) fmp4.Event {
	e := fmp4.Event{Scheme: fmp4.SchemeID3, ID: id, Time: at, Duration: -1}
	if c.duration >= 0 {
		e.Duration = time.Duration(c.duration * float64(time.Second))
	}
	if c.scte35 {
		e.Scheme, e.Message = fmp4.SchemeSCTE35, c.message
	} else {
		e.Message = id3(c.name, c.message)
	}
	return e
}

// id3 makes an ID3 tag (version 2.4) of one frame with user defined text: a description and a
// value, both UTF-8 and ended by a zero byte.
func id3(description string, value []byte) []byte {
	const utf8 = 3
	frame := append([]byte{utf8}, description...)
	frame = append(append(append(frame, 0), value...), 0)
	b := append([]byte("ID3\x04\x00\x00"), synchsafe(len(frame)+10)...)
	b = append(append(b, "TXXX"...), synchsafe(len(frame))...)
	return append(append(b, 0, 0), frame...)
}

// synchsafe is a number of 28 bits, 7 in each byte.
func synchsafe(n int) []byte {
	return []byte{byte(n >> 21 & 0x7F), byte(n >> 14 & 0x7F), byte(n >> 7 & 0x7F), byte(n & 0x7F)}
}

// cues are the events of a life.
type cues struct {
	roster *roster
	line   *timeline
	n      int
}

// script passes an event of the first publication on: as a date range in all playlists, and to the
// player in the media of the video, or of the audio if there is no video.
func (q *cues) script(pub *Publication, u *media.AccessUnit) {
	if u.Header != media.Sample || pub != q.roster.pubs[0] {
		return
	}
	c, ok := readCue(u.Data)
	if !ok {
		return
	}
	q.n++
	id, date := fmt.Sprintf("%d-%d", q.line.first, q.n), ""
	if at := q.line.clock.At(u.DTS); !at.IsZero() {
		date = c.dateRange(id, at)
	}
	video := pub.has(media.Video)
	for _, t := range q.roster.tracks {
		if date != "" {
			t.announce(date)
		}
		if (t.kind == media.Video) == video && len(t.events) < maxCues {
			t.events = append(t.events, c.event(uint32(q.n), u.DTS))
		}
	}
}

// announce puts a date range before the segment under way, or else before the next one.
func (t *track) announce(date string) {
	dates := &t.dates
	if t.member != nil && t.segment != nil {
		dates = &t.segment.Dates
	}
	if len(*dates) < maxCues {
		*dates = append(*dates, date)
	}
}
