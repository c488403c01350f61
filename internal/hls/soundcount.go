package hls

import (
	"time"

	"livego/internal/media"
)

// countWindow is for how long the frames of a track may be ahead of their times, as of encoders and
// bridges that send several with one time. More than that is more sound than there is time for.
const countWindow = time.Second

// soundCount counts the samples of sound: frames come with times in whole milliseconds, in which no
// usual one lasts a whole number. fmp4's clock does the same. The zero value has counted nothing.
type soundCount struct {
	// next is where the count puts the next frame. length, track and turn are of the last one, track
	// nil if there was none.
	next, length time.Duration
	track        *media.Track
	turn         uint32
	// least is by how much the frames since then were ahead at least.
	least, since time.Duration
}

// hole is how much is missing before a frame at a time.
func (c *soundCount) hole(at time.Duration) time.Duration {
	if c.track == nil {
		return 0
	}
	return max(0, at-c.next)
}

// take counts a frame of a length.
func (c *soundCount) take(u *media.AccessUnit, length time.Duration) {
	ahead := c.next - u.DTS
	if c.track == nil || -ahead > length/2 {
		c.next, ahead = u.DTS, 0
		c.least, c.since = 0, u.DTS
	}
	c.length, c.track, c.turn = length, u.Track, u.Epoch
	c.next += length
	if c.least = min(c.least, ahead); u.DTS-c.since > countWindow {
		c.next -= max(0, c.least-length/2)
		c.least, c.since = ahead, u.DTS
	}
}
