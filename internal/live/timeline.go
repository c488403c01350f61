package live

import (
	"slices"
	"sync"
	"time"
)

const (
	// sameClock: a session whose first unit, mapped like the units of another publication, lands
	// within that of where the other one is has the same encoder clock. It has to cover what
	// networks delay one of several outputs of an encoder.
	sameClock = 10 * time.Second
	// snapWindow: random access points of two encoders that arrive within that of each other are
	// taken for the same picture.
	snapWindow = 500 * time.Millisecond
	// maxSkew: random access points of one encoder's outputs that are that near to each other are
	// the same picture. FFmpeg shifts an output by the priming of its audio encoder, 21 ms with AAC
	// at 48 kHz, and an output without sound not at all.
	maxSkew = 100 * time.Millisecond
	// silence: a publication without a unit for that long may be a connection that is dead already,
	// and nobody aligns with it.
	silence = 2 * time.Second
	// maxPoints is how many of a publication's newest random access points are remembered.
	maxPoints = 8
)

// timeline is what the publications of one stream have in common: the time. It knows how each of
// them maps encoder time to stream time, and where they are. Its lock is taken while that of a
// publication is held.
type timeline struct {
	mu     sync.Mutex
	began  bool
	newest time.Duration // largest DTS of all publications
	marks  []*mark       // of the sessions that have begun and are on air or in grace
}

// mark is what the others need to know of a publication's session.
type mark struct {
	of *Publication
	mapping
	last   time.Duration // newest stream time
	at     time.Time     // when that was written
	points []point       // newest random access points of the video, oldest first
	lost   bool          // in grace
}

// point is a random access point.
type point struct {
	dts     time.Duration
	arrived time.Time
}

// mapping puts encoder time onto the timeline: offset is stream time minus encoder time, and
// nothing comes before floor. skew is the part of offset that outputs of the same encoder do not
// share.
type mapping struct{ offset, floor, skew time.Duration }

// clock is the offset that outputs of the same encoder share.
func (m *mapping) clock() time.Duration { return m.offset - m.skew }

// verdict is what place says of a session that wants to begin.
type verdict uint8

const (
	placed verdict = iota
	// undecided: the other publications' next random access point may be the nearest.
	undecided
	// tooEarly: stream time would go back. The session has to begin with a later unit.
	tooEarly
	// misaligned: no random access point of the others is near enough.
	misaligned
)

// entry is the first unit of a session: its encoder time, when it came and whether it is a picture.
type entry struct {
	from    time.Duration
	arrived time.Time
	video   bool
}

// where returns the stream time at which the session would be at a moment.
func (m *mark) where(now time.Time) time.Duration { return m.last + now.Sub(m.at) }

// place maps a session that begins: with the clock of another publication, on air or in grace, if
// that fits; without others on air one frame after all that was sent; else with a clock of its own
// that makes its first random access point that of the others which arrived at the same time.
func (tl *timeline) place(pub *Publication, e entry, now time.Time) (mapping, verdict) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	if !tl.began {
		floor := max(e.from, 0) // no format has times before 0
		return mapping{offset: floor - e.from, floor: floor}, placed
	}
	lowest := minDuration
	if pub.ring.next > 0 {
		lowest = pub.last + 1
	}
	others := tl.others(pub, now)
	if m := tl.fitting(pub, e.from, e.arrived, minDuration); m != nil {
		to, v := skewed(others, mapping{offset: m.clock(), floor: e.from + m.clock()}, e, now)
		if v != placed || to.floor >= lowest {
			return to, v
		}
		if slices.Contains(others, m) {
			return to, tooEarly
		}
	}
	if len(others) == 0 {
		return tl.after(pub, e.from), placed
	}
	at, v := snap(others, e, now)
	if v == placed && at < lowest {
		v = tooEarly
	}
	return mapping{offset: at - e.from, floor: at}, v
}

// skewed corrects the mapping of a session with the clock of others, so that its first random
// access point is the nearest of theirs.
func skewed(others []*mark, to mapping, e entry, now time.Time) (mapping, verdict) {
	if !e.video {
		return to, placed
	}
	nearest, behind := time.Duration(0), false
	found := false
	for _, m := range others {
		behind = behind || len(m.points) > 0 && m.last < to.floor+maxSkew
		for _, p := range m.points {
			if d := p.dts - to.floor; d.Abs() <= maxSkew && (!found || d.Abs() < nearest.Abs()) {
				nearest, found = d, true
			}
		}
	}
	if !found && behind && now.Sub(e.arrived) < snapWindow {
		return to, undecided
	}
	return mapping{offset: to.offset + nearest, floor: to.floor + nearest, skew: nearest}, placed
}

const minDuration = time.Duration(-1 << 63)

// jump maps a session whose encoder time jumped to from: as another publication does if that fits,
// which has jumped before; else one frame after all that was sent.
func (tl *timeline) jump(pub *Publication, from time.Duration, now time.Time) mapping {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	own := tl.mark(pub)
	to := tl.after(pub, from)
	if own != nil {
		to.skew = own.skew
	}
	if m := tl.fitting(pub, from+to.skew, now, pub.last-maxBackJump); m != nil {
		to.offset, to.floor = m.clock()+to.skew, max(pub.last, m.floor)
	}
	if own != nil {
		own.mapping = to
	}
	return to
}

// step maps a session whose encoder time made a small jump to from: as another publication that is
// sending does if that fits, else to.
func (tl *timeline) step(pub *Publication, from time.Duration, to mapping, now time.Time) mapping {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	own := tl.mark(pub)
	if own != nil {
		to.skew = own.skew
	}
	if m := tl.fitting(pub, from+to.skew, now, pub.last-maxBackJump); m != nil {
		to.offset = m.clock() + to.skew
	}
	if own != nil {
		own.mapping = to
	}
	return to
}

// turn notes that a session goes on as it did before a jump.
func (tl *timeline) turn(pub *Publication, to mapping) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	if own := tl.mark(pub); own != nil {
		own.mapping = to
	}
}

// after continues the timeline one frame after everything that was sent.
func (tl *timeline) after(pub *Publication, from time.Duration) mapping {
	frame := pub.frame
	if frame <= 0 {
		frame = defaultFrame
	}
	floor := (max(tl.newest, pub.last) + frame).Round(time.Millisecond)
	return mapping{offset: floor - from, floor: floor}
}

// fitting returns the mark of the publication whose mapping brings encoder time from nearest to
// where that publication is, if that is near enough, and not below lowest.
func (tl *timeline) fitting(pub *Publication, from time.Duration, now time.Time, lowest time.Duration) *mark {
	var best *mark
	nearest := sameClock
	for _, m := range tl.marks {
		to := from + m.clock()
		if m.of == pub || to < lowest {
			continue
		}
		if d := (to - m.where(now)).Abs(); d <= nearest {
			best, nearest = m, d
		}
	}
	return best
}

// others returns the other publications that are sending.
func (tl *timeline) others(pub *Publication, now time.Time) []*mark {
	return slices.DeleteFunc(slices.Clone(tl.marks), func(m *mark) bool { return m.of == pub || m.lost || now.Sub(m.at) > silence })
}

// snap returns the stream time of the random access point of others that arrived nearest to e.
// Without video on one of the sides it is the time at which the others were then.
func snap(others []*mark, e entry, now time.Time) (time.Duration, verdict) {
	var best *point
	var distance time.Duration
	for _, m := range others {
		for i := range m.points {
			if d := m.points[i].arrived.Sub(e.arrived).Abs(); best == nil || d < distance {
				best, distance = &m.points[i], d
			}
		}
	}
	waited := now.Sub(e.arrived)
	switch {
	case best == nil || !e.video:
		return others[0].where(e.arrived).Round(time.Millisecond), placed
	case waited < min(distance, snapWindow):
		return 0, undecided
	case distance > snapWindow:
		return 0, misaligned
	}
	return best.dts, placed
}

// mark returns the mark of a publication, nil if it has none.
func (tl *timeline) mark(pub *Publication) *mark {
	for _, m := range tl.marks {
		if m.of == pub {
			return m
		}
	}
	return nil
}

// begin notes a session that was placed.
func (tl *timeline) begin(pub *Publication, to mapping, now time.Time) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.began = true
	tl.remove(pub)
	tl.marks = append(tl.marks, &mark{of: pub, mapping: to, last: to.floor, at: now})
}

// lose says that the publication's session is over and that another one may follow.
func (tl *timeline) lose(pub *Publication) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	if m := tl.mark(pub); m != nil {
		m.lost = true
	}
}

// leave forgets the publication's session.
func (tl *timeline) leave(pub *Publication) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.remove(pub)
}

// remove needs mu.
func (tl *timeline) remove(pub *Publication) {
	tl.marks = slices.DeleteFunc(tl.marks, func(m *mark) bool { return m.of == pub })
}

// note says how far a publication is.
func (tl *timeline) note(pub *Publication, now time.Time) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	tl.newest = max(tl.newest, pub.last)
	if m := tl.mark(pub); m != nil {
		m.last, m.at = pub.last, now
	}
}

// notePoint notes a random access point of a publication's leading video track.
func (tl *timeline) notePoint(pub *Publication, dts time.Duration, arrived time.Time) {
	tl.mu.Lock()
	defer tl.mu.Unlock()
	m := tl.mark(pub)
	if m == nil {
		return
	}
	if len(m.points) == maxPoints {
		m.points = append(m.points[:0], m.points[1:]...)
	}
	m.points = append(m.points, point{dts, arrived})
}
