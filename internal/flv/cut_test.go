package flv

import (
	"bytes"
	"errors"
	"testing"

	"livego/internal/media"
)

// FuzzCut makes a message of its own of each track of a multitrack message, and reads that back: it
// is an ordinary message with the same sample, time and header.
func FuzzCut(f *testing.F) {
	for _, in := range []input{
		{9, 0, "96 00 'avc1' 00" + avcC}, {9, 0, "96 01 'avc1' 07 000005 aa"}, {9, 0, "a6 11 'avc1' 00 000005 000001 aabb 01 000004 000002 cc"},
		{9, 0, "96 20 'av01' 00 000011" + av1C + "'hvc1' 01 000070" + hvcC}, {9, 7, "97 02 000001 06 21 'av01' 00 000001 aa 'hvc1' 01 000004 000000 bb"},
		{9, 0, "96 14 'hvc1' 00 000003 020000"}, {9, 0, "96 02 'hvc1' 03"}, {9, 0, "96 03 'hvc1' 03 aa"},
		{8, 0, "95 11 'Opus' 00 000001 dd 01 000000"}, {8, 0, "95 00 'mp4a' 01 1210"}, {8, 0, "95 01 'mp4a' 01 21"}, {8, 0, "95 04 'Opus' 02 01 02"},
		{8, 0, "95 01 '.mp3' 01" + mp3At44100},
	} {
		f.Add(in.messageType, unhex(f, in.body))
	}
	f.Fuzz(func(t *testing.T, messageType uint8, body []byte) {
		var d Demuxer
		units, err := d.Append(nil, messageType, 40, body)
		if err != nil {
			return
		}
		for i := range units {
			if units[i].Multitrack {
				checkCut(t, &units[i])
			}
		}
	})
}

func checkCut(t *testing.T, u *media.AccessUnit) {
	t.Helper()
	body, err := AppendBody(nil, u)
	if errors.Is(err, ErrUnsupported) || errors.Is(err, ErrLimit) {
		return
	}
	if err != nil {
		t.Fatal(err)
	}
	var d Demuxer
	again, err := d.Append(nil, u.MessageType, 40, body)
	if err != nil || len(again) != 1 {
		t.Fatalf("%s: %x: %d units, %v", summary(*u), body, len(again), err)
	}
	got := again[0]
	if len(u.Data) == 0 && u.Header == media.Sample { // silence: an empty message says no more
		return
	}
	if got.Multitrack || got.Track.ID != 0 || got.Header != u.Header || got.RandomAccess != u.RandomAccess || got.PTS-got.DTS != u.PTS-u.DTS ||
		!bytes.Equal(got.Data, u.Data) || got.Track.Codec != u.Track.Codec {
		t.Fatalf("%x is\n%s, was\n%s", body, summary(got), summary(*u))
	}
	if u.Header == media.SequenceHeader && !bytes.Equal(got.Track.Config, u.Track.Config) {
		t.Fatalf("configuration %x, was %x", got.Track.Config, u.Track.Config)
	}
}
