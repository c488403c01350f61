package fmp4

import (
	"fmt"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"

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

// FrameLength returns how long an audio frame lasts, 0 where it cannot be told.
func FrameLength(u *media.AccessUnit) time.Duration {
	if u.Track.SampleRate <= 0 {
		return 0
	}
	return time.Duration(frameSamples(u.Track, u.Data)) * time.Second / time.Duration(u.Track.SampleRate)
}

// frameSamples returns the length of an audio frame in samples, 0 where it cannot be told.
func frameSamples(t *media.Track, frame []byte) int64 {
	const longestOpus = 5760 // 120 ms (RFC 6716 §3.2.5)
	switch {
	case t.Codec == media.Opus:
		if n := opus.PacketDuration2(frame); n <= longestOpus {
			return n
		}
		return 0
	case t.SamplesPerFrame == 0 && t.Codec == media.FLAC:
		return flacSamples(frame)
	}
	return int64(max(t.SamplesPerFrame, 0))
}

// flacSamples reads the block size of a frame header (RFC 9639 §9.1): a code, or a number of 8 or
// 16 bits behind the frame's own.
//
//	sync 14 | 0 | strategy 1 | block size 4 | rate 4 | channels 4 | depth 3 | 0 | number 8-56 (| block size - 1) ...
func flacSamples(frame []byte) int64 {
	if len(frame) < 6 || frame[0] != 0xFF || frame[1]&0xFE != 0xF8 {
		return 0
	}
	code := int64(frame[2] >> 4)
	switch {
	case code == 1:
		return 192
	case code >= 2 && code <= 5:
		return 144 << code
	case code >= 8:
		return 1 << code
	}
	at := 4 + codedLength(frame[4])
	switch {
	case code == 6 && at < len(frame):
		return int64(frame[at]) + 1
	case code == 7 && at+1 < len(frame):
		return int64(frame[at])<<8 + int64(frame[at+1]) + 1
	}
	return 0
}

// codedLength returns how many bytes a number coded like UTF-8 takes, by the first.
func codedLength(first byte) int {
	n := 1
	for mask := byte(0x40); first&0x80 != 0 && first&mask != 0 && mask > 1; mask >>= 1 {
		n++
	}
	return n
}
