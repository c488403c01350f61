package live

import (
	"time"

	"livego/internal/media"
)

const (
	// jitter is by how much more than a frame a track's time may go on at once, or go back, without
	// a doubt.
	jitter = 150 * time.Millisecond
	// earliness is how much earlier than its track usually comes a unit may come and be believed.
	earliness = 100 * time.Millisecond
	// maxSpread is for how long units of one time stamp may be spread. What goes on with it for
	// longer has no clock, and gets the time at which it comes.
	maxSpread = time.Second
	// meanOver is over what time the distance of units is averaged.
	meanOver = time.Second
	// defaultAudioFrame is the length of an audio frame where nothing is known: that of Opus.
	defaultAudioFrame = 20 * time.Millisecond
	// maxFalls is how many time stamps in a row may be less than the one before: encoders that take
	// the time of presentation have some. More come of a clock that runs backwards.
	maxFalls = 8
	// lateSound is by how much a frame of sound without a clock may come late, and manyLates how
	// many in a row show that all do.
	lateSound = 30 * time.Millisecond
	manyLates = 16
	// minStep is by how much times rise at least.
	minStep = time.Millisecond
)

// trackTimes follows the times of one track: what its time stamps are, and what becomes of them on
// the stream's timeline.
type trackTimes struct {
	// timed: a unit was placed. The rest holds from then on.
	timed bool
	// offset is stream time minus encoder time. own says that it is the track's own, because its
	// time base is not that of the others.
	offset time.Duration
	own    bool
	// line is where the newest unit's time stamp puts it, out where it was put.
	line, out time.Duration
	// heard is the last unit that waits for its place, valid while hearing; seen is the last one
	// that is to be believed, valid once sighted. known: it was decided where they belong.
	heard, seen             sighting
	hearing, sighted, known bool
	// stands is where the time stamp stands of what is not placed yet, and since when, valid while
	// standing.
	stands   sighting
	standing bool
	// leapt: the newest unit was far ahead of the one before, at before.
	leapt  bool
	before time.Duration
	// lates is how many frames in a row came late that have no clock, leastLate by how much at
	// least.
	lates     int
	leastLate time.Duration
	// falls is how many units in a row had a lower time stamp than the one before.
	falls int
	// strays is how many units in a row were stamped wrong, each in another way; stray is the last
	// such time stamp.
	strays int
	stray  time.Duration
	// past are offsets that the track had before, the newest last; turns is the newest time base of
	// others that it knows.
	past  []time.Duration
	turns int
	// step is the last distance of two units, mean the average one: of count units since from. same
	// is how many units have had the newest time stamp, stride the last distance of two time
	// stamps.
	step, mean, from, stride time.Duration
	count, same              int
	late                     delivery
	// skew is by how much the track usually comes later than the leading one.
	skew time.Duration
}

// frame is the distance to the next unit, as far as it can be told.
func (c *trackTimes) frame(t *media.Track) time.Duration {
	length := nominalFrame(t)
	if c.mean > 0 && (length == 0 || (c.mean-length).Abs() > length/20) {
		return c.mean
	}
	switch {
	case length > 0:
		return length
	case c.step > 0:
		return c.step
	case t.Kind == media.Audio:
		return defaultAudioFrame
	}
	return defaultFrame
}

// nominalFrame is what the header says of the length of a frame, 0 if nothing that could be.
func nominalFrame(t *media.Track) (length time.Duration) {
	switch {
	case t.Kind == media.Audio && t.SampleRate > 0:
		length = time.Duration(t.SamplesPerFrame) * time.Second / time.Duration(t.SampleRate)
	case t.Kind == media.Video && t.FrameRate > 0:
		length = time.Duration(float64(time.Second) / t.FrameRate)
	}
	if length < minStep || length > maxStep {
		return 0
	}
	return length
}

// reach is by how much the track may go on at once.
func (c *trackTimes) reach(t *media.Track) time.Duration {
	if c.mean == 0 && c.step == 0 && nominalFrame(t) == 0 {
		return time.Second
	}
	f := c.frame(t)
	return max(2*f, f+jitter)
}

// spread returns the time of a unit with the same time stamp as the one before: bridges from RTSP
// give several frames that of the first. Their number tells where they belong. If it goes on for
// long, that is where they come.
func (c *trackTimes) spread(t *media.Track, came time.Duration) time.Duration {
	at := c.out + c.frame(t)
	if at-c.line <= maxSpread {
		return at
	}
	off := came - c.late.usual() - at
	if t.Kind == media.Audio && nominalFrame(t) > 0 {
		off = c.steady(off)
	}
	return max(c.out+minStep, at+off)
}

// steady returns by how much a frame of sound that comes late by off is to follow the one before
// later than it should: not at all if few are as late, for that would leave holes, and move all
// that follows.
func (c *trackTimes) steady(off time.Duration) time.Duration {
	switch {
	case off < 0, off > jitter:
		c.lates = 0
		return off
	case off <= lateSound:
		c.lates = 0
		return 0
	}
	if c.lates == 0 || off < c.leastLate {
		c.leastLate = off
	}
	if c.lates++; c.lates < manyLates {
		return 0
	}
	c.lates = 0
	return c.leastLate
}

// regular says that a track goes on at line as it did, but for jitter.
func (c *trackTimes) regular(t *media.Track, line time.Duration) bool {
	from := c.line
	if c.same > 1 {
		from = max(from, c.out)
	}
	reach := c.reach(t)
	return line >= c.line-reach && line <= from+reach
}

// put returns the time of a unit which its time stamp puts at line. What is not behind the unit
// before comes a little after that, so that the track is soon where it should be.
func (c *trackTimes) put(t *media.Track, line time.Duration) time.Duration {
	if line > c.out {
		return max(line, c.out+minStep) // they are cut to whole milliseconds
	}
	return c.out + max(c.frame(t)/4, minStep)
}

// repeats says that a unit has the time stamp of the one before, or next to: some muxers make time
// stamps that repeat rise by a millisecond.
func (c *trackTimes) repeats(t *media.Track, line time.Duration) bool {
	most := minStep
	if t.Kind == media.Audio {
		most = max(most, c.frame(t)/4)
	}
	off := (line - c.line).Abs()
	return off == 0 || off <= most && off < c.frame(t)/4
}

// backwards says that the track's clock runs backwards, as it does with a unit at line.
func (c *trackTimes) backwards(t *media.Track, line time.Duration) bool {
	return line < c.line && c.falls >= maxFalls && c.regular(t, line)
}

// accept notes that a unit was placed which its time stamp puts at line. It says whether it is time
// to look at how the track comes.
func (c *trackTimes) accept(t *media.Track, line, at, came time.Duration) (turned bool) {
	if c.timed {
		repeated, again := c.repeats(t, line), c.leapt
		if c.falls++; line >= c.line {
			c.falls = 0
		}
		if c.leapt = line > c.line && !c.regular(t, line); c.leapt {
			c.before = c.line
		}
		c.measure(line, repeated, again)
	} else {
		c.from, c.same = line, 1
	}
	c.line, c.out, c.timed = line, at, true
	c.seen, c.sighted, c.hearing = sighting{line, came}, true, false
	return c.late.add(came, came-at)
}

// measure keeps the distance of units. again says that the unit before was far ahead already.
func (c *trackTimes) measure(line time.Duration, repeated, again bool) {
	step := line - c.line
	switch {
	case c.leapt:
		c.from, c.count, c.same = line, 0, 1
		if again {
			c.step, c.mean = min(step, maxStep), 0 // units are further apart than they were
		}
		return
	case repeated:
		c.count++
		c.same++
		return
	case step > 0:
		c.step, c.stride = step/time.Duration(c.same), step
	}
	c.count++
	c.same = 1
	if passed := line - c.from; passed >= meanOver && step > 0 {
		c.mean, c.from, c.count = passed/time.Duration(c.count), line, 0
	}
}

// move puts the rest of the track later, or earlier.
func (c *trackTimes) move(by time.Duration) {
	c.offset += by
	c.line += by
	c.heard.at += by
	c.seen.at += by
	c.from += by
	for i := range c.past {
		c.past[i] += by
	}
	c.late.shift(by)
}
