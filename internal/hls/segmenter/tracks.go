package segmenter

import (
	"log/slog"
	"slices"
	"strings"

	"livego/internal/fmp4"
	"livego/internal/hls/cut"
	"livego/internal/media"
	"livego/internal/mpegts"
)

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

// selection chooses the tracks that are packaged: of each kind the first that a transport stream
// can carry.
type selection struct {
	pair
	log *slog.Logger
	// main is of each kind the track with the lowest number, whether it can be carried or not: what
	// a viewer expects to get.
	main pair
	// cmaf: there is somewhere else to watch. away: viewers get more of main with CMAF.
	cmaf, away bool
	// leftOut names the codecs of the present publisher session that a transport stream cannot
	// carry.
	leftOut []string
	logged  map[string]bool
}

// reset forgets the tracks of a publisher session that is over.
func (s *selection) reset() {
	s.pair, s.main, s.away, s.leftOut = pair{}, pair{}, false, nil
}

// note takes notice of a track and says whether it is packaged.
func (s *selection) note(t *media.Track) bool {
	place := s.of(t.Kind)
	switch {
	case place == nil:
		return false
	case *place == t:
		return true
	case s.away && *s.main.of(t.Kind) == t:
		return false
	}
	s.rank(t)
	other := *place != nil && (*place).ID != t.ID
	switch {
	case !mpegts.Supports(t):
		if !other {
			*place = nil
		}
		s.leave(t, cut.CannotCarry("MPEG-TS", t))
		if name := cut.CodecName(t); !slices.Contains(s.leftOut, name) && len(s.leftOut) < cut.MaxTrackLogs {
			s.leftOut = append(s.leftOut, name)
		}
		return false
	case other:
		s.leave(t, "HLS with MPEG-TS carries one track of a kind")
		return false
	}
	*place = t
	return true
}

// rank takes notice of a track that may be the main one of its kind.
func (s *selection) rank(t *media.Track) {
	if main := s.main.of(t.Kind); *main == nil || t.ID <= (*main).ID {
		*main = t
		s.away = s.cmaf && s.main.moreWithCMAF()
	}
}

// moreWithCMAF says whether CMAF carries a track that MPEG-TS cannot, and all that MPEG-TS can.
func (p *pair) moreWithCMAF() (more bool) {
	for _, t := range []*media.Track{p.video, p.audio} {
		if t == nil {
			continue
		}
		ts, cmaf := mpegts.Supports(t), fmp4.Supports(t)
		if ts && !cmaf {
			return false
		}
		more = more || cmaf && !ts
	}
	return more
}

// leave logs a track that is not packaged, once.
func (s *selection) leave(t *media.Track, reason string) {
	key := t.Kind.String() + string(rune('0'+t.ID)) + cut.CodecName(t)
	if s.logged[key] || len(s.logged) >= cut.MaxTrackLogs {
		return
	}
	if s.logged == nil {
		s.logged = make(map[string]bool)
	}
	s.logged[key] = true
	s.log.Warn("track left out of HLS", "kind", t.Kind, "track", t.ID, "codec", cut.CodecName(t), "reason", reason)
}

// refusal tells viewers why the stream has no playlist.
func (s *selection) refusal() string {
	return "HLS with MPEG-TS segments cannot carry " + strings.Join(s.leftOut, " and ") +
		": watch this stream over RTMP or HTTP-FLV, or publish H.264 or HEVC with AAC, MP3, AC-3 or E-AC-3"
}
