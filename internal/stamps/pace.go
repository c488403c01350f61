package stamps

import "time"

const (
	// oddPicture is how far pictures are apart at least that show a clock of ticks.
	oddPicture = 120 * time.Millisecond
	// bySound and byArrival are over what time pictures are compared with sound, and with the time
	// at which they come, fewPictures how many there must be.
	bySound     = 300 * time.Millisecond
	byArrival   = 700 * time.Millisecond
	fewPictures = 4
	// paceOver is over what time the speed of pictures is measured, and paces how many times in a
	// row it must be the same.
	paceOver = 2 * time.Second
	paces    = 5
	// usually is between what factors the speed of a clock of milliseconds is measured.
	usually = 1.5
	// maxPictures is how many pictures a second there may be.
	maxPictures = 125
	// inStep is how far pictures of a clock that was wrong may be from the sound before they are
	// brought nearer, over pullOver but by maxPull at most. What is further away than jumped has
	// jumped.
	inStep   = 80 * time.Millisecond
	pullOver = 4 * time.Second
	maxPull  = 0.1
	jumped   = 2 * time.Second
)

// pace is how fast the clock of a track of pictures is beside the sound, or its arrival.
type pace struct {
	// from is since when it is measured, and pictures how many came since.
	from     mark
	pictures int
	// speed was measured so many times in a row, beside sound.
	speed float64
	times int
	// anchor is where a clock that was wrong began to be followed, at the time at. pulled: it does
	// not run as it was measured, but nearer.
	anchored bool
	anchor   mark
	at       time.Duration
	pulled   bool
}

func (p *pace) begin(now mark) { p.from, p.pictures = now, 0 }

// since returns how much time has passed between two moments: as much as sound came, or if there is
// none, or not all, or its own time stamps say something else, as the arrival says.
func (t *track) since(a, b mark) (passed time.Duration, sound bool) {
	came, sounds := b.came-a.came, b.sound-a.sound
	agrees := (b.heard - a.heard - sounds).Abs() <= max(sounds/4, minHole)
	if sounds > 0 && sounds >= came/4 && a.holes == b.holes && agrees {
		return sounds, true
	}
	return came, false
}

// see looks at a step of the clock of a track of pictures, or of sound of unknown lengths.
func (t *track) see(now mark, step time.Duration, rate float64) {
	passed, _ := t.since(t.last, now)
	passed = max(passed, now.came-t.last.came)
	usual := time.Duration(0)
	if rate > 0 {
		usual = time.Duration(float64(time.Second) / rate)
	}
	switch fits := usual > 0 && (step-usual).Abs() <= usual/4; {
	case !fits && (step < -oddBack || step >= oddPicture && step > ticks*passed):
		t.odd()
	default:
		t.steady()
	}
	t.pace.pictures++
	t.part(now, step)
	switch {
	case t.noteJitter(now, step, t.jitter.usual()):
	case t.doubted:
		t.judge(now)
	default:
		t.measure(now)
	}
}

// judge finds the speed of a clock that began with odd steps.
func (t *track) judge(now mark) {
	p := &t.pace
	passed, sound := t.since(p.from, now)
	if p.pictures < fewPictures || !sound && passed < byArrival || passed < bySound {
		return
	}
	stamps := t.scale(now.stamp - p.from.stamp)
	speed := float64(stamps) / float64(passed)
	unit := tickOf(t.rate*speed, t.session.sampleRate(), rough)
	switch {
	case sound && near(speed, 1, 0.5):
		if t.jitter.back == 0 { // else it may jitter
			t.settle()
		}
	case speed < ticks:
	case unit > 0 && float64(p.pictures) <= maxPictures*stamps.Seconds()*t.rate/unit:
		t.turn(unit/t.rate, false)
	case sound:
		t.turn(speed, true)
	}
}

// measure looks at the speed of a clock that was believed: whether it is the same all the time, and
// not that of the sound. Without sound there is no telling it from a network that is slow, or a
// file that is fast.
func (t *track) measure(now mark) {
	p := &t.pace
	passed, sound := t.since(p.from, now)
	if passed < paceOver {
		return
	}
	speed := float64(t.scale(now.stamp-p.from.stamp)) / float64(passed)
	defer p.begin(now)
	if t.rate != 1 {
		t.follow(now, speed)
		return
	}
	if !sound || !near(speed, p.speed, 0.1) {
		p.speed, p.times = speed, 0
	}
	if p.times++; sound && p.times >= paces && speed > slowest && (speed > usually || speed < 1/usually) {
		t.turn(speed, true)
	}
}

// follow keeps pictures of a clock that was wrong beside the sound.
func (t *track) follow(now mark, speed float64) {
	p := &t.pace
	if t.turned || t.given == 0 || t.drift.follows {
		return
	}
	if !p.anchored {
		p.anchored, p.anchor, p.at = true, p.from, t.at+t.scale(p.from.stamp-t.from)
	}
	at := t.at + t.scale(now.stamp-t.from)
	passed, _ := t.since(p.anchor, now)
	ahead := at - p.at - passed
	if ahead.Abs() > jumped {
		p.anchor, p.at, p.pulled = now, at, false
		return
	}
	pull := 0.0
	if ahead.Abs() > inStep {
		pull = min(max(ahead.Seconds()/pullOver.Seconds(), -maxPull), maxPull)
	}
	if pull != 0 || p.pulled {
		t.from, t.at = t.stamp, t.target
		t.rate *= min(max(speed, 1-2*maxPull), 1+2*maxPull) * (1 + pull)
		p.pulled = pull != 0
	}
}

// sampleRate is that of the sound that is counted, 0 without.
func (s *Session) sampleRate() int {
	if sound := s.counted(); sound != nil {
		return sound.sampleRate
	}
	return 0
}
