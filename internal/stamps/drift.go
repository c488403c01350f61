package stamps

import (
	"math"
	"time"

	"livego/internal/media"
)

// Some encoders count pictures at another rate than that at which they come, or by a clock that
// runs a little fast, beside right sound: the two part without bound. How far pictures are from the
// sound in whose company they come is a line then. Bursts, jitter and pictures that come late are
// none.

const (
	// leastLine and slowLine are for how long pictures must part from the sound, the second one if
	// they do so by less than slowly. fewPoints is how many pictures that must be.
	leastLine = 800 * time.Millisecond
	slowLine  = 3 * time.Second
	slowly    = 0.05
	fewPoints = 10
	// firstPart is how long the first part is at least by which it is seen that a line is bent.
	firstPart = 100 * time.Millisecond
	// leastParted is by how much they must have parted, and straight how many times as much a line
	// must explain of how far they are apart as it leaves.
	leastParted = 30 * time.Millisecond
	straight    = 2
	// queued is by how much pictures may come later and later, and then sooner again, from an
	// encoder that has too much to do: then they come at another rate than those that are usual, by
	// offRate at least.
	queued  = 2 * time.Second
	offRate = 0.012
	// holdOver is over what time pictures are compared with the sound once they are followed, and
	// heldBy how far they may be off.
	holdOver = 1500 * time.Millisecond
	heldBy   = 15 * time.Millisecond
	// slightly is by how much the clock of one may run too fast that counts pictures at their rate.
	slightly = 0.02
	// maxQuiet is for how long no sound may come.
	maxQuiet = 500 * time.Millisecond
	// gapShare is what part of a gap in which no sound came changes the mean one, and leastGap the
	// least one: frames may come in bundles.
	gapShare = 16
	leastGap = 5 * time.Millisecond
	// maxOwed bounds by how much pictures are brought nearer. What is further away has jumped.
	maxOwed = 3 * time.Second
)

// spans are the times over which lines are fitted: a clock may be wrong from some time on, or by
// little.
var spans = [...]time.Duration{8 * time.Second, 80 * time.Second, 800 * time.Second}

// usualRates are how many pictures a second cameras give, but for a thousandth.
var usualRates = [...]float64{5, 6, 7.5, 8, 10, 12, 12.5, 15, 20, 24, 25, 30, 48, 50, 60, 90, 100, 120}

// drift is how a track of pictures parts from the sound, in the times that are given to both.
type drift struct {
	lines [len(spans)]line
	// wanted is how far ahead of the sound the track was when it began, valid once anchored.
	anchored bool
	wanted   time.Duration
	// from is when the first picture came that the newest line has.
	from time.Duration
	// sound is where the sound was at the newest picture, and holes how many it had.
	sound time.Duration
	holes int
	// step is from the picture before to the newest one, and raw what the track's clock says of
	// that.
	step, raw time.Duration
	// follows: the track was found to part from the sound, and is kept beside it.
	follows bool
}

// line is a line through points, in seconds from the first one.
type line struct {
	sums
	began  bool
	x0, y0 time.Duration
	// parts are what it was at about a half and a quarter of its length.
	parts [2]sums
	// heard and sound are how far the time stamps of the sound and its samples had come, and fast
	// is by how much more the former did since, as a share of the latter.
	heard, sound time.Duration
	fast         float64
}

// sums are what a line is fitted by: the number of points, sums over them, and where the last is.
type sums struct{ n, x, y, xx, xy, yy, to float64 }

func (l *line) add(now mark, x, y time.Duration) {
	if !l.began {
		*l = line{began: true, x0: x, y0: y, heard: now.heard, sound: now.sound}
	}
	a, b := (x - l.x0).Seconds(), (y - l.y0).Seconds()
	l.sums = sums{l.n + 1, l.x + a, l.y + b, l.xx + a*a, l.xy + a*b, l.yy + b*b, a}
	if l.to >= 2*max(l.parts[0].to, firstPart.Seconds()) {
		l.parts[1], l.parts[0] = l.parts[0], l.sums
	}
	if sound := now.sound - l.sound; sound > 0 {
		l.fast = float64(now.heard-l.heard)/float64(sound) - 1
	}
}

// fit returns the slope of the line, and how many times as much it explains as it leaves.
func (s sums) fit() (slope, explains float64) {
	xx, xy, yy := s.xx-s.x*s.x/s.n, s.xy-s.x*s.y/s.n, s.yy-s.y*s.y/s.n
	if s.n < 3 || xx <= 0 {
		return 0, 0
	}
	slope = xy / xx
	return slope, slope * xy / math.Max(yy-slope*xy, 1e-9)
}

// halves returns the first part of the line, a third to two thirds of it, and the rest.
func (l *line) halves() (first, last sums) {
	first = l.parts[0]
	if l.to < 1.5*first.to {
		first = l.parts[1]
	}
	return first, sums{l.n - first.n, l.x - first.x, l.y - first.y, l.xx - first.xx, l.xy - first.xy, l.yy - first.yy, l.to}
}

// bent says that the line is none: its first or its last part has another slope.
func (l *line) bent() bool {
	first, last := l.halves()
	a, _ := first.fit()
	b, _ := last.fit()
	whole, _ := l.fit()
	return max(math.Abs(a-whole), math.Abs(b-whole)) > 0.4*math.Abs(whole)
}

// ends returns the line's value at its begin, and at its end.
func (l *line) ends(slope float64) (begin, end time.Duration) {
	begin = l.y0 + time.Duration((l.y-slope*l.x)/l.n*float64(time.Second))
	return begin, begin + time.Duration(slope*l.to*float64(time.Second))
}

// restart forgets how the track came so far, but not where it is to be.
func (d *drift) restart() { d.lines = [len(spans)]line{} }

// part looks at how far a picture that comes now is from the sound.
func (t *track) part(now mark, step time.Duration) {
	d, sound := &t.drift, t.session.counted()
	if sound == nil || t.kind != media.Video || t.doubted || t.smooth || t.turned || sound.doubted || sound.turned || sound.smooth || t.coarse.on || sound.coarse.on ||
		t.given != t.units-1 || sound.given != sound.units || sound.given == 0 {
		d.restart()
		return
	}
	quiet := now.came - sound.last.came
	x := sound.out + min(quiet, max(sound.length, sound.gap))
	if gone := x - d.sound; quiet > maxQuiet || gone < -maxQuiet || gone > time.Second || now.holes != d.holes || step < -maxQuiet || step > jumped {
		d.restart()
	}
	d.sound, d.holes = x, now.holes
	d.step, d.raw = step, now.stamp-t.last.stamp
	y := t.target + step + t.owed - x
	if !d.lines[0].began && !d.anchored {
		d.from = now.came
	}
	for i := range d.lines {
		d.lines[i].add(now, x, y)
	}
	t.judgeLines(now)
}

// judgeLines finds out whether the track parts from the sound.
func (t *track) judgeLines(now mark) {
	d := &t.drift
	for i := range d.lines {
		l := &d.lines[i]
		over := time.Duration(l.to * float64(time.Second))
		if over < leastLine || l.n < fewPoints {
			return
		}
		slope, explains := l.fit()
		begin, end := l.ends(slope)
		if !d.anchored || (begin-d.wanted).Abs() > maxOwed {
			d.anchored, d.wanted = true, begin-time.Duration(slope*float64(t.missed()))
		}
		if d.follows {
			if over >= holdOver {
				t.keep(slope, explains, end)
			}
			return
		}
		parted := (end - begin).Abs()
		slow := math.Abs(slope) < slowly && over < slowLine
		if !slow && parted >= leastParted && explains >= straight && slope > slowest-1 && !l.bent() && t.parts(l, slope, end, parted) {
			return
		}
		if over > spans[i] {
			*l = line{}
		}
	}
}

// missed is how much time passed at the track's begin before pictures were held against the sound.
func (t *track) missed() time.Duration {
	missed := t.drift.from - t.first.came
	if t.drift.anchored || t.touched || missed > time.Second {
		return 0
	}
	return missed
}

// parts puts right what makes the track part from the sound, if it is known.
func (t *track) parts(l *line, slope float64, end, by time.Duration) bool {
	switch sound := t.session.counted(); {
	case l.blames(slope):
		sound.turn(1+l.fast, true)
		slope = 0
	case math.Abs(l.fast)*l.to > max(by/4, minHole).Seconds(), !l.usual() && by < queued:
		return false
	default:
		t.report(faultRate)
	}
	t.drift.follows = true
	t.lean(slope, end)
	return true
}

// usual says that the pictures come at a rate that is usual, and the same all the time.
func (l *line) usual() bool {
	rate := (l.n - 1) / l.to
	first, last := l.halves()
	if n := last.n - rate*(l.to-first.to); math.Abs(n) > max(0.75, offRate*last.n) {
		return false
	}
	for _, r := range usualRates {
		if math.Abs(rate/r-1) <= offRate {
			return true
		}
	}
	return false
}

// blames says that it is the sound whose time stamps are not worth its samples, and the pictures'
// that are.
func (l *line) blames(slope float64) bool {
	return math.Abs((1+slope)*(1+l.fast)-1) <= math.Abs(slope)/4
}

// keep keeps a track that is followed beside the sound.
func (t *track) keep(slope, explains float64, end time.Duration) {
	if (end - t.drift.wanted).Abs() <= heldBy {
		slope = 0
	}
	if explains < 1 {
		slope = 0
	}
	t.lean(min(max(slope, -maxPull), maxPull), end)
}

// lean gives the track another speed from its newest unit on, and brings it to where it should be
// beside the sound: it is at end now.
func (t *track) lean(slope float64, end time.Duration) {
	t.from, t.at, t.touched = t.stamp, t.target, true
	t.rate, t.measured = t.rate*(1+slope), true
	end += t.scale(t.drift.raw) - t.drift.step // the newest one was seen at the former speed
	if off := t.drift.wanted - end; off.Abs() > heldBy {
		t.owed = min(max(t.owed+off, -maxOwed), maxOwed)
	}
	t.drift.restart()
	t.pace = pace{from: t.last}
}

// pay brings a picture that comes a step after the one before nearer to where it should be: at most
// by half of that, or by the eighth if it is little.
func (t *track) pay(step time.Duration) {
	if t.owed == 0 || step <= 0 || step > time.Second {
		return
	}
	most := step * 3 / 4
	if t.owed.Abs() <= inStep {
		most = step / 8
	}
	back, forward := most, most
	if t.owed > inStep {
		forward = max(2*step, 40*time.Millisecond)
	}
	by := min(max(t.owed, -back), forward)
	t.at, t.target, t.owed = t.at+by, t.target+by, t.owed-by
}
