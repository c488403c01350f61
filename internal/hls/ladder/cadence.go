package ladder

import (
	"time"

	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// cadence is how long the parts of a track are.
type cadence struct {
	// usual is their length where the units come as they should, target the part target duration,
	// and interval how far pictures are apart.
	usual, target, interval time.Duration
	// counted: each has the same number of frames, and they are not on the grid of the other
	// tracks.
	counted bool
}

// minFrames is the largest number of frames of which one less may be shorter than 85 % of the part
// target duration, which is what a part must have (RFC 8216bis 4.4.4.9): 6 of 7 are, if they are
// short and the target is rounded up.
const minFrames = 7

// pictureCadence leaves room for times that jitter, above as much as below.
func pictureCadence(part, interval time.Duration) cadence {
	return cadence{usual: part, target: (part + part*3/40).Truncate(time.Millisecond) + time.Millisecond, interval: interval}
}

// soundCadence is that of frames of a length: on the grid of parts, or, where it takes too few of
// them, the number of frames that is nearest to it.
func soundCadence(frame, part time.Duration) cadence {
	n := max(1, (part+frame-frame/20-1)/frame) // a frame that would fit but for rounding does
	if n <= minFrames {
		return countedCadence(frame, max(1, (part+frame/2)/frame))
	}
	return cadence{usual: part, target: countedCadence(frame, n).target}
}

// countedCadence is that of so many frames of a length.
func countedCadence(frame, n time.Duration) cadence {
	return cadence{usual: n * frame, target: (n*frame + time.Millisecond - 1).Truncate(time.Millisecond) + time.Millisecond, counted: true}
}

// slack is how much media of a part may be listed with the next one.
func (c cadence) slack() time.Duration { return c.usual / 3 }

// cadenceOf returns that of a track which joins the ladder. Sound that joins late takes shorter
// parts rather than longer ones than all others, for which PART-HOLD-BACK would be too little.
func (l *timeline) cadenceOf(t *track) cadence {
	if t.kind == media.Video {
		return l.picturesOf(t)
	}
	f := t.length()
	c := soundCadence(f, l.part)
	if 0 < l.longestPart && l.longestPart < c.target {
		return countedCadence(f, max(1, (l.longestPart-2*time.Millisecond)/f))
	}
	return c
}

// picturesOf is cadenceOf for pictures. Where the grid is that of frames of sound, on which
// pictures do not lie, they have one of their own, of as many pictures as fit into the longest
// part.
func (l *timeline) picturesOf(t *track) cadence {
	if !l.bySound || l.longestPart == 0 {
		return pictureCadence(l.part, l.interval)
	}
	interval := t.length()
	if rate := t.header.FrameRate; rate >= 1 {
		interval = time.Duration(float64(time.Second) / rate)
	}
	c := pictureCadence(max(1, (l.longestPart-time.Millisecond)/interval)*interval, interval)
	c.target = min(c.target, l.longestPart)
	return c
}

// partHoldBack is the least distance of players from the end of the playlist, and the same in all
// renditions.
func (l *timeline) partHoldBack() time.Duration { return playlist.PartHoldBacks * l.longestPart }
