package bench

import (
	"bytes"
	"strconv"
	"time"
)

// A stamp is an SEI message in front of a picture that says when it was sent and as which one. It
// stays with the picture through every repackaging, because servers leave NAL units alone.
//
//	nal_unit_type 6 | payload type 5 | size | UUID (16 bytes) | Unix time in ns (16 hexadecimal digits) | picture's number (8) | 0x80
//
// Digits, not binary, so that nothing in it has to be escaped and overwriting them is all it takes
// to stamp. In a stream without pictures the audio frames carry UUID and digits.
const (
	// stampUUID marks the user data as ours (H.264 §D.2.6). It must not change: streams may be
	// watched from another process.
	stampUUID = "\x8e\x2d\x41\xf6\x5b\x7a\x4c\x93\xa1\x66\xd0\x3e\x97\x1b\xc5\x28"

	seiUserData   = 5 // user_data_unregistered
	timeDigits    = 16
	numberDigits  = 8
	stampDigits   = timeDigits + numberDigits
	stampedLength = 4 + 3 + len(stampUUID) + stampDigits + 1
	// stampWithin is how far into a picture its stamp is looked for: parameter sets and other SEI
	// may stand before it.
	stampWithin = 4 << 10
)

// appendStamp appends the SEI message as a NAL unit with its length and this header, and returns
// where its digits are.
func appendStamp(dst, header []byte) (b []byte, digits int) {
	unit := append(header[:len(header):len(header)], seiUserData, byte(len(stampUUID)+stampDigits))
	unit = append(unit, stampUUID...)
	unit = append(unit, bytes.Repeat([]byte{'0'}, stampDigits)...)
	dst = appendNAL(dst, append(unit, 0x80))
	return dst, len(dst) - stampDigits - 1
}

// writeStamp overwrites the digits.
func writeStamp(digits []byte, sent time.Time, number uint32) {
	putHex(digits[:timeDigits], uint64(sent.UnixNano()))
	putHex(digits[timeDigits:stampDigits], uint64(number))
}

func putHex(dst []byte, v uint64) {
	for i := len(dst) - 1; i >= 0; i-- {
		dst[i] = "0123456789abcdef"[v&15]
		v >>= 4
	}
}

// findStamp reads the stamp of a picture in any packaging that keeps a NAL unit in one piece.
func findStamp(picture []byte) (sent time.Time, number uint32, ok bool) {
	picture = picture[:min(len(picture), stampWithin)]
	i := bytes.Index(picture, []byte(stampUUID))
	if i < 0 || len(picture)-i < len(stampUUID)+stampDigits {
		return time.Time{}, 0, false
	}
	digits := string(picture[i+len(stampUUID):][:stampDigits])
	ns, err := strconv.ParseUint(digits[:timeDigits], 16, 63)
	if err != nil {
		return time.Time{}, 0, false
	}
	n, err := strconv.ParseUint(digits[timeDigits:], 16, 32)
	return time.Unix(0, int64(ns)), uint32(n), err == nil
}
