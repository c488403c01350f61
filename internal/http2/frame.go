package http2

import "encoding/binary"

// kind is the type of a frame (RFC 9113 6).
type kind uint8

const (
	frameData kind = iota
	frameHeaders
	framePriority
	frameReset
	frameSettings
	framePushPromise
	framePing
	frameGoAway
	frameWindow
	frameContinuation
)

// Flags of frames (RFC 9113 6).
const (
	flagEndStream  = 0x1
	flagAck        = 0x1
	flagEndHeaders = 0x4
	flagPadded     = 0x8
	flagPriority   = 0x20
)

// Settings (RFC 9113 6.5.2).
const (
	settingEnablePush    = 0x2
	settingMaxStreams    = 0x3
	settingInitialWindow = 0x4
	settingMaxFrame      = 0x5
	settingMaxHeaderList = 0x6
)

const (
	headerSize  = 9
	settingSize = 6
	// leastFrame is the largest payload that everybody takes, in bytes, and that this side takes.
	leastFrame, mostFrame = 1 << 14, 1<<24 - 1
	// firstWindow is what may be sent before there is word of a window, maxWindow the largest one.
	firstWindow, maxWindow = 1<<16 - 1, 1<<31 - 1
	streamMask             = 1<<31 - 1
)

// header is that of a frame.
//
//	+-----------------------------------------------+
//	|                 Length (24)                   |
//	+---------------+---------------+---------------+
//	|   Type (8)    |   Flags (8)   |
//	+-+-------------+---------------+-------------------------------+
//	|R|                 Stream Identifier (31)                      |
//	+=+=============================================================+
type header struct {
	length int
	kind   kind
	flags  uint8
	stream uint32
}

// parseHeader reads the header of a frame, which b has.
func parseHeader(b []byte) header {
	return header{
		length: int(b[0])<<16 | int(b[1])<<8 | int(b[2]), kind: kind(b[3]), flags: b[4],
		stream: binary.BigEndian.Uint32(b[5:]) & streamMask,
	}
}

func (h header) has(flag uint8) bool { return h.flags&flag != 0 }

// appendHeader appends the header of a frame.
func appendHeader(b []byte, length int, k kind, flags uint8, stream uint32) []byte {
	b = append(b, byte(length>>16), byte(length>>8), byte(length), byte(k), flags)
	return binary.BigEndian.AppendUint32(b, stream)
}

func appendReset(b []byte, stream uint32, code Code) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(b, 4, frameReset, 0, stream), uint32(code))
}

func appendWindow(b []byte, stream uint32, n int) []byte {
	return binary.BigEndian.AppendUint32(appendHeader(b, 4, frameWindow, 0, stream), uint32(n))
}

func appendGoAway(b []byte, last uint32, code Code) []byte {
	b = binary.BigEndian.AppendUint32(appendHeader(b, 8, frameGoAway, 0, 0), last)
	return binary.BigEndian.AppendUint32(b, uint32(code))
}

func appendSetting(b []byte, id uint16, value uint32) []byte {
	return binary.BigEndian.AppendUint32(binary.BigEndian.AppendUint16(b, id), value)
}

// appendBlock appends a header block, in as many frames as the other side asks for.
func appendBlock(b []byte, block []byte, most int, flags uint8, stream uint32) []byte {
	k := frameHeaders
	for {
		n := min(len(block), most)
		if n == len(block) {
			flags |= flagEndHeaders
		}
		b = append(appendHeader(b, n, k, flags, stream), block[:n]...)
		if block = block[n:]; len(block) == 0 {
			return b
		}
		k, flags = frameContinuation, 0
	}
}

// unpad returns the content of a frame without its padding (RFC 9113 6.1).
func unpad(h header, b []byte) ([]byte, error) {
	if !h.has(flagPadded) {
		return b, nil
	}
	if len(b) == 0 {
		return nil, fault(FrameSize, "6.1: no length of the padding")
	}
	n := int(b[0])
	if b = b[1:]; n > len(b) {
		return nil, fault(Protocol, "6.1: more padding than payload")
	}
	return b[:len(b)-n], nil
}
