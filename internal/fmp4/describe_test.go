package fmp4

import (
	"errors"
	"fmt"
	"math"
	"testing"

	"livego/internal/media"
)

func TestDescribeVideo(t *testing.T) {
	for _, c := range []struct {
		name          string
		codec         media.Codec
		config        string
		codecs        string
		videoRange    string
		width, height int
		frameRate     float64
	}{
		{"H.264 High", media.H264, avcMain, "avc1.64000b", "SDR", 192, 108, 25},
		{"H.264 Constrained Baseline, pixels of 4:3", media.H264, avcBaseline, "avc1.42c00b", "SDR", 256, 108, 25},
		{"H.264 High 10, PQ", media.H264, avcPQ, "avc1.6e000b", "PQ", 192, 108, 25},
		{"HEVC Main", media.HEVC, hevcMain, "hvc1.1.6.L30.90", "SDR", 192, 108, 25},
		{"HEVC Main 10, HLG", media.HEVC, hevcHLG, "hvc1.2.4.L30.90", "HLG", 192, 108, 25},
		{"HEVC, profile space A, late constraint", media.HEVC, "01 41 80000000 b00000000100 5d" + hevcMain[26:], "hvc1.A1.1.L93.B0.0.0.0.1", "SDR", 192, 108, 25},
		{"HEVC, high tier, no constraints", media.HEVC, "01 21 60000000 000000000000 78" + hevcMain[26:], "hvc1.1.6.H120", "SDR", 192, 108, 25},
		{"VVC Main 10, the example of the standard", media.VVC, vvcMain, "vvc1.1.L51.CQA", "", 1280, 720, 0},
		{"AV1 Main", media.AV1, av1Main, "av01.0.00M.08", "SDR", 192, 108, 0},
		{"AV1 Main of 10 bits, PQ", media.AV1, av1PQ, "av01.0.00M.10.0.110.09.16.09.0", "PQ", 192, 108, 0},
		{"VP9, colour not specified", media.VP9, vp9Main, "vp09.00.10.08", "SDR", 192, 108, 0},
		{"VP9 profile 2, HLG", media.VP9, vp9HLG, "vp09.02.10.10.01.09.18.09.00", "HLG", 192, 108, 0},
		{"VP9, BT.709", media.VP9, "001e820101010000", "vp09.00.30.08", "SDR", 192, 108, 0},
		{"VP9, full range", media.VP9, "001e830101010000", "vp09.00.30.08.01.01.01.01.01", "SDR", 192, 108, 0},
		{"VP9, 4:4:4", media.VP9, "011e860202020000", "vp09.01.30.08.03.01.01.01.00", "SDR", 192, 108, 0},
		{"VP9 without level", media.VP9, "0000820202020000", "vp09.00.11.08", "SDR", 192, 108, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			track := videoTrack(t, c.codec, c.config)
			if !Supports(track) {
				t.Fatal("not supported")
			}
			if got := Codecs(track); got != c.codecs {
				t.Errorf("codecs %q, want %q", got, c.codecs)
			}
			if got := VideoRange(track); got != c.videoRange {
				t.Errorf("video range %q, want %q", got, c.videoRange)
			}
			if w, h := Resolution(track); w != c.width || h != c.height {
				t.Errorf("resolution %d x %d, want %d x %d", w, h, c.width, c.height)
			}
			if got := FrameRate(track); math.Abs(got-c.frameRate) > 1e-9 {
				t.Errorf("frame rate %v, want %v", got, c.frameRate)
			}
		})
	}
}

func TestDescribeAudio(t *testing.T) {
	for _, c := range []struct {
		name           string
		codec          media.Codec
		config         string
		rate, channels int
		codecs         string
	}{
		{"AAC LC", media.AAC, "1210", 44100, 2, "mp4a.40.2"},
		{"AAC LC, SBR said to be absent", media.AAC, aacLC, 48000, 1, "mp4a.40.2"},
		{"AAC LC, rate written out", media.AAC, "178056 2210", 44100, 2, "mp4a.40.2"},
		{"HE-AAC, hierarchical", media.AAC, "2b920800", 44100, 2, "mp4a.40.5"},
		{"HE-AAC, backward compatible", media.AAC, "139056e5a0", 44100, 2, "mp4a.40.5"},
		{"HE-AAC v2, hierarchical", media.AAC, "eb8a0800", 44100, 2, "mp4a.40.29"},
		{"HE-AAC v2, backward compatible", media.AAC, "138856e5a54880", 44100, 2, "mp4a.40.29"},
		{"xHE-AAC", media.AAC, "f94640", 48000, 2, "mp4a.40.42"},
		{"MP3", media.MP3, "", 44100, 2, "mp4a.40.34"},
		{"Opus", media.Opus, opusMono, 48000, 1, "opus"},
		{"Opus of 6 channels", media.Opus, "4f70757348656164 01 06 3801 80bb0000 0000 01 0402 000401020305", 48000, 6, "opus"},
		{"FLAC", media.FLAC, flacMono, 44100, 1, "fLaC"},
		{"AC-3", media.AC3, "", 48000, 6, "ac-3"},
		{"E-AC-3", media.EAC3, "", 48000, 6, "ec-3"},
	} {
		track := audioTrack(t, c.codec, c.config, c.rate, c.channels, 1024)
		if got := Codecs(track); got != c.codecs || !Supports(track) {
			t.Errorf("%s: codecs %q, want %q", c.name, got, c.codecs)
		}
		if w, h := Resolution(track); w != 0 || h != 0 || VideoRange(track) != "" || FrameRate(track) != 0 {
			t.Errorf("%s is described as video", c.name)
		}
	}
}

func TestUnsupported(t *testing.T) {
	video := func(codec media.Codec, config string, change func(*media.Track)) *media.Track {
		track := &media.Track{Kind: media.Video, Codec: codec, Config: unhex(t, config), Parsed: true, NALLengthSize: 4, Width: 192, Height: 108}
		if change != nil {
			change(track)
		}
		return track
	}
	for name, track := range map[string]*media.Track{
		"none":                            nil,
		"header that did not parse":       video(media.H264, avcMain, func(t *media.Track) { t.Parsed = false }),
		"unknown codec":                   video(media.Unknown, "", nil),
		"VP8":                             video(media.VP8, vp9Main, nil),
		"no picture size":                 video(media.VP9, vp9Main, func(t *media.Track) { t.Width = 0 }),
		"too wide":                        video(media.VP9, vp9Main, func(t *media.Track) { t.Width = 70000 }),
		"avcC cut off":                    video(media.H264, avcMain[:12], nil),
		"NAL units with 3-byte lengths":   video(media.H264, avcMain, func(t *media.Track) { t.NALLengthSize = 3 }),
		"hvcC cut off":                    video(media.HEVC, hevcMain[:40], nil),
		"vvcC without profile":            video(media.VVC, "fe 01 8f 0001 0002 0f01", nil),
		"vvcC cut off":                    video(media.VVC, "ff 0025 5f 3f 02", nil),
		"av1C without sequence header":    video(media.AV1, "81000c00", nil),
		"av1C of another version":         video(media.AV1, "82"+av1Main[2:], nil),
		"vpcC cut off":                    video(media.VP9, "000a82", nil),
		"giant configuration":             video(media.H264, avcMain, func(t *media.Track) { t.Config = append(t.Config, make([]byte, maxConfig)...) }),
		"data":                            {Kind: media.Data, Parsed: true},
		"A-law":                           audioTrack(t, media.PCMA, "", 8000, 1, 0),
		"no rate":                         audioTrack(t, media.MP3, "", 0, 2, 1152),
		"no channels":                     audioTrack(t, media.MP3, "", 44100, 0, 1152),
		"absurd rate":                     audioTrack(t, media.MP3, "", 1<<30, 2, 1152),
		"AudioSpecificConfig cut off":     audioTrack(t, media.AAC, "12", 44100, 2, 1024),
		"AudioSpecificConfig of nothing":  audioTrack(t, media.AAC, "0210", 44100, 2, 1024),
		"OpusHead cut off":                audioTrack(t, media.Opus, "4f70757348656164 01 01 3801", 48000, 1, 0),
		"OpusHead without mapping":        audioTrack(t, media.Opus, "4f70757348656164 01 06 3801 80bb0000 0000 01 0402 0004", 48000, 6, 0),
		"OpusHead, 3 channels, no family": audioTrack(t, media.Opus, "4f70757348656164 01 03 3801 80bb0000 0000 00", 48000, 3, 0),
		"FLAC cut off":                    audioTrack(t, media.FLAC, "664c6143 80000022 1200", 44100, 1, 0),
		"FLAC without STREAMINFO":         audioTrack(t, media.FLAC, "664c6143 84"+flacMono[11:], 44100, 1, 0),
	} {
		if Supports(track) || Codecs(track) != "" || VideoRange(track) != "" || FrameRate(track) != 0 {
			t.Errorf("%s is supported as %q", name, Codecs(track))
		}
		if dst, err := AppendInit([]byte("kept"), track, nil); !errors.Is(err, ErrUnsupported) || string(dst) != "kept" {
			t.Errorf("%s: init segment: %v", name, err)
		}
		if w, err := NewWriter(track); w != nil || !errors.Is(err, ErrUnsupported) {
			t.Errorf("%s: writer: %v", name, err)
		}
	}
}

// av1Header packs a sequence header OBU (AV1 §5.5.1) of 192 x 108 pictures with what the test is
// about, in a record.
func av1Header(profile, level, tier int, timing, colour []field) string {
	fields := []field{{3, profile}, {1, 0}, {1, 0}}
	fields = append(fields, timing...)
	fields = append(fields, field{1, 0}, field{5, 0}, field{12, 0}, field{5, level}) // no display delay, one operating point
	if level > 7 {
		fields = append(fields, field{1, tier})
	}
	fields = append(fields, field{4, 7}, field{4, 6}, field{8, 191}, field{7, 107}, field{1, 0})
	fields = append(fields, field{1, 0}, field{2, 0}, field{4, 0}, field{1, 0}) // tools, no order hint
	fields = append(fields, field{1, 1}, field{1, 1}, field{3, 0})              // choose screen content tools and integer vectors; filters
	fields = append(fields, colour...)
	obu := pack(40, append(fields, field{1, 0}, field{1, 1})...) // film grain, trailing bit
	return fmt.Sprintf("81%02x0000 0a%02x %x", profile<<5|level, len(obu), obu)
}

func TestDescribeAV1(t *testing.T) {
	none := []field{{1, 0}}
	at30 := []field{{1, 1}, {32, 1001}, {32, 60000}, {1, 1}, {3, 0b010}, {1, 0}} // two ticks a picture, no decoder model
	for _, c := range []struct {
		name, config, codecs, videoRange string
		frameRate                        float64
	}{
		{"example of the binding: PQ, chroma co-located with luma", av1Header(0, 4, 0, none, []field{{1, 1}, {1, 0}, {1, 1}, {8, 9}, {8, 16}, {8, 9}, {1, 0}, {2, 2}, {1, 0}}),
			"av01.0.04M.10.0.112.09.16.09.0", "PQ", 0},
		{"example of the binding: all defaults", av1Header(0, 1, 0, none, []field{{1, 0}, {1, 0}, {1, 0}, {1, 0}, {2, 0}, {1, 0}}), "av01.0.01M.08", "SDR", 0},
		{"defaults written out", av1Header(0, 1, 0, none, []field{{1, 0}, {1, 0}, {1, 1}, {8, 1}, {8, 1}, {8, 1}, {1, 0}, {2, 0}, {1, 0}}), "av01.0.01M.08", "SDR", 0},
		{"colour said to be unspecified", av1Header(0, 1, 0, none, []field{{1, 0}, {1, 0}, {1, 1}, {8, 2}, {8, 2}, {8, 2}, {1, 0}, {2, 0}, {1, 0}}), "av01.0.01M.08.0.110.02.02.02.0", "SDR", 0},
		{"full range", av1Header(0, 1, 0, none, []field{{1, 0}, {1, 0}, {1, 0}, {1, 1}, {2, 0}, {1, 0}}), "av01.0.01M.08.0.110.01.01.01.1", "SDR", 0},
		{"monochrome", av1Header(0, 1, 0, none, []field{{1, 0}, {1, 1}, {1, 0}, {1, 0}}), "av01.0.01M.08.1.110.01.01.01.0", "SDR", 0},
		{"High profile, 4:4:4, high tier", av1Header(1, 13, 1, none, []field{{1, 0}, {1, 0}, {1, 0}, {1, 0}}), "av01.1.13H.08.0.000.01.01.01.0", "SDR", 0},
		{"Professional profile, 12 bits, 4:2:2", av1Header(2, 8, 0, none, []field{{1, 1}, {1, 1}, {1, 0}, {1, 0}, {1, 0}, {1, 1}, {1, 0}, {1, 0}}), "av01.2.08M.12.0.100.01.01.01.0", "SDR", 0},
		{"picture rate", av1Header(0, 1, 0, at30, []field{{1, 0}, {1, 0}, {1, 0}, {1, 0}, {2, 0}, {1, 0}}), "av01.0.01M.08", "SDR", 60000.0 / 1001 / 2},
	} {
		track := videoTrack(t, media.AV1, c.config)
		if got := Codecs(track); got != c.codecs || VideoRange(track) != c.videoRange || math.Abs(FrameRate(track)-c.frameRate) > 1e-9 {
			t.Errorf("%s: %q, %s, %v pictures a second", c.name, got, VideoRange(track), FrameRate(track))
		}
	}
}

// TestSampleAspect holds the shapes of pixels against ITU-T H.273 table 7.
func TestSampleAspect(t *testing.T) {
	for _, c := range []struct {
		idc           uint8
		width, height uint16
		want          ratio
	}{
		{0, 0, 0, ratio{}}, {1, 0, 0, ratio{}}, {2, 0, 0, ratio{12, 11}}, {13, 0, 0, ratio{160, 99}}, {14, 0, 0, ratio{4, 3}}, {16, 0, 0, ratio{2, 1}},
		{17, 0, 0, ratio{}}, {255, 64, 45, ratio{64, 45}}, {255, 0, 1, ratio{}}, {255, 1, 0, ratio{}}, {255, 7, 7, ratio{}},
	} {
		if got := sampleAspect(c.idc, c.width, c.height); got != c.want {
			t.Errorf("%d, %d:%d: %v, want %v", c.idc, c.width, c.height, got, c.want)
		}
	}
}

// TestAbsurdAspect: a pixel so wide that the picture has no size counts as square.
func TestAbsurdAspect(t *testing.T) {
	track := videoTrack(t, media.H264, avcBaseline) // 4:3
	track.Width = 65535
	if w, h := Resolution(track); w != 65535 || h != 108 {
		t.Errorf("%d x %d", w, h)
	}
}

// TestVP9Level holds the level that is made up against the limits of libvpx's levels at 60 pictures
// a second.
func TestVP9Level(t *testing.T) {
	for _, c := range []struct {
		width, height int
		level         uint8
	}{{128, 72, 10}, {256, 144, 11}, {320, 240, 20}, {480, 270, 21}, {640, 360, 30}, {960, 540, 31}, {1280, 720, 40}, {1920, 1080, 41}, {2560, 1440, 50}, {3840, 2160, 51}, {7680, 4320, 61}, {65535, 65535, 62}} {
		track := videoTrack(t, media.VP9, "0000820202020000")
		track.Width, track.Height = c.width, c.height
		if got := vp9Level(track); got != c.level {
			t.Errorf("%d x %d: level %d, want %d", c.width, c.height, got, c.level)
		}
	}
}
