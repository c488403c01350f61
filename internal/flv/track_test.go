package flv

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"

	"livego/internal/codec"
	"livego/internal/media"
)

// trackOf returns the track that an enhanced sequence header makes.
func trackOf(t testing.TB, fourCC, config string) *media.Track {
	t.Helper()
	video := strings.Contains("avc1 hvc1 vvc1 av01 vp08 vp09", fourCC)
	var d Demuxer
	if video {
		return one(t, &d, TypeVideo, 0, unhex(t, "90 '"+fourCC+"'"+config)).Track
	}
	return one(t, &d, TypeAudio, 0, unhex(t, "90 '"+fourCC+"'"+config)).Track
}

// vvcC is a record of two sublayers with a level of their own, one sub-profile, one byte of
// constraints; DCI, VPS, SPS, PPS.
const vvcC = "ff 0025 5f" + // 4-byte lengths, profile present; ols 0, sublayers 2, constant 0, chroma 1, depth 2, reserved
	"01 02 33 c0 80 23 01 11223344" + // 1 byte of constraints; profile 1, tier 0; level 51; flags; sublayer has a level; level; sub-profile
	"0500 02d0 1900" + // 1280 x 720, 25 x 256 pictures per 256 s
	"04 8d 0001 aa 8e 0001 0002 0e01 8f 0001 0002 0f01 90 0001 0002 1001"

// TestConfigure reads headers of real encoders, and for what those do not write headers made from
// the standards.
func TestConfigure(t *testing.T) {
	hexes := func(sets ...string) (b [][]byte) {
		for _, s := range sets {
			b = append(b, unhex(t, s))
		}
		return b
	}
	const (
		sps = "6764000dacd94141fb011000000300100000030320f1429960"
		pps = "68ebe3cb22c0"
	)
	for _, c := range []struct {
		name, fourCC, config string
		want                 media.Track
	}{
		{"avcC", "avc1", avcC, media.Track{
			NALLengthSize: 4, Width: 320, Height: 240, FrameRate: 25, ParameterSets: hexes(sps, pps),
		}},
		{"avcC without the extension of High profiles", "avc1", avcC[:len(avcC)-8], media.Track{
			NALLengthSize: 4, Width: 320, Height: 240, FrameRate: 25, ParameterSets: hexes(sps, pps),
		}},
		{"avcC, lengths of 3 bytes", "avc1", "0164000d fe" + avcC[10:], media.Track{
			NALLengthSize: 3, Width: 320, Height: 240, FrameRate: 25, ParameterSets: hexes(sps, pps),
		}},
		{"avcC with two SPS and two PPS", "avc1", "0164000d fc e2 0019" + sps + "0019" + sps + "02 0006" + pps + "0006" + pps, media.Track{
			NALLengthSize: 1, Width: 320, Height: 240, FrameRate: 25, ParameterSets: hexes(sps, sps, pps, pps),
		}},
		{"avcC, High 4:4:4", "avc1", avcC444, media.Track{
			NALLengthSize: 4, Width: 320, Height: 240, FrameRate: 25,
			ParameterSets: hexes("67f4000d919b28283f6022000003000200000300641e28532c", "68ebe3c44844"),
		}},
		{"hvcC", "hvc1", hvcC, media.Track{
			NALLengthSize: 4, Width: 320, Height: 240, FrameRate: 25, ParameterSets: hexes(
				"40010c01ffff0408000003009e0800000300003c959809",
				"42010104080000 03009e0800000300003c90014101e2cb2b349265780b7020200040000003004000000642",
				"4401c172860c4624"),
		}},
		{"vvcC", "vvc1", vvcC, media.Track{
			NALLengthSize: 4, Width: 1280, Height: 720, FrameRate: 25, ParameterSets: hexes("0e01", "0f01", "1001"),
		}},
		{"vvcC without profile", "vvc1", "fe 01 8f 0001 0002 0f01", media.Track{NALLengthSize: 4, ParameterSets: hexes("0f01")}},
		{"av1C", "av01", av1C, media.Track{Width: 320, Height: 240}},
		{"AAC LC 44.1 kHz stereo", "mp4a", "1210", media.Track{SampleRate: 44100, Channels: 2, SamplesPerFrame: 1024}},
		{"AAC LC, SBR said to be absent", "mp4a", "121056e500", media.Track{SampleRate: 44100, Channels: 2, SamplesPerFrame: 1024}},
		{"AAC LC 7.1", "mp4a", "11b8", media.Track{SampleRate: 48000, Channels: 8, SamplesPerFrame: 1024}},
		{"AAC LC, rate written out", "mp4a", "178056 2210", media.Track{SampleRate: 44100, Channels: 2, SamplesPerFrame: 1024}},
		{"AAC Main", "mp4a", "0a10", media.Track{SampleRate: 44100, Channels: 2, SamplesPerFrame: 1024}},
		{"AAC LC, 960 samples", "mp4a", "1194", media.Track{SampleRate: 48000, Channels: 2, SamplesPerFrame: 960}},
		{"AAC LC, channels in a program config element", "mp4a", "1180 040800c0 0000", media.Track{SampleRate: 48000, Channels: 2, SamplesPerFrame: 1024}},
		{"HE-AAC, hierarchical", "mp4a", "2b920800", media.Track{SampleRate: 44100, Channels: 2, SamplesPerFrame: 2048}},
		{"HE-AAC, backward compatible", "mp4a", "139056e5a0", media.Track{SampleRate: 44100, Channels: 2, SamplesPerFrame: 2048}},
		{"HE-AAC v2, hierarchical", "mp4a", "eb8a0800", media.Track{SampleRate: 44100, Channels: 2, SamplesPerFrame: 2048}},
		{"HE-AAC v2, backward compatible", "mp4a", "138856e5a54880", media.Track{SampleRate: 44100, Channels: 2, SamplesPerFrame: 2048}},
		{"SBR at the rate of the core", "mp4a", "131056e5b0", media.Track{SampleRate: 24000, Channels: 2, SamplesPerFrame: 1024}},
		{"xHE-AAC", "mp4a", "f94640", media.Track{SampleRate: 48000, Channels: 2}},
		{"OpusHead", "Opus", opusHead, media.Track{SampleRate: 48000, Channels: 2}},
		{"OpusHead with a mapping", "Opus", "'OpusHead' 01 06 3801 80bb0000 0000 01 0402 000401020305", media.Track{SampleRate: 48000, Channels: 6}},
		{"FLAC", "fLaC", flacInfo, media.Track{SampleRate: 44100, Channels: 1, SamplesPerFrame: 4608}},
	} {
		t.Run(c.name, func(t *testing.T) {
			got := trackOf(t, c.fourCC, c.config)
			if !got.Parsed {
				t.Fatal(got.Err)
			}
			c.want.Kind, c.want.Codec, c.want.Name, c.want.Parsed = got.Kind, got.Codec, c.fourCC, true
			c.want.Config = unhex(t, c.config)
			if diff := cmp.Diff(&c.want, got, cmpopts.EquateApprox(0, 0.001)); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// TestConfigureErrors checks that headers which do not parse still make a track, with their
// configuration and a reason.
func TestConfigureErrors(t *testing.T) {
	for _, c := range []struct{ name, fourCC, config string }{
		{"avcC, empty", "avc1", ""},
		{"avcC, other version", "avc1", "02" + avcC[2:]},
		{"avcC, cut off", "avc1", avcC[:40]},
		{"avcC without SPS", "avc1", "0164000d ff e0 00"},
		{"avcC, SPS of one byte", "avc1", "0164000d ff e1 0001 67 00"},
		{"hvcC, cut off", "hvc1", hvcC[:100]},
		{"hvcC without arrays", "hvc1", hvcC[:44] + "00"},
		{"hvcC, other version", "hvc1", "02" + hvcC[2:]},
		{"vvcC, cut off", "vvc1", vvcC[:len(vvcC)-2]},
		{"vvcC that announces much", "vvc1", "fe ff 8f ffff"},
		{"av1C, cut off", "av01", "8100"},
		{"av1C, other version", "av01", "82000c00"},
		{"av1C without OBUs", "av01", "81000c00"},
		{"av1C, OBU without size", "av01", "81000c00 0800"},
		{"vpcC, cut off", "vp09", "0014"},
		{"AudioSpecificConfig, empty", "mp4a", ""},
		{"AudioSpecificConfig, cut off", "mp4a", "12"},
		{"AudioSpecificConfig, reserved rate", "mp4a", "1690"},
		{"AudioSpecificConfig, rate of 0", "mp4a", "17800000 10"},
		{"AudioSpecificConfig, reserved channels", "mp4a", "1250"},
		{"AudioSpecificConfig, SBR at three times the rate", "mp4a", "2c118800"},
		{"OpusHead, cut off", "Opus", "'OpusHead' 01 02 3801"},
		{"OpusHead, something else", "Opus", "'OpusTags' 01 02 3801 80bb0000 0000 00"},
		{"OpusHead, other version", "Opus", "'OpusHead' 10 02 3801 80bb0000 0000 00"},
		{"OpusHead without channels", "Opus", "'OpusHead' 01 00 3801 80bb0000 0000 00"},
		{"FLAC without STREAMINFO", "fLaC", "'fLaC' 84000022" + strings.Repeat("00", 34)},
		{"FLAC, cut off", "fLaC", flacInfo[:24]},
		{"FLAC without rate", "fLaC", "'fLaC' 80000022" + strings.Repeat("00", 34)},
	} {
		got := trackOf(t, c.fourCC, c.config)
		if got.Parsed || got.Err == "" || string(got.Config) != string(unhex(t, c.config)) {
			t.Errorf("%s: parsed %v, reason %q, configuration %x", c.name, got.Parsed, got.Err, got.Config)
		}
	}
}

// TestBoxedConfig checks that Config is the record where an encoder sent the version and flags of
// its box too.
func TestBoxedConfig(t *testing.T) {
	for _, c := range []struct{ fourCC, boxed, record string }{
		{"vp09", "01000000" + vpcC, vpcC},
		{"vvc1", "00000000" + vvcC, vvcC},
	} {
		if got := trackOf(t, c.fourCC, c.boxed); string(got.Config) != string(unhex(t, c.record)) {
			t.Errorf("%s: %x", c.fourCC, got.Config)
		}
	}
}

// TestEmptyOpusHead: E-RTMP lets the header be empty for mono and stereo.
func TestEmptyOpusHead(t *testing.T) {
	got := trackOf(t, "Opus", "")
	want := unhex(t, "'OpusHead' 01 02 0000 80bb0000 0000 00")
	if !got.Parsed || got.SampleRate != 48000 || got.Channels != 2 || string(got.Config) != string(want) {
		t.Fatalf("%+v", got)
	}
}

// TestTrackFromFrame checks the tracks of codecs without sequence header.
func TestTrackFromFrame(t *testing.T) {
	for _, c := range []struct {
		name, body              string
		rate, channels, samples int
	}{
		{"MP3, MPEG 1", "2f" + mp3At44100, 44100, 1, 1152},
		{"MP3, MPEG 1 stereo", "2f fffb9400 00", 48000, 2, 1152},
		{"MP3, MPEG 2", "2f fff340c0 00", 22050, 1, 576},
		{"MP3, MPEG 2.5", "ee" + mp3At8000, 8000, 1, 576},
		{"enhanced MP3", "91 '.mp3'" + mp3At44100, 44100, 1, 1152},
		{"AC-3", "91 'ac-3'" + ac3Frame, 48000, 2, 1536},
		{"E-AC-3 of six blocks", "91 'ec-3'" + eac3Frame, 48000, 2, 1536},
		{"E-AC-3, two frames of one block", "91 'ec-3' 0b77000304 8000 00 0b77000304 8000 00", 48000, 2, 512},
		{"E-AC-3 with a dependent frame", "91 'ec-3' 0b77000334 8000 00 0b77400334 8000 00", 48000, 2, 1536},
		{"A-law, mono", "72 aa", 8000, 1, 0},
		{"mu-law, stereo", "83 aa", 8000, 2, 0},
		{"Speex", "b6 aa", 16000, 1, 320},
	} {
		var d Demuxer
		got := one(t, &d, TypeAudio, 0, unhex(t, c.body)).Track
		if !got.Parsed || got.Err != "" || got.SampleRate != c.rate || got.Channels != c.channels || got.SamplesPerFrame != c.samples {
			t.Errorf("%s: %+v", c.name, got)
		}
	}
	for _, body := range []string{"2f 00", "2f fffb", "2f fffbf0c000", "91 'ac-3' 0b77", "91 'ac-3' 0b77ffffc00000", "91 'ec-3' 0b77", "5f aa", "91 'mp4a' 21"} {
		var d Demuxer
		if got := one(t, &d, TypeAudio, 0, unhex(t, body)).Track; got.Parsed || got.Err == "" || got.SampleRate != 0 {
			t.Errorf("%s: %+v", body, got)
		}
	}
}

// FuzzConfigure checks that no header can do harm, and that what parses holds together.
func FuzzConfigure(f *testing.F) {
	seeds := map[string]string{
		"avc1": avcC, "hvc1": hvcC, "vvc1": vvcC, "av01": av1C, "vp09": vpcC, "mp4a": "2b920800", "Opus": opusHead, "fLaC": flacInfo,
	}
	for fourCC, config := range seeds {
		f.Add(uint32(unhex(f, "'"+fourCC+"'")[0])<<24|ui24(unhex(f, "'"+fourCC[1:]+"'")), unhex(f, config))
	}
	f.Fuzz(func(t *testing.T, fourCC uint32, config []byte) {
		for _, kind := range []media.Kind{media.Video, media.Audio} {
			track := newTrack(kind, 0, format(fourCC))
			codec.Configure(track, config)
			if track.Parsed != (track.Err == "") {
				t.Fatalf("parsed %v, reason %q", track.Parsed, track.Err)
			}
			if !track.Parsed {
				continue
			}
			switch track.Codec {
			case media.H264, media.HEVC, media.VVC:
				size := 0
				for _, set := range track.ParameterSets {
					size += len(set)
				}
				if len(track.ParameterSets) == 0 || size > len(config) || track.NALLengthSize < 1 || track.NALLengthSize > 4 {
					t.Fatalf("%+v", track)
				}
			case media.AAC, media.Opus, media.FLAC:
				if track.SampleRate <= 0 || track.SampleRate > 1<<20 || track.Channels <= 0 || track.SamplesPerFrame < 0 {
					t.Fatalf("%+v", track)
				}
			}
			if kind == media.Video && (track.Width < 0 || track.Height < 0) {
				t.Fatalf("%+v", track)
			}
		}
	})
}
