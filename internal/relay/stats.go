package relay

import "sync/atomic"

// counters count all relays of a direction, those that are over too.
type counters struct{ tries, failures, bytes, skipped atomic.Uint64 }

// Stats says what the relays of a direction do, and did.
type Stats struct {
	Direction Direction
	// States counts the relays by what they do now.
	States map[State]int
	// Tries is how often one connected or tried to, Failures how often that or a connection failed.
	// Bytes are of media.
	Tries, Failures, Bytes uint64
	// Skipped counts access units that slow servers did not take.
	Skipped uint64
}

// Stats returns the figures of both directions.
func (r *Relays) Stats() [2]Stats {
	all := [2]Stats{{Direction: Push}, {Direction: Pull}}
	relays := r.List() // which counts what they sent
	for i := range all {
		c := r.counts(all[i].Direction)
		all[i].States = map[State]int{Waiting: 0, Connecting: 0, Running: 0, Failed: 0}
		all[i].Tries, all[i].Failures, all[i].Bytes, all[i].Skipped = c.tries.Load(), c.failures.Load(), c.bytes.Load(), c.skipped.Load()
	}
	for _, s := range relays {
		if s.Direction == Push {
			all[0].States[s.State]++
		} else {
			all[1].States[s.State]++
		}
	}
	return all
}

func (r *Relays) counts(d Direction) *counters {
	if d == Push {
		return &r.pushes
	}
	return &r.pulls
}
