package playlist

import (
	"fmt"
	"net/url"
	"slices"
	"strconv"
	"time"

	"github.com/bluenviron/gohlslib/v2/pkg/playlist"
)

const (
	// playlistVersion is the least that allows durations with a fraction (RFC 8216 7).
	playlistVersion = 3
	// MinListed is how many target durations a playlist holds at least (RFC 8216 6.2.2).
	MinListed = 3
	// MaxListed bounds a playlist whose segments are cut short again and again by discontinuities.
	MaxListed = 64
)

// TSWindow is the segments of a stream that can be fetched, and the playlist's place in them. It
// has one user.
type TSWindow struct {
	// Dir is the folder of the segments, relative to the playlist.
	Dir                string
	ListSize, MaxBytes int
	Gzip               *Compressor

	// Segments are those that can be fetched, oldest first. From index listed on they are in the
	// playlist.
	Segments []*TSSegment
	listed   int
	bytes    int
	// Target is the target duration. It does not change.
	Target time.Duration
	// DiscontinuitySeq counts the discontinuities that left the playlist.
	DiscontinuitySeq int64
	// dependent: a segment cannot all be decoded without those before.
	dependent bool
}

// Add puts a segment at the end and lets those go that are due.
func (w *TSWindow) Add(s *TSSegment) {
	w.Segments = append(w.Segments, s)
	w.bytes += s.Data.Size()
	if n := len(w.Segments) - heldSegments; n > 0 {
		w.Segments[n-1].Data.release()
	}
	w.dependent = w.dependent || !s.Independent
	for w.mayUnlist() {
		w.unlist()
	}
	keep := max(w.ListSize, len(w.Segments)-w.listed) + 1
	for w.listed > keep || w.bytes > w.MaxBytes && len(w.Segments) > 1 {
		w.drop()
	}
}

// mayUnlist says whether the playlist is long enough without its first segment.
func (w *TSWindow) mayUnlist() bool {
	n := len(w.Segments) - w.listed
	if n <= w.ListSize {
		return false
	}
	rest := time.Duration(0)
	for _, s := range w.Segments[w.listed+1:] {
		rest += s.Duration
	}
	return rest >= MinListed*w.Target || n > max(MaxListed, w.ListSize)
}

func (w *TSWindow) unlist() {
	if w.Segments[w.listed].Discontinuity {
		w.DiscontinuitySeq++
	}
	w.listed++
}

// drop lets the oldest segment go.
func (w *TSWindow) drop() {
	if w.listed == 0 {
		w.unlist()
	}
	w.listed--
	w.bytes -= w.Segments[0].Data.Size()
	w.Segments = slices.Delete(w.Segments, 0, 1)
}

// TSView is what requests see of a window. It never changes.
type TSView struct {
	Segments []*TSSegment
	Bytes    int
	Target   time.Duration
	ended    bool
	// playlist is the media playlist, tag its entity tag without quotes.
	playlist []byte
	tag      string
	// lazy is the same for requests, compressed with gzip by the first of them.
	lazy Text
	gzip *Compressor
}

// Text returns the playlist as requests get it.
func (s *TSView) Text() *Text {
	return s.lazy.get(s.gzip, func() (rendered, error) { return rendered{head: s.playlist, tag: s.tag}, nil })
}

// View renders the playlist.
func (w *TSWindow) View(ended bool) (*TSView, error) {
	text, err := w.render(ended)
	if err != nil {
		return nil, fmt.Errorf("rendering playlist: %w", err)
	}
	last := w.Segments[len(w.Segments)-1].Seq
	s := &TSView{
		Segments: slices.Clone(w.Segments),
		Bytes:    w.bytes,
		Target:   w.Target,
		ended:    ended,
		playlist: text,
		tag:      strconv.FormatInt(last, 10),
		gzip:     w.Gzip,
	}
	if ended {
		s.tag += "-end"
	}
	return s, nil
}

// Segment returns the segment with a sequence number, nil if it cannot be fetched.
func (s *TSView) Segment(seq int64) *TSSegment {
	i := seq - s.Segments[0].Seq
	if i < 0 || i >= int64(len(s.Segments)) {
		return nil
	}
	return s.Segments[i]
}

func (w *TSWindow) render(ended bool) ([]byte, error) {
	discontinuitySeq := int(w.DiscontinuitySeq)
	m := playlist.Media{
		Version:               playlistVersion,
		IndependentSegments:   !w.dependent,
		TargetDuration:        int(w.Target / time.Second),
		MediaSequence:         int(w.Segments[w.listed].Seq),
		DiscontinuitySequence: &discontinuitySeq,
		Endlist:               ended,
	}
	for _, s := range w.Segments[w.listed:] {
		line := &playlist.MediaSegment{
			Duration:      s.Duration,
			URI:           segmentURI(w.Dir, s.Seq),
			Discontinuity: s.Discontinuity,
		}
		if !s.At.IsZero() {
			line.DateTime = &s.At
		}
		m.Segments = append(m.Segments, line)
	}
	return m.Marshal()
}

// segmentURI is relative to the playlist, so that it works behind any prefix.
func segmentURI(dir string, seq int64) string {
	u := url.URL{Path: dir + "/" + strconv.FormatInt(seq, 10) + SegmentSuffix}
	return u.String()
}
