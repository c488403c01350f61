package stamps

import (
	"time"

	"livego/internal/codec"
	"livego/internal/media"
)

const (
	// groupStep is how far time stamps may be apart that are meant to be one: bridges give several
	// frames that of the first, and some muxers make it rise by a millisecond.
	groupStep = time.Millisecond
	// calmSteps is how many steps of a clock that counts milliseconds are believed.
	calmSteps = 4
	// ticks is from what speed on a clock counts something else than time, and slowest the least
	// speed that is one: what is slower stands still.
	ticks   = 4
	slowest = 0.05
	// leastEarly and maxEarly bound by how much pictures may be shown before they are decoded: less
	// than a picture is left as it came, byte for byte, for it may be rounding, and playlists may
	// differ by as much.
	leastEarly, maxEarly = 40 * time.Millisecond, 2 * time.Second
	// farFirst is how far the first unit of a clock of ticks may be from the others.
	farFirst = 500 * time.Millisecond
	// maxTime bounds times, of which demuxers have as much, in ns.
	maxTime = float64(1 << 42 * time.Millisecond)
)

// track is one track of the session: what came, and what becomes of it.
type track struct {
	session *Session
	kind    media.Kind
	id      uint8

	// first and last are the first and the newest time stamp, valid once begun, length of how much
	// sound came with the newest one, 0 if that is not known, and units how many came.
	begun       bool
	first, last mark
	length      time.Duration
	units       int
	// calm counts steps that are right, up to recentSteps: from then on nothing waits for the
	// track. doubted: it began with steps that are not right. alone: its first unit waits for the
	// second.
	calm           int
	doubted, alone bool
	// passed is how much sound came since first, and holes how often some seemed to be missing.
	passed time.Duration
	holes  int
	// composes is the longest composition time.
	composes time.Duration
	run      run
	pace     pace
	jitter   jitter
	shown    presentation
	drift    drift
	coarse   coarse
	// early is by how much pictures are decoded earlier than their time stamps say.
	early time.Duration
	// owed is by how much the track is to come later yet, little by little.
	owed time.Duration

	// gap is how far apart sound comes, on average.
	gap time.Duration

	// rate is by how much the track's clock is too fast; measured: about that. It has the time at
	// where its time stamp is from. turned: that is to be settled with the next unit.
	rate     float64
	measured bool
	from, at time.Duration
	turned   bool
	// touched: units may be changed. Else they pass as they came.
	touched bool
	// sampleRate is that of the sound, 0 if it is not known.
	sampleRate int
	// given is how many units were converted, the newest one with the time stamp stamp, which means
	// the time target and became out. lasts is its length.
	given              int
	stamp, target, out time.Duration
	lasts              time.Duration
	// smooth: units are placed at the average of their time stamps, which is at average for the
	// newest one, of averaged units. frame is the distance of units, and wild counts time stamps in
	// a row that are far from it.
	smooth         bool
	average, frame time.Duration
	averaged, wild int
	// waiting is how many units waited when that began, 0 when they do not any more, newest the
	// newest time stamp then, and ahead by how much it should have been larger.
	waiting       int
	newest, ahead time.Duration
}

// mark is a moment of the session: a time stamp, when it came, how much sound had come, how far its
// time stamps had come, and how many holes it had.
type mark struct {
	stamp, came, sound, heard time.Duration
	holes                     int
}

// young says that the track has to show yet that its clock is right.
func (t *track) young() bool { return t.calm < recentSteps }

// settle believes the track's clock.
func (t *track) settle() { t.calm, t.doubted = recentSteps, false }

// steady notes a step that is right. Some in a row show that the clock is, but where time stamps
// went back they may do so by chance.
func (t *track) steady() {
	if t.calm++; t.calm >= recentSteps || t.calm >= calmSteps && t.jitter.back == 0 {
		t.settle()
	}
}

// odd notes a step that is not.
func (t *track) odd() {
	if t.young() {
		t.calm, t.doubted = 0, true
	}
}

// observe looks at a sample as it comes.
func (t *track) observe(u *media.AccessUnit) {
	now := mark{stamp: u.DTS, came: time.Duration(u.Arrived)}
	if sound := t.session.counted(); sound != nil {
		now.sound, now.heard, now.holes = sound.passed, sound.scale(sound.last.stamp-sound.first.stamp), sound.holes
	}
	length := time.Duration(0)
	if t.kind == media.Audio {
		length, t.sampleRate = codec.FrameLength(u), u.Track.SampleRate
	} else {
		t.composes = max(t.composes, (u.PTS - u.DTS).Abs())
	}
	t.units++
	t.alone = false
	step := now.stamp - t.last.stamp
	switch {
	case !t.begun:
		t.begun, t.first, t.alone = true, now, now.stamp.Abs() > smallStamp
		t.pace.begin(now)
	case step.Abs() <= groupStep:
		t.length += length
		return
	case t.length > 0:
		if gap := now.came - t.last.came; gap >= leastGap {
			t.gap += (min(gap, maxQuiet) - t.gap) / gapShare
		}
		t.hear(now, t.scale(step))
	default:
		t.see(now, t.scale(step), u.Track.FrameRate)
	}
	t.last, t.length = now, length
}

// scale is how long a step of the track's clock takes.
func (t *track) scale(step time.Duration) time.Duration {
	if t.rate == 1 {
		return step
	}
	return time.Duration(min(max(float64(step)/t.rate, -maxTime), maxTime))
}

// turn says that the track's clock is too fast by a factor, beside what was known. measured: it is
// not known exactly.
func (t *track) turn(by float64, measured bool) {
	t.rate *= by
	t.measured = measured
	t.turned, t.touched = true, true
	t.run, t.jitter = run{}, jitter{}
	t.pace = pace{from: t.last}
	t.drift.restart()
	t.settle()
	t.report(faultSpeed)
}

func (t *track) report(what string) {
	if t.session.Report != nil {
		t.session.Report(Fault{t.kind, t.id, what})
	}
}

// convert returns a sample with the times that are meant.
func (t *track) convert(u *media.AccessUnit) media.AccessUnit {
	v := t.convertClock(u)
	if t.kind == media.Video {
		return t.decodeBefore(u, t.present(u, v))
	}
	return v
}

// decodeBefore gives the pictures of a track whose first one is shown before it is decoded earlier
// times of decoding. They are shown when they were.
func (t *track) decodeBefore(like *media.AccessUnit, v media.AccessUnit) media.AccessUnit {
	if composition := v.PTS - v.DTS; t.given == 1 && v.RandomAccess && !v.Multitrack && composition <= -leastEarly && composition >= -maxEarly {
		t.early = -composition
		t.report(faultEarly)
	}
	if t.early == 0 {
		return v
	}
	sooner := v
	sooner.DTS -= t.early
	t.embody(like, &sooner)
	return sooner
}

// convertClock returns a sample with the time that its clock means.
func (t *track) convertClock(u *media.AccessUnit) media.AccessUnit {
	length := t.lasts
	if t.kind == media.Audio {
		t.lasts = codec.FrameLength(u)
	}
	first := t.given == 0
	t.given++
	if t.coarsely(u, length) {
		return t.place(u)
	}
	if !t.touched {
		t.stamp, t.target, t.out = u.DTS, u.DTS, u.DTS
		return *u
	}
	switch {
	case t.turned && first:
		t.from, t.at = u.DTS, t.begins(u.DTS)
	case t.turned:
		t.from, t.at = t.stamp, t.goesOn()
		t.target = t.at
	}
	t.turned = false
	before := t.target
	t.stamp, t.target = u.DTS, t.at+t.scale(u.DTS-t.from)
	switch step := t.target - before; {
	case t.smooth:
		t.out = t.smoothed(length)
	case first:
		t.out = t.target
	case length > 0 && (step-length).Abs() <= max(length/2, minHole):
		t.out += length
	case length > 0:
		t.out += step
	default:
		t.pay(step)
		t.out = t.target
	}
	t.out = min(max(t.out, -time.Duration(maxTime)), time.Duration(maxTime))
	return t.place(u)
}

// place returns a sample at its time.
func (t *track) place(u *media.AccessUnit) media.AccessUnit {
	v := *u
	composition := u.PTS - u.DTS
	v.DTS = t.out.Round(time.Millisecond)
	// Whoever counts ticks does so in composition times too: in milliseconds they would be longer
	// than reordering takes.
	// So does who counts pictures at another rate.
	shortest := time.Duration(8 * t.rate * float64(time.Millisecond))
	counted := t.rate >= ticks && t.composes >= shortest || t.drift.follows && !near(t.rate, 1, slightly)
	if composition != 0 && counted && !u.Multitrack {
		composition = t.scale(composition).Round(time.Millisecond)
		v.PTS = v.DTS + composition
		t.embody(u, &v)
		return v
	}
	v.PTS = v.DTS + composition
	return v
}

// embody gives a picture a body with its composition time.
func (t *track) embody(like, u *media.AccessUnit) {
	if body := t.session.Body; body != nil && len(like.Body) > 0 {
		if b, err := body(like, u); err == nil {
			u.Body, u.Data = b, b[len(b)-len(u.Data):]
			return
		}
	}
	u.Body = nil
}

// begins returns the time of the track's first unit: its time stamp in ticks too, or in
// milliseconds if that is nearer to where the others are; where those are if it is far from both,
// or nobody knows what ticks.
func (t *track) begins(stamp time.Duration) time.Duration {
	scaled := t.scale(stamp)
	for _, o := range t.session.tracks {
		if o == t || !o.begun {
			continue
		}
		there := o.scale(o.first.stamp) + t.first.came - o.first.came
		switch {
		case t.measured, min((stamp-there).Abs(), (scaled-there).Abs()) > farFirst:
			return there
		case (stamp - there).Abs() < (scaled - there).Abs():
			return stamp
		}
		break
	}
	return scaled
}

// goesOn returns the time from which a track goes on whose clock is known better now: where it is,
// or, if its clock was slow, where the others are.
func (t *track) goesOn() time.Duration {
	if t.kind == media.Audio || t.rate >= 1 {
		return t.out
	}
	passed, _ := t.since(t.first, t.last)
	return max(t.out, t.first.stamp+passed)
}
