package flv

// bitReader reads big-endian fields of any width in a row. It remembers that the bytes ran out, which is asked once at the end;
// until then it yields zeros.
type bitReader struct {
	b   []byte
	pos int // in bits
	bad bool
}

// left returns the number of bits not yet read.
func (r *bitReader) left() int { return 8*len(r.b) - r.pos }

// bits returns the next n bits, n being 32 at most.
func (r *bitReader) bits(n int) uint32 {
	if n > r.left() {
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

// exponential returns the next Exp-Golomb number, ue(v) in ITU-T H.265 §9.2.
func (r *bitReader) exponential() uint32 {
	const longest = 31
	zeros := 0
	for !r.flag() {
		if zeros++; r.bad || zeros > longest {
			r.bad = true
			return 0
		}
	}
	return 1<<zeros - 1 + r.bits(zeros)
}

// variable returns the next number that comes in groups of n bits, variable_bits(n) in ETSI TS 102 366 annex H, n being 8 at most.
func (r *bitReader) variable(n int) uint32 {
	const most = 1<<16 - 1 // far above what any message holds
	v := r.bits(n)
	for r.flag() {
		if v = (v+1)<<n | r.bits(n); r.bad || v > most {
			r.bad = true
			return 0
		}
	}
	return v
}

// bytes returns the next n bytes, which alias the input. Only at a byte boundary.
func (r *bitReader) bytes(n int) []byte {
	if n*8 > r.left() {
		r.bad, r.pos = true, 8*len(r.b)
		return nil
	}
	at := r.pos / 8
	r.pos += 8 * n
	return r.b[at : at+n : at+n]
}

// skip passes over n bits.
func (r *bitReader) skip(n int) {
	if n > r.left() {
		r.bad, n = true, r.left()
	}
	r.pos += n
}

// align passes over the rest of a byte that was begun.
func (r *bitReader) align() { r.pos = (r.pos + 7) &^ 7 }
