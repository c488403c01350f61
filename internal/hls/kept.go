package hls

import (
	"livego/internal/hls/ladder"
	"livego/internal/hls/playlist"
)

// Recorder is told of the CMAF segments of all streams as soon as they are complete.
type Recorder interface {
	// Begin says that a life of a stream ("app/stream") begins. It must not wait.
	Begin(stream string) Sink
}

// Hold keeps a stream packaged as CMAF although nobody watches it, until it is told otherwise, over
// all its lives.
func (s *Server) Hold(name string, on bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if on {
		s.held[name] = true
	} else {
		delete(s.held, name)
	}
	if l := s.lives[name]; l != nil {
		l.demand.hold(on)
	}
}

// Description is what a multivariant playlist says of a rendition.
type Description = playlist.Description

// Multivariant returns a multivariant playlist of renditions in the order in which it is to name
// them. The media playlist of each is ID.m3u8. independent says that each segment begins with a
// random access point.
func Multivariant(renditions []Description, independent bool) []byte {
	return playlist.RenderMultivariant(renditions, independent)
}

// Sink takes the segments of one life.
type Sink = ladder.Sink

// Segment is a complete CMAF segment.
type Segment = ladder.Segment

// ErrMisaligned: a publication's random access points are not where those of the stream's first one
// are, so that no player could switch between them.
var ErrMisaligned = ladder.ErrMisaligned
