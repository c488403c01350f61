package bench

import (
	"fmt"
	"time"

	"livego/internal/amf"
	"livego/internal/flv"
	"livego/internal/media"
)

// message is one RTMP message of a clip.
type message struct {
	at   time.Duration // from the start of the round
	kind uint8
	body []byte
	// stamp is where the digits of the picture's stamp are in body, 0 without one.
	stamp int
}

// clip is what a publisher sends: the headers once, then media round after round.
type clip struct {
	headers []message
	media   []message
	length  time.Duration // of a round
}

// builtInLength is the shortest time that holds a whole number of GOPs and of audio frames.
const builtInLength = 256 * time.Second

// builtIn makes a clip of 30 pictures a second with a key frame every 2 seconds, and of silent AAC.
// A rate of 0 leaves that kind out.
func builtIn(videoRate, audioRate int) (*clip, error) {
	c := &clip{length: builtInLength}
	metadata := amf.ECMAArray{{Name: "encoder", Value: "livego bench"}}
	var pictures, frames []message
	if videoRate > 0 {
		v := newVideo(videoRate)
		metadata = append(metadata,
			amf.Property{Name: "videocodecid", Value: 7},
			amf.Property{Name: "width", Value: columns * 16},
			amf.Property{Name: "height", Value: v.rows * 16},
			amf.Property{Name: "framerate", Value: frameRate},
			amf.Property{Name: "videodatarate", Value: float64(videoRate) / 1000})
		if err := c.addHeader(videoTrack(v.parameterSets())); err != nil {
			return nil, err
		}
		pictures = videoMessages(v.pictures())
	}
	if audioRate > 0 {
		metadata = append(metadata,
			amf.Property{Name: "audiocodecid", Value: 10},
			amf.Property{Name: "audiosamplerate", Value: sampleRate},
			amf.Property{Name: "audiodatarate", Value: float64(audioRate) / 1000})
		if err := c.addHeader(&media.Track{Kind: media.Audio, Codec: media.AAC, Config: audioSpecificConfig()}); err != nil {
			return nil, err
		}
		frames = audioMessages(silence(audioRate, videoRate == 0))
	}
	script := amf.Append(nil, "@setDataFrame", "onMetaData", metadata)
	c.headers = append([]message{{kind: flv.TypeData, body: script}}, c.headers...)
	c.media = merge(pictures, frames)
	return c, nil
}

// addHeader adds the sequence header of a track.
func (c *clip) addHeader(t *media.Track) error {
	body, err := flv.AppendSequenceHeader(nil, t)
	if err != nil {
		return fmt.Errorf("built-in clip: %w", err)
	}
	kind := uint8(flv.TypeVideo)
	if t.Kind == media.Audio {
		kind = flv.TypeAudio
	}
	c.headers = append(c.headers, message{kind: kind, body: body})
	return nil
}

// videoTrack makes the AVCDecoderConfigurationRecord (ISO 14496-15 §5.3.3.1).
func videoTrack(sps, pps []byte) *media.Track {
	config := []byte{1, sps[1], sps[2], sps[3], 0xFF, 0xE1, 0, byte(len(sps))}
	config = append(config, sps...)
	config = append(config, 1, 0, byte(len(pps)))
	return &media.Track{Kind: media.Video, Codec: media.H264, Config: append(config, pps...)}
}

// videoMessages repeats a GOP for the length of the clip. The bodies are shared.
func videoMessages(gop [][]byte) []message {
	made := make([]message, len(gop))
	for i, unit := range gop {
		body := []byte{0x27, 1, 0, 0, 0} // FLV E.4.3: AVC, NAL units, no composition time
		if i == 0 {
			body[0] = 0x17
		}
		made[i].kind = flv.TypeVideo
		body, made[i].stamp = appendStamp(body, []byte{nalSEI})
		made[i].body = appendNAL(body, unit)
	}
	messages := make([]message, int(builtInLength.Seconds()*frameRate))
	for i := range messages {
		messages[i] = made[i%len(made)]
		messages[i].at = time.Duration(i) * time.Second / frameRate
	}
	return messages
}

// audioMessages repeats a frame for the length of the clip.
func audioMessages(frame []byte, digits int) []message {
	body := append([]byte{0xAF, 1}, frame...) // FLV E.4.2
	if digits > 0 {
		digits += 2
	}
	messages := make([]message, int(builtInLength.Seconds()*sampleRate/samplesPerFrame))
	for i := range messages {
		messages[i] = message{at: time.Duration(i) * samplesPerFrame * time.Second / sampleRate, kind: flv.TypeAudio, body: body, stamp: digits}
	}
	return messages
}

// merge orders two lists by time.
func merge(a, b []message) []message {
	merged := make([]message, 0, len(a)+len(b))
	for len(a) > 0 && len(b) > 0 {
		if a[0].at <= b[0].at {
			merged, a = append(merged, a[0]), a[1:]
		} else {
			merged, b = append(merged, b[0]), b[1:]
		}
	}
	return append(append(merged, a...), b...)
}
