package nal

import (
	"math/bits"

	"livego/internal/media"
)

const (
	// recoveryPoint is the payload type of recovery point SEI messages in H.264 and HEVC.
	recoveryPoint = 6
	// maxSEI bounds the bytes of a unit that are looked at, and maxRecovery the pictures until all
	// is right: MaxFrameNum is 65,536.
	maxSEI      = 4096
	maxRecovery = 1 << 16
)

// RecoveryPoint reads the recovery point message in an SEI unit, with its header (ITU-T H.264
// §D.2.8, H.265 §D.3.8): decoding may begin with the picture of the unit, and after so many more,
// counted in decoding order in H.264 and in output order in HEVC, pictures are as they should be.
// It is false if there is no such message. VVC has recovery points in picture headers, and its
// RecoverySlice says so.
//
//	payload type, sum of bytes | payload size, sum of bytes | recovery_frame_cnt ue(v) or recovery_poc_cnt se(v) ...
func RecoveryPoint(c media.Codec, unit []byte) (pictures int, ok bool) {
	if c != media.H264 && c != media.HEVC || len(unit) < HeaderSize(c) {
		return 0, false
	}
	s := seiReader{b: unit[HeaderSize(c):min(len(unit), maxSEI)]}
	for len(s.b) > 2 { // the last byte is the trailing one
		kind, size := s.sum(), s.sum()
		if kind != recoveryPoint {
			s.skip(size)
			continue
		}
		n, ok := s.golomb(size)
		if c == media.HEVC { // 1, -1, 2, -2 are written as 1, 2, 3, 4
			n = n & 1 * (n + 1) / 2
		}
		return n, ok && n < maxRecovery
	}
	return 0, false
}

// seiReader reads bytes without the emulation prevention between them (ITU-T H.264 §7.4.1). Behind
// the end there are zeros.
type seiReader struct {
	b     []byte
	zeros int
}

func (s *seiReader) next() byte {
	if s.zeros >= 2 && len(s.b) > 0 && s.b[0] == 3 {
		s.b, s.zeros = s.b[1:], 0
	}
	if len(s.b) == 0 {
		return 0
	}
	v := s.b[0]
	s.b = s.b[1:]
	if s.zeros++; v != 0 {
		s.zeros = 0
	}
	return v
}

// sum reads a number that is the sum of bytes up to one that is not 255.
func (s *seiReader) sum() (n int) {
	for {
		v := s.next()
		if n += int(v); v != 0xFF {
			return n
		}
	}
}

func (s *seiReader) skip(n int) {
	for ; n > 0 && len(s.b) > 0; n-- {
		s.next()
	}
}

// golomb reads the Exp-Golomb code (ITU-T H.264 §9.1) with which a payload of a size begins. It is
// false if that is cut off.
func (s *seiReader) golomb(size int) (n int, ok bool) {
	v, there := uint64(0), 0
	for i := range 8 {
		if v <<= 8; i < size && len(s.b) > 0 {
			v |= uint64(s.next())
			there += 8
		}
	}
	length := bits.LeadingZeros64(v)
	if 2*length+1 > there {
		return 0, false
	}
	return int(v>>(63-2*length)) - 1, true
}
