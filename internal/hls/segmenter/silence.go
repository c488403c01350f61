package segmenter

import (
	"time"

	"livego/internal/hls/cut"
	"livego/internal/media"
)

// fillHole fills a hole in the sound before u with silence: hls.js (1.7.4) stands still in front of
// one in MP3, and does the same itself in AAC. It is false if there is silence already where u
// belongs.
func (g *Segmenter) fillHole(u *media.AccessUnit) bool {
	if u.Track.Kind != media.Audio {
		return true
	}
	g.late, g.soundAt = max(g.late-g.late/cut.LatenessMemory, g.video.Last-u.DTS), u.Arrived
	if u.DTS < g.quiet {
		g.Counts.Dropped.Add(1)
		return false
	}
	if u.Track == g.sound.Track && g.sound.Misses(u.DTS) && u.DTS-g.sound.End <= cut.MaxLag {
		g.makeSilence(u.DTS)
	}
	return true
}

// endWithSilence makes silence in a segment that ends with a picture and has no sound any more: to
// begin the next segment with it is too late for hls.js. Sound that comes as late as it always does
// is not away, nor is it if only the pictures come in bursts.
func (g *Segmenter) endWithSilence(picture *media.AccessUnit) {
	end := picture.DTS
	until := end - g.late
	away := end - g.sound.End
	if picture.Arrived != 0 && g.soundAt != 0 && cut.Bursts(away, time.Duration(picture.Arrived-g.soundAt)) {
		return
	}
	if a := g.tracks.audio; a != nil && a.Codec != media.AAC && until-g.sound.End > cut.Departure {
		g.makeSilence(until)
		g.quiet = g.sound.End - g.sound.Length/2
	}
}

// makeSilence makes silence up to a time.
func (g *Segmenter) makeSilence(until time.Duration) {
	for g.current != nil && g.tracks.audio != nil && g.tracks.audio == g.sound.Track {
		u, ok := g.sound.Fill(until-cut.MaxLag, until)
		if !ok {
			return
		}
		g.place(&u)
	}
}
