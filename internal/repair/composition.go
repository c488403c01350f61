package repair

import (
	"time"

	"livego/internal/media"
)

const (
	// minComposition and maxComposition bound what packagers write: presentation less decode time.
	minComposition = -2 * time.Second
	maxComposition = 8 * time.Second
	// oddBy is by how much a composition time may lie outside of all that came before: more than
	// five pictures at ten a second.
	oddBy = 500 * time.Millisecond
	// firstPictures show between what times an encoder reorders.
	firstPictures = 8
	// maxOdd is how many odd composition times in a row, near to each other, are not wrong any
	// more.
	maxOdd = 3
)

const faultComposition = "composition times that do not fit those around them; replaced by the one before"

// compositions follows the composition times of a track of video, which reorder its pictures.
type compositions struct {
	// low and high are between what they lie, of so many pictures, and last is the last one that
	// was right.
	low, high, last time.Duration
	pictures        int
	// odd is how many in a row were not, stray the last of them.
	odd   int
	stray time.Duration
	// shift is added to all, for an encoder whose pictures are all shown long after they are
	// decoded.
	shift time.Duration
}

// mend returns the composition time that is meant by one.
func (c *compositions) mend(composition time.Duration) time.Duration {
	composition += c.shift
	possible := composition >= minComposition && composition <= maxComposition
	usual := c.pictures < firstPictures || composition >= c.low-oddBy && composition <= c.high+oddBy
	if !possible || !usual {
		if c.odd == 0 || (composition-c.stray).Abs() > oddBy {
			c.odd = 0
		}
		c.odd, c.stray = c.odd+1, composition
		if c.odd < maxOdd {
			return c.last
		}
		if !possible {
			c.shift -= composition
			composition = 0
		}
		c.pictures = 0
	}
	if c.pictures == 0 {
		c.low, c.high = composition, composition
	}
	c.low, c.high, c.last = min(c.low, composition), max(c.high, composition), composition
	c.pictures, c.odd = c.pictures+1, 0
	return composition
}

// compose returns a sample with the composition time that is meant.
func (t *track) compose(u *media.AccessUnit) *media.AccessUnit {
	composition := u.PTS - u.DTS
	mended := t.compositions.mend(composition)
	if mended == composition || composition == 0 { // forms of message without the field mean 0
		return u
	}
	v := *u
	v.PTS = v.DTS + mended
	t.report(faultComposition)
	t.changed = true
	t.session.embody(u, &v)
	return &v
}
