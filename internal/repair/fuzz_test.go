package repair

import (
	"bytes"
	"encoding/binary"
	"testing"
	"time"

	"livego/internal/codec"
	"livego/internal/media"
	"livego/internal/nal"
	"livego/internal/obu"
)

// FuzzSession feeds messages to a session and checks what everybody behind it relies on. Of the
// input, a byte says what each message is, two its time, and two how long it is.
func FuzzSession(f *testing.F) {
	codecs := []media.Codec{media.H264, media.HEVC, media.VVC, media.AV1, media.AAC, media.Opus, media.MP3, media.AC3}
	add := func(header string, messages ...string) {
		for c := range codecs {
			seed := []byte{}
			for i, m := range append([]string{header}, messages...) {
				what := byte(c) | 0x40
				if i == 0 {
					what = byte(c) | 0x80
				}
				b := unhex(f, m)
				seed = binary.BigEndian.AppendUint16(append(seed, what, 0, byte(40*i)), uint16(len(b)))
				seed = append(seed, b...)
			}
			f.Add(seed)
		}
	}
	for i, c := range nalCodecs {
		s, sets := slicesOf(c), setsOf(c)
		config := []string{avcC, hvcC, "ff"}[i]
		add(config, units(s.first, s.second), units(s.interFirst), units("-", s.first)+"00", stream(s.first, s.second))
		add("", stream(append(sets, s.first)...), units(s.interFirst), units(s.interSecond), units(sets...), units(s.first, s.interFirst))
		add(stream(sets...), units(s.first), units(s.second), units(s.interFirst, s.interFirst))
	}
	add(av1C, av1Sequence+obuFrame, obuDelimiter+obuOther, "1514 0d"+av1Sequence+"05 30 10a1b2c3", "30 10a1b2c3", obuFrame+"0000")
	add("1210", frame1, adts(4, 2, frame1)+adts(4, 2, frame2), "56e00720001200f82110a1b2c3")
	f.Fuzz(func(t *testing.T, input []byte) {
		bound := 0
		s := Session{
			Body:   func(like, u *media.AccessUnit) ([]byte, error) { return append([]byte("h"), u.Data...), nil },
			Report: func(Fault) { bound++ },
		}
		tracks := map[media.Codec]*media.Track{}
		var out []media.AccessUnit
		messages, sent := 0, 0
		for len(input) >= 5 {
			what, at, n := input[0], binary.BigEndian.Uint16(input[1:]), min(int(binary.BigEndian.Uint16(input[3:])), len(input)-5)
			data := input[5 : 5+n : 5+n]
			input = input[5+n:]
			c := codecs[int(what&0x0F)%len(codecs)]
			if tracks[c] == nil || what&0x80 != 0 {
				tracks[c] = trackOf(t, c, "")
				if what&0x80 != 0 {
					codec.Configure(tracks[c], data)
				}
			}
			u := media.AccessUnit{
				Track: tracks[c], RandomAccess: what&0x40 != 0, DTS: time.Duration(at) * time.Millisecond, Body: append([]byte("h"), data...),
			}
			u.PTS = u.DTS
			if what&0x80 != 0 {
				u.Header = media.SequenceHeader
			} else {
				u.Data = u.Body[1:]
			}
			before := bytes.Clone(u.Body)
			messages++
			sent += len(data)
			out = s.Append(out, []media.AccessUnit{u})
			if !bytes.Equal(before, u.Body) {
				t.Fatal("the message was changed")
			}
		}
		out = s.Flush(out)
		if s.Waits() > 0 {
			t.Fatal("something waits after Flush")
		}
		if len(out) > messages*(maxFrames+2) || bound > messages*8*maxUnits {
			t.Fatalf("%d units and %d reports of %d messages", len(out), bound, messages)
		}
		got := 0
		for i := range out {
			u := &out[i]
			got += len(u.Data)
			checkUnit(t, u)
		}
		if got > 6*sent+messages*maxUnits {
			t.Fatalf("%d bytes of %d", got, sent)
		}
	})
}

// checkUnit checks a unit that came out.
func checkUnit(t *testing.T, u *media.AccessUnit) {
	switch {
	case u.Track == nil || u.Body == nil:
		t.Fatalf("%+v", u)
	case u.Header != media.Sample:
		return
	case len(u.Body)-1 != len(u.Data) || !bytes.Equal(u.Body[1:], u.Data):
		t.Fatalf("body %x of data %x", u.Body, u.Data)
	case !u.Track.Parsed:
		return
	case nal.Coded(u.Track.Codec):
		if u.Track.NALLengthSize != lengthSize {
			t.Fatalf("lengths of %d bytes", u.Track.NALLengthSize)
		}
		for rest := u.Data; len(rest) > 0; {
			b, tail, ok := nal.Next(rest, lengthSize)
			if !ok || len(b) == 0 || !valid(u.Track.Codec, b) {
				t.Fatalf("%s: %x of %x", u.Track.Codec, rest, u.Data)
			}
			rest = tail
		}
		if len(u.Data) == 0 {
			t.Fatal("a picture without NAL units")
		}
	case u.Track.Codec == media.AV1:
		for rest := u.Data; len(rest) > 0; {
			o, tail, ok := obu.Next(rest)
			if !ok || !o.Sized {
				t.Fatalf("%x of %x", rest, u.Data)
			}
			rest = tail
		}
	}
}
