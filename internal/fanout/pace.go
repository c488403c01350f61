package fanout

import (
	"runtime"
	"sync"
	"sync/atomic"
	"time"
)

const (
	// paceWindow is how often the load is looked at, paceStep by how much the delay changes then.
	paceWindow = 100 * time.Millisecond
	paceStep   = 10 * time.Millisecond
	// Above paceBusy, in percent of the processors, there is little CPU time left: waiting makes
	// writes fewer and larger. Above paceFull that is urgent. Below paceIdle there is enough. In
	// between nothing changes: the delay itself lowers the load.
	paceFull = 90
	paceBusy = 70
	paceIdle = 50
	// lateBusy: passes that begin so much later than they were due, in the mean, say that
	// processors are short, whoever has them. Below lateIdle they have none to wait for.
	lateBusy = 15 * time.Millisecond
	lateIdle = 3 * time.Millisecond
	// maxLate is what one pass counts for at most: after a suspension all are late, but not because
	// of the load.
	maxLate = 100 * time.Millisecond
)

// pace decides how long delivery waits, for all feeds: not longer than it must while there is CPU
// time to spare. Its methods may be called from any goroutine.
type pace struct {
	min, max time.Duration
	// cpu returns the CPU time that the process has used, 0 if that is not known; procs the
	// processors that it may use.
	cpu   func() time.Duration
	procs func() int

	delay  atomic.Int64 // time.Duration
	sample atomic.Int64 // when to look at the load again, ns since 1970

	// How late the passes of this window were, in all, and their number.
	late, passes atomic.Int64

	mu      sync.Mutex // for the one who looks at the load
	lastAt  time.Time
	lastCPU time.Duration
}

func newPace(least, most time.Duration) *pace {
	p := &pace{
		min: least, max: max(least, most),
		cpu: CPUTime, procs: func() int { return runtime.GOMAXPROCS(0) },
	}
	p.delay.Store(int64(least))
	return p
}

// wait returns the least time between two passes of a feed.
func (p *pace) wait(now time.Time) time.Duration {
	if p.min != p.max && now.UnixNano() >= p.sample.Load() && p.mu.TryLock() {
		p.look(now)
		p.mu.Unlock()
	}
	return time.Duration(p.delay.Load())
}

// began notes that a pass began, later than it was due by late.
func (p *pace) began(late time.Duration) {
	if p.min != p.max {
		p.late.Add(int64(min(max(late, 0), maxLate)))
		p.passes.Add(1)
	}
}

// look compares the load of the window that is over with its bounds. The caller holds mu.
func (p *pace) look(now time.Time) {
	p.sample.Store(now.Add(paceWindow).UnixNano())
	cpu := p.cpu()
	span, used := now.Sub(p.lastAt), cpu-p.lastCPU
	first := p.lastAt.IsZero()
	p.lastAt, p.lastCPU = now, cpu
	late, passes := p.late.Swap(0), p.passes.Swap(0)
	if first || span <= 0 || span > 10*paceWindow {
		return
	}
	busy := int(used * 100 / (span * time.Duration(p.procs())))
	p.delay.Store(int64(p.next(busy, time.Duration(late/max(passes, 1)))))
}

// next returns the delay of the next window: it grows in steps, faster when that is urgent, and
// shrinks again.
func (p *pace) next(busy int, late time.Duration) time.Duration {
	delay := time.Duration(p.delay.Load())
	switch {
	case busy > paceFull:
		return min(p.max, 2*delay+2*paceStep)
	case busy > paceBusy || late > lateBusy:
		return min(p.max, delay+paceStep)
	case busy < paceIdle && late < lateIdle:
		return max(p.min, delay-paceStep)
	}
	return delay
}
