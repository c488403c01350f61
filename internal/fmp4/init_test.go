package fmp4

import (
	"bytes"
	"encoding/hex"
	"errors"
	"strings"
	"testing"

	"github.com/bluenviron/mediacommon/v2/pkg/formats/fmp4"
	"github.com/bluenviron/mediacommon/v2/pkg/formats/mp4/codecs"
	"github.com/google/go-cmp/cmp"

	"livego/internal/media"
)

// initCase is a track, a sample of it where its codec needs one, and what the init segment must
// hold.
type initCase struct {
	name   string
	track  *media.Track
	sample string
	// entry is the payload of the decoder configuration box, by the standard.
	box, entry string
	want       codecs.Codec
}

func initCases(t testing.TB) []initCase {
	opus6 := "4f70757348656164 01 06 3801 80bb0000 ff00 01 0402 000401020305"
	return []initCase{
		{"h264", h264Track(t), "", "avc1/avcC", avcMain, nil},
		{"h264-anamorphic", videoTrack(t, media.H264, avcBaseline), "", "avc1/pasp", "00000004 00000003", nil},
		{"h264-pq", videoTrack(t, media.H264, avcPQ), "", "avc1/colr", "6e636c78 0009 0010 0009 00", nil},
		// the arrays are marked as complete
		{"hevc", videoTrack(t, media.HEVC, hevcMain), "", "hvc1/hvcC", strings.NewReplacer("a10001", "a10001", "a00001", "a00001").Replace(hevcMain), nil},
		{"hevc-hdr10", hdr10(videoTrack(t, media.HEVC, hevcMain)), "", "hvc1/colr", "6e636c78 0009 0010 0009 00", nil},
		{"hevc-dolby-vision-8.4", dolbyTrack(t, 8, hevcHLG), "", "hvc1/dvvC", "0100 100d 40000000 00000000 00000000 00000000 00000000", nil},
		{"hevc-dolby-vision-5", dolbyTrack(t, 5, hevcMain), "", "dvh1/dvcC", "0100 0a0d 00000000 00000000 00000000 00000000 00000000", nil},
		{"vvc", videoTrack(t, media.VVC, vvcMain), "", "vvc1/vvcC", "00000000" + vvcMain, nil},
		{"av1", videoTrack(t, media.AV1, av1Main), "", "av01/av1C", av1Main, nil},
		{"vp9", videoTrack(t, media.VP9, "0000820202020000"), "", "vp09/vpcC", "01000000 000b 82 020202 0000",
			&codecs.VP9{Width: 192, Height: 108, BitDepth: 8, ChromaSubsampling: 1}},
		{"aac", aacTrack(t), "", "mp4a/esds", "00000000 03 80808025 0000 00 04 80808017 40 15 000000 00000000 00000000" +
			"05 80808005 118856e500 06 80808001 02", nil},
		{"mp3", audioTrack(t, media.MP3, "", 44100, 1, 1152), "", "mp4a/esds", "00000000 03 8080801b 0000 00 04 8080800d 6b 15 000000 00000000 00000000" +
			"06 80808001 02", &codecs.MPEG1Audio{SampleRate: 44100, ChannelCount: 1}},
		{"opus", audioTrack(t, media.Opus, opusMono, 48000, 1, 0), "", "Opus/dOps", "00 01 0138 0000bb80 0000 00", &codecs.Opus{ChannelCount: 1}},
		{"opus-5.1", audioTrack(t, media.Opus, opus6, 48000, 6, 0), "", "Opus/dOps", "00 06 0138 0000bb80 00ff 01 04 02 000401020305", &codecs.Opus{ChannelCount: 6}},
		{"flac", audioTrack(t, media.FLAC, strings.Replace(flacMono, "80000022", "00000022", 1)+"84000004aabbccdd", 44100, 1, 4608), "", "fLaC/dfLa", "00000000" + flacMono[8:], nil},
		{"ac3", audioTrack(t, media.AC3, "", 48000, 1, 1536), ac3Mono, "ac-3/dac3", "1008c0",
			&codecs.AC3{SampleRate: 48000, ChannelCount: 1, Bsid: 8, Acmod: 1, BitRateCode: 6}},
		{"ac3-5.1", audioTrack(t, media.AC3, "", 48000, 6, 1536), ac3Of6, "ac-3/dac3", "103de0",
			&codecs.AC3{SampleRate: 48000, ChannelCount: 6, Bsid: 8, Acmod: 7, LfeOn: true, BitRateCode: 15}},
		{"eac3", audioTrack(t, media.EAC3, "", 48000, 6, 1536), eac3Of6 + strings.Repeat("00", 1792-32), "ec-3/dec3", "0e00 200f00",
			&codecs.EAC3{SampleRate: 48000, ChannelCount: 6, DataRate: 448, Acmod: 7, LfeOn: true}},
	}
}

func appendInit(t testing.TB, c *initCase) []byte {
	t.Helper()
	b, err := AppendInit(nil, c.track, unhex(t, c.sample))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestInitGolden(t *testing.T) {
	for _, c := range initCases(t) {
		t.Run(c.name, func(t *testing.T) {
			b := appendInit(t, &c)
			golden(t, "init-"+c.name+".txt", dump(t, b))
			want := hex.EncodeToString(unhex(t, c.entry))
			if got := hex.EncodeToString(find(t, b, c.box)); got != want {
				t.Errorf("%s is\n%s, want\n%s", c.box, got, want)
			}
		})
	}
}

// TestInitRead reads init segments with a library.
func TestInitRead(t *testing.T) {
	for _, c := range initCases(t) {
		if c.track.Codec == media.VVC || c.track.DolbyVision == 5 { // which it does not know
			continue
		}
		t.Run(c.name, func(t *testing.T) {
			var got fmp4.Init
			if err := got.Unmarshal(bytes.NewReader(appendInit(t, &c))); err != nil {
				t.Fatal(err)
			}
			if len(got.Tracks) != 1 || got.Tracks[0].ID != int(trackID(c.track)) || got.Tracks[0].TimeScale != timescale(c.track) {
				t.Fatalf("tracks %+v", got.Tracks)
			}
			if c.want != nil {
				if diff := cmp.Diff(c.want, got.Tracks[0].Codec); diff != "" {
					t.Error(diff)
				}
			}
		})
	}
}

// TestInitHEVCArrays checks that the record of an encoder which leaves its arrays incomplete
// becomes one that hvc1 may have.
func TestInitHEVCArrays(t *testing.T) {
	incomplete := strings.NewReplacer("0f03a00001", "0f03200001", "a1000100", "21000100", "a2000100", "22000100").Replace(hevcMain)
	if incomplete == hevcMain {
		t.Fatal("nothing was replaced")
	}
	incomplete = "00" + incomplete[2:] // a version from before the standard
	track := videoTrack(t, media.HEVC, incomplete)
	b, err := AppendInit(nil, track, nil)
	if err != nil {
		t.Fatal(err)
	}
	if got := hex.EncodeToString(find(t, b, "hvc1/hvcC")); got != hevcMain {
		t.Errorf("hvcC is\n%s, want\n%s", got, hevcMain)
	}
	if hex.EncodeToString(track.Config) != incomplete {
		t.Error("the track was changed")
	}
}

// TestInitRate checks sample entries of rates that 16 bits cannot hold.
func TestInitRate(t *testing.T) {
	for rate, want := range map[int]uint32{8000: 8000, 48000: 48000, 65535: 65535, 88200: 44100, 96000: 48000, 192000: 48000, 768000: 48000} {
		if got := entryRate(rate); got != want {
			t.Errorf("%d Hz: %d, want %d", rate, got, want)
		}
	}
}

func TestInitAppends(t *testing.T) {
	alone, err := AppendInit(nil, aacTrack(t), nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := AppendInit([]byte("before"), aacTrack(t), nil)
	if err != nil || string(got) != "before"+string(alone) {
		t.Errorf("%v, %d bytes", err, len(got))
	}
}

// TestInitWithoutFrame: AC-3 and E-AC-3 need a sample.
func TestInitWithoutFrame(t *testing.T) {
	for _, codec := range []media.Codec{media.AC3, media.EAC3} {
		track := audioTrack(t, codec, "", 48000, 2, 1536)
		for _, sample := range []string{"", "0b77", "0b77037f3f", "fffb50c4000000", "0b77ffffffffffffffff"} {
			if dst, err := AppendInit([]byte("kept"), track, unhex(t, sample)); !errors.Is(err, ErrData) || string(dst) != "kept" {
				t.Errorf("%s from %q: %v", codec, sample, err)
			}
		}
	}
}
