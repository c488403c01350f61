package flv

import (
	"fmt"
	"strconv"

	"livego/internal/media"
)

// newTrack returns a track of which no more is known than what the first bytes of a body say.
func newTrack(kind media.Kind, id uint8, f format) *media.Track {
	t := &media.Track{Kind: kind, ID: id, Codec: codecOf(kind, f), Name: nameOf(kind, f), Err: "no sequence header yet"}
	switch t.Codec {
	case media.Unknown:
		t.Err = "unknown codec"
	case media.MP3, media.AC3, media.EAC3:
		t.Err = "no frame yet"
	case media.PCMA, media.PCMU: // 8 kHz always: the rate bits cannot say so (FLV E.4.2.1)
		t.SampleRate, t.Channels = 8000, 1+int(f&1)
		t.Parsed, t.Err = true, ""
	case media.Speex: // 16 kHz mono always, 20 ms (FLV E.4.2.1)
		t.SampleRate, t.Channels, t.SamplesPerFrame = 16000, 1, 320
		t.Parsed, t.Err = true, ""
	}
	return t
}

func codecOf(kind media.Kind, f format) media.Codec {
	if f < legacy {
		for _, c := range fourCCs {
			if c.format == f && c.kind == kind {
				return c.codec
			}
		}
		return media.Unknown
	}
	if kind == media.Video {
		switch f &^ legacy {
		case videoAVC:
			return media.H264
		case videoHEVC:
			return media.HEVC
		}
		return media.Unknown
	}
	switch f &^ legacy >> 4 {
	case soundAAC:
		return media.AAC
	case soundMP3, soundMP3At8k:
		return media.MP3
	case soundPCMA:
		return media.PCMA
	case soundPCMU:
		return media.PCMU
	case soundSpeex:
		return media.Speex
	}
	return media.Unknown
}

// nameOf returns a FourCC as text, in hexadecimal where it is none, or the number of a legacy
// codec.
func nameOf(kind media.Kind, f format) string {
	if f >= legacy {
		id := int(f &^ legacy)
		if kind == media.Audio {
			id >>= 4
		}
		return strconv.Itoa(id)
	}
	name := []byte{byte(f >> 24), byte(f >> 16), byte(f >> 8), byte(f)}
	for _, c := range name {
		if c < ' ' || c > '~' {
			return fmt.Sprintf("0x%08x", uint32(f))
		}
	}
	return string(name)
}
