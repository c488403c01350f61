package hls

import (
	"time"

	"livego/internal/spool"
)

// Sink takes the segments of one life. It is called by who packages, one call at a time, and must
// not wait.
type Sink interface {
	// Segment takes a segment: those of a rendition in the order of their numbers, those of several
	// as they become complete.
	Segment(Segment)
	// End says that no more come.
	End()
}

// Segment is a complete CMAF segment. Nothing of it ever changes, also not its bytes.
type Segment struct {
	// Description is of its rendition, as the multivariant playlist had it then.
	Description
	// Seq is the segment's number: the same in all renditions for the same media time, rising over
	// all lives of a stream.
	Seq int64
	// Start is its first decode time, on a timeline that all lives of a stream share, Duration how
	// long it lasts in playlists.
	Start, Duration time.Duration
	// At is the clock of the day at Start, zero if that is not known.
	At time.Time
	// Target is the target duration of the life's playlists.
	Target time.Duration
	// Discontinuity, Independent and Gap are as in playlists. A gap has no Init and no Pieces.
	Discontinuity, Independent, Gap bool
	// Dates are attributes of EXT-X-DATERANGE that stand before the segment.
	Dates []string
	// Init is the media initialization section, Pieces are the segment's bytes in order.
	Init   []byte
	Pieces [][]byte
}

// disk returns where the segments of a rendition go, nil if they go nowhere.
func (p *packager) disk(id string) *spool.Rendition {
	if p.stored == nil {
		return nil
	}
	return p.stored.Rendition(id)
}

// store gives a complete segment to the disk. The playlist lists it from there when memory lets it
// go.
func (p *packager) store(t *cmafTrack, s *cmafSegment) {
	if t.disk == nil {
		return
	}
	pieces := make([][]byte, len(s.parts))
	for i := range s.parts {
		pieces[i] = s.parts[i].data
	}
	if err := t.disk.Append(s.toStore(p.line.target), s.init.data, pieces...); err != nil && !p.unstored {
		p.unstored = true
		p.log.Warn("segment not stored for rewinding", "rendition", t.id(), "error", err)
	}
}

// record gives a complete segment to the sink.
func (p *packager) record(t *cmafTrack, s *cmafSegment) {
	if p.sink == nil {
		return
	}
	k := Segment{
		Description: t.info.description(), Seq: s.seq, Start: s.start, Duration: s.duration, At: s.at, Target: p.line.target,
		Discontinuity: s.discontinuity, Independent: s.independent, Gap: s.gap, Dates: s.dates,
	}
	if !s.gap {
		k.Init, k.Pieces = s.init.data, make([][]byte, len(s.parts))
		for i := range s.parts {
			k.Pieces[i] = s.parts[i].data
		}
	}
	p.sink.Segment(k)
}
