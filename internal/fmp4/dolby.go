package fmp4

import (
	"fmt"

	"livego/internal/bits"
	"livego/internal/media"
)

// The decoder configuration of AC-3 and E-AC-3 is in no header but in each frame, so an init
// segment needs one.

const dolbySync = 0x0B77

// dac3 returns the payload of an AC3SpecificBox (ETSI TS 102 366 §F.4) for a frame, its fields in
// this order:
//
//	fscod 2 | bsid 5 | bsmod 3 | acmod 3 | lfeon 1 | bit_rate_code 5 | reserved 5
func dac3(frame []byte) ([]byte, error) {
	r := bits.NewReader(frame)
	if r.Bits(16) != dolbySync {
		return nil, errNoFrame(media.AC3)
	}
	r.Skip(16) // crc1
	rate, size := r.Bits(2), r.Bits(6)
	id, mode := r.Bits(5), r.Bits(3)
	channels := r.Bits(3)
	if channels&1 != 0 && channels != 1 {
		r.Skip(2) // cmixlev
	}
	if channels&4 != 0 {
		r.Skip(2) // surmixlev
	}
	if channels == 2 {
		r.Skip(2) // dsurmod
	}
	lfe := r.Bits(1)
	const maxID = 8 // above is another syntax
	if r.Bad || id > maxID {
		return nil, errNoFrame(media.AC3)
	}
	v := rate<<22 | id<<17 | mode<<14 | channels<<11 | lfe<<10 | size>>1<<5
	return []byte{byte(v >> 16), byte(v >> 8), byte(v)}, nil
}

func errNoFrame(codec media.Codec) error {
	return fmt.Errorf("no %s frame to make the header from: %w", codec, ErrData)
}

// substream is an independent substream of E-AC-3 with what depends on it.
type substream struct {
	rate, id, mode, channels, lfe uint32
	dependent                     uint32
	locations                     uint32
}

// dec3 returns the payload of an EC3SpecificBox (ETSI TS 102 366 §F.6) for an access unit:
//
//	data_rate 13 | num_ind_sub 3, then for each independent substream:
//	fscod 2 | bsid 5 | reserved 1 | asvc 1 | bsmod 3 | acmod 3 | lfeon 1 | reserved 3 | num_dep_sub 4 | chan_loc 9 or reserved 1
func dec3(t *media.Track, unit []byte) ([]byte, error) {
	streams, err := readSubstreams(unit)
	if err != nil {
		return nil, err
	}
	const maxDataRate = 1<<13 - 1
	rate := uint32(0) // kbit/s
	if t.SamplesPerFrame > 0 {
		rate = uint32(min(int64(len(unit))*8*int64(t.SampleRate)/int64(t.SamplesPerFrame)/1000, maxDataRate))
	}
	head := rate<<3 | uint32(len(streams)-1)
	b := []byte{byte(head >> 8), byte(head)}
	for _, s := range streams {
		v := s.rate<<22 | s.id<<17 | s.mode<<12 | s.channels<<9 | s.lfe<<8 | s.dependent<<1
		if s.dependent == 0 {
			b = append(b, byte(v>>16), byte(v>>8), byte(v))
			continue
		}
		v |= s.locations >> 8
		b = append(b, byte(v>>16), byte(v>>8), byte(v), byte(s.locations))
	}
	return b, nil
}

// readSubstreams reads the frames of an access unit: each independent substream, and for it the
// dependent ones that follow. An access unit of short frames has several of each substream.
func readSubstreams(unit []byte) ([]substream, error) {
	const maxIndependent, maxDependent = 8, 8
	var streams []substream
	seen := map[uint32]int{} // by substream number
	current, dependents := -1, map[uint32]bool{}
	for len(unit) > 0 {
		f, err := readEAC3(unit)
		if err != nil {
			if len(streams) > 0 { // what follows the first frames is up to the decoder
				break
			}
			return nil, err
		}
		unit = unit[min(f.size, len(unit)):]
		at, known := seen[f.number]
		switch {
		case !f.dependent && known:
			current = at
		case !f.dependent && len(streams) < maxIndependent:
			current = len(streams)
			seen[f.number] = current
			streams = append(streams, f.substream)
		case f.dependent && current >= 0:
			key := uint32(current)<<8 | f.number
			if s := &streams[current]; !dependents[key] && s.dependent < maxDependent {
				dependents[key] = true
				s.dependent++
				s.locations |= f.locations
			}
		}
	}
	if len(streams) == 0 {
		return nil, errNoFrame(media.EAC3)
	}
	return streams, nil
}

// eac3Frame is what the head of one E-AC-3 frame says.
type eac3Frame struct {
	substream
	dependent bool
	number    uint32
	size      int
	blocks    int
}

// readEAC3 reads a frame up to its service type (ETSI TS 102 366 §E.1.2.2).
func readEAC3(frame []byte) (eac3Frame, error) {
	r := bits.NewReader(frame)
	if r.Bits(16) != dolbySync {
		return eac3Frame{}, errNoFrame(media.EAC3)
	}
	const dependentType, reducedRate = 1, 3
	kind := r.Bits(2)
	f := eac3Frame{dependent: kind == dependentType, number: r.Bits(3)}
	f.size = 2 * (int(r.Bits(11)) + 1)
	f.rate = r.Bits(2)
	f.blocks = 6
	if code := r.Bits(2); f.rate != reducedRate { // else it is fscod2, and there are six blocks
		f.blocks = [...]int{1, 2, 3, 6}[code]
	}
	f.channels, f.lfe, f.id = r.Bits(3), r.Bits(1), r.Bits(5)
	programs := 1
	if f.channels == 0 { // 1+1: two of what follows
		programs = 2
	}
	for range programs {
		r.Skip(5)   // dialnorm
		r.SkipIf(8) // compr
	}
	if f.dependent && r.Flag() {
		f.locations = chanLoc(r.Bits(16))
	}
	const minID, maxID = 11, 16 // others have another syntax
	if r.Bad || f.id < minID || f.id > maxID {
		return eac3Frame{}, errNoFrame(media.EAC3)
	}
	if r.Flag() {
		f.skipMixing(&r, kind)
	}
	if r.Flag() {
		f.mode = r.Bits(3)
	}
	return f, nil
}

// skipMixing passes over the mixing metadata.
func (f *eac3Frame) skipMixing(r *bits.Reader, kind uint32) {
	const independentType = 0
	if f.channels > 2 {
		r.Skip(2) // dmixmod
	}
	if f.channels > 2 && f.channels&1 != 0 {
		r.Skip(3 + 3) // ltrtcmixlev, lorocmixlev
	}
	if f.channels&4 != 0 {
		r.Skip(3 + 3) // ltrtsurmixlev, lorosurmixlev
	}
	if f.lfe != 0 {
		r.SkipIf(5) // lfemixlevcod
	}
	if kind != independentType {
		return
	}
	r.SkipIf(6) // pgmscl
	if f.channels == 0 {
		r.SkipIf(6) // pgmscl2
	}
	r.SkipIf(6) // extpgmscl
	switch r.Bits(2) {
	case 1:
		r.Skip(1 + 1 + 3) // premixcmpsel, drcsrc, premixcmpscl
	case 2:
		r.Skip(12)
	case 3:
		for range r.Bits(5) + 2 { // mixdeflen
			r.Skip(8)
		}
	}
	if f.channels < 2 {
		r.SkipIf(8 + 6) // panmean, paninfo
		if f.channels == 0 {
			r.SkipIf(8 + 6)
		}
	}
	if !r.Flag() { // frmmixcfginfoe
		return
	}
	if f.blocks == 1 {
		r.Skip(5)
		return
	}
	for range f.blocks {
		r.SkipIf(5)
	}
}

// chanLoc turns a channel map (ETSI TS 102 366 §E.1.3.1.8, bit 0 being the first) into the
// locations of §F.6.2.13 (bit 0 being the last): the pairs and single ones from Lc/Rc on, and LFE2.
func chanLoc(channelMap uint32) (locations uint32) {
	const first, lfe2, count = 5, 14, 8
	at := func(bit int) uint32 { return channelMap >> (15 - bit) & 1 }
	for i := range count {
		locations |= at(first+i) << i
	}
	return locations | at(lfe2)<<count
}
