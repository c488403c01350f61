package fmp4

import (
	"encoding/binary"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/ac3"

	"livego/internal/bits"
)

// Frames of AC-3 and E-AC-3 in which nothing is heard have exponents and no mantissas: with signal
// to noise offsets of zero none gets a bit (ETSI TS 102 366 §6.2.2.1), and dither, which would take
// their place, is off. They are as long as the frame that they are made like, and have its header.

// ac3Channels are the full bandwidth channels by acmod (table 4.3).
var ac3Channels = [...]int{2, 1, 2, 3, 3, 4, 4, 5}

// ac3Writer writes one frame, its header out of another one.
type ac3Writer struct {
	bits.Writer
	r bits.Reader
	// mode is acmod, channels those of full bandwidth.
	mode     uint32
	channels int
	lfe      bool
}

// copy takes over n bits.
func (w *ac3Writer) copy(n int) uint32 {
	v := w.r.Bits(n)
	w.Bits(n, v)
	return v
}

// each puts v in n bits for each channel of full bandwidth.
func (w *ac3Writer) each(n int, v uint32) {
	for range w.channels {
		w.Bits(n, v)
	}
}

// dualMono puts n zeros if there is a second program.
func (w *ac3Writer) dualMono(n int) {
	if w.mode == 0 {
		w.Bits(n, 0)
	}
}

// layout takes over acmod, and lfe lfeon.
func (w *ac3Writer) layout() {
	w.mode = w.copy(3)
	w.channels = ac3Channels[w.mode]
}

// Exponents are all the same: four of a group share a difference of zero, and three such are 62
// (§6.1.3).
const (
	noDifference = 62
	strategyD45  = 3
	// exponentGroups are those of the lowest bandwidth, of 73 coefficients.
	exponentGroups = (73 - 1 + 9) / 12
)

// exponents puts the first block's, which the others share.
func (w *ac3Writer) exponents() {
	w.each(6, 0) // chbwcod
	for range w.channels {
		w.Bits(4, 15)
		for range exponentGroups {
			w.Bits(7, noDifference)
		}
		w.Bits(2, 0) // gainrng
	}
	if w.lfe {
		w.Bits(4, 15)
		w.Bits(7, noDifference)
		w.Bits(7, noDifference)
	}
}

// finish returns a frame of a size with its checksum at the end, nil if it does not fit.
func (w *ac3Writer) finish(size int) []byte {
	const auxdataAndCRC = 18
	if w.r.Bad || w.Pos()+auxdataAndCRC > 8*size {
		return nil
	}
	b := append(w.Bytes(), make([]byte, size-len(w.Bytes()))...)
	binary.BigEndian.PutUint16(b[size-2:], crc(ac3Polynomial, 16, b[2:size-2]))
	return b
}

const ac3Polynomial = 0x8005

// silentAC3 is a frame of six blocks like another one (§4.3).
func silentAC3(like []byte) []byte {
	var sync ac3.SyncInfo
	if _, err := dac3(like); err != nil || sync.Unmarshal(like) != nil {
		return nil
	}
	w := ac3Writer{r: bits.NewReader(like)}
	w.copy(16)
	w.r.Skip(16)
	w.Bits(16, 0)         // crc1
	w.copy(2 + 6 + 5 + 3) // fscod, frmsizecod, bsid, bsmod
	w.layout()
	if w.mode&1 != 0 && w.mode != 1 {
		w.copy(2) // cmixlev
	}
	if w.mode&4 != 0 {
		w.copy(2) // surmixlev
	}
	if w.mode == 2 {
		w.copy(2) // dsurmod
	}
	w.lfe = w.copy(1) == 1
	w.copy(5)          // dialnorm
	w.Bits(1+1+1, 0)   // compre, langcode, audprodie
	w.dualMono(5 + 3)  // dialnorm2: reserved, means -31 dB
	w.Bits(2+1+1+1, 0) // copyrightb, origbs, timecod1e, timecod2e, addbsie
	for block := range 6 {
		w.blockAC3(block == 0)
	}
	size := sync.FrameSize()
	b := w.finish(size)
	if b == nil {
		return nil
	}
	// crc1 makes that of the first five eighths zero.
	words := size / 2
	binary.BigEndian.PutUint16(b[2:], crcBefore(b[4:2*(words/2+words/8)]))
	binary.BigEndian.PutUint16(b[size-2:], crc(ac3Polynomial, 16, b[2:size-2]))
	return b
}

// blockAC3 puts an audio block (§4.3.3).
func (w *ac3Writer) blockAC3(first bool) {
	w.each(1+1, 0) // blksw, dithflag
	w.Bits(1, 0)   // dynrnge
	w.dualMono(1)
	if !first {
		w.Bits(1, 0) // cplstre
		if w.mode == 2 {
			w.Bits(1, 0) // rematstr
		}
		w.each(2, 0) // chexpstr
		if w.lfe {
			w.Bits(1, 0)
		}
		w.Bits(1+1+1+1, 0) // baie, snroffste, deltbaie, skiple
		return
	}
	w.Bits(2, 0b10) // cplstre, cplinu
	if w.mode == 2 {
		w.Bits(1+4, 1<<4) // rematstr, rematflg
	}
	w.each(2, strategyD45)
	if w.lfe {
		w.Bits(1, 1)
	}
	w.exponents()
	w.Bits(1, 1)         // baie
	w.Bits(2+2+2+2+3, 0) // sdcycod, fdcycod, sgaincod, dbpbcod, floorcod
	w.Bits(1, 1)         // snroffste
	w.Bits(6, 0)         // csnroffst
	w.each(4+3, 0)       // fsnroffst, fgaincod
	if w.lfe {
		w.Bits(4+3, 0)
	}
	w.Bits(1+1, 0) // deltbaie, skiple
}

// crcBefore is the 16 bits before b with which the checksum of all is zero: the division run
// backwards.
func crcBefore(b []byte) (sum uint16) {
	back := func(bits int) {
		for range bits {
			low := sum & 1
			if low != 0 {
				sum ^= ac3Polynomial
			}
			sum = sum>>1 | low<<15
		}
	}
	for i := len(b) - 1; i >= 0; i-- {
		back(8)
		sum ^= uint16(b[i]) << 8
	}
	back(16)
	return sum
}

// silentEAC3 is an access unit of the frames of another one (§E.1.2).
func silentEAC3(like []byte) (unit []byte) {
	for len(like) > 0 {
		f, err := readEAC3(like)
		if err != nil {
			break
		}
		b := silentSubstream(like, &f)
		if b == nil {
			return nil
		}
		unit = append(unit, b...)
		like = like[min(f.size, len(like)):]
	}
	return unit
}

func silentSubstream(like []byte, f *eac3Frame) []byte {
	const independent, dependent = 0, 1
	w := ac3Writer{r: bits.NewReader(like)}
	w.copy(16)
	kind := w.copy(2)
	w.copy(3 + 11 + 2 + 2) // substreamid, frmsiz, fscod, numblkscod
	w.layout()
	w.lfe = w.copy(1) == 1
	w.copy(5 + 5) // bsid, dialnorm
	w.Bits(1, 0)  // compre
	w.r.SkipIf(8)
	if w.mode == 0 {
		w.copy(5)
		w.Bits(1, 0)
		w.r.SkipIf(8)
	}
	if kind > dependent {
		return nil // it is for conversion, and tells how
	}
	if kind == dependent && w.copy(1) == 1 {
		w.copy(16) // chanmap
	}
	w.Bits(1+1, 0) // mixmdate, infomdate
	if kind == independent && f.blocks < 6 {
		w.Bits(1, 0) // convsync
	}
	w.Bits(1, 0) // addbsie
	w.frameEAC3(kind == independent, f.blocks)
	for block := range f.blocks {
		w.blockEAC3(block == 0, kind == independent)
	}
	return w.finish(f.size)
}

// frameEAC3 puts what is said for all blocks (§E.1.2.3).
func (w *ac3Writer) frameEAC3(independent bool, blocks int) {
	if blocks == 6 {
		w.Bits(1+1, 0b10) // expstre, ahte
	}
	w.Bits(2, 0)         // snroffststr
	w.Bits(1+1+1, 0b1)   // transproce, blkswe, dithflage
	w.Bits(1+1+1+1+1, 0) // bamode, frmfgaincode, dbaflde, skipflde, spxattene
	if w.mode > 1 {
		w.Bits(blocks, 0) // cplinu of the first, cplstre of the others
	}
	for block := range blocks {
		if block == 0 {
			w.each(2, strategyD45)
		} else {
			w.each(2, 0)
		}
	}
	if w.lfe {
		w.Bits(blocks, 1<<(blocks-1)) // lfeexpstr
	}
	switch {
	case independent && blocks == 6:
		w.each(5, 0) // convexpstr
	case independent:
		w.Bits(1, 0) // convexpstre
	}
	w.Bits(6+4, 0) // frmcsnroffst, frmfsnroffst
	if blocks > 1 {
		w.Bits(1, 0) // blkstrtinfoe
	}
}

// blockEAC3 puts an audio block (§E.1.2.4).
func (w *ac3Writer) blockEAC3(first, independent bool) {
	w.each(1, 0) // dithflag
	w.Bits(1, 0) // dynrnge
	w.dualMono(1)
	w.Bits(1, 0) // spxinu of the first, spxstre of the others
	if w.mode == 2 {
		if first {
			w.Bits(4, 0) // rematflg
		} else {
			w.Bits(1, 0) // rematstr
		}
	}
	if first {
		w.exponents()
	}
	if independent {
		w.Bits(1, 0) // convsnroffste
	}
}
