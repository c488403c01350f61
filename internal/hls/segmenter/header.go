package segmenter

import (
	"slices"

	"livego/internal/hls/cut"
	"livego/internal/media"
	"livego/internal/mpegts"
)

const (
	// maxTurning bounds the units that wait for that.
	maxTurning = 1024
)

// A sequence header in mid-stream takes effect with a segment of its own, which begins with a
// discontinuity: hls.js (1.7.4) reads what sound is only there. So what comes from such a header on
// waits until it is known where that segment begins, and then goes where it belongs: frames and
// pictures of the old headers in front, those of the new ones behind. Nothing is shown of a segment
// before it is whole, so that the wait costs viewers nothing.

// pendingHeader holds the units that wait, in the order in which they came.
type pendingHeader struct {
	units []media.AccessUnit
	bytes int
	// video and audio are where the first unit of another header is, negative if there is none. key
	// is the first random access point of video.
	video, audio, key int
}

func (t *pendingHeader) add(u *media.AccessUnit) {
	t.units = append(t.units, *u)
	t.bytes += len(u.Data)
}

// isNewHeader says that u is of another header than the track of its kind in the segment under way,
// and that it can begin one. Pictures that cannot are of no use to anybody.
func (g *Segmenter) isNewHeader(u *media.AccessUnit) bool {
	track := *g.tracks.of(u.Track.Kind)
	if u.Track.Kind == media.Audio && !g.current.sound && len(g.pending.units) == 0 {
		return false // it is admitted
	}
	return track != nil && track != u.Track && u.RandomAccess && !mpegts.SameStream(track, u.Track)
}

// waits takes a unit that has to wait because of a new header. It is false if u has not.
func (g *Segmenter) waits(u *media.AccessUnit) bool {
	t := &g.pending
	switch {
	case g.current == nil, len(t.units) == 0 && !g.isNewHeader(u):
		return false
	case len(t.units) == 0:
		t.video, t.audio, t.key = -1, -1, -1
	}
	at := len(t.units)
	if u.Track.Kind == media.Video {
		if t.video < 0 && g.isNewHeader(u) {
			t.video = at
		}
		if t.key < 0 && u.RandomAccess {
			t.key = at
		}
	} else if t.audio < 0 && g.isNewHeader(u) {
		t.audio = at
	}
	t.add(u)
	if g.isComplete(u) {
		g.beginPending()
	}
	return true
}

// headerAgain says that u, whose track is not known yet, is of another header than those which
// wait.
func (g *Segmenter) headerAgain(u *media.AccessUnit) bool {
	t := &g.pending
	if u.Header != media.Sample || u.Track.Kind == media.Data {
		return false
	}
	first := t.audio
	if u.Track.Kind == media.Video {
		first = t.video
	}
	return len(t.units) > 0 && first >= 0 && t.units[first].Track != u.Track && !mpegts.SameStream(t.units[first].Track, u.Track)
}

// isComplete says that there is no more to wait for when u has come.
func (g *Segmenter) isComplete(u *media.AccessUnit) bool {
	t := &g.pending
	first := slices.IndexFunc(t.units, func(o media.AccessUnit) bool { return o.Track.Kind == u.Track.Kind })
	return g.tracks.video == nil || g.tracks.audio == nil ||
		t.audio >= 0 && t.key >= 0 ||
		u.DTS-t.units[first].DTS >= cut.HeaderPatience ||
		u.DTS+g.paceOf(u).Step-g.current.start > g.limit() ||
		len(t.units) >= maxTurning || len(g.buf)+t.bytes+len(t.units)*unitOverhead/16 > g.MaxSegmentBytes
}

// beginPending begins the segment of the new header, and puts everything that waits where it
// belongs.
func (g *Segmenter) beginPending() {
	t := g.pending
	if len(t.units) == 0 {
		return
	}
	g.pending = pendingHeader{}
	video, audio := t.begins()
	for i := range t.units {
		if u := &t.units[i]; t.before(i, video, audio) {
			g.put(u)
		}
	}
	first := &t.units[min(video, audio)]
	tracks := g.tracks
	if video < len(t.units) {
		if first = &t.units[video]; first.RandomAccess {
			tracks.video = first.Track
		}
	}
	if t.audio >= 0 {
		tracks.audio = t.units[t.audio].Track
	} else {
		tracks.audio = g.want.audio
		g.endWithSilence(first)
	}
	g.finish(first.DTS, !first.RandomAccess)
	g.begin(first, tracks)
	g.current.newHeader = true
	for i := range t.units {
		if u := &t.units[i]; !t.before(i, video, audio) && g.fillHole(u) {
			g.place(u)
		}
	}
}

// begins returns where the pictures and the sound of the new segment begin, as far as there are
// any: pictures at a random access point, or without one where the sound changes.
func (t *pendingHeader) begins() (video, audio int) {
	switch {
	case t.video >= 0:
		video = t.video
	case t.key >= 0:
		video = t.key
	default:
		video = slices.IndexFunc(t.units, func(u media.AccessUnit) bool { return u.Track.Kind == media.Video })
	}
	if audio = t.audio; audio < 0 {
		audio = video
	}
	if video < 0 {
		video = len(t.units)
	}
	return video, audio
}

// before says that unit i belongs to the segment under way.
func (t *pendingHeader) before(i, video, audio int) bool {
	if t.units[i].Track.Kind == media.Video {
		return i < video
	}
	return i < audio
}
