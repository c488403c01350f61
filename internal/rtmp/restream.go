package rtmp

import (
	"encoding/binary"
	"net"
)

// Restream returns a connection for a player on another message stream than 1: what is written to
// it in the form of a Format with StreamID 1 reaches conn as if it were for that one. So all
// players of a stream share what was encoded once. It is for whole messages from the first write
// on, in chunks of ChunkSize; commands and control messages pass as they are.
func Restream(conn net.Conn, streamID uint32) net.Conn {
	return &restream{Conn: conn, streamID: streamID}
}

// restream knows where in the chunks the next byte is.
type restream struct {
	net.Conn
	streamID uint32
	out      []byte

	header   [fullHeaderSize + extendedTimeSize]byte
	have     int  // bytes of a header that goes on with the next write
	chunk    int  // bytes of the chunk that are left
	message  int  // bytes of the message that are left, with those of the chunk
	extended bool // type 3 chunks repeat the time
}

// NetConn returns the connection below, for who sets options of its socket.
func (c *restream) NetConn() net.Conn {
	if under, ok := c.Conn.(interface{ NetConn() net.Conn }); ok {
		return under.NetConn()
	}
	return c.Conn
}

// Write writes b with the message stream replaced. After an error the connection is of no more use.
func (c *restream) Write(b []byte) (int, error) {
	c.out = append(c.out[:0], b...)
	for rest := c.out; len(rest) > 0; {
		n := min(c.chunk, len(rest))
		c.chunk -= n
		c.message -= n
		if rest = rest[n:]; len(rest) > 0 {
			rest = rest[c.readHeader(rest):]
		}
	}
	return c.Conn.Write(c.out)
}

// readHeader takes the bytes of a chunk's header that b begins with, and replaces those of the
// message stream.
func (c *restream) readHeader(b []byte) (n int) {
	var id [4]byte
	binary.LittleEndian.PutUint32(id[:], c.streamID)
	for n < len(b) {
		const streamIDAt = fullHeaderSize - len(id)
		c.header[c.have] = b[n]
		if at := c.have - streamIDAt; at >= 0 && at < len(id) && c.carriesMedia() {
			b[n] = id[at]
		}
		c.have++
		n++
		if c.complete() {
			c.have = 0
			c.chunk = min(c.message, ChunkSize)
			break
		}
	}
	return n
}

// carriesMedia says whether the header is one of a chunk stream on which a Format sends what
// players share.
func (c *restream) carriesMedia() bool {
	switch c.header[0] {
	case chunkStreamAudio, chunkStreamVideo, chunkStreamData:
		return true
	}
	return false
}

// complete says whether the header is, and takes what it says. Only types 0 and 3 are written.
func (c *restream) complete() bool {
	if c.header[0]>>6 == 3 {
		return c.have == 1 && !c.extended || c.have == 1+extendedTimeSize
	}
	if c.have == fullHeaderSize {
		c.extended = uint24(c.header[1:]) == extendedMark
		c.message = int(uint24(c.header[4:]))
	}
	return c.have == fullHeaderSize && !c.extended || c.have == fullHeaderSize+extendedTimeSize
}
