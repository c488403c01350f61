package cut

import (
	"livego/internal/media"
	"livego/internal/mpegts"
)

// CannotCarry says why a format does not carry a track: because of its codec, or of its header.
func CannotCarry(format string, t *media.Track) string {
	if t.Codec != media.Unknown && !t.Parsed && t.Err != "" {
		return t.Err
	}
	return format + " cannot carry its codec"
}

// Milestone says whether the count of something that happens again and again is worth a line of the
// log: at first, the thousandth time, the millionth.
func Milestone(count uint64) bool {
	for count > 1 && count%1000 == 0 {
		count /= 1000
	}
	return count == 1
}

// CodecName is what log lines and answers call the codec of a track.
func CodecName(t *media.Track) string {
	switch {
	case t.Codec == media.Unknown:
		return "codec " + t.Name
	case !t.Parsed && t.Err != "":
		return string(t.Codec) + " (" + t.Err + ")"
	case (t.Codec == media.H264 || t.Codec == media.HEVC || t.Codec == media.AAC) && !mpegts.Supports(t):
		return string(t.Codec) + " with such a header"
	}
	return string(t.Codec)
}
