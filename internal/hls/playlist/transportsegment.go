package playlist

import "time"

// TSSegment is one finished media segment. It never changes, and all requests share its bytes.
type TSSegment struct {
	// Seq is the media sequence number and the segment's name.
	Seq int64
	// Start is the decode time of its first access unit on the stream's timeline.
	Start, Duration time.Duration
	// At is the wall clock at start, zero if nobody stamped the stream.
	At time.Time
	// Discontinuity: times or tracks are not those of the segment before.
	Discontinuity bool
	// Independent: all of this segment can be decoded without those before.
	Independent bool
	Data        []byte
}
