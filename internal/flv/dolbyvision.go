package flv

import "livego/internal/media"

// NAL unit types that Dolby Vision takes of the unspecified ones (ITU-T H.265 table 7-1).
const (
	hevcDolbyMetadata    = 62
	hevcDolbyEnhancement = 63
)

// dolbyVision returns the profile of the Dolby Vision metadata in an HEVC picture: 5 or 8, 0 for none and for profiles with a second
// layer of pictures.
func dolbyVision(t *media.Track, picture []byte) (profile uint8) {
	if t.Codec != media.HEVC || !t.Parsed {
		return 0
	}
	const header = 2
	for b, size := picture, t.NALLengthSize; len(b) > size; {
		n := 0
		for _, v := range b[:size] {
			n = n<<8 | int(v)
		}
		b = b[size:]
		if n == 0 || n > len(b) {
			break
		}
		switch kind := b[0] >> 1 & 0x3F; {
		case kind == hevcDolbyEnhancement:
			return 0
		case kind == hevcDolbyMetadata && n > header:
			profile = dolbyProfile(b[header:n])
		}
		b = b[n:]
	}
	return profile
}

// dolbyProfile tells the profile from the head of a reference processing unit (RPU), the content of a NAL unit: no field names it. 0 is one
// that is not known here.
//
//	prefix 8 | rpu_type 6 | rpu_format 11 | vdr_rpu_profile 4 | vdr_rpu_level 4 | vdr_seq_info_present 1, then
//	chroma_resampling_explicit_filter 1 | coefficient_data_type 2 | coefficient_log2_denom ue, if the type is 0 | vdr_rpu_normalized_idc 2 |
//	bl_video_full_range 1 | bl, el and vdr_bit_depth_minus8 ue | spatial_resampling_filter 1 | reserved 3 |
//	el_spatial_resampling_filter 1 | disable_residual 1
func dolbyProfile(rpu []byte) uint8 {
	const prefix, typeWanted, otherFormats, maxExtraDepth = 25, 2, 0x700, 8
	var head [64]byte
	r := bitReader{b: unescape(head[:0], rpu)}
	if r.bits(8) != prefix || r.bits(6) != typeWanted || r.bits(11)&otherFormats != 0 {
		return 0
	}
	family := r.bits(4)
	r.skip(4)
	if !r.flag() {
		return 0
	}
	r.skip(1)
	if r.bits(2) == 0 {
		r.exponential()
	}
	r.skip(2)
	fullRange := r.flag()
	base, enhancement, reference := r.exponential(), r.exponential(), r.exponential()
	r.skip(1 + 3)
	resampled, noResidual := r.flag(), r.flag()
	switch {
	case r.bad || base > maxExtraDepth || enhancement&0xFF > maxExtraDepth || reference > maxExtraDepth:
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
