package flv

import (
	"encoding/binary"
	"fmt"

	"livego/internal/media"
)

// BodyLike makes the message body of u, a sample or a sequence header, in the form in which the
// encoder sends its track: that of like, a unit of the same track as it came out of a Demuxer. So
// what is repaired reads as if the encoder had sent it so, with the composition time of u where
// there is room for it. A unit of a message of several tracks gets one that holds that track alone,
// with its number.
//
// It returns ErrUnsupported for other units, and for codecs without a body of that form.
func BodyLike(like, u *media.AccessUnit) ([]byte, error) {
	switch {
	case u.Header != media.Sample && u.Header != media.SequenceHeader || len(like.Body) == 0 || u.Track.Kind == media.Data:
		return nil, fmt.Errorf("body like that of a %s message: %w", like.Track.Kind, ErrUnsupported)
	case like.Multitrack:
		return oneTrackBody(u)
	case u.Header == media.SequenceHeader:
		return headerLike(like.Body[0], u.Track)
	}
	// The sample is what the body ends with.
	head := like.Body[:len(like.Body)-len(like.Data)]
	if like.Header != media.Sample || len(head) == 0 {
		return nil, fmt.Errorf("body like that of a message without a sample: %w", ErrUnsupported)
	}
	head, composes := composing(like, head, u.PTS-u.DTS != like.PTS-like.DTS)
	b := make([]byte, 0, len(head)+len(u.Data))
	b = append(append(b, head...), u.Data...)
	if composes {
		composition, err := compositionTime(u)
		if err != nil {
			return nil, err
		}
		copy(b[len(head)-len(composition):], composition[:]) // it stands just before the sample
	}
	if u.Track.Kind == media.Video {
		b[0] = withFrameType(b[0], u.RandomAccess)
	}
	return b, nil
}

// composing returns what stands before the sample of like with a CompositionTime at its end that
// may be changed, if it is to be, and whether there is one. Of E-RTMP's pictures without one those
// get it that have nothing else before them.
func composing(like *media.AccessUnit, head []byte, change bool) (with []byte, composes bool) {
	const plain = 1 + 4 // first byte and FourCC
	switch first := head[0]; {
	case !change || like.Track.Kind != media.Video:
		return head, false
	case like.PTS != like.DTS:
		return head, true
	case first&exVideo == 0:
		return head, first&0x0F == videoAVC || first&0x0F == videoHEVC
	case first&0x0F == packetCodedFrames:
		return head, len(head) == plain+3
	case first&0x0F == videoCodedFramesX && len(head) == plain:
		with = append([]byte{first&^0x0F | packetCodedFrames}, head[1:]...)
		return append(with, 0, 0, 0), true
	}
	return head, false
}

// withFrameType returns the first byte of a video body with the frame type that says whether
// decoding may begin with it. Frame types but those two are left as they are, unless it may.
func withFrameType(first byte, key bool) byte {
	const frameType = 0x70
	switch {
	case key:
		return first&^frameType | frameKey<<4
	case first>>4&0x7 == frameKey:
		return first&^frameType | frameInter<<4
	}
	return first
}

// headerLike makes the body of a sequence header for a track whose messages have that first byte.
func headerLike(first byte, t *media.Track) ([]byte, error) {
	var head []byte
	switch {
	case t.Kind == media.Video && first&exVideo == 0:
		codecID := first & 0x0F
		if codecID != videoAVC && codecID != videoHEVC {
			return nil, fmt.Errorf("sequence header of codec id %d: %w", codecID, ErrUnsupported)
		}
		head = []byte{frameKey<<4 | codecID, legacyHeader, 0, 0, 0}
	case t.Kind == media.Audio && first>>4 == soundAAC:
		head = []byte{first, legacyHeader}
	default:
		f, ok := fourCCOf(t)
		if !ok {
			return nil, fmt.Errorf("sequence header of codec %q: %w", t.Codec, ErrUnsupported)
		}
		head = appendExHeader(nil, t.Kind, frameKey, packetSequenceStart, f)
	}
	return append(head[:len(head):len(head)], t.Config...), nil
}

// oneTrackBody makes an E-RTMP body of the multitrack type OneTrack.
//
//	| 1 | frame type 3 | packet type 4 = multitrack | multitrack type 4 = 0 | packet type 4 | FourCC 32 | id 8 | ...
func oneTrackBody(u *media.AccessUnit) ([]byte, error) {
	f, ok := fourCCOf(u.Track)
	if !ok {
		return nil, fmt.Errorf("body of codec %q: %w", u.Track.Codec, ErrUnsupported)
	}
	const head = 1 + 1 + 4 + 1 + 3
	b := make([]byte, 0, head+len(u.Data)+len(u.Track.Config))
	packetType := byte(packetCodedFrames)
	if u.Header == media.SequenceHeader {
		packetType = packetSequenceStart
	}
	if u.Track.Kind == media.Video {
		b = append(b, withFrameType(exVideo|frameInter<<4|videoMultitrack, u.RandomAccess || u.Header == media.SequenceHeader))
	} else {
		b = append(b, soundExHeader<<4|audioMultitrack)
	}
	b = binary.BigEndian.AppendUint32(append(b, oneTrack<<4|packetType), uint32(f))
	b = append(b, u.Track.ID)
	if u.Header == media.SequenceHeader {
		return append(b, u.Track.Config...), nil
	}
	switch u.Track.Codec {
	case media.H264, media.HEVC, media.VVC:
		composition, err := compositionTime(u)
		if err != nil {
			return nil, err
		}
		b = append(b, composition[:]...)
	}
	return append(b, u.Data...), nil
}

// compositionTime returns the CompositionTime of a picture, which has 24 bits.
func compositionTime(u *media.AccessUnit) (time24 [3]byte, err error) {
	const limit = 1 << 23 // of a signed 24-bit number
	ms := (u.PTS - u.DTS).Milliseconds()
	if ms >= limit || ms < -limit {
		return time24, fmt.Errorf("composition time of %v: %w", u.PTS-u.DTS, ErrLimit)
	}
	return [3]byte{byte(ms >> 16), byte(ms >> 8), byte(ms)}, nil
}
