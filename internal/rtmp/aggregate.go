package rtmp

// aggregate iterates over the messages inside an aggregate message (§7.1.6). Each is an FLV tag
// without file header:
//
//	type (1) | length (3) | time (3) | time, upper 8 bits (1) | stream id (3) | data | back pointer (4)
type aggregate struct {
	rest     []byte
	streamID uint32
	// offset is added to the time of each: that of the aggregate less that of the first.
	offset uint32
	// time and first are those of the aggregate and of the first in it.
	time, first uint32
}

const (
	subHeaderSize   = 11
	backPointerSize = 4
)

// newAggregate reads an aggregate that came after another one. Where its time stands still and
// those of the messages go on, theirs are meant: some senders write 0 in all.
func newAggregate(m Message, before aggregate) aggregate {
	a := aggregate{rest: m.Body, streamID: m.StreamID, time: m.TimestampMS}
	if len(a.rest) < subHeaderSize {
		return a
	}
	a.first = subTimestamp(a.rest)
	if a.offset = a.time - a.first; a.time == before.time && a.first > before.first && before.streamID == a.streamID {
		a.offset = before.offset
	}
	return a
}

// more says whether there may be a next message.
func (a *aggregate) more() bool { return len(a.rest) > 0 }

// next returns the next media or data message. Whatever else is in an aggregate is skipped, and so
// is what follows a message that is cut off. The last back pointer may be missing.
func (a *aggregate) next() (Message, bool) {
	for len(a.rest) >= subHeaderSize {
		length := int(uint24(a.rest[1:]))
		end := subHeaderSize + length
		if end > len(a.rest) {
			break
		}
		m := Message{
			Type:        a.rest[0],
			StreamID:    a.streamID,
			TimestampMS: subTimestamp(a.rest) + a.offset,
			Body:        a.rest[subHeaderSize:end:end],
		}
		a.rest = a.rest[min(end+backPointerSize, len(a.rest)):]
		if m.isMedia() {
			return m, true
		}
	}
	a.rest = nil
	return Message{}, false
}

func subTimestamp(header []byte) uint32 { return uint24(header[4:]) | uint32(header[7])<<24 }
