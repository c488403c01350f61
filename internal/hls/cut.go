package hls

import "time"

const (
	// maxFirstSegment bounds the segment that fixes the target duration. 250 pictures, the key
	// frame interval that encoders use by default, last 16.7 s at 15 fps.
	maxFirstSegment = 20 * time.Second
	// usualGOP is how far random access points are apart where that is not known: as far as
	// encoders make it by default, 250 pictures at 25 a second.
	usualGOP = 10 * time.Second
	// rounding is by how much a segment may exceed the target duration: RFC 8216 4.3.3.1 compares
	// to the nearest second.
	rounding = 499 * time.Millisecond
	// minDuration is the least duration in a playlist, for streams whose times stand still: players
	// refuse 0.
	minDuration = time.Millisecond
	// maxStep bounds what is taken for the length of one access unit.
	maxStep = time.Second
	// turnPatience is for how long, in media time, a new header of one kind of track waits for that
	// of the other, or for a random access point: encoders that send both at once have their sound
	// up to so far from their pictures.
	turnPatience = 250 * time.Millisecond
	// leastTurn is how far two segments are apart at least that begin for such a header alone,
	// without a random access point.
	leastTurn = time.Second
	// maxLag is how far a rendition may be behind the leading track before it misses segments.
	maxLag = 3 * time.Second
	// maxTolerance bounds half of a picture interval, for streams of few pictures.
	maxTolerance = 20 * time.Millisecond
	// departure is by how much an encoder that publishes several renditions ends them, or loses its
	// connections, one after the other. Only then is it known that the others go on, and players are
	// told to go on with them. It must be short: a player in Low-Latency mode has little more than the
	// PART-HOLD-BACK in its buffer, and hls.js (1.7.4, PlaylistLoader.load) gives up a request that is
	// held for 0.8 target durations.
	departure = 250 * time.Millisecond
	// skewMemory is for how many frames a lateness counts, roughly.
	skewMemory = 512
	// maxTrackLogs bounds the lines about tracks that are left out, for encoders that change codec all
	// the time.
	maxTrackLogs = 16
)

// pace follows the decode times of one track.
type pace struct {
	last, step time.Duration
	begun      bool
}

func (p *pace) mark(dts time.Duration) {
	if d := dts - p.last; d > 0 && p.begun {
		p.step = min(d, maxStep)
	}
	p.last, p.begun = dts, true
}

// wallClock maps the stream's timeline to the clock of the day, by the life's first unit.
type wallClock struct {
	arrived int64
	dts     time.Duration
}

func (c *wallClock) at(dts time.Duration) time.Time {
	if c.arrived == 0 {
		return time.Time{}
	}
	return time.Unix(0, c.arrived).Add(dts - c.dts).UTC()
}
