package mpegts

import (
	"encoding/binary"
	"fmt"
	"testing"
)

// packetSeen is one transport packet as read by the tests' own reader.
type packetSeen struct {
	pid          int
	start        bool
	cc           int
	randomAccess bool
	pcr          int64 // base, or -1
	payload      []byte
}

// pesSeen is one PES packet.
type pesSeen struct {
	pid          int
	streamID     byte
	length       int
	pts, dts     int64
	randomAccess bool
	pcr          int64
	data         []byte
}

// readPacket parses a packet, ISO/IEC 13818-1 2.4.3.2 to 2.4.3.5.
func readPacket(b []byte) (packetSeen, error) {
	if len(b) != 188 || b[0] != 0x47 {
		return packetSeen{}, fmt.Errorf("no packet: % x", b[:min(4, len(b))])
	}
	if b[1]&0xa0 != 0 || b[3]&0xc0 != 0 {
		return packetSeen{}, fmt.Errorf("error, priority or scrambling bits set: % x", b[:4])
	}
	p := packetSeen{
		pid: int(binary.BigEndian.Uint16(b[1:]) & 0x1fff), start: b[1]&0x40 != 0, cc: int(b[3] & 15), pcr: -1,
	}
	control, rest := b[3]>>4&3, b[4:]
	if control == 0 {
		return p, fmt.Errorf("reserved adaptation_field_control")
	}
	if control&2 != 0 {
		n := int(rest[0])
		if control == 2 && n != 183 || control == 3 && n > 182 {
			return p, fmt.Errorf("adaptation_field_length %d with control %d", n, control)
		}
		field := rest[1 : 1+n]
		rest = rest[1+n:]
		if n > 0 {
			flags := field[0]
			p.randomAccess = flags&0x40 != 0
			stuffing := field[1:]
			if flags&0x10 != 0 {
				if len(stuffing) < 6 {
					return p, fmt.Errorf("no room for the PCR")
				}
				c := stuffing[:6]
				p.pcr = int64(binary.BigEndian.Uint32(c))<<1 | int64(c[4]>>7)
				if c[4]&0x7e != 0x7e || c[4]&1 != 0 || c[5] != 0 {
					return p, fmt.Errorf("PCR reserved bits or extension: % x", c)
				}
				stuffing = stuffing[6:]
			}
			if flags&^0x50 != 0 {
				return p, fmt.Errorf("flags %#x", flags)
			}
			for _, v := range stuffing {
				if v != 0xff {
					return p, fmt.Errorf("stuffing % x", stuffing)
				}
			}
		}
	}
	if control&1 != 0 {
		p.payload = rest
	}
	return p, nil
}

func timestamp(b []byte, prefix byte) (int64, error) {
	if b[0]>>4 != prefix || b[0]&1 == 0 || b[2]&1 == 0 || b[4]&1 == 0 {
		return 0, fmt.Errorf("timestamp % x", b[:5])
	}
	return int64(b[0]>>1&7)<<30 | int64(binary.BigEndian.Uint16(b[1:])>>1)<<15 | int64(binary.BigEndian.Uint16(b[3:])>>1), nil
}

func readPES(pid int, b []byte) (pesSeen, error) {
	p := pesSeen{pid: pid}
	if len(b) < 9 || b[0] != 0 || b[1] != 0 || b[2] != 1 || b[6]>>6 != 2 {
		return p, fmt.Errorf("no PES header: % x", b[:min(9, len(b))])
	}
	p.streamID, p.length = b[3], int(binary.BigEndian.Uint16(b[4:]))
	if p.length != 0 && p.length != len(b)-6 {
		return p, fmt.Errorf("PES_packet_length %d, have %d", p.length, len(b)-6)
	}
	if p.length == 0 && p.streamID != 0xe0 {
		return p, fmt.Errorf("unbounded PES packet of stream %#x", p.streamID)
	}
	var err error
	switch b[7] >> 6 {
	case 2:
		p.pts, err = timestamp(b[9:], 2)
		p.dts = p.pts
	case 3:
		p.pts, err = timestamp(b[9:], 3)
		if err == nil {
			p.dts, err = timestamp(b[14:], 1)
		}
	default:
		err = fmt.Errorf("no PTS")
	}
	p.data = b[9+int(b[8]):]
	return p, err
}

// checker reads transport streams piece by piece and holds them against the rules of ISO/IEC
// 13818-1.
type checker struct {
	cc      map[int]int
	lastPCR int64
	tables  [][]byte
	open    map[int]*pesSeen
	done    []pesSeen
	// anyGap switches the bound on the PCR's interval off.
	anyGap bool
}

func newChecker() *checker {
	return &checker{cc: map[int]int{}, open: map[int]*pesSeen{}, lastPCR: -1}
}

func (c *checker) read(b []byte) error {
	if len(b)%188 != 0 {
		return fmt.Errorf("%d bytes are no whole packets", len(b))
	}
	for ; len(b) > 0; b = b[188:] {
		if err := c.packet(b[:188]); err != nil {
			return err
		}
	}
	return nil
}

func (c *checker) packet(b []byte) error {
	p, err := readPacket(b)
	if err != nil {
		return err
	}
	if last, ok := c.cc[p.pid]; ok {
		want := last
		if p.payload != nil {
			want = (last + 1) & 15
		}
		if p.cc != want {
			return fmt.Errorf("PID %#x: continuity counter %d, want %d", p.pid, p.cc, want)
		}
	}
	c.cc[p.pid] = p.cc
	if p.pcr >= 0 {
		// 33 bits, so that the difference is right over the wrap
		if gap := (p.pcr - c.lastPCR) & (1<<33 - 1); c.lastPCR >= 0 && gap > 9000 && !c.anyGap {
			return fmt.Errorf("PCR %d after %d", p.pcr, c.lastPCR)
		}
		c.lastPCR = p.pcr
	}
	if p.pid == pidPAT || p.pid == pidPMT {
		return c.section(p)
	}
	if p.start {
		if err := c.finish(p.pid); err != nil {
			return err
		}
		c.open[p.pid] = &pesSeen{randomAccess: p.randomAccess, pcr: p.pcr}
	}
	if o := c.open[p.pid]; o != nil {
		o.data = append(o.data, p.payload...)
	} else if p.payload != nil {
		return fmt.Errorf("PID %#x: payload before a PES packet", p.pid)
	}
	return nil
}

func (c *checker) section(p packetSeen) error {
	if !p.start || p.payload[0] != 0 {
		return fmt.Errorf("PID %#x: no section at the packet's start", p.pid)
	}
	s := p.payload[1:]
	n := 3 + int(binary.BigEndian.Uint16(s[1:])&0xfff)
	for _, v := range s[n:] {
		if v != 0xff {
			return fmt.Errorf("table stuffing %#x", v)
		}
	}
	if s = s[:n]; slowCRC(s) != 0 {
		return fmt.Errorf("PID %#x: CRC of % x", p.pid, s)
	}
	c.tables = append(c.tables, s)
	return nil
}

// slowCRC runs the shift register of ISO/IEC 13818-1 figure A.1, bit by bit: 0 over a section with
// its CRC.
func slowCRC(b []byte) uint32 {
	z := uint32(0xffffffff)
	for i := range len(b) * 8 {
		in := uint32(b[i/8]>>(7-i%8)) & 1
		top := z >> 31
		z <<= 1
		if top^in != 0 {
			z ^= 1<<26 | 1<<23 | 1<<22 | 1<<16 | 1<<12 | 1<<11 | 1<<10 | 1<<8 | 1<<7 | 1<<5 | 1<<4 | 1<<2 | 1<<1 | 1
		}
	}
	return z
}

func (c *checker) finish(pid int) error {
	o := c.open[pid]
	if o == nil {
		return nil
	}
	delete(c.open, pid)
	p, err := readPES(pid, o.data)
	if err != nil {
		return err
	}
	p.randomAccess, p.pcr = o.randomAccess, o.pcr
	c.done = append(c.done, p)
	return nil
}

// end finishes all PES packets and returns those of each PID.
func (c *checker) end() (map[int][]pesSeen, error) {
	for _, pid := range []int{pidVideo, pidAudio} {
		if err := c.finish(pid); err != nil {
			return nil, err
		}
	}
	byPID := map[int][]pesSeen{}
	for _, p := range c.done {
		byPID[p.pid] = append(byPID[p.pid], p)
	}
	return byPID, nil
}

// check reads one whole stream.
func check(t *testing.T, b []byte) (map[int][]pesSeen, *checker) {
	t.Helper()
	c := newChecker()
	if err := c.read(b); err != nil {
		t.Fatal(err)
	}
	p, err := c.end()
	if err != nil {
		t.Fatal(err)
	}
	return p, c
}
