// Package stamps puts the time stamps of encoders right whose clock does not count milliseconds, or
// jitters, before anybody else looks at them. What is stamped right passes as it came.
//
// Some encoders and bridges stamp sound in samples, or pictures in the 90 kHz of MPEG, and others
// stamp units when they happen to send them. Then stream time runs many times too fast, or sound
// and pictures part. Of sound, the lengths of its frames are the truth; of pictures, when they
// come, and what sound came meanwhile. The package does no input or output and reads no clock: when
// a unit came it says itself (media.AccessUnit.Arrived).
package stamps

import (
	"time"

	"livego/internal/media"
)

const (
	// maxHold bounds for how long, by arrival, a session waits until the speed of a clock is known.
	// Nobody waits whose first units go on as clocks of milliseconds do.
	maxHold = 1200 * time.Millisecond
	// maxFirst bounds for how long the first unit of a track waits for the second, where it matters
	// what the clock counts: where its time stamp is more than smallStamp.
	maxFirst   = 200 * time.Millisecond
	smallStamp = 20 * time.Millisecond
	// maxHeld and maxHeldBytes bound what waits.
	maxHeld      = 1024
	maxHeldBytes = 8 << 20
	// maxTracks bounds the tracks of a session that are looked at: demuxers have as many of a kind.
	maxTracks = 128
)

// Session judges the time stamps of one publisher session. Its zero value is ready. It has one user
// at a time.
type Session struct {
	// Body makes the message body of a picture whose composition time was changed; like is the
	// picture as it came. If Body is nil, or fails, the picture has no body.
	Body func(like, u *media.AccessUnit) ([]byte, error)
	// Report is told of each thing that was wrong, if it is not nil.
	Report func(Fault)

	tracks []*track
	held   []media.AccessUnit
	bytes  int
}

// Fault is something in the time stamps of a track that was put right.
type Fault struct {
	Kind media.Kind
	// Track is the track's number.
	Track uint8
	// What says what was wrong and what became of it. It is one of a few constants.
	What string
}

const (
	faultSpeed  = "time stamps of a clock that does not count milliseconds: they are converted"
	faultRate   = "pictures counted at another rate than that at which they come: they are kept beside the sound"
	faultCoarse = "time stamps of a clock of whole seconds, or parts of them: units are counted between them"
	faultEarly  = "pictures shown before they are decoded: they are decoded earlier"
	faultJitter = "time stamps that jump to and fro: placed by the lengths of frames, or the mean distance of pictures"
)

// Append appends to dst the units that are ready, among them what becomes of those of one message:
// often just them. Their bytes must not change any more.
func (s *Session) Append(dst, units []media.AccessUnit) []media.AccessUnit {
	for i := range units {
		u := &units[i]
		t := s.track(u)
		if t != nil {
			t.observe(u)
		}
		if len(s.held) == 0 && (t == nil || !t.doubted && !t.alone) {
			dst = s.pass(dst, t, u)
			continue
		}
		s.held = append(s.held, *u)
		s.bytes += len(u.Body)
	}
	if len(s.held) > 0 && s.full() {
		dst = s.Flush(dst)
	}
	return dst
}

// Flush appends what waits, whether or not it is known where it belongs.
func (s *Session) Flush(dst []media.AccessUnit) []media.AccessUnit {
	for _, t := range s.tracks {
		if t.alone = false; t.doubted {
			t.settle()
		}
	}
	for i := range s.held {
		dst = s.pass(dst, s.track(&s.held[i]), &s.held[i])
	}
	s.held, s.bytes = nil, 0
	return dst
}

// Waits says after what time without a message Flush is due, 0 if nothing waits.
func (s *Session) Waits() time.Duration {
	if len(s.held) == 0 {
		return 0
	}
	return s.patience()
}

// full says that what waits does so for nothing any more, or for too long.
func (s *Session) full() bool {
	waited := time.Duration(s.held[len(s.held)-1].Arrived - s.held[0].Arrived)
	wait := s.patience()
	return wait == 0 || len(s.held) >= maxHeld || s.bytes >= maxHeldBytes || waited > wait
}

// patience is for how long units wait, 0 if the clocks of all tracks are known.
func (s *Session) patience() (wait time.Duration) {
	for _, t := range s.tracks {
		switch {
		case t.doubted:
			return maxHold
		case t.alone:
			wait = maxFirst
		}
	}
	return wait
}

// pass appends a unit with the time that is meant.
func (s *Session) pass(dst []media.AccessUnit, t *track, u *media.AccessUnit) []media.AccessUnit {
	if t == nil {
		return append(dst, *u)
	}
	return append(dst, t.convert(u))
}

// track returns what is known of the track of a sample, nil for what has no clock.
func (s *Session) track(u *media.AccessUnit) *track {
	if u.Header != media.Sample || u.Track.Kind == media.Data || len(u.Data) == 0 {
		return nil
	}
	for _, t := range s.tracks {
		if t.kind == u.Track.Kind && t.id == u.Track.ID {
			return t
		}
	}
	if len(s.tracks) == maxTracks {
		return nil
	}
	t := &track{session: s, kind: u.Track.Kind, id: u.Track.ID, rate: 1}
	s.tracks = append(s.tracks, t)
	return t
}

// counted returns the track whose sound is counted, nil without one.
func (s *Session) counted() *track {
	for _, t := range s.tracks {
		if t.length > 0 {
			return t
		}
	}
	return nil
}
