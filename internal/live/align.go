package live

import (
	"time"

	"livego/internal/media"
)

// arrival is a unit and when it came.
type arrival struct {
	unit media.AccessUnit
	at   time.Time
}

// arrivals is units that wait, in the order in which they came.
type arrivals struct {
	all   []arrival
	head  int
	bytes int
}

func (q *arrivals) waiting() []arrival { return q.all[q.head:] }

func (q *arrivals) push(a *arrival) {
	if q.head > 0 && len(q.all) == cap(q.all) {
		n := copy(q.all, q.all[q.head:])
		clear(q.all[n:])
		q.all, q.head = q.all[:n], 0
	}
	q.all = append(q.all, *a)
	q.bytes += cost(&a.unit)
}

func (q *arrivals) pop() {
	q.bytes -= cost(&q.all[q.head].unit)
	q.all[q.head] = arrival{}
	if q.head++; q.head == len(q.all) {
		q.all, q.head = q.all[:0], 0
	}
}

// begin starts the session with its first unit, as soon as its place on the stream's timeline is
// known.
func (p *Publisher) begin(first *arrival) {
	p.first = &arrival{first.unit, first.at}
	p.align()
}

// align decides about a session that waits to begin. It is called with each Write: units come many
// times a second, so that it needs no timer.
func (p *Publisher) align() {
	if p.first == nil {
		return
	}
	first, now := p.first, p.now
	if p.queueFull() {
		now = now.Add(snapWindow) // what has come must do
	}
	e := entry{from: first.unit.DTS, arrived: first.at, video: first.unit.Track.Kind == media.Video}
	to, v := p.pub.timeline.place(p.pub, e, now)
	if v == undecided {
		return
	}
	queued := p.queued
	p.first, p.queued, p.queue = nil, nil, 0
	switch v {
	case placed:
		p.start(first, to)
	case tooEarly:
		p.dropped++
	case misaligned:
		p.gone = ErrMisaligned
		return
	}
	for i := range queued {
		p.admit(&queued[i])
	}
	p.came = p.now
}

// enqueue keeps a unit until the session begins.
func (p *Publisher) enqueue(a *arrival) {
	p.queued = append(p.queued, *a)
	p.queue += cost(&a.unit)
	if p.queueFull() {
		p.align()
	}
}

// queueFull bounds what is kept as hold does.
func (p *Publisher) queueFull() bool {
	return len(p.queued) >= maxHeld || p.queue > p.pub.ring.maxBytes
}
