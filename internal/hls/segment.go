package hls

import "time"

// segment is one finished media segment. It never changes, and all requests share its bytes.
type segment struct {
	// seq is the media sequence number and the segment's name.
	seq int64
	// start is the decode time of its first access unit on the stream's timeline.
	start, duration time.Duration
	// at is the wall clock at start, zero if nobody stamped the stream.
	at time.Time
	// discontinuity: times or tracks are not those of the segment before.
	discontinuity bool
	// independent: all of this segment can be decoded without those before.
	independent bool
	data        []byte
}
