package flv

import (
	"encoding/binary"
	"testing"
	"unsafe"

	"livego/internal/media"
)

// session splits fuzz input into messages: type, time, length, body.
func session(input []byte, feed func(messageType uint8, timestampMS uint32, body []byte)) {
	types := [...]uint8{TypeAudio, TypeVideo, TypeData, TypeDataAMF3}
	for len(input) >= 7 {
		n := min(int(binary.BigEndian.Uint16(input[5:])), len(input)-7)
		feed(types[input[0]%4], binary.BigEndian.Uint32(input[1:]), input[7:7+n:7+n])
		input = input[7+n:]
	}
}

func message7(messageType uint8, timestampMS uint32, body []byte) []byte {
	b := []byte{map[uint8]byte{TypeAudio: 0, TypeVideo: 1, TypeData: 2, TypeDataAMF3: 3}[messageType]}
	b = binary.BigEndian.AppendUint32(b, timestampMS)
	return append(binary.BigEndian.AppendUint16(b, uint16(len(body))), body...)
}

// within says whether part lies inside whole.
func within(whole, part []byte) bool {
	if len(part) == 0 {
		return true
	}
	begin, at := uintptr(unsafe.Pointer(unsafe.SliceData(whole))), uintptr(unsafe.Pointer(unsafe.SliceData(part)))
	return len(whole) > 0 && at >= begin && at+uintptr(len(part)) <= begin+uintptr(len(whole))
}

// FuzzDemuxer feeds a session and checks what every user of a Demuxer relies on.
func FuzzDemuxer(f *testing.F) {
	var all []byte
	for i, in := range []input{
		{18, 0, setDataFrame + "02 000a 'onMetaData' 08 00000000 0005 'width' 00 4094000000000000 000009"},
		{15, 0, "00 02 0006 'onText' 05"},
		{9, 0, "17 00 000000" + avcC}, {9, 40, "27 01 ffffd8 00000001 41"}, {9, 80, "17 02 000000"}, {9, 90, "57 00"},
		{8, 0, "af 00 1210"}, {8, 23, "af 01 21"}, {8, 46, ""}, {8, 60, "2f" + mp3At44100},
		{9, 0, "90 'hvc1'" + hvcC}, {9, 0, "97 02 07a120 01 'hvc1' 000000 aa"}, {9, 0, "94 'hvc1' 02 0009 'colorInfo' 06"},
		{9, 0, "96 11 'avc1' 00 000005 000001 aabb 01 000004 000002 cc"}, {9, 0, "96 21 'av01' 00 000001 aa 'vp09' 01 000000"},
		{8, 0, "94 'Opus' 01 02 00000003"}, {8, 0, "95 11 'Opus' 00 000001 dd 01 000000"}, {8, 0, "91 'ec-3'" + eac3Frame},
		{9, 0, "90 'vp08'" + vpcC}, {9, 0, "91 'vp08'" + vp8Key},
	} {
		m := message7(in.messageType, in.timestampMS+uint32(i), unhex(f, in.body))
		f.Add(m)
		all = append(all, m...)
	}
	f.Add(all)
	f.Fuzz(func(t *testing.T, input []byte) {
		var d Demuxer
		session(input, func(messageType uint8, timestampMS uint32, body []byte) {
			units, err := d.Append(nil, messageType, timestampMS, body)
			if err != nil && len(units) > 0 {
				t.Fatalf("%d units with the error %v", len(units), err)
			}
			if err == nil && (len(units) == 0 || len(units) > maxTracks) {
				t.Fatalf("%d units of one message", len(units))
			}
			for i, u := range units {
				if u.Track == nil || u.Body == nil || u.Shared != (i > 0) || u.Nanos >= 1e6 {
					t.Fatalf("unit %d: %+v", i, u)
				}
				if !within(body, u.Body) || !within(u.Body, u.Data) {
					t.Fatal("body or data lies outside the message")
				}
				if content := u.Header == media.Colour || u.Header == media.Multichannel; (u.Data != nil) != (content || u.Header == media.Sample) {
					t.Fatalf("%s", summary(u))
				}
				if u.MessageType != map[media.Kind]uint8{media.Audio: 8, media.Video: 9, media.Data: 18}[u.Track.Kind] {
					t.Fatalf("type %d of a track of %v", u.MessageType, u.Track.Kind)
				}
				if within(body, u.Track.Config) && len(u.Track.Config) > 0 {
					t.Fatal("the track keeps the message")
				}
				if i > 0 && u.DTS != units[0].DTS {
					t.Fatalf("units of one message at %v and %v", units[0].DTS, u.DTS)
				}
			}
			if len(d.video) > maxTracks || len(d.audio) > maxTracks {
				t.Fatalf("%d and %d tracks", len(d.video), len(d.audio))
			}
		})
	})
}
