// Package cut is what both packagers hold to when they cut a stream into segments: how long these
// may be, how far apart units are, which samples of sound are missing, and how it is said that a
// track is left out.
package cut

import "time"

const (
	// MaxFirstSegment bounds the segment that fixes the target duration. 250 pictures, the key
	// frame interval that encoders use by default, last 16.7 s at 15 fps.
	MaxFirstSegment = 20 * time.Second
	// UsualGOP is how far random access points are apart where that is not known: as far as
	// encoders make it by default, 250 pictures at 25 a second.
	UsualGOP = 10 * time.Second
	// Rounding is by how much a segment may exceed the target duration: RFC 8216 4.3.3.1 compares
	// to the nearest second.
	Rounding = 499 * time.Millisecond
	// MinDuration is the least duration in a playlist, for streams whose times stand still: players
	// refuse 0.
	MinDuration = time.Millisecond
	// MaxStep bounds what is taken for the length of one access unit.
	MaxStep = time.Second
	// HeaderPatience is for how long, in media time, a new header of one kind of track waits for
	// that of the other, or for a random access point: encoders that send both at once have their
	// sound up to so far from their pictures.
	HeaderPatience = 250 * time.Millisecond
	// HeaderInterval is how far two segments are apart at least that begin for such a header alone,
	// without a random access point.
	HeaderInterval = time.Second
	// MaxLag is how far a rendition may be behind the leading track before it misses segments.
	MaxLag = 3 * time.Second
	// MaxTolerance bounds half of a picture interval, for streams of few pictures.
	MaxTolerance = 20 * time.Millisecond
	// Departure is by how much an encoder that publishes several renditions ends them, or loses its
	// connections, one after the other. Only then is it known that the others go on, and players
	// are told to go on with them. It must be short: a player in Low-Latency mode has little more
	// than the PART-HOLD-BACK in its buffer, and hls.js (1.7.4, PlaylistLoader.load) gives up a
	// request that is held for 0.8 target durations.
	Departure = 250 * time.Millisecond
	// LatenessMemory is for how many frames a lateness counts, roughly.
	LatenessMemory = 512
	// MaxTrackLogs bounds the lines about tracks that are left out, for encoders that change codec
	// all the time.
	MaxTrackLogs = 16
)

// Pace follows the decode times of one track: the last one, and how long its unit probably lasts.
type Pace struct {
	Last, Step time.Duration
	begun      bool
}

// Mark notes the decode time of the next unit.
func (p *Pace) Mark(dts time.Duration) {
	if d := dts - p.Last; d > 0 && p.begun {
		p.Step = min(d, MaxStep)
	}
	p.Last, p.begun = dts, true
}

// MaxBurst bounds by how much one track may be ahead of another because it comes in bursts: then
// segments are about to end without that one.
const MaxBurst = MaxLag - Departure

// Bursts says that one track is ahead of another by so much only because it comes in bursts: by the
// clock, much less has passed since the other one had something. That one will come.
func Bursts(ahead, passed time.Duration) bool { return ahead <= MaxBurst && passed < ahead/2 }

// Clock maps the stream's timeline to the clock of the day, by the life's first unit, which arrived
// in ns since 1970 and has a decode time.
type Clock struct {
	Arrived int64
	DTS     time.Duration
}

// At is the clock of the day at a time of the stream, zero if nobody stamped it.
func (c *Clock) At(dts time.Duration) time.Time {
	if c.Arrived == 0 {
		return time.Time{}
	}
	return time.Unix(0, c.Arrived).Add(dts - c.DTS).UTC()
}
