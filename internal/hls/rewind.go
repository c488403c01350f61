package hls

import (
	"errors"
	"net/http"
	"os"
	"time"

	"livego/internal/hls/ladder"
	"livego/internal/hls/playlist"
	"livego/internal/http1"
	"livego/internal/spool"
)

// rewind begins a stream's life on disk. If the stream was on air within the window, its playlists
// go on: numbers, of which all before unused are taken, and the target duration at least. It
// returns from when on the disk knows of no media.
func (s *Server) rewind(name string, unused int64, start *ladder.Start) (after time.Duration) {
	if s.opt.Spool == nil || !s.opt.CMAF {
		return 0
	}
	l := s.opt.Spool.Begin(name)
	if next, discontinuities, ok := l.Continues(); ok {
		start.First, start.Lost, start.FirstDiscontinuity = max(next, unused), nil, discontinuities
		start.Continues, start.LeastTarget, start.Until = true, l.Target(), l.Until()
	}
	start.Stored = l
	return endOf(l.Reach(), s.opt.Now())
}

// steadyLead is how far media may be ahead of the clock because of the lives before, or because an
// encoder began in a hurry. One that is further ahead is faster than the clock.
const steadyLead = 5 * time.Second

// leastAway is less than it takes from the last unit of a life that broke off to the first one of
// the next. So the lead shrinks, to which each life adds how far pictures are reordered.
const leastAway = 250 * time.Millisecond

// endOf is from when on there is no media of a life, of which it is known what came to the disk. A
// life that is ahead of the clock keeps to its lead: were that to grow with each life, a server
// that is killed again and again would leave the clock behind.
func endOf(r spool.Reach, now time.Time) time.Duration {
	if r.Time == 0 {
		return 0
	}
	clock, stored, most := mediaTime(now), mediaTime(time.Unix(0, r.Stored)), r.Time+max(r.Unknown, lastUnit)
	lead := r.Time - stored
	if clock < stored || lead > steadyLead { // it was set back, or the encoder is faster
		return most
	}
	return min(clock+max(0, lead-leastAway), most)
}

// serveStored serves a segment or an initialization section from disk.
func (s *Server) serveStored(w http.ResponseWriter, r *http.Request, rendition *playlist.Rendition, t target) {
	if rendition.Disk != nil && http1.Elsewhere(w) {
		return
	}
	f, err := openStored(rendition.Disk, t)
	switch {
	case errors.Is(err, spool.ErrNotStored):
		refuse(w, http.StatusNotFound, "no such file, or no longer")
		return
	case err != nil:
		s.opt.Log.Error("segment not served", "rendition", rendition.ID, "segment", t.seq, "error", err)
		refuse(w, http.StatusInternalServerError, "the segment cannot be read")
		return
	}
	defer f.Close()
	h := w.Header()
	fileHeader(h, rendition.Kind)
	h["Etag"] = []string{`"` + t.tag() + `"`}
	http.ServeContent(refusals{w}, r, "", time.Time{}, f)
}

// openStored opens a file of a rendition that is on disk.
func openStored(disk *spool.Rendition, t target) (*os.File, error) {
	switch {
	case disk != nil && t.kind == cmafSegmentFile:
		return disk.Open(t.seq)
	case disk != nil && t.kind == cmafInitFile:
		return disk.OpenInit(t.seq)
	}
	return nil, spool.ErrNotStored
}
