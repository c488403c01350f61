package fmp4

// bitReader reads big-endian fields in a row. It remembers that the bytes ran out, which is asked
// once at the end; until then it yields zeros.
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

// bitWriter writes big-endian fields in a row, and fills the last byte with zeros.
type bitWriter struct {
	b   []byte
	pos int // in bits
}

// put writes v in n bits.
func (w *bitWriter) put(n int, v uint32) {
	for ; n > 0; n-- {
		if w.pos&7 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.pos>>3] |= byte(v>>(n-1)&1) << (7 - w.pos&7)
		w.pos++
	}
}
