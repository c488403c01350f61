package bench

// What of ISO 13818-1 is needed to see pictures in MPEG-TS. It shares nothing with the packager
// under test.
const (
	tsPacketSize = 188
	tsSync       = 0x47

	streamTypeAAC  = 0x0F
	streamTypeH264 = 0x1B
	streamTypeHEVC = 0x24
)

// tsParser finds access units in MPEG-TS packets. It follows the first video stream, or the first
// AAC one if there is none.
type tsParser struct {
	// unit gets each access unit as its PES packet carries it.
	unit func(randomAccess bool, payload []byte)
	// fault is told of packets that are missing or that cannot be read.
	fault func()

	program, media int // PIDs, 0 if unknown
	counters       map[int]byte
	pes            []byte
	open, random   bool
}

// segment takes a whole segment, which begins with PAT and PMT.
func (p *tsParser) segment(b []byte) {
	p.program, p.media, p.counters, p.open = 0, 0, map[int]byte{}, false
	for ; len(b) >= tsPacketSize; b = b[tsPacketSize:] {
		p.packet(b[:tsPacketSize])
	}
	if len(b) > 0 {
		p.fault()
	}
	p.flush()
}

// packet reads one packet (§2.4.3.2).
func (p *tsParser) packet(b []byte) {
	pid := int(b[1]&0x1F)<<8 | int(b[2])
	start, control := b[1]&0x40 != 0, b[3]>>4&3
	if b[0] != tsSync {
		p.fault()
		return
	}
	payload, random := b[4:], false
	if control&2 != 0 {
		length := int(payload[0])
		if length+1 > len(payload) {
			p.fault()
			return
		}
		random = length > 0 && payload[1]&0x40 != 0
		payload = payload[1+length:]
	}
	if control&1 == 0 {
		return
	}
	counter := b[3] & 0x0F
	if last, seen := p.counters[pid]; seen && counter != (last+1)&0x0F {
		p.fault()
	}
	p.counters[pid] = counter
	switch {
	case pid == 0 && start:
		p.pat(payload)
	case pid == p.program && start && pid != 0:
		p.pmt(payload)
	case pid == p.media && pid != 0:
		p.payload(payload, start, random)
	}
}

// section returns a table's content between its header and the CRC, nil if it is not whole
// (§2.4.4).
func section(payload []byte, header int) []byte {
	if len(payload) < 1 || len(payload) < 1+int(payload[0])+header {
		return nil
	}
	b := payload[1+int(payload[0]):]
	end := 3 + int(b[1]&0x0F)<<8 + int(b[2]) - 4
	if end < header || end > len(b) {
		return nil
	}
	return b[:end]
}

func (p *tsParser) pat(payload []byte) {
	const header = 8
	if b := section(payload, header); len(b) >= header+4 {
		p.program = int(b[header+2]&0x1F)<<8 | int(b[header+3])
		return
	}
	p.fault()
}

func (p *tsParser) pmt(payload []byte) {
	const header = 12
	b := section(payload, header)
	if b == nil {
		p.fault()
		return
	}
	info := int(b[10]&0x0F)<<8 | int(b[11])
	b = b[min(header+info, len(b)):]
	for len(b) >= 5 {
		pid := int(b[1]&0x1F)<<8 | int(b[2])
		switch b[0] {
		case streamTypeH264, streamTypeHEVC:
			p.media = pid
			return
		case streamTypeAAC:
			p.media = pid
		}
		b = b[min(5+int(b[3]&0x0F)<<8+int(b[4]), len(b)):]
	}
}

// payload collects PES packets. Only their beginning is kept, where a stamp is.
func (p *tsParser) payload(b []byte, start, random bool) {
	if start {
		p.flush()
		p.pes, p.open, p.random = p.pes[:0], true, random
	}
	if p.open && len(p.pes) < stampWithin {
		p.pes = append(p.pes, b...)
	}
}

// flush hands the PES packet out that has ended (§2.4.3.6).
func (p *tsParser) flush() {
	if !p.open {
		return
	}
	p.open = false
	const header = 9
	if len(p.pes) < header || p.pes[0] != 0 || p.pes[1] != 0 || p.pes[2] != 1 || header+int(p.pes[8]) > len(p.pes) {
		p.fault()
		return
	}
	p.unit(p.random, p.pes[header+int(p.pes[8]):])
}
