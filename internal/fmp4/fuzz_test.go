package fmp4

import (
	"encoding/binary"
	"errors"
	"strings"
	"testing"
	"time"

	"livego/internal/media"
)

// FuzzInit checks that whatever a header holds, a track is either refused by all functions or
// described, and its init segment is a tree of boxes that holds the header.
func FuzzInit(f *testing.F) {
	codecs := []media.Codec{
		media.H264, media.HEVC, media.VVC, media.AV1, media.VP9, media.AAC, media.MP3, media.Opus, media.FLAC, media.AC3, media.EAC3, media.VP8,
	}
	for i, config := range []string{avcPQ, hevcHLG, vvcMain, av1PQ, vp9HLG, aacLC, "", opusMono, flacMono, "", "", vp9Main} {
		f.Add(uint8(i), unhex(f, config), unhex(f, eac3Of6), uint16(192), uint16(108))
	}
	f.Add(uint8(9), []byte{}, unhex(f, ac3Of6), uint16(44100), uint16(6))
	f.Fuzz(func(t *testing.T, codec uint8, config, sample []byte, a, b uint16) {
		track := &media.Track{Kind: media.Video, Codec: codecs[int(codec)%len(codecs)], Config: config, Parsed: true}
		if track.Width, track.Height, track.NALLengthSize = int(a), int(b), 4; track.Codec == media.HEVC && len(config) > 30 {
			track.ParameterSets = [][]byte{config[:15], config[15:]}
		} else if len(config) > 8 {
			track.ParameterSets = [][]byte{config[8:]}
		}
		if i := int(codec) % len(codecs); i >= 5 && i <= 10 {
			track.Kind, track.SampleRate, track.Channels, track.SamplesPerFrame = media.Audio, int(a), int(b), 1536
		}
		if track.Kind == media.Video {
			track.DolbyVision = [...]uint8{0, 5, 8}[a%3]
			track.Colour = media.ColourDescription{Primaries: uint8(b), Transfer: uint8(a), Matrix: 9, Light: media.ContentLight{Max: b}}
		}
		before := string(config)
		init, err := AppendInit(nil, track, sample)
		if string(config) != before {
			t.Fatal("the header was changed")
		}
		if Supports(track) != (Codecs(track) != "") || !Supports(track) != errors.Is(err, ErrUnsupported) {
			t.Fatalf("supported %v, codecs %q, init segment: %v", Supports(track), Codecs(track), err)
		}
		if err != nil {
			if len(init) != 0 || !errors.Is(err, ErrUnsupported) && !errors.Is(err, ErrData) {
				t.Fatalf("%d bytes, %v", len(init), err)
			}
			return
		}
		seen := map[string]bool{}
		for _, box := range readBoxes(t, init) {
			seen[box.path[strings.LastIndex(box.path, "/")+1:]] = true
		}
		for _, kind := range []string{"ftyp", "mvhd", "tkhd", "mdhd", "hdlr", "stsd", "stco", "trex"} {
			if !seen[kind] {
				t.Fatalf("no %s", kind)
			}
		}
		if w, h := Resolution(track); track.Kind == media.Video && (w <= 0 || h <= 0 || w > maxPicture) {
			t.Fatalf("resolution %d x %d", w, h)
		}
		for _, c := range Codecs(track) {
			if c <= ' ' || c > '~' || c == '"' || c == ',' {
				t.Fatalf("codecs %q", Codecs(track))
			}
		}
	})
}

// FuzzFragment makes units of any times and sizes, and checks that what Check and Append accept
// reads back as it went in.
//
//	input: for each unit | flags 8 | decode time since the one before 16 | presentation minus decode time 16 | length 8 | data |
func FuzzFragment(f *testing.F) {
	unit := func(flags uint8, step, offset int16, data string) []byte {
		b := []byte{flags}
		b = binary.BigEndian.AppendUint16(b, uint16(step))
		b = binary.BigEndian.AppendUint16(b, uint16(offset))
		return append(append(b, byte(len(data))), data...)
	}
	nal := "\x00\x00\x00\x02\x65\x88"
	f.Add(uint8(0), append(append(unit(1, 0, 80, nal), unit(0, 40, 0, nal)...), unit(2, 40, -40, nal)...))
	f.Add(uint8(1), append(append(unit(1, 0, 0, "a"), unit(1, 21, 0, "b")...), unit(3, 21, 0, "c")...))
	f.Add(uint8(2), append(append(unit(1, 0, 0, "\xf8\x01"), unit(1, 500, 0, "\xe1")...), unit(3, 0, 0, "\xfb\x03")...))
	f.Add(uint8(3), append(unit(1, 0, 0, "\x12\x00\x0a\x01\x00"), unit(2, 0, 0, "\x32\x01\x10")...))
	f.Add(uint8(4), append(unit(1, 0, 0, "\xff\xf8\x59\x18\x00\x00"), unit(2, 100, 0, "\xff\xf8\x69\x18\x00\xff")...))
	f.Fuzz(func(t *testing.T, codec uint8, b []byte) {
		track := [...]*media.Track{
			h264Track(t), aacTrack(t), audioTrack(t, media.Opus, opusMono, 48000, 1, 0),
			videoTrack(t, media.AV1, av1Main), audioTrack(t, media.FLAC, flacMono, 44100, 1, 0),
		}[codec%5]
		w := newWriter(t, track)
		var file []byte
		var all []media.AccessUnit
		var fragment Fragment
		flush := func() {
			before, clock := len(file), w.clock
			got, written, err := w.Append(file, &fragment)
			file = got
			switch {
			case err == nil:
				if written.FirstEnd <= 0 || written.FirstEnd > len(file)-before || written.Duration <= 0 {
					t.Fatalf("%+v", written)
				}
				all = append(all, fragment.Units...)
			case len(file) != before || w.clock != clock:
				t.Fatal("an error left a trace")
			case len(fragment.Units) > 0 && !errors.Is(err, ErrTime):
				t.Fatalf("what Check accepted was refused: %v", err)
			}
			fragment = Fragment{}
		}
		at := time.Duration(0)
		for len(b) >= 6 {
			flags, n := b[0], min(int(b[5]), len(b)-6)
			at += ms(int(int16(binary.BigEndian.Uint16(b[1:]))))
			u := media.AccessUnit{Track: track, RandomAccess: flags&1 != 0, DTS: at, Nanos: uint32(flags) * 3000, Data: b[6 : 6+n]}
			u.PTS = at + ms(int(int16(binary.BigEndian.Uint16(b[3:]))))
			b = b[6+n:]
			if Check(&u) == nil {
				fragment.Units = append(fragment.Units, u)
			}
			if flags&2 != 0 {
				fragment.Segment, fragment.Next = flags&4 != 0, at+ms(int(flags))
				if flags&8 != 0 {
					fragment.Wall = time.Unix(int64(flags)<<20, 5)
				}
				flush()
			}
		}
		flush()
		checkSamples(t, track, all, file)
	})
}

// checkSamples holds samples read back against the units that went in.
func checkSamples(t *testing.T, track *media.Track, units []media.AccessUnit, file []byte) {
	t.Helper()
	if len(units) == 0 {
		return
	}
	samples, end := readFragments(t, file), int64(0)
	if len(samples) != len(units) {
		t.Fatalf("%d samples of %d units", len(samples), len(units))
	}
	for i, s := range samples {
		u := &units[i]
		if s.data != string(Payload(u)) || track.Kind == media.Video && s.key != u.RandomAccess {
			t.Fatalf("sample %d is %+v, not %+v", i, s, u)
		}
		if s.dts < end || s.duration < 1 {
			t.Fatalf("sample %d at %d lasts %d, the one before ends at %d", i, s.dts, s.duration, end)
		}
		end = s.dts + s.duration
		if want := (u.PTS + time.Duration(u.Nanos)).Microseconds(); track.Kind == media.Video && max(s.pts*100/9-want, want-s.pts*100/9) > 7 {
			t.Fatalf("sample %d is shown at %d us, want %d", i, s.pts*100/9, want)
		}
	}
}
