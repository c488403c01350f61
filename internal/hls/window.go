package hls

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
	// minListed is how many target durations a playlist holds at least (RFC 8216 6.2.2).
	minListed = 3
	// maxListed bounds a playlist whose segments are cut short again and again by discontinuities.
	maxListed = 64
)

// window is the segments of a stream that can be fetched, and the playlist's place in them. It has
// one user.
type window struct {
	// dir is the folder of the segments, relative to the playlist.
	dir                string
	listSize, maxBytes int
	gzip               *compressor

	// segments are those that can be fetched, oldest first. From index listed on they are in the
	// playlist.
	segments []*segment
	listed   int
	bytes    int
	// target is the target duration. It does not change.
	target time.Duration
	// discontinuitySeq counts the discontinuities that left the playlist.
	discontinuitySeq int64
	// dependent: a segment cannot all be decoded without those before.
	dependent bool
}

// add puts a segment at the end and lets those go that are due.
func (w *window) add(s *segment) {
	w.segments = append(w.segments, s)
	w.bytes += len(s.data)
	w.dependent = w.dependent || !s.independent
	for w.mayUnlist() {
		w.unlist()
	}
	keep := max(w.listSize, len(w.segments)-w.listed) + 1
	for w.listed > keep || w.bytes > w.maxBytes && len(w.segments) > 1 {
		w.drop()
	}
}

// mayUnlist says whether the playlist is long enough without its first segment.
func (w *window) mayUnlist() bool {
	n := len(w.segments) - w.listed
	if n <= w.listSize {
		return false
	}
	rest := time.Duration(0)
	for _, s := range w.segments[w.listed+1:] {
		rest += s.duration
	}
	return rest >= minListed*w.target || n > max(maxListed, w.listSize)
}

func (w *window) unlist() {
	if w.segments[w.listed].discontinuity {
		w.discontinuitySeq++
	}
	w.listed++
}

// drop lets the oldest segment go.
func (w *window) drop() {
	if w.listed == 0 {
		w.unlist()
	}
	w.listed--
	w.bytes -= len(w.segments[0].data)
	w.segments = slices.Delete(w.segments, 0, 1)
}

// snapshot is what requests see of a window. It never changes.
type snapshot struct {
	segments []*segment
	bytes    int
	target   time.Duration
	ended    bool
	// playlist is the media playlist, tag its entity tag without quotes.
	playlist []byte
	tag      string
	// lazy is the same for requests, compressed with gzip by the first of them.
	lazy lazyText
	gzip *compressor
}

// text returns the playlist as requests get it.
func (s *snapshot) text() *lazyText {
	return s.lazy.get(s.gzip, func() (rendered, error) { return rendered{head: s.playlist, tag: s.tag}, nil })
}

// snapshot renders the playlist.
func (w *window) snapshot(ended bool) (*snapshot, error) {
	text, err := w.render(ended)
	if err != nil {
		return nil, fmt.Errorf("rendering playlist: %w", err)
	}
	last := w.segments[len(w.segments)-1].seq
	s := &snapshot{
		segments: slices.Clone(w.segments),
		bytes:    w.bytes,
		target:   w.target,
		ended:    ended,
		playlist: text,
		tag:      strconv.FormatInt(last, 10),
		gzip:     w.gzip,
	}
	if ended {
		s.tag += "-end"
	}
	return s, nil
}

// segment returns the segment with a sequence number, nil if it cannot be fetched.
func (s *snapshot) segment(seq int64) *segment {
	i := seq - s.segments[0].seq
	if i < 0 || i >= int64(len(s.segments)) {
		return nil
	}
	return s.segments[i]
}

func (w *window) render(ended bool) ([]byte, error) {
	discontinuitySeq := int(w.discontinuitySeq)
	m := playlist.Media{
		Version:               playlistVersion,
		IndependentSegments:   !w.dependent,
		TargetDuration:        int(w.target / time.Second),
		MediaSequence:         int(w.segments[w.listed].seq),
		DiscontinuitySequence: &discontinuitySeq,
		Endlist:               ended,
	}
	for _, s := range w.segments[w.listed:] {
		line := &playlist.MediaSegment{
			Duration:      s.duration,
			URI:           segmentURI(w.dir, s.seq),
			Discontinuity: s.discontinuity,
		}
		if !s.at.IsZero() {
			line.DateTime = &s.at
		}
		m.Segments = append(m.Segments, line)
	}
	return m.Marshal()
}

// segmentURI is relative to the playlist, so that it works behind any prefix.
func segmentURI(dir string, seq int64) string {
	u := url.URL{Path: dir + "/" + strconv.FormatInt(seq, 10) + segmentSuffix}
	return u.String()
}
