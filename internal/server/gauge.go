package server

import (
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"livego/internal/media"
	"livego/internal/repair"
)

const (
	// driftWindow is the time in which the fastest unit is looked for: it has met no queue on its
	// way.
	driftWindow = 10 * time.Second
	// driftKnown is how long the encoder's clock is watched before anything is said of it.
	driftKnown = time.Minute
	// driftLimit, in seconds per second, is what no clock is wrong by: above it the encoder sends
	// at another pace than that of time.
	driftLimit = 0.01
	// gaugeJump: time that moves further than that between two units is another time.
	gaugeJump = 10 * time.Second
)

// gauge measures what an encoder sends. note is called by the one who writes; all else may be
// called from any goroutine.
type gauge struct {
	// Of the first video track.
	pictures    atomic.Uint64
	gop         atomic.Int64
	keyInterval atomic.Int64
	// sinceKey is the time since the last key frame.
	sinceKey atomic.Int64
	// drift is by how many parts per billion the encoder's clock runs fast, if drifts is set.
	drift  atomic.Int64
	drifts atomic.Bool

	// Only for note.
	track   *media.Track
	lastKey time.Duration
	count   int64 // pictures since then
	keys    int
	clock   clock

	// samples are pictures at the last seconds, newest last; only for sample, of which rate gets
	// what it needs.
	samples []uint64
	rate    atomic.Uint64 // pictures in 1,000 s

	mu     sync.Mutex
	faults []countedFault
}

// countedFault is a fault and how often it was met.
type countedFault struct {
	repair.Fault
	times uint64
}

// noteFault counts a fault. Its caller bounds how many kinds there are.
func (g *gauge) noteFault(f repair.Fault) {
	g.mu.Lock()
	defer g.mu.Unlock()
	i := slices.IndexFunc(g.faults, func(o countedFault) bool { return o.Fault == f })
	if i < 0 {
		i = len(g.faults)
		g.faults = append(g.faults, countedFault{Fault: f})
	}
	g.faults[i].times++
}

// faultsSoFar returns the faults that were met, in the order of their first.
func (g *gauge) faultsSoFar() []countedFault {
	g.mu.Lock()
	defer g.mu.Unlock()
	return slices.Clone(g.faults)
}

// note looks at a unit as it came, with the time that the encoder gave it.
func (g *gauge) note(u *media.AccessUnit) {
	if u.Header != media.Sample || u.Track.Kind == media.Data {
		return
	}
	if u.Track.Kind == media.Video && (g.track == nil || g.track.ID == u.Track.ID) {
		g.track = u.Track
		g.notePicture(u)
		g.noteTime(u)
	} else if g.track == nil {
		g.noteTime(u)
	}
}

func (g *gauge) notePicture(u *media.AccessUnit) {
	g.pictures.Add(1)
	g.count++
	if !u.RandomAccess {
		g.sinceKey.Store(int64(u.DTS - g.lastKey))
		return
	}
	g.sinceKey.Store(0)
	if between := u.DTS - g.lastKey; g.keys > 0 && between > 0 && between < time.Hour {
		g.gop.Store(g.count)
		g.keyInterval.Store(int64(between))
	}
	g.lastKey, g.count = u.DTS, 0
	g.keys++
}

// clock compares the encoder's clock with ours by the units that were fastest: what is late says
// nothing of a clock.
type clock struct {
	last    time.Duration
	begin   int64 // of the window
	least   int64 // arrival less time, in the window
	at      int64 // when that was
	first   int64 // least of the first window
	firstAt int64
	windows int
}

func (g *gauge) noteTime(u *media.AccessUnit) {
	c := &g.clock
	if move := u.DTS - c.last; c.begin != 0 && (move < -gaugeJump || move > gaugeJump) {
		*c = clock{}
		g.drifts.Store(false)
	}
	c.last = u.DTS
	delay := u.Arrived - int64(u.DTS)
	switch {
	case c.begin == 0:
		c.begin, c.least, c.at = u.Arrived, delay, u.Arrived
	case delay < c.least:
		c.least, c.at = delay, u.Arrived
	}
	if u.Arrived-c.begin < int64(driftWindow) {
		return
	}
	if c.windows++; c.windows == 1 {
		c.first, c.firstAt = c.least, c.at
	} else if span := c.at - c.firstAt; span >= int64(driftKnown-driftWindow) {
		drift := -float64(c.least-c.first) / float64(span)
		g.drift.Store(int64(drift * 1e9))
		g.drifts.Store(drift < driftLimit && drift > -driftLimit)
	}
	c.begin, c.least, c.at = u.Arrived, delay, u.Arrived
}

// sample is called each second by one goroutine.
func (g *gauge) sample() {
	if len(g.samples) > rateSamples {
		copy(g.samples, g.samples[1:])
		g.samples = g.samples[:rateSamples]
	}
	g.samples = append(g.samples, g.pictures.Load())
	if n := len(g.samples); n > 1 {
		g.rate.Store((g.samples[n-1] - g.samples[0]) * 1000 / uint64(n-1))
	}
}

// frameRate is the mean of the last seconds, in pictures per second.
func (g *gauge) frameRate() float64 { return float64(g.rate.Load()) / 1000 }

// clockDrift is by how many parts per million the encoder's clock runs fast, nil while that is not
// known.
func (g *gauge) clockDrift() *float64 {
	if !g.drifts.Load() {
		return nil
	}
	ppm := float64(g.drift.Load()/100) / 10
	return &ppm
}
