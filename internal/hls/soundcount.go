package hls

import (
	"time"

	"livego/internal/fmp4"
	"livego/internal/media"
)

const (
	// countWindow is for how long the frames of a track may be ahead of their times, as of encoders
	// and bridges that send several with one time. More than that is more sound than there is time
	// for.
	countWindow = time.Second
	// msRounding is by how much times in milliseconds may be wrong, at both ends of a hole.
	msRounding = 2 * time.Millisecond
	// minHole is what is taken for jitter where frames are shorter than that.
	minHole = 15 * time.Millisecond
)

// soundCount counts the samples of sound: frames come with times in whole milliseconds, in which no
// usual one lasts a whole number. The zero value has counted nothing.
type soundCount struct {
	// due is where the count puts the next frame, and end where the last one ends as it is written.
	due, end time.Duration
	// length, track and turn are of the last frame, track nil if there was none.
	length time.Duration
	track  *media.Track
	turn   uint32
	// silence is a frame like those of track in which nothing is heard, nil if there is none, and
	// quiet its length.
	silence []byte
	quiet   time.Duration
	// least is by how much the frames since then were ahead of their times at least.
	least, since time.Duration
}

// misses says that a frame at a time comes about as much too late as one lasts, or more.
func (c *soundCount) misses(at time.Duration) bool {
	return c.track != nil && at-c.due >= max(c.length-msRounding, minHole)
}

// fill returns the next frame of silence, not before from, if there is room for half of it before
// until.
func (c *soundCount) fill(from, until time.Duration) (u media.AccessUnit, ok bool) {
	at := max(c.end, from)
	if c.silence == nil || at+c.quiet/2 > until {
		return media.AccessUnit{}, false
	}
	return media.AccessUnit{Track: c.track, DTS: at, PTS: at, RandomAccess: true, Epoch: c.turn, Data: c.silence}, true
}

// take counts a frame of a length.
func (c *soundCount) take(u *media.AccessUnit, length time.Duration) {
	if c.track != u.Track {
		c.silence, c.quiet = fmp4.Silence(u.Track, u.Data)
	}
	begun := c.track != nil
	c.length, c.track, c.turn = length, u.Track, u.Epoch
	c.end = fmp4.SoundEnd(u.DTS, c.end, length, begun)
	ahead := c.due - u.DTS
	if !begun || -ahead > length/2 {
		c.due, ahead = u.DTS, 0
		c.least, c.since = 0, u.DTS
	}
	c.due += length
	if c.least = min(c.least, ahead); u.DTS-c.since > countWindow {
		c.due -= max(0, c.least-length/2)
		c.least, c.since = ahead, u.DTS
	}
}
