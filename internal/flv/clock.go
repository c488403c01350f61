package flv

import "time"

const (
	// maxJitter is how far a track's time may step back and still count as jitter, which is taken out. What steps back further is a
	// jump, which the stream's hub places anew (it counts more than 1 s back as one).
	maxJitter = 1000
	// maxSkew is how far a script data message may be from the media before its time counts as meaningless: many encoders send
	// metadata with a time of 0 at any point of a stream.
	maxSkew = 1000
	// maxTime bounds the unwrapped time, in ms, so that neither it nor its nanoseconds overflow: 139 years. Only a peer that jumps
	// by weeks with each message gets there.
	maxTime = 1 << 42
)

// clock unwraps the 32-bit milliseconds of one session, which all its tracks share.
type clock struct {
	ms      int64
	started bool
}

// media returns the unwrapped time of an audio or video message. Of the two ways round the 32-bit circle it takes the shorter
// (RTMP 1.0 §5.3.1: serial number arithmetic), so that times out of order near the wrap come out right, and so do jumps.
func (c *clock) media(timestampMS uint32) int64 {
	c.ms = c.unwrap(timestampMS)
	if !c.started || c.ms > maxTime || c.ms < -maxTime {
		c.ms = int64(timestampMS)
	}
	c.started = true
	return c.ms
}

// script returns the time of a script data message, which does not move the clock.
func (c *clock) script(timestampMS uint32) int64 {
	if !c.started {
		return int64(timestampMS)
	}
	ms := c.unwrap(timestampMS)
	if ms < c.ms-maxSkew || ms > c.ms+maxSkew {
		return c.ms
	}
	return ms
}

func (c *clock) unwrap(timestampMS uint32) int64 {
	return c.ms + int64(int32(timestampMS-uint32(c.ms)))
}

// timeline keeps the decode time of one track from falling by jitter.
type timeline struct {
	ms      int64
	started bool
}

func (t *timeline) dts(ms int64) time.Duration {
	if t.started && ms < t.ms && ms >= t.ms-maxJitter {
		ms = t.ms
	}
	t.ms, t.started = ms, true
	return time.Duration(ms) * time.Millisecond
}
