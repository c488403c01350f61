package codec

import (
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

	"livego/internal/media"
)

// FrameLength returns how long an audio frame lasts, 0 where it cannot be told.
func FrameLength(u *media.AccessUnit) time.Duration {
	if u.Track.SampleRate <= 0 {
		return 0
	}
	return time.Duration(FrameSamples(u.Track, u.Data)) * time.Second / time.Duration(u.Track.SampleRate)
}

// FrameSamples returns the length of an audio frame in samples, 0 where it cannot be told.
func FrameSamples(t *media.Track, frame []byte) int64 {
	const longestOpus = 5760 // 120 ms (RFC 6716 §3.2.5)
	switch {
	case t.Codec == media.Opus:
		if n := opus.PacketDuration2(frame); n <= longestOpus {
			return n
		}
		return 0
	case t.SamplesPerFrame == 0 && t.Codec == media.FLAC:
		return flacSamples(frame)
	}
	return int64(max(t.SamplesPerFrame, 0))
}

// flacSamples reads the block size of a frame header (RFC 9639 §9.1): a code, or a number of 8 or
// 16 bits behind the frame's own.
//
//	sync 14 | 0 | strategy 1 | block size 4 | rate 4 | channels 4 | depth 3 | 0 | number 8-56
//	(| block size - 1) ...
func flacSamples(frame []byte) int64 {
	if len(frame) < 6 || frame[0] != 0xFF || frame[1]&0xFE != 0xF8 {
		return 0
	}
	code := int64(frame[2] >> 4)
	switch {
	case code == 1:
		return 192
	case code >= 2 && code <= 5:
		return 144 << code
	case code >= 8:
		return 1 << code
	}
	at := 4 + codedLength(frame[4])
	switch {
	case code == 6 && at < len(frame):
		return int64(frame[at]) + 1
	case code == 7 && at+1 < len(frame):
		return int64(frame[at])<<8 + int64(frame[at+1]) + 1
	}
	return 0
}

// codedLength returns how many bytes a number coded like UTF-8 takes, by the first.
func codedLength(first byte) int {
	n := 1
	for mask := byte(0x40); first&0x80 != 0 && first&mask != 0 && mask > 1; mask >>= 1 {
		n++
	}
	return n
}
