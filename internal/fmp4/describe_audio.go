package fmp4

import (
	"fmt"

	"livego/internal/bits"
	"livego/internal/codec"
	"livego/internal/media"
)

func describeAudio(t *media.Track) (description, bool) {
	if t.SampleRate <= 0 || t.SampleRate > maxRate || t.Channels <= 0 || t.Channels > 255 {
		return description{}, false
	}
	switch t.Codec {
	case media.AAC:
		object, ok := aacObject(t)
		return description{codecs: fmt.Sprintf("mp4a.40.%d", object)}, ok
	case media.MP3: // what HLS calls it; RFC 6381 would have mp4a.6B, which no player knows
		return description{codecs: "mp4a.40.34"}, true
	case media.Opus: // "Opus" is registered, but browsers know it in lower case only
		return description{codecs: "opus"}, validOpusHead(t.Config)
	case media.FLAC:
		return description{codecs: "fLaC"}, validFLAC(t.Config)
	case media.AC3:
		return description{codecs: "ac-3"}, true
	case media.EAC3:
		return description{codecs: "ec-3"}, true
	}
	return description{}, false
}

// aacObject returns the audio object type for the codecs string: what decoder the stream is made
// for. Where SBR is signalled in the backward compatible way (ISO/IEC 14496-3 §1.6.5), the
// configuration begins with the core's type, but the track has the extended rate, and two channels
// out of one with parametric stereo.
func aacObject(t *media.Track) (object int, ok bool) {
	r := bits.NewReader(t.Config)
	c := codec.ReadAACConfig(&r)
	object = int(c.Signalled)
	switch {
	case r.Bad || object == 0:
		return 0, false
	case object == codec.ObjectSBR || object == codec.ObjectPS || t.SampleRate != 2*c.Rate:
		return object, true
	case c.Layout == 1 && t.Channels == 2:
		return codec.ObjectPS, true
	}
	return codec.ObjectSBR, true
}

// opusHead is the length of an OpusHead without channel mapping table (RFC 7845 §5.1), its numbers
// little-endian:
//
//	"OpusHead" | version 8 | channels 8 | pre-skip 16 | input rate 32 | gain 16 | mapping family 8 (| streams 8 | coupled 8 | mapping 8 per channel)
const opusHead = 19

func validOpusHead(c []byte) bool {
	if len(c) < opusHead || string(c[:8]) != "OpusHead" || c[9] == 0 {
		return false
	}
	if family := c[18]; family == 0 {
		return c[9] <= 2
	}
	return len(c) >= opusHead+2+int(c[9])
}

// flacStreamInfo is where the STREAMINFO block begins and ends behind the marker and the block's
// header (RFC 9639 §8.1, §8.2).
const (
	flacStreamInfo    = 4 + 4
	flacStreamInfoEnd = flacStreamInfo + 34
)

func validFLAC(c []byte) bool {
	return len(c) >= flacStreamInfoEnd && string(c[:4]) == "fLaC" && c[4]&0x7F == 0
}
