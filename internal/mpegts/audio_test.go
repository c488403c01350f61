package mpegts

import (
	"bytes"
	"testing"
	"time"

	"livego/internal/media"
)

// TestADTS compares headers with ISO/IEC 14496-3 table 1.A.6 and 1.A.7, worked out by hand.
func TestADTS(t *testing.T) {
	frame := nalUnit(0x21, 100) // id_syn_ele 1: a channel pair
	cases := []struct {
		name   string
		config []byte
		want   []byte // header and what precedes the frame
	}{
		// 107 = 0x6b: 00 | 00001101011 → byte 3 low bits 00, byte 4 0x0d, byte 5 011|11111
		{"AAC-LC 44.1 kHz stereo", []byte{0x12, 0x10}, []byte{0xff, 0xf1, 0x50, 0x80, 0x0d, 0x7f, 0xfc}},
		{"AAC-LC 48 kHz mono", []byte{0x11, 0x88}, []byte{0xff, 0xf1, 0x4c, 0x40, 0x0d, 0x7f, 0xfc}},
		{"AAC-LC 48 kHz 5.1", []byte{0x11, 0xb0}, []byte{0xff, 0xf1, 0x4d, 0x80, 0x0d, 0x7f, 0xfc}},
		{"AAC-LC 48 kHz 7.1", []byte{0x11, 0xb8}, []byte{0xff, 0xf1, 0x4d, 0xc0, 0x0d, 0x7f, 0xfc}},
		{"AAC Main 44.1 kHz stereo", []byte{0x0a, 0x10}, []byte{0xff, 0xf1, 0x10, 0x80, 0x0d, 0x7f, 0xfc}},
		// 00101 0110 0010 0011 00010 …: SBR, core 24 kHz, stereo, output 48 kHz, core object type 2
		{"HE-AAC, signalled", []byte{0x2b, 0x11, 0x88, 0x00}, []byte{0xff, 0xf1, 0x58, 0x80, 0x0d, 0x7f, 0xfc}},
		// 11101 0111 0001 0100 00010: PS, core 22.05 kHz, mono, output 44.1 kHz
		{"HE-AAC v2, signalled", []byte{0xeb, 0x8a, 0x08, 0x00}, []byte{0xff, 0xf1, 0x5c, 0x40, 0x0d, 0x7f, 0xfc}},
		// AAC-LC 24 kHz with the backward compatible extension 0x2b7
		{"HE-AAC, extension at the end", []byte{0x13, 0x10, 0x56, 0xe5, 0x98}, []byte{0xff, 0xf1, 0x58, 0x80, 0x0d, 0x7f, 0xfc}},
		// 00010 1111 (44100 in 24 bits) 0010
		{"explicit rate of the table", []byte{0x17, 0x80, 0x56, 0x22, 0x10}, []byte{0xff, 0xf1, 0x50, 0x80, 0x0d, 0x7f, 0xfc}},
		// 00010 0011 0000 000 | 0000 01 0011 0010 0000 0000 00 000 0000 0 0 0 1 0000 1 0001 | align
		// | 0: AAC-LC 48 kHz, layout by PCE with two front channel pairs. In the frame: 101, then
		// the same fields from element_instance_tag on.
		{"PCE", []byte{0x11, 0x80, 0x04, 0xc8, 0x00, 0x00, 0x21, 0x10, 0x00},
			[]byte{0xff, 0xf1, 0x4c, 0x00, 0x0e, 0x5f, 0xfc, 0xa0, 0x99, 0x00, 0x00, 0x04, 0x22, 0x00}},
		{"PCE in the frames", []byte{0x11, 0x80}, []byte{0xff, 0xf1, 0x4c, 0x00, 0x0d, 0x7f, 0xfc}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			track := &media.Track{Kind: media.Audio, Codec: media.AAC, Config: c.config, SampleRate: 48000, SamplesPerFrame: 1024}
			if !Supports(track) {
				t.Fatal("not supported")
			}
			pes, _ := check(t, mux(t, NewMuxer(track), sample(track, 0, frame)))
			got := pes[pidAudio][0].data
			if want := append(bytes.Clone(c.want), frame...); !bytes.Equal(got, want) {
				t.Errorf("\n% x, want\n% x", got[:min(24, len(got))], want[:24])
			}
		})
	}
}

func TestADTSRefuses(t *testing.T) {
	for name, config := range map[string][]byte{
		"empty":                  nil,
		"cut":                    {0x12},
		"object type 0":          {0x02, 0x10},
		"ER AAC LD":              {0xba, 0x10},
		"escaped object type 42": {0xf9, 0x46, 0x43, 0x20},
		"odd rate":               {0x17, 0x80, 0x56, 0x23, 0x10},
		"reserved rate index":    {0x16, 0x90},
		"channels 11":            {0x11, 0xd8},
		"SBR without core":       {0x2b, 0x11, 0x80},
		"SBR over ER AAC":        {0x2b, 0x11, 0xc4, 0x00},
	} {
		if f, ok := parseAudioSpecificConfig(config); ok {
			t.Errorf("%s: %+v", name, f)
		}
	}
}

// TestOwnPCE: a frame that begins with a PCE gets no second one.
func TestOwnPCE(t *testing.T) {
	track := &media.Track{Kind: media.Audio, Codec: media.AAC, Config: []byte{0x11, 0x80, 0x04, 0xc8, 0x00, 0x00, 0x21, 0x10, 0x00}}
	frame := nalUnit(0xa0, 30)
	pes, _ := check(t, mux(t, NewMuxer(track), sample(track, 0, frame)))
	if got := pes[pidAudio][0].data; !bytes.Equal(got[7:], frame) {
		t.Errorf("% x", got)
	}
}

// TestGroups: how many frames share a PES packet, and that its time is that of the first.
func TestGroups(t *testing.T) {
	heAAC := &media.Track{Kind: media.Audio, Codec: media.AAC, Config: []byte{0x2b, 0x11, 0x88, 0x00}, SampleRate: 48000, SamplesPerFrame: 2048}
	slow := &media.Track{Kind: media.Audio, Codec: media.AAC, Config: []byte{0x15, 0x88}, SampleRate: 8000, SamplesPerFrame: 1024}
	unknown := &media.Track{Kind: media.Audio, Codec: media.MP3}
	cases := []struct {
		name  string
		track *media.Track
		times []int // ms
		want  []int // frames in each PES packet
	}{
		{"AAC 44.1 kHz", aacTrack(), []int{0, 23, 46, 70, 93, 116, 139, 163, 186}, []int{4, 4, 1}},
		{"MP3", mp3Track(), []int{0, 26, 52, 78, 104}, []int{3, 2}},
		{"HE-AAC", heAAC, []int{0, 43, 85, 128, 171}, []int{2, 2, 1}},
		{"frames over 100 ms", slow, []int{0, 128, 256}, []int{1, 1, 1}},
		{"unknown length", unknown, []int{0, 26, 52}, []int{1, 1, 1}},
		{"a gap", aacTrack(), []int{0, 23, 546, 570}, []int{2, 2}},
		{"a step too short", aacTrack(), []int{0, 23, 24, 47}, []int{2, 2}},
		{"AC-3", &media.Track{Kind: media.Audio, Codec: media.AC3, SampleRate: 48000, SamplesPerFrame: 1536}, []int{0, 32, 64}, []int{1, 1, 1}},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			var units []media.AccessUnit
			for i, at := range c.times {
				units = append(units, sample(c.track, ms(at), nalUnit(byte(i), 50)))
			}
			pes, _ := check(t, mux(t, NewMuxer(c.track), units...))
			if len(pes[pidAudio]) != len(c.want) {
				t.Fatalf("%d PES packets, want %d", len(pes[pidAudio]), len(c.want))
			}
			first := 0
			for i, p := range pes[pidAudio] {
				size := 50
				if c.track.Codec == media.AAC {
					size += adtsHeaderSize
				}
				if got := len(p.data) / size; got != c.want[i] {
					t.Errorf("PES packet %d: %d frames, want %d", i, got, c.want[i])
				}
				if want := int64(c.times[first])*90 + offset; p.pts != want {
					t.Errorf("PES packet %d: PTS %d, want %d", i, p.pts, want)
				}
				first += c.want[i]
			}
		})
	}
}

// TestAudioWaits: audio goes out in time when a picture comes instead of the next frame, and at the
// latest with Flush.
func TestAudioWaits(t *testing.T) {
	video, audio := h264Track(), aacTrack()
	m := NewMuxer(video, audio)
	feed := func(u media.AccessUnit) int {
		b, err := m.Append(nil, &u)
		if err != nil {
			t.Fatal(err)
		}
		n := 0
		for ; len(b) > 0; b = b[188:] {
			if p, err := readPacket(b[:188]); err == nil && p.pid == pidAudio {
				n++
			}
		}
		return n
	}
	feed(picture(video, 0, true, 10))
	if n := feed(sample(audio, 0, nalUnit(0x21, 50))); n != 0 {
		t.Errorf("the first frame did not wait: %d packets", n)
	}
	if n := feed(picture(video, ms(99), false, 10)); n != 0 {
		t.Errorf("the frame left after 99 ms: %d packets", n)
	}
	if n := feed(picture(video, 100*time.Millisecond, false, 10)); n != 1 {
		t.Errorf("the frame still waits after 100 ms: %d packets", n)
	}
	feed(sample(audio, ms(100), nalUnit(0x21, 50)))
	if b := m.Flush(nil); len(b) != 188 {
		t.Errorf("Flush wrote %d bytes", len(b))
	}
	if b := m.Flush(nil); len(b) != 0 {
		t.Errorf("the second Flush wrote %d bytes", len(b))
	}
}
