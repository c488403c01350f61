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

// Where onMetaData says which servers a stream has passed: in a property of our own, which servers
// keep that pass all of it on, and the last one in one that nginx-rtmp keeps, which makes metadata
// of its own from what it knows, 31 bytes of each text.
const (
	passedProperty  = "livegoPath"
	profileProperty = "profile"
	passedLast      = "livego "
	// maxPassed bounds what is read of it, in bytes.
	maxPassed = 1 << 10
)

// AppendPassed appends the body of a data message to dst, and if it is onMetaData, by which servers
// the stream has come: names with commas between them, the last one of at most 16 bytes.
func AppendPassed(dst, body []byte, passed string) []byte {
	name, n, err := handler(body)
	if err != nil || name != "onMetaData" || passed == "" {
		return append(dst, body...)
	}
	arguments, err := scriptArguments(body[n:])
	if err != nil || len(arguments) == 0 {
		return append(dst, body...)
	}
	metadata := amf.Properties(arguments[0])
	last := passed[strings.LastIndexByte(passed, ',')+1:]
	with := append(metadata[:len(metadata):len(metadata)], amf.Property{Name: passedProperty, Value: passed})
	if _, there := metadata.Lookup(profileProperty); !there {
		with = append(with, amf.Property{Name: profileProperty, Value: passedLast + last})
	}
	return amf.Append(dst, name, amf.ECMAArray(with))
}

// MaxPassed is by how many bytes AppendPassed may make a message longer.
func MaxPassed(passed string) int {
	return 2*len(passed) + len(passedProperty) + len(profileProperty) + len(passedLast) + 32
}

// passedBy returns which servers a stream has passed.
func passedBy(metadata amf.Object) string {
	if passed := metadata.String(passedProperty); passed != "" && len(passed) <= maxPassed {
		return strings.Clone(passed)
	}
	profile, _, _ := strings.Cut(metadata.String(profileProperty), "\x00") // nginx-rtmp fills it up with zeros
	last, ok := strings.CutPrefix(profile, passedLast)
	if !ok || len(last) > maxPassed {
		return ""
	}
	return strings.Clone(last)
}
