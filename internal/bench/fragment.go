package bench

import "encoding/binary"

// What of ISO/IEC 14496-12 is needed to find the samples of CMAF parts. It shares nothing with the
// packager under test.
const (
	boxHeader     = 8
	fullBoxHeader = 4
	// maxBoxDepth bounds the nesting of boxes that are looked into: moov, mvex or trak, and moof,
	// traf.
	maxBoxDepth = 3
	// notSync is sample_is_non_sync_sample (§8.8.3.1).
	notSync = 1 << 16
)

// fragmentParser finds samples in the fragments of one track, the first one of the initialization
// section.
type fragmentParser struct {
	// unit gets the data of each sample.
	unit func(randomAccess bool, data []byte)
	// fault is told of what cannot be read, back of decode times that go back.
	fault, back func()

	// What trex says where a fragment says nothing (§8.8.3), and tfhd says for one fragment
	// (§8.8.7).
	duration, size, flags             uint32
	fragDuration, fragSize, fragFlags uint32
	track                             uint32 // its number, 0 if not known
	other                             bool   // what comes is of another track
	next                              uint64 // decode time of the next sample
	started                           bool
	moof                              []byte // from the moof to the end of what came
}

// init takes an initialization section.
func (p *fragmentParser) init(b []byte) {
	p.duration, p.size, p.flags, p.track, p.started = 0, 0, 0, 0, false
	if !p.boxes(b, 0) {
		p.fault()
	}
}

// fragments takes a part or a segment.
func (p *fragmentParser) fragments(b []byte) {
	if !p.boxes(b, 0) {
		p.fault()
	}
}

// boxes walks over boxes (§4.2). It returns false if they are not whole.
func (p *fragmentParser) boxes(b []byte, depth int) bool {
	for len(b) > 0 {
		if len(b) < boxHeader {
			return false
		}
		size, header := uint64(binary.BigEndian.Uint32(b)), boxHeader
		if size == 1 && len(b) >= boxHeader+8 {
			size, header = binary.BigEndian.Uint64(b[boxHeader:]), boxHeader+8
		}
		if size < uint64(header) || size > uint64(len(b)) {
			return false
		}
		kind := string(b[4:8])
		if kind == "moof" && depth == 0 {
			p.moof = b
		}
		if !p.box(kind, b[header:size], depth) {
			return false
		}
		b = b[size:]
	}
	return true
}

func (p *fragmentParser) box(kind string, content []byte, depth int) bool {
	switch kind {
	case "moov", "mvex", "trak", "moof", "traf":
		return depth < maxBoxDepth && p.boxes(content, depth+1)
	case "tkhd":
		return p.tkhd(content)
	case "trex":
		return p.trex(content)
	case "tfhd":
		return p.tfhd(content)
	case "tfdt":
		return p.other || p.tfdt(content)
	case "trun":
		return p.other || p.moof != nil && p.trun(content)
	}
	return true
}

// tkhd reads which track is the first one (§8.3.2).
func (p *fragmentParser) tkhd(content []byte) bool {
	f := fields{b: content}
	times := 2 * 4
	if f.u32()>>24 == 1 {
		times = 2 * 8
	}
	f.skip(times) // of its making, and of its last change
	if id := f.u32(); p.track == 0 {
		p.track = id
	}
	return !f.short
}

// trex reads what holds for all fragments (§8.8.3).
func (p *fragmentParser) trex(content []byte) bool {
	f := fields{b: content}
	f.skip(fullBoxHeader)
	if id := f.u32(); p.track != 0 && id != p.track {
		return true
	}
	f.skip(4) // the sample description
	p.duration, p.size, p.flags = f.u32(), f.u32(), f.u32()
	return !f.short
}

// tfhd reads the defaults of a fragment (§8.8.7).
func (p *fragmentParser) tfhd(content []byte) bool {
	f := fields{b: content}
	has := f.u32()
	id := f.u32()
	if p.other = p.track != 0 && id != p.track; p.other {
		return !f.short
	}
	f.skipIf(has&1 != 0, 8)
	f.skipIf(has&2 != 0, 4)
	p.fragDuration = f.u32If(has&8 != 0, p.duration)
	p.fragSize = f.u32If(has&0x10 != 0, p.size)
	p.fragFlags = f.u32If(has&0x20 != 0, p.flags)
	return !f.short
}

// tfdt reads the decode time of a fragment (§8.8.12).
func (p *fragmentParser) tfdt(content []byte) bool {
	f := fields{b: content}
	version := f.u32() >> 24
	at := uint64(f.u32())
	if version == 1 {
		at = at<<32 | uint64(f.u32())
	}
	if f.short {
		return false
	}
	if p.started && at < p.next {
		p.back()
	}
	p.next, p.started = at, true
	return true
}

// trun reads the samples of a fragment (§8.8.8).
func (p *fragmentParser) trun(content []byte) bool {
	f := fields{b: content}
	has, count := f.u32(), f.u32()
	offset := uint64(f.u32If(has&1 != 0, 0))
	first := f.u32If(has&4 != 0, p.fragFlags)
	for i := range count {
		duration := f.u32If(has&0x100 != 0, p.fragDuration)
		size := uint64(f.u32If(has&0x200 != 0, p.fragSize))
		fallback := p.fragFlags
		if i == 0 {
			fallback = first
		}
		flags := f.u32If(has&0x400 != 0, fallback)
		f.skipIf(has&0x800 != 0, 4)
		// An empty sample would let the count run on without any data behind it.
		if f.short || size == 0 || offset+size > uint64(len(p.moof)) {
			return false
		}
		p.unit(flags&notSync == 0, p.moof[offset:offset+size])
		p.next += uint64(duration)
		offset += size
	}
	return !f.short
}

// fields reads big-endian numbers; the first that is not there is remembered.
type fields struct {
	b     []byte
	short bool
}

func (f *fields) u32() uint32 {
	if len(f.b) < 4 {
		f.short = true
		return 0
	}
	v := binary.BigEndian.Uint32(f.b)
	f.b = f.b[4:]
	return v
}

func (f *fields) u32If(there bool, otherwise uint32) uint32 {
	if !there {
		return otherwise
	}
	return f.u32()
}

func (f *fields) skip(n int) {
	if len(f.b) < n {
		f.short = true
		n = len(f.b)
	}
	f.b = f.b[n:]
}

func (f *fields) skipIf(there bool, n int) {
	if there {
		f.skip(n)
	}
}
