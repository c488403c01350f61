package codec

import (
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/eac3"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/vp9"

	"livego/internal/media"
)

// Refine returns the track with what a frame says of it, for codecs whose frames do: t itself if it
// says so already, or if the frame cannot be read.
func Refine(t *media.Track, key bool, frame []byte) *media.Track {
	var rate, channels, samples, width, height int
	switch t.Codec {
	case media.MP3:
		rate, channels, samples = readMP3(frame)
	case media.AC3:
		rate, channels, samples = readAC3(frame)
	case media.EAC3:
		rate, channels, samples = readEAC3(frame)
	case media.VP8:
		width, height = readVP8(key, frame)
	case media.VP9:
		width, height = readVP9(key, frame)
	default:
		return t
	}
	if rate == 0 && width == 0 {
		return t
	}
	if t.SampleRate == rate && t.Channels == channels && t.SamplesPerFrame == samples && t.Width == width && t.Height == height {
		return t
	}
	if width > 0 && len(t.Config) == 0 { // a packager needs the record too
		return t
	}
	c := *t
	c.Parsed, c.Err = true, ""
	c.SampleRate, c.Channels, c.SamplesPerFrame, c.Width, c.Height = rate, channels, samples, width, height
	return &c
}

// readMP3 reads the header of an MPEG audio frame. MPEG 2.5, of 8 to 12 kHz, which its reader does
// not know, differs from MPEG 2 in one bit and has half its rates.
func readMP3(frame []byte) (rate, channels, samples int) {
	if len(frame) < 5 || frame[0] != 0xFF {
		return 0, 0, 0
	}
	header, half := [5]byte(frame), 1
	if header[1]&0xF8 == 0xE0 {
		header[1] |= 0x10
		half = 2
	}
	var h mpeg1audio.FrameHeader
	if h.Unmarshal(header[:]) != nil {
		return 0, 0, 0
	}
	channels = 2
	if h.ChannelMode == mpeg1audio.ChannelModeMono {
		channels = 1
	}
	return h.SampleRate / half, channels, h.SampleCount()
}

func readAC3(frame []byte) (rate, channels, samples int) {
	var sync ac3.SyncInfo
	var bsi ac3.BSI
	if sync.Unmarshal(frame) != nil || bsi.Unmarshal(frame[5:]) != nil {
		return 0, 0, 0
	}
	return sync.SampleRate(), bsi.ChannelCount(), ac3.SamplesPerFrame
}

// readEAC3 reads an E-AC-3 access unit: the frames of the first independent substream, each of 1 to
// 6 blocks of 256 samples, make its length. Those of other substreams sound at the same time.
func readEAC3(frame []byte) (rate, channels, samples int) {
	for len(frame) > 0 {
		var sync eac3.SyncInfo
		if sync.Unmarshal(frame) != nil {
			break
		}
		if sync.Strmtyp != 1 && sync.Substreamid == 0 {
			if rate == 0 {
				rate, channels = sync.SampleRate(), sync.ChannelCount()
			}
			samples += 256 * sync.NumBlocks()
		}
		frame = frame[min(sync.FrameSize(), len(frame)):]
	}
	return rate, channels, samples
}

// readVP8 reads the picture size of a key frame (RFC 6386 §9.1).
func readVP8(key bool, frame []byte) (width, height int) {
	if !key || len(frame) < 10 || frame[0]&1 != 0 || [3]byte(frame[3:]) != [3]byte{0x9d, 0x01, 0x2a} {
		return 0, 0
	}
	return int(frame[6]) | int(frame[7]&0x3F)<<8, int(frame[8]) | int(frame[9]&0x3F)<<8
}

func readVP9(key bool, frame []byte) (width, height int) {
	var h vp9.Header
	if !key || h.Unmarshal(frame) != nil || h.FrameSize == nil {
		return 0, 0
	}
	return h.Width(), h.Height()
}

// Describe returns the track with a colour description and a Dolby Vision profile: t itself if it
// has them.
func Describe(t *media.Track, colour media.ColourDescription, dolbyVision uint8) *media.Track {
	if t.Colour == colour && t.DolbyVision == dolbyVision {
		return t
	}
	c := *t
	c.Colour, c.DolbyVision = colour, dolbyVision
	return &c
}
