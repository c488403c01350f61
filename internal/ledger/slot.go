package ledger

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// A slot is 128 bytes, of which the last ones are 0. All integers are little-endian.
//
//	checksum  4  CRC-32 (IEEE) of the rest
//	kind      3  of the file and of what a slot holds, slotKind
//	flags     1
//	key      16
//	noted     8  nanoseconds since 1970
//	segment 8, next 8, discontinuity 8, begun 8, before 8, reach 8, longest 8: times in
//	nanoseconds
const (
	slotSize = 128
	slotKind = "LL1"
	slotBody = 4

	flagOver     = 1
	flagComplete = 2
)

// errNoSlot says that bytes are not a slot: it is free, torn, or of something else.
var errNoSlot = errors.New("not a slot")

// appendSlot appends the slot of a stream to b.
func appendSlot(b []byte, k key, e *Entry) []byte {
	le, at := binary.LittleEndian, len(b)
	b = append(b, make([]byte, slotBody)...)
	b = append(append(b, slotKind...), flagsOf(e))
	b = append(b, k[:]...)
	for _, v := range []int64{e.Noted.UnixNano(), e.Segment, e.Next, e.Discontinuity, int64(e.Begun), int64(e.Before), int64(e.Reach), int64(e.Longest)} {
		b = le.AppendUint64(b, uint64(v))
	}
	b = append(b, make([]byte, at+slotSize-len(b))...)
	le.PutUint32(b[at:], crc32.ChecksumIEEE(b[at+slotBody:]))
	return b
}

func flagsOf(e *Entry) (flags byte) {
	if e.Over {
		flags |= flagOver
	}
	if e.Complete {
		flags |= flagComplete
	}
	return flags
}

// parseSlot reads the slot at the beginning of b, which has at least slotSize bytes.
func parseSlot(b []byte) (k key, e Entry, err error) {
	le := binary.LittleEndian
	if crc32.ChecksumIEEE(b[slotBody:slotSize]) != le.Uint32(b) || string(b[slotBody:slotBody+len(slotKind)]) != slotKind {
		return key{}, Entry{}, errNoSlot
	}
	flags, rest := b[slotBody+len(slotKind)], b[slotBody+len(slotKind)+1:]
	rest = rest[copy(k[:], rest):]
	var v [8]int64
	for i := range v {
		v[i] = int64(le.Uint64(rest[8*i:]))
		if v[i] < 0 || i > 0 && v[i] > most { // with which arithmetic would overflow, for a checksum is no proof
			return key{}, Entry{}, errNoSlot
		}
	}
	e = Entry{
		Noted:   time.Unix(0, v[0]),
		Segment: v[1], Next: v[2], Discontinuity: v[3],
		Begun: time.Duration(v[4]), Before: time.Duration(v[5]), Reach: time.Duration(v[6]), Longest: time.Duration(v[7]),
		Over: flags&flagOver != 0, Complete: flags&flagComplete != 0,
	}
	return k, e, nil
}

// most is the largest number that is taken from a file.
const most = 1 << 60
