package fmp4

// bitReader reads big-endian fields in a row. It remembers that the bytes ran out, which is asked once at the end; until then it
// yields zeros.
type bitReader struct {
	b   []byte
	pos int // in bits
	bad bool
}

// bits returns the next n bits, n being 32 at most.
func (r *bitReader) bits(n int) uint32 {
	if n > 8*len(r.b)-r.pos {
		r.bad, r.pos = true, 8*len(r.b)
		return 0
	}
	var v uint32
	for ; n > 0; n-- {
		v = v<<1 | uint32(r.b[r.pos>>3]>>(7-r.pos&7)&1)
		r.pos++
	}
	return v
}

func (r *bitReader) flag() bool { return r.bits(1) == 1 }

// skip passes over n bits, n being 32 at most.
func (r *bitReader) skip(n int) { r.bits(n) }

// skipIf passes over n bits if a flag before them says that they are there.
func (r *bitReader) skipIf(n int) {
	if r.flag() {
		r.skip(n)
	}
}
