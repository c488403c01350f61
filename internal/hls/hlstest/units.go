package hlstest

import (
	"bytes"
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"livego/internal/hls/playlist"
	"livego/internal/media"
)

// H264Track is a video whose parameter sets demuxers read.
func H264Track() *media.Track {
	return &media.Track{Kind: media.Video, Codec: media.H264, Parsed: true, NALLengthSize: 4, ParameterSets: [][]byte{
		{0x67, 0x64, 0x00, 0x0a, 0xac, 0x72, 0x84, 0x44, 0x26, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xca, 0x3c, 0x48, 0x96, 0x11, 0x80},
		{0x68, 0xe8, 0x43, 0x8f, 0x13, 0x21, 0x30}}}
}

// AACTrack is sound of 44,100 Hz.
func AACTrack() *media.Track {
	return &media.Track{Kind: media.Audio, Codec: media.AAC, Parsed: true, Config: []byte{0x12, 0x10}, SampleRate: 44100, Channels: 2, SamplesPerFrame: 1024}
}

// MP3Track is sound that has no sequence header.
func MP3Track() *media.Track {
	return &media.Track{Kind: media.Audio, Codec: media.MP3, Parsed: true, SampleRate: 44100, Channels: 2, SamplesPerFrame: 1152}
}

// AV1Track is a video that MPEG-TS does not carry.
func AV1Track() *media.Track { return &media.Track{Kind: media.Video, Codec: media.AV1} }

// OpusTrack is sound that MPEG-TS does not carry.
func OpusTrack() *media.Track { return &media.Track{Kind: media.Audio, Codec: media.Opus} }

// MS is n milliseconds.
func MS(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// Encoder makes units as live hands them out: 25 pictures a second, a key frame every gop, an audio
// frame every 25 ms.
type Encoder struct {
	Video, Audio *media.Track
	Gop          int // ms
	At           int // ms
	Epoch        uint32
	Jump         bool // the next unit gets Discontinuity
	sent         int
}

// Headers announces the tracks that have sequence headers.
func (e *Encoder) Headers() []media.AccessUnit {
	var units []media.AccessUnit
	for _, t := range []*media.Track{e.Video, e.Audio} {
		if t != nil && t.Codec != media.MP3 {
			units = append(units, e.Stamp(media.AccessUnit{Track: t, Header: media.SequenceHeader, DTS: MS(e.At)}))
		}
	}
	return units
}

// Stamp gives a unit the session and the time at which it arrived.
func (e *Encoder) Stamp(u media.AccessUnit) media.AccessUnit {
	u.Epoch, u.PTS = e.Epoch, u.DTS
	u.Arrived = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(u.DTS).UnixNano()
	u.Discontinuity, e.Jump = e.Jump, false
	return u
}

// Play makes the units of the next duration.
func (e *Encoder) Play(duration int) []media.AccessUnit {
	var units []media.AccessUnit
	for end := e.At + duration; e.At < end; e.At += 5 {
		if e.Video != nil && e.At%40 == 0 {
			key := e.At%e.Gop == 0
			u := e.Stamp(Picture(e.Video, e.At, key, e.sent))
			u.Join = key
			units = append(units, u)
			e.sent++
		}
		if e.Audio != nil && e.At%25 == 0 {
			u := e.Stamp(media.AccessUnit{Track: e.Audio, RandomAccess: true, Join: e.Video == nil, DTS: MS(e.At), Data: audioFrame(e.Audio, e.sent)})
			units = append(units, u)
			e.sent++
		}
	}
	return units
}

// Picture is a picture at a time in milliseconds, with a mark inside.
func Picture(t *media.Track, at int, key bool, mark int) media.AccessUnit {
	nal := []byte{0x41, 0x9a, 1, 0, 0}
	if key {
		nal[0] = 0x65
	}
	nal = append(nal, fmt.Sprintf("picture %d", mark)...)
	nal[3] = byte(len(nal)) | 1
	nal[4] = 0xff
	return media.AccessUnit{Track: t, RandomAccess: key, DTS: MS(at), PTS: MS(at), Data: append(binary.BigEndian.AppendUint32(nil, uint32(len(nal))), nal...)}
}

// audioFrame is a frame of the track's codec with a mark inside.
func audioFrame(t *media.Track, mark int) []byte {
	if t.Codec == media.MP3 {
		frame := make([]byte, 417)
		copy(frame, []byte{0xff, 0xfb, 0x90, 0x64})
		copy(frame[4:], fmt.Sprintf("frame %d", mark))
		return frame
	}
	return fmt.Appendf([]byte{0x21}, "frame %d", mark)
}

// Demuxed is what a segment holds: payloads in order, by kind.
type Demuxed struct{ Video, Audio []string }

// Demux reads a segment with the library. It fails the test if the segment cannot be read by
// itself.
func Demux(t *testing.T, data []byte) (d Demuxed) {
	t.Helper()
	r := &mpegts.Reader{R: bytes.NewReader(data)}
	if err := r.Initialize(); err != nil {
		t.Fatal(err)
	}
	r.OnDecodeError(func(err error) { t.Errorf("reading segment: %v", err) })
	frames := func(_ int64, aus [][]byte) error {
		for _, au := range aus {
			d.Audio = append(d.Audio, string(au))
		}
		return nil
	}
	for _, track := range r.Tracks() {
		switch track.Codec.(type) {
		case *codecs.H264:
			r.OnDataH264(track, func(_, _ int64, au [][]byte) error {
				d.Video = append(d.Video, string(au[len(au)-1]))
				return nil
			})
		case *codecs.MPEG4Audio:
			r.OnDataMPEG4Audio(track, frames)
		case *codecs.MPEG1Audio:
			r.OnDataMPEG1Audio(track, frames)
		}
	}
	for r.Read() == nil {
	}
	return d
}

// DemuxAll joins the contents of segments.
func DemuxAll(t *testing.T, list []*playlist.TSSegment) (d Demuxed) {
	t.Helper()
	for _, seg := range list {
		one := Demux(t, seg.Data.Bytes())
		d.Video = append(d.Video, one.Video...)
		d.Audio = append(d.Audio, one.Audio...)
	}
	return d
}

// Contents is what demux should find of units.
func Contents(units []media.AccessUnit) (d Demuxed) {
	for _, u := range units {
		switch {
		case u.Header != media.Sample || len(u.Data) == 0:
		case u.Track.Kind == media.Video:
			d.Video = append(d.Video, string(u.Data[4:]))
		default:
			d.Audio = append(d.Audio, string(u.Data))
		}
	}
	return d
}
