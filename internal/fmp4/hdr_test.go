package fmp4

import (
	"encoding/hex"
	"strings"
	"testing"

	"livego/internal/media"
)

// hdr10 adds what an encoder of HDR10 says beside the bitstream: the numbers are those for a P3
// display in the manual of x265 (--master-display).
func hdr10(track *media.Track) *media.Track {
	track.Colour = media.ColourDescription{
		Primaries: 9, Transfer: 16, Matrix: 9,
		Mastering: media.MasteringDisplay{
			Green: [2]uint16{13250, 34500}, Blue: [2]uint16{7500, 3000}, Red: [2]uint16{34000, 16000}, White: [2]uint16{15635, 16450},
			MaxLuminance: 10_000_000, MinLuminance: 50,
		},
		Light: media.ContentLight{Max: 1000, Average: 400},
	}
	return track
}

func dolbyTrack(t testing.TB, profile uint8, config string) *media.Track {
	track := videoTrack(t, media.HEVC, config)
	track.DolbyVision = profile
	return track
}

// boxesOf returns the boxes of the sample entry, the payloads of those that matter here in
// hexadecimal.
func boxesOf(t *testing.T, track *media.Track) (kinds string, payloads map[string]string) {
	t.Helper()
	b, err := AppendInit(nil, track, nil)
	if err != nil {
		t.Fatal(err)
	}
	payloads = map[string]string{}
	for _, box := range readBoxes(t, b) {
		if _, kind, ok := strings.Cut(box.path, "/stsd/"); ok {
			kinds += " " + kind[strings.LastIndex(kind, "/")+1:]
			payloads[kind[strings.LastIndex(kind, "/")+1:]] = hex.EncodeToString(box.payload)
		}
	}
	return kinds[1:], payloads
}

// TestColourBesideTheBitstream: what the sender says counts where the bitstream says nothing else.
func TestColourBesideTheBitstream(t *testing.T) {
	const pq, hlg, sdr = "6e636c78000900100009" + "00", "6e636c78000900120009" + "00", "6e636c78000100010001" + "00"
	said := func(primaries, transfer, matrix uint8) media.ColourDescription {
		return media.ColourDescription{Primaries: primaries, Transfer: transfer, Matrix: matrix}
	}
	for _, c := range []struct {
		name, config     string
		codec            media.Codec
		said             media.ColourDescription
		colr, videoRange string
	}{
		{"nothing", hevcMain, media.HEVC, media.ColourDescription{}, "", "SDR"},
		{"PQ, bitstream silent", hevcMain, media.HEVC, said(9, 16, 9), pq, "PQ"},
		{"HLG, bitstream silent", avcMain, media.H264, said(9, 18, 9), hlg, "HLG"},
		{"transfer alone", avcMain, media.H264, said(2, 18, 2), "6e636c7800020012000200", "HLG"},
		{"unspecified", avcMain, media.H264, said(2, 2, 2), "", "SDR"},
		{"the same as the bitstream", avcPQ, media.H264, said(9, 16, 9), pq, "PQ"},
		{"another transfer than the bitstream", hevcHLG, media.HEVC, said(9, 16, 9), hlg, "HLG"},
		{"other primaries than the bitstream", avcPQ, media.H264, said(1, 16, 9), pq, "PQ"},
		{"less than the bitstream", avcPQ, media.H264, said(9, 2, 2), pq, "PQ"},
		{"AV1, silent", av1Main, media.AV1, said(9, 16, 9), pq, "PQ"},
		{"VP9, unspecified", vp9Main, media.VP9, said(9, 16, 9), pq, "PQ"},
		{"VP9, a part of it unspecified", "020aa20902020000", media.VP9, said(9, 18, 9), hlg, "HLG"},
		{"VP9, a part of it unspecified, the rest another", "020aa20902020000", media.VP9, said(1, 1, 1), "6e636c7800090002000200", "SDR"},
		{"VP9, BT.709", "001e820101010000", media.VP9, said(9, 16, 9), sdr, "SDR"},
		{"VVC, whose bitstream is not read", vvcMain, media.VVC, said(9, 16, 9), pq, "PQ"},
		{"VVC, nothing said", vvcMain, media.VVC, media.ColourDescription{}, "", ""},
	} {
		track := videoTrack(t, c.codec, c.config)
		before := Codecs(track)
		track.Colour = c.said
		_, boxes := boxesOf(t, track)
		if got := VideoRange(track); boxes["colr"] != c.colr || got != c.videoRange {
			t.Errorf("%s: colr %s, want %s; %s, want %s", c.name, boxes["colr"], c.colr, got, c.videoRange)
		}
		if got := Codecs(track); got != before {
			t.Errorf("%s: codecs %q, %q before", c.name, got, before)
		}
	}
}

// TestLightBoxes: the primaries stand in mdcv in the order of ITU-T H.265 §D.3.28.
func TestLightBoxes(t *testing.T) {
	for _, codec := range []struct {
		codec  media.Codec
		config string
	}{{media.H264, avcMain}, {media.HEVC, hevcMain}, {media.VVC, vvcMain}, {media.AV1, av1Main}, {media.VP9, vp9Main}} {
		kinds, boxes := boxesOf(t, hdr10(videoTrack(t, codec.codec, codec.config)))
		if boxes["mdcv"] != "33c286c4"+"1d4c0bb8"+"84d03e80"+"3d134042"+"00989680"+"00000032" || boxes["clli"] != "03e80190" {
			t.Errorf("%s: %s: mdcv %s, clli %s", codec.codec, kinds, boxes["mdcv"], boxes["clli"])
		}
	}
	track := hdr10(videoTrack(t, media.HEVC, hevcMain))
	track.Colour.Mastering, track.Colour.Light.Average = media.MasteringDisplay{}, 0
	if kinds, boxes := boxesOf(t, track); kinds != "hvc1 hvcC colr clli" || boxes["clli"] != "03e80000" {
		t.Errorf("without display: %s, clli %s", kinds, boxes["clli"])
	}
	track.Colour.Light = media.ContentLight{}
	if kinds, _ := boxesOf(t, track); kinds != "hvc1 hvcC colr" {
		t.Errorf("without light: %s", kinds)
	}
}

func TestDolbyVision(t *testing.T) {
	av1Track := func(profile uint8, config string) *media.Track {
		track := videoTrack(t, media.AV1, config)
		track.DolbyVision = profile
		return track
	}
	pq := func(track *media.Track) *media.Track { return hdr10(track) }
	for _, c := range []struct {
		name                                    string
		track                                   *media.Track
		codecs, supplemental, videoRange, boxes string
	}{
		{"8.1 by what the sender says", pq(dolbyTrack(t, 8, hevcMain)), "hvc1.1.6.L30.90", "dvh1.08.01/db1p", "PQ", "hvc1 hvcC dvvC colr mdcv clli"},
		{"8.4", dolbyTrack(t, 8, hevcHLG), "hvc1.2.4.L30.90", "dvh1.08.01/db4h", "HLG", "hvc1 hvcC dvvC colr"},
		{"8 over pictures of no known colour", dolbyTrack(t, 8, hevcMain), "hvc1.1.6.L30.90", "", "SDR", "hvc1 hvcC"},
		{"5", dolbyTrack(t, 5, hevcMain), "dvh1.05.01", "", "PQ", "dvh1 hvcC dvcC"},
		{"none", videoTrack(t, media.HEVC, hevcHLG), "hvc1.2.4.L30.90", "", "HLG", "hvc1 hvcC colr"},
		{"in another codec", func() *media.Track {
			track := videoTrack(t, media.H264, avcPQ)
			track.DolbyVision = 8
			return track
		}(), "avc1.6e000b", "", "PQ", "avc1 avcC colr"},
		{"10.1", av1Track(8, av1PQ), "av01.0.00M.10.0.110.09.16.09.0", "dav1.10.01/db1p", "PQ", "av01 av1C dvvC colr"},
		{"10.4 by what the sender says", func() *media.Track {
			track := av1Track(8, av1Main)
			track.Colour = media.ColourDescription{Primaries: 9, Transfer: 18, Matrix: 9}
			return track
		}(), "av01.0.00M.08", "dav1.10.01/db4h", "HLG", "av01 av1C dvvC colr"},
		{"10 over pictures of no known colour", av1Track(8, av1Main), "av01.0.00M.08", "", "SDR", "av01 av1C"},
		{"10.0", av1Track(5, av1Main), "dav1.10.01", "", "PQ", "dav1 av1C dvvC"},
		{"too large for any level", func() *media.Track {
			track := dolbyTrack(t, 8, hevcHLG)
			track.Width, track.Height = 7682, 4320
			return track
		}(), "hvc1.2.4.L30.90", "", "HLG", "hvc1 hvcC colr"},
	} {
		kinds, _ := boxesOf(t, c.track)
		if Codecs(c.track) != c.codecs || SupplementalCodecs(c.track) != c.supplemental || VideoRange(c.track) != c.videoRange || kinds != c.boxes {
			t.Errorf("%s: %s, supplemental %q, %s, %s", c.name, Codecs(c.track), SupplementalCodecs(c.track), VideoRange(c.track), kinds)
		}
	}
	_, boxes := boxesOf(t, av1Track(8, av1PQ))
	if got := boxes["dvvC"]; got != "0100"+"140d"+"10"+strings.Repeat("00", 19) { // profile 10, level 1, metadata and base; compatibility 1
		t.Errorf("dvvC %s", got)
	}
	if got := SupplementalCodecs(nil); got != "" {
		t.Errorf("no track: %q", got)
	}
}

// TestDolbyBrands: files say in their first box that they have Dolby Vision, and what for those who
// do not know it.
func TestDolbyBrands(t *testing.T) {
	for _, c := range []struct {
		codec        media.Codec
		profile      uint8
		config, want string
	}{
		{media.HEVC, 0, hevcHLG, ""}, {media.HEVC, 5, hevcMain, "dby1"}, {media.HEVC, 8, hevcHLG, "dby1db4h"},
		{media.AV1, 0, av1PQ, "av01"}, {media.AV1, 5, av1PQ, "dby1"}, {media.AV1, 8, av1PQ, "av01dby1db1p"},
	} {
		track := videoTrack(t, c.codec, c.config)
		track.DolbyVision = c.profile
		b, err := AppendInit(nil, track, nil)
		if got := string(find(t, b, "ftyp")); err != nil || got != "cmfc\x00\x00\x00\x00cmfciso6"+c.want {
			t.Errorf("%s, profile %d: %q, %v", c.codec, c.profile, got, err)
		}
	}
}

// TestDolbyLevel holds levels against the table of Dolby Vision Streams within the HTTP Live
// Streaming format §2.2.
func TestDolbyLevel(t *testing.T) {
	for _, c := range []struct {
		width, height int
		rate          float64
		want          uint8
	}{
		{1280, 720, 24, 1}, {1280, 720, 30, 2}, {1920, 1080, 24, 3}, {1920, 1080, 30, 4}, {1920, 1080, 60, 5}, {3840, 2160, 24, 6}, {3840, 2160, 30, 7},
		{3840, 2160, 48, 8}, {3840, 2160, 60, 9}, {3840, 2160, 120, 10}, {7680, 4320, 30, 11}, {7680, 4320, 60, 12}, {7680, 4320, 120, 13},
		{1280, 720, 24000.0 / 1001, 1}, {3840, 2160, 60000.0 / 1001, 9}, {1920, 1080, 25, 4}, {1920, 1080, 50, 5}, {3840, 2160, 25, 7},
		{1280, 720, 60, 4}, {1920, 1080, 30.0003, 4}, {1920, 1080, 31, 5},
		{1920, 320, 24, 3}, {2560, 540, 24, 4}, {3840, 540, 24, 5}, {7680, 540, 24, 11}, // by their width
		{1920, 1080, 0, 5}, {3840, 2160, 0, 9}, {7682, 540, 24, 0}, {7680, 4320, 240, 0},
	} {
		if got := dolbyLevel(c.width, c.height, c.rate); got != c.want {
			t.Errorf("%d x %d at %v: level %d, want %d", c.width, c.height, c.rate, got, c.want)
		}
	}
}

func TestSameInit(t *testing.T) {
	plain := videoTrack(t, media.HEVC, hevcHLG)
	with := func(change func(*media.Track)) *media.Track {
		track := *plain
		change(&track)
		return &track
	}
	for _, c := range []struct {
		name string
		b    *media.Track
		want bool
	}{
		{"itself", plain, true},
		{"a copy", with(func(*media.Track) {}), true},
		{"colour that the bitstream has", with(func(t *media.Track) { t.Colour.Primaries, t.Colour.Transfer, t.Colour.Matrix = 9, 18, 9 }), true},
		{"colour that contradicts the bitstream", with(func(t *media.Track) { t.Colour.Primaries, t.Colour.Transfer, t.Colour.Matrix = 1, 1, 1 }), true},
		{"light", with(func(t *media.Track) { t.Colour.Light.Max = 1000 }), false},
		{"Dolby Vision", with(func(t *media.Track) { t.DolbyVision = 8 }), false},
		{"the same header again", videoTrack(t, media.HEVC, hevcHLG), true},
		{"another header", videoTrack(t, media.HEVC, hevcMain), false},
		{"no header", with(func(t *media.Track) { t.Config = nil }), false},
		{"audio", aacTrack(t), false},
	} {
		if got := SameInit(plain, c.b); got != c.want || SameInit(c.b, plain) != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}
