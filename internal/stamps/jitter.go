package stamps

import (
	"math/bits"
	"slices"
	"time"

	"livego/internal/media"
)

const (
	// jitterSteps is how many steps are remembered. Time stamps jitter if of the newest recentSteps
	// so many are odd, and so many go back.
	jitterSteps = 32
	recentSteps = 12
	minOdd      = 8
	minBack     = 2
	// oddBack is by how much time stamps of pictures go back that jitter: those of an encoder that
	// takes the time of presentation do so as well, but less.
	oddBack = 100 * time.Millisecond
	// wildBy is how far a time stamp may be from the average before it says nothing of it, and
	// maxWild how many in a row may be before they are where the track's time is.
	wildBy  = time.Second
	maxWild = 3
	// soundShare and pictureShare are what part of what a time stamp is beside the average moves
	// it, at least, and frameShare what part of it changes the distance of pictures.
	soundShare, pictureShare, frameShare = 512, 24, 1024
)

// jitter has the newest steps of a track's clock.
type jitter struct {
	steps [jitterSteps]time.Duration
	n     int
	// odd and back have a bit for each: it is not what it should be, and goes back.
	odd, back uint32
	middle    time.Duration
}

// usual returns the median of the steps, nearly always.
func (j *jitter) usual() time.Duration { return j.middle }

// add notes a step. It may take what is expected; back is whether it goes back.
func (j *jitter) add(step time.Duration, odd, back bool) {
	j.steps[j.n%jitterSteps] = step
	j.n++
	j.odd, j.back = j.odd<<1, j.back<<1
	if odd {
		j.odd |= 1
	}
	if back {
		j.back |= 1
	}
	if j.n < 8 || j.n%8 == 0 {
		sorted := j.steps
		some := sorted[:min(j.n, jitterSteps)]
		slices.Sort(some)
		j.middle = some[len(some)/2]
	}
}

// begins and ends say that time stamps jitter, and that they do not any more.
func (j *jitter) begins() bool {
	const recent = 1<<recentSteps - 1
	return bits.OnesCount32(j.odd&recent) >= minOdd && bits.OnesCount32(j.back&recent) >= minBack
}

func (j *jitter) ends() bool { return j.n >= jitterSteps && bits.OnesCount32(j.odd) <= 2 }

// noteJitter notes a step where another one was expected. It says whether it shows that the time
// stamps jitter.
func (t *track) noteJitter(now mark, step, expected time.Duration) (begins bool) {
	j := &t.jitter
	back := step < -oddBack
	if t.length > 0 {
		back = step < expected-oddSound
	}
	j.add(step, (step-expected).Abs() > oddSound, back)
	switch {
	case !t.smooth && j.begins():
		t.beginSmooth(now)
		return true
	case t.smooth && j.ends():
		t.smooth, t.turned = false, true
	}
	return false
}

// beginSmooth places the track's units by the average of their time stamps from now on.
func (t *track) beginSmooth(now mark) {
	t.smooth, t.turned, t.touched, t.wild = true, true, true, 0
	t.newest, t.waiting, t.averaged = now.stamp, t.units-t.given, recentSteps
	t.frame, t.ahead = t.jitter.line(t.length)
	t.settle()
	t.report(faultJitter)
}

// line fits a line to the time stamps: how far units are apart, unless that is known, and by how
// much the newest time stamp should be larger.
func (j *jitter) line(known time.Duration) (frame, ahead time.Duration) {
	steps := min(j.n, jitterSteps)
	// at are time stamps relative to the newest one, the oldest first.
	at := make([]float64, steps+1)
	for i := steps - 1; i >= 0; i-- {
		at[i] = at[i+1] - float64(j.steps[(j.n-steps+i)%jitterSteps])
	}
	middle, mean, slope, square := float64(steps)/2, 0.0, 0.0, 0.0
	for i, v := range at {
		mean += v / float64(len(at))
		slope += (float64(i) - middle) * v
		square += (float64(i) - middle) * (float64(i) - middle)
	}
	if slope /= square; known > 0 {
		slope = float64(known)
	}
	slope = min(max(slope, float64(time.Millisecond)), float64(time.Second))
	return time.Duration(slope), time.Duration(mean + slope*middle)
}

// smoothed returns the time of a unit whose time stamp means t.target, after one of a length, 0 if
// that is not known. Times rise.
func (t *track) smoothed(length time.Duration) time.Duration {
	if t.kind != media.Audio || length == 0 {
		length = t.frame
	}
	at := t.average + length
	if t.waiting > 0 { // the first one
		at = t.at + t.scale(t.newest-t.from) + t.ahead - time.Duration(t.waiting-1)*length
		t.waiting = 0
	}
	switch off := t.target - at; {
	case off.Abs() <= wildBy:
		t.wild = 0
		t.averaged++
		if t.kind == media.Audio {
			at += off / time.Duration(min(t.averaged, soundShare))
			break
		}
		at += off / time.Duration(min(t.averaged, pictureShare))
		t.frame = min(max(t.frame+off/frameShare, time.Millisecond), time.Second)
	case t.wild < maxWild:
		t.wild++
	default:
		at, t.wild = t.target, 0
	}
	t.average = at
	if t.given > 1 && t.wild == 0 && at < t.out-wildBy {
		return at // time has jumped back
	}
	return max(at, t.out+time.Millisecond)
}
