package flv

const (
	// maxSkew is how far a script data message may be from the media before its time counts as
	// meaningless: many encoders send metadata with a time of 0 at any point of a stream.
	maxSkew = 1000
	// maxStep is how far a time may be from the one before to be where the clock goes on. What is
	// further away is so only if it comes twice: a wrong time alone, of which the shorter way round
	// the circle may be the wrong one too, moves nothing.
	maxStep = 10_000
	// maxTime bounds the unwrapped time, in ms, so that neither it nor its nanoseconds overflow:
	// 139 years. Only a peer that jumps by weeks with each message gets there.
	maxTime = 1 << 42
)

// clock unwraps the 32-bit milliseconds of one session, which all its tracks share.
type clock struct {
	ms      int64
	far     int64 // the last time that was too far away
	started bool
}

// media returns the unwrapped time of an audio or video message. Of the two ways round the 32-bit
// circle it takes the shorter (RTMP 1.0 §5.3.1: serial number arithmetic), so that times out of
// order near the wrap come out right, and so do jumps.
func (c *clock) media(timestampMS uint32) int64 {
	ms := c.unwrap(timestampMS)
	if !c.started || ms > maxTime || ms < -maxTime {
		ms = int64(timestampMS)
		c.ms, c.started = ms, true
	}
	if near(ms, c.ms, maxStep) || near(ms, c.far, maxStep) {
		c.ms = ms
	}
	c.far = ms
	return ms
}

// script returns the time of a script data message, which does not move the clock.
func (c *clock) script(timestampMS uint32) int64 {
	if !c.started {
		return int64(timestampMS)
	}
	ms := c.unwrap(timestampMS)
	if !near(ms, c.ms, maxSkew) {
		return c.ms
	}
	return ms
}

func (c *clock) unwrap(timestampMS uint32) int64 {
	return c.ms + int64(int32(timestampMS-uint32(c.ms)))
}

func near(a, b, distance int64) bool { return a >= b-distance && a <= b+distance }
