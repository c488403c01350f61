package bits

// Writer writes big-endian fields of any width in a row, and fills the last byte with zeros. The
// zero value is empty.
type Writer struct {
	b   []byte
	pos int // in bits
}

// Bits writes the low n bits of v, n being 32 at most.
func (w *Writer) Bits(n int, v uint32) {
	for ; n > 0; n-- {
		if w.pos&7 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.pos>>3] |= byte(v>>(n-1)&1) << (7 - w.pos&7)
		w.pos++
	}
}

// Pos returns how many bits were written.
func (w *Writer) Pos() int { return w.pos }

// Bytes returns what was written. The writer keeps it.
func (w *Writer) Bytes() []byte { return w.b }
