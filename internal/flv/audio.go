package flv

import (
	"livego/internal/media"
)

// appendAudio takes the body of an audio message: AUDIODATA of FLV E.4.2.1, or ExAudioTagHeader and
// ExAudioTagBody of E-RTMP.
//
//	empty    silence (E-RTMP v2, AudioPacketType)
//	legacy   | format 4 | rate 2 | size 1 | type 1 | data
//	AAC      | format 4 | rate 2 | size 1 | type 1 | packet type 8 | data
//	E-RTMP   | 9 (4) | packet type 4 | (ModEx) | (multitrack 8) | FourCC 32 | ...
func (d *Demuxer) appendAudio(dst []media.AccessUnit, m *message) ([]media.AccessUnit, error) {
	m.key = true
	if len(m.body) == 0 {
		return d.appendSilence(dst, m)
	}
	soundFormat := m.body[0] >> 4
	if soundFormat == soundExHeader {
		return d.appendExAudio(dst, m)
	}
	s, err := d.track(media.Audio, 0, legacyAudio(m.body[0]))
	if err != nil {
		return dst, err
	}
	if soundFormat == soundAAC {
		return m.appendLegacyAAC(dst, s)
	}
	return m.appendSample(dst, s, m.body[1:])
}

// appendSilence appends the unit of an empty message.
func (d *Demuxer) appendSilence(dst []media.AccessUnit, m *message) ([]media.AccessUnit, error) {
	if m.body == nil {
		m.body = []byte{} // nil would say that the unit has no body
	}
	s := d.current(media.Audio)
	if len(d.audio) == 0 {
		return append(dst, m.unit(s, media.Command)), nil
	}
	return m.appendSample(dst, s, m.body)
}

// appendSample appends the unit of a frame of sound.
func (m *message) appendSample(dst []media.AccessUnit, s *trackState, data []byte) ([]media.AccessUnit, error) {
	u, err := m.sample(s, 0, data)
	if err != nil {
		return dst, err
	}
	return append(dst, u), nil
}

func (m *message) appendLegacyAAC(dst []media.AccessUnit, s *trackState) ([]media.AccessUnit, error) {
	if len(m.body) < 2 {
		return dst, ErrTruncated
	}
	switch m.body[1] {
	case legacyHeader:
		u, err := m.sequenceHeader(s, packetSequenceStart, m.body[2:])
		if err != nil {
			return dst, err
		}
		return append(dst, u), nil
	case legacyFrame:
		return m.appendSample(dst, s, m.body[2:])
	}
	return append(dst, m.unit(s, media.Command)), nil
}

func (d *Demuxer) appendExAudio(dst []media.AccessUnit, m *message) ([]media.AccessUnit, error) {
	packetType, rest, err := m.modEx()
	if err != nil {
		return dst, err
	}
	p, err := parseTracks(packetType, audioMultitrack, rest)
	if err != nil {
		return dst, err
	}
	m.multitrack = p.multitrack
	if p.unknown {
		return append(dst, m.unit(d.current(media.Audio), media.Command)), nil
	}
	for p.next() {
		s, err := d.track(media.Audio, p.id, p.format)
		if err != nil {
			return dst, err
		}
		u, err := m.exAudio(s, &p)
		if err != nil {
			return dst, err
		}
		dst = append(dst, u)
	}
	return dst, p.err
}

// exAudio returns the unit of one track's ExAudioTagBody.
func (m *message) exAudio(s *trackState, p *tracks) (media.AccessUnit, error) {
	switch p.packetType {
	case packetSequenceStart:
		return m.sequenceHeader(s, p.packetType, p.payload)
	case packetCodedFrames:
		return m.sample(s, 0, p.payload)
	case packetSequenceEnd:
		return m.unit(s, media.SequenceEnd), nil
	case audioMultichannel:
		return m.header(s, media.Multichannel, p.payload), nil
	}
	return m.unit(s, media.Command), nil
}

// legacyAudio returns the format that the first byte of a legacy body names. Rate, size and type
// mean nothing for the codecs that say it better themselves.
func legacyAudio(first byte) format {
	switch first >> 4 {
	case soundAAC, soundMP3, soundMP3At8k, soundSpeex:
		return legacy | format(first&0xF0)
	}
	return legacy | format(first)
}
