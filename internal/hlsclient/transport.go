package hlsclient

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg1audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/mpeg4audio"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/opus"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	tscodecs "github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/substructs"

	"livego/internal/codec"
	"livego/internal/media"
	"livego/internal/nal"
)

// tsClock is the rate of times in MPEG-TS, opusClock that of Opus, in Hz.
const tsClock, opusClock = 90000, 48000

// transport reads MPEG-TS segments, each of which begins with its tables (RFC 8216 §3.2). The first
// track of each kind is played.
type transport struct {
	video, audio *media.Track
	sets         [][]byte // the parameter sets in force

	units []unit
}

// segment returns the units of one.
func (t *transport) segment(text []byte) (units []unit, err error) {
	r := &mpegts.Reader{R: bytes.NewReader(text)}
	if err := r.Initialize(); err != nil {
		return nil, fmt.Errorf("%w: MPEG-TS: %w", ErrNotHLS, err)
	}
	r.OnDecodeError(func(error) {}) // what is lost is lost
	t.units = nil
	if bytes.Contains(text[:min(len(text), tablesSize)], []byte(registrationAV1)) {
		return nil, fmt.Errorf("%w: AV1 in MPEG-TS", ErrCodec)
	}
	if !t.listen(r) {
		return nil, fmt.Errorf("%w: MPEG-TS with neither pictures nor sound that are known", ErrCodec)
	}
	for err == nil {
		err = r.Read()
	}
	if !errors.Is(err, io.EOF) {
		return nil, err
	}
	return t.units, nil
}

// A segment has its tables in the first tablesSize bytes. That of a program with AV1 has this
// descriptor (AOM, Carriage of AV1 in MPEG-2 TS, 2.1).
const (
	tablesSize      = 8 * 188
	registrationAV1 = "\x05\x04AV01"
)

// listen takes the first track of each kind, and says whether there is any.
func (t *transport) listen(r *mpegts.Reader) (any bool) {
	video, audio := false, false
	for _, track := range r.Tracks() {
		if track.Codec.IsVideo() {
			video = video || t.listenVideo(r, track)
		} else if !audio {
			audio = t.listenAudio(r, track)
		}
		if video && audio {
			break
		}
	}
	return video || audio
}

func (t *transport) listenVideo(r *mpegts.Reader, track *mpegts.Track) bool {
	switch track.Codec.(type) {
	case *tscodecs.H264:
		r.OnDataH264(track, func(pts, dts int64, au [][]byte) error { return t.picture(media.H264, pts, dts, au) })
	case *tscodecs.H265:
		r.OnDataH265(track, func(pts, dts int64, au [][]byte) error { return t.picture(media.HEVC, pts, dts, au) })
	default:
		return false
	}
	return true
}

func (t *transport) listenAudio(r *mpegts.Reader, track *mpegts.Track) bool {
	switch c := track.Codec.(type) {
	case *tscodecs.MPEG4Audio:
		config, err := c.Config.Marshal()
		if err != nil {
			return false
		}
		t.sound(media.AAC, config)
		step := int64(mpeg4audio.SamplesPerAccessUnit) * tsClock / int64(max(c.SampleRate, 1))
		r.OnDataMPEG4Audio(track, func(pts int64, aus [][]byte) error {
			for i, au := range aus {
				t.frame(pts+int64(i)*step, au)
			}
			return nil
		})
	case *tscodecs.MPEG1Audio:
		t.sound(media.MP3, nil)
		r.OnDataMPEG1Audio(track, func(pts int64, frames [][]byte) error {
			for _, frame := range frames {
				t.frame(pts, frame)
				var h mpeg1audio.FrameHeader
				if h.Unmarshal(frame) == nil && h.SampleRate > 0 {
					pts += int64(h.SampleCount()) * tsClock / int64(h.SampleRate)
				}
			}
			return nil
		})
	case *tscodecs.Opus:
		head := opusHeadOf(c.Desc)
		if head == nil {
			return false
		}
		t.sound(media.Opus, head)
		r.OnDataOpus(track, func(pts int64, packets [][]byte) error {
			for _, packet := range packets {
				t.frame(pts, packet)
				pts += opus.PacketDuration2(packet) * tsClock / opusClock
			}
			return nil
		})
	case *tscodecs.AC3:
		t.sound(media.AC3, nil)
		r.OnDataAC3(track, func(pts int64, frame []byte) error { t.frame(pts, frame); return nil })
	case *tscodecs.EAC3:
		t.sound(media.EAC3, nil)
		r.OnDataEAC3(track, func(pts int64, frame []byte) error { t.frame(pts, frame); return nil })
	default:
		return false
	}
	return true
}

// sound makes the audio track, unless it is as before.
func (t *transport) sound(c media.Codec, config []byte) {
	if t.audio != nil && t.audio.Codec == c && bytes.Equal(t.audio.Config, config) {
		return
	}
	t.audio = &media.Track{Kind: media.Audio, Codec: c}
	codec.Configure(t.audio, config)
}

func (t *transport) frame(pts int64, data []byte) {
	at := rounded(pts, tsClock)
	t.units = append(t.units, unit{AccessUnit: media.AccessUnit{Track: t.audio, RandomAccess: true, DTS: at, PTS: at, Data: data}})
}

// picture takes one with its NAL units. Those before the first parameter sets mean nothing.
func (t *transport) picture(c media.Codec, pts, dts int64, units [][]byte) error {
	t.parameters(c, units)
	if t.video == nil || t.video.Codec != c {
		return nil
	}
	var data []byte
	key := false
	for _, n := range units {
		kind, _ := nal.KindOf(c, n)
		if kind == nal.Delimiter || kind == nal.Filler {
			continue
		}
		key = key || kind == nal.SyncSlice
		data = binary.BigEndian.AppendUint32(data, uint32(len(n)))
		data = append(data, n...)
	}
	if len(data) > 0 {
		t.units = append(t.units, unit{AccessUnit: media.AccessUnit{
			Track: t.video, RandomAccess: key, DTS: rounded(dts, tsClock), PTS: rounded(pts, tsClock), Data: data,
		}})
	}
	return nil
}

// parameters makes the video track anew when a picture brings other parameter sets.
func (t *transport) parameters(c media.Codec, units [][]byte) {
	var sets [][]byte
	for _, n := range units {
		if kind, _ := nal.KindOf(c, n); kind.IsParameterSet() {
			sets = append(sets, n)
		}
	}
	if len(sets) == 0 || t.video != nil && t.video.Codec == c && slices.EqualFunc(sets, t.sets, bytes.Equal) {
		return
	}
	config, err := codec.Record(c, sets)
	if err != nil {
		return // some of them come later
	}
	t.sets = sets
	t.video = &media.Track{Kind: media.Video, Codec: c}
	codec.Configure(t.video, config)
}

// opusLayout returns how many streams 1 to 8 channels have, how many of them are coupled, and the
// mapping (RFC 7845 §5.1.1.2).
func opusLayout(channels int) (layout []byte) {
	return [...][]byte{
		{1, 0, 0}, {1, 1, 0, 1}, {2, 1, 0, 2, 1}, {2, 2, 0, 1, 2, 3}, {3, 2, 0, 4, 1, 2, 3}, {4, 2, 0, 4, 1, 2, 3, 5},
		{4, 3, 0, 4, 1, 2, 3, 5, 6}, {5, 3, 0, 6, 1, 2, 3, 4, 5, 7},
	}[channels-1]
}

// opusHeadOf makes the OpusHead (RFC 7845 §5.1) of a descriptor; nil: its channels are none of
// those that are known.
func opusHeadOf(d *substructs.OpusAudioDescriptor) []byte {
	if d == nil || d.ChannelConfigCode < 1 || d.ChannelConfigCode > 8 {
		return nil
	}
	channels := d.ChannelConfigCode
	head := append([]byte("OpusHead\x01"), channels, 0, 0)
	head = append(binary.LittleEndian.AppendUint32(head, opusClock), 0, 0)
	if channels <= 2 {
		return append(head, 0)
	}
	return append(append(head, 1), opusLayout(int(channels))...)
}
