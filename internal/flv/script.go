package flv

import (
	"bytes"
	"fmt"
	"slices"
	"strings"

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

// scriptArguments reads the values after the name. An end marker may follow them: FLV had one there
// up to version 9.
func scriptArguments(b []byte) ([]any, error) {
	values, err := amf.DecodeAll(b)
	if trimmed, ok := bytes.CutSuffix(b, []byte{0, 0, 9}); ok && err != nil {
		return amf.DecodeAll(trimmed)
	}
	return values, err
}

// expected says how many tracks of each kind an onMetaData names.
type expected struct{ video, audio int }

// What onMetaData says of each kind of track (FLV E.5, and a few that encoders add).
var (
	videoProperties = []string{"videocodecid", "width", "height", "videodatarate", "hasVideo"}
	audioProperties = []string{"audiocodecid", "audiosamplerate", "audiodatarate", "audiochannels", "hasAudio"}
)

func expectedBy(metadata amf.Object) expected {
	return expected{
		video: tracksNamed(metadata, "hasVideo", "videoTrackIdInfoMap", videoProperties),
		audio: tracksNamed(metadata, "hasAudio", "audioTrackIdInfoMap", audioProperties),
	}
}

// maxEncoder bounds the name of an encoder, in bytes.
const maxEncoder = 128

// encoderOf returns a copy of the encoder's name: the message goes on to players.
func encoderOf(metadata amf.Object) string {
	name, _ := metadata.Get("encoder").(string)
	return strings.ToValidUTF8(strings.Clone(name[:min(len(name), maxEncoder)]), "")
}

// tracksNamed counts the tracks of a kind: the properties are those of track 0, the map holds
// others by their ids (E-RTMP, "Enhancing onMetaData").
func tracksNamed(metadata amf.Object, has, byID string, properties []string) int {
	if value, ok := metadata.Get(has).(bool); ok && !value {
		return 0
	}
	n := 0
	if slices.ContainsFunc(properties, func(name string) bool { return says(metadata.Get(name)) }) {
		n = 1
	}
	others := amf.Properties(metadata.Get(byID))
	for _, other := range others {
		if other.Name != "0" || n == 0 {
			n++
		}
	}
	return min(n, maxTracks)
}

// says reports whether a property has a value that means something.
func says(value any) bool {
	switch v := value.(type) {
	case float64:
		return v > 0
	case string: // old encoders name the codec: "avc1", "mp4a"
		return v != ""
	case bool:
		return v
	}
	return len(amf.Properties(value)) > 0
}
