package repair

import (
	"bytes"

	"livego/internal/codec"
	"livego/internal/media"
)

// headers follows the header of a track: what the encoder sends, and what stands in its place.
type headers struct {
	// in is the track as the demuxer gave it last, out as it is handed on.
	in, out *media.Track
	// own is the track of a header that was made here, nil if the encoder's is right. body is the
	// message body with it.
	own  *media.Track
	body []byte
	// dolbyVision is the profile that was found in a picture after it was repaired, if looked.
	dolbyVision uint8
	looked      bool
	// refused is why the track cannot be packaged although its header says what it is.
	refused string
}

// follow takes notice of the track of a unit. It says whether the track has another header, or is
// new.
func (h *headers) follow(in *media.Track) bool {
	if in == h.in {
		return false
	}
	same := h.in != nil && sameHeader(in, h.in)
	h.in = in
	if !same {
		h.own, h.body, h.looked, h.refused = nil, nil, false, ""
	}
	h.describe()
	return !same
}

// sameHeader says whether what differs in two tracks was said beside their header.
func sameHeader(a, b *media.Track) bool {
	if len(a.Config) == 0 || len(b.Config) == 0 {
		return len(a.Config) == len(b.Config) && a.Name == b.Name
	}
	return &a.Config[0] == &b.Config[0] && len(a.Config) == len(b.Config)
}

// describe makes the track that is handed on: of the header in force and what is known beside it.
func (h *headers) describe() {
	t := h.in
	if h.own != nil {
		t = codec.Describe(h.own, h.in.Colour, h.in.DolbyVision)
	}
	if h.looked {
		t = codec.Describe(t, t.Colour, h.dolbyVision)
	}
	if h.refused != "" && t.Parsed {
		c := *t
		c.Parsed, c.Err, c.NALLengthSize = false, h.refused, 0
		h.out = &c
		return
	}
	if t == h.in || h.out == nil || !sameHeader(t, h.out) || t.Colour != h.out.Colour || t.DolbyVision != h.out.DolbyVision || t.Parsed != h.out.Parsed {
		h.out = t
	}
}

// refuse says that the track cannot be packaged for that reason, or that it can, if there is none.
func (h *headers) refuse(reason string) {
	if reason != h.refused {
		h.refused = reason
		h.describe()
	}
}

// look notes what a repaired picture from which decoding may begin says beside the header.
func (h *headers) look(picture []byte) {
	t := h.in
	if h.own != nil {
		t = h.own
	}
	h.dolbyVision, h.looked = codec.DolbyVision(t, picture), true
	h.describe()
}

// adopt takes a decoder configuration in place of the encoder's. It says whether that parses.
func (h *headers) adopt(config []byte) bool {
	own := &media.Track{Kind: h.in.Kind, ID: h.in.ID, Codec: h.in.Codec, Name: h.in.Name}
	if codec.Configure(own, config); !own.Parsed {
		return false
	}
	h.own, h.body = own, nil
	h.describe()
	return true
}

// current returns the track that is handed on for that of a unit.
func (h *headers) current(t *media.Track) *media.Track {
	if t == h.in && t != nil {
		return h.out
	}
	return t
}

// appendHeader appends a sequence header: the encoder's, or the one that stands in its place.
func (t *track) appendHeader(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	h := &t.headers
	if h.follow(u.Track) {
		t.form.begin(u.Track)
		if config, ok := t.form.record(u.Track); ok && !bytes.Equal(config, u.Track.Config) && h.adopt(config) {
			t.report(faultHeader)
		}
	}
	if h.own == nil {
		return t.pass(dst, u)
	}
	return t.appendOwnHeader(dst, u)
}

// appendOwnHeader appends the header that was made here, before like or in its place.
func (t *track) appendOwnHeader(dst []media.AccessUnit, like *media.AccessUnit) []media.AccessUnit {
	t.changed = true
	h := &t.headers
	v := *like
	v.Header, v.RandomAccess, v.Nanos, v.PTS, v.Track, v.Data, v.Shared = media.SequenceHeader, false, 0, like.DTS, h.out, nil, false
	if h.body != nil {
		v.Body = h.body
		return append(dst, v)
	}
	t.session.embody(like, &v)
	h.body = v.Body
	return append(dst, v)
}

// The faults of headers.
const (
	faultHeader      = "a sequence header in a form that players do not take; it was converted"
	faultNoHeader    = "no sequence header; one was made of what stands in the bitstream"
	faultContradicts = "the sequence header says something else than the bitstream, which is believed"
	faultChanges     = "the bitstream changes its parameters without a new sequence header; one was made"
)
