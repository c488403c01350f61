package flv

import (
	"bytes"
	"fmt"
	"time"

	"livego/internal/amf"
	"livego/internal/codec"
	"livego/internal/media"
)

// Demuxer turns the media and data messages of one publisher session into access units. Its zero
// value is ready. It has one user at a time.
//
// # What comes out
//
// The units of a message have it as Body, byte for byte, and as Data the part of it that is the
// sample: nothing is copied, and the body must not change afterwards. What outlives the message (a
// track's configuration) is copied. Only a data message is cut: the leading "@setDataFrame", which
// is meant for the server, and the format selector of type 15.
//
// A sequence header makes a new Track unless it is byte-equal to the one before it of that track,
// or of AAC and says the same in another form;
// codecs without header get their Track from the first frame, and a new one when rate, channels or
// picture size change. A header of no use (codec.Useless) is an error where there was one that
// parses, which remains in force. Frames of a codec whose header did not come or did not parse, and
// of codecs nobody knows, are samples of a Track with Parsed false, for RTMP and FLV players can
// use them. VP8 and VP9 headers do not hold the picture size, so that such a Track is followed by a
// parsed one at the first key frame. A key frame also begins a new Track if colour information that
// came before it, or the Dolby Vision metadata in it, is not that of the Track. What belongs to no
// sample and to no known header (seek commands, packet types of the future, pictures of no bytes)
// comes out as media.Command; if there was no track of its kind yet, with a placeholder as Track
// whose codec is unknown and whose name is empty.
//
// A picture is a random access point if its frame type says key frame, whatever it holds. The
// encoder must know; a look into the NAL units could only turn a broken stream into one that never
// starts.
//
// # Time
//
// DTS is the message's time, unwrapped, on one line for all tracks while they keep together, right
// or wrong: who takes the units judges it. PTS is DTS plus the composition time, which may be
// negative.
type Demuxer struct {
	clocks       clocks
	video, audio []*trackState
	script       trackState
	expected     expected
	encoder      string // as the last onMetaData has it
	passed       string // likewise
}

// trackState is a track as it is now, with what is needed to see that it changes.
type trackState struct {
	track  *media.Track
	format format
	// header is the payload of the last sequence header, of the packet type headerType. Nil if
	// there was none.
	header     []byte
	headerType uint8
	// colour is what the last colour information said.
	colour media.ColourDescription
	// before is what the track was before its format changed, if it was known. Nil otherwise.
	before *trackState
	// strays is how many frames came since, without a header.
	strays int
}

// maxStrays is how many frames in a row are left out that are of an unknown codec, or of another
// one whose header did not come.
const maxStrays = 10

// turn goes on with a track of another format. If that is the one before, and nothing but frames
// came since, its header is in force still: a few frames with a wrong codec do not take it away.
func (s *trackState) turn(track *media.Track, f format) {
	before := s.before
	switch {
	case s.header != nil || s.track.Parsed && before == nil:
		old := *s
		old.before, before = nil, &old
	case before != nil && before.format == f:
		*s = *before
		return
	}
	*s = trackState{track: track, format: f, before: before}
}

// message is a message on its way through the demuxer.
type message struct {
	messageType uint8
	body        []byte
	ms          int64
	nanos       uint32
	key         bool
	multitrack  bool
	units       int // made of it so far
}

// Append appends the units of one message to dst: one, or several for an E-RTMP multitrack message.
// With an error dst comes back as it was: that message is to be dropped, and the next ones can be
// read. timestampMS is the message's absolute time.
func (d *Demuxer) Append(dst []media.AccessUnit, messageType uint8, timestampMS uint32, body []byte) ([]media.AccessUnit, error) {
	m := message{messageType: messageType, body: body}
	before := len(dst)
	var err error
	switch messageType {
	case TypeVideo:
		m.ms = d.clocks.media(messageType, timestampMS)
		dst, err = d.appendVideo(dst, &m)
	case TypeAudio:
		m.ms = d.clocks.media(messageType, timestampMS)
		dst, err = d.appendAudio(dst, &m)
	case TypeData, TypeDataAMF3:
		m.ms = d.clocks.script(timestampMS)
		dst, err = d.appendScript(dst, &m)
	default:
		err = ErrUnsupported
	}
	if err != nil {
		return dst[:before], fmt.Errorf("message of type %d: %w", messageType, err)
	}
	return dst, nil
}

// Expected returns how many tracks of each kind the last onMetaData names, and whether it names
// any. A codec id of 0, which encoders send for a kind that they do not send, counts as absent,
// though it is linear PCM in audio: unless a rate, a size or a track map of that kind says
// otherwise. hasVideo and hasAudio, where present and false, decide alone.
func (d *Demuxer) Expected() (video, audio int, known bool) {
	return d.expected.video, d.expected.audio, d.expected.video+d.expected.audio > 0
}

// Encoder returns what the last onMetaData calls the encoder (FLV E.5 leaves it to the sender), at
// most 128 bytes; empty if it does not say.
func (d *Demuxer) Encoder() string { return d.encoder }

// Passed returns which servers the stream has passed by relays, as the last onMetaData says it (see
// AppendPassed); empty if it does not say.
func (d *Demuxer) Passed() string { return d.passed }

// track returns the state of a track, which is made, or made anew if the format changed.
func (d *Demuxer) track(kind media.Kind, id uint8, f format) (*trackState, error) {
	tracks := &d.video
	if kind == media.Audio {
		tracks = &d.audio
	}
	for _, s := range *tracks {
		if s.track.ID != id {
			continue
		}
		if s.format != f {
			s.turn(newTrack(kind, id, f), f)
		}
		return s, nil
	}
	if len(*tracks) == maxTracks {
		return nil, fmt.Errorf("more than %d tracks: %w", maxTracks, ErrLimit)
	}
	s := &trackState{track: newTrack(kind, id, f), format: f}
	*tracks = append(*tracks, s)
	return s, nil
}

// current returns the first track of a kind, or a placeholder.
func (d *Demuxer) current(kind media.Kind) *trackState {
	tracks := d.video
	if kind == media.Audio {
		tracks = d.audio
	}
	if len(tracks) > 0 {
		return tracks[0]
	}
	return &trackState{track: &media.Track{Kind: kind, Err: "no track yet"}}
}

// unit returns a unit of the message without sample.
func (m *message) unit(s *trackState, header media.Header) media.AccessUnit {
	at := time.Duration(m.ms) * time.Millisecond
	m.units++
	return media.AccessUnit{
		Track:       s.track,
		Header:      header,
		MessageType: m.messageType,
		Shared:      m.units > 1,
		Multitrack:  m.multitrack,
		Nanos:       m.nanos,
		DTS:         at,
		PTS:         at,
		Body:        m.body,
	}
}

// header returns a unit with a header that has content of its own.
func (m *message) header(s *trackState, header media.Header, content []byte) media.AccessUnit {
	u := m.unit(s, header)
	u.Data = content
	return u
}

// stray says that a frame is of another codec than those before it, of which nothing is known yet.
// Players of RTMP and FLV may end at such frames, and those of HLS would begin anew at each.
func (s *trackState) stray() bool {
	said := s.track.Parsed
	switch s.track.Codec {
	case media.PCMA, media.PCMU, media.Speex: // any bytes would do
		said = false
	}
	if s.before == nil || said || s.header != nil || s.before.track.Codec == s.track.Codec || s.strays >= maxStrays {
		return false
	}
	s.strays++
	return true
}

// sample returns a unit with a sample, which first may tell more about its track.
func (m *message) sample(s *trackState, compositionMS int32, data []byte) (media.AccessUnit, error) {
	s.track = codec.Refine(s.track, m.key, data)
	switch stray := s.stray(); {
	case stray && m.multitrack: // the others' frames are in this message
		return m.unit(s.before, media.Command), nil
	case stray:
		return media.AccessUnit{}, fmt.Errorf("a frame of codec %s among those of %s: %w", s.track.Name, s.before.track.Codec, ErrUnsupported)
	}
	if m.key && s.track.Kind == media.Video {
		s.track = codec.Describe(s.track, s.colour, codec.DolbyVision(s.track, data))
	}
	u := m.unit(s, media.Sample)
	u.RandomAccess = m.key
	u.PTS += time.Duration(compositionMS) * time.Millisecond
	u.Data = data
	return u, nil
}

// sequenceHeader returns a unit for a sequence header, after it has made a new track of it unless
// it is the one in force.
func (m *message) sequenceHeader(s *trackState, packetType uint8, payload []byte) (media.AccessUnit, error) {
	if len(payload) > maxHeader {
		return media.AccessUnit{}, fmt.Errorf("sequence header of %d bytes: %w", len(payload), ErrLimit)
	}
	if s.header != nil && s.headerType == packetType && bytes.Equal(s.header, payload) {
		return m.unit(s, media.SequenceHeader), nil
	}
	header, t := append([]byte{}, payload...), newTrack(s.track.Kind, s.track.ID, s.format)
	if packetType == packetSequenceStart {
		codec.Configure(t, header)
	}
	switch {
	case codec.SameSound(t, s.track): // what it says otherwise changes nothing
		return m.unit(s, media.SequenceHeader), nil
	case !codec.Useless(t) || !s.track.Parsed:
		s.header, s.headerType, s.track = header, packetType, t
		return m.unit(s, media.SequenceHeader), nil
	case m.multitrack: // the others' headers are in this message
		return m.unit(s, media.Command), nil
	}
	return media.AccessUnit{}, fmt.Errorf("sequence header of %d bytes: %s; the one before holds: %w", len(payload), t.Err, ErrTruncated)
}

// appendScript takes a data message, which must begin with the name of its handler.
func (d *Demuxer) appendScript(dst []media.AccessUnit, m *message) ([]media.AccessUnit, error) {
	if len(m.body) > maxMetadata {
		return dst, fmt.Errorf("%d bytes: %w", len(m.body), ErrLimit)
	}
	if m.messageType == TypeDataAMF3 {
		body, err := amf.TrimFormat(m.body)
		if err != nil {
			return dst, err
		}
		m.body, m.messageType = body, TypeData
	}
	name, n, err := handler(m.body)
	if err == nil && name == "@setDataFrame" {
		m.body = m.body[n:]
		name, n, err = handler(m.body)
	}
	if err != nil {
		return dst, err
	}
	arguments, err := scriptArguments(m.body[n:])
	if err != nil {
		return dst, fmt.Errorf("%q: %w", name, err)
	}
	if d.script.track == nil {
		d.script.track = &media.Track{Kind: media.Data, Name: "script"}
	}
	if name == "onMetaData" {
		if len(arguments) > 0 {
			metadata := amf.Properties(arguments[0])
			d.expected, d.encoder, d.passed = expectedBy(metadata), encoderOf(metadata), passedBy(metadata)
		}
		return append(dst, m.unit(&d.script, media.Metadata)), nil
	}
	u := m.unit(&d.script, media.Sample)
	u.Data = m.body
	return append(dst, u), nil
}
