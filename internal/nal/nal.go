// Package nal reads NAL units, the pieces of which H.264, HEVC and VVC streams are made: where they
// begin and end, in both of the forms in which they travel, and what each is for.
//
// It allocates nothing and looks at no more than the first bytes of a unit.
package nal

import (
	"bytes"

	"livego/internal/media"
)

// Kind says what a NAL unit is for.
type Kind uint8

// The kinds of NAL unit. Those of the layers above the base layer are Other.
const (
	// Other: of a kind that nobody here asks about.
	Other Kind = iota
	// Slice: a part of a picture. Of slices in partitions (H.264 §7.4.1.2.5) only the first is.
	Slice
	// SyncSlice: a part of a picture from which decoding may begin: IDR, in HEVC and VVC also the
	// other intra random access points.
	SyncSlice
	// RecoverySlice: a part of a picture with which gradual decoding refresh begins, in VVC:
	// decoding may begin there, but pictures are right only some time later.
	RecoverySlice
	// SkippedSlice: a part of a picture that comes behind an intra random access point and is shown
	// before it, and cannot be decoded if decoding began there (RASL), in HEVC and VVC.
	SkippedSlice
	// PictureHeader: what all slices of a picture have in common, in VVC.
	PictureHeader
	VPS
	SPS
	PPS
	// SEI: supplemental enhancement information before the slices of its picture.
	SEI
	// SuffixSEI: such information behind them.
	SuffixSEI
	// Delimiter: an access unit delimiter, which may only be the first unit of an access unit.
	Delimiter
	// End of a coded video sequence, or of the bitstream: only at the end of an access unit.
	End
	// Filler: bytes that fill a constant bit rate.
	Filler
)

// IsSlice says whether the unit holds a part of a picture.
func (k Kind) IsSlice() bool { return k >= Slice && k <= SkippedSlice }

// IsParameterSet says whether the unit is a VPS, an SPS or a PPS.
func (k Kind) IsParameterSet() bool { return k == VPS || k == SPS || k == PPS }

// Kinds by NAL unit type: ITU-T H.264 table 7-1, H.265 table 7-1, H.266 table 5.
var (
	avcKinds = [32]Kind{
		1: Slice, 2: Slice, 5: SyncSlice, 6: SEI, 7: SPS, 8: PPS, 9: Delimiter,
		10: End, 11: End, 12: Filler,
	}
	hevcKinds = [64]Kind{
		0: Slice, 1: Slice, 2: Slice, 3: Slice, 4: Slice, 5: Slice, 6: Slice, 7: Slice, 8: SkippedSlice, 9: SkippedSlice,
		16: SyncSlice, 17: SyncSlice, 18: SyncSlice, 19: SyncSlice, 20: SyncSlice, 21: SyncSlice,
		32: VPS, 33: SPS, 34: PPS, 35: Delimiter, 36: End, 37: End, 38: Filler, 39: SEI, 40: SuffixSEI,
	}
	vvcKinds = [32]Kind{
		0: Slice, 1: Slice, 2: Slice, 3: SkippedSlice, 7: SyncSlice, 8: SyncSlice, 9: SyncSlice, 10: RecoverySlice,
		14: VPS, 15: SPS, 16: PPS, 19: PictureHeader, 20: Delimiter, 21: End, 22: End, 23: SEI,
		24: SuffixSEI, 25: Filler,
	}
)

// Coded says whether a codec's pictures are made of NAL units.
func Coded(c media.Codec) bool { return c == media.H264 || c == media.HEVC || c == media.VVC }

// HeaderSize returns the length of a NAL unit's header.
func HeaderSize(c media.Codec) int {
	if c == media.H264 {
		return 1
	}
	return 2
}

// KindOf tells what a unit is for by its header. It is false for what cannot be a NAL unit: too
// short, or with bits set that must not be.
//
//	H.264  forbidden 1 | nal_ref_idc 2 | type 5
//	HEVC   forbidden 1 | type 6 | nuh_layer_id 6 | nuh_temporal_id_plus1 3
//	VVC    forbidden 1 | reserved 1 | nuh_layer_id 6 | type 5 | nuh_temporal_id_plus1 3
func KindOf(c media.Codec, unit []byte) (k Kind, ok bool) {
	if len(unit) < HeaderSize(c) || unit[0]&0x80 != 0 {
		return Other, false
	}
	var layer byte
	switch c {
	case media.H264:
		return avcKinds[unit[0]&0x1F], true
	case media.HEVC:
		k, layer = hevcKinds[unit[0]>>1&0x3F], unit[0]&1<<5|unit[1]>>3
	default:
		k, layer = vvcKinds[unit[1]>>3], unit[0]&0x3F
	}
	if layer > 0 {
		k = Other
	}
	return k, unit[1]&7 != 0
}

// Above says of a unit of kind Other that it is of a layer above the base layer: coded slice
// extensions in H.264 (annexes F and G).
func Above(c media.Codec, unit []byte) bool {
	const scalable, depth = 20, 21
	switch c {
	case media.H264:
		t := unit[0] & 0x1F
		return t == scalable || t == depth
	case media.HEVC:
		return unit[0]&1 != 0 || unit[1]>>3 != 0
	}
	return unit[0]&0x3F != 0
}

// BeginsPicture says whether a unit is the first that holds a part of its picture, or in VVC its
// picture header: first_mb_in_slice is 0 (H.264 §7.4.3, but for streams of arbitrary slice order),
// first_slice_segment_in_pic_flag is set (H.265 §7.4.7.1), or the picture header stands in the
// slice (H.266 §7.4.8).
func BeginsPicture(c media.Codec, k Kind, unit []byte) bool {
	if k == PictureHeader {
		return true
	}
	at := HeaderSize(c)
	return k.IsSlice() && len(unit) > at && unit[at]&0x80 != 0
}

// Next splits the first unit off units that have their lengths before them, in size bytes each
// (ISO/IEC 14496-15 §5.3.4.2). It is false at the end and where a length exceeds what is left; rest
// is empty at the end alone.
func Next(b []byte, size int) (unit, rest []byte, ok bool) {
	if len(b) < size || size <= 0 {
		return nil, b, false
	}
	n := 0
	for _, v := range b[:size] {
		n = n<<8 | int(v)
	}
	if n > len(b)-size {
		return nil, b, false
	}
	b = b[size:]
	return b[:n:n], b[n:], true
}

// HasStartCode says whether b begins with a start code of the byte stream format, of three bytes or
// with more zeros before (ITU-T H.264 §B.1.1).
func HasStartCode(b []byte) bool {
	i := 0
	for i < len(b) && b[i] == 0 {
		i++
	}
	return i >= 2 && i < len(b) && b[i] == 1
}

// NextInStream splits the first unit off a byte stream, where units have start codes before them
// and may have zeros behind them (ITU-T H.264 annex B). What stands before the first start code is
// taken as a unit. It is false at the end. Units may be empty.
func NextInStream(b []byte) (unit, rest []byte, ok bool) {
	if HasStartCode(b) {
		b = b[bytes.IndexByte(b, 1)+1:]
	} else if len(b) == 0 {
		return nil, nil, false
	}
	unit = b
	if i := bytes.Index(b, startCode); i >= 0 {
		unit, rest = b[:i:i], b[i:]
	}
	return TrimZeros(unit), rest, true
}

var startCode = []byte{0, 0, 1}

// HoldsStartCode says whether a start code stands anywhere in b, which no NAL unit can contain
// (ITU-T H.264 §7.4.1).
func HoldsStartCode(b []byte) bool { return bytes.Contains(b, startCode) }

// TrimZeros returns b without zeros at its end, with which no NAL unit can end (ITU-T H.264
// §7.4.1).
func TrimZeros(b []byte) []byte {
	n := len(b)
	for n > 0 && b[n-1] == 0 {
		n--
	}
	return b[:n:n]
}
