// Package repair puts right what encoders send otherwise than the standards ask, before the units
// of a publisher session become those of a stream, whatever protocol they came by.
//
// What comes out holds for everybody behind it: pictures of H.264, HEVC and VVC are whole NAL units
// with lengths of 4 bytes, and one access unit each, pictures of AV1 are OBUs with their sizes,
// frames of AAC are raw; the track of each is the one that its bitstream describes, with a sequence
// header before it. What is right already passes as it came, byte for byte, and costs one look at
// the lengths of its parts. It does no input or output and reads no clock.
package repair

import (
	"bytes"
	"time"

	"livego/internal/media"
)

// Session repairs the units of one publisher session. Its zero value is ready. It has one user at a
// time.
type Session struct {
	// Body makes the message body of a unit that was changed or made here. like is the unit that
	// the encoder sent, whose body and data go together still; u has the form of its message. The
	// body ends with u.Data. If Body is nil, or fails, u has no body.
	Body func(like, u *media.AccessUnit) ([]byte, error)
	// Report is told of each thing that was wrong, however often, if it is not nil.
	Report func(Fault)

	tracks []*track
}

// Fault is something in a track's media that is not as it should be.
type Fault struct {
	Kind media.Kind
	// Track is the track's number.
	Track uint8
	// What says what was wrong and what became of it. It is one of a few constants.
	What string
}

// maxTracks bounds the tracks of a session that are repaired: demuxers have as many of a kind.
const maxTracks = 128

// track is one track of the session.
type track struct {
	session *Session
	kind    media.Kind
	id      uint8
	codec   media.Codec
	headers headers
	form    form
	// compositions are those of video.
	compositions compositions
	// changed: of the message in hand a unit was changed or kept back. told is the last fault in it
	// that was reported.
	changed bool
	told    string
}

// form repairs the samples of a track of one codec.
type form interface {
	// begin says that the track has another header, or begins without one.
	begin(t *media.Track)
	// record returns the decoder configuration that is meant by one that is not as it should be; ok
	// says whether there is one.
	record(t *media.Track) (config []byte, ok bool)
	// append appends what becomes of a sample.
	append(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit
	// flush appends what was kept back.
	flush(dst []media.AccessUnit) []media.AccessUnit
	// release appends what was kept back if it does not wait longer than until a unit of any track.
	release(dst []media.AccessUnit, next *media.AccessUnit) []media.AccessUnit
	// waits says how long what is kept back waits, 0 if nothing is.
	waits() time.Duration
}

// Append appends to dst what becomes of the units of one message: often just them. Their bytes must
// not change any more.
func (s *Session) Append(dst, units []media.AccessUnit) []media.AccessUnit {
	if len(units) > 0 && units[0].Header == media.Sample {
		dst = s.release(dst, &units[0])
	}
	first, changed := len(dst), false
	for i := range units {
		u := &units[i]
		t := s.track(u)
		if t == nil {
			dst = append(dst, *u)
			continue
		}
		t.changed, t.told = false, ""
		dst = t.append(dst, u, len(units) == 1)
		changed = changed || t.changed
	}
	if changed && len(units) > 1 {
		s.part(dst[first:], units)
	}
	return dst
}

// part gives the units of a message of several tracks, one of which was changed, bodies of their
// own.
func (s *Session) part(out, units []media.AccessUnit) {
	for i := range out {
		u := &out[i]
		for j := range units {
			like := &units[j]
			if len(u.Body) > 0 && len(like.Body) > 0 && &u.Body[0] == &like.Body[0] &&
				u.Track.Kind == like.Track.Kind && u.Track.ID == like.Track.ID {
				s.embody(like, u)
				break
			}
		}
	}
}

// embody gives u a body of its own, in which its data are copied.
func (s *Session) embody(like, u *media.AccessUnit) {
	u.Shared = false
	if s.Body != nil && like.Body != nil {
		if body, err := s.Body(like, u); err == nil {
			if u.Body = body; len(u.Data) > 0 {
				u.Data = body[len(body)-len(u.Data):]
			}
			return
		}
	}
	u.Body, u.Data = nil, bytes.Clone(u.Data)
}

// release appends what was kept back and does not wait longer than until a unit.
func (s *Session) release(dst []media.AccessUnit, next *media.AccessUnit) []media.AccessUnit {
	for _, t := range s.tracks {
		if t.form.waits() > 0 {
			dst = t.form.release(dst, next)
		}
	}
	return dst
}

// Flush appends what was kept back: the newest picture of a track whose pictures may come in
// several messages.
func (s *Session) Flush(dst []media.AccessUnit) []media.AccessUnit {
	for _, t := range s.tracks {
		dst = t.form.flush(dst)
	}
	return dst
}

// Waits says after what time without a message Flush is due, 0 if nothing is kept back.
func (s *Session) Waits() (longest time.Duration) {
	for _, t := range s.tracks {
		longest = max(longest, t.form.waits())
	}
	return longest
}

// track returns what is known of a unit's track, nil if there is nothing to repair in it.
func (s *Session) track(u *media.AccessUnit) *track {
	if u.Track.Kind == media.Data {
		return nil
	}
	for _, t := range s.tracks {
		if t.kind == u.Track.Kind && t.id == u.Track.ID {
			if t.codec != u.Track.Codec {
				t.begin(u.Track.Codec)
			}
			return t
		}
	}
	if len(s.tracks) == maxTracks {
		return nil
	}
	t := &track{session: s, kind: u.Track.Kind, id: u.Track.ID}
	t.begin(u.Track.Codec)
	s.tracks = append(s.tracks, t)
	return t
}

// begin starts with another codec. What was kept back of the one before is lost.
func (t *track) begin(c media.Codec) {
	t.codec, t.headers, t.compositions = c, headers{}, compositions{}
	switch c {
	case media.H264, media.HEVC, media.VVC:
		t.form = &pictures{track: t}
	case media.AV1:
		t.form = &temporalUnits{track: t}
	case media.AAC:
		t.form = &aacFrames{track: t}
	case media.MP3, media.AC3:
		t.form = &soundFrames{track: t}
	default:
		t.form = plain{track: t}
	}
}

// append appends what becomes of a unit. alone says that its message has no other.
func (t *track) append(dst []media.AccessUnit, u *media.AccessUnit, alone bool) []media.AccessUnit {
	switch u.Header {
	case media.SequenceHeader:
		return t.appendHeader(t.form.flush(dst), u)
	case media.Sample:
		if t.headers.follow(u.Track) {
			dst = t.form.flush(dst)
			t.form.begin(u.Track)
		}
		if p, ok := t.form.(*pictures); ok {
			p.alone = alone
			u = t.compose(u)
		}
		return t.form.append(dst, u)
	}
	dst = t.form.flush(dst)
	v := *u
	v.Track = t.headers.current(u.Track)
	return append(dst, v)
}

// report tells of a fault, in a message once.
func (t *track) report(what string) {
	if t.told == what {
		return
	}
	if t.told = what; t.session.Report != nil {
		t.session.Report(Fault{t.kind, t.id, what})
	}
}

// pass appends a sample as it came, of the track in force.
func (t *track) pass(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	v := *u
	v.Track = t.headers.current(u.Track)
	return append(dst, v)
}

// replace appends a sample with other data, which embody copies, or something else changed.
func (t *track) replace(dst []media.AccessUnit, like, u *media.AccessUnit) []media.AccessUnit {
	t.changed = true
	v := *u
	v.Track = t.headers.current(u.Track)
	t.session.embody(like, &v)
	return append(dst, v)
}
