package fmp4

import (
	"time"

	"livego/internal/media"
)

// Silence returns an audio frame in which nothing is heard, and its length. It is nil for a codec or a channel layout for which there is none here:
// FLAC, AC-3, E-AC-3, HE-AAC, Opus of more than two channels.
func Silence(t *media.Track) (frame []byte, length time.Duration) {
	switch t.Codec {
	case media.AAC:
		frame = silentAAC(t)
	case media.MP3:
		frame = silentMP3(t)
	case media.Opus:
		frame = silentOpus(t)
	}
	if n := frameSamples(t, frame); frame != nil && n > 0 {
		return frame, time.Duration(n) * time.Second / time.Duration(t.SampleRate)
	}
	return nil, 0
}

// objectLC is low complexity, the audio object type that everything encodes and decodes.
const objectLC = 2

// The syntactic elements of a raw data block (ISO/IEC 14496-3 table 4.85).
const (
	elementSCE = 0
	elementCPE = 1
	elementLFE = 3
	elementEnd = 7
)

// aacLayouts are the elements of a channelConfiguration (ISO/IEC 14496-3 table 1.19).
var aacLayouts = [...][]uint32{
	1: {elementSCE},
	2: {elementCPE},
	3: {elementSCE, elementCPE},
	4: {elementSCE, elementCPE, elementSCE},
	5: {elementSCE, elementCPE, elementCPE},
	6: {elementSCE, elementCPE, elementCPE, elementLFE},
	7: {elementSCE, elementCPE, elementCPE, elementCPE, elementLFE},
}

// silentAAC writes a raw data block (ISO/IEC 14496-3 §4.4.2.1) whose channels have no spectral data:
//
//	SCE, LFE: id 3 | tag 4 | channel
//	CPE:      id 3 | tag 4 | common_window 1 | ics_info 11 | ms_mask_present 2 | channel | channel
//	channel:  global_gain 8 (| ics_info 11, if it is not common) | pulse 1 | tns 1 | gain control 1
//	ics_info: reserved 1 | window_sequence 2 | window_shape 1 | max_sfb 6 | predictor 1
func silentAAC(t *media.Track) []byte {
	r := bitReader{b: t.Config}
	if object, ok := aacObject(t); !ok || object != objectLC || r.bits(5) != objectLC {
		return nil
	}
	if r.bits(4) == 15 {
		r.skip(24)
	}
	layout := r.bits(4)
	if r.bad || layout == 0 || int(layout) >= len(aacLayouts) {
		return nil
	}
	const info, channel = 11, 8 + 3
	var w bitWriter
	tags := [4]uint32{}
	for _, element := range aacLayouts[layout] {
		w.put(3, element)
		w.put(4, tags[element])
		tags[element]++
		if element == elementCPE {
			w.put(1, 1)
			w.put(info+2+2*channel, 0)
		} else {
			w.put(channel+info, 0)
		}
	}
	w.put(3, elementEnd)
	return w.b
}

// silentOpus is a frame of 20 ms: code 0, CELT over the whole band, and a silence flag (RFC 6716 §3.1, §4.3.1).
func silentOpus(t *media.Track) []byte {
	if len(t.Config) < opusHead || t.Config[18] != 0 || t.Channels > 2 {
		return nil
	}
	const fullBand20, stereo = 31 << 3, 1 << 2
	toc := byte(fullBand20)
	if t.Channels == 2 {
		toc |= stereo
	}
	return []byte{toc, 0xFF, 0xFE}
}

// mp3Rates are the sampling frequencies of MPEG-1, which MPEG-2 halves (ISO/IEC 11172-3 §2.4.2.3).
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
		}
	}
	return nil
}

func emptyMP3(header [4]byte, size int) []byte {
	b := make([]byte, size)
	copy(b, header[:])
	return b
}
