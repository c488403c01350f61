package nal

import (
	"livego/internal/bits"
	"livego/internal/media"
)

// sliceHead is how many bytes of a slice hold its type.
const sliceHead = 16

// Inter says of a unit that it is a slice that is predicted from other pictures: slice_type is
// neither I nor SI (ITU-T H.264 §7.4.3). In HEVC and VVC that stands behind what parameter sets
// tell, and each slice of no intra random access picture is taken for one.
//
//	first_mb_in_slice ue(v) | slice_type ue(v) ...
func Inter(c media.Codec, k Kind, unit []byte) bool {
	if k != Slice || c != media.H264 {
		return k == Slice || k == SkippedSlice
	}
	const types, i, si = 5, 2, 4 // those from 5 on say that all slices of the picture have it
	r := bits.NewReader(unit[HeaderSize(c):min(len(unit), sliceHead)])
	r.Exponential()
	kind := r.Exponential() % types
	return !r.Bad && kind != i && kind != si
}
