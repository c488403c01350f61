package mpegts

import "livego/internal/media"

// TablesSize is what AppendTables adds: one packet each for PAT and PMT.
const TablesSize = 2 * packetSize

const programNumber = 1

// Stream types of ISO/IEC 13818-1 table 2-34, and those that ATSC A/52 and Apple's HLS authoring
// rules use for AC-3.
const (
	streamTypeMPEG1Audio = 0x03
	streamTypeMPEG2Audio = 0x04
	streamTypeADTS       = 0x0f
	streamTypeH264       = 0x1b
	streamTypeHEVC       = 0x24
	streamTypeAC3        = 0x81
	streamTypeEAC3       = 0x87
)

// streamType returns the stream type of a track, 0 for none, and the descriptors of its entry in
// the PMT.
func streamType(t *media.Track) (byte, []byte) {
	switch t.Codec {
	case media.H264:
		return streamTypeH264, nil
	case media.HEVC:
		return streamTypeHEVC, registration("HEVC")
	case media.AAC:
		return streamTypeADTS, nil
	case media.AC3:
		return streamTypeAC3, registration("AC-3")
	case media.EAC3:
		return streamTypeEAC3, registration("EAC3")
	case media.MP3:
		// The half sample rates below 32 kHz are of MPEG-2 audio (ISO/IEC 13818-3).
		if t.SampleRate > 0 && t.SampleRate < 32000 {
			return streamTypeMPEG2Audio, nil
		}
		return streamTypeMPEG1Audio, nil
	}
	return 0, nil
}

// registration is a registration descriptor, ISO/IEC 13818-1 2.6.8.
func registration(format string) []byte {
	return append([]byte{0x05, byte(len(format))}, format...)
}

// AppendTables adds the PAT and the PMT of the present tracks, TablesSize bytes.
func (m *Muxer) AppendTables(dst []byte) []byte {
	m.tablesWritten = true
	dst = m.appendPAT(dst)
	return m.appendPMT(dst)
}

// appendPAT writes the program association section, ISO/IEC 13818-1 2.4.4.3.
func (m *Muxer) appendPAT(dst []byte) []byte {
	dst, section := startSection(dst, pidPAT, &m.patCC)
	dst = append(dst,
		0x00, 0xb0, 0, // table_id, section_length is filled in at the end
		0x00, 0x01, // transport_stream_id
		0xc1, 0x00, 0x00, // version 0, current; section 0 of 0
		0, programNumber,
		0xe0|pidPMT>>8, pidPMT&0xff)
	return endSection(dst, section)
}

// appendPMT writes the program map section, ISO/IEC 13818-1 2.4.4.8.
func (m *Muxer) appendPMT(dst []byte) []byte {
	dst, section := startSection(dst, pidPMT, &m.pmtCC)
	clockPID := m.clockStream().pid
	dst = append(dst,
		0x02, 0xb0, 0,
		0, programNumber,
		0xc1|m.pmtVersion<<1, 0x00, 0x00,
		0xe0|byte(clockPID>>8), byte(clockPID),
		0xf0, 0x00) // program_info_length
	for _, es := range [...]*elementary{&m.video, &m.audio} {
		if es.track == nil {
			continue
		}
		dst = append(dst, es.streamType,
			0xe0|byte(es.pid>>8), byte(es.pid),
			0xf0, byte(len(es.descriptors)))
		dst = append(dst, es.descriptors...)
	}
	return endSection(dst, section)
}

// startSection begins a packet with one section and returns where the section starts.
func startSection(dst []byte, pid uint16, cc *uint8) ([]byte, int) {
	dst = appendHeader(dst, pid, true, 0x10|*cc)
	*cc = (*cc + 1) & 0x0f
	dst = append(dst, 0) // pointer_field
	return dst, len(dst)
}

// endSection fills in the length, adds the CRC and stuffs the packet. Sections here are far shorter
// than a packet.
func endSection(dst []byte, section int) []byte {
	const lengthEnd, crcSize = 3, 4
	dst[section+2] = byte(len(dst) - section - lengthEnd + crcSize)
	crc := crc32(dst[section:])
	dst = append(dst, byte(crc>>24), byte(crc>>16), byte(crc>>8), byte(crc))
	for end := section - 1 + payloadSize; len(dst) < end; {
		dst = append(dst, 0xff)
	}
	return dst
}

// crc32 is the CRC of ISO/IEC 13818-1 annex A. It runs over some fifty bytes a segment: a table
// would not pay.
func crc32(b []byte) uint32 {
	crc := ^uint32(0)
	for _, v := range b {
		crc ^= uint32(v) << 24
		for range 8 {
			if crc&(1<<31) != 0 {
				crc = crc<<1 ^ 0x04c11db7
			} else {
				crc <<= 1
			}
		}
	}
	return crc
}
