package stamps

import (
	"time"

	"livego/internal/media"
)

// Some encoders have clocks of whole seconds, or tenths: many units have one time stamp. The first
// one of each stamp comes when the clock turns to it, within its own length. Between them units are
// counted.

const (
	// coarseUnit is what time stamps of such a clock are multiples of, coarseStep how far they are
	// apart at least, and fewOfOne how many units have one.
	coarseUnit = 50 * time.Millisecond
	coarseStep = 100 * time.Millisecond
	maxCoarse  = 2 * time.Second
	fewOfOne   = 3
	// singles is how many stamps in a row with one unit each end it.
	singles = 3
	// groups bounds over how many stamps the distance of pictures is averaged.
	groups = 16
	// missingSound is how much sound must be missing before it is, and maxTurn by how much a unit
	// may be off when the clock turns, or a quarter of what it turned by.
	missingSound = 60 * time.Millisecond
	maxTurn      = 100 * time.Millisecond
)

// coarse follows a track whose time stamps may be of a coarse clock.
type coarse struct {
	on bool
	// units is how many units have the newest stamp, which first came at.
	units int
	at    time.Duration
	// single counts stamps in a row of one unit.
	single int
	// count is how many units came in passed, over turns of the clock, and frame their distance.
	count         int
	passed, frame time.Duration
	turns         int
}

// coarsely places a unit if the track's clock is coarse. length is that of the frame before, 0 if
// that is not known.
func (t *track) coarsely(u *media.AccessUnit, length time.Duration) bool {
	c, step, came := &t.coarse, u.DTS-t.stamp, time.Duration(u.Arrived)
	if step == 0 && t.given > 1 {
		c.units++
		if c.on {
			t.stamp = u.DTS
			t.advance(c.distance(length))
		}
		return c.on
	}
	group, before := c.units, c.at
	c.units, c.at = 1, came
	fits := step >= coarseStep && step <= maxCoarse && u.DTS%coarseUnit == 0
	switch {
	case !c.on && (!fits || group < fewOfOne || t.stamp%coarseUnit != 0 || t.rate != 1 || t.smooth || t.given == 1):
		return false
	case !c.on:
		*c = coarse{on: true, units: 1, at: came, frame: max(min((came-before)/time.Duration(group), time.Second), time.Millisecond)}
		if rate := u.Track.FrameRate; rate >= 1 && rate <= maxPictures {
			c.frame = time.Duration(float64(time.Second) / rate)
		}
		t.touched = true
		t.drift = drift{}
		t.report(faultCoarse)
		t.set(u.DTS + c.distance(length)/2)
	case !fits:
		c.single = singles
	default:
		t.advance(c.distance(length))
		if t.meet(u.DTS, step, c.distance(length), t.kind == media.Audio && length > 0) {
			c.turn(group, step)
		}
	}
	if group > 1 {
		c.single = 0
	} else if c.single++; c.single >= singles {
		*c = coarse{}
		t.from, t.at, t.owed = u.DTS, u.DTS, 0
		return false
	}
	t.stamp = u.DTS
	return true
}

// distance returns how far the next unit is from one of a length.
func (c *coarse) distance(length time.Duration) time.Duration {
	if length > 0 {
		return length
	}
	return c.frame
}

// turn notes that so many units came while the clock went on by a step.
func (c *coarse) turn(units int, step time.Duration) {
	c.count, c.passed = c.count+units, c.passed+step
	c.frame = max(c.passed/time.Duration(c.count), time.Millisecond)
	if c.turns++; c.turns == groups {
		c.count, c.passed, c.turns = (c.count+1)/2, c.passed/2, groups/2
	}
}

// advance places a unit a distance after the one before.
func (t *track) advance(step time.Duration) {
	t.at, t.target = t.at+step, t.target+step
	t.pay(step)
	t.out = t.target
}

// set places a unit at a time.
func (t *track) set(at time.Duration) {
	t.at, t.target, t.out, t.owed = at, at, at, 0
}

// meet sees how far a unit, with which the clock turned to stamp by a step, is from where it may
// be. What sound is counted needs no correction. It says whether the clock has not jumped.
func (t *track) meet(stamp, step, length time.Duration, counted bool) bool {
	off := time.Duration(0)
	switch at := t.target + t.owed; {
	case at < stamp:
		off = stamp - at
	case at > stamp+length:
		off = stamp + length - at
	}
	switch {
	case off.Abs() > max(step/4, maxTurn), counted && off > missingSound:
		t.set(max(stamp, t.out+time.Millisecond))
		return false
	case !counted:
		t.owed += off
	}
	return true
}
