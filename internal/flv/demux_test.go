package flv

import (
	"bytes"
	"encoding/hex"
	"errors"
	"fmt"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"livego/internal/media"
)

// unhex turns "17 00 'avc1'" into bytes: hex digits, spaces for reading, and quoted text as it is.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	out := []byte{}
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(part), ""))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

// summary writes what a test wants to know of a unit: kind and id, codec/name, what it is, flags,
// times in ms, data.
func summary(u media.AccessUnit) string {
	headers := map[media.Header]string{
		media.Sample: "sample", media.SequenceHeader: "header", media.SequenceEnd: "end", media.Multichannel: "multichannel",
		media.Colour: "colour", media.Metadata: "metadata", media.Command: "command",
	}
	s := fmt.Sprintf("%v%d %s/%s %s", u.Track.Kind, u.Track.ID, u.Track.Codec, u.Track.Name, headers[u.Header])
	if u.RandomAccess {
		s += " key"
	}
	if u.Shared {
		s += " shared"
	}
	s += fmt.Sprintf(" %d", u.DTS.Milliseconds())
	if u.PTS != u.DTS {
		s += fmt.Sprintf("%+d", (u.PTS - u.DTS).Milliseconds())
	}
	if u.Nanos != 0 {
		s += fmt.Sprintf(" %dns", u.Nanos)
	}
	if u.Data != nil {
		s += fmt.Sprintf(" [%x]", u.Data)
	}
	if u.Multitrack {
		s += " multitrack"
	}
	return s
}

type input struct {
	messageType uint8
	timestampMS uint32
	body        string
}

// The headers of real encoders, in hexadecimal.
const (
	avcC    = "0164000dffe100196764000dacd94141fb011000000300100000030320f142996001000668ebe3cb22c0fdf8f800"
	avcC444 = "01f4000dffe1001967f4000d919b28283f6022000003000200000300641e28532c01000668ebe3c44844fff8f800"
	hvcC    = "0104080000009e08000000003cf000fcfff8f800000f03200001001740010c01ffff0408000003009e0800000300003c9598092100010" +
		"02b4201010408000003009e0800000300003c90014101e2cb2b349265780b702020004000000300400000064222000100084401c172860c4624"
	av1C     = "81000c00 0a0b000000043cffbc02f80040"
	vpcC     = "0014820202020000"
	opusHead = "'OpusHead' 01 02 3801 80bb0000 0000 00"
	flacInfo = "'fLaC' 80000022 1200120000047e0004da0ac440f00000227464b80e4dc9c9bd5ca308a6942a1c06ec"

	// Frames: the first bytes suffice.
	mp3At44100 = "fffb40c0 00"
	mp3At8000  = "ffe338c0 00"
	ac3Frame   = "0b77d676144043e106f4"
	eac3Frame  = "0b77017f3487c0002084"
	vp8Key     = "b05a00 9d012a 4001 f000 0000"
	vp9Key     = "82498342 0013f00ef6 00"
)

const setDataFrame = "02 000d '@setDataFrame'"

// TestAppend feeds messages to one Demuxer per case. The bodies follow the tables of FLV 10.1 Annex
// E.4 and of E-RTMP v2.
func TestAppend(t *testing.T) {
	for _, c := range []struct {
		name string
		in   []input
		want []string
	}{
		{"AVC with composition times", []input{
			{9, 0, "17 00 000000" + avcC},
			{9, 40, "17 01 000050 00000001 65"},
			{9, 80, "27 01 000000 00000001 41"},
			{9, 120, "27 01 ffffd8 00000001 01"},
			{9, 160, "17 02 000000"},
		}, []string{
			"video0 H264/7 header 0",
			"video0 H264/7 sample key 40+80 [0000000165]",
			"video0 H264/7 sample 80 [0000000141]",
			"video0 H264/7 sample 120-40 [0000000101]",
			"video0 H264/7 end 160",
		}},
		{"AVC before any header, and a packet type of the future", []input{
			{9, 0, "27 01 000000 aa"},
			{9, 1, "17 03 000000"},
		}, []string{"video0 H264/7 sample 0 [aa]", "video0 H264/7 command 1"}},
		{"HEVC as codec id 12", []input{
			{9, 0, "1c 00 000000" + hvcC},
			{9, 40, "1c 01 000028 00000001 26"},
		}, []string{"video0 HEVC/12 header 0", "video0 HEVC/12 sample key 40+40 [0000000126]"}},
		{"legacy codecs that nobody here knows", []input{
			{9, 0, "12 aabb"},
			{9, 40, "22 cc"},
			{9, 80, "14"},
			{9, 120, "1d 01 000000 aa"},
		}, []string{
			"video0 /2 sample key 0 [aabb]",
			"video0 /2 sample 40 [cc]",
			"video0 /4 command 80",
			"video0 /13 sample key 120 [01000000aa]",
		}},
		{"video commands", []input{
			{9, 0, "57 00"},
			{9, 1, "27 01 000000 aa"},
			{9, 2, "52 01"},
			{9, 3, "d0 00"}, // E-RTMP: frame type 5, the FourCC is replaced by VideoCommand
			{9, 4, "d1"},
		}, []string{
			"video0 / command 0",
			"video0 H264/7 sample 1 [aa]",
			"video0 H264/7 command 2",
			"video0 H264/7 command 3",
			"video0 H264/7 command 4",
		}},
		{"AAC", []input{
			{8, 0, "af 00 1210"},
			{8, 23, "af 01 aabb"},
			{8, 46, "af 02"},
		}, []string{"audio0 AAC/10 header 0", "audio0 AAC/10 sample key 23 [aabb]", "audio0 AAC/10 command 46"}},
		{"other legacy audio", []input{
			{8, 0, "2f" + mp3At44100},
			{8, 26, "e2" + mp3At8000},
		}, []string{
			"audio0 MP3/2 sample key 0 [fffb40c000]",
			"audio0 MP3/14 sample key 26 [ffe338c000]",
		}},
		{"PCMA", []input{{8, 52, "72 aa"}}, []string{"audio0 PCMA/7 sample key 52 [aa]"}},
		{"PCMU", []input{{8, 72, "83 bb"}}, []string{"audio0 PCMU/8 sample key 72 [bb]"}},
		{"Speex", []input{{8, 92, "b2 cc"}}, []string{"audio0 Speex/11 sample key 92 [cc]"}},
		{"unknown legacy audio", []input{{8, 112, "5e dd"}, {8, 132, "f0 ee"}}, []string{
			"audio0 /5 sample key 112 [dd]",
			"audio0 /15 sample key 132 [ee]",
		}},
		{"silence before and after the first track", []input{
			{8, 0, ""},
			{8, 10, "af 00 1210"},
			{8, 20, ""},
		}, []string{"audio0 / command 0", "audio0 AAC/10 header 10", "audio0 AAC/10 sample key 20 []"}},
		{"enhanced HEVC", []input{
			{9, 0, "90 'hvc1'" + hvcC},
			{9, 40, "91 'hvc1' 000028 aa"},
			{9, 80, "a3 'hvc1' bb"},
			{9, 120, "a1 'hvc1' ffffff cc"},
			{9, 160, "92 'hvc1'"},
		}, []string{
			"video0 HEVC/hvc1 header 0",
			"video0 HEVC/hvc1 sample key 40+40 [aa]",
			"video0 HEVC/hvc1 sample 80 [bb]",
			"video0 HEVC/hvc1 sample 120-1 [cc]",
			"video0 HEVC/hvc1 end 160",
		}},
		{"enhanced AVC and VVC have composition times too", []input{
			{9, 0, "91 'avc1' 000001 aa"},
			{9, 0, "91 'vvc1' 000002 bb"},
		}, []string{"video0 H264/avc1 sample key 0+1 [aa]", "video0 VVC/vvc1 sample key 0+2 [bb]"}},
		{"enhanced AV1", []input{
			{9, 0, "90 'av01'" + av1C},
			{9, 40, "91 'av01' 0a0b00"},
		}, []string{
			"video0 AV1/av01 header 0",
			"video0 AV1/av01 sample key 40 [0a0b00]",
		}},
		{"enhanced VP9, VP8 without a header", []input{
			{9, 80, "91 'vp09'" + vp9Key},
			{9, 120, "91 'vp08'" + vp8Key},
		}, []string{
			"video0 VP9/vp09 sample key 80 [824983420013f00ef600]",
			"video0 VP8/vp08 sample key 120 [b05a009d012a4001f0000000]",
		}},
		{"colour information, whatever the frame type", []input{
			{9, 0, "94 'hvc1' 02 0009 'colorInfo' 06"},
			{9, 1, "d4 'hvc1' 02 0009 'colorInfo' 06"},
		}, []string{
			"video0 HEVC/hvc1 colour 0 [020009636f6c6f72496e666f06]",
			"video0 HEVC/hvc1 colour 1 [020009636f6c6f72496e666f06]",
		}},
		{"MPEG-2 TS sequence start, packet types of the future", []input{
			{9, 0, "95 'av01' 8004810d0c00"},
			{9, 1, "98 'av01' aa"},
			{8, 1, "96 'Opus' aa"},
		}, []string{"video0 AV1/av01 header 0", "video0 AV1/av01 command 1", "audio0 Opus/Opus command 1"}},
		{"FourCC that nobody knows", []input{
			{9, 0, "91 'abcd' aa"},
			{9, 1, "91 00010203 bb"},
			{9, 1, "91 00000007 bb"},
			{8, 2, "91 'avc1' cc"},
		}, []string{
			"video0 /abcd sample key 0 [aa]",
			"video0 /0x00010203 sample key 1 [bb]",
			"video0 /0x00000007 sample key 1 [bb]",
			"audio0 /avc1 sample key 2 [cc]",
		}},
		{"enhanced audio", []input{
			{8, 0, "90 'Opus'" + opusHead},
			{8, 0, "94 'Opus' 01 02 00000003"},
			{8, 20, "91 'Opus' fc"},
			{8, 40, "92 'Opus'"},
			{8, 60, "90 'fLaC'" + flacInfo},
			{8, 80, "91 'fLaC' fff8"},
			{8, 100, "91 'ac-3'" + ac3Frame},
			{8, 132, "91 'ec-3'" + eac3Frame},
			{8, 164, "91 '.mp3'" + mp3At44100},
			{8, 190, "90 'mp4a' 1210"},
			{8, 190, "91 'mp4a' 21"},
		}, []string{
			"audio0 Opus/Opus header 0",
			"audio0 Opus/Opus multichannel 0 [010200000003]",
			"audio0 Opus/Opus sample key 20 [fc]",
			"audio0 Opus/Opus end 40",
			"audio0 FLAC/fLaC header 60",
			"audio0 FLAC/fLaC sample key 80 [fff8]",
			"audio0 AC-3/ac-3 sample key 100 [0b77d676144043e106f4]",
			"audio0 E-AC-3/ec-3 sample key 132 [0b77017f3487c0002084]",
			"audio0 MP3/.mp3 sample key 164 [fffb40c000]",
			"audio0 AAC/mp4a header 190",
			"audio0 AAC/mp4a sample key 190 [21]",
		}},
		{"ModEx: nanoseconds, then a type of the future, then the frame", []input{
			{9, 40, "97 02 07a120 07 00 ff 11 'hvc1' 000000 aa"},
			{8, 40, "97 02 0f423f 01 'Opus' bb"},
			{8, 60, "91 'Opus' cc"},
		}, []string{
			"video0 HEVC/hvc1 sample key 40 500000ns [aa]",
			"audio0 Opus/Opus sample key 40 999999ns [bb]",
			"audio0 Opus/Opus sample key 60 [cc]",
		}},
		{"ModEx: more data than needed, 16-bit size, values out of range", []input{
			{9, 0, "97 03 000001ff 01 'av01' aa"},
			{9, 1, "97 ff 0100" + strings.Repeat("00", 256) + "05 01 'av01' bb"},
			{9, 2, "97 02 0f4240 01 'av01' cc"}, // 1,000,000 ns
			{9, 3, "97 01 0001 01 'av01' dd"},
		}, []string{
			"video0 AV1/av01 sample key 0 1ns [aa]",
			"video0 AV1/av01 sample key 1 [bb]",
			"video0 AV1/av01 sample key 2 [cc]",
			"video0 AV1/av01 sample key 3 [dd]",
		}},
		{"one track", []input{
			{9, 0, "96 01 'hvc1' 03 000005 aa"},
			{8, 0, "95 01 'Opus' 02 bb"},
		}, []string{"video3 HEVC/hvc1 sample key 0+5 [aa] multitrack", "audio2 Opus/Opus sample key 0 [bb] multitrack"}},
		{"many tracks", []input{
			{9, 0, "a6 11 'avc1' 00 000005 000001 aabb 01 000004 000002 cc 02 000003 000000"},
			{8, 0, "95 11 'Opus' 00 000001 dd 01 000000"},
		}, []string{
			"video0 H264/avc1 sample 0+1 [aabb] multitrack",
			"video1 H264/avc1 sample shared 0+2 [cc] multitrack",
			"video2 H264/avc1 command shared 0 multitrack",
			"audio0 Opus/Opus sample key 0 [dd] multitrack",
			"audio1 Opus/Opus sample key shared 0 [] multitrack",
		}},
		{"many tracks, many codecs, with ModEx before", []input{
			{9, 7, "97 02 000001 06 21 'av01' 00 000001 aa 'hvc1' 01 000004 000000 bb"},
			{9, 8, "96 20 'av01' 00 000011" + av1C + "'hvc1' 01 000070" + hvcC},
		}, []string{
			"video0 AV1/av01 sample key 7 1ns [aa] multitrack",
			"video1 HEVC/hvc1 sample key shared 7 1ns [bb] multitrack",
			"video0 AV1/av01 header 8 multitrack",
			"video1 HEVC/hvc1 header shared 8 multitrack",
		}},
		{"multitrack type of the future", []input{
			{9, 0, "96 31 aabbccdd"},
			{8, 0, "95 f1 aabbccdd"},
		}, []string{"video0 / command 0 multitrack", "audio0 / command 0 multitrack"}},
		{"script data", []input{
			{18, 0, setDataFrame + "02 000a 'onMetaData' 08 00000000 000009"},
			{18, 5, "02 000a 'onMetaData' 03 000009"},
			{18, 6, "02 0006 'onText' 02 0002 'hi'"},
			{18, 7, "02 000a 'onCuePoint'"},
			{18, 8, "02 000a 'onMetaData' 08 00000000 000009 000009"},
			{15, 9, "00 02 0006 'onText' 05"},
			{15, 10, "00" + setDataFrame + "02 000a 'onMetaData' 03 000009"},
		}, []string{
			"data0 /script metadata 0",
			"data0 /script metadata 5",
			"data0 /script sample 6 [0200066f6e546578740200026869]",
			"data0 /script sample 7 [02000a6f6e437565506f696e74]",
			"data0 /script metadata 8",
			"data0 /script sample 9 [0200066f6e5465787405]",
			"data0 /script metadata 10",
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d Demuxer
			var got []string
			for _, in := range c.in {
				units, err := d.Append(nil, in.messageType, in.timestampMS, unhex(t, in.body))
				if err != nil {
					t.Fatalf("%s: %v", in.body, err)
				}
				for _, u := range units {
					got = append(got, summary(u))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

// TestAppendErrors checks that a bad message gives an error and nothing else, and that the session
// goes on.
func TestAppendErrors(t *testing.T) {
	tracks := func(n int) string { // n tracks of one byte
		s := "96 11 'av01'"
		for i := range n {
			s += fmt.Sprintf("%02x 000001 aa", i)
		}
		return s
	}
	for _, c := range []struct {
		name        string
		messageType uint8
		body        string
		want        error
	}{
		{"type that carries no media", 20, "02 0001 'a'", ErrUnsupported},
		{"empty video", 9, "", ErrTruncated},
		{"AVC without packet type", 9, "17", ErrTruncated},
		{"AVC without composition time", 9, "17 01 0000", ErrTruncated},
		{"AAC without packet type", 8, "af", ErrTruncated},
		{"FourCC cut off", 9, "91 'hvc'", ErrTruncated},
		{"audio FourCC cut off", 8, "91", ErrTruncated},
		{"enhanced without composition time", 9, "91 'hvc1' 0000", ErrTruncated},
		{"ModEx cut off", 9, "97", ErrTruncated},
		{"ModEx data cut off", 9, "97 02 0000", ErrTruncated},
		{"ModEx without type", 9, "97 02 000000", ErrTruncated},
		{"ModEx size cut off", 8, "97 ff 00", ErrTruncated},
		{"multitrack cut off", 9, "96", ErrTruncated},
		{"multitrack FourCC cut off", 8, "95 01 'Op'", ErrTruncated},
		{"track id missing", 9, "96 01 'hvc1'", ErrTruncated},
		{"track size cut off", 9, "96 11 'av01' 00 0000", ErrTruncated},
		{"second track larger than the message", 9, "96 11 'av01' 00 000001 aa 01 000002 bb", ErrTruncated},
		{"second track too short for its composition time", 9, "96 11 'hvc1' 00 000004 000000aa 01 000002 0000", ErrTruncated},
		{"multitrack within multitrack", 9, "96 16 'av01' 00", ErrUnsupported},
		{"too many tracks", 9, tracks(65), ErrLimit},
		{"sequence header too long", 9, "90 'av01'" + strings.Repeat("00", maxHeader+1), ErrLimit},
		{"data message that begins with a number", 18, "00 4014000000000000", ErrUnsupported},
		{"data message without value", 18, "", nil},
		{"data message, name cut off", 18, "02 00ff 'on'", nil},
		{"data message, value cut off", 18, "02 0001 'a' 03 0001", nil},
		{"@setDataFrame alone", 18, setDataFrame, nil},
		{"@setDataFrame of a number", 18, setDataFrame + "00 4014000000000000", ErrUnsupported},
		{"data message with AMF3", 15, "00 02 0001 'a' 11 01", nil},
		{"data message all in AMF3", 15, "03 06 03 'a'", nil},
		{"data message too long", 18, "02 0001 'a'" + strings.Repeat("05", maxMetadata), ErrLimit},
	} {
		t.Run(c.name, func(t *testing.T) {
			var d Demuxer
			before := []media.AccessUnit{{Seq: 7}}
			units, err := d.Append(before, c.messageType, 0, unhex(t, c.body))
			if err == nil || c.want != nil && !errors.Is(err, c.want) {
				t.Fatalf("error %v, want %v", err, c.want)
			}
			if len(units) != 1 || units[0].Seq != 7 {
				t.Fatalf("%d units came with the error", len(units))
			}
			units, err = d.Append(nil, 9, 40, unhex(t, "17 00 000000"+avcC))
			if err != nil || len(units) != 1 || !units[0].Track.Parsed {
				t.Fatalf("the next message does not come through: %v", err)
			}
		})
	}
}

// TestUselessHeaders: a sequence header that is cut off, empty, without parameter sets, or no
// header at all does not take the place of one that parses.
func TestUselessHeaders(t *testing.T) {
	for _, c := range []struct {
		name        string
		messageType uint8
		start       string
		header      string
		bare        string // without parameter sets
		other       string // something else
		frame       string
	}{
		{"H.264", 9, "17 00 000000", avcC, "0164000d ff e0 00", "0264000d ff", "27 01 000000 00000001 41"},
		{"HEVC", 9, "90 'hvc1'", hvcC, "0104080000009e08000000003cf000fcfff8f800000f 00", "aabbcc", "a1 'hvc1' 000000 00000002 0201"},
		{"AV1", 9, "90 'av01'", av1C, "81000c00 1200", "40", "a1 'av01' 32 00"},
		{"AAC", 8, "af 00", "1210", "0000", "", "af 01 21"},
	} {
		var d Demuxer
		start, whole := unhex(t, c.start), unhex(t, c.header)
		want := one(t, &d, c.messageType, 0, slices.Concat(start, whole)).Track
		for _, bad := range [][]byte{nil, whole[:1], unhex(t, c.bare), unhex(t, c.other)} {
			if units, err := d.Append(nil, c.messageType, 40, slices.Concat(start, bad)); !errors.Is(err, ErrTruncated) || len(units) > 0 {
				t.Errorf("%s: the header %x: %d units, error %v", c.name, bad, len(units), err)
			}
			if got := one(t, &d, c.messageType, 40, unhex(t, c.frame)).Track; got != want {
				t.Errorf("%s: a frame after the header %x is of another track: %q", c.name, bad, got.Err)
			}
		}
		if got := one(t, &d, c.messageType, 80, slices.Concat(start, whole)).Track; got != want {
			t.Errorf("%s: the same header again makes another track", c.name)
		}
	}
	var bitstream Demuxer // a header in another form may be made one
	before := one(t, &bitstream, 9, 0, unhex(t, "17 00 000000"+avcC)).Track
	if got := one(t, &bitstream, 9, 40, unhex(t, "17 00 000000 00000001 67")).Track; got == before {
		t.Error("start codes: the header before is in force")
	}
	// Others' headers are in the same message.
	var d Demuxer
	want := one(t, &d, 8, 0, unhex(t, "95 10 'mp4a' 00 000002 1210")).Track
	units, err := d.Append(nil, 8, 40, unhex(t, "95 10 'mp4a' 00 000000 01 000002 1210"))
	if err != nil || len(units) != 2 || units[0].Track != want || units[1].Header != media.SequenceHeader || !units[1].Track.Parsed {
		t.Errorf("two tracks: %d units, error %v", len(units), err)
	}
}

// TestSameSound: a header of AAC that says what the one before said, in another form, changes
// nothing; one that says something else does.
func TestSameSound(t *testing.T) {
	var d Demuxer
	first := one(t, &d, 8, 0, unhex(t, "af 00 1188")).Track
	for _, same := range []string{"118856e500", "11880000", "1188", "118856e500"} { // without SBR, by name or not
		if got := one(t, &d, 8, 40, unhex(t, "af 00 "+same)); got.Track != first || got.Header != media.SequenceHeader {
			t.Errorf("header %s: another track", same)
		}
	}
	for _, other := range []string{"1190", "1208", "0988", "2b098800", "118856e580", "1190"} { // channels, rate, object, SBR
		before := first
		if first = one(t, &d, 8, 80, unhex(t, "af 00 "+other)).Track; first == before {
			t.Errorf("header %s: the same track", other)
		}
	}
}

func TestTrackLimit(t *testing.T) {
	var d Demuxer
	for id := range maxTracks {
		if _, err := d.Append(nil, 9, 0, unhex(t, fmt.Sprintf("96 01 'av01' %02x aa", id))); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := d.Append(nil, 9, 0, unhex(t, "96 01 'av01' ff aa")); !errors.Is(err, ErrLimit) {
		t.Fatalf("track over the limit: %v", err)
	}
	if _, err := d.Append(nil, 9, 0, unhex(t, "96 01 'av01' 00 aa")); err != nil {
		t.Fatalf("known track at the limit: %v", err)
	}
	if _, err := d.Append(nil, 8, 0, unhex(t, "95 01 'Opus' ff aa")); err != nil {
		t.Fatalf("audio has a limit of its own: %v", err)
	}
}

// one returns the only unit of a message.
func one(t testing.TB, d *Demuxer, messageType uint8, timestampMS uint32, body []byte) media.AccessUnit {
	t.Helper()
	units, err := d.Append(nil, messageType, timestampMS, body)
	if err != nil || len(units) != 1 {
		t.Fatalf("%d units, error %v", len(units), err)
	}
	return units[0]
}

// TestAliasing checks that Body and Data point into the message, and that what a track keeps does
// not.
func TestAliasing(t *testing.T) {
	var d Demuxer
	header := unhex(t, "17 00 000000"+avcC)
	u := one(t, &d, 9, 0, header)
	if &u.Body[0] != &header[0] || len(u.Body) != len(header) || u.Data != nil {
		t.Error("a header unit has the message as body and no data")
	}
	clear(header)
	if !bytes.Equal(u.Track.Config, unhex(t, avcC)) || u.Track.ParameterSets[0][0] != 0x67 {
		t.Error("the track must keep a copy of its header")
	}
	frame := unhex(t, "96 11 'avc1' 00 000004 000000 aa 01 000004 000000 bb")
	units, err := d.Append(nil, 9, 0, frame)
	if err != nil {
		t.Fatal(err)
	}
	for i, at := range []int{13, 21} {
		if &units[i].Body[0] != &frame[0] || &units[i].Data[0] != &frame[at] {
			t.Errorf("track %d does not point into the message", i)
		}
	}
	script := unhex(t, setDataFrame+"02 000a 'onMetaData' 03 000009")
	if u := one(t, &d, 18, 0, script); &u.Body[0] != &script[16] || u.MessageType != 18 {
		t.Error("the body of metadata begins after @setDataFrame")
	}
	amf3 := unhex(t, "00 02 0001 'a'")
	if u := one(t, &d, 15, 0, amf3); &u.Body[0] != &amf3[1] || u.MessageType != 18 {
		t.Error("type 15 goes on as type 18 without its format selector")
	}
	if u := one(t, &d, 8, 0, nil); u.Body == nil || u.Track == nil {
		t.Error("silence has a body, of no bytes, and a track")
	}
}

// TestAllocations checks that frames of a plain stream cost no memory.
func TestAllocations(t *testing.T) {
	var d Demuxer
	one(t, &d, 9, 0, unhex(t, "17 00 000000"+avcC))
	one(t, &d, 8, 0, unhex(t, "af 00 1210"))
	video, audio, silence := unhex(t, "27 01 000028 00000001 41"), unhex(t, "af 01 21"), []byte{}
	enhanced, mp3 := unhex(t, "96 11 'hvc1' 01 000004 000000 aa 02 000004 000000 bb"), unhex(t, "95 01 '.mp3' 01"+mp3At44100)
	dst := make([]media.AccessUnit, 0, 8)
	var at uint32
	n := testing.AllocsPerRun(1000, func() {
		at += 40
		var err error
		dst = dst[:0]
		for _, m := range []input{{messageType: 9}, {messageType: 8}} {
			body := video
			if m.messageType == 8 {
				body = audio
			}
			if dst, err = d.Append(dst, m.messageType, at, body); err != nil {
				t.Fatal(err)
			}
		}
		dst, _ = d.Append(dst, 8, at, silence)
		dst, _ = d.Append(dst, 9, at, enhanced)
		dst, _ = d.Append(dst, 8, at, mp3)
	})
	if n != 0 || len(dst) != 6 {
		t.Fatalf("%v allocations for %d units", n, len(dst))
	}
}
