package live

import (
	"time"

	"livego/internal/media"
)

const (
	// ringLag is how much of it the ring keeps for readers that are behind: who lags less loses
	// nothing.
	ringLag = 10 * time.Second
	// unitOverhead is what a unit costs beside its body.
	unitOverhead = 192
	// minRing is the first capacity of the ring, in units.
	minRing = 64
	// maxAhead bounds by how much sound may be sent before the picture beside which it is to be
	// heard: what is further away is no matter of the order in which an encoder sends. tracksApart
	// is how far tracks of sound are apart that are sent together.
	maxAhead    = 3 * time.Second
	tracksApart = 500 * time.Millisecond
)

// join is a unit with which readers may begin.
type join struct {
	seq uint64
	// from is the first unit before it that belongs behind it: sound that is to be heard with it,
	// or later. It is seq if there is none.
	from uint64
}

// ring holds the newest units of a publication, whole GOPs as long as one fits the memory bound.
// Unit seq lives at seq modulo the capacity.
type ring struct {
	units  []media.AccessUnit
	first  uint64         // sequence number of the oldest unit held
	next   uint64         // sequence number of the next unit
	joins  []join         // the join units held, rising
	before *media.Headers // headers in force before the oldest unit
	after  *media.Headers // headers in force after the newest unit
	bytes  int
	// pictures is the sequence number behind the newest picture.
	pictures uint64

	maxBytes int
	gops     int
	// keep is how much of the stream it holds at least, if memory allows. What players do not begin
	// with is packed, while there are no readers that begin with all: their number is all.
	keep time.Duration
	all  int
	cold cold
	// coolTo is the number of the unit behind the last one that is to be packed.
	coolTo uint64
	// tracks: messages may have several tracks. Players that pick one of video may need a GOP more,
	// as its random access points are others.
	tracks bool
}

func newRing(maxBytes, gops int, s *store) ring {
	return ring{units: make([]media.AccessUnit, minRing), maxBytes: maxBytes, gops: max(gops, 1), cold: cold{queue: queue{store: s}}}
}

func (r *ring) at(seq uint64) *media.AccessUnit { return &r.units[seq%uint64(len(r.units))] }

// push appends u, numbers it and lets go of what is no longer kept. reading is the next unit of the
// reader that is furthest behind.
func (r *ring) push(u media.AccessUnit, reading uint64) {
	if int(r.next-r.first) == len(r.units) {
		r.grow()
	}
	u.Seq = r.next
	r.tracks = r.tracks || u.Multitrack
	*r.at(r.next) = u
	r.next++
	r.bytes += cost(&u)
	r.after = r.after.After(&u)
	if u.Header == media.Sample && u.Track.Kind == media.Video {
		r.pictures = r.next
	}
	if u.Join {
		r.joins = append(r.joins, join{seq: u.Seq, from: r.aheadOf(&u)})
		r.fit()
	}
	r.evictGOPs(reading)
	r.cool()
	r.evictCold()
	r.evictBytes()
}

// aheadOf returns the first unit of the sound that was sent before a picture, the newest unit, and
// is to be heard with it, or later: by an encoder whose sound is ahead, or whose pictures are shown
// before they are decoded. Without any it is the picture. Sound of another header does not count.
func (r *ring) aheadOf(picture *media.AccessUnit) (from uint64) {
	from = picture.Seq
	if picture.Track.Kind != media.Video {
		return from
	}
	for seq := picture.Seq; seq > r.first; seq-- {
		u := r.at(seq - 1)
		sound := u.Track.Kind == media.Audio
		behind := picture.DTS - u.DTS
		switch {
		case u.Epoch != picture.Epoch || behind > maxAhead || sound && (u.Header != media.Sample || behind > tracksApart):
			return from
		case sound && behind <= 0:
			from = u.Seq
		}
	}
	return from
}

// ahead returns the sound that was sent before the unit that readers begin with and belongs behind
// it, as far as the ring holds it.
func (r *ring) ahead(j join) (units []media.AccessUnit) {
	picture := r.at(j.seq)
	for seq := max(j.from, r.first); seq < j.seq; seq++ {
		if u := r.at(seq); u.Track.Kind == media.Audio && u.Header == media.Sample && u.DTS >= picture.DTS {
			units = append(units, *u)
		}
	}
	return units
}

func (r *ring) grow() { r.resize(len(r.units) * 5 / 4) }

// fit gives back what the ring had grown by, if it does not need that any more: a reader may have
// been behind, or have read all.
func (r *ring) fit() {
	if n := max(int(r.next-r.first)*5/4, minRing); n < len(r.units)*2/3 {
		r.resize(n)
	}
}

// resize gives the ring another capacity, which is enough.
func (r *ring) resize(n int) {
	units := make([]media.AccessUnit, n)
	for seq := r.first; seq < r.next; seq++ {
		units[seq%uint64(n)] = *r.at(seq)
	}
	r.units = units
}

// evictGOPs drops the oldest GOPs while the rest is as long as the ring has to be: longer where a
// reader is still in them.
func (r *ring) evictGOPs(reading uint64) {
	least := r.gops
	if r.tracks {
		least++
	}
	for len(r.joins) > least {
		rest := r.at(r.next-1).DTS - r.at(r.joins[1].seq).DTS
		if rest < r.keep && !r.cools() || rest < ringLag && reading < r.joins[1].seq {
			return
		}
		if r.cools() {
			r.coolGOP()
		} else {
			r.dropGOP()
		}
	}
}

// dropGOP lets the oldest GOP go, but for sound that belongs to the next one.
func (r *ring) dropGOP() {
	next := r.joins[1]
	r.dropBefore(max(next.from, r.first))
	for len(r.joins) > 0 && r.joins[0].seq < next.seq {
		r.joins = r.joins[1:]
	}
}

// evictBytes keeps the memory bound: whole GOPs go first; a GOP that is too big alone loses its
// oldest units.
func (r *ring) evictBytes() {
	for r.bytes > r.maxBytes && len(r.cold.joins) > 0 {
		r.dropColdest()
	}
	for r.bytes > r.maxBytes && len(r.joins) > 1 {
		r.dropGOP()
	}
	for r.bytes > r.maxBytes && r.next-r.first > 1 {
		r.dropBefore(r.first + 1)
	}
}

func (r *ring) dropBefore(seq uint64) {
	r.bytes -= r.cold.bytes
	r.cold.drop(seq)
	r.bytes += r.cold.bytes
	for r.first < seq {
		u := r.at(r.first)
		r.bytes -= cost(u)
		r.before = r.before.After(u)
		*u = media.AccessUnit{}
		r.first++
	}
	for len(r.joins) > 0 && r.joins[0].seq < seq {
		r.joins = r.joins[1:]
	}
}

// headersAt returns the headers in force at seq.
func (r *ring) headersAt(seq uint64) *media.Headers {
	if seq == r.next {
		return r.after
	}
	h := r.before
	for s := r.first; s < seq; s++ {
		h = h.After(r.at(s))
	}
	return h
}

// joinless says that there were join units, and memory holds none any more.
func (r *ring) joinless() bool { return len(r.joins) == 0 && r.first > 0 }

// joinBack returns the join unit with which the n newest GOPs begin.
func (r *ring) joinBack(n int) (seq uint64, ok bool) {
	if n <= 0 || len(r.joins) == 0 {
		return 0, false
	}
	return r.joins[max(0, len(r.joins)-n)].seq, true
}

// joinFrom returns the first join unit at or after seq.
func (r *ring) joinFrom(seq uint64) (join, bool) {
	for _, j := range r.joins {
		if j.seq >= seq {
			return j, true
		}
	}
	return join{}, false
}

func cost(u *media.AccessUnit) int {
	switch {
	case u.Shared:
		return unitOverhead
	case u.Body != nil:
		return unitOverhead + len(u.Body)
	}
	return unitOverhead + len(u.Data)
}
