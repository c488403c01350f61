package hls

import (
	"slices"
	"sync/atomic"
	"time"

	"livego/internal/media"
	"livego/internal/spool"
)

// rendition is one media playlist: one track of one publication, or one of sound that several have.
type rendition struct {
	// id names it in URLs, the same over restarts: "v0" is video track 0 of the stream's default
	// publication, "720p.v0" that of the one that was published as rendition 720p, and "a1" is
	// audio track 1 of any of them.
	id   string
	kind media.Kind
	// view is nil until the first segment is complete.
	view atomic.Pointer[renditionView]
	// disk has the segments for rewinding, nil if there are none; rewind the texts of these, of all
	// media and of I-frames.
	disk   *spool.Rendition
	rewind [2]runTexts
}

// presentationView is a multivariant playlist to be. It never changes.
type presentationView struct {
	// renditions are in the order in which the playlist names them: of each kind the preferred one
	// first.
	renditions []renditionInfo
	// independent: each segment of each rendition begins with a random access point.
	independent bool
	// text is rendered by the first request.
	text lazyText
}

// renditionInfo is what the multivariant playlist says of a rendition (RFC 8216bis 4.4.6).
type renditionInfo struct {
	*rendition
	track *media.Track
	// codecs is as in RFC 6381, supplemental as in RFC 8216bis 4.4.6.2 (empty: none).
	codecs, supplemental string
	// videoRange is SDR, PQ or HLG; frameRate is measured, 0 if not known.
	videoRange    string
	width, height int
	frameRate     float64
	// peak is the bit rate of the segment with the highest one so far, average that of all so far,
	// in bits per second.
	peak, average int
	captions      captionSet
}

// captionSet names the caption channels that were seen inside a video: CEA-608 CC1 to CC4 as bits 0
// to 3, CEA-708 services 1 to 63 as bits of their own.
type captionSet struct {
	channels uint8
	services uint64
}

// renditionView is a media playlist to be, and what can be fetched of it. It never changes.
type renditionView struct {
	// version rises with each view of a rendition.
	version uint64
	// segments are those that can be fetched, oldest first, without gaps in their numbers. From
	// index listed on they are in the playlist. The last one may be open: more parts will come.
	segments []*cmafSegment
	listed   int
	// discontinuitySeq is that of the playlist: it counts the discontinuities before
	// segments[listed], without one that stands right before it.
	discontinuitySeq int64
	// stored is what the playlist lists before segments[listed]: it ends there, or is empty.
	stored spool.Window
	// target is the target duration, partTarget the part target duration. They do not change.
	target, partTarget time.Duration
	// partHoldBack is at least three times the part target duration of each rendition, and the same
	// in all of them (RFC 8216bis 6.2.4). Zero: three times partTarget.
	partHoldBack time.Duration
	ended        bool
	// replaced is closed when there is a newer view, or never will be one: the rendition left, or
	// the stream is over.
	replaced chan struct{}
	// texts are the playlist's forms, each rendered by the first request for it.
	texts [playlistForms]lazyText
}

// cmafSegment is one segment, maybe open. It never changes: while it is open each view has its own.
type cmafSegment struct {
	// seq is the media sequence number and the segment's name, the same in all renditions for the
	// same media time.
	seq int64
	// start is the decode time at which the segment begins on the stream's timeline. duration is
	// that of the parts.
	start, duration time.Duration
	// at is the wall clock at start, zero if nobody stamped the stream.
	at            time.Time
	init          *initSegment
	discontinuity bool
	// independent: decoding may begin with this segment. gap: it has no media (EXT-X-GAP). full: no
	// more parts will come, complete: and playlists say so.
	independent, gap, full, complete bool
	parts                            []part
	// size is that of all parts. key is the length of the segment up to and with its first picture.
	size, key int
	// before counts the discontinuities before the segment, as discontinuitySeq does.
	before int64
	// dates are the EXT-X-DATERANGE attributes, rendered, that stand before the segment.
	dates []string
}

// part is one partial segment. It never changes.
type part struct {
	duration    time.Duration
	independent bool
	// gap: there is no media of this time, and no data.
	gap  bool
	data []byte
}

// initSegment is a media initialization section. It never changes.
type initSegment struct {
	// seq is that of the first segment that needs it, and its name.
	seq  int64
	data []byte
}

// The view answers what it holds and what comes next. All of it is read by requests, so nothing
// here changes a view.

// segment returns the segment with a number, nil if the view has none.
func (v *renditionView) segment(seq int64) *cmafSegment {
	if len(v.segments) == 0 {
		return nil
	}
	i := seq - v.segments[0].seq
	if i < 0 || i >= int64(len(v.segments)) {
		return nil
	}
	return v.segments[i]
}

// initSegment returns the initialization section with a number, nil if no segment needs it any
// more.
func (v *renditionView) initSegment(seq int64) *initSegment {
	for _, s := range v.segments {
		if s.init != nil && s.init.seq == seq {
			return s.init
		}
	}
	return nil
}

// last returns the media sequence number of the last segment that has begun, and the index of its
// last part, -1 if it has none.
func (v *renditionView) last() (seq int64, part int, ok bool) {
	for i := len(v.segments) - 1; i >= 0; i-- {
		if s := v.segments[i]; s.complete || len(s.parts) > 0 {
			return s.seq, len(s.parts) - 1, true
		}
	}
	return 0, 0, false
}

// lastComplete returns the media sequence number of the last complete segment.
func (v *renditionView) lastComplete() (seq int64, ok bool) {
	for i := len(v.segments) - 1; i >= 0; i-- {
		if v.segments[i].complete {
			return v.segments[i].seq, true
		}
	}
	return 0, false
}

// next returns the name of the part that comes next, unless the playlist has ended.
func (v *renditionView) next() (seq int64, part int, ok bool) {
	if v.ended || len(v.segments) == 0 {
		return 0, 0, false
	}
	s := v.segments[len(v.segments)-1]
	if s.complete || s.full {
		return s.seq + 1, 0, true
	}
	return s.seq, len(s.parts), true
}

// complete counts the complete segments.
func (v *renditionView) complete() (n int) {
	for _, s := range v.segments {
		if s.complete {
			n++
		}
	}
	return n
}

// duration is that of the playlist.
func (v *renditionView) duration() (sum time.Duration) {
	for _, s := range v.segments[v.listed:] {
		sum += s.duration
	}
	return sum
}

// ending returns the view with its end: what there is of the last segment is all of it.
func (v *renditionView) ending() *renditionView {
	e := &renditionView{
		version: v.version + 1, segments: slices.Clone(v.segments), listed: v.listed,
		discontinuitySeq: v.discontinuitySeq, stored: v.stored,
		target: v.target, partTarget: v.partTarget, partHoldBack: v.partHoldBack,
		ended: true, replaced: make(chan struct{}),
	}
	close(e.replaced)
	if n := len(e.segments) - 1; n >= 0 && !e.segments[n].complete {
		last := *e.segments[n]
		last.complete = true
		if e.segments[n] = &last; len(last.parts) == 0 {
			e.segments = e.segments[:n]
		}
	}
	return e
}

// estimate is about the bit rate of a stream by the first parts of its first segment. Its key frame
// is that of a GOP of two seconds, not of that little media.
func (s *cmafSegment) estimate() int {
	rest := bitRate(s.size-s.key, s.duration)
	return rest + bitRate(s.key, max(s.duration, 2*time.Second))
}
