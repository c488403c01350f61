package segmenter

import (
	"time"

	"livego/internal/hls/cut"
	"livego/internal/media"
)

// mayStart says whether decoding of the wanted tracks may begin with u.
func (g *Segmenter) mayStart(u *media.AccessUnit) bool {
	if g.want.video == nil {
		return u.RandomAccess && !(g.announced && u.DTS-g.since < announcedFor)
	}
	return u.RandomAccess && u.Track == g.want.video
}

// mustCut says whether u belongs into a new segment.
func (g *Segmenter) mustCut(u *media.AccessUnit) bool {
	stale := g.discontinuity || g.tracks != g.want.pair
	long := u.DTS-g.current.start >= g.least() && g.settled(u)
	if g.mayStart(u) {
		if stale || long || g.lastChance(u) {
			return true
		}
	} else if long && !stale && u.Track.Kind == media.Audio && u.DTS-g.video.Last >= g.SegmentDuration {
		return true // video pauses: audio may be cut anywhere
	}
	return g.mustForce(u)
}

// lastChance says that the segment would get too long with what comes up to the next random access
// point.
func (g *Segmenter) lastChance(u *media.AccessUnit) bool {
	length := u.DTS - g.current.start
	return g.target != 0 && u.Track.Kind == media.Video && length > 0 && length+g.gop > g.limit()
}

// measure follows how far the random access points of the video are apart.
func (g *Segmenter) measure(u *media.AccessUnit) {
	if d := u.DTS - g.lastKey; g.lastKey >= 0 && d > 0 && d <= g.limit() {
		g.gop = max(d, (7*g.gop+d)/8)
	}
	g.lastKey = u.DTS
}

// mustForce says whether the segment would get too long in time or bytes with u, and takes note.
func (g *Segmenter) mustForce(u *media.AccessUnit) bool {
	end := u.DTS + g.paceOf(u).Step
	size := len(g.buf) + len(u.Data) + len(u.Data)/16 + unitOverhead
	if end-g.current.start <= g.limit() && size <= g.MaxSegmentBytes {
		return false
	}
	if g.Counts.Forced.Add(1) == 1 {
		g.Log.Warn("segment cut before a random access point: key frames are too far apart, or the bit rate is too high",
			"duration", u.DTS-g.current.start, "bytes", len(g.buf), "limit", g.limit())
	}
	return true
}

// least is how long a segment lasts at least. The first one is as short as may be if somebody waits
// for it.
func (g *Segmenter) least() time.Duration {
	if g.target == 0 && g.Wanted() {
		return minFirstSegment
	}
	return g.SegmentDuration
}

// limit is how long a segment may last.
func (g *Segmenter) limit() time.Duration {
	switch {
	case g.target != 0:
		return g.target + cut.Rounding
	case g.Wanted():
		return maxFirstWait
	}
	return max(cut.MaxFirstSegment, 2*g.SegmentDuration)
}

// firstTarget is the target duration after a first segment of a length. One that was cut early says
// how far random access points are apart, or at least that they are further apart than that.
func (g *Segmenter) firstTarget(first time.Duration, forced bool) time.Duration {
	longest := max(first, g.SegmentDuration)
	switch n := (g.SegmentDuration + first - 1) / first; {
	case forced:
		longest = max(longest, cut.UsualGOP)
	case n > 1 && g.Wanted():
		longest = n*first - cut.MaxTolerance // times are in milliseconds
	}
	return (longest + time.Second - 1).Truncate(time.Second)
}
