// Package obu finds in AV1 access units what stands beside the pictures.
//
// It allocates nothing and does no input or output.
package obu

import "iter"

const (
	// maxOBUs bounds the work for one access unit: level 6.3 allows 128 tiles a frame (AV1 §A.3), each of which may be an OBU, and a temporal
	// unit has few frames.
	maxOBUs = 1024
	// maxMetadata bounds the metadata OBUs that are looked into: a few frames with two or three each.
	maxMetadata = 32
)

// OBU types (AV1 §6.2.2) and metadata types (§6.7.1).
const (
	typeMetadata = 5
	metadataT35  = 4
)

// T35 yields the messages of ITU-T T.35 in a temporal unit of the low-overhead bitstream format (AV1 §5.2, §5.8.2), from the country code
// on, with the trailing bits of their OBUs. They alias unit. It ends where a length lies.
//
// The whole unit is walked, not only what stands before its first frame: OBS appends captions to the unit.
func T35(unit []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) { walk(unit, yield) }
}

func walk(unit []byte, yield func([]byte) bool) {
	metadata := 0
	for range maxOBUs {
		kind, payload, rest, ok := next(unit)
		if !ok {
			return
		}
		unit = rest
		if kind != typeMetadata {
			continue
		}
		if metadata++; metadata > maxMetadata {
			return
		}
		if what, n := leb128(payload); n > 0 && what == metadataT35 && len(payload) > n && !yield(payload[n:]) {
			return
		}
	}
}

// next splits the first OBU off b (AV1 §5.3). It is false at the end, and where the length lies.
//
//	forbidden 1 | type 4 | extension 1 | has_size 1 | reserved 1, then
//	temporal_id 3 | spatial_id 2 | reserved 3, with an extension; size leb128, if it has one, which the last OBU need not (AV1 in ISOBMFF §2.4)
func next(b []byte) (kind byte, payload, rest []byte, ok bool) {
	if len(b) == 0 || b[0]&0x80 != 0 {
		return 0, nil, nil, false
	}
	head := b[0]
	b = b[1:]
	if head&4 != 0 {
		if len(b) == 0 {
			return 0, nil, nil, false
		}
		b = b[1:]
	}
	kind = head >> 3
	if head&2 == 0 {
		return kind, b, nil, true
	}
	size, n := leb128(b)
	if b = b[n:]; n == 0 || size > uint64(len(b)) {
		return 0, nil, nil, false
	}
	return kind, b[:size:size], b[size:], true
}

// leb128 reads a number of at most 8 bytes and 32 bits (AV1 §4.10.5), and says how many bytes it takes: 0 if there is none.
func leb128(b []byte) (value uint64, n int) {
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
