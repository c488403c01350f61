package live

import "time"

const (
	// deliverySlot and deliverySlots make the two seconds over which a track's delivery is judged.
	deliverySlot  = 250 * time.Millisecond
	deliverySlots = 8
	// liveSlots is how many slots must lie between the first and the last one before a track is
	// known to come live, and liveSpread by how much its lateness may differ among them.
	liveSlots  = 4
	liveSpread = 300 * time.Millisecond
)

// delivery follows how late the units of one track come: their time of arrival less their stream
// time. A network makes units later and never earlier, so that the least lateness of a while is the
// nearest to the truth; bursts, jitter and stalls do not change it.
type delivery struct {
	least  [deliverySlots]time.Duration
	seen   [deliverySlots]bool
	newest int64 // number of the newest slot since the session's first unit
}

// add notes the lateness of a unit that came at a time of the session. It says whether a new slot
// began.
func (d *delivery) add(arrived, late time.Duration) (turned bool) {
	slot := int64(arrived / deliverySlot)
	for n := max(d.newest+1, slot-deliverySlots+1); n <= slot; n++ {
		d.seen[n%deliverySlots], turned = false, true
	}
	d.newest = max(d.newest, slot)
	at := d.newest % deliverySlots
	if !d.seen[at] || late < d.least[at] {
		d.seen[at], d.least[at] = true, late
	}
	return turned
}

// usual is the least lateness of the last two seconds in which something came.
func (d *delivery) usual() time.Duration {
	usual, any := time.Duration(0), false
	for i, late := range d.least {
		if d.seen[i] && (!any || late < usual) {
			usual, any = late, true
		}
	}
	return usual
}

// live says that the track comes at the pace at which it plays.
func (d *delivery) live() bool {
	first, last := int64(-1), int64(-1)
	var least, most time.Duration
	for slot := max(d.newest-deliverySlots+1, 0); slot <= d.newest; slot++ {
		at := slot % deliverySlots
		if !d.seen[at] {
			continue
		}
		if first < 0 {
			first, least, most = slot, d.least[at], d.least[at]
		}
		last, least, most = slot, min(least, d.least[at]), max(most, d.least[at])
	}
	return first >= 0 && last-first >= liveSlots && most-least <= liveSpread
}

// shift notes that the track's stream times are later than was thought.
func (d *delivery) shift(by time.Duration) {
	for i := range d.least {
		d.least[i] -= by
	}
}
