package hls

import (
	"cmp"
	"slices"
	"time"

	"livego/internal/hls/ladder"
	"livego/internal/hls/segmenter"
)

// StreamStats is what HLS knows of one stream.
type StreamStats struct {
	// Name is "app/stream".
	Name string
	// Ended: the stream is over, its playlist is still served.
	Ended bool
	// Segments and Bytes count what was packaged as MPEG-TS since the stream's start, Parts and
	// CMAFBytes what was as CMAF.
	Segments, Bytes, Parts, CMAFBytes uint64
	// Renditions is how many the multivariant playlist has.
	Renditions int
	// WideParts counts parts that last for longer than playlists may say.
	WideParts uint64
	// Dropped counts access units that were left out, of MPEG-TS and of CMAF, ForcedCuts segments
	// that begin without a random access point.
	Dropped, ForcedCuts uint64
	// WindowBytes is the size of the segments that can be fetched now.
	WindowBytes int
	// Viewers estimates how many clients asked for the playlist within the last three target
	// durations.
	Viewers int
}

// Totals sums up all streams, those that are over too.
type Totals struct {
	// Segments and Bytes count what was packaged as MPEG-TS, CMAFSegments, Parts and CMAFBytes what
	// was as CMAF, in each rendition.
	Segments, Bytes, CMAFSegments, Parts, CMAFBytes uint64
	// WideParts, Dropped and ForcedCuts are as in StreamStats.
	WideParts, Dropped, ForcedCuts uint64
	// Silence is how much silence was made in place of sound that is missing.
	Silence time.Duration
	// WindowBytes is the size of the segments that can be fetched now.
	WindowBytes int64
	// Answers counts requests, SentBytes the bytes of what they were answered with, without
	// headers. Held is how many wait now.
	Answers   []Answers
	SentBytes uint64
	Held      int
}

// Totals returns the sums of now. It takes no lock that packaging takes.
func (s *Server) Totals() Totals {
	s.mu.RLock()
	t := s.past
	for _, l := range s.lives {
		t.add(&l.counts)
		t.WindowBytes += int64(l.windowBytes())
	}
	s.mu.RUnlock()
	t.Answers, t.SentBytes, t.Held = s.answers.list(), s.answers.bytes.Load(), s.Waiting()
	return t
}

// Sent returns how many bytes went out so far, without headers: to viewers, and to other servers
// (Uncounted). It takes no lock.
func (s *Server) Sent() (viewers, servers uint64) {
	servers = s.answers.toServers.Load()
	all := s.answers.bytes.Load()
	return all - min(servers, all), servers
}

// add adds the counts of a stream.
func (t *Totals) add(c *counters) {
	t.Segments += c.ts.Segments.Load()
	t.Bytes += c.ts.Bytes.Load()
	t.CMAFSegments += c.cmaf.Segments.Load()
	t.Parts += c.cmaf.Parts.Load()
	t.CMAFBytes += c.cmaf.Bytes.Load()
	t.WideParts += c.cmaf.Wide.Load()
	t.Dropped += c.dropped()
	t.ForcedCuts += c.forcedCuts()
	t.Silence += time.Duration(c.cmaf.Silence.Load())
}

// forcedCuts is the number of one form: both are cut at about the same places.
func (c *counters) forcedCuts() uint64 { return max(c.ts.Forced.Load(), c.cmaf.Forced.Load()) }

// Stats returns the streams that have a playlist or will have one, by name.
func (s *Server) Stats() []StreamStats {
	s.mu.RLock()
	stats := make([]StreamStats, 0, len(s.lives))
	for _, l := range s.lives {
		stats = append(stats, l.stats(s.opt.Now()))
	}
	s.mu.RUnlock()
	slices.SortFunc(stats, func(a, b StreamStats) int { return cmp.Compare(a.Name, b.Name) })
	return stats
}

// counters are written by a stream's packaging and read by anyone.
type counters struct {
	ts   segmenter.Counts
	cmaf ladder.Counts
}

func (c *counters) dropped() uint64 { return c.ts.Dropped.Load() + c.cmaf.Dropped.Load() }
