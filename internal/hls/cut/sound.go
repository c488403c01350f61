package cut

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

// SoundCount counts the samples of sound: frames come with times in whole milliseconds, in which no
// usual one lasts a whole number. The zero value has counted nothing.
type SoundCount struct {
	// Due is where the count puts the next frame, and end where the last one ends as it is written.
	Due, End time.Duration
	// Length, Track and session are of the last frame, track nil if there was none.
	Length  time.Duration
	Track   *media.Track
	session uint32
	// Silence is a frame like those of track in which nothing is heard, nil if there is none, and
	// quiet its length.
	Silence []byte
	quiet   time.Duration
	// least is by how much the frames since then were ahead of their times at least.
	least, since time.Duration
}

// Misses says that a frame at a time comes about as much too late as one lasts, or more.
func (c *SoundCount) Misses(at time.Duration) bool {
	return c.Track != nil && at-c.Due >= max(c.Length-msRounding, minHole)
}

// Fill returns the next frame of silence, not before from, if there is room for half of it before
// until.
func (c *SoundCount) Fill(from, until time.Duration) (u media.AccessUnit, ok bool) {
	at := max(c.End, from)
	if c.Silence == nil || at+c.quiet/2 > until {
		return media.AccessUnit{}, false
	}
	return media.AccessUnit{Track: c.Track, DTS: at, PTS: at, RandomAccess: true, Epoch: c.session, Data: c.Silence}, true
}

// Take counts a frame of a length.
func (c *SoundCount) Take(u *media.AccessUnit, length time.Duration) {
	if c.Track != u.Track {
		c.Silence, c.quiet = fmp4.Silence(u.Track, u.Data)
	}
	begun := c.Track != nil
	c.Length, c.Track, c.session = length, u.Track, u.Epoch
	c.End = fmp4.SoundEnd(u.DTS, c.End, length, begun)
	ahead := c.Due - u.DTS
	if !begun || -ahead > length/2 {
		c.Due, ahead = u.DTS, 0
		c.least, c.since = 0, u.DTS
	}
	c.Due += length
	if c.least = min(c.least, ahead); u.DTS-c.since > countWindow {
		c.Due -= max(0, c.least-length/2)
		c.least, c.since = ahead, u.DTS
	}
}
