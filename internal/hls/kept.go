package hls

import (
	"time"

	"livego/internal/media"
)

// Recorder is told of the CMAF segments of all streams as soon as they are complete.
type Recorder interface {
	// Begin says that a life of a stream ("app/stream") begins. It must not wait.
	Begin(stream string) Sink
}

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

// Description is what a multivariant playlist says of a rendition (RFC 8216bis 4.4.6).
type Description struct {
	// ID names the rendition among those of its stream: "v0", "720p.v0", "a1".
	ID   string
	Kind media.Kind
	// Track is the number of the track in its publication, Channels how many it has, if it is of
	// sound.
	Track    uint8
	Channels int
	Codec    media.Codec
	// Codecs is as in RFC 6381, Supplemental as in RFC 8216bis 4.4.6.2. VideoRange is SDR, PQ or
	// HLG.
	Codecs, Supplemental, VideoRange string
	Width, Height                    int
	// FrameRate is measured, in pictures per second, Peak and Average in bits per second. 0: not
	// known.
	FrameRate     float64
	Peak, Average int
	// Channels608 has a bit for each of CC1 to CC4, Services708 one for each service of CEA-708.
	Channels608 uint8
	Services708 uint64
}

func (i *renditionInfo) description() Description {
	return Description{
		ID: i.id, Kind: i.kind, Track: i.track.ID, Channels: i.track.Channels, Codec: i.track.Codec,
		Codecs: i.codecs, Supplemental: i.supplemental, VideoRange: i.videoRange,
		Width: i.width, Height: i.height, FrameRate: i.frameRate, Peak: i.peak, Average: i.average,
		Channels608: i.captions.channels, Services708: i.captions.services,
	}
}

func (d *Description) info() renditionInfo {
	return renditionInfo{
		rendition:    &rendition{id: d.ID, kind: d.Kind},
		track:        &media.Track{Kind: d.Kind, ID: d.Track, Codec: d.Codec, Channels: d.Channels},
		codecs:       d.Codecs,
		supplemental: d.Supplemental, videoRange: d.VideoRange,
		width: d.Width, height: d.Height, frameRate: d.FrameRate, peak: d.Peak, average: d.Average,
		captions: captionSet{channels: d.Channels608, services: d.Services708},
	}
}

// Multivariant returns a multivariant playlist of renditions in the order in which it is to name
// them. The media playlist of each is ID.m3u8. independent says that each segment begins with a
// random access point.
func Multivariant(renditions []Description, independent bool) []byte {
	v := &presentationView{independent: independent}
	for i := range renditions {
		v.renditions = append(v.renditions, renditions[i].info())
	}
	m := newMultivariant(v)
	m.prefix = ""
	m.render(v)
	return m.b
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

// Hold keeps a stream packaged although nobody watches it, until it is told otherwise, over all its
// lives.
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
