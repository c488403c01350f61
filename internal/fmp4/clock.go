package fmp4

import (
	"time"

	"livego/internal/media"
)

// Units come with times in whole milliseconds, in which no usual audio frame lasts a whole number.
// So decode times of audio count samples, from the first frame on, and the milliseconds are only
// watched. A frame that asks for a later place than the count gives it gets that place: audio was
// lost, or the encoder's clock of time runs faster than that of samples. One that asks for an
// earlier place cannot have it, because frames do not overlap; when that is far off, frames last
// half as long until it is not.
const (
	// minAhead is the least that never mistakes rounding to milliseconds, at both ends of a frame,
	// for lost audio.
	minAhead = 2 * time.Millisecond
	// maxAheadAudio and maxLate are what nobody notices between sound and picture (EBU R 37 has 40
	// and 60 ms); some encoders send two or three frames with one time.
	maxAheadAudio = 20 * time.Millisecond
	maxLate       = 50 * time.Millisecond
	// hopeless is how late audio of absurd times may be: then frames last one tick.
	hopeless = time.Second
)

// clock places the units of one track on its timeline, in ticks. Decode times rise by at least one
// tick, and none lies before the end of what was written: a gap between fragments is legal, an
// overlap is not (ISO/IEC 14496-12 §8.8.12).
type clock struct {
	scale int64
	// end is where the last fragment ends.
	end int64
	// next is where the count of samples puts the next unit, valid if counting.
	next     int64
	counting bool
	// reorder is how far decode times of video are moved back so that none lies after its
	// presentation time.
	reorder time.Duration
	// usual is the last duration, for a unit whose successor is not known.
	usual int64
}

// SoundEnd returns where a frame of audio of a length ends in what a Writer writes. It asks for the
// time at; the frame before it ends at end, if it goes on from there.
func SoundEnd(at, end, length time.Duration, goesOn bool) time.Duration {
	if goesOn && at <= end+min(max(length/2, minAhead), maxAheadAudio) {
		late := end - at
		switch at = end; {
		case late > hopeless:
			length = 0
		case late > maxLate:
			length /= 2
		}
	}
	return at + length
}

func newClock(t *media.Track) clock {
	c := clock{scale: int64(timescale(t))}
	const pictureRate = 30 // where nothing says better
	c.usual = c.scale / pictureRate
	if t.Kind == media.Video && t.FrameRate >= 1 {
		c.usual = int64(float64(c.scale) / t.FrameRate)
	}
	c.usual = max(c.usual, 1)
	return c
}

// ticks converts a time to ticks, to the nearest one. Whole milliseconds of video are exact.
func (c *clock) ticks(d time.Duration) int64 {
	seconds, rest := int64(d/time.Second), int64(d%time.Second)
	scaled := rest*c.scale + int64(time.Second)/2
	if scaled < 0 { // division rounds towards zero
		scaled -= int64(time.Second) - 1
	}
	return seconds*c.scale + scaled/int64(time.Second)
}

// duration converts ticks to a time, to the nanosecond below.
func (c *clock) duration(ticks int64) time.Duration {
	return time.Duration(ticks/c.scale)*time.Second + time.Duration(ticks%c.scale*int64(time.Second)/c.scale)
}

// wanted is the decode time that a unit asks for. Audio is decoded when it is presented, so
// nanoseconds make it more exact.
func (c *clock) wanted(u *media.AccessUnit) int64 {
	if u.Track.Kind == media.Audio {
		return c.ticks(u.DTS + time.Duration(u.Nanos))
	}
	return c.ticks(u.DTS - c.reorder)
}

// start returns the decode time of a unit of the given length in samples, 0 if not known. It is
// earliest or later.
func (c *clock) start(u *media.AccessUnit, samples, earliest int64) int64 {
	wanted := c.wanted(u)
	ahead := min(max(samples/2, c.ticks(minAhead)), c.ticks(maxAheadAudio))
	if c.counting && wanted <= c.next+ahead {
		wanted = c.next
	}
	return max(wanted, earliest)
}

// count moves on over a unit that begins at start.
func (c *clock) count(u *media.AccessUnit, samples, start int64) {
	c.counting = samples > 0
	switch late := start - c.wanted(u); {
	case late > c.ticks(hopeless):
		samples = 1
	case late > c.ticks(maxLate):
		samples = max(samples/2, 1)
	}
	c.next = start + samples
}

// keepUsual remembers a duration, unless it was a gap.
func (c *clock) keepUsual(ticks int64) {
	if ticks <= c.scale {
		c.usual = ticks
	}
}

// last returns where the last unit of a fragment ends, which begins at start: where samples say, or
// the next unit does, or else after the usual duration.
func (c *clock) last(u *media.AccessUnit, start int64, next time.Duration) int64 {
	switch {
	case c.counting:
		return c.next
	case next > u.DTS && next <= u.DTS+maxGap:
		return max(c.ticks(next-c.reorder), start+1)
	}
	return start + c.usual
}
