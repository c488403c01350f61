package fanout

import "time"

// pace decides how long delivery may wait. While passes are short against the time between them it does not wait longer than it must;
// when they take most of it, waiting makes writes fewer and larger.
type pace struct {
	min, max time.Duration
	delay    time.Duration
	last     time.Time // start of the last pass
}

const (
	paceStep = 10 * time.Millisecond
	// paceBusy and paceIdle are shares, in percent, of the time between two passes that a pass takes.
	paceBusy = 60
	paceIdle = 25
)

func newPace(least, most time.Duration) pace {
	return pace{min: least, max: max(least, most), delay: least}
}

// hold returns how long the next pass has to wait.
func (p *pace) hold(now time.Time) time.Duration {
	if p.delay == 0 || p.last.IsZero() {
		return 0
	}
	return p.delay - now.Sub(p.last)
}

func (p *pace) passed(start, end time.Time) {
	gap := start.Sub(p.last)
	p.last = start
	if p.min == p.max || gap <= 0 || gap > time.Second {
		return
	}
	switch busy := int(end.Sub(start) * 100 / gap); {
	case busy > paceBusy:
		p.delay = min(p.max, max(p.delay, gap)+paceStep)
	case busy < paceIdle:
		p.delay = max(p.min, p.delay-paceStep)
	}
}
