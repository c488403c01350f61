package rtmp

import (
	"encoding/binary"
	"errors"
	"io"
	"time"
)

// Limits of a chunk reader.
const (
	// setupMessageSize bounds a message before publish, and always for players: commands and
	// connect objects with long tokens take a few KiB.
	setupMessageSize = 64 << 10
	// setupChunkStreams bounds chunk streams before publish or play: clients use two or three.
	setupChunkStreams = 8
	// maxChunkStreams bounds chunk streams afterwards: encoders use one for each kind of message,
	// or for each track.
	maxChunkStreams = 64
	// pendingMessages bounds the memory of messages that have begun and not ended, in longest
	// messages. Interleaving exists so that audio overtakes a long picture: two may be long at
	// once, never all 64.
	pendingMessages = 2
)

// Sizes of a chunk reader's memory: small for peers that send commands and acknowledgements only,
// of which there may be thousands, and large for publishers, where it saves system calls and
// allocations.
const (
	setupBufferSize  = 4 << 10
	setupBodySize    = 4 << 10
	playerBufferSize = 256
	mediaBufferSize  = 64 << 10
	mediaSlabSize    = 256 << 10
	// minBufferSize and minSlabSize are what a publisher begins with: both double while it fills
	// them quickly, and go back to half when they are more than it needs.
	minBufferSize = 4 << 10
	minSlabSize   = 4 << 10
	// judgedReads is after how many reads the buffer's size is judged: it doubles if a quarter of
	// them filled it, and halves if hardly any, as those of key frames, took more than half.
	judgedReads = 64
	// slabDuration is how long a slab should last: the longer, the fewer; but it stays as long as
	// the newest body cut from it, and hardly longer than that do bodies stay that go into a log.
	slabDuration = 100 * time.Millisecond
	// slabShare: bodies longer than this part of a slab get memory of their own, so that little is
	// lost where a slab ends. All bodies do before publish: there are few, and what is left of a
	// slab would stay with each player.
	slabShare = 8
)

// Windows of acknowledgement, in bytes.
const (
	// defaultWindow holds until the peer sets one: encoders stop after that many bytes without an
	// acknowledgement.
	defaultWindow = 2_500_000
	// minWindow keeps a peer from asking for an acknowledgement of each byte.
	minWindow = 1 << 10
)

// chunkStream is what a receiver remembers of one chunk stream: the header that the next one is
// told in terms of, and the message that is being received.
type chunkStream struct {
	id          uint32
	messageType uint8
	streamID    uint32
	length      int
	timestamp   uint32
	// field is the time of the last header of type 0, 1 or 2: absolute in the first, else a delta,
	// and then relative is set. A new message that starts with type 3 adds it (§5.3.1.2.4), unless
	// the sender means something else (sameTime).
	field              uint32
	relative, extended bool
	repeats            repetition
	// open: a message has begun and more of it is to come. body has less capacity than length while
	// memory is given as data comes.
	open bool
	body []byte
}

// longDelta is the longest delta in ms that may stand for one in a header of type 0, of which the
// next message has the same time otherwise.
const longDelta = 500

// repetition says whether a sender puts the extended timestamp into type 3 chunks. It should
// (§5.3.1.3), but old librtmp does not.
type repetition uint8

const (
	repetitionUnknown repetition = iota
	repetitionYes
	repetitionNo
)

// chunkReader turns the bytes of a peer into messages. Set Chunk Size and Abort are obeyed,
// aggregates are split, bytes are acknowledged; everything else is returned by read. After an error
// the reader is of no more use.
type chunkReader struct {
	src io.Reader
	// acknowledge is called when the peer is due an acknowledgement. Never nil.
	acknowledge func(sequence uint32) error

	buf        []byte
	start, end int // what of buf is yet to be read
	bufSize    int // what buf is to have; it changes with the next fill
	// reads counts the reads of media into buf since its size was judged, full those that filled
	// it, half those that took more than half of it.
	reads, full, half int

	chunkSize      int
	maxMessageSize int
	maxStreams     int
	streams        []*chunkStream
	aggregate      aggregate
	// sameTime: a message that begins with type 3 has the time of the one before. librtmp and
	// nginx-rtmp mean that, and encoders with several tracks of sound send many such. They write
	// each delta that is not 0; others leave out the one that was before.
	sameTime bool

	slab      []byte
	slabSize  int // 0: bodies are not cut from slabs
	slabSince time.Time
	firstBody int // bytes of memory that a message gets at most before its data come
	pending   int // bytes of memory that open messages hold

	received uint32 // modulo 2^32, as acknowledgements count
	acked    uint32
	window   uint32
	// announced is the window that the peer was last told to acknowledge by.
	announced uint32
}

func newChunkReader(src io.Reader, acknowledge func(sequence uint32) error) *chunkReader {
	return &chunkReader{
		src:            src,
		acknowledge:    acknowledge,
		bufSize:        setupBufferSize,
		chunkSize:      defaultChunkSize,
		maxMessageSize: setupMessageSize,
		maxStreams:     setupChunkStreams,
		firstBody:      setupBodySize,
		window:         defaultWindow,
	}
}

// allowMedia raises limits and memory for a peer that sends media.
func (r *chunkReader) allowMedia(maxMessageSize int) {
	r.allowStreams()
	r.maxMessageSize = max(r.maxMessageSize, min(maxMessageSize, MaxBody))
	r.firstBody = mediaSlabSize
	r.slabSize = max(r.slabSize, minSlabSize)
	r.bufSize = max(r.bufSize, minBufferSize)
}

// expectLittle is for a peer that sends commands and acknowledgements from now on.
func (r *chunkReader) expectLittle() {
	r.bufSize = min(r.bufSize, playerBufferSize)
	r.slab, r.slabSize = nil, 0
}

// allowStreams raises the number of chunk streams only.
func (r *chunkReader) allowStreams() { r.maxStreams = maxChunkStreams }

// setWindow takes a Window Acknowledgement Size.
func (r *chunkReader) setWindow(size uint32) { r.window = max(size, minWindow) }

// buffered returns the bytes that were received and not read yet.
func (r *chunkReader) buffered() []byte { return r.buf[r.start:r.end] }

// await waits until there is something to read. io.EOF means that the peer ended between two
// chunks.
func (r *chunkReader) await() error {
	if r.aggregate.more() {
		return nil
	}
	return r.fill(1)
}

// read returns the next message. io.EOF means that the peer ended between two chunks,
// io.ErrUnexpectedEOF that it ended inside one.
func (r *chunkReader) read() (Message, error) {
	for {
		if m, ok := r.aggregate.next(); ok {
			return m, nil
		}
		m, complete, err := r.readChunk()
		if err != nil {
			return Message{}, err
		}
		if !complete {
			continue
		}
		switch m.Type {
		case typeSetChunkSize:
			err = r.setChunkSize(m.Body)
		case typeAbort:
			err = r.abort(m.Body)
		case typeAggregate:
			r.aggregate = newAggregate(m, r.aggregate)
		default:
			return m, nil
		}
		if err != nil {
			return Message{}, err
		}
	}
}

// setChunkSize obeys §5.4.1. Sizes above the longest message all mean the same.
func (r *chunkReader) setChunkSize(body []byte) error {
	if len(body) < 4 {
		return protocolErrorf("set chunk size of %d bytes", len(body))
	}
	size := binary.BigEndian.Uint32(body)
	if size == 0 || size>>31 != 0 {
		return protocolErrorf("chunk size %d", size)
	}
	r.chunkSize = int(min(size, MaxBody))
	return nil
}

// abort obeys §5.4.2.
func (r *chunkReader) abort(body []byte) error {
	if len(body) < 4 {
		return protocolErrorf("abort message of %d bytes", len(body))
	}
	id := binary.BigEndian.Uint32(body)
	for _, cs := range r.streams {
		if cs.id == id {
			r.discard(cs)
		}
	}
	return nil
}

// readChunk reads one chunk (§5.3.1), and reports the message that it completes.
func (r *chunkReader) readChunk() (m Message, complete bool, err error) {
	format, id, err := r.basicHeader()
	if err != nil {
		return Message{}, false, err
	}
	cs, err := r.chunkStream(id, format)
	if err == nil {
		err = r.messageHeader(cs, format)
	}
	if err == nil {
		err = r.payload(cs, min(cs.length-len(cs.body), r.chunkSize))
	}
	if err != nil {
		return Message{}, false, unexpectedEOF(err)
	}
	if len(cs.body) < cs.length {
		return Message{}, false, nil
	}
	m = Message{Type: cs.messageType, StreamID: cs.streamID, TimestampMS: cs.timestamp, Body: cs.body[:cs.length:cs.length]}
	r.discard(cs)
	return m, true, nil
}

// basicHeader reads the format and the chunk stream id, in one, two or three bytes (§5.3.1.1).
func (r *chunkReader) basicHeader() (format uint8, id uint32, err error) {
	if err := r.fill(1); err != nil {
		return 0, 0, err
	}
	first := r.take(1)[0]
	format, id = first>>6, uint32(first&0x3F)
	switch id {
	case 0:
		if err := r.fill(1); err != nil {
			return 0, 0, unexpectedEOF(err)
		}
		id = 64 + uint32(r.take(1)[0])
	case 1:
		if err := r.fill(2); err != nil {
			return 0, 0, unexpectedEOF(err)
		}
		id = 64 + uint32(binary.LittleEndian.Uint16(r.take(2)))
	}
	return format, id, nil
}

// chunkStream finds the state of a chunk stream. A new one must begin with type 0; type 1 is taken
// too, because librtmp's first pong has it.
func (r *chunkReader) chunkStream(id uint32, format uint8) (*chunkStream, error) {
	for _, cs := range r.streams {
		if cs.id == id {
			return cs, nil
		}
	}
	if format > 1 {
		return nil, protocolErrorf("chunk stream %d begins with a type %d header", id, format)
	}
	if len(r.streams) >= r.maxStreams {
		return nil, limitErrorf("more than %d chunk streams", r.maxStreams)
	}
	cs := &chunkStream{id: id}
	r.streams = append(r.streams, cs)
	return cs, nil
}

// messageHeader reads the message header and the extended timestamp, and begins a message unless
// the chunk continues one.
func (r *chunkReader) messageHeader(cs *chunkStream, format uint8) error {
	if format == 3 {
		if err := r.repeatedTime(cs); err != nil {
			return err
		}
		if cs.open {
			return nil
		}
		if !r.sameTime && (cs.relative || cs.field <= longDelta) {
			cs.timestamp += cs.field
		}
		return r.begin(cs)
	}
	continues, err := r.newHeader(cs, format)
	if err != nil || continues {
		return err
	}
	if format == 0 {
		cs.timestamp = cs.field
	} else {
		cs.timestamp += cs.field
	}
	return r.begin(cs)
}

// newHeader reads a header of type 0, 1 or 2. Inside a message that should not happen (§5.3.1.2.4),
// but there are senders that repeat the header in each chunk: equal fields continue the message,
// others begin a new one and the unfinished one is lost.
func (r *chunkReader) newHeader(cs *chunkStream, format uint8) (continues bool, err error) {
	size := [...]int{11, 7, 3}[format]
	if err := r.fill(size); err != nil {
		return false, err
	}
	h := r.take(size)
	old := *cs
	cs.field = uint24(h)
	if format <= 1 {
		cs.length = int(uint24(h[3:]))
		cs.messageType = h[6]
	}
	if format == 0 {
		cs.streamID = binary.LittleEndian.Uint32(h[7:])
	}
	cs.extended = cs.field == extendedMark
	if cs.extended {
		if err := r.fill(extendedTimeSize); err != nil {
			return false, err
		}
		cs.field = binary.BigEndian.Uint32(r.take(extendedTimeSize))
	}
	cs.relative = format > 0
	if !cs.open {
		r.sameTime = r.sameTime || format == 2 && old.relative && old.field == cs.field && cs.field > 0
		return false, nil
	}
	if cs.length == old.length && cs.messageType == old.messageType && cs.streamID == old.streamID {
		return true, nil
	}
	r.discard(cs)
	return false, nil
}

// repeatedTime reads the extended timestamp of a type 3 chunk, if it is there. The first such chunk
// of a chunk stream decides by comparing, byte by byte so as not to wait for bytes that a sender
// without repetition never sends.
func (r *chunkReader) repeatedTime(cs *chunkStream) error {
	if !cs.extended || cs.repeats == repetitionNo {
		return nil
	}
	if cs.repeats == repetitionUnknown {
		for i := range extendedTimeSize {
			if err := r.fill(i + 1); err != nil {
				return err
			}
			if r.buf[r.start+i] != byte(cs.field>>(24-8*i)) {
				cs.repeats = repetitionNo
				return nil
			}
		}
		cs.repeats = repetitionYes
	}
	if err := r.fill(extendedTimeSize); err != nil {
		return err
	}
	cs.field = binary.BigEndian.Uint32(r.take(extendedTimeSize))
	return nil
}

// begin makes room for a message whose header was read.
func (r *chunkReader) begin(cs *chunkStream) error {
	if cs.length > r.maxMessageSize {
		return limitErrorf("message of %d bytes, at most %d", cs.length, r.maxMessageSize)
	}
	body, err := r.reserve(cs.length)
	if err != nil {
		return err
	}
	cs.open, cs.body = true, body
	return nil
}

// discard forgets the message of cs, whether complete or not.
func (r *chunkReader) discard(cs *chunkStream) {
	r.pending -= cap(cs.body)
	cs.open, cs.body = false, nil
}

func unexpectedEOF(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}

func uint24(b []byte) uint32 { return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2]) }
