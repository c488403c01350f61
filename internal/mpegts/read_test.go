package mpegts

import (
	"bytes"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mpegts/codecs"

	"livego/internal/media"
)

// unitRead is an access unit as the library reads it.
type unitRead struct {
	pts, dts int64
	nals     [][]byte
}

// readBack reads a stream with the library. Audio packets are split into frames; only the first of
// each has a time, others -1.
func readBack(t *testing.T, b []byte) (video, audio []unitRead, tracks []*mpegts.Track) {
	t.Helper()
	r := &mpegts.Reader{R: bytes.NewReader(b)}
	if err := r.Initialize(); err != nil {
		t.Fatal(err)
	}
	r.OnDecodeError(func(err error) { t.Errorf("library: %v", err) })
	frames := func(pts int64, aus [][]byte) error {
		for i, au := range aus {
			if i > 0 {
				pts = -1
			}
			audio = append(audio, unitRead{pts, pts, [][]byte{bytes.Clone(au)}})
		}
		return nil
	}
	picture := func(pts, dts int64, au [][]byte) error {
		video = append(video, unitRead{pts, dts, au})
		return nil
	}
	for _, track := range r.Tracks() {
		switch track.Codec.(type) {
		case *codecs.H264:
			r.OnDataH264(track, picture)
		case *codecs.H265:
			r.OnDataH265(track, picture)
		case *codecs.MPEG4Audio:
			r.OnDataMPEG4Audio(track, frames)
		case *codecs.MPEG1Audio:
			r.OnDataMPEG1Audio(track, frames)
		case *codecs.AC3:
			r.OnDataAC3(track, func(pts int64, au []byte) error { return frames(pts, [][]byte{au}) })
		case *codecs.EAC3:
			r.OnDataEAC3(track, func(pts int64, au []byte) error { return frames(pts, [][]byte{au}) })
		default:
			t.Errorf("codec %T", track.Codec)
		}
	}
	for r.Read() == nil {
	}
	return video, audio, r.Tracks()
}

// TestReadBack compares what the library reads with what went in, access unit by access unit.
func TestReadBack(t *testing.T) {
	mp3Frame := append([]byte{0xff, 0xfb, 0x90, 0x64}, make([]byte, 413)...) // MPEG-1 layer III, 128 kbit/s, 44.1 kHz: 417 bytes
	ac3Frame := append([]byte{0x0b, 0x77, 0, 0, 0x14, 0x40, 0xe1}, make([]byte, 761)...)
	cases := []struct {
		name  string
		video *media.Track
		audio *media.Track
		frame []byte
		every int
	}{
		{"H264 AAC", h264Track(), aacTrack(), nalUnit(0x21, 180), 23},
		{"H264 MP3", h264Track(), mp3Track(), mp3Frame, 26},
		{"HEVC AC-3", hevcTrack(), &media.Track{Kind: media.Audio, Codec: media.AC3, SampleRate: 48000, SamplesPerFrame: 1536}, ac3Frame, 32},
		{"H264", h264Track(), nil, nil, 0},
		{"AAC", nil, aacTrack(), nalUnit(0x21, 180), 23},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := NewMuxer(c.video, c.audio)
			b := m.AppendTables(nil)
			var video, audio []media.AccessUnit
			audioAt := 0
			for at := 0; at < 2000; at += 40 {
				if c.video != nil {
					u := picture(c.video, ms(at), at%1000 == 0, 100+at)
					u.PTS += ms(at % 3 * 40)
					video = append(video, u)
					b, _ = m.Append(b, &u)
				}
				for ; c.audio != nil && audioAt < at+40; audioAt += c.every {
					u := sample(c.audio, ms(audioAt), c.frame)
					audio = append(audio, u)
					b, _ = m.Append(b, &u)
				}
			}
			b = m.Flush(b)
			check(t, b)
			gotVideo, gotAudio, _ := readBack(t, b)
			compareVideo(t, video, gotVideo)
			compareAudio(t, audio, gotAudio)
		})
	}
}

func compareVideo(t *testing.T, want []media.AccessUnit, got []unitRead) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d pictures, want %d", len(got), len(want))
	}
	for i, u := range want {
		var nals h264.AVCC
		if err := nals.Unmarshal(u.Data); err != nil {
			t.Fatal(err)
		}
		if u.RandomAccess {
			nals = append(append([][]byte{}, u.Track.ParameterSets...), nals...)
		}
		if got[i].pts != u.PTS.Milliseconds()*90+offset || got[i].dts != u.DTS.Milliseconds()*90+offset {
			t.Errorf("picture %d: PTS %d, DTS %d, want %v, %v", i, got[i].pts, got[i].dts, u.PTS, u.DTS)
		}
		if !bytes.Equal(bytes.Join(got[i].nals, nil), bytes.Join(nals, nil)) || len(got[i].nals) != len(nals) {
			t.Errorf("picture %d differs", i)
		}
	}
}

func compareAudio(t *testing.T, want []media.AccessUnit, got []unitRead) {
	t.Helper()
	if len(got) != len(want) {
		t.Fatalf("%d audio frames, want %d", len(got), len(want))
	}
	for i, u := range want {
		if at := u.DTS.Milliseconds()*90 + offset; got[i].pts != -1 && got[i].pts != at {
			t.Errorf("audio frame %d: PTS %d, want %d", i, got[i].pts, at)
		}
		if !bytes.Equal(got[i].nals[0], u.Data) {
			t.Errorf("audio frame %d differs", i)
		}
	}
}
