package segmenter

import (
	"slices"
	"strings"
	"testing"

	"livego/internal/hls/cut"
	"livego/internal/hls/hlstest"
	"livego/internal/media"
)

// TestTracksOut: audio that turns up late or is unsupported is in the tables when it is in the
// segment.
func TestTracksOut(t *testing.T) {
	s := cutter(Options{})
	e := hlstest.Encoder{Video: hlstest.H264Track(), Gop: 1000}
	s.feed(e.Headers()).feed(e.Play(3500))
	e.Audio = hlstest.AACTrack()
	late := slices.Concat(e.Headers(), e.Play(2500))
	s.feed(late).Flush()
	if got := hlstest.Demux(t, s.list[0].Data.Bytes()); len(got.Audio) != 0 {
		t.Errorf("audio before there was any: %q", got.Audio)
	}
	if got := hlstest.Demux(t, s.list[1].Data.Bytes()); !slices.Equal(got.Audio, hlstest.Contents(late).Audio) {
		t.Errorf("late audio: %d frames of %d", len(got.Audio), len(hlstest.Contents(late).Audio))
	}
}

func TestUnsupported(t *testing.T) {
	cases := []struct {
		name    string
		enc     hlstest.Encoder
		refusal []string
		logs    int
	}{
		{"AV1 and Opus", hlstest.Encoder{Video: hlstest.AV1Track(), Audio: hlstest.OpusTrack(), Gop: 1000}, []string{"AV1 and Opus", "RTMP or HTTP-FLV"}, 2},
		{"unknown codec", hlstest.Encoder{Audio: &media.Track{Kind: media.Audio, Name: "11"}}, []string{"codec 11"}, 1},
		{"unreadable header", hlstest.Encoder{Video: &media.Track{Kind: media.Video, Codec: media.H264}, Gop: 1000}, []string{"H264 with such a header"}, 1},
		{"a header with a reason", hlstest.Encoder{Video: &media.Track{Kind: media.Video, Codec: media.H264, Err: "no sequence header yet"}, Gop: 1000},
			[]string{"H264 (no sequence header yet)"}, 1},
		{"H264 and Opus", hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.OpusTrack(), Gop: 1000}, nil, 1},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := cutter(Options{})
			s.feed(c.enc.Headers())
			if s.refusal != "" {
				t.Error("refused before there was media")
			}
			s.feed(c.enc.Play(3000)).Flush()
			if len(c.refusal) == 0 && s.refusal != "" || (len(s.list) == 0) != (len(c.refusal) > 0) {
				t.Errorf("refusal %q, %d segments", s.refusal, len(s.list))
			}
			for _, part := range c.refusal {
				if !strings.Contains(s.refusal, part) {
					t.Errorf("refusal %q lacks %q", s.refusal, part)
				}
			}
			if n := strings.Count(s.log.String(), "left out"); n != c.logs {
				t.Errorf("%d log lines:\n%s", n, &s.log)
			}
		})
	}
}

// TestFlappingTracks: an encoder that changes codec all the time costs bounded memory and few log
// lines.
func TestFlappingTracks(t *testing.T) {
	s := cutter(Options{})
	e := hlstest.Encoder{Video: hlstest.H264Track(), Audio: hlstest.AACTrack(), Gop: 1000}
	for i := range 1000 {
		switch i % 3 {
		case 0:
			e.Audio = hlstest.AACTrack()
		case 1:
			e.Audio = &media.Track{Kind: media.Audio, ID: uint8(i), Name: strings.Repeat("x", i%50)}
		case 2:
			e.Audio = hlstest.OpusTrack()
		}
		s.feed(e.Headers()).feed(e.Play(100))
	}
	s.Flush()
	if n := strings.Count(s.log.String(), "\n"); n > cut.MaxTrackLogs {
		t.Errorf("%d log lines", n)
	}
	if len(s.want.logged) > cut.MaxTrackLogs || len(s.want.leftOut) > cut.MaxTrackLogs {
		t.Errorf("%d and %d entries", len(s.want.logged), len(s.want.leftOut))
	}
	if len(s.list) < 30 {
		t.Errorf("%d segments", len(s.list))
	}
}

func TestSecondTrack(t *testing.T) {
	s := cutter(Options{})
	e := hlstest.Encoder{Video: hlstest.H264Track(), Gop: 1000}
	second := hlstest.H264Track()
	second.ID = 1
	units := append(e.Headers(), media.AccessUnit{Track: second, Header: media.SequenceHeader})
	for _, u := range e.Play(3000) {
		other := u
		other.Track = second
		units = append(units, u, other)
	}
	s.feed(units).Flush()
	if got, want := s.String(), "100 0s+3s\n"; got != want {
		t.Errorf("\n%s, want\n%s", got, want)
	}
	if got := hlstest.Demux(t, s.list[0].Data.Bytes()); len(got.Video) != 75 {
		t.Errorf("%d pictures", len(got.Video))
	}
}
