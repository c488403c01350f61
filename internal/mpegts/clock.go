package mpegts

import "time"

// Bounds of the clock, in ticks of 90 kHz.
const (
	ticksPerMS = 90
	// clockLead is how far the clock runs behind the decode times: what a receiver may buffer.
	// ISO/IEC 13818-1 2.4.2.6 allows one second; audio that waits for its PES packet and tracks
	// that arrive unevenly need some of it.
	clockLead = 700 * ticksPerMS
	// maxClockGap is the longest time between two clock references (ISO/IEC 13818-1 2.7.2). Where
	// none comes in time by itself, packets are added clockStep apart.
	maxClockGap = 100 * ticksPerMS
	clockStep   = 90 * ticksPerMS
	// maxClockFill is the longest gap that is filled. Beyond it the timeline jumped, and the
	// playlist has to say so.
	maxClockFill = 15_000 * ticksPerMS
)

// maxSkew is how far the track with the clock may arrive behind the other before the clock goes on
// without it.
const maxSkew = 300 * time.Millisecond

// clock is the program clock reference: when it was last written, in ticks that do not wrap.
type clock struct {
	last    int64
	running bool
	// due asks for a reference before anything else, as at the start of a segment.
	due bool
}

// reference returns the value to write with a unit that is decoded at dts. The clock never goes
// back.
func (c *clock) reference(dts int64) int64 {
	pcr := dts - clockLead
	if c.running {
		pcr = max(pcr, c.last)
	}
	c.last, c.running, c.due = pcr, true, false
	return pcr
}

// clockStream is the elementary stream whose packets carry the clock.
func (m *Muxer) clockStream() *elementary {
	if m.video.track != nil {
		return &m.video
	}
	return &m.audio
}

// keepClock adds packets with the clock until the gap before dts, a decode time in ticks, is short
// enough.
func (m *Muxer) keepClock(dst []byte, dts int64) []byte {
	c, now := &m.clock, dts-clockLead
	if !c.running || now-c.last > maxClockFill {
		return dst
	}
	for now-c.last > maxClockGap {
		dst = appendClockPacket(dst, m.clockStream(), c.reference(c.last+clockStep+clockLead))
	}
	return dst
}

// keepClockWithout does the same while a unit arrives on the track that does not carry the clock.
func (m *Muxer) keepClockWithout(dst []byte, dts time.Duration) []byte {
	at := ticks(dts - maxSkew)
	dst = m.keepClock(dst, at)
	if m.clock.due || !m.clock.running {
		dst = appendClockPacket(dst, m.clockStream(), m.clock.reference(at))
	}
	return dst
}
