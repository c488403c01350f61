package ladder

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"livego/internal/hls/hlstest"
	"livego/internal/hls/playlist"
	"livego/internal/media"
)

func multivariantOf(r *rig) string {
	return hlstest.Joined(r.show.View.Load().Text(&playlist.Compressor{}).Plain.Body)
}

// TestColourChanges: what the sender says of colour changes the init segment, behind a
// discontinuity, and the multivariant playlist; not if it changes nothing for players.
func TestColourChanges(t *testing.T) {
	s := hlstest.Source{Video: hlstest.AVCTrack(0), Rate: 25, Gop: 25}
	with := func(primaries, transfer, matrix uint8) *media.Track {
		c := *s.Video
		c.Colour = media.ColourDescription{Primaries: primaries, Transfer: transfer, Matrix: matrix}
		return &c
	}
	r := newRig(t, Options{})
	units := s.Until(4 * time.Second)
	s.Video = with(2, 2, 2) // nothing
	units = append(units, s.Until(7*time.Second)...)
	r.feed("", units...)
	s.Video = with(9, 16, 9)
	units = s.Until(9 * time.Second)
	again := *s.Video
	s.Video = &again
	r.feed("", append(units, s.Until(11*time.Second)...)...)
	r.finish()
	v := r.of("v0")
	want := "1000 0s+3s parts 15\n1001 3s+3s parts 15\n1002 6s+1s parts 5\n1003 7s+3s parts 15 discontinuity\n1004 10s+1s parts 5\n"
	if got := v.String(); got != want {
		t.Errorf("got\n%swant\n%s%s", got, want, &r.log)
	}
	if seg := v.view.Segments; seg[0].Init != seg[2].Init || seg[3].Init == seg[2].Init || seg[4].Init != seg[3].Init {
		t.Error("init segments do not follow the colour")
	} else if bytes.Contains(seg[2].Init.Data, []byte("nclx")) || !bytes.Contains(seg[3].Init.Data, []byte("nclx\x00\x09\x00\x10\x00\x09\x00")) {
		t.Error("colr is not in the second init segment alone")
	}
	if got := multivariantOf(r); !strings.Contains(got, "VIDEO-RANGE=PQ") || strings.Contains(got, "SUPPLEMENTAL") {
		t.Errorf("%s", got)
	}
}

// TestDolbyVisionPlaylist: players learn of Dolby Vision beside the codec that all can decode.
func TestDolbyVisionPlaylist(t *testing.T) {
	config := hlstest.Unhex("0102200000009000000000001ef000fcfdfafa00000f03a00001001840010c01ffff02200000030090000003000003001e959409" + // libx265, BT.2020, HLG
		"a10001002e42010102200000030090000003000003001ea0182071f6d965654a4c2f016a12241208000003000800000300c840a2000100064401c073c189")
	s := hlstest.Source{Rate: 25, Gop: 25, Video: &media.Track{Kind: media.Video, Codec: media.HEVC, Config: config, Parsed: true, Width: 192, Height: 108, FrameRate: 25,
		NALLengthSize: 4, ParameterSets: [][]byte{config[28:52], config[57:103]}, DolbyVision: 8}}
	r := newRig(t, Options{})
	r.feed("", s.Until(7*time.Second)...)
	r.finish()
	got := multivariantOf(r)
	if strings.Count(got, `CODECS="hvc1.2.4.L30.90",SUPPLEMENTAL-CODECS="dvh1.08.01/db4h",`) != 2 || strings.Count(got, "VIDEO-RANGE=HLG") != 2 {
		t.Errorf("%s", got) // a stream and its pictures
	}
}

// TestDolbyVisionInAV1Playlist does the same with AV1, and with pictures that nobody else can show.
func TestDolbyVisionInAV1Playlist(t *testing.T) {
	config := hlstest.Unhex("81004c000a0d00000003b5feb36be542440241") // libaom, 10 bits, BT.2020, PQ
	for profile, want := range map[uint8]string{
		8: `CODECS="av01.0.00M.10.0.110.09.16.09.0",SUPPLEMENTAL-CODECS="dav1.10.01/db1p",`, 5: `CODECS="dav1.10.01",RESOLUTION`,
	} {
		video := &media.Track{Kind: media.Video, Codec: media.AV1, Config: config, Parsed: true, Width: 192, Height: 108, DolbyVision: profile}
		s := hlstest.Source{Rate: 25, Gop: 25, Video: video}
		r := newRig(t, Options{})
		r.feed("", s.Until(7*time.Second)...)
		r.finish()
		got := multivariantOf(r)
		if strings.Count(got, want) != 2 || strings.Count(got, "VIDEO-RANGE=PQ") != 2 || profile == 5 && strings.Contains(got, "SUPPLEMENTAL") {
			t.Errorf("%d: %s", profile, got)
		}
	}
}
