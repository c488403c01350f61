package hls

import (
	"cmp"
	"slices"
	"sync/atomic"
)

// counters are written by a stream's packaging and read by anyone.
type counters struct {
	segments, bytes, dropped, forced atomic.Uint64
	// These are of CMAF.
	parts, cmafBytes, forcedCMAF, wide atomic.Uint64
	// window is the size of the CMAF segments that can be fetched.
	window atomic.Int64
}

// StreamStats is what HLS knows of one stream.
type StreamStats struct {
	// Name is "app/stream".
	Name string
	// Ended: the stream is over, its playlist is still served.
	Ended bool
	// Segments and Bytes count what was packaged as MPEG-TS since the stream's start, Parts and CMAFBytes what was as CMAF.
	Segments, Bytes, Parts, CMAFBytes uint64
	// Renditions is how many the multivariant playlist has.
	Renditions int
	// WideParts counts parts that last for longer than playlists may say.
	WideParts uint64
	// Dropped counts access units that were left out, of MPEG-TS and of CMAF, ForcedCuts segments that begin without a random access point.
	Dropped, ForcedCuts uint64
	// WindowBytes is the size of the segments that can be fetched now.
	WindowBytes int
	// Viewers estimates how many clients asked for the playlist within the last three target durations.
	Viewers int
}

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
