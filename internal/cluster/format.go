package cluster

import (
	"time"

	"livego/internal/flv"
)

// Format is the wire format between nodes: FLV tags, whose stream id, which is 0 in files, says
// when the message entered the cluster. All its values are equal.
type Format struct{ flv.TagFormat }

// streamIDAt is where the stream id begins in a tag (FLV E.4.1), clockTurn after how many
// milliseconds it begins anew: 4.6 hours. 0 says nothing.
const (
	streamIDAt = 8
	clockTurn  = 1<<24 - 1
)

// AppendArrived appends a message that arrived at a time, in nanoseconds since 1970; 0: that is not
// known.
func (f Format) AppendArrived(dst []byte, messageType uint8, timestampMS uint32, arrived int64, body []byte) []byte {
	at := len(dst) + streamIDAt
	if dst = f.AppendMessage(dst, messageType, timestampMS, body); arrived > 0 && at+3 <= len(dst) {
		ms := arrived/int64(time.Millisecond)%clockTurn + 1
		dst[at], dst[at+1], dst[at+2] = byte(ms>>16), byte(ms>>8), byte(ms)
	}
	return dst
}

// arrivedAt is the time that a stream id stands for: the last such one, or now if that is in the
// future, as where the other clock is ahead, or if it says nothing.
func arrivedAt(id uint32, now time.Time) time.Time {
	if id == 0 {
		return now
	}
	age := (now.UnixMilli() - int64(id) + 1) % clockTurn
	if age < 0 {
		age += clockTurn
	}
	if age > clockTurn/2 {
		return now
	}
	return now.Add(-time.Duration(age) * time.Millisecond)
}
