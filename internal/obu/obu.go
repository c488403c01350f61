// Package obu reads open bitstream units, the pieces of which AV1 streams are made, and finds what
// stands beside the pictures in them.
//
// It allocates nothing and does no input or output.
package obu

import "iter"

const (
	// maxOBUs bounds the work for one access unit: level 6.3 allows 128 tiles a frame (AV1 §A.3),
	// each of which may be an OBU, and a temporal unit has few frames.
	maxOBUs = 1024
	// maxMetadata bounds the metadata OBUs that are looked into: a few frames with two or three
	// each.
	maxMetadata = 32
)

// OBU types (AV1 §6.2.2) and metadata types (§6.7.1).
const (
	SequenceHeader    = 1
	TemporalDelimiter = 2
	Metadata          = 5

	metadataT35 = 4
)

// Unit is one OBU.
type Unit struct {
	Type byte
	// Header is the first byte and the extension, if there is one.
	Header []byte
	// Payload is what follows the header and the size.
	Payload []byte
	// Sized: it has a size.
	Sized bool
}

// T35 yields the messages of ITU-T T.35 in a temporal unit of the low-overhead bitstream format
// (AV1 §5.2, §5.8.2), from the country code on, with the trailing bits of their OBUs. They alias
// unit. It ends where a length lies.
//
// The whole unit is walked, not only what stands before its first frame: OBS appends captions to
// the unit.
func T35(unit []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { walk(unit, yield) }
}

func walk(unit []byte, yield func([]byte) bool) {
	metadata := 0
	for range maxOBUs {
		u, rest, ok := Next(unit)
		if !ok {
			return
		}
		unit = rest
		if u.Type != Metadata {
			continue
		}
		if metadata++; metadata > maxMetadata {
			return
		}
		payload := u.Payload
		if what, n := LEB128(payload); n > 0 && what == metadataT35 && len(payload) > n && !yield(payload[n:]) {
			return
		}
	}
}

// Next splits the first OBU off b (AV1 §5.3). It is false at the end, and where the length lies.
// One without size takes all that is left.
//
//	forbidden 1 | type 4 | extension 1 | has_size 1 | reserved 1, then
//	temporal_id 3 | spatial_id 2 | reserved 3, with an extension; size leb128, if it has one, which the last OBU need not (AV1 in ISOBMFF §2.4)
func Next(b []byte) (u Unit, rest []byte, ok bool) {
	const forbidden, hasExtension, hasSize = 0x80, 4, 2
	if len(b) == 0 || b[0]&forbidden != 0 {
		return Unit{}, b, false
	}
	n := 1
	if b[0]&hasExtension != 0 {
		n = 2
	}
	if len(b) < n {
		return Unit{}, b, false
	}
	u = Unit{Type: b[0] >> 3, Header: b[:n:n], Payload: b[n:], Sized: b[0]&hasSize != 0}
	if !u.Sized {
		return u, nil, true
	}
	size, digits := LEB128(u.Payload)
	if u.Payload = u.Payload[digits:]; digits == 0 || size > uint64(len(u.Payload)) {
		return Unit{}, b, false
	}
	rest = u.Payload[size:]
	u.Payload = u.Payload[:size:size]
	return u, rest, true
}

// LEB128 reads a number of at most 8 bytes and 32 bits (AV1 §4.10.5), and says how many bytes it
// takes: 0 if there is none.
func LEB128(b []byte) (value uint64, n int) {
	const longest, largest = 8, 1<<32 - 1
	for i := range min(len(b), longest) {
		value |= uint64(b[i]&0x7F) << (7 * i)
		if b[i]&0x80 != 0 {
			continue
		}
		if value > largest {
			break
		}
		return value, i + 1
	}
	return 0, 0
}

// AppendLEB128 appends a number of at most 32 bits in as few bytes as it takes.
func AppendLEB128(dst []byte, value int) []byte {
	for ; value > 0x7F; value >>= 7 {
		dst = append(dst, byte(value)|0x80)
	}
	return append(dst, byte(value))
}
