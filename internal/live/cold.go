package live

import (
	"encoding/binary"
	"time"
	"unsafe"

	"livego/internal/media"
)

// This file is the part of a ring that is kept for readers who may come, and that nobody reads: it
// is packed into memory which the collector knows nothing of. Slices of it go nowhere: who comes
// gets units whose bytes were copied back (thaw).

const (
	// coolUnits is how many units are packed with each that comes: a whole GOP at once would hold
	// the publisher up for milliseconds.
	coolUnits = 8
	// coolBehind is how much is not packed in front of the place where players begin: the logs of
	// feeds have as much, and the ring shares their bytes.
	coolBehind = 500 * time.Millisecond
	// maxRecord is the most that a packed unit may take beside its body: three bytes and eight
	// numbers. Usually it is some twenty bytes, where a unit of the ring takes over a hundred.
	maxRecord = 3 + 8*binary.MaxVarintLen64
	// maxColdTracks: units of further tracks are not packed.
	maxColdTracks = 256
	// thawSlab is how much memory units share that are copied back; longer ones than an eighth of
	// it have their own.
	thawSlab = 64 << 10
)

// cold is units that were packed: those of a ring before its first one.
type cold struct {
	queue  queue
	first  uint64         // sequence number of the oldest
	units  int            // how many there are
	joins  []coldJoin     // among them, or among those that are to follow soon
	before *media.Headers // in force before the oldest
	tracks []*media.Track // of those there are, by number
	// odd are units that are not packed, in their order: headers, and those whose data are not in
	// their body.
	odd   []media.AccessUnit
	bytes int
	// in and out are the last units that were packed and taken out: numbers are told as what they
	// are beyond those.
	in, out stamp
}

// stamp is what units have that rises.
type stamp struct {
	dts, arrived int64
	epoch        uint32
}

func stampOf(u *media.AccessUnit) stamp { return stamp{int64(u.DTS), u.Arrived, u.Epoch} }

// coldJoin is a unit with which readers may begin, and its decode time.
type coldJoin struct {
	join
	at time.Duration
}

// Flags of a packed unit.
const (
	flagRandomAccess = 1 << iota
	flagRecovery
	flagSkipped
	flagJoin
	flagDiscontinuity
	flagShared
	flagMultitrack
	flagOdd
)

// flags packs the booleans of a unit.
func flags(u *media.AccessUnit) (f byte) {
	for _, b := range [...]struct {
		is   bool
		flag byte
	}{
		{u.RandomAccess, flagRandomAccess}, {u.Recovery, flagRecovery}, {u.Skipped, flagSkipped}, {u.Join, flagJoin},
		{u.Discontinuity, flagDiscontinuity}, {u.Shared, flagShared}, {u.Multitrack, flagMultitrack},
	} {
		if b.is {
			f |= b.flag
		}
	}
	return f
}

// push packs a unit. before is the body of the last one if that was packed just now.
func (c *cold) push(u *media.AccessUnit, before *byte) {
	var memory [1 + maxRecord]byte
	at, track, body := dataIn(u), c.track(u.Track), u.Body
	record := memory[:1] // its length
	if u.Header != media.Sample || at < 0 || track < 0 {
		record = append(record, flagOdd)
		c.odd = append(c.odd, *u)
		c.bytes += cost(u)
		body = nil
	} else {
		if u.Shared && before == unsafe.SliceData(u.Body) && !u.Join {
			body = nil // readers may begin with a unit that has Join, and the one before is gone then
		}
		record = append(record, flags(u), u.MessageType, byte(track))
		for _, n := range [...]int64{
			int64(u.DTS) - c.in.dts, int64(u.PTS - u.DTS), u.Arrived - c.in.arrived, int64(u.Epoch) - int64(c.in.epoch),
			int64(u.Nanos), int64(len(body)), int64(at), int64(len(u.Data)),
		} {
			record = binary.AppendVarint(record, n)
		}
		c.in = stampOf(u)
	}
	record[0] = byte(len(record) - 1)
	c.queue.write(record)
	c.queue.write(body)
	c.bytes += len(record) + len(body)
	c.units++
}

// dataIn returns where the data of a unit are in its body, negative if they are not there.
func dataIn(u *media.AccessUnit) int {
	if len(u.Body) == 0 {
		return -1
	}
	if len(u.Data) == 0 {
		return 0
	}
	at := uintptr(unsafe.Pointer(unsafe.SliceData(u.Data))) - uintptr(unsafe.Pointer(unsafe.SliceData(u.Body)))
	if n := uintptr(len(u.Body)); at > n || uintptr(len(u.Data)) > n-at {
		return -1
	}
	return int(at)
}

// track returns the number of a track, negative if there are too many.
func (c *cold) track(t *media.Track) int {
	for i := len(c.tracks) - 1; i >= 0; i-- {
		if c.tracks[i] == t {
			return i
		}
	}
	if len(c.tracks) >= maxColdTracks {
		return -1
	}
	c.tracks = append(c.tracks, t)
	return len(c.tracks) - 1
}

// pop takes the oldest unit out. Its body is in what memory returns for its length; without that it
// has none. before is the body of the one that was taken before.
func (c *cold) pop(before []byte, memory func(n int) []byte) (u media.AccessUnit) {
	var record [maxRecord]byte
	c.queue.read(record[:1])
	rest := record[:record[0]]
	c.queue.read(rest)
	c.units--
	c.bytes -= 1 + len(rest)
	if f := rest[0]; f&flagOdd != 0 {
		u = c.odd[0]
		c.odd[0] = media.AccessUnit{}
		c.odd = c.odd[1:]
		c.bytes -= cost(&u)
	} else {
		u = media.AccessUnit{
			MessageType: rest[1], Track: c.tracks[rest[2]],
			RandomAccess: f&flagRandomAccess != 0, Recovery: f&flagRecovery != 0, Skipped: f&flagSkipped != 0, Join: f&flagJoin != 0,
			Discontinuity: f&flagDiscontinuity != 0, Shared: f&flagShared != 0, Multitrack: f&flagMultitrack != 0,
		}
		var n [8]int64
		rest = rest[3:]
		for i := range n {
			var size int
			n[i], size = binary.Varint(rest)
			rest = rest[size:]
		}
		u.DTS = time.Duration(c.out.dts + n[0])
		u.PTS, u.Arrived, u.Epoch, u.Nanos = u.DTS+time.Duration(n[1]), c.out.arrived+n[2], uint32(int64(c.out.epoch)+n[3]), uint32(n[4])
		c.out = stampOf(&u)
		u.Body, u.Data = c.body(int(n[5]), before, memory), nil
		if at, size := int(n[6]), int(n[7]); size > 0 && u.Body != nil {
			u.Data = u.Body[at : at+size]
		}
	}
	u.Seq = c.first
	c.first++
	if c.units == 0 {
		c.tracks, c.odd, c.in, c.out = nil, nil, stamp{}, stamp{}
	}
	return u
}

// body takes a body of n bytes out, if there is memory for it: without bytes of its own it is that
// of the unit before.
func (c *cold) body(n int, before []byte, memory func(n int) []byte) []byte {
	c.bytes -= n
	switch {
	case n == 0:
		return before
	case memory == nil:
		c.queue.skip(n)
		return nil
	}
	b := memory(n)
	c.queue.read(b)
	return b
}

// drop lets go of the units before seq.
func (c *cold) drop(seq uint64) {
	for c.units > 0 && c.first < seq {
		u := c.pop(nil, nil)
		c.before = c.before.After(&u)
	}
	for len(c.joins) > 0 && c.joins[0].seq < seq {
		c.joins = c.joins[1:]
	}
}

// release lets go of all.
func (c *cold) release() {
	c.queue.release()
	*c = cold{}
}

// cools says that the oldest GOPs are packed, as nobody reads all.
func (r *ring) cools() bool { return r.keep > 0 && r.all == 0 && r.cold.queue.store != nil }

// cool packs some units of those that are to be.
func (r *ring) cool() {
	var before *byte
	var until time.Duration
	if r.first < r.coolTo && len(r.joins) > 0 {
		until = r.at(r.joins[0].seq).DTS - coolBehind
	}
	for n := 0; r.first < r.coolTo && (n < coolUnits || r.at(r.first).Shared); n++ {
		u := r.at(r.first)
		if u.DTS >= until && len(r.joins) > 0 && !u.Shared {
			return
		}
		if r.cold.units == 0 {
			r.cold.first, r.cold.before = r.first, r.before
		}
		r.bytes -= cost(u) + r.cold.bytes
		r.cold.push(u, before)
		r.bytes += r.cold.bytes
		before = unsafe.SliceData(u.Body)
		r.before = r.before.After(u)
		*u = media.AccessUnit{}
		r.first++
	}
}

// coolGOP has the oldest GOP packed, but for sound that belongs to the next one.
func (r *ring) coolGOP() {
	r.cold.joins = append(r.cold.joins, coldJoin{r.joins[0], r.at(r.joins[0].seq).DTS})
	r.joins = r.joins[1:]
	r.coolTo = max(r.joins[0].from, r.first)
}

// evictCold drops the oldest packed GOPs while the rest is as long as the ring has to be.
func (r *ring) evictCold() {
	for len(r.cold.joins) > 0 {
		next, ok := r.afterColdest()
		if !ok || r.at(r.next-1).DTS-next.at < r.keep {
			return
		}
		r.dropColdest()
	}
}

// afterColdest returns the join unit behind the oldest packed one.
func (r *ring) afterColdest() (coldJoin, bool) {
	switch {
	case len(r.cold.joins) > 1:
		return r.cold.joins[1], true
	case len(r.joins) > 0:
		return coldJoin{r.joins[0], r.at(r.joins[0].seq).DTS}, true
	}
	return coldJoin{}, false
}

// dropColdest lets the oldest packed GOP go, but for sound that belongs to the next one.
func (r *ring) dropColdest() {
	next, ok := r.afterColdest()
	if !ok {
		r.dropBefore(r.first)
		r.cold.joins = nil
		return
	}
	oldest := r.first
	if r.cold.units > 0 {
		oldest = r.cold.first
	}
	r.dropBefore(max(next.from, oldest))
	for len(r.cold.joins) > 0 && r.cold.joins[0].seq < next.seq {
		r.cold.joins = r.cold.joins[1:]
	}
}

// thaw brings all units back that were packed.
func (r *ring) thaw() {
	c := &r.cold
	r.coolTo = 0
	joins := make([]join, 0, len(c.joins)+len(r.joins))
	for _, j := range c.joins {
		joins = append(joins, j.join)
	}
	r.joins, c.joins = append(joins, r.joins...), nil
	if c.units == 0 {
		return
	}
	first, before := c.first, c.before
	units := make([]media.AccessUnit, max(len(r.units), int(r.next-first)*5/4))
	r.bytes -= c.bytes
	var slab, body []byte
	memory := func(n int) []byte {
		if n > len(slab) {
			if n > thawSlab/8 {
				return make([]byte, n)
			}
			slab = make([]byte, thawSlab)
		}
		b := slab[:n:n]
		slab = slab[n:]
		return b
	}
	seq := first
	for ; seq < r.first; seq++ {
		u := c.pop(body, memory)
		body = u.Body
		r.bytes += cost(&u)
		units[seq%uint64(len(units))] = u
	}
	for ; seq < r.next; seq++ {
		units[seq%uint64(len(units))] = *r.at(seq)
	}
	r.units, r.first, r.before = units, first, before
}

// forgetCold lets go of what is packed, for good.
func (r *ring) forgetCold() {
	r.bytes -= r.cold.bytes
	r.cold.release()
	r.coolTo = 0
}
