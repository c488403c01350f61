package ladder

import (
	"slices"
	"time"

	"livego/internal/media"
)

// Publication is one encoder's contribution to a stream.
type Publication struct {
	// Rendition names it, "" for the stream's default one.
	Rendition string
	// epoch is the publisher session, valid once started. session counts sessions and jumps of
	// time.
	epoch, session uint32
	started        bool
	// idle: its publisher was lost and may come back. The video of others had come as far as others
	// says then.
	idle   bool
	others map[*track]time.Duration
	// Behind: there is more to be read of it at once.
	Behind bool
	tracks []*track
	// Err says why it must end.
	Err error
}

// follow notices new publisher sessions and jumps of time.
func (pub *Publication) follow(u *media.AccessUnit) {
	if pub.started && (u.Epoch > pub.epoch || u.Discontinuity) {
		pub.session++
	}
	pub.epoch, pub.started, pub.idle, pub.others = max(pub.epoch, u.Epoch), true, false, nil
}

// find returns what is known of the track of a header, nil if that is nothing.
func (pub *Publication) find(header *media.Track) *track {
	for _, t := range pub.tracks {
		if t.kind == header.Kind && t.number == header.ID {
			return t
		}
	}
	return nil
}

// has says that there is a track of a kind that is packaged or may be.
func (pub *Publication) has(kind media.Kind) bool {
	return slices.ContainsFunc(pub.tracks, func(t *track) bool { return t.kind == kind && t.standing == active })
}

// noteQuiet notes that the encoder says that no sound comes for a track.
func (pub *Publication) noteQuiet(header *media.Track) {
	if t := pub.find(header); t != nil {
		t.quiet = true
	}
}

// carries says whether a publication has a track of the kind and number of t.
func (pub *Publication) carries(t *track) bool {
	return slices.ContainsFunc(pub.tracks, func(o *track) bool { return o.kind == t.kind && o.number == t.number })
}
