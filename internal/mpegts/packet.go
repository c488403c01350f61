package mpegts

import "slices"

const (
	packetSize = 188
	headerSize = 4
	// payloadSize is what a packet holds without adaptation field.
	payloadSize = packetSize - headerSize

	streamIDPrivate1 = 0xbd
	streamIDAudio    = 0xc0
	streamIDVideo    = 0xe0

	// Sizes of a PES header with a presentation time, and with a decode time too.
	pesHeaderPTS    = 14
	pesHeaderPTSDTS = 19

	noPCR = -1
)

// pesWriter cuts one PES packet into transport packets at the end of dst. The size of the PES
// packet is known before its first byte is written, so that stuffing comes out right without a
// second copy.
//
//	transport packet (ISO/IEC 13818-1 2.4.3.2)
//	  sync_byte 0x47                          8
//	  transport_error_indicator               1
//	  payload_unit_start_indicator            1
//	  transport_priority                      1
//	  PID                                    13
//	  transport_scrambling_control            2
//	  adaptation_field_control                2
//	  continuity_counter                      4
//	  adaptation_field, payload             184 bytes
type pesWriter struct {
	dst []byte
	es  *elementary
	// left counts the bytes of the PES packet still to come, room the bytes free in the transport
	// packet under way.
	left, room int
}

// startPES makes room for a PES packet with size bytes of payload and writes its header. pcr goes
// into the first transport packet unless it is noPCR.
func startPES(dst []byte, es *elementary, pts, dts, pcr int64, randomAccess bool, size int) pesWriter {
	head := pesHeaderPTS
	if pts != dts {
		head = pesHeaderPTSDTS
	}
	w := pesWriter{dst: dst, es: es, left: head + size}
	// 8 bytes for the adaptation field of the first packet.
	packets := (w.left + 8 + payloadSize - 1) / payloadSize
	w.dst = slices.Grow(w.dst, packets*packetSize)
	w.startPacket(true, pcr, randomAccess)

	var h [pesHeaderPTSDTS]byte
	w.put(appendPESHeader(h[:0], es.streamID, pts, dts, size))
	return w
}

// appendPESHeader writes the header of ISO/IEC 13818-1 2.4.3.6 with one or two time stamps.
func appendPESHeader(b []byte, streamID byte, pts, dts int64, size int) []byte {
	flags, times := byte(0x80), 5
	if pts != dts {
		flags, times = 0xc0, 10
	}
	length := 3 + times + size
	if length > 0xffff {
		length = 0 // unbounded: only video grows this long
	}
	b = append(b, 0, 0, 1, streamID, byte(length>>8), byte(length),
		0x84, // '10', data_alignment_indicator: the payload begins with an access unit
		flags, byte(times))
	b = appendTimestamp(b, flags>>6, pts)
	if pts != dts {
		b = appendTimestamp(b, 1, dts)
	}
	return b
}

// appendTimestamp writes a PTS or DTS: 4 bits prefix, then 33 bits in three groups with a marker
// bit after each.
func appendTimestamp(b []byte, prefix byte, t int64) []byte {
	return append(b,
		prefix<<4|byte(t>>29)&0x0e|1,
		byte(t>>22),
		byte(t>>14)|1,
		byte(t>>7),
		byte(t<<1)|1)
}

// put adds bytes of the PES packet.
func (w *pesWriter) put(b []byte) {
	for len(b) > 0 {
		if w.room == 0 {
			w.startPacket(false, noPCR, false)
		}
		n := min(len(b), w.room)
		w.dst = append(w.dst, b[:n]...)
		w.room -= n
		w.left -= n
		b = b[n:]
	}
}

// startPacket begins a transport packet that is exactly filled by what is left of the PES packet,
// or by a part of it.
func (w *pesWriter) startPacket(unitStart bool, pcr int64, randomAccess bool) {
	field := 0
	if pcr != noPCR {
		field = 8
	} else if randomAccess {
		field = 2
	}
	field = max(field, payloadSize-w.left)
	control := byte(0x10)
	if field > 0 {
		control = 0x30
	}
	w.dst = appendHeader(w.dst, w.es.pid, unitStart, control|w.es.cc)
	w.es.cc = (w.es.cc + 1) & 0x0f
	w.dst = appendAdaptationField(w.dst, field, pcr, randomAccess)
	w.room = payloadSize - field
}

// appendClockPacket writes a packet without payload that carries only the clock. Its continuity
// counter is that of the last packet with payload (ISO/IEC 13818-1 2.4.3.3).
func appendClockPacket(dst []byte, es *elementary, pcr int64) []byte {
	dst = appendHeader(dst, es.pid, false, 0x20|(es.cc-1)&0x0f)
	return appendAdaptationField(dst, payloadSize, pcr, false)
}

func appendHeader(dst []byte, pid uint16, unitStart bool, control byte) []byte {
	first := byte(pid >> 8)
	if unitStart {
		first |= 0x40
	}
	return append(dst, 0x47, first, byte(pid), control)
}

// appendAdaptationField writes an adaptation field of exactly size bytes, its length byte included;
// 0 writes none.
func appendAdaptationField(dst []byte, size int, pcr int64, randomAccess bool) []byte {
	if size == 0 {
		return dst
	}
	dst = append(dst, byte(size-1))
	if size == 1 {
		return dst
	}
	end := len(dst) + size - 1
	flags := byte(0)
	if randomAccess {
		flags |= 0x40
	}
	if pcr == noPCR {
		dst = append(dst, flags)
	} else {
		// 33 bits base at 90 kHz, 6 reserved bits, 9 bits extension at 27 MHz, which is always 0.
		dst = append(dst, flags|0x10,
			byte(pcr>>25), byte(pcr>>17), byte(pcr>>9), byte(pcr>>1), byte(pcr<<7)|0x7e, 0)
	}
	for len(dst) < end {
		dst = append(dst, 0xff)
	}
	return dst
}
