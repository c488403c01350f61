package ladder

import (
	"log/slog"
	"time"

	"livego/internal/hls/cut"
	"livego/internal/media"
)

// journal logs what happens to tracks and units, each kind of line only so often.
type journal struct {
	log    *slog.Logger
	counts *Counts
	// left counts how often a rendition left the ladder, moved how often one went on with another
	// publication, silenced how often one fell silent, filled the holes in sound that were filled.
	left, moved, silenced, filled int
	// leftOut has the tracks of which it was said that they are.
	leftOut map[string]bool
	// unfit counts units that could not be written.
	unfit uint64
	// unstored: the log has a segment that was not stored.
	unstored bool
}

// tellLeft logs that a rendition left the ladder, not without end.
func (j *journal) tellLeft(t *track, reason string) {
	if j.left++; j.left > cut.MaxTrackLogs {
		return
	}
	j.log.Warn("rendition left the ladder", "rendition", t.id(), "reason", reason, "last_line", j.left == cut.MaxTrackLogs)
}

// tellOut logs why a track is left out, once its media flow: what is known of it may be refined
// until then.
func (j *journal) tellOut(t *track) {
	reason, key := t.objection, t.pub.Rendition+"."+t.id()+cut.CodecName(t.header)
	t.objection = ""
	if reason == "" || j.leftOut[key] || len(j.leftOut) >= cut.MaxTrackLogs {
		return
	}
	j.leftOut[key] = true
	j.log.Warn("track left out of CMAF", "publication", t.pub.Rendition, "rendition", t.id(), "codec", string(t.header.Codec), "reason", reason)
}

// drop leaves out a unit that cannot be written.
func (j *journal) drop(t *track, u *media.AccessUnit, err error) {
	j.counts.Dropped.Add(1)
	if j.unfit++; cut.Milestone(j.unfit) {
		j.log.Warn("access unit left out of CMAF", "kind", t.kind.String(), "rendition", t.id(), "codec", u.Track.Codec, "dts", u.DTS, "error", err, "times", j.unfit)
	}
}

// noteWide counts parts that last for longer than they are listed, and logs the first.
func (j *journal) noteWide(t *track, at, lasts time.Duration) {
	if j.counts.Wide.Add(1) == 1 {
		j.log.Warn("pictures are further apart than at the start: their parts last longer than the part target duration",
			"rendition", t.id(), "at", at, "duration", lasts, "part_target", t.target)
	}
}

// tellMoved logs that a rendition goes on with another publication, not without end.
func (j *journal) tellMoved(t, s *track) {
	if j.moved++; j.moved <= cut.MaxTrackLogs {
		j.log.Info("sound of the ladder goes on from another publication", "rendition", t.id(), "from", t.pub.Rendition, "to", s.pub.Rendition,
			"last_line", j.moved == cut.MaxTrackLogs)
	}
}

// tellSilent logs that there is silence in a rendition, not without end.
func (j *journal) tellSilent(t *track, reason string) {
	if j.silenced++; j.silenced <= cut.MaxTrackLogs {
		j.log.Warn("silence instead of sound", "rendition", t.id(), "reason", reason, "last_line", j.silenced == cut.MaxTrackLogs)
	}
}

// tellSound logs that the silence in a rendition is over, as often as that there was some.
func (j *journal) tellSound(t *track) {
	if j.silenced <= cut.MaxTrackLogs {
		j.log.Info("sound again", "rendition", t.id())
	}
}

// tellFilled logs that a hole in the sound was filled, not without end.
func (j *journal) tellFilled(t *track, at, length time.Duration) {
	if j.filled++; j.filled <= cut.MaxTrackLogs {
		j.log.Warn("hole in the sound filled with silence", "rendition", t.id(), "at", at, "length", length, "last_line", j.filled == cut.MaxTrackLogs)
	}
}

// forced counts segments that begin without a random access point, and logs the first.
func (j *journal) forced(at, limit time.Duration) {
	if j.counts.Forced.Add(1) == 1 {
		j.log.Warn("CMAF segment cut before a random access point: key frames are too far apart, or the bit rate is too high",
			"at", at, "limit", limit)
	}
}

// tellUnstored logs the first segment that was not stored.
func (j *journal) tellUnstored(t *track, err error) {
	if !j.unstored {
		j.unstored = true
		j.log.Warn("segment not stored for rewinding", "rendition", t.id(), "error", err)
	}
}
