package server

import (
	"log/slog"
	"time"

	"livego/internal/live"
	"livego/internal/media"
)

// ingest takes the units of one publisher session into its stream, whatever protocol they came by.
// It is the one place between demuxers and streams: what encoders send otherwise than the standards
// ask is put right here, and the log is told what there is. It has one user at a time.
type ingest struct {
	pub *live.Publisher
	log *slog.Logger

	tracks map[trackID]*media.Track
	// trackLines counts what there was to say about tracks.
	trackLines int
	// jumped says that a jump of the encoder's time was logged.
	jumped bool
}

// maxTrackLines bounds the log lines of a session about its tracks: those of a ladder, and some
// changes.
const maxTrackLines = 12

type trackID struct {
	kind media.Kind
	id   uint8
}

func newIngest(pub *live.Publisher, log *slog.Logger) *ingest {
	return &ingest{pub: pub, log: log, tracks: make(map[trackID]*media.Track)}
}

// write takes units as a demuxer gave them, which arrived now. The error is that of the publisher.
func (i *ingest) write(units []media.AccessUnit, now time.Time) error {
	for at := range units {
		u := &units[at]
		u.Arrived = now.UnixNano()
		if u.Header == media.Sample || u.Header == media.SequenceHeader && u.Track.Parsed {
			i.noteTrack(u.Track) // what a header does not say, the first frame may
		}
	}
	err := i.pub.Write(units)
	if !i.jumped && i.pub.Jumps() > 0 {
		i.jumped = true
		i.log.Warn("the encoder's time jumps; further jumps are only counted", "time", units[0].DTS)
	}
	return err
}

// noteTrack logs tracks and their changes.
func (i *ingest) noteTrack(t *media.Track) {
	if t == nil || t.Kind == media.Data {
		return
	}
	id := trackID{t.Kind, t.ID}
	if i.tracks[id] == t {
		return
	}
	before := i.tracks[id]
	i.tracks[id] = t
	if i.trackLines++; i.trackLines >= maxTrackLines {
		if i.trackLines == maxTrackLines {
			i.log.Warn("many tracks or changes of tracks; further ones are not logged")
		}
		return
	}
	if before != nil && before.Codec == t.Codec && before.Parsed == t.Parsed {
		i.log.Debug("track changed", "kind", t.Kind.String(), "codec", codecName(t))
		return
	}
	switch {
	case t.Kind == media.Video:
		i.log.Info("track", "kind", "video", "track", t.ID, "codec", codecName(t), "width", t.Width, "height", t.Height)
	default:
		i.log.Info("track", "kind", "audio", "track", t.ID, "codec", codecName(t), "rate", t.SampleRate, "channels", t.Channels)
	}
	if !t.Parsed && (t.Err != "" || t.Codec == media.Unknown) {
		i.log.Warn("track is passed on to RTMP and FLV only", "kind", t.Kind.String(), "codec", codecName(t), "reason", t.Err)
	}
}
