package fmp4

import (
	"encoding/binary"
	"fmt"
	"math"
	"strings"
	"time"
)

// Schemes of events that players know.
const (
	// SchemeID3: the message is an ID3 tag, version 2 (Carriage of ID3 Timed Metadata in CMAF).
	SchemeID3 = "https://aomedia.org/emsg/ID3"
	// SchemeSCTE35: the message is a splice_info_section (ANSI/SCTE 214-3).
	SchemeSCTE35 = "urn:scte:scte35:2013:bin"
)

// Event is a message to the player at a time of the stream: timed metadata (ISO/IEC 23009-1
// §5.10.3.3).
type Event struct {
	// Scheme says what Value and Message mean; a URI. Neither text may hold a zero byte.
	Scheme, Value string
	// ID tells events of one scheme and value apart: one that is repeated has the same.
	ID uint32
	// Time is when the event begins, on the timeline of the access units.
	Time time.Duration
	// Duration is how long it lasts; negative if not known.
	Duration time.Duration
	Message  []byte
}

const (
	// maxEvent bounds an event: an ID3 tag with a small picture.
	maxEvent = 64 << 10
	// emsgSize is the size of an emsg without its texts and message.
	emsgSize = boxHeader + 4 + 4 + 8 + 4 + 4
	prftSize = boxHeader + 4 + 4 + 8 + 8
)

// size checks an event and returns the size of its box.
func (e *Event) size() (int, error) {
	size := emsgSize + len(e.Scheme) + 1 + len(e.Value) + 1 + len(e.Message)
	switch {
	case size > maxEvent:
		return 0, fmt.Errorf("event of %d bytes: %w", size, ErrData)
	case strings.Contains(e.Scheme, "\x00") || strings.Contains(e.Value, "\x00"):
		return 0, fmt.Errorf("event with a zero byte in its text: %w", ErrData)
	case e.Time < 0 || e.Time > maxTime:
		return 0, fmt.Errorf("event at %v: %w", e.Time, ErrTime)
	}
	return size, nil
}

// appendEvent writes an emsg of version 1, which has its time on the track's timeline. size has
// checked the event.
func (w *Writer) appendEvent(dst []byte, e *Event) []byte {
	const version1, unknown = 1 << 24, math.MaxUint32
	size, _ := e.size()
	duration := uint32(unknown)
	if ticks := w.clock.ticks(min(e.Duration, maxTime)); e.Duration >= 0 && ticks < unknown {
		duration = uint32(ticks)
	}
	dst = appendHeader(dst, "emsg", size)
	dst = binary.BigEndian.AppendUint32(dst, version1)
	dst = binary.BigEndian.AppendUint32(dst, uint32(w.clock.scale))
	dst = binary.BigEndian.AppendUint64(dst, uint64(w.clock.ticks(e.Time)))
	dst = binary.BigEndian.AppendUint32(dst, duration)
	dst = binary.BigEndian.AppendUint32(dst, e.ID)
	dst = append(append(dst, e.Scheme...), 0)
	dst = append(append(dst, e.Value...), 0)
	return append(dst, e.Message...)
}

// appendPrft writes a producer reference time: the wall clock, in the format of NTP, at a media
// time of a track.
func appendPrft(dst []byte, track uint32, wall time.Time, mediaTime int64) []byte {
	const (
		version1 = 1 << 24
		// captured: the clock is a small and constant time behind that of what the picture shows.
		captured = 24
		// ntpEpoch is the time from 1900 to 1970, in seconds.
		ntpEpoch = 2_208_988_800
	)
	fraction := uint64(wall.Nanosecond()) << 32 / uint64(time.Second)
	dst = appendHeader(dst, "prft", prftSize)
	dst = binary.BigEndian.AppendUint32(dst, version1|captured)
	dst = binary.BigEndian.AppendUint32(dst, track)
	dst = binary.BigEndian.AppendUint64(dst, uint64(wall.Unix()+ntpEpoch)<<32|fraction)
	return binary.BigEndian.AppendUint64(dst, uint64(max(mediaTime, 0)))
}
