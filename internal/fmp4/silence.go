package fmp4

import (
	"time"

	"livego/internal/bits"
	"livego/internal/codec"
	"livego/internal/media"
)

// Silence returns an audio frame in which nothing is heard, and its length. like is a frame of the
// track, from which those of AC-3 and E-AC-3 take their header. It is nil for what has no raw data
// blocks, as xHE-AAC, and for broken headers.
func Silence(t *media.Track, like []byte) (frame []byte, length time.Duration) {
	switch t.Codec {
	case media.AAC:
		frame = silentAAC(t)
	case media.MP3:
		frame = silentMP3(t)
	case media.Opus:
		frame = silentOpus(t)
	case media.FLAC:
		frame = silentFLAC(t)
	case media.AC3:
		frame = silentAC3(like)
	case media.EAC3:
		frame = silentEAC3(like)
	}
	if n := codec.FrameSamples(t, frame); frame != nil && n > 0 && t.SampleRate > 0 {
		return frame, time.Duration(n) * time.Second / time.Duration(t.SampleRate)
	}
	return nil, 0
}

// maxObject is the last of the audio object types that share a raw data block and are decoded by
// what decodes low complexity.
const maxObject = 4

// The syntactic elements of a raw data block (ISO/IEC 14496-3 table 4.85).
const (
	elementSCE = 0
	elementCPE = 1
	elementLFE = 3
	elementEnd = 7
)

// element is a channel element and its element_instance_tag.
type element struct{ kind, tag uint32 }

// aacLayouts are the elements of a channelConfiguration (ISO/IEC 14496-3 table 1.19).
var aacLayouts = [...][]uint32{
	1:  {elementSCE},
	2:  {elementCPE},
	3:  {elementSCE, elementCPE},
	4:  {elementSCE, elementCPE, elementSCE},
	5:  {elementSCE, elementCPE, elementCPE},
	6:  {elementSCE, elementCPE, elementCPE, elementLFE},
	7:  {elementSCE, elementCPE, elementCPE, elementCPE, elementLFE},
	11: {elementSCE, elementCPE, elementCPE, elementSCE, elementLFE},
	12: {elementSCE, elementCPE, elementCPE, elementCPE, elementLFE},
	14: {elementSCE, elementCPE, elementCPE, elementLFE, elementCPE},
}

// silentAAC writes a raw data block (ISO/IEC 14496-3 §4.4.2.1) whose channels have no spectral
// data:
//
//	SCE, LFE: id 3 | tag 4 | channel
//	CPE:      id 3 | tag 4 | common_window 1 | ics_info 11 | ms_mask_present 2 | channel | channel
//	channel:  global_gain 8 (| ics_info 11, if it is not common) | pulse 1 | tns 1 | gain control 1
//	ics_info: reserved 1 | window_sequence 2 | window_shape 1 | max_sfb 6 | predictor 1
//
// HE-AAC has that without SBR data: of nothing there is nothing to replicate, and a decoder only
// doubles the rate. It takes up SBR again with the next header, which encoders repeat about twice a
// second.
func silentAAC(t *media.Track) []byte {
	elements := aacElements(t.Config)
	if elements == nil {
		return nil
	}
	const info, channel = 11, 8 + 3
	var w bits.Writer
	for _, e := range elements {
		w.Bits(3, e.kind)
		w.Bits(4, e.tag)
		if e.kind == elementCPE {
			w.Bits(1, 1)
			w.Bits(info+2+2*channel, 0)
		} else {
			w.Bits(channel+info, 0)
		}
	}
	w.Bits(3, elementEnd)
	return w.Bytes()
}

// aacElements returns the elements of a frame, nil if it has none that are known.
func aacElements(config []byte) (elements []element) {
	r := bits.NewReader(config)
	c := codec.ReadAACConfig(&r)
	switch {
	case r.Bad || c.Object == 0 || c.Object > maxObject || int(c.Layout) >= len(aacLayouts):
		return nil
	case c.Layout == 0:
		return programConfig(&r)
	}
	tags := [4]uint32{}
	for _, kind := range aacLayouts[c.Layout] {
		elements = append(elements, element{kind, tags[kind]})
		tags[kind]++
	}
	return elements
}

// programConfig reads the elements of a GASpecificConfig's program config element (ISO/IEC 14496-3
// §4.4.1), as far as they are channels: coupling channels have nothing to couple.
func programConfig(r *bits.Reader) (elements []element) {
	r.Skip(1)         // frameLengthFlag
	r.SkipIf(14)      // coreCoderDelay
	r.Skip(1)         // extensionFlag
	r.Skip(4 + 2 + 4) // element_instance_tag, object_type, sampling_frequency_index
	front, side, back, lfe := r.Bits(4), r.Bits(4), r.Bits(4), r.Bits(2)
	r.Skip(3 + 4) // data and coupling elements
	r.SkipIf(4)
	r.SkipIf(4)
	r.SkipIf(3) // mixdown
	for range front + side + back {
		elements = append(elements, element{r.Bits(1), r.Bits(4)}) // is_cpe is the element's kind
	}
	for range lfe {
		elements = append(elements, element{elementLFE, r.Bits(4)})
	}
	if r.Bad {
		return nil
	}
	return elements
}

// silentOpus is a packet of 20 ms: of each stream a frame of code 0, CELT over the whole band, with
// a silence flag (RFC 6716 §3.1, §4.3.1). Of several streams all but the last say how long they are
// (RFC 7845 §3, RFC 6716 appendix B).
func silentOpus(t *media.Track) (packet []byte) {
	const fullBand20, stereo, silence = 31 << 3, 1 << 2, "\xFF\xFE"
	if !validOpusHead(t.Config) {
		return nil
	}
	streams, coupled := 1, int(t.Config[9])-1
	if t.Config[18] != 0 {
		streams, coupled = int(t.Config[19]), int(t.Config[20])
	}
	for i := range streams {
		toc := byte(fullBand20)
		if i < coupled {
			toc |= stereo
		}
		packet = append(packet, toc)
		if i+1 < streams {
			packet = append(packet, byte(len(silence)))
		}
		packet = append(packet, silence...)
	}
	return packet
}

// silentFLAC is a frame of constant subframes that are zero (RFC 9639 §9), of the stream's block
// size.
//
//	sync 15 | strategy 1 | block size 4 | rate 4 | channels 4 | depth 3 | 0 | number 8 | block size - 1 16 | CRC-8
//	subframe, per channel: 0 | type 6 | wasted bits 1 | the value
//	padding | CRC-16
func silentFLAC(t *media.Track) []byte {
	const byStreamInfo, sixteenBits, minBlock, usualBlock = 0, 7, 16, 4096
	if !validFLAC(t.Config) {
		return nil
	}
	r := bits.NewReader(t.Config[flacStreamInfo:flacStreamInfoEnd])
	least, most := r.Bits(16), r.Bits(16)
	r.Skip(24 + 24 + 20)
	channels, depth := r.Bits(3)+1, r.Bits(5)+1
	variable, size := uint32(0), most
	if least != most {
		variable, size = 1, min(most, usualBlock)
	}
	if size < minBlock {
		return nil
	}
	var w bits.Writer
	w.Bits(15, 0x7FFC)
	w.Bits(1, variable)
	w.Bits(4, sixteenBits)
	w.Bits(4, byStreamInfo)
	w.Bits(4, channels-1)
	w.Bits(3+1, byStreamInfo)
	w.Bits(8, 0)
	w.Bits(16, size-1)
	w.Bits(8, uint32(crc(0x07, 8, w.Bytes())))
	for range channels {
		w.Bits(8, 0)
		w.Bits(int(depth), 0)
	}
	w.Bits((8-w.Pos()&7)&7, 0)
	w.Bits(16, uint32(crc(0x8005, 16, w.Bytes())))
	return w.Bytes()
}

// crc is the remainder of b by a polynomial of a degree, the highest bits first.
func crc(polynomial uint16, degree int, b []byte) (sum uint16) {
	top := uint16(1) << (degree - 1)
	for _, v := range b {
		sum ^= uint16(v) << (degree - 8)
		for range 8 {
			carry := sum&top != 0
			sum <<= 1
			if carry {
				sum ^= polynomial
			}
		}
	}
	return sum & (top<<1 - 1)
}

// mp3Rates are the sampling frequencies of MPEG-1, which MPEG-2 halves, and MPEG-2.5 again (ISO/IEC
// 11172-3 §2.4.2.3).
var mp3Rates = [...]int{44100, 48000, 32000}

// silentMP3 is a header and side information of zeros, which says that there is no main data.
func silentMP3(t *media.Track) []byte {
	for i, rate := range mp3Rates {
		channels := byte(0xC0) // mono
		if t.Channels == 2 {
			channels = 0
		}
		switch t.SampleRate {
		case rate: // MPEG-1 layer III without CRC, 32 kbit/s
			return emptyMP3([4]byte{0xFF, 0xFB, 1<<4 | byte(i)<<2, channels}, 144*32000/rate)
		case rate / 2: // MPEG-2, 16 kbit/s
			return emptyMP3([4]byte{0xFF, 0xF3, 2<<4 | byte(i)<<2, channels}, 72*16000*2/rate)
		case rate / 4: // MPEG-2.5, the same
			return emptyMP3([4]byte{0xFF, 0xE3, 2<<4 | byte(i)<<2, channels}, 72*16000*4/rate)
		}
	}
	return nil
}

func emptyMP3(header [4]byte, size int) []byte {
	b := make([]byte, size)
	copy(b, header[:])
	return b
}
