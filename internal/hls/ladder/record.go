package ladder

import (
	"time"

	"livego/internal/hls/playlist"
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
	playlist.Description
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
	// Init is the media initialization section, Pieces are the segment's bytes in order: many, for
	// they are those of the units.
	Init   []byte
	Pieces [][]byte
}

// rendition makes one of a track, whose segments go to the disk if there is one.
func (o *output) rendition(t *track) *playlist.Rendition {
	r := &playlist.Rendition{ID: t.id(), Kind: t.kind}
	if o.stored != nil {
		r.Disk = o.stored.Rendition(r.ID)
	}
	return r
}

// kept says that segments are kept elsewhere than in memory.
func (o *output) kept() bool { return o.stored != nil || o.sink != nil }

// end says to those who keep them that no more come.
func (o *output) end() {
	if o.stored != nil {
		o.stored.End(o.line.next)
	}
	if o.sink != nil {
		o.sink.End()
	}
}

// store gives a complete segment to the disk. The playlist lists it from there when memory lets it
// go.
func (o *output) store(t *track, s *playlist.Segment) {
	if t.Disk == nil {
		return
	}
	var init []byte
	var pieces [][]byte
	if !s.Gap {
		init, pieces = s.Init.Data, s.Pieces()
	}
	if err := t.Disk.Append(s.ToStore(o.line.target), init, pieces...); err != nil {
		o.journal.tellUnstored(t, err)
	}
}

// record gives a complete segment to the sink.
func (o *output) record(t *track, s *playlist.Segment) {
	if o.sink == nil {
		return
	}
	k := Segment{
		Description: t.info.Description(), Seq: s.Seq, Start: s.Start, Duration: s.Duration, At: s.At, Target: o.line.target,
		Discontinuity: s.Discontinuity, Independent: s.Independent, Gap: s.Gap, Dates: s.Dates,
	}
	if !s.Gap {
		k.Init, k.Pieces = s.Init.Data, s.Pieces()
	}
	o.sink.Segment(k)
}
