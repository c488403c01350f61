package flv

import (
	"livego/internal/media"
)

// appendVideo takes the body of a video message: VIDEODATA of FLV E.4.3.1, or ExVideoTagHeader and
// ExVideoTagBody of E-RTMP.
//
//	legacy     | frame type 4 | codec id 4 | data
//	AVC, HEVC  | frame type 4 | codec id 4 | packet type 8 | composition time SI24 | data
//	E-RTMP     | 1 | frame type 3 | packet type 4 | (ModEx) | (multitrack 8) | FourCC 32 | ...
func (d *Demuxer) appendVideo(dst []media.AccessUnit, m *message) ([]media.AccessUnit, error) {
	if len(m.body) == 0 {
		return dst, ErrTruncated
	}
	frameType := m.body[0] >> 4 & 0x7
	m.key = frameType == frameKey
	if m.body[0]&exVideo != 0 {
		return d.appendExVideo(dst, m, frameType)
	}
	if frameType == frameCommand {
		return append(dst, m.unit(d.current(media.Video), media.Command)), nil
	}
	codecID := m.body[0] & 0x0F
	s, err := d.track(media.Video, 0, legacy|format(codecID))
	if err != nil {
		return dst, err
	}
	if codecID == videoAVC || codecID == videoHEVC {
		return m.appendLegacyNAL(dst, s)
	}
	return m.appendPicture(dst, s, 0, m.body[1:])
}

// appendLegacyNAL takes a body with the AVCPacketType and CompositionTime of FLV E.4.3.1.
func (m *message) appendLegacyNAL(dst []media.AccessUnit, s *trackState) ([]media.AccessUnit, error) {
	if len(m.body) < 2 {
		return dst, ErrTruncated
	}
	packetType := m.body[1]
	if packetType > legacyFrame {
		header := media.Command
		if packetType == legacyEnd {
			header = media.SequenceEnd
		}
		return append(dst, m.unit(s, header)), nil
	}
	if len(m.body) < 5 {
		return dst, ErrTruncated
	}
	if packetType == legacyFrame {
		return m.appendPicture(dst, s, si24(m.body[2:5]), m.body[5:])
	}
	u, err := m.sequenceHeader(s, packetSequenceStart, m.body[5:])
	if err != nil {
		return dst, err
	}
	return append(dst, u), nil
}

func (d *Demuxer) appendExVideo(dst []media.AccessUnit, m *message, frameType uint8) ([]media.AccessUnit, error) {
	packetType, rest, err := m.modEx()
	if err != nil {
		return dst, err
	}
	if frameType == frameCommand && packetType != videoMetadata {
		return append(dst, m.unit(d.current(media.Video), media.Command)), nil
	}
	p, err := parseTracks(packetType, videoMultitrack, rest)
	if err != nil {
		return dst, err
	}
	m.multitrack = p.multitrack
	if p.unknown {
		return append(dst, m.unit(d.current(media.Video), media.Command)), nil
	}
	for p.next() {
		f := p.format
		if p.packetType == videoMetadata {
			f = d.formatOf(p.id, f)
		}
		s, err := d.track(media.Video, p.id, f)
		if err != nil {
			return dst, err
		}
		u, err := m.exVideo(s, &p)
		if err != nil {
			return dst, err
		}
		dst = append(dst, u)
	}
	return dst, p.err
}

// formatOf returns the format of a video track if f is the same codec, else f: colour information
// of a track whose pictures come in the legacy form has the Enhanced one, as there is no other.
func (d *Demuxer) formatOf(id uint8, f format) format {
	for _, s := range d.video {
		if s.track.ID == id && s.track.Codec == codecOf(media.Video, f) && s.track.Codec != media.Unknown {
			return s.format
		}
	}
	return f
}

// exVideo returns the unit of one track's ExVideoTagBody.
func (m *message) exVideo(s *trackState, p *tracks) (media.AccessUnit, error) {
	switch p.packetType {
	case packetSequenceStart, videoMPEG2TSSequence:
		return m.sequenceHeader(s, p.packetType, p.payload)
	case packetCodedFrames:
		switch p.format {
		case fourCCAVC, fourCCHEVC, fourCCVVC: // the others have no composition time
			if len(p.payload) < 3 {
				return media.AccessUnit{}, ErrTruncated
			}
			return m.picture(s, si24(p.payload), p.payload[3:])
		}
		return m.picture(s, 0, p.payload)
	case videoCodedFramesX:
		return m.picture(s, 0, p.payload)
	case packetSequenceEnd:
		return m.unit(s, media.SequenceEnd), nil
	case videoMetadata:
		if c, ok := readColour(p.payload); ok {
			s.colour = c
		}
		return m.header(s, media.Colour, p.payload), nil
	}
	return m.unit(s, media.Command), nil
}

// picture returns a unit with a coded picture. Without a byte of it there is nothing to decode or
// to begin with: such a message is only passed on.
func (m *message) picture(s *trackState, compositionMS int32, data []byte) (media.AccessUnit, error) {
	if len(data) == 0 {
		return m.unit(s, media.Command), nil
	}
	return m.sample(s, compositionMS, data)
}

// appendPicture appends the unit of picture.
func (m *message) appendPicture(dst []media.AccessUnit, s *trackState, compositionMS int32, data []byte) ([]media.AccessUnit, error) {
	u, err := m.picture(s, compositionMS, data)
	if err != nil {
		return dst, err
	}
	return append(dst, u), nil
}

func si24(b []byte) int32 {
	return int32(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8) >> 8
}

func ui24(b []byte) uint32 {
	return uint32(b[0])<<16 | uint32(b[1])<<8 | uint32(b[2])
}
