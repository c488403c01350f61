package codec

import (
	"testing"

	"livego/internal/media"
)

func TestFrameSamples(t *testing.T) {
	aac := &media.Track{Codec: media.AAC, SampleRate: 48000, SamplesPerFrame: 1024}
	opus, flac := &media.Track{Codec: media.Opus, SampleRate: 48000}, &media.Track{Codec: media.FLAC, SampleRate: 44100}
	fixed := &media.Track{Codec: media.FLAC, SampleRate: 44100, SamplesPerFrame: 4608}
	for _, c := range []struct {
		name  string
		track *media.Track
		frame string
		want  int64
	}{
		{"AAC", aac, "21", 1024},
		{"Opus, CELT of 20 ms", opus, "f8 00", 960},     // RFC 6716 table 2: configuration 31
		{"Opus, SILK of 60 ms", opus, "18 00", 2880},    // configuration 3
		{"Opus, two of 2.5 ms", opus, "e1 00", 240},     // configuration 28, code 1
		{"Opus, 6 of 20 ms", opus, "fb 06 00", 5760},    // configuration 31, code 3
		{"Opus, more than may be", opus, "fb 07 00", 0}, //
		{"Opus, cut off", opus, "fb", 0},
		{"Opus, empty", opus, "", 0},
		{"FLAC, 192", flac, "fff8 19 18 00 00", 192}, // RFC 9639 table 14
		{"FLAC, 4608", flac, "fff8 59 18 00 00", 4608},
		{"FLAC, 4096", flac, "fff9 c9 18 00 00", 4096},
		{"FLAC, 256", flac, "fff8 89 18 00 00", 256},
		{"FLAC, 8 bits", flac, "fff8 69 18 00 ff 00", 256},
		{"FLAC, 16 bits behind a number of 2 bytes", flac, "fff8 79 18 c280 1000 00", 4097},
		{"FLAC, 8 bits behind a number of 7 bytes", flac, "fff9 69 18 fe818283848586 0f 00", 16},
		{"FLAC, reserved", flac, "fff8 09 18 00 00", 0},
		{"FLAC, 16 bits cut off", flac, "fff8 79 18 c280 10", 0},
		{"FLAC, something else", flac, "ffe8 59 18 00 00", 0},
		{"FLAC, cut off", flac, "fff8 59", 0},
		{"FLAC of fixed blocks", fixed, "00", 4608},
	} {
		if got := FrameSamples(c.track, unhex(t, c.frame)); got != c.want {
			t.Errorf("%s: %d samples, want %d", c.name, got, c.want)
		}
	}
}
