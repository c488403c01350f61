package rtmp

import "encoding/binary"

// User control events (§7.1.7).
const (
	eventStreamBegin     = 0
	eventStreamEOF       = 1
	eventSetBufferLength = 3
	eventPingRequest     = 6
	eventPingResponse    = 7
)

// Limit types of Set Peer Bandwidth (§5.4.5).
const limitDynamic = 2

// peerWindow is the acknowledgement window that we ask of peers, and the bandwidth window we
// announce.
const peerWindow = 2_500_000

// appendControl appends a protocol control message. All are shorter than the smallest default
// chunk.
func appendControl(dst []byte, messageType uint8, body ...byte) []byte {
	return Format{}.AppendMessage(dst, messageType, 0, body)
}

func appendSetChunkSize(dst []byte, size uint32) []byte {
	return appendControl(dst, typeSetChunkSize, be32(size)...)
}

func appendAcknowledgement(dst []byte, sequence uint32) []byte {
	return appendControl(dst, typeAcknowledgement, be32(sequence)...)
}

func appendWindowAckSize(dst []byte, size uint32) []byte {
	return appendControl(dst, typeWindowAckSize, be32(size)...)
}

func appendSetPeerBandwidth(dst []byte, size uint32, limit uint8) []byte {
	return appendControl(dst, typeSetPeerBandwidth, append(be32(size), limit)...)
}

// appendUserControl appends a user control message with its event data.
func appendUserControl(dst []byte, event uint16, data ...uint32) []byte {
	body := binary.BigEndian.AppendUint16(nil, event)
	for _, d := range data {
		body = binary.BigEndian.AppendUint32(body, d)
	}
	return appendControl(dst, typeUserControl, body...)
}

// isStreamEOF reports whether m says that a stream is over.
func isStreamEOF(m Message) bool {
	return m.Type == typeUserControl && len(m.Body) >= 2 && binary.BigEndian.Uint16(m.Body) == eventStreamEOF
}

func be32(v uint32) []byte { return binary.BigEndian.AppendUint32(nil, v) }

// controlReply returns what a protocol or user control message is to be answered with, nil for
// nothing. Set Chunk Size and Abort never get here.
func (r *chunkReader) controlReply(m Message) ([]byte, error) {
	switch m.Type {
	case typeWindowAckSize:
		if len(m.Body) < 4 {
			return nil, protocolErrorf("window acknowledgement size of %d bytes", len(m.Body))
		}
		r.setWindow(binary.BigEndian.Uint32(m.Body))
	case typeSetPeerBandwidth:
		if len(m.Body) < 4 {
			return nil, protocolErrorf("set peer bandwidth of %d bytes", len(m.Body))
		}
		// §5.4.5: answer if the window differs from the one announced.
		if size := binary.BigEndian.Uint32(m.Body); size != r.announced {
			r.announced = size
			return appendWindowAckSize(nil, size), nil
		}
	case typeUserControl:
		if len(m.Body) >= 6 && binary.BigEndian.Uint16(m.Body) == eventPingRequest {
			return appendUserControl(nil, eventPingResponse, binary.BigEndian.Uint32(m.Body[2:])), nil
		}
	}
	return nil, nil
}
