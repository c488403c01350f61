// Package bits reads fields that do not stand at byte boundaries, as headers and parameter sets of
// codecs have them.
package bits

// Reader reads big-endian fields of any width in a row. It remembers that the bytes ran out, which
// is asked once at the end; until then it yields zeros.
type Reader struct {
	// Bad: a field was read that the bytes did not hold.
	Bad bool

	b   []byte
	pos int // in bits
}

// NewReader returns a reader of b, which must not change meanwhile.
func NewReader(b []byte) Reader { return Reader{b: b} }

// Pos returns how many bits were read.
func (r *Reader) Pos() int { return r.pos }

// Left returns the number of bits not yet read.
func (r *Reader) Left() int { return 8*len(r.b) - r.pos }

// Bits returns the next n bits, n being 32 at most.
func (r *Reader) Bits(n int) uint32 {
	if n > r.Left() {
		r.Bad, r.pos = true, 8*len(r.b)
		return 0
	}
	var v uint32
	for ; n > 0; n-- {
		v = v<<1 | uint32(r.b[r.pos>>3]>>(7-r.pos&7)&1)
		r.pos++
	}
	return v
}

// Flag returns the next bit.
func (r *Reader) Flag() bool { return r.Bits(1) == 1 }

// Exponential returns the next Exp-Golomb number, ue(v) in ITU-T H.265 §9.2.
func (r *Reader) Exponential() uint32 {
	const longest = 31
	zeros := 0
	for !r.Flag() {
		if zeros++; r.Bad || zeros > longest {
			r.Bad = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.Bits(zeros)
}

// Variable returns the next number that comes in groups of n bits, variable_bits(n) in ETSI TS 102
// 366 annex H, n being 8 at most.
func (r *Reader) Variable(n int) uint32 {
	const most = 1<<16 - 1 // far above what any message holds
	v := r.Bits(n)
	for r.Flag() {
		if v = (v+1)<<n | r.Bits(n); r.Bad || v > most {
			r.Bad = true
			return 0
		}
	}
	return v
}

// Bytes returns the next n bytes, which alias the input. Only at a byte boundary.
func (r *Reader) Bytes(n int) []byte {
	if n*8 > r.Left() {
		r.Bad, r.pos = true, 8*len(r.b)
		return nil
	}
	at := r.pos / 8
	r.pos += 8 * n
	return r.b[at : at+n : at+n]
}

// Skip passes over n bits.
func (r *Reader) Skip(n int) {
	if n > r.Left() {
		r.Bad, n = true, r.Left()
	}
	r.pos += n
}

// Align passes over the rest of a byte that was begun.
func (r *Reader) Align() { r.pos = (r.pos + 7) &^ 7 }

// SkipIf passes over n bits if a flag before them says that they are there.
func (r *Reader) SkipIf(n int) {
	if r.Flag() {
		r.Skip(n)
	}
}
