package hls

import (
	"encoding/binary"
	"encoding/hex"
	"math"
	"slices"
	"testing"
	"time"

	"livego/internal/media"
)

func unhex(s string) []byte {
	b, err := hex.DecodeString(s)
	if err != nil {
		panic(err)
	}
	return b
}

// avcTrack is what libx264 makes of 192 x 108 pictures.
func avcTrack(id uint8) *media.Track {
	c := unhex("0164000bffe100196764000bacd9430ffbc044000003000400000300c83c50a65801000468ef8fcbfdf8f800")
	return &media.Track{Kind: media.Video, ID: id, Codec: media.H264, Config: c, Parsed: true, Width: 192, Height: 108, NALLengthSize: 4,
		ParameterSets: [][]byte{c[8:33]}}
}

func soundTrack(codec media.Codec, config string, rate, samples int) *media.Track {
	return &media.Track{Kind: media.Audio, Codec: codec, Config: unhex(config), Parsed: true, SampleRate: rate, Channels: 1, SamplesPerFrame: samples}
}

func aac(rate int) *media.Track { return soundTrack(media.AAC, "118856e500", rate, 1024) }

func opus48() *media.Track {
	return soundTrack(media.Opus, "4f70757348656164010138"+"0180bb0000000000", 48000, 0)
}

// studio makes units of exact rates, with times in milliseconds as RTMP has them.
type studio struct {
	video, audio *media.Track
	// rate is pictures per second, gop pictures from one random access point to the next, reorder
	// makes B-frames.
	rate    float64
	gop     int
	reorder bool
	// audioEvery is the length of an audio frame in seconds.
	audioEvery float64
	// begin is the time of the first unit.
	begin             time.Duration
	epoch             uint32
	pictures, samples int
	bytes             int
}

func millis(s float64) time.Duration { return time.Duration(math.Round(s*1000)) * time.Millisecond }

// until makes all units up to a time after begin, in the order of their times.
func (s *studio) until(end time.Duration) []media.AccessUnit {
	var units []media.AccessUnit
	for {
		v, a := time.Duration(math.MaxInt64), time.Duration(math.MaxInt64)
		if s.video != nil {
			v = millis(float64(s.pictures) / s.rate)
		}
		if s.audio != nil {
			a = millis(float64(s.samples) * s.audioEvery)
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

func (s *studio) stamp(u media.AccessUnit) media.AccessUnit {
	u.DTS += s.begin
	u.PTS += s.begin
	u.Epoch = s.epoch
	u.Arrived = time.Date(2026, 3, 1, 12, 0, 0, 0, time.UTC).Add(u.DTS).UnixNano()
	return u
}

func (s *studio) picture(at time.Duration) media.AccessUnit {
	key := s.pictures%s.gop == 0
	u := picture(s.video, int(at/time.Millisecond), key, s.pictures)
	if s.bytes > 0 {
		u.Data = append(binary.BigEndian.AppendUint32(nil, uint32(s.bytes)), make([]byte, s.bytes)...)
	}
	if s.reorder {
		u.PTS += millis(float64([]int{1, 3, 0, 1}[s.pictures%4]) / s.rate)
	}
	s.pictures++
	return s.stamp(u)
}

func (s *studio) sound(at time.Duration) media.AccessUnit {
	data := audioFrame(s.audio, s.samples)
	if s.audio.Codec == media.Opus {
		data = append([]byte{0xfc}, data...) // 20 ms
	}
	s.samples++
	return s.stamp(media.AccessUnit{Track: s.audio, RandomAccess: true, DTS: at, PTS: at, Data: data})
}

// sample is what a player gets of a unit.
type sample struct {
	data     string
	dts, pts time.Duration
	key      bool
}

func ticks(n, scale int64) time.Duration {
	return time.Duration(math.Round(float64(n) / float64(scale) * 1e9))
}

// samplesOf is what samples should find of units.
func samplesOf(units []media.AccessUnit, t *media.Track) []sample {
	var out []sample
	for _, u := range units {
		if u.Track == t && u.Header == media.Sample {
			out = append(out, sample{string(u.Data), u.DTS, u.PTS, u.RandomAccess})
		}
	}
	return out
}

// sameSamples compares what came out with what went in: bytes, order, and times to within a
// tolerance.
func sameSamples(t testing.TB, got, want []sample, tolerance time.Duration) {
	t.Helper()
	if len(got) != len(want) {
		t.Errorf("%d samples of %d", len(got), len(want))
	}
	for i := range min(len(got), len(want)) {
		g, w := got[i], want[i]
		if g.data != w.data || g.key != w.key || (g.pts-w.pts).Abs() > tolerance {
			t.Fatalf("sample %d: %q at %v (%v), want %q at %v (%v)", i, g.data, g.pts, g.key, w.data, w.pts, w.key)
		}
	}
}

// encoders are three publications of one stream, one of them with two video tracks.
func encoders(rate float64, gop int) []*studio {
	var all []*studio
	for range 3 {
		all = append(all, &studio{video: avcTrack(0), audio: aac(48000), audioEvery: 1024.0 / 48000, rate: rate, gop: gop})
	}
	return all
}

// nameOf is the name of one of the publications of encoders.
func nameOf(i int) string { return []string{"", "720p", "360p"}[i] }

// without leaves out the sound from one time to another.
func without(units []media.AccessUnit, from, to time.Duration) []media.AccessUnit {
	return slices.DeleteFunc(units, func(u media.AccessUnit) bool {
		return u.Track.Kind == media.Audio && u.DTS >= from && u.DTS < to
	})
}

// soundOf makes a studio whose sound is of a codec.
func soundOf(codec media.Codec) *studio {
	s := &studio{video: avcTrack(0), rate: 25, gop: 50, audio: aac(48000), audioEvery: 1024.0 / 48000}
	switch codec {
	case media.Opus:
		s.audio, s.audioEvery = opus48(), 0.02
	case media.MP3:
		s.audio, s.audioEvery = soundTrack(media.MP3, "", 44100, 1152), 1152.0/44100
	}
	return s
}

// refresh makes recovery points of all random access points but the first.
func refresh(units []media.AccessUnit) []media.AccessUnit {
	for i := range units {
		if u := &units[i]; u.Track.Kind == media.Video && u.RandomAccess {
			u.Recovery = u.DTS > 0
		}
	}
	return units
}

// skipping lets the first picture behind each random access point be one that is skipped if
// decoding begins there.
func skipping(units []media.AccessUnit) []media.AccessUnit {
	behind := false
	for i := range units {
		if u := &units[i]; u.Track.Kind == media.Video {
			u.Skipped, behind = behind, u.RandomAccess
		}
	}
	return units
}
