package spool

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"time"
)

// An index is records, one after the other. All integers are little-endian.
//
//	length    4  of the payload
//	checksum  4  CRC-32 (IEEE) of the payload
//	payload:
//	  kind    1  segmentRecord, endRecord, beginRecord or reserveRecord
//	  segmentRecord:
//	    flags 1, key 4, target 4, seq 8, start 8, duration 8, at 8, init 8, discontinuity sequence 8, size 8, stored 8, size of the init segment 8,
//	          then dates to the end
//	  endRecord:
//	    next  8  a life ended; the number after the last one that it used
//	  beginRecord:
//	    next  8  a life began; its first number
//	  reserveRecord, in a file of its own:
//	    next  8  the number before which all may be used
const (
	frameSize    = 8
	segmentFixed = 2 + 2*4 + 9*8
	markSize     = 1 + 8
	// maxDates bounds the text of a segment's EXT-X-DATERANGE tags; a longer one is not stored.
	maxDates = 32 << 10
	// maxPayload bounds a record.
	maxPayload = segmentFixed + maxDates

	segmentRecord = 1
	endRecord     = 2
	beginRecord   = 3
	reserveRecord = 4

	flagDiscontinuity = 1
	flagIndependent   = 2
	flagGap           = 4
)

// errTorn says that the rest of an index is not a record.
var errTorn = errors.New("torn record")

// record is one record of an index.
type record struct {
	kind byte
	// segment and the size of its init segment are of a segmentRecord, next of the others.
	segment        Segment
	initSize, next int64
}

// appendSegment appends the record of a segment to b.
func appendSegment(b []byte, e *Segment, initSize int64) []byte {
	le, at := binary.LittleEndian, len(b)
	dates := e.Dates
	if len(dates) > maxDates {
		dates = ""
	}
	b = append(b, make([]byte, frameSize)...)
	b = append(b, segmentRecord, flagsOf(e))
	b = le.AppendUint32(b, uint32(e.Key))
	b = le.AppendUint32(b, uint32(e.Target))
	for _, v := range []int64{e.Seq, int64(e.Start), int64(e.Duration), e.At, e.Init, e.DiscontinuitySeq, e.Size, e.stored, initSize} {
		b = le.AppendUint64(b, uint64(v))
	}
	return seal(append(b, dates...), at)
}

// appendMark appends the record of a life's beginning or end to b.
func appendMark(b []byte, kind byte, next int64) []byte {
	at := len(b)
	b = append(b, make([]byte, frameSize)...)
	b = append(b, kind)
	return seal(binary.LittleEndian.AppendUint64(b, uint64(next)), at)
}

// seal writes length and checksum of the record that begins at.
func seal(b []byte, at int) []byte {
	payload := b[at+frameSize:]
	binary.LittleEndian.PutUint32(b[at:], uint32(len(payload)))
	binary.LittleEndian.PutUint32(b[at+4:], crc32.ChecksumIEEE(payload))
	return b
}

func flagsOf(e *Segment) (flags byte) {
	if e.Discontinuity {
		flags |= flagDiscontinuity
	}
	if e.Independent {
		flags |= flagIndependent
	}
	if e.Gap {
		flags |= flagGap
	}
	return flags
}

// parseRecord reads the record at the beginning of b and returns its length.
func parseRecord(b []byte) (r record, n int, err error) {
	if len(b) < frameSize {
		return record{}, 0, errTorn
	}
	length := int64(binary.LittleEndian.Uint32(b))
	if length > maxPayload || length > int64(len(b)-frameSize) {
		return record{}, 0, errTorn
	}
	n = frameSize + int(length)
	payload := b[frameSize:n]
	if crc32.ChecksumIEEE(payload) != binary.LittleEndian.Uint32(b[4:]) || length < markSize {
		return record{}, 0, errTorn
	}
	r.kind = payload[0]
	switch {
	case (r.kind == endRecord || r.kind == beginRecord || r.kind == reserveRecord) && length == markSize:
		r.next = int64(binary.LittleEndian.Uint64(payload[1:]))
	case r.kind == segmentRecord && length >= segmentFixed:
		r.segment, r.initSize = parseSegment(payload)
	default:
		return record{}, 0, errTorn
	}
	if !r.plausible() {
		return record{}, 0, errTorn
	}
	return r, n, nil
}

func parseSegment(payload []byte) (e Segment, initSize int64) {
	le, flags := binary.LittleEndian, payload[1]
	e = Segment{
		Discontinuity: flags&flagDiscontinuity != 0, Independent: flags&flagIndependent != 0, Gap: flags&flagGap != 0,
		Key:    int32(le.Uint32(payload[2:])),
		Target: int32(le.Uint32(payload[6:])),
		Dates:  string(payload[segmentFixed:]),
	}
	var start, duration int64
	for i, v := range []*int64{&e.Seq, &start, &duration, &e.At, &e.Init, &e.DiscontinuitySeq, &e.Size, &e.stored, &initSize} {
		*v = int64(le.Uint64(payload[10+8*i:]))
	}
	e.Start, e.Duration = time.Duration(start), time.Duration(duration)
	return e, initSize
}

// plausible keeps numbers out with which arithmetic would overflow, for a checksum is no proof.
func (r *record) plausible() bool {
	const most = 1 << 60
	e := &r.segment
	for _, v := range []int64{r.next, r.initSize, e.Seq, e.Init, e.DiscontinuitySeq, e.Size, int64(e.Duration), int64(e.Key), int64(e.Target)} {
		if v < 0 || v > most {
			return false
		}
	}
	return int64(e.Key) <= e.Size
}
