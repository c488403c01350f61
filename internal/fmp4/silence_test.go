package fmp4_test

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"livego/internal/fmp4"
	"livego/internal/media"
)

// silenceTracks are tracks for which there is silence, by name.
func silenceTracks() map[string]*media.Track {
	tracks := make(map[string]*media.Track)
	for layout, channels := range map[byte]int{1: 1, 2: 2, 3: 3, 4: 4, 5: 5, 6: 6, 7: 8} {
		for index, rate := range map[byte]int{3: 48000, 4: 44100, 11: 8000} {
			config := []byte{2<<3 | index>>1, index<<7 | layout<<3}
			tracks[fmt.Sprintf("AAC layout %d at %d", layout, rate)] = &media.Track{
				Kind: media.Audio, Codec: media.AAC, Config: config, Parsed: true, SampleRate: rate, Channels: channels, SamplesPerFrame: 1024,
			}
		}
	}
	for _, channels := range []int{1, 2} {
		head := append([]byte("OpusHead"), 1, byte(channels), 0, 0, 0x80, 0xBB, 0, 0, 0, 0, 0)
		tracks[fmt.Sprintf("Opus of %d", channels)] = &media.Track{
			Kind: media.Audio, Codec: media.Opus, Config: head, Parsed: true, SampleRate: 48000, Channels: channels,
		}
		for _, rate := range []int{48000, 44100, 32000, 24000, 22050, 16000} {
			samples := 1152
			if rate < 32000 {
				samples = 576
			}
			tracks[fmt.Sprintf("MP3 of %d at %d", channels, rate)] = &media.Track{
				Kind: media.Audio, Codec: media.MP3, Parsed: true, SampleRate: rate, Channels: channels, SamplesPerFrame: samples,
			}
		}
	}
	return tracks
}

// TestSilence has FFmpeg decode silence: without complaint, as long as it should be, and with nothing in it.
func TestSilence(t *testing.T) {
	if _, err := exec.LookPath("ffmpeg"); err != nil {
		t.Skip("ffmpeg is not installed")
	}
	const frames = 50
	for name, track := range silenceTracks() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			data, length := fmp4.Silence(track)
			if data == nil {
				t.Fatal("there is none")
			}
			samples := track.SamplesPerFrame
			if samples == 0 {
				samples = 960
			}
			var units []media.AccessUnit
			for i := range frames {
				at := time.Duration(i) * length
				units = append(units, media.AccessUnit{Track: track, DTS: at, PTS: at, RandomAccess: true, Data: data})
			}
			init, err := fmp4.AppendInit(nil, track, data)
			if err != nil {
				t.Fatal(err)
			}
			file := filepath.Join(t.TempDir(), "out.mp4")
			if err := os.WriteFile(file, append(init, write(t, units)...), 0o644); err != nil {
				t.Fatal(err)
			}
			pcm := run(t, "ffmpeg", "-nostdin", "-v", "error", "-xerror", "-err_detect", "explode", "-i", file, "-f", "s16le", "-")
			for i, b := range pcm {
				if b != 0 {
					t.Fatalf("byte %d of %d is %d", i, len(pcm), b)
				}
			}
			if want := frames * samples * track.Channels * 2; len(pcm) < want*9/10 || len(pcm) > want*11/10 {
				t.Errorf("%d bytes of sound, want %d", len(pcm), want)
			}
		})
	}
}

// TestNoSilence: what has none.
func TestNoSilence(t *testing.T) {
	surround := append([]byte("OpusHead"), 1, 6, 0, 0, 0x80, 0xBB, 0, 0, 0, 0, 1, 4, 2, 0, 4, 1, 2, 3, 5)
	for _, track := range []*media.Track{
		{Codec: media.AAC, Channels: 2, SampleRate: 48000},                                            // no configuration
		{Codec: media.AAC, Config: []byte{5<<3 | 6>>1, 0x88, 0}, Channels: 2, SampleRate: 48000},      // HE-AAC
		{Codec: media.AAC, Config: []byte{2<<3 | 3, 0x10}, Channels: 2, SampleRate: 48000},            // implicit HE-AAC
		{Codec: media.AAC, Config: []byte{2<<3 | 3>>1, 0x80}, Channels: 2, SampleRate: 48000},         // layout in the frames
		{Codec: media.AAC, Config: []byte{2<<3 | 3>>1, 0x80 | 11<<3}, Channels: 7, SampleRate: 48000}, // layout of 2013
		{Codec: media.MP3, Channels: 2, SampleRate: 11025},                                            // MPEG-2.5
		{Codec: media.Opus, Config: surround, Channels: 6, SampleRate: 48000},
		{Codec: media.FLAC, Channels: 2, SampleRate: 48000},
		{Codec: media.AC3, Channels: 2, SampleRate: 48000},
	} {
		if data, _ := fmp4.Silence(track); data != nil {
			t.Errorf("%s, %x: %x", track.Codec, track.Config, data)
		}
	}
}
