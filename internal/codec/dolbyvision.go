package codec

import (
	"livego/internal/bits"
	"livego/internal/media"
	"livego/internal/nal"
	"livego/internal/obu"
)

// NAL unit types that Dolby Vision takes of the unspecified ones (ITU-T H.265 table 7-1).
const (
	hevcDolbyMetadata    = 62
	hevcDolbyEnhancement = 63
)

// DolbyVision returns the profile of the Dolby Vision metadata in a picture, as HEVC has them: 5 or
// 8, 0 for none and for profiles with a second layer of pictures.
func DolbyVision(t *media.Track, picture []byte) (profile uint8) {
	switch {
	case !t.Parsed:
	case t.Codec == media.HEVC:
		profile = dolbyInHEVC(t.NALLengthSize, picture)
	case t.Codec == media.AV1:
		for message := range obu.T35(picture) {
			if rpu, size, ok := openDolbyMessage(message); ok {
				profile = dolbyProfile(&rpu, size)
			}
		}
	}
	return profile
}

func dolbyInHEVC(size int, picture []byte) (profile uint8) {
	const header, prefix = 2, 25
	for b := picture; ; {
		unit, rest, ok := nal.Next(b, size)
		if !ok || len(unit) == 0 {
			return profile
		}
		switch kind := unit[0] >> 1 & 0x3F; {
		case kind == hevcDolbyEnhancement:
			return 0
		case kind == hevcDolbyMetadata && len(unit) > header:
			var head [64]byte
			r := bits.NewReader(unescape(head[:0], unit[header:]))
			if profile = 0; r.Bits(8) == prefix {
				profile = dolbyProfile(&r, r.Left())
			}
		}
		b = rest
	}
}

// openDolbyMessage returns a reader that stands at the reference processing unit (RPU) in a message
// of ITU-T T.35, as AV1 has it, and the RPU's size in bits. It is false if the message is another
// one, or shorter than it says.
//
//	country 0xB5 | provider 0x003B | provider's code 0x00000800, then an EMDF container (ETSI TS 102 366 annex H) of fixed values:
//	emdf_version 2, 0 | key_id 3, 6 | emdf_payload_id 5, 31 | its extension, variable_bits(5), 225 | sample offset, duration, group id and
//	codec data 1 each, not there | discard_unknown_payload 1, 1 | emdf_payload_size variable_bits(8) | RPU, at no byte boundary | protection
func openDolbyMessage(message []byte) (rpu bits.Reader, size int, ok bool) {
	const (
		head     = "\xB5\x00\x3B\x00\x00\x08\x00"
		emdf     = 0<<25 | 6<<22 | 31<<17 | (225>>5-1)<<12 | 1<<11 | (225&31)<<6 | 0<<5 | 0<<1 | 1
		emdfBits = 27
	)
	if len(message) < len(head) || string(message[:len(head)]) != head {
		return bits.Reader{}, 0, false
	}
	r := bits.NewReader(message[len(head):])
	if r.Bits(emdfBits) != emdf {
		return bits.Reader{}, 0, false
	}
	size = 8 * int(r.Variable(8))
	return r, size, !r.Bad && size <= r.Left()
}

// dolbyProfile tells the profile from the head of a reference processing unit (RPU) of size bits:
// no field names it. 0 is one that is not known here.
//
//	rpu_type 6 | rpu_format 11 | vdr_rpu_profile 4 | vdr_rpu_level 4 | vdr_seq_info_present 1, then
//	chroma_resampling_explicit_filter 1 | coefficient_data_type 2 | coefficient_log2_denom ue, if the type is 0 | vdr_rpu_normalized_idc 2 |
//	bl_video_full_range 1 | bl, el and vdr_bit_depth_minus8 ue | spatial_resampling_filter 1 | reserved 3 |
//	el_spatial_resampling_filter 1 | disable_residual 1
func dolbyProfile(r *bits.Reader, size int) uint8 {
	const typeWanted, otherFormats, maxExtraDepth = 2, 0x700, 8
	end := r.Pos() + size
	if r.Bits(6) != typeWanted || r.Bits(11)&otherFormats != 0 {
		return 0
	}
	family := r.Bits(4)
	r.Skip(4)
	if !r.Flag() {
		return 0
	}
	r.Skip(1)
	if r.Bits(2) == 0 {
		r.Exponential()
	}
	r.Skip(2)
	fullRange := r.Flag()
	base, enhancement, reference := r.Exponential(), r.Exponential(), r.Exponential()
	r.Skip(1 + 3)
	resampled, noResidual := r.Flag(), r.Flag()
	switch {
	case r.Bad || r.Pos() > end || base > maxExtraDepth || enhancement&0xFF > maxExtraDepth || reference > maxExtraDepth:
		return 0
	case family == 0 && fullRange && noResidual:
		return 5
	case family == 1 && !(resampled && !noResidual):
		return 8
	}
	return 0
}

// unescape appends b without its emulation prevention (ITU-T H.265 §7.4.2), as far as dst has room.
func unescape(dst, b []byte) []byte {
	zeros := 0
	for _, v := range b {
		if zeros >= 2 && v == 3 {
			zeros = 0
			continue
		}
		if len(dst) == cap(dst) {
			break
		}
		if v != 0 {
			zeros = -1
		}
		zeros++
		dst = append(dst, v)
	}
	return dst
}
