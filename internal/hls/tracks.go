package hls

import (
	"log/slog"
	"slices"
	"strings"

	"livego/internal/media"
	"livego/internal/mpegts"
)

// maxTrackLogs bounds the lines about tracks that are left out, for encoders that change codec all the time.
const maxTrackLogs = 16

// pair is the tracks of a segment, nil where there is none.
type pair struct{ video, audio *media.Track }

// of returns the place of a kind of track, nil for script data.
func (p *pair) of(kind media.Kind) **media.Track {
	switch kind {
	case media.Video:
		return &p.video
	case media.Audio:
		return &p.audio
	}
	return nil
}

// selection chooses the tracks that are packaged: of each kind the first that a transport stream can carry.
type selection struct {
	pair
	log *slog.Logger
	// leftOut names the codecs of the present publisher session that a transport stream cannot carry.
	leftOut []string
	logged  map[string]bool
}

// reset forgets the tracks of a publisher session that is over.
func (s *selection) reset() {
	s.pair, s.leftOut = pair{}, nil
}

// note takes notice of a track and says whether it is packaged.
func (s *selection) note(t *media.Track) bool {
	place := s.of(t.Kind)
	switch {
	case place == nil:
		return false
	case *place == t:
		return true
	case *place != nil && (*place).ID != t.ID:
		s.leave(t, "HLS carries one track of a kind")
		return false
	case !mpegts.Supports(t):
		*place = nil
		s.leave(t, "MPEG-TS cannot carry its codec")
		if name := codecName(t); !slices.Contains(s.leftOut, name) && len(s.leftOut) < maxTrackLogs {
			s.leftOut = append(s.leftOut, name)
		}
		return false
	}
	*place = t
	return true
}

// leave logs a track that is not packaged, once.
func (s *selection) leave(t *media.Track, reason string) {
	key := t.Kind.String() + string(rune('0'+t.ID)) + codecName(t)
	if s.logged[key] || len(s.logged) >= maxTrackLogs {
		return
	}
	if s.logged == nil {
		s.logged = make(map[string]bool)
	}
	s.logged[key] = true
	s.log.Warn("track left out of HLS", "kind", t.Kind, "track", t.ID, "codec", codecName(t), "reason", reason)
}

// refusal tells viewers why the stream has no playlist.
func (s *selection) refusal() string {
	return "HLS with MPEG-TS segments cannot carry " + strings.Join(s.leftOut, " and ") +
		": watch this stream over RTMP or HTTP-FLV, or publish H.264 or HEVC with AAC, MP3, AC-3 or E-AC-3"
}

func codecName(t *media.Track) string {
	switch {
	case t.Codec == media.Unknown:
		return "codec " + t.Name
	case (t.Codec == media.H264 || t.Codec == media.HEVC || t.Codec == media.AAC) && !mpegts.Supports(t):
		return string(t.Codec) + " with such a header"
	}
	return string(t.Codec)
}
