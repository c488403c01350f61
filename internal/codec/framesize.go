package codec

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"

	"livego/internal/media"
)

// FrameSize returns the size in bytes of the frame of MP3 or AC-3 with which b begins, by its
// header; 0 where that does not say, and for other codecs. b may be shorter.
func FrameSize(c media.Codec, b []byte) int {
	switch c {
	case media.MP3:
		return mp3Size(b)
	case media.AC3:
		var sync ac3.SyncInfo
		if sync.Unmarshal(b) == nil {
			return sync.FrameSize()
		}
	}
	return 0
}

// mp3Size is by ISO/IEC 11172-3 §2.4.3.1: as many bytes as the bit rate has in the time of the
// samples, and one more with padding.
func mp3Size(b []byte) int {
	rate, _, samples := readMP3(b)
	if rate == 0 {
		return 0
	}
	header := [5]byte(b)
	header[1] |= 0x10 // as readMP3 does
	var h mpeg1audio.FrameHeader
	if h.Unmarshal(header[:]) != nil {
		return 0
	}
	size := samples / 8 * h.Bitrate / rate
	if h.Padding {
		size++
	}
	return size
}
