package hls

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

func h264Track() *media.Track {
	return &media.Track{Kind: media.Video, Codec: media.H264, Parsed: true, NALLengthSize: 4, ParameterSets: [][]byte{
		{0x67, 0x64, 0x00, 0x0a, 0xac, 0x72, 0x84, 0x44, 0x26, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xca, 0x3c, 0x48, 0x96, 0x11, 0x80},
		{0x68, 0xe8, 0x43, 0x8f, 0x13, 0x21, 0x30}}}
}

func aacTrack() *media.Track {
	return &media.Track{Kind: media.Audio, Codec: media.AAC, Parsed: true, Config: []byte{0x12, 0x10}, SampleRate: 44100, Channels: 2, SamplesPerFrame: 1024}
}

func mp3Track() *media.Track {
	return &media.Track{Kind: media.Audio, Codec: media.MP3, Parsed: true, SampleRate: 44100, Channels: 2, SamplesPerFrame: 1152}
}

func av1Track() *media.Track { return &media.Track{Kind: media.Video, Codec: media.AV1} }

func opusTrack() *media.Track { return &media.Track{Kind: media.Audio, Codec: media.Opus} }

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// encoder makes units as live hands them out: 25 pictures a second, a key frame every gop, an audio
// frame every 25 ms.
type encoder struct {
	video, audio *media.Track
	gop          int // ms
	at           int // ms
	epoch        uint32
	jump         bool // the next unit gets Discontinuity
	sent         int
}

// headers announces the tracks that have sequence headers.
func (e *encoder) headers() []media.AccessUnit {
	var units []media.AccessUnit
	for _, t := range []*media.Track{e.video, e.audio} {
		if t != nil && t.Codec != media.MP3 {
			units = append(units, e.stamp(media.AccessUnit{Track: t, Header: media.SequenceHeader, DTS: ms(e.at)}))
		}
	}
	return units
}

func (e *encoder) stamp(u media.AccessUnit) media.AccessUnit {
	u.Epoch, u.PTS = e.epoch, u.DTS
	u.Arrived = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(u.DTS).UnixNano()
	u.Discontinuity, e.jump = e.jump, false
	return u
}

// play makes the units of the next duration.
func (e *encoder) play(duration int) []media.AccessUnit {
	var units []media.AccessUnit
	for end := e.at + duration; e.at < end; e.at += 5 {
		if e.video != nil && e.at%40 == 0 {
			key := e.at%e.gop == 0
			u := e.stamp(picture(e.video, e.at, key, e.sent))
			u.Join = key
			units = append(units, u)
			e.sent++
		}
		if e.audio != nil && e.at%25 == 0 {
			u := e.stamp(media.AccessUnit{Track: e.audio, RandomAccess: true, Join: e.video == nil, DTS: ms(e.at), Data: audioFrame(e.audio, e.sent)})
			units = append(units, u)
			e.sent++
		}
	}
	return units
}

func picture(t *media.Track, at int, key bool, mark int) media.AccessUnit {
	nal := []byte{0x41, 0x9a, 1, 0, 0}
	if key {
		nal[0] = 0x65
	}
	nal = append(nal, fmt.Sprintf("picture %d", mark)...)
	nal[3] = byte(len(nal)) | 1
	nal[4] = 0xff
	return media.AccessUnit{Track: t, RandomAccess: key, DTS: ms(at), PTS: ms(at), Data: append(binary.BigEndian.AppendUint32(nil, uint32(len(nal))), nal...)}
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

// demuxed is what a segment holds: payloads in order, by kind.
type demuxed struct{ video, audio []string }

// demux reads a segment with the library. It fails the test if the segment cannot be read by
// itself.
func demux(t *testing.T, data []byte) (d demuxed) {
	t.Helper()
	r := &mpegts.Reader{R: bytes.NewReader(data)}
	if err := r.Initialize(); err != nil {
		t.Fatal(err)
	}
	r.OnDecodeError(func(err error) { t.Errorf("reading segment: %v", err) })
	frames := func(_ int64, aus [][]byte) error {
		for _, au := range aus {
			d.audio = append(d.audio, string(au))
		}
		return nil
	}
	for _, track := range r.Tracks() {
		switch track.Codec.(type) {
		case *codecs.H264:
			r.OnDataH264(track, func(_, _ int64, au [][]byte) error {
				d.video = append(d.video, string(au[len(au)-1]))
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

// demuxAll joins the contents of segments.
func demuxAll(t *testing.T, list []*playlist.TSSegment) (d demuxed) {
	t.Helper()
	for _, seg := range list {
		one := demux(t, seg.Data)
		d.video = append(d.video, one.video...)
		d.audio = append(d.audio, one.audio...)
	}
	return d
}

// contents is what demux should find of units.
func contents(units []media.AccessUnit) (d demuxed) {
	for _, u := range units {
		switch {
		case u.Header != media.Sample || len(u.Data) == 0:
		case u.Track.Kind == media.Video:
			d.video = append(d.video, string(u.Data[4:]))
		default:
			d.audio = append(d.audio, string(u.Data))
		}
	}
	return d
}
