package mpegts

import (
	"bytes"
	"encoding/binary"
	"errors"
	"math"
	"slices"
	"testing"
	"time"

	"livego/internal/media"
)

var (
	testSPS = []byte{0x67, 0x64, 0x00, 0x0a, 0xac, 0x72, 0x84, 0x44, 0x26, 0x84, 0x00, 0x00, 0x03, 0x00, 0x04, 0x00, 0x00, 0x03, 0x00, 0xca, 0x3c, 0x48, 0x96, 0x11, 0x80}
	testPPS = []byte{0x68, 0xe8, 0x43, 0x8f, 0x13, 0x21, 0x30}
)

func h264Track() *media.Track {
	return &media.Track{Kind: media.Video, Codec: media.H264, Parsed: true, NALLengthSize: 4, ParameterSets: [][]byte{testSPS, testPPS}}
}

func hevcTrack() *media.Track {
	return &media.Track{Kind: media.Video, Codec: media.HEVC, Parsed: true, NALLengthSize: 4,
		ParameterSets: [][]byte{{0x40, 1, 0xaa}, {0x42, 1, 0xbb}, {0x44, 1, 0xcc}}}
}

// aacTrack is AAC-LC, 44.1 kHz, stereo.
func aacTrack() *media.Track {
	return &media.Track{Kind: media.Audio, Codec: media.AAC, Parsed: true, Config: []byte{0x12, 0x10},
		SampleRate: 44100, Channels: 2, SamplesPerFrame: 1024}
}

func mp3Track() *media.Track {
	return &media.Track{Kind: media.Audio, Codec: media.MP3, Parsed: true, SampleRate: 44100, Channels: 2, SamplesPerFrame: 1152}
}

// avcc joins NAL units with lengths of size bytes.
func avcc(size int, nals ...[]byte) []byte {
	var b []byte
	for _, n := range nals {
		length := binary.BigEndian.AppendUint32(nil, uint32(len(n)))
		b = append(append(b, length[4-size:]...), n...)
	}
	return b
}

// annexB joins NAL units with start codes.
func annexB(nals ...[]byte) []byte {
	var b []byte
	for _, n := range nals {
		b = append(append(b, 0, 0, 0, 1), n...)
	}
	return b
}

// nalUnit is a NAL unit of a size whose bytes never look like a start code.
func nalUnit(header byte, size int) []byte {
	b := make([]byte, size)
	b[0] = header
	for i := 1; i < size; i++ {
		b[i] = byte(i*7 | 1)
	}
	return b
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

func sample(t *media.Track, dts time.Duration, data []byte) media.AccessUnit {
	return media.AccessUnit{Track: t, RandomAccess: t.Kind == media.Audio, DTS: dts, PTS: dts, Data: data}
}

func picture(t *media.Track, dts time.Duration, key bool, size int) media.AccessUnit {
	header := byte(0x41)
	if key {
		header = 0x65
	}
	u := sample(t, dts, avcc(t.NALLengthSize, nalUnit(header, size)))
	u.RandomAccess = key
	return u
}

// mux writes tables and units, and flushes.
func mux(t *testing.T, m *Muxer, units ...media.AccessUnit) []byte {
	t.Helper()
	b := m.AppendTables(nil)
	var err error
	for i := range units {
		if b, err = m.Append(b, &units[i]); err != nil {
			t.Fatalf("unit %d: %v", i, err)
		}
	}
	return m.Flush(b)
}

const offset = 10 * 90000 // timeOffset in ticks

func TestTables(t *testing.T) {
	video, audio := h264Track(), aacTrack()
	tables := []struct {
		name   string
		tracks []*media.Track
		pmt    []byte // without CRC
	}{
		{"H264 AAC", []*media.Track{audio, video}, []byte{0x02, 0xb0, 0x17, 0, 1, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 0, 0x1b, 0xe1, 0x00, 0xf0, 0, 0x0f, 0xe1, 0x01, 0xf0, 0}},
		{"audio only", []*media.Track{audio}, []byte{0x02, 0xb0, 0x12, 0, 1, 0xc1, 0, 0, 0xe1, 0x01, 0xf0, 0, 0x0f, 0xe1, 0x01, 0xf0, 0}},
		{"video only", []*media.Track{video, {Kind: media.Audio, Codec: media.Opus}}, []byte{0x02, 0xb0, 0x12, 0, 1, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 0, 0x1b, 0xe1, 0x00, 0xf0, 0}},
		{"HEVC E-AC-3", []*media.Track{hevcTrack(), {Kind: media.Audio, Codec: media.EAC3}}, []byte{0x02, 0xb0, 0x23, 0, 1, 0xc1, 0, 0, 0xe1, 0x00, 0xf0, 0,
			0x24, 0xe1, 0x00, 0xf0, 6, 5, 4, 'H', 'E', 'V', 'C', 0x87, 0xe1, 0x01, 0xf0, 6, 5, 4, 'E', 'A', 'C', '3'}},
		{"AC-3", []*media.Track{{Kind: media.Audio, Codec: media.AC3}}, []byte{0x02, 0xb0, 0x18, 0, 1, 0xc1, 0, 0, 0xe1, 0x01, 0xf0, 0, 0x81, 0xe1, 0x01, 0xf0, 6, 5, 4, 'A', 'C', '-', '3'}},
		{"MP3 44.1 kHz", []*media.Track{mp3Track()}, []byte{0x02, 0xb0, 0x12, 0, 1, 0xc1, 0, 0, 0xe1, 0x01, 0xf0, 0, 0x03, 0xe1, 0x01, 0xf0, 0}},
		{"MP3 22.05 kHz", []*media.Track{{Kind: media.Audio, Codec: media.MP3, SampleRate: 22050}}, []byte{0x02, 0xb0, 0x12, 0, 1, 0xc1, 0, 0, 0xe1, 0x01, 0xf0, 0, 0x04, 0xe1, 0x01, 0xf0, 0}},
	}
	for _, c := range tables {
		t.Run(c.name, func(t *testing.T) {
			b := NewMuxer(c.tracks...).AppendTables(nil)
			if len(b) != TablesSize {
				t.Fatalf("%d bytes", len(b))
			}
			_, seen := check(t, b)
			// The PAT of program 1 at PID 0x1000, with its CRC, as every analyser shows it.
			pat := []byte{0x00, 0xb0, 0x0d, 0x00, 0x01, 0xc1, 0x00, 0x00, 0x00, 0x01, 0xf0, 0x00, 0x2a, 0xb1, 0x04, 0xb2}
			if !bytes.Equal(seen.tables[0], pat) {
				t.Errorf("PAT % x", seen.tables[0])
			}
			if pmt := seen.tables[1]; !bytes.Equal(pmt[:len(pmt)-4], c.pmt) {
				t.Errorf("PMT\n% x, want\n% x", pmt[:len(pmt)-4], c.pmt)
			}
		})
	}
}

func TestPMTVersionRisesWithTracks(t *testing.T) {
	video, audio := h264Track(), aacTrack()
	m := NewMuxer(video)
	b := m.AppendTables(nil)
	b = m.AppendTables(b)
	m.SetTracks(video, audio)
	m.SetTracks(video, audio)
	b = m.AppendTables(b)
	_, seen := check(t, b)
	var versions []byte
	for i := 1; i < len(seen.tables); i += 2 {
		versions = append(versions, seen.tables[i][5]>>1&0x1f)
	}
	if want := []byte{0, 0, 1}; !bytes.Equal(versions, want) {
		t.Errorf("versions %v, want %v", versions, want)
	}
}

// TestSameStream: a track of which more is known goes on in the same stream, and the tables stay as
// they are.
func TestSameStream(t *testing.T) {
	video := h264Track()
	video.Config = []byte{1, 0x64, 0, 0x0a}
	known := *video
	known.Colour.Primaries, known.DolbyVision = 9, 8
	for _, c := range []struct {
		name   string
		change func(*media.Track)
	}{
		{"another header", func(t *media.Track) { t.Config = []byte{1, 0x64, 0, 0x0b} }},
		{"no header", func(t *media.Track) { t.Config = nil }},
		{"another number", func(t *media.Track) { t.ID = 1 }},
		{"audio", func(t *media.Track) { t.Kind = media.Audio }},
	} {
		other := known
		c.change(&other)
		if SameStream(video, &other) || SameStream(&other, video) {
			t.Errorf("%s is the same", c.name)
		}
	}
	again := known
	again.Config = []byte{1, 0x64, 0, 0x0a}
	if !SameStream(video, &again) {
		t.Error("the same header again is another one")
	}
	if SameStream(nil, video) || SameStream(video, nil) || SameStream(h264Track(), h264Track()) {
		t.Error("no track is the same as another")
	}
	m := NewMuxer(video)
	b := mux(t, m, picture(video, 0, true, 500))
	b = m.AppendTables(b)
	m.SetTracks(&known)
	b = append(b, mux(t, m, picture(&known, ms(40), true, 500))...)
	b = m.AppendTables(b)
	pes, seen := check(t, b)
	if len(pes[pidVideo]) != 2 || seen.tables[len(seen.tables)-1][5]>>1&0x1f != 0 {
		t.Errorf("%d pictures, tables %x", len(pes[pidVideo]), seen.tables)
	}
}

// TestSameSound: sound goes on where ADTS says the same of it.
func TestSameSound(t *testing.T) {
	for _, c := range []struct {
		name   string
		change func(*media.Track)
		same   bool
	}{
		{"the same header", func(t *media.Track) { t.Config = []byte{0x12, 0x10} }, true},
		{"one that says that there is no SBR", func(t *media.Track) { t.Config = []byte{0x12, 0x10, 0x56, 0xe5, 0} }, true},
		{"mono", func(t *media.Track) { t.Config, t.Channels = []byte{0x12, 0x08}, 1 }, false},
		{"another rate", func(t *media.Track) { t.Config, t.SampleRate = []byte{0x11, 0x90}, 48000 }, false},
		{"another object type", func(t *media.Track) { t.Config = []byte{0x0a, 0x10} }, false},
		{"another codec", func(t *media.Track) { t.Codec, t.Config = media.MP3, nil }, false},
		{"another number", func(t *media.Track) { t.ID = 1 }, false},
		{"a header that ADTS cannot say", func(t *media.Track) { t.Config = []byte{0x32, 0x10} }, false},
	} {
		other := *aacTrack()
		c.change(&other)
		if SameStream(aacTrack(), &other) != c.same {
			t.Errorf("%s: %v", c.name, !c.same)
		}
	}
	if other := *mp3Track(); !SameStream(mp3Track(), &other) {
		t.Error("MP3 of the same rate is other sound")
	}
}

func TestSupports(t *testing.T) {
	cases := []struct {
		name  string
		track *media.Track
		want  bool
	}{
		{"nil", nil, false},
		{"H264", h264Track(), true},
		{"H264 unparsed", &media.Track{Kind: media.Video, Codec: media.H264}, false},
		{"H264 with lengths of 3 bytes", &media.Track{Kind: media.Video, Codec: media.H264, NALLengthSize: 3}, false},
		{"HEVC", hevcTrack(), true},
		{"AV1", &media.Track{Kind: media.Video, Codec: media.AV1}, false},
		{"VP9", &media.Track{Kind: media.Video, Codec: media.VP9}, false},
		{"unknown", &media.Track{Kind: media.Video}, false},
		{"AAC", aacTrack(), true},
		{"AAC unparsed", &media.Track{Kind: media.Audio, Codec: media.AAC, Config: []byte{0x12}}, false},
		{"USAC", &media.Track{Kind: media.Audio, Codec: media.AAC, Config: []byte{0xf9, 0x46, 0x43, 0x20}}, false},
		{"MP3", mp3Track(), true},
		{"AC-3", &media.Track{Kind: media.Audio, Codec: media.AC3}, true},
		{"Opus", &media.Track{Kind: media.Audio, Codec: media.Opus}, false},
		{"MP3 as video", &media.Track{Kind: media.Video, Codec: media.MP3}, false},
	}
	for _, c := range cases {
		if got := Supports(c.track); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
}

func TestVideo(t *testing.T) {
	idr, slice, sei := nalUnit(0x65, 300), nalUnit(0x41, 40), nalUnit(0x06, 9)
	aud, hevcAUD := []byte{0x09, 0xf0}, []byte{0x46, 0x01, 0x50}
	two := h264Track()
	two.NALLengthSize = 2
	one := h264Track()
	one.NALLengthSize = 1
	manySets := h264Track()
	manySets.ParameterSets = [][]byte{testSPS, testPPS, {0x68, 2, 3}}
	hevc := hevcTrack()
	cases := []struct {
		name  string
		track *media.Track
		key   bool
		nals  [][]byte
		want  [][]byte
	}{
		{"first picture", h264Track(), false, [][]byte{slice}, [][]byte{aud, testSPS, testPPS, slice}},
		{"key picture", h264Track(), true, [][]byte{sei, idr}, [][]byte{aud, testSPS, testPPS, sei, idr}},
		{"all sets", manySets, true, [][]byte{idr}, [][]byte{aud, testSPS, testPPS, {0x68, 2, 3}, idr}},
		{"sets in band", h264Track(), true, [][]byte{{0x67, 9}, {0x68, 9}, idr}, [][]byte{aud, {0x67, 9}, {0x68, 9}, idr}},
		{"SPS in band only", h264Track(), true, [][]byte{{0x67, 9}, idr}, [][]byte{aud, testSPS, testPPS, {0x67, 9}, idr}},
		{"one of two PPS in band", manySets, true, [][]byte{{0x67, 9}, {0x68, 9}, idr}, [][]byte{aud, testSPS, testPPS, {0x68, 2, 3}, {0x67, 9}, {0x68, 9}, idr}},
		{"own delimiter replaced", h264Track(), false, [][]byte{{0x09, 0x10}, slice, slice}, [][]byte{aud, testSPS, testPPS, slice, slice}},
		{"empty NAL unit skipped", h264Track(), false, [][]byte{nil, slice}, [][]byte{aud, testSPS, testPPS, slice}},
		{"lengths of 2 bytes", two, true, [][]byte{idr}, [][]byte{aud, testSPS, testPPS, idr}},
		{"lengths of 1 byte", one, false, [][]byte{slice, slice}, [][]byte{aud, testSPS, testPPS, slice, slice}},
		{"first HEVC picture", hevc, false, [][]byte{nalUnit(0x02, 50)},
			[][]byte{hevcAUD, {0x40, 1, 0xaa}, {0x42, 1, 0xbb}, {0x44, 1, 0xcc}, nalUnit(0x02, 50)}},
		{"HEVC key picture", hevc, true, [][]byte{{0x46, 1, 0x10}, nalUnit(0x26, 500)},
			[][]byte{hevcAUD, {0x40, 1, 0xaa}, {0x42, 1, 0xbb}, {0x44, 1, 0xcc}, nalUnit(0x26, 500)}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			u := sample(c.track, ms(1000), avcc(c.track.NALLengthSize, c.nals...))
			u.RandomAccess = c.key
			u.PTS = ms(1080)
			pes, _ := check(t, mux(t, NewMuxer(c.track), u))
			got := pes[pidVideo]
			if len(got) != 1 {
				t.Fatalf("%d PES packets", len(got))
			}
			p := got[0]
			if !bytes.Equal(p.data, annexB(c.want...)) {
				t.Errorf("data\n% x, want\n% x", p.data, annexB(c.want...))
			}
			if p.pts != offset+97200 || p.dts != offset+90000 || p.randomAccess != c.key || p.streamID != 0xe0 {
				t.Errorf("%+v", p)
			}
			if p.pcr != p.dts-63000 {
				t.Errorf("PCR %d at DTS %d", p.pcr, p.dts)
			}
		})
	}
}

// TestSegmentsBeginWithParameterSets: the first picture of a segment has them, also where it is
// none that decoding can begin with, and no other picture but those.
func TestSegmentsBeginWithParameterSets(t *testing.T) {
	video := h264Track()
	m := NewMuxer(video)
	var got []bool
	for segment := range 3 {
		var units []media.AccessUnit
		for i := range 3 {
			units = append(units, picture(video, ms(120*segment+40*i), segment == 0 && i == 0, 10))
		}
		pes, _ := check(t, mux(t, m, units...))
		for _, p := range pes[pidVideo] {
			got = append(got, bytes.Contains(p.data, annexB(testSPS, testPPS)))
		}
	}
	if want := []bool{true, false, false, true, false, false, true, false, false}; !slices.Equal(got, want) {
		t.Errorf("pictures with parameter sets: %v, want %v", got, want)
	}
}

// TestStuffing writes units of every size around the packet bounds, with and without adaptation
// field: spec defect 53.
func TestStuffing(t *testing.T) {
	video, audio := h264Track(), &media.Track{Kind: media.Audio, Codec: media.AC3}
	m := NewMuxer(video, audio)
	c := newChecker()
	var want [][]byte
	for size := 1; size <= 2*188+20; size++ {
		for _, key := range []bool{false, true} {
			u := picture(video, ms(40*size), key, size)
			b, err := m.Append(nil, &u)
			if err != nil {
				t.Fatal(err)
			}
			if err := c.read(b); err != nil {
				t.Fatalf("%d bytes: %v", size, err)
			}
			nals := [][]byte{{0x09, 0xf0}, u.Data[4:]}
			if key || len(want) == 0 {
				nals = [][]byte{{0x09, 0xf0}, testSPS, testPPS, u.Data[4:]}
			}
			want = append(want, annexB(nals...))
		}
		a := sample(audio, ms(40*size), nalUnit(0x0b, size))
		b, err := m.Append(nil, &a)
		if err != nil {
			t.Fatal(err)
		}
		if err := c.read(b); err != nil {
			t.Fatalf("audio of %d bytes: %v", size, err)
		}
	}
	pes, err := c.end()
	if err != nil {
		t.Fatal(err)
	}
	for i, p := range pes[pidVideo] {
		if !bytes.Equal(p.data, want[i]) {
			t.Errorf("picture %d differs", i)
		}
	}
	for i, p := range pes[pidAudio] {
		if !bytes.Equal(p.data, nalUnit(0x0b, i+1)) || p.streamID != 0xbd {
			t.Errorf("audio frame %d differs: %+v", i, p)
		}
	}
	if len(pes[pidVideo]) != len(want) || len(pes[pidAudio]) != len(want)/2 {
		t.Errorf("%d pictures, %d audio frames", len(pes[pidVideo]), len(pes[pidAudio]))
	}
}

// TestClock holds the PCR to its bound of 100 ms (the checker does) at all frame rates, also where
// tracks arrive unevenly.
func TestClock(t *testing.T) {
	video, audio := h264Track(), aacTrack()
	frames := func(from, to int) (units []media.AccessUnit) {
		for i := from * 441 / 10240; i < to*441/10240; i++ {
			units = append(units, sample(audio, ms(i*10240/441), nalUnit(0x21, 200)))
		}
		return units
	}
	pictures := func(from, to, every int) (units []media.AccessUnit) {
		for at := from; at < to; at += every {
			units = append(units, picture(video, ms(at), at == from, 500))
		}
		return units
	}
	byTime := func(units []media.AccessUnit) []media.AccessUnit {
		slices.SortStableFunc(units, func(a, b media.AccessUnit) int { return int(a.DTS - b.DTS) })
		return units
	}
	cases := []struct {
		name   string
		tracks []*media.Track
		units  []media.AccessUnit
	}{
		{"60 fps", []*media.Track{video, audio}, byTime(append(pictures(0, 5000, 16), frames(0, 5000)...))},
		{"25 fps", []*media.Track{video, audio}, byTime(append(pictures(0, 5000, 40), frames(0, 5000)...))},
		{"10 fps", []*media.Track{video, audio}, byTime(append(pictures(0, 5000, 100), frames(0, 5000)...))},
		{"1 fps", []*media.Track{video, audio}, byTime(append(pictures(0, 20000, 1000), frames(0, 20000)...))},
		{"a picture every 10 s, alone", []*media.Track{video}, pictures(0, 40000, 10000)},
		{"audio alone", []*media.Track{audio}, frames(0, 5000)},
		{"video stops", []*media.Track{video, audio}, byTime(append(pictures(0, 1000, 40), frames(0, 8000)...))},
		{"audio 500 ms ahead", []*media.Track{video, audio}, slices.Concat(frames(0, 500), pictures(0, 500, 40), frames(500, 1000), pictures(500, 1000, 40), frames(1000, 1500))},
		{"video 600 ms ahead", []*media.Track{video, audio}, slices.Concat(pictures(0, 600, 40), frames(0, 600), pictures(600, 1200, 40), frames(600, 1200))},
		{"audio first", []*media.Track{video, audio}, slices.Concat(frames(0, 200), pictures(200, 1000, 40))},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			pes, seen := check(t, mux(t, NewMuxer(c.tracks...), c.units...))
			last := int64(0)
			for pid, list := range pes {
				for i, p := range list {
					last = max(last, p.dts)
					if p.pcr > p.dts {
						t.Errorf("PID %#x, PES packet %d: PCR %d after DTS %d", pid, i, p.pcr, p.dts)
					}
				}
			}
			// The clock may trail by its lead, by what tracks may be apart, and by one gap.
			if gap := last - seen.lastPCR; gap > 63000+27000+9000 {
				t.Errorf("the last PCR is %d ticks late", gap)
			}
		})
	}
}

func TestSegmentsBeginWithClock(t *testing.T) {
	video, audio := h264Track(), aacTrack()
	m := NewMuxer(video, audio)
	c := newChecker()
	for i := range 3 {
		// The last segment begins with audio, as after a forced cut.
		units := []media.AccessUnit{picture(video, ms(i*40), true, 10), sample(audio, ms(i*40), nalUnit(0x21, 100))}
		if i == 2 {
			slices.Reverse(units)
		}
		b := mux(t, m, units...)
		if err := c.read(b); err != nil {
			t.Fatalf("segment %d: %v", i, err)
		}
		p, err := readPacket(b[TablesSize : TablesSize+188])
		if err != nil || p.pcr < 0 || p.pid != pidVideo {
			t.Errorf("segment %d begins with %+v, %v", i, p, err)
		}
	}
}

// TestWrap runs over the end of the 33 bits (spec: at 2^33 ticks).
func TestWrap(t *testing.T) {
	video, audio := h264Track(), aacTrack()
	wrap := time.Duration(1<<33/90*int64(time.Millisecond)) - timeOffset // ms before the wrap
	var units []media.AccessUnit
	for i := range 100 {
		at := (wrap - time.Second).Truncate(time.Millisecond) + ms(i*40)
		u := picture(video, at, i == 0, 700)
		u.PTS += ms(80)
		units = append(units, u, sample(audio, at, nalUnit(0x21, 100)))
	}
	pes, seen := check(t, mux(t, NewMuxer(video, audio), units...))
	wrapped := 0
	for i, p := range pes[pidVideo] {
		u := units[2*i]
		if want := (u.DTS + timeOffset).Milliseconds() * 90 & (1<<33 - 1); p.dts != want {
			t.Errorf("picture %d: DTS %d, want %d", i, p.dts, want)
		}
		if d := (p.pts - p.dts) & (1<<33 - 1); d != 7200 {
			t.Errorf("picture %d: PTS - DTS = %d", i, d)
		}
		if p.dts < 90000 {
			wrapped++
		}
	}
	if wrapped == 0 || seen.lastPCR > 1<<32 || len(pes[pidVideo]) != 100 {
		t.Errorf("no wrap: %d pictures, last PCR %d", len(pes[pidVideo]), seen.lastPCR)
	}
}

// TestNegativeComposition: PTS stays as it is, DTS moves back and never lies after PTS (spec defect
// 53).
func TestNegativeComposition(t *testing.T) {
	video := h264Track()
	var units []media.AccessUnit
	// I0 P3 B1 B2 P6 B4 B5 …, composition times of an encoder that lets the first picture start at
	// 0.
	for i, display := range []int{0, 3, 1, 2, 6, 4, 5, 9, 7, 8} {
		u := picture(video, ms(i*40), i == 0, 400)
		u.PTS = ms(display * 40)
		units = append(units, u)
	}
	pes, _ := check(t, mux(t, NewMuxer(video), units...))
	last := int64(0)
	for i, p := range pes[pidVideo] {
		if want := units[i].PTS.Milliseconds()*90 + offset; p.pts != want {
			t.Errorf("picture %d: PTS %d, want %d", i, p.pts, want)
		}
		if p.dts > p.pts || p.dts < last || p.pcr > p.dts {
			t.Errorf("picture %d: DTS %d after %d, PTS %d, PCR %d", i, p.dts, last, p.pts, p.pcr)
		}
		last = p.dts
	}
	// A start before the stream's own: still not below 0.
	u := picture(video, 0, true, 400)
	u.PTS = -maxBehind
	pes, _ = check(t, mux(t, NewMuxer(video), u))
	if p := pes[pidVideo][0]; p.pts != offset-180000 || p.dts != p.pts {
		t.Errorf("%+v", p)
	}
}

// TestBadUnits: what comes out is what would come out without them.
func TestBadUnits(t *testing.T) {
	video, audio := h264Track(), aacTrack()
	stranger := h264Track()
	good := []media.AccessUnit{
		picture(video, ms(1000), true, 900), sample(audio, ms(1000), nalUnit(0x21, 200)),
		picture(video, ms(1040), false, 300), sample(audio, ms(1023), nalUnit(0x21, 200)),
	}
	bad := func(track *media.Track, dts, pts time.Duration, data []byte) media.AccessUnit {
		u := sample(track, dts, data)
		u.PTS = pts
		return u
	}
	slice := avcc(4, nalUnit(0x41, 20))
	header := sample(video, ms(1000), slice)
	header.Header = media.SequenceHeader
	cases := []struct {
		name string
		unit media.AccessUnit
		want error
	}{
		{"no track", media.AccessUnit{Data: slice}, ErrTrack},
		{"other track", sample(stranger, ms(1000), slice), ErrTrack},
		{"header", header, ErrTrack},
		{"length lies", sample(video, ms(2000), []byte{0, 0, 0, 9, 0x41}), ErrData},
		{"half a length", sample(video, ms(2000), append(bytes.Clone(slice), 0, 0)), ErrData},
		{"huge length", sample(video, ms(2000), []byte{0xff, 0xff, 0xff, 0xff, 0x41}), ErrData},
		{"empty picture", sample(video, ms(2000), nil), ErrData},
		{"delimiter only", sample(video, ms(2000), avcc(4, []byte{9, 0xf0})), ErrData},
		{"too many NAL units", sample(video, ms(2000), bytes.Repeat(avcc(4, []byte{0x41}), maxNALUnits+1)), ErrData},
		{"time goes back", sample(video, ms(900), slice), ErrTime},
		{"negative time", sample(video, -ms(1), slice), ErrTime},
		{"time without end", sample(video, math.MaxInt64, slice), ErrTime},
		{"PTS far ahead", bad(video, ms(1000), ms(1000)+maxAhead+1, slice), ErrTime},
		{"PTS far behind", bad(video, ms(1000), math.MinInt64, slice), ErrTime},
		{"empty audio", sample(audio, ms(2000), nil), ErrData},
		{"audio too long", sample(audio, ms(2000), make([]byte, maxADTSFrame-adtsHeaderSize+1)), ErrData},
		{"audio goes back", sample(audio, ms(999), nalUnit(0x21, 9)), ErrTime},
	}
	want := mux(t, NewMuxer(video, audio), good...)
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			m := NewMuxer(video, audio)
			b := m.AppendTables(nil)
			var err error
			for i := range good {
				if b, err = m.Append(b, &good[i]); err != nil {
					t.Fatal(err)
				}
				if i < 1 {
					continue // time can only go back from somewhere
				}
				before := len(b)
				b, err = m.Append(b, &c.unit)
				if !errors.Is(err, c.want) || len(b) != before {
					t.Fatalf("after unit %d: %v, %d bytes more", i, err, len(b)-before)
				}
			}
			if b = m.Flush(b); !bytes.Equal(b, want) {
				t.Error("the output differs")
			}
		})
	}
}

func TestLargestUnits(t *testing.T) {
	video := h264Track()
	for _, size := range []int{65535 - 200, 65535, 8 << 20} {
		u := picture(video, 0, true, size)
		pes, _ := check(t, mux(t, NewMuxer(video), u))
		if p := pes[pidVideo][0]; !bytes.HasSuffix(p.data, u.Data[4:]) || (p.length == 0) != (size >= 65535-20) {
			t.Errorf("%d bytes: PES_packet_length %d, data %d", size, p.length, len(p.data))
		}
	}
	audio := aacTrack()
	u := sample(audio, 0, make([]byte, maxADTSFrame-adtsHeaderSize))
	pes, _ := check(t, mux(t, NewMuxer(audio), u))
	if p := pes[pidAudio][0]; len(p.data) != maxADTSFrame {
		t.Errorf("%d bytes", len(p.data))
	}
}

func TestTrackChangeKeepsCounters(t *testing.T) {
	video, audio, next := h264Track(), aacTrack(), hevcTrack()
	m := NewMuxer(audio)
	b := mux(t, m, sample(audio, 0, nalUnit(0x21, 50)))
	m.SetTracks(video, audio)
	b = append(b, mux(t, m, picture(video, ms(40), true, 500), sample(audio, ms(40), nalUnit(0x21, 50)))...)
	m.SetTracks(next, audio)
	b = append(b, mux(t, m, picture(next, ms(80), true, 500), sample(audio, ms(80), nalUnit(0x21, 50)))...)
	pes, _ := check(t, b)
	if len(pes[pidVideo]) != 2 || len(pes[pidAudio]) != 3 {
		t.Errorf("%d pictures, %d audio", len(pes[pidVideo]), len(pes[pidAudio]))
	}
}

func TestAllocations(t *testing.T) {
	for _, size := range []int{2, 4} {
		video, audio := h264Track(), aacTrack()
		video.NALLengthSize = size
		m := NewMuxer(video, audio)
		key, slice, frame := picture(video, 0, true, 60000), picture(video, 0, false, 5000), sample(audio, 0, nalUnit(0x21, 300))
		dst := make([]byte, 0, 1<<20)
		var errVideo, errAudio error
		n := 0
		if got := testing.AllocsPerRun(200, func() {
			dst = m.AppendTables(dst[:0])
			for i := range 10 {
				u := &slice
				if i == 0 {
					u = &key
				}
				u.DTS, u.PTS = ms(n), ms(n)
				dst, errVideo = m.Append(dst, u)
				frame.DTS, frame.PTS = ms(n), ms(n)
				dst, errAudio = m.Append(dst, &frame)
				if errVideo != nil || errAudio != nil {
					t.Fatal(errVideo, errAudio)
				}
				n += 23
			}
			dst = m.Flush(dst)
		}); got != 0 {
			t.Errorf("%v allocations", got)
		}
	}
}

func BenchmarkAppend(b *testing.B) {
	video, audio := h264Track(), aacTrack()
	m := NewMuxer(video, audio)
	slice, frame := picture(video, 0, false, 11000), sample(audio, 0, nalUnit(0x21, 300))
	dst := make([]byte, 0, 1<<20)
	b.SetBytes(int64(len(slice.Data) + len(frame.Data)))
	for i := range b.N {
		slice.DTS, slice.PTS = ms(i*23), ms(i*23)
		frame.DTS, frame.PTS = slice.DTS, slice.PTS
		dst, _ = m.Append(dst[:0], &slice)
		dst, _ = m.Append(dst, &frame)
	}
}
