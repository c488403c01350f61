package mpegts

import (
	"livego/internal/bits"
	"livego/internal/codec"
)

const (
	adtsHeaderSize = 7
	// maxADTSFrame is what the 13 bits of aac_frame_length can say, its header included.
	maxADTSFrame = 1<<13 - 1
	// idPCE is the id_syn_ele of a program config element (ISO/IEC 14496-3 table 4.85).
	idPCE = 5
)

// objectTypeLTP is the last audio object type that ADTS can name (ISO/IEC 14496-3 table 1.17).
const objectTypeLTP = 4

// adtsFormat frames the raw AAC frames of one track.
type adtsFormat struct {
	// profile is the audio object type of the core minus one, rate the index of the core's sample
	// rate: ADTS knows nothing of SBR and PS, which a decoder finds in the frames (ISO/IEC 14496-3
	// 1.6.5).
	profile, rate, channels byte
	// pce is a program config element, as raw_data_block begins with it, for layouts that have no
	// number.
	pce []byte
}

// parseAudioSpecificConfig reads what ADTS needs from an AudioSpecificConfig (ISO/IEC 14496-3
// 1.6.2.1). It is false where ADTS cannot say it: other object types than the first four, odd
// sample rates.
func parseAudioSpecificConfig(config []byte) (*adtsFormat, bool) {
	r := bits.NewReader(config)
	c := codec.ReadAACConfig(&r)
	rate, ok := codec.AACRateIndex(c.Rate)
	if r.Bad || !ok || c.Object < 1 || c.Object > objectTypeLTP || c.Layout > 7 {
		return nil, false
	}
	f := &adtsFormat{profile: byte(c.Object - 1), rate: byte(rate), channels: byte(c.Layout)}
	if c.Layout == 0 {
		f.pce = programConfig(&r)
	}
	return f, true
}

// programConfig reads GASpecificConfig (ISO/IEC 14496-3 4.4.1) and returns its program config
// element in the form that a raw data block begins with: element id, fields, alignment, no comment.
// Nil if there is none: then the frames bring it.
func programConfig(r *bits.Reader) []byte {
	r.Skip(1)    // frameLengthFlag
	r.SkipIf(14) // coreCoderDelay
	r.Skip(1)    // extensionFlag
	var w bits.Writer
	w.Bits(3, idPCE)
	copyBits := func(n int) uint32 {
		v := r.Bits(n)
		w.Bits(n, v)
		return v
	}
	copyBits(4 + 2 + 4) // element_instance_tag, object_type, sampling_frequency_index
	front, side, back := copyBits(4), copyBits(4), copyBits(4)
	lfe, assoc, coupling := copyBits(2), copyBits(3), copyBits(4)
	for _, n := range [...]int{4, 4, 3} { // mono, stereo and matrix mixdown
		if copyBits(1) == 1 {
			copyBits(n)
		}
	}
	for range front + side + back + coupling { // is_cpe or cc_element_is_ind_sw, tag_select
		copyBits(1 + 4)
	}
	for range lfe + assoc {
		copyBits(4)
	}
	if r.Bad {
		return nil
	}
	return append(w.Bytes(), 0) // comment_field_bytes
}

// overhead is what ADTS adds to a frame.
func (f *adtsFormat) overhead(data []byte) int {
	if len(data) > 0 && data[0]>>5 == idPCE {
		return adtsHeaderSize
	}
	return adtsHeaderSize + len(f.pce)
}

// appendHeader adds the fixed and variable header of ISO/IEC 14496-3 1.A.2.2, without CRC, and the
// program config element where the frame needs one.
func (f *adtsFormat) appendHeader(b, data []byte) []byte {
	overhead := f.overhead(data)
	size := overhead + len(data)
	b = append(b,
		0xff, 0xf1, // syncword, MPEG-4, layer 0, no CRC
		f.profile<<6|f.rate<<2|f.channels>>2,
		f.channels<<6|byte(size>>11),
		byte(size>>3),
		byte(size<<5)|0x1f, 0xfc) // buffer fullness 0x7ff: variable rate; one raw data block
	return append(b, f.pce[:overhead-adtsHeaderSize]...)
}
