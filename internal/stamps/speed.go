package stamps

import "time"

const (
	// minHole is what is taken for rounding between frames of sound.
	minHole = 15 * time.Millisecond
	// oddSound is by how much a frame may come beside the end of the one before.
	oddSound = 60 * time.Millisecond
	// runs is how many steps of a track of sound show the speed of its clock.
	runs = 8
	// parted is how far time stamps and the count of sound must be apart before one is judged by
	// the other.
	parted = 400 * time.Millisecond
	// paced is for how long frames must come at the pace at which they are counted, unless that is
	// all there is.
	paced = 500 * time.Millisecond
	// agreed is how many frames in a row must come as they are counted, and not as they are
	// stamped, if the track is not young any more.
	agreed = 64
	// maxRun bounds over what time they are compared.
	maxRun = 20 * time.Second
)

// run is steps of a track of sound that have all the same speed.
type run struct {
	from           mark
	stamps, sounds time.Duration
	steps, counted int
}

// fits says whether a step over so much sound has the speed of the others.
func (r *run) fits(step, length time.Duration) bool {
	wanted := time.Duration(float64(length) * r.speed())
	return (step - wanted).Abs() <= wanted.Abs()/10+2*time.Millisecond
}

// comes says that the frames come as they are stamped, and not as they are counted.
func (r *run) comes(now mark) bool {
	return (now.came - r.from.came - r.stamps).Abs() <= (r.stamps-r.sounds).Abs()/4
}

func (r *run) speed() float64 { return float64(r.stamps) / float64(r.sounds) }

// hear looks at a step of the clock of a track of sound.
func (t *track) hear(now mark, step time.Duration) {
	length, r := t.length, &t.run
	off, came := (step - length).Abs(), now.came-t.last.came
	if r.steps > 0 && (!r.fits(step, length) || r.sounds > maxRun) {
		*r = run{}
	}
	if r.steps == 0 {
		r.from = t.last
	}
	r.steps, r.stamps, r.sounds = r.steps+1, r.stamps+step, r.sounds+length
	switch {
	case off <= max(length/3, 6*time.Millisecond):
		t.steady()
	case off > oddSound && (came-step).Abs() <= step.Abs()/4: // sound is left out
		t.steady()
	case off > oddSound, r.steps >= calmSteps && !r.comes(now):
		t.odd()
	}
	t.count(step, length)
	if t.noteJitter(now, step, length) {
		return
	}
	if r.steps >= runs {
		t.compare(now)
	}
}

// count adds a frame to the sound that came.
func (t *track) count(step, length time.Duration) {
	if t.passed += length; !t.doubted && !t.smooth && (step-length).Abs() > max(length/2, minHole) {
		t.holes++
	}
}

// compare holds the time stamps of a run of sound against its count and against its arrival.
func (t *track) compare(now mark) {
	r := &t.run
	apart, came := (r.stamps - r.sounds).Abs(), now.came-r.from.came
	if apart < parted || r.speed() < slowest {
		return
	}
	asCounted := (came - r.sounds).Abs() <= apart/4
	unit := tickOf(t.rate*r.speed(), t.sampleRate, exact)
	switch {
	case r.comes(now) || came > r.stamps && r.stamps > r.sounds:
		t.settle() // there are holes in it, or the header lies
		*r = run{}
		return
	case asCounted && came >= min(r.sounds/2, paced):
		r.counted++
	case unit > 0 && came < r.stamps/2:
		r.counted++ // it does not come live, but nothing else would have this speed
	default:
		r.counted = 0
	}
	switch {
	case r.counted == 0 || !t.young() && r.counted < agreed || r.speed() < ticks && r.counted < runs:
	case unit > 0:
		t.turn(unit/t.rate, false)
	default:
		t.turn(r.speed(), true)
	}
}
