package flv

import (
	"bytes"
	"fmt"

	"livego/internal/amf"
)

// handler reads the name that a data message begins with, and returns the number of bytes it takes.
func handler(body []byte) (name string, n int, err error) {
	value, n, err := amf.Decode(body)
	if err != nil {
		return "", 0, err
	}
	name, ok := value.(string)
	if !ok {
		return "", 0, fmt.Errorf("data message that begins with %T: %w", value, ErrUnsupported)
	}
	return name, n, nil
}

// scriptArguments reads the values after the name. An end marker may follow them: FLV had one there up to version 9.
func scriptArguments(b []byte) ([]any, error) {
	values, err := amf.DecodeAll(b)
	if trimmed, ok := bytes.CutSuffix(b, []byte{0, 0, 9}); ok && err != nil {
		return amf.DecodeAll(trimmed)
	}
	return values, err
}

// expected says which kinds of track an onMetaData names.
type expected struct{ video, audio bool }

// What onMetaData says of each kind of track (FLV E.5, E-RTMP "Enhancing onMetaData", and a few that encoders add).
var (
	videoProperties = []string{"videocodecid", "width", "height", "videodatarate", "videoTrackIdInfoMap", "hasVideo"}
	audioProperties = []string{"audiocodecid", "audiosamplerate", "audiodatarate", "audiochannels", "audioTrackIdInfoMap", "hasAudio"}
)

func expectedBy(metadata amf.Object) expected {
	return expected{
		video: names(metadata, "hasVideo", videoProperties),
		audio: names(metadata, "hasAudio", audioProperties),
	}
}

func names(metadata amf.Object, has string, properties []string) bool {
	if value, ok := metadata.Get(has).(bool); ok && !value {
		return false
	}
	for _, property := range properties {
		switch v := metadata.Get(property).(type) {
		case float64:
			if v > 0 {
				return true
			}
		case string: // old encoders name the codec: "avc1", "mp4a"
			if v != "" {
				return true
			}
		case bool:
			if v {
				return true
			}
		default:
			if len(amf.Properties(v)) > 0 {
				return true
			}
		}
	}
	return false
}
