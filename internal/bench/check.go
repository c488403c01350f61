package bench

import (
	"time"

	"livego/internal/flv"
	"livego/internal/media"
)

// checker looks at what one player gets on one connection.
type checker struct {
	out    *findings
	dialed time.Time

	demuxer flv.Demuxer
	units   []media.AccessUnit
	last    [256]uint32 // timestamp by message type
	seen    [256]bool
	video   bool // there are pictures, so that playing starts with one
	history bool // what comes was ready before it was asked for
	pushed  bool // the server sends each picture as it comes, so that the time between two says something
	started bool
	arrived time.Time // of the last picture
	// firstSent is when the first picture was sent of those since somebody set it to zero.
	firstSent time.Time

	number  uint32 // of the next stamp
	stamped bool
	broken  bool // after a gap, until the next key frame
}

// message checks one message as it arrived. A stream that cannot be taken apart is counted, not
// ended.
func (c *checker) message(tag flv.Tag) {
	now := time.Now()
	if c.seen[tag.Type] && int32(tag.TimestampMS-c.last[tag.Type]) < 0 {
		c.out.fault(&c.out.Backwards)
	}
	c.seen[tag.Type], c.last[tag.Type] = true, tag.TimestampMS
	units, err := c.demuxer.Append(c.units[:0], tag.Type, tag.TimestampMS, tag.Body)
	if err != nil {
		c.out.fault(&c.out.Unreadable)
		return
	}
	c.units = units
	if len(units) == 0 {
		return
	}
	u := &units[0]
	switch {
	case u.Track != nil && u.Track.Kind == media.Video:
		c.video = true
	case u.Track == nil || u.Track.Kind != media.Audio || c.video:
		return
	}
	if u.Header == media.Sample {
		c.sample(now, u.RandomAccess, tag.Body)
	}
}

// sample checks a picture, or an audio frame of a stream without pictures.
func (c *checker) sample(now time.Time, randomAccess bool, body []byte) {
	if randomAccess && !c.started {
		c.out.firstKey(now.Sub(c.dialed))
	}
	if !randomAccess && !c.started {
		c.out.fault(&c.out.BadStarts)
	}
	c.started = true
	if c.pushed && !c.arrived.IsZero() {
		c.out.gap(now.Sub(c.arrived))
	}
	c.arrived = now
	sent, number, ok := findStamp(body)
	if !ok {
		return
	}
	if c.firstSent.IsZero() && !c.history {
		c.firstSent = sent
	}
	if !c.history {
		c.out.delay(now.Sub(sent))
	}
	switch gap := int32(number - c.number); {
	case !c.stamped || gap == 0:
	case gap < 0:
		c.out.fault(&c.out.Backwards)
	default:
		c.out.jump(uint32(gap))
		c.broken = true
	}
	if c.broken {
		if !randomAccess {
			c.out.fault(&c.out.BadResumes)
		}
		c.broken = false
	}
	c.stamped, c.number = true, number+1
}
