package hlstest

import (
	"cmp"
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"strings"
	"testing"
	"time"

	"livego/internal/media"
)

// Unhex reads hexadecimal digits.
func Unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// AVCTrack is what libx264 makes of 192 x 108 pictures.
func AVCTrack(id uint8) *media.Track {
	c := Unhex("0164000bffe100196764000bacd9430ffbc044000003000400000300c83c50a65801000468ef8fcbfdf8f800")
	return &media.Track{Kind: media.Video, ID: id, Codec: media.H264, Config: c, Parsed: true, Width: 192, Height: 108, NALLengthSize: 4,
		ParameterSets: [][]byte{c[8:33]}}
}

// SoundTrack is a track of sound, whose header is in hexadecimal digits.
func SoundTrack(codec media.Codec, config string, rate, samples int) *media.Track {
	return &media.Track{Kind: media.Audio, Codec: codec, Config: Unhex(config), Parsed: true, SampleRate: rate, Channels: 1, SamplesPerFrame: samples}
}

// AAC is a mono track of AAC.
func AAC(rate int) *media.Track { return SoundTrack(media.AAC, "118856e500", rate, 1024) }

// Opus48 is a mono track of Opus.
func Opus48() *media.Track {
	return SoundTrack(media.Opus, "4f70757348656164010138"+"0180bb0000000000", 48000, 0)
}

// Source makes units of exact rates, with times in milliseconds as RTMP has them.
type Source struct {
	Video, Audio *media.Track
	// Rate is pictures per second, Gop pictures from one random access point to the next, reorder
	// makes B-frames.
	Rate    float64
	Gop     int
	Reorder bool
	// AudioEvery is the length of an audio frame in seconds.
	AudioEvery float64
	// Begin is the time of the first unit.
	Begin             time.Duration
	Epoch             uint32
	pictures, Samples int
	Bytes             int
}

func millis(s float64) time.Duration { return time.Duration(math.Round(s*1000)) * time.Millisecond }

// Until makes all units up to a time after begin, in the order of their times.
func (s *Source) Until(end time.Duration) []media.AccessUnit {
	var units []media.AccessUnit
	for {
		v, a := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
		if s.Video != nil {
			v = millis(float64(s.pictures) / s.Rate)
		}
		if s.Audio != nil {
			a = millis(float64(s.Samples) * s.AudioEvery)
		}
		if min(a, v) >= end {
			return units
		}
		if v <= a {
			units = append(units, s.picture(v))
		} else {
			units = append(units, s.sound(a))
		}
	}
}

// Stamp gives a unit the session and the time at which it arrived.
func (s *Source) Stamp(u media.AccessUnit) media.AccessUnit {
	u.DTS += s.Begin
	u.PTS += s.Begin
	u.Epoch = s.Epoch
	u.Arrived = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(u.DTS).UnixNano()
	return u
}

func (s *Source) picture(at time.Duration) media.AccessUnit {
	key := s.pictures%s.Gop == 0
	u := Picture(s.Video, int(at/time.Millisecond), key, s.pictures)
	if s.Bytes > 0 {
		u.Data = append(binary.BigEndian.AppendUint32(nil, uint32(s.Bytes)), make([]byte, s.Bytes)...)
	}
	if s.Reorder {
		u.PTS += millis(float64([]int{1, 3, 0, 1}[s.pictures%4]) / s.Rate)
	}
	s.pictures++
	return s.Stamp(u)
}

func (s *Source) sound(at time.Duration) media.AccessUnit {
	data := audioFrame(s.Audio, s.Samples)
	if s.Audio.Codec == media.Opus {
		data = append([]byte{0xfc}, data...) // 20 ms
	}
	s.Samples++
	return s.Stamp(media.AccessUnit{Track: s.Audio, RandomAccess: true, DTS: at, PTS: at, Data: data})
}

// Sample is what a player gets of a unit.
type Sample struct {
	Data     string
	DTS, PTS time.Duration
	Key      bool
}

// Ticks is how long n units of a time scale last.
func Ticks(n, scale int64) time.Duration {
	return time.Duration(math.Round(float64(n) / float64(scale) * 1e9))
}

// SamplesOf is what samples should find of units.
func SamplesOf(units []media.AccessUnit, t *media.Track) []Sample {
	var out []Sample
	for _, u := range units {
		if u.Track == t && u.Header == media.Sample {
			out = append(out, Sample{string(u.Data), u.DTS, u.PTS, u.RandomAccess})
		}
	}
	return out
}

// SameSamples compares what came out with what went in: bytes, order, and times to within a
// tolerance.
func SameSamples(t testing.TB, got, want []Sample, tolerance time.Duration) {
	t.Helper()
	for len(got) > len(want) && !strings.Contains(got[len(got)-1].Data, "frame ") {
		got = got[:len(got)-1] // silence up to the end of the pictures
	}
	if len(got) != len(want) {
		t.Errorf("%d samples of %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.Data != w.Data || g.Key != w.Key || (g.PTS-w.PTS).Abs() > tolerance {
			t.Fatalf("sample %d: %q at %v (%v), want %q at %v (%v)", i, g.Data, g.PTS, g.Key, w.Data, w.PTS, w.Key)
		}
	}
}

// Encoders are three publications of one stream, one of them with two video tracks.
func Encoders(rate float64, gop int) []*Source {
	var all []*Source
	for range 3 {
		all = append(all, &Source{Video: AVCTrack(0), Audio: AAC(48000), AudioEvery: 1024.0 / 48000, Rate: rate, Gop: gop})
	}
	return all
}

// NameOf is the name of one of the publications of encoders.
func NameOf(i int) string { return []string{"", "720p", "360p"}[i] }

// Without leaves out the sound from one time to another.
func Without(units []media.AccessUnit, from, to time.Duration) []media.AccessUnit {
	return slices.DeleteFunc(units, func(u media.AccessUnit) bool {
		return u.Track.Kind == media.Audio && u.DTS >= from && u.DTS < to
	})
}

// InBursts lets those units that are of a kind come only each so often, all that there are of that
// time, the first of them that much earlier than the time is over. They come before the others.
func InBursts(units []media.AccessUnit, kind media.Kind, each, earlier time.Duration) []media.AccessUnit {
	from := units[0].Arrived
	for i := range units {
		if u := &units[i]; u.Track.Kind == kind {
			since := time.Duration(u.Arrived-from) + earlier
			u.Arrived = from + int64(max(0, since-since%each-earlier))
		}
	}
	slices.SortStableFunc(units, func(a, b media.AccessUnit) int { return cmp.Compare(a.Arrived, b.Arrived) })
	return units
}

// SoundOf makes a source whose sound is of a codec.
func SoundOf(codec media.Codec) *Source {
	s := &Source{Video: AVCTrack(0), Rate: 25, Gop: 50, Audio: AAC(48000), AudioEvery: 1024.0 / 48000}
	switch codec {
	case media.Opus:
		s.Audio, s.AudioEvery = Opus48(), 0.02
	case media.MP3:
		s.Audio, s.AudioEvery = SoundTrack(media.MP3, "", 44100, 1152), 1152.0/44100
	}
	return s
}

// Refresh makes recovery points of all random access points but the first.
func Refresh(units []media.AccessUnit) []media.AccessUnit {
	for i := range units {
		if u := &units[i]; u.Track.Kind == media.Video && u.RandomAccess {
			u.Recovery = u.DTS > 0
		}
	}
	return units
}

// Skipping lets the first picture behind each random access point be one that is skipped if
// decoding begins there.
func Skipping(units []media.AccessUnit) []media.AccessUnit {
	behind := false
	for i := range units {
		if u := &units[i]; u.Track.Kind == media.Video {
			u.Skipped, behind = behind, u.RandomAccess
		}
	}
	return units
}
