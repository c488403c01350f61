package fmp4_test

import (
	"bytes"
	"fmt"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"testing"
	"time"

	"livego/internal/fmp4"
	"livego/internal/media"
)

// quietTrack is a track for which there is silence, and a frame of it where that takes one.
type quietTrack struct {
	*media.Track
	like []byte
}

func sound(codec media.Codec, config []byte, rate, channels, samples int) quietTrack {
	return quietTrack{Track: &media.Track{
		Kind: media.Audio, Codec: codec, Config: config, Parsed: true, SampleRate: rate, Channels: channels, SamplesPerFrame: samples,
	}}
}

// bits packs fields, each a number and its width, into bytes.
func bits(fields ...uint64) (b []byte) {
	pos := 0
	for i := 0; i < len(fields); i += 2 {
		for n := int(fields[i+1]) - 1; n >= 0; n-- {
			if pos%8 == 0 {
				b = append(b, 0)
			}
			b[pos/8] |= byte(fields[i]>>n&1) << (7 - pos%8)
			pos++
		}
	}
	return b
}

func flacHead(least, most, rate, channels, depth uint64) []byte {
	info := bits(least, 16, most, 16, 0, 24, 0, 24, rate, 20, channels-1, 3, depth-1, 5, 0, 36, 0, 64, 0, 64)
	return append([]byte("fLaC\x80\x00\x00\x22"), info...)
}

// silenceTracks are tracks for which there is silence, by name.
func silenceTracks() map[string]quietTrack {
	tracks := make(map[string]quietTrack)
	for layout, channels := range map[uint64]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8, 11: 7, 12: 8} {
		for index, rate := range map[uint64]int{3: 48000, 4: 44100, 11: 8000} {
			tracks[fmt.Sprintf("AAC layout %d at %d", layout, rate)] = sound(media.AAC, bits(2, 5, index, 4, layout, 4, 0, 3), rate, channels, 1024)
		}
	}
	// A program config element with a front SCE and CPE, a back CPE, and an LFE.
	tracks["AAC with a layout of its own"] = sound(media.AAC, bits(2, 5, 3, 4, 0, 4, 0, 3, 0, 4, 1, 2, 3, 4, 2, 4, 0, 4, 1, 4, 1, 2, 0, 3, 0, 4, 0, 3,
		0, 5, 0b10000, 5, 0b10001, 5, 0, 4, 0, 1, 0, 8), 48000, 6, 1024)
	tracks["AAC main"] = sound(media.AAC, bits(1, 5, 4, 4, 2, 4, 0, 3), 44100, 2, 1024)
	tracks["HE-AAC"] = sound(media.AAC, bits(5, 5, 6, 4, 2, 4, 3, 4, 2, 5, 0, 3), 48000, 2, 2048)
	tracks["HE-AAC, backward compatible"] = sound(media.AAC, bits(2, 5, 7, 4, 2, 4, 0, 3, 0x2b7, 11, 5, 5, 1, 1, 4, 4), 44100, 2, 2048)
	tracks["HE-AAC v2"] = sound(media.AAC, bits(29, 5, 6, 4, 1, 4, 3, 4, 2, 5, 0, 3), 48000, 2, 2048)
	opusHead := func(channels byte, mapping ...byte) []byte {
		return append(append([]byte("OpusHead"), 1, channels, 0, 0, 0x80, 0xBB, 0, 0, 0, 0), mapping...)
	}
	tracks["Opus of 6"] = sound(media.Opus, opusHead(6, 1, 4, 2, 0, 4, 1, 2, 3, 5), 48000, 6, 0)
	tracks["Opus of 8"] = sound(media.Opus, opusHead(8, 1, 5, 3, 0, 6, 1, 2, 3, 4, 5, 7), 48000, 8, 0)
	for _, channels := range []int{1, 2} {
		tracks[fmt.Sprintf("Opus of %d", channels)] = sound(media.Opus, opusHead(byte(channels), 0), 48000, channels, 0)
		for _, rate := range []int{48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000} {
			samples := 1152
			if rate < 32000 {
				samples = 576
			}
			tracks[fmt.Sprintf("MP3 of %d at %d", channels, rate)] = sound(media.MP3, nil, rate, channels, samples)
		}
	}
	for _, depth := range []uint64{16, 24} {
		tracks[fmt.Sprintf("FLAC of %d bits", depth)] = sound(media.FLAC, flacHead(4608, 4608, 44100, 2, depth), 44100, 2, 0)
	}
	tracks["FLAC of any block size"] = sound(media.FLAC, flacHead(16, 65535, 48000, 6, 16), 48000, 6, 0)
	return tracks
}

// dolbyTracks are tracks of AC-3 and E-AC-3 as FFmpeg makes them.
func dolbyTracks(t *testing.T) map[string]quietTrack {
	t.Helper()
	tracks := make(map[string]quietTrack)
	for layout, channels := range map[string]int{"mono": 1, "stereo": 2, "3.0": 3, "quad": 4, "5.0": 5, "5.1": 6} {
		for _, rate := range []int{48000, 44100, 32000} {
			for codec, name := range map[string]media.Codec{"ac3": media.AC3, "eac3": media.EAC3} {
				stream := run(t, "ffmpeg", "-nostdin", "-v", "error", "-f", "lavfi", "-i", "sine=sample_rate="+strconv.Itoa(rate),
					"-af", "aformat=channel_layouts="+layout, "-c:a", codec, "-b:a", "192k", "-frames:a", "1", "-f", codec, "-")
				track := sound(name, nil, rate, channels, 1536)
				track.like = stream
				tracks[fmt.Sprintf("%s %s at %d", name, layout, rate)] = track
			}
		}
	}
	return tracks
}

// TestSilence has FFmpeg decode silence: without complaint, as long as it should be, and with
// nothing in it.
func TestSilence(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	const frames = 50
	tracks := silenceTracks()
	maps.Copy(tracks, dolbyTracks(t))
	for name, track := range tracks {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, length := fmp4.Silence(track.Track, track.like)
			if data == nil {
				t.Fatal("there is none")
			}
			var units []media.AccessUnit
			for i := range frames {
				at := time.Duration(i) * length
				units = append(units, media.AccessUnit{Track: track.Track, DTS: at, PTS: at, RandomAccess: true, Data: data})
			}
			init, err := fmp4.AppendInit(nil, track.Track, data)
			if err != nil {
				t.Fatal(err)
			}
			if like, err := fmp4.AppendInit(nil, track.Track, orElse(track.like, data)); err != nil || !bytes.Equal(like, init) {
				t.Errorf("another initialization section than that of sound, %v", err)
			}
			file := filepath.Join(t.TempDir(), "out.mp4")
			if err := os.WriteFile(file, append(init, write(t, units)...), 0o644); err != nil {
				t.Fatal(err)
			}
			pcm := run(t, "ffmpeg", "-nostdin", "-v", "error", "-xerror", "-err_detect", "crccheck+bitstream+explode", "-i", file, "-f", "s16le", "-")
			for i, b := range pcm {
				if b != 0 {
					t.Fatalf("byte %d of %d is %d", i, len(pcm), b)
				}
			}
			want := int(frames*length.Seconds()*float64(track.SampleRate)+0.5) * track.Channels * 2
			if len(pcm) < want*9/10 || len(pcm) > want*11/10 {
				t.Errorf("%d bytes of sound, want %d", len(pcm), want)
			}
		})
	}
}

// TestNoSilence: what has none.
func TestNoSilence(t *testing.T) {
	for name, track := range map[string]quietTrack{
		"no configuration":      sound(media.AAC, nil, 48000, 2, 1024),
		"layout in the frames":  sound(media.AAC, bits(2, 5, 3, 4, 0, 4), 48000, 2, 1024),
		"a layout of 22.2":      sound(media.AAC, bits(2, 5, 3, 4, 13, 4, 0, 3), 48000, 24, 1024),
		"xHE-AAC":               sound(media.AAC, bits(31, 5, 10, 6, 3, 4, 2, 4, 0, 8), 48000, 2, 1024),
		"no OpusHead":           sound(media.Opus, nil, 48000, 2, 0),
		"FLAC without a header": sound(media.FLAC, nil, 48000, 2, 0),
		"FLAC of no block size": sound(media.FLAC, flacHead(0, 0, 48000, 2, 16), 48000, 2, 0),
		"AC-3 without a frame":  sound(media.AC3, nil, 48000, 2, 1536),
		"E-AC-3 cut off":        {Track: sound(media.EAC3, nil, 48000, 2, 1536).Track, like: []byte{0x0B, 0x77, 0}},
	} {
		if data, _ := fmp4.Silence(track.Track, track.like); data != nil {
			t.Errorf("%s: %x", name, data)
		}
	}
}

func orElse(a, b []byte) []byte {
	if a != nil {
		return a
	}
	return b
}
