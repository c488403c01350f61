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

// clocks are those of sound and of pictures of one session. Nearly always they are one, but some
// encoders stamp one of them in other units, and then they part by more than half of the circle.
type clocks struct {
	kinds  [2]clock
	newest *clock
}

// media returns the unwrapped time of an audio or video message.
func (c *clocks) media(messageType uint8, timestampMS uint32) int64 {
	own, other := &c.kinds[0], &c.kinds[1]
	if messageType == TypeAudio {
		own, other = other, own
	}
	c.newest = own
	return own.media(timestampMS, other)
}

// script returns the time of a script data message, which does not move a clock.
func (c *clocks) script(timestampMS uint32) int64 {
	if c.newest == nil {
		return int64(timestampMS)
	}
	ms := c.newest.unwrap(timestampMS)
	if !near(ms, c.newest.ms, maxSkew) {
		return c.newest.ms
	}
	return ms
}

// clock unwraps the 32-bit milliseconds of one kind.
type clock struct {
	ms      int64
	far     int64 // the last time that was too far away
	started bool
}

// media returns the unwrapped time of a message, of whose session the other kind has a clock. Of
// the two ways round the 32-bit circle it takes the shorter (RTMP 1.0 §5.3.1: serial number
// arithmetic), so that times out of order near the wrap come out right, and so do jumps.
func (c *clock) media(timestampMS uint32, other *clock) int64 {
	switch {
	case !c.started:
		*c = *other
	case other.started && (near(other.ms, c.far, maxStep) || near(other.far, c.far, maxStep)):
		c.ms = c.far // both have gone there
	}
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

func (c *clock) unwrap(timestampMS uint32) int64 {
	return c.ms + int64(int32(timestampMS-uint32(c.ms)))
}

func near(a, b, distance int64) bool { return a >= b-distance && a <= b+distance }
