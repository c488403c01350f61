package mpegts

import (
	"bytes"
	"testing"
	"time"

	"livego/internal/media"
)

// annexBOf converts an access unit the slow way: false where it is malformed.
func annexBOf(lengthSize int, data []byte) ([][]byte, bool) {
	var nals [][]byte
	for len(data) > 0 {
		if len(data) < lengthSize {
			return nil, false
		}
		n := uint64(0)
		for _, v := range data[:lengthSize] {
			n = n*256 + uint64(v)
		}
		data = data[lengthSize:]
		if n > uint64(len(data)) {
			return nil, false
		}
		if nal := data[:n]; n > 0 && nal[0]&0x1f != 9 {
			nals = append(nals, nal)
		}
		data = data[n:]
	}
	return nals, len(nals) > 0 && len(nals) <= maxNALUnits
}

// FuzzAppend feeds arbitrary pictures and audio frames at arbitrary steps of time, between good
// ones. Whatever is accepted must come out byte for byte in a valid stream; whatever is malformed
// must be refused.
func FuzzAppend(f *testing.F) {
	f.Add(avcc(4, testSPS, testPPS, nalUnit(0x65, 50)), []byte{0x21, 1, 2}, byte(2), int16(40), int16(80), true)
	f.Add([]byte{0, 0, 0, 9, 1}, []byte{}, byte(2), int16(0), int16(-80), false)
	f.Add([]byte{3, 0x41, 0, 0, 1, 0x41}, []byte{0xa5}, byte(0), int16(-1), int16(0), true)
	f.Add(bytes.Repeat([]byte{0, 1, 0x41}, 300), make([]byte, 9000), byte(1), int16(30000), int16(9000), false)
	f.Fuzz(func(t *testing.T, data, frame []byte, lengthSize byte, step, composition int16, key bool) {
		video, audio := h264Track(), aacTrack()
		video.NALLengthSize = 1 << (lengthSize % 3)
		m := NewMuxer(video, audio)
		b := m.AppendTables(nil)
		var wantVideo, wantAudio []byte
		add := func(u media.AccessUnit, valid bool, want *[]byte, bytes []byte) {
			before := len(b)
			var err error
			b, err = m.Append(b, &u)
			if (err == nil) != valid {
				t.Fatalf("valid %v, error %v", valid, err)
			}
			if err != nil && len(b) != before {
				t.Fatal("output in spite of an error")
			}
			if err == nil {
				*want = append(*want, bytes...)
			}
		}
		at := 10 * time.Second
		for i := range 4 {
			good := picture(video, at, i == 0, 100)
			nals := [][]byte{{9, 0xf0}, good.Data[video.NALLengthSize:]}
			if i == 0 {
				nals = [][]byte{{9, 0xf0}, testSPS, testPPS, good.Data[video.NALLengthSize:]}
			}
			add(good, true, &wantVideo, annexB(nals...))

			next := at + ms(int(step))
			u := sample(video, next, data)
			u.PTS, u.RandomAccess = next+ms(int(composition)), key
			parsed, valid := annexBOf(video.NALLengthSize, data)
			inTime := step >= 0 && ms(int(composition)) >= -maxBehind && ms(int(composition)) <= maxAhead
			nals = [][]byte{{9, 0xf0}}
			if key && !(hasType(parsed, 7) && hasType(parsed, 8)) {
				nals = append(nals, testSPS, testPPS)
			}
			add(u, valid && inTime, &wantVideo, annexB(append(nals, parsed...)...))

			valid = len(frame) > 0 && len(frame)+adtsHeaderSize <= maxADTSFrame
			add(sample(audio, next, frame), valid, &wantAudio, frame)
			at = max(at, next) + ms(40)
		}
		b = m.Flush(b)

		c := newChecker()
		c.anyGap = step > 10000 // gaps that long are jumps
		if err := c.read(b); err != nil {
			t.Fatal(err)
		}
		pes, err := c.end()
		if err != nil {
			t.Fatal(err)
		}
		var gotVideo, gotAudio []byte
		for _, p := range pes[pidVideo] {
			gotVideo = append(gotVideo, p.data...)
		}
		for _, p := range pes[pidAudio] {
			for rest := p.data; len(rest) > 0; {
				n := int(rest[3]&3)<<11 | int(rest[4])<<3 | int(rest[5]>>5)
				gotAudio = append(gotAudio, rest[adtsHeaderSize:n]...)
				rest = rest[n:]
			}
		}
		if !bytes.Equal(gotVideo, wantVideo) {
			t.Errorf("video\n% x, want\n% x", gotVideo, wantVideo)
		}
		if !bytes.Equal(gotAudio, wantAudio) {
			t.Errorf("audio\n% x, want\n% x", gotAudio, wantAudio)
		}
	})
}

func hasType(nals [][]byte, kind byte) bool {
	for _, n := range nals {
		if n[0]&0x1f == kind {
			return true
		}
	}
	return false
}

// FuzzAudioSpecificConfig: what is accepted gives a header whose fields say the same as the config.
func FuzzAudioSpecificConfig(f *testing.F) {
	f.Add([]byte{0x12, 0x10})
	f.Add([]byte{0x2b, 0x11, 0x88, 0x00})
	f.Add([]byte{0x17, 0x80, 0x56, 0x22, 0x10})
	f.Add([]byte{0x11, 0x80, 0x04, 0xc8, 0x00, 0x00, 0x21, 0x10, 0x00})
	f.Fuzz(func(t *testing.T, config []byte) {
		format, ok := parseAudioSpecificConfig(config)
		if !ok {
			return
		}
		frame := []byte{0x21, 0, 0}
		b := format.appendHeader(nil, frame)
		if len(b) != format.overhead(frame) || b[0] != 0xff || b[1] != 0xf1 {
			t.Fatalf("% x", b)
		}
		if size := int(b[3]&3)<<11 | int(b[4])<<3 | int(b[5]>>5); size != len(b)+len(frame) {
			t.Errorf("aac_frame_length %d", size)
		}
		if b[2]>>6 != format.profile || b[2]>>2&15 != format.rate || b[2]&1<<2|b[3]>>6 != format.channels {
			t.Errorf("% x of %+v", b, format)
		}
		if object := config[0] >> 3; object <= objectTypeLTP && object != format.profile+1 {
			t.Errorf("object type %d became %d", object, format.profile+1)
		}
		if len(format.pce) > 0 && (format.channels != 0 || format.pce[0]>>5 != idPCE) {
			t.Errorf("PCE % x", format.pce)
		}
	})
}
