package rtmp

import "encoding/binary"

// ChunkSize is the size of the chunks that this package sends, announced before any message that
// needs it. Large chunks cost fewer headers; 60,000 is below 65,536, the documented maximum of
// Flash Media Server, and fits into 16 bits, in which some clients keep it.
const ChunkSize = 60_000

// defaultChunkSize holds in each direction until Set Chunk Size (§5.4.1).
const defaultChunkSize = 128

// Chunk streams of outgoing messages, one for each kind so that a receiver can prioritise (§3). All
// have one-byte ids.
const (
	chunkStreamControl = 2 // demanded for protocol control by §5.4
	chunkStreamCommand = 3
	chunkStreamAudio   = 4
	chunkStreamData    = 5
	chunkStreamVideo   = 6
)

// extendedMark in a 24-bit time field says that the time follows in 32 bits (§5.3.1.3).
const extendedMark = 0xFFFFFF

const (
	fullHeaderSize   = 12 // basic header and type 0 message header
	extendedTimeSize = 4
)

// Format is the wire format of messages to one message stream: each message starts with a type 0
// header and its absolute time, so that a receiver may begin with any of them, and goes on in type
// 3 chunks, which repeat an extended timestamp.
type Format struct {
	// StreamID is the message stream. Protocol control goes to stream 0 whatever it is.
	StreamID uint32
	// ChunkSize is the chunk size announced to the peer; 0 means the constant of that name.
	ChunkSize int
}

// Overhead returns the most bytes that AppendMessage adds to a body of that length.
func (f Format) Overhead(bodyLen int) int {
	size := f.chunkSize()
	continuations := max(bodyLen-1, 0) / size
	return fullHeaderSize + extendedTimeSize + continuations*(1+extendedTimeSize)
}

// AppendMessage appends the chunks of a message and returns the extended slice. A body longer than
// MaxBody cannot be sent: nothing is appended.
func (f Format) AppendMessage(dst []byte, messageType uint8, timestampMS uint32, body []byte) []byte {
	if len(body) > MaxBody {
		return dst
	}
	id := chunkStreamOf(messageType)
	extended := timestampMS >= extendedMark
	dst = f.appendHeader(dst, id, messageType, timestampMS, len(body))
	size := f.chunkSize()
	for len(body) > size {
		dst = append(dst, body[:size]...)
		body = body[size:]
		dst = append(dst, 3<<6|id)
		if extended {
			dst = binary.BigEndian.AppendUint32(dst, timestampMS)
		}
	}
	return append(dst, body...)
}

// appendHeader appends the basic header and the type 0 message header (§5.3.1.2.1):
//
//	+--------------+----------------+---------------+-------------+--------------------+
//	| basic header | time (3 bytes) | length (3)    | type (1)    | stream id (4, LE)  | [extended time (4)]
//	+--------------+----------------+---------------+-------------+--------------------+
func (f Format) appendHeader(dst []byte, id, messageType uint8, timestampMS uint32, length int) []byte {
	field := min(timestampMS, extendedMark)
	dst = append(dst, id,
		byte(field>>16), byte(field>>8), byte(field),
		byte(length>>16), byte(length>>8), byte(length),
		messageType)
	streamID := f.StreamID
	if id == chunkStreamControl {
		streamID = 0
	}
	dst = binary.LittleEndian.AppendUint32(dst, streamID)
	if field == extendedMark {
		dst = binary.BigEndian.AppendUint32(dst, timestampMS)
	}
	return dst
}

func (f Format) chunkSize() int {
	if f.ChunkSize <= 0 {
		return ChunkSize
	}
	return f.ChunkSize
}

func chunkStreamOf(messageType uint8) uint8 {
	switch messageType {
	case TypeAudio:
		return chunkStreamAudio
	case TypeVideo, typeAggregate:
		return chunkStreamVideo
	case TypeDataAMF0, TypeDataAMF3:
		return chunkStreamData
	case typeSetChunkSize, typeAbort, typeAcknowledgement, typeUserControl, typeWindowAckSize, typeSetPeerBandwidth:
		return chunkStreamControl
	}
	return chunkStreamCommand
}
