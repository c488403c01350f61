package fmp4

import (
	"encoding/hex"
	"strings"
	"testing"
	"time"

	"livego/internal/media"
)

// Decoder configuration records that real encoders wrote, of 192 x 108 pictures at 25 a second, or
// made from the standards.
const (
	avcMain     = "0164000bffe100196764000bacd9430ffbc044000003000400000300c83c50a65801000468ef8fcbfdf8f800"                   // libx264
	avcBaseline = "0142c00bffe100176742c00bda0c3fef0e1000000300100000030320f142aa01000468ce0fc8"                               // libx264, pixels of 4:3
	avcPQ       = "016e000bffe1001c676e000ba6cb4187fde02d4244025000000300100000030320f142aa01000468ce0fc8fdfafa00"             // libx264, BT.2020, PQ
	hevcMain    = "0101600000009000000000001ef000fcfdf8f800000f03a00001001840010c01ffff01600000030090000003000003001e959409" + // libx265
		"a10001002942010101600000030090000003000003001ea0182071f7965654a4c2f0168080000003008000000c84a2000100064401c073c189"
	hevcHLG = "0102200000009000000000001ef000fcfdfafa00000f03a00001001840010c01ffff02200000030090000003000003001e959409" + // libx265, BT.2020, HLG
		"a10001002e42010102200000030090000003000003001ea0182071f6d965654a4c2f016a12241208000003000800000300c840a2000100064401c073c189"
	av1Main  = "81000c000a0a00000003b5feb00be001"       // libsvtav1
	av1PQ    = "81004c000a0d00000003b5feb36be542440241" // libaom, 10 bits, BT.2020, PQ
	vp9Main  = "000a820202020000"                       // libvpx
	vp9HLG   = "020aa20912090000"                       // libvpx, 10 bits, BT.2020, HLG
	vvcMain  = "ff 0025 5f 01 02 33 80 80 00 0500 02d0 1900 01 8f 0001 0002 0f01"
	aacLC    = "118856e500"                                                                             // ffmpeg, which says that SBR is absent
	opusMono = "4f70757348656164 01 01 3801 80bb0000 0000 00"                                           // libopus: 312 samples to skip
	flacMono = "664c6143 80000022 120012000002f10004f30ac440f00000ac449ba95e857124355c11330d327eb66b24" // ffmpeg
	mp3Frame = "fffb50c4000000"
	ac3Mono  = "0b77480d0c402f842bc1c77aaf5e1be7ef9f3e86f9f3e7cfa1be32fed141a57e" // ffmpeg, 96 kbit/s
	ac3Of6   = "0b77b50b1e40ebf8403eff99ff0841fc3f87f0dd5c3e86fbfe757cf9f3e7cf9f" // ffmpeg, 5.1, 448 kbit/s
	eac3Of6  = "0b77037f3f87d6dd8084aa000107c10000100200002000fe63f0083f0fc3f087" // ffmpeg, 5.1, with mixing metadata
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// videoTrack makes a track as the demuxer does. Parameter sets are those of the record.
func videoTrack(t testing.TB, codec media.Codec, config string) *media.Track {
	t.Helper()
	c := unhex(t, config)
	track := &media.Track{Kind: media.Video, Codec: codec, Config: c, Parsed: true, Width: 192, Height: 108}
	switch codec {
	case media.H264:
		track.NALLengthSize, track.FrameRate = int(c[4]&3)+1, 25
		n := int(c[6])<<8 | int(c[7])
		track.ParameterSets = [][]byte{c[8 : 8+n]}
	case media.HEVC:
		track.NALLengthSize, track.FrameRate = int(c[21]&3)+1, 25
		for at := 23; at+5 < len(c); {
			n := int(c[at+3])<<8 | int(c[at+4])
			track.ParameterSets = append(track.ParameterSets, c[at+5:at+5+n])
			at += 5 + n
		}
	case media.VVC:
		track.NALLengthSize, track.Width, track.Height = 4, 1280, 720
	}
	return track
}

func audioTrack(t testing.TB, codec media.Codec, config string, rate, channels, samples int) *media.Track {
	t.Helper()
	return &media.Track{
		Kind: media.Audio, Codec: codec, Config: unhex(t, config), Parsed: true,
		SampleRate: rate, Channels: channels, SamplesPerFrame: samples,
	}
}

func h264Track(t testing.TB) *media.Track { return videoTrack(t, media.H264, avcMain) }
func aacTrack(t testing.TB) *media.Track {
	return audioTrack(t, media.AAC, aacLC, 48000, 1, 1024)
}

func ms(n int) time.Duration { return time.Duration(n) * time.Millisecond }

// oneNAL returns a NAL unit of n bytes with its length in 4 bytes.
func oneNAL(n int) []byte {
	b := []byte{byte(n >> 24), byte(n >> 16), byte(n >> 8), byte(n), 0x65}
	for i := range n - 1 {
		b = append(b, byte(i))
	}
	return b
}

func picture(t *media.Track, at time.Duration, key bool, n int) media.AccessUnit {
	return media.AccessUnit{Track: t, RandomAccess: key, DTS: at, PTS: at, Data: oneNAL(n)}
}

func sound(t *media.Track, at time.Duration, n int) media.AccessUnit {
	return media.AccessUnit{Track: t, RandomAccess: true, DTS: at, PTS: at, Data: oneNAL(n)[4:]}
}

func newWriter(t testing.TB, track *media.Track) *Writer {
	t.Helper()
	w, err := NewWriter(track)
	if err != nil {
		t.Fatal(err)
	}
	return w
}
