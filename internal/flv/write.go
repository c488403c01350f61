package flv

import "encoding/binary"

const (
	// FileHeaderSize is the length of the FLV header and PreviousTagSize0 (FLV E.2, E.3).
	FileHeaderSize = 9 + 4
	// tagHeaderSize is the length of the fields before a tag's body (FLV E.4.1).
	tagHeaderSize = 11
	// maxTagBody is the longest body that the 24-bit DataSize can announce.
	maxTagBody = 1<<24 - 1
	// maxFrameHeader is the longest header of an unmasked WebSocket frame (RFC 6455 §5.2).
	maxFrameHeader = 2 + 8
)

// AppendFileHeader appends the FLV header, whose flags say which kinds of tag will come, and
// PreviousTagSize0.
func AppendFileHeader(dst []byte, video, audio bool) []byte {
	var flags byte
	if video {
		flags |= 0x01
	}
	if audio {
		flags |= 0x04
	}
	return append(dst, 'F', 'L', 'V', 1, flags, 0, 0, 0, 9, 0, 0, 0, 0)
}

// AppendTag appends an FLV tag and the PreviousTagSize after it (FLV E.3, E.4.1). A body of 16 MiB
// or more, which no message can have, appends nothing.
//
//	| type 8 | data size 24 | timestamp 24 | timestamp's upper bits 8 | stream id 24 = 0 | body | tag size 32 |
func AppendTag(dst []byte, tagType uint8, timestampMS uint32, body []byte) []byte {
	n := len(body)
	if n > maxTagBody {
		return dst
	}
	dst = append(dst, tagType,
		byte(n>>16), byte(n>>8), byte(n),
		byte(timestampMS>>16), byte(timestampMS>>8), byte(timestampMS), byte(timestampMS>>24),
		0, 0, 0)
	dst = append(dst, body...)
	return binary.BigEndian.AppendUint32(dst, uint32(tagHeaderSize+n))
}

// TagFormat is the wire format of HTTP-FLV: an FLV file without end.
type TagFormat struct{}

// AppendFileHeader appends the file header as a player gets it first.
func (TagFormat) AppendFileHeader(dst []byte, video, audio bool) []byte {
	return AppendFileHeader(dst, video, audio)
}

// AppendMessage appends one message as AppendTag does.
func (TagFormat) AppendMessage(dst []byte, messageType uint8, timestampMS uint32, body []byte) []byte {
	return AppendTag(dst, messageType, timestampMS, body)
}

// Overhead returns how many bytes AppendMessage adds to a body.
func (TagFormat) Overhead(int) int { return tagHeaderSize + 4 }

// WebSocketFormat is the wire format of WebSocket-FLV: one final, unmasked binary frame for the
// file header and for each tag.
type WebSocketFormat struct{}

// AppendFileHeader appends the file header as a frame.
func (WebSocketFormat) AppendFileHeader(dst []byte, video, audio bool) []byte {
	return AppendFileHeader(appendFrameHeader(dst, FileHeaderSize), video, audio)
}

// AppendMessage appends one message as a frame with a tag.
func (WebSocketFormat) AppendMessage(dst []byte, messageType uint8, timestampMS uint32, body []byte) []byte {
	if len(body) > maxTagBody {
		return dst
	}
	dst = appendFrameHeader(dst, tagHeaderSize+len(body)+4)
	return AppendTag(dst, messageType, timestampMS, body)
}

// Overhead returns at most how many bytes AppendMessage adds to a body.
func (WebSocketFormat) Overhead(int) int { return maxFrameHeader + tagHeaderSize + 4 }

// appendFrameHeader appends the header of a frame of n bytes: FIN and opcode 2, then the length in
// its shortest form.
func appendFrameHeader(dst []byte, n int) []byte {
	const finBinary = 0x82
	switch {
	case n < 126:
		return append(dst, finBinary, byte(n))
	case n <= 0xFFFF:
		return binary.BigEndian.AppendUint16(append(dst, finBinary, 126), uint16(n))
	}
	return binary.BigEndian.AppendUint64(append(dst, finBinary, 127), uint64(n))
}
