package flv

import (
	"encoding/binary"
	"fmt"

	"livego/internal/media"
)

// AppendBody appends the message body for a unit that has none: of another origin than RTMP or FLV,
// or of a track that is cut out of a multitrack message. Codecs that have a legacy body (H264, AAC,
// MP3, PCMA, PCMU, Speex) get that, since every player knows it; the others get the E-RTMP one. The
// track's id is not written: the track is taken as the only one of its kind.
//
// It returns ErrUnsupported for codecs without a body, and for messages that are none of those:
// what they say is only in the body that is missing.
func AppendBody(dst []byte, u *media.AccessUnit) ([]byte, error) {
	switch {
	case u.Track.Kind == media.Data && u.Header == media.Sample:
		return append(dst, u.Data...), nil
	case u.Header == media.Sample && u.Track.Kind == media.Audio && len(u.Data) == 0:
		return dst, nil // silence
	case u.Header == media.Sample:
		return appendSample(dst, u)
	case u.Header == media.SequenceHeader:
		return AppendSequenceHeader(dst, u.Track)
	case u.Header == media.SequenceEnd:
		return appendSequenceEnd(dst, u.Track)
	case u.Header == media.Colour:
		return appendContent(dst, u, videoMetadata)
	case u.Header == media.Multichannel:
		return appendContent(dst, u, audioMultichannel)
	}
	return dst, fmt.Errorf("body of a header of kind %d: %w", u.Header, ErrUnsupported)
}

// AppendSequenceHeader appends the message body from which a Demuxer makes the track.
func AppendSequenceHeader(dst []byte, t *media.Track) ([]byte, error) {
	switch t.Codec {
	case media.H264:
		dst = append(dst, frameKey<<4|videoAVC, legacyHeader, 0, 0, 0)
	case media.AAC:
		dst = append(dst, legacyAACByte, legacyHeader)
	default:
		f, ok := fourCCOf(t)
		if !ok || t.Config == nil {
			return dst, fmt.Errorf("sequence header of codec %q: %w", t.Codec, ErrUnsupported)
		}
		dst = appendExHeader(dst, t.Kind, frameKey, packetSequenceStart, f)
	}
	return append(dst, t.Config...), nil
}

func appendSequenceEnd(dst []byte, t *media.Track) ([]byte, error) {
	if t.Codec == media.H264 {
		return append(dst, frameKey<<4|videoAVC, legacyEnd, 0, 0, 0), nil
	}
	f, ok := fourCCOf(t) // AAC too: its legacy form has no end
	if !ok {
		return dst, fmt.Errorf("sequence end of codec %q: %w", t.Codec, ErrUnsupported)
	}
	return appendExHeader(dst, t.Kind, frameKey, packetSequenceEnd, f), nil
}

// appendContent appends the body of a header with content. Codecs whose body is the legacy one have
// no such header.
func appendContent(dst []byte, u *media.AccessUnit, packetType uint8) ([]byte, error) {
	f, ok := fourCCOf(u.Track)
	if !ok || u.Track.Codec == media.H264 || u.Track.Codec == media.AAC || u.Track.Codec == media.MP3 {
		return dst, fmt.Errorf("header of codec %q: %w", u.Track.Codec, ErrUnsupported)
	}
	return append(appendExHeader(dst, u.Track.Kind, frameKey, packetType, f), u.Data...), nil
}

// legacyAACByte is the first byte of AAC: rate 3 and stereo, whatever the configuration says (FLV
// E.4.2.1).
const legacyAACByte = soundAAC<<4 | 3<<2 | 1<<1 | 1

func appendSample(dst []byte, u *media.AccessUnit) ([]byte, error) {
	if u.Track.Kind == media.Video {
		return appendPicture(dst, u)
	}
	switch u.Track.Codec {
	case media.AAC:
		dst = append(dst, legacyAACByte, legacyFrame)
	case media.MP3, media.PCMA, media.PCMU, media.Speex:
		dst = append(dst, legacySoundByte(u.Track))
	default:
		f, ok := fourCCOf(u.Track)
		if !ok {
			return dst, fmt.Errorf("frame of codec %q: %w", u.Track.Codec, ErrUnsupported)
		}
		dst = appendExHeader(dst, media.Audio, 0, packetCodedFrames, f)
	}
	return append(dst, u.Data...), nil
}

func appendPicture(dst []byte, u *media.AccessUnit) ([]byte, error) {
	time24, err := compositionTime(u)
	if err != nil {
		return dst, err
	}
	frameType := byte(frameInter)
	if u.RandomAccess {
		frameType = frameKey
	}
	f, ok := fourCCOf(u.Track)
	switch {
	case u.Track.Codec == media.H264:
		dst = append(dst, frameType<<4|videoAVC, legacyFrame)
		dst = append(dst, time24[:]...)
	case !ok:
		return dst, fmt.Errorf("picture of codec %q: %w", u.Track.Codec, ErrUnsupported)
	case u.Track.Codec == media.HEVC || u.Track.Codec == media.VVC:
		dst = appendExHeader(dst, media.Video, frameType, packetCodedFrames, f)
		dst = append(dst, time24[:]...)
	case time24 != [3]byte{}:
		return dst, fmt.Errorf("composition time of %v in codec %s: %w", u.PTS-u.DTS, u.Track.Codec, ErrUnsupported)
	default:
		dst = appendExHeader(dst, media.Video, frameType, packetCodedFrames, f)
	}
	return append(dst, u.Data...), nil
}

func appendExHeader(dst []byte, kind media.Kind, frameType, packetType uint8, f format) []byte {
	first := exVideo | frameType<<4 | packetType
	if kind == media.Audio {
		first = soundExHeader<<4 | packetType
	}
	return binary.BigEndian.AppendUint32(append(dst, first), uint32(f))
}

func fourCCOf(t *media.Track) (format, bool) {
	for _, c := range fourCCs {
		if c.codec == t.Codec && c.kind == t.Kind {
			return c.format, true
		}
	}
	return 0, false
}

// legacySoundByte returns the first byte of a legacy body: SoundFormat, the nearest SoundRate, 16
// bits, SoundType.
func legacySoundByte(t *media.Track) byte {
	var b byte = 1 << 1
	switch t.Codec {
	case media.MP3:
		b |= soundMP3 << 4
		if t.SampleRate == 8000 {
			b = soundMP3At8k<<4 | 1<<1
		}
	case media.PCMA:
		b |= soundPCMA << 4
	case media.PCMU:
		b |= soundPCMU << 4
	case media.Speex:
		b |= soundSpeex << 4
	}
	switch {
	case t.SampleRate >= 44100:
		b |= 3 << 2
	case t.SampleRate >= 22050:
		b |= 2 << 2
	case t.SampleRate >= 11025:
		b |= 1 << 2
	}
	if t.Channels > 1 {
		b |= 1
	}
	return b
}
