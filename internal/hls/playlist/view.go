// Package playlist says what the playlists of a stream list, and renders and compresses them: media
// playlists with MPEG-TS segments (RFC 8216), media playlists with CMAF segments and their parts,
// and multivariant playlists (draft-pantos-hls-rfc8216bis).
//
// A view is what a request sees. It never changes, and is rendered by the first who asks for it.
// The package reads no clock, and opens no file: what is on disk it lists by a spool.Window.
package playlist

import (
	"slices"
	"sync/atomic"
	"time"

	"livego/internal/media"
	"livego/internal/spool"
)

// Rendition is one media playlist: one track of one publication, or one of sound that several have.
type Rendition struct {
	// ID names it in URLs, the same over restarts: "v0" is video track 0 of the stream's default
	// publication, "720p.v0" that of the one that was published as rendition 720p, and "a1" is
	// audio track 1 of any of them.
	ID   string
	Kind media.Kind
	// View is nil until the first segment is complete.
	View atomic.Pointer[View]
	// Disk has the segments for rewinding, nil if there are none; rewind the texts of these, of all
	// media and of I-frames.
	Disk   *spool.Rendition
	rewind [2]runTexts
	// Joined: it is a Joint, of which those of single tracks know nothing.
	Joined bool
}

// Multivariant is a multivariant playlist to be. It never changes.
type Multivariant struct {
	// Renditions are in the order in which the playlist names them: of each kind the preferred one
	// first.
	Renditions []Info
	// Independent: each segment of each rendition begins with a random access point.
	Independent bool
	// text is rendered by the first request.
	text Text
}

// Info is what the multivariant playlist says of a rendition (RFC 8216bis 4.4.6).
type Info struct {
	*Rendition
	Track *media.Track
	// Codecs is as in RFC 6381, Supplemental as in RFC 8216bis 4.4.6.2 (empty: none).
	Codecs, Supplemental string
	// VideoRange is SDR, PQ or HLG; frameRate is measured, 0 if not known.
	VideoRange    string
	Width, Height int
	FrameRate     float64
	// Peak is the bit rate of the segment with the highest one so far, average that of all so far,
	// in bits per second.
	Peak, Average int
	Captions      Captions
}

// Captions names the caption channels that were seen inside a video: CEA-608 CC1 to CC4 as bits 0
// to 3, CEA-708 services 1 to 63 as bits of their own.
type Captions struct {
	Channels uint8
	Services uint64
}

// View is a media playlist to be, and what can be fetched of it. It never changes.
type View struct {
	// Version rises with each view of a rendition.
	Version uint64
	// Segments are those that can be fetched, oldest first, without gaps in their numbers. From
	// index listed on they are in the playlist. The last one may be open: more parts will come.
	Segments []*Segment
	Listed   int
	// DiscontinuitySeq is that of the playlist: it counts the discontinuities before
	// segments[listed], without one that stands right before it.
	DiscontinuitySeq int64
	// Stored is what the playlist lists before segments[listed]: it ends there, or is empty.
	Stored spool.Window
	// Target is the target duration, partTarget the part target duration. They do not change.
	Target, PartTarget time.Duration
	// PartHoldBack is at least three times the part target duration of each rendition, and the same
	// in all of them (RFC 8216bis 6.2.4). Zero: three times partTarget.
	PartHoldBack time.Duration
	Ended        bool
	// Replaced is closed when there is a newer view, or never will be one: the rendition left, or
	// the stream is over.
	Replaced chan struct{}
	// texts are the playlist's forms, each rendered by the first request for it.
	texts [Forms]Text
}

// Segment is one segment, maybe open. It never changes: while it is open each view has its own.
type Segment struct {
	// Seq is the media sequence number and the segment's name, the same in all renditions for the
	// same media time.
	Seq int64
	// Start is the decode time at which the segment begins on the stream's timeline. Duration is
	// that of the parts.
	Start, Duration time.Duration
	// At is the wall clock at start, zero if nobody stamped the stream.
	At            time.Time
	Init          *Init
	Discontinuity bool
	// Independent: decoding may begin with this segment. Gap: it has no media (EXT-X-GAP). Full: no
	// more parts will come, Complete: and playlists say so.
	Independent, Gap, Full, Complete bool
	Parts                            []Part
	// Size is that of all parts. Key is the length of the segment up to and with its first picture.
	Size, Key int
	// Before counts the discontinuities before the segment, as discontinuitySeq does.
	Before int64
	// Dates are the EXT-X-DATERANGE attributes, rendered, that stand before the segment.
	Dates []string
}

// Pieces returns the bytes of a segment as they are held, in order.
func (s *Segment) Pieces() (pieces [][]byte) {
	for i := range s.Parts {
		pieces = append(pieces, s.Parts[i].Data.Pieces()...)
	}
	return pieces
}

// Part is one partial segment. It never changes.
type Part struct {
	// Start is the decode time at which it begins on the stream's timeline, zero for gaps.
	Start, Duration time.Duration
	// Independent: players are told that they may begin with it.
	Independent bool
	// Gap: there is no media of this time, and no data.
	Gap  bool
	Data *Content
}

// Init is a media initialization section. It never changes.
type Init struct {
	// Seq is that of the first segment that needs it, and its name.
	Seq  int64
	Data []byte
}

// The view answers what it holds and what comes next. All of it is read by requests, so nothing
// here changes a view.

// Segment returns the segment with a number, nil if the view has none.
func (v *View) Segment(seq int64) *Segment {
	if len(v.Segments) == 0 {
		return nil
	}
	i := seq - v.Segments[0].Seq
	if i < 0 || i >= int64(len(v.Segments)) {
		return nil
	}
	return v.Segments[i]
}

// Init returns the initialization section with a number, nil if no segment needs it any
// more.
func (v *View) Init(seq int64) *Init {
	for _, s := range v.Segments {
		if s.Init != nil && s.Init.Seq == seq {
			return s.Init
		}
	}
	return nil
}

// Last returns the media sequence number of the last segment that has begun, and the index of its
// last part, -1 if it has none.
func (v *View) Last() (seq int64, part int, ok bool) {
	for i := len(v.Segments) - 1; i >= 0; i-- {
		if s := v.Segments[i]; s.Complete || len(s.Parts) > 0 {
			return s.Seq, len(s.Parts) - 1, true
		}
	}
	return 0, 0, false
}

// lastComplete returns the media sequence number of the last complete segment.
func (v *View) lastComplete() (seq int64, ok bool) {
	for i := len(v.Segments) - 1; i >= 0; i-- {
		if v.Segments[i].Complete {
			return v.Segments[i].Seq, true
		}
	}
	return 0, false
}

// Next returns the name of the part that comes next, unless the playlist has ended.
func (v *View) Next() (seq int64, part int, ok bool) {
	if v.Ended || len(v.Segments) == 0 {
		return 0, 0, false
	}
	s := v.Segments[len(v.Segments)-1]
	if s.Complete || s.Full {
		return s.Seq + 1, 0, true
	}
	return s.Seq, len(s.Parts), true
}

// Complete counts the complete segments.
func (v *View) Complete() (n int) {
	for _, s := range v.Segments {
		if s.Complete {
			n++
		}
	}
	return n
}

// Duration is that of the playlist.
func (v *View) Duration() (sum time.Duration) {
	for _, s := range v.Segments[v.Listed:] {
		sum += s.Duration
	}
	return sum
}

// Ending returns the view with its end: what there is of the last segment is all of it.
func (v *View) Ending() *View {
	e := &View{
		Version: v.Version + 1, Segments: slices.Clone(v.Segments), Listed: v.Listed,
		DiscontinuitySeq: v.DiscontinuitySeq, Stored: v.Stored,
		Target: v.Target, PartTarget: v.PartTarget, PartHoldBack: v.PartHoldBack,
		Ended: true, Replaced: make(chan struct{}),
	}
	close(e.Replaced)
	if n := len(e.Segments) - 1; n >= 0 && !e.Segments[n].Complete {
		last := *e.Segments[n]
		last.Complete = true
		if e.Segments[n] = &last; len(last.Parts) == 0 {
			e.Segments = e.Segments[:n]
		}
	}
	return e
}

// Estimate is about the bit rate of a stream by the first parts of its first segment. Its key frame
// is that of a GOP of two seconds, not of that little media.
func (s *Segment) Estimate() int {
	rest := bitRate(s.Size-s.Key, s.Duration)
	return rest + bitRate(s.Key, max(s.Duration, 2*time.Second))
}
