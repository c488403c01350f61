package bench

import "math/bits"

// bitWriter appends fields that are not aligned to bytes, first bit first. Its zero value is empty.
type bitWriter struct {
	bytes []byte
	free  int // unused bits of the last byte
}

// u appends the n low bits of v: u(n) of H.264 §7.2.
func (w *bitWriter) u(n int, v uint32) {
	for n > 0 {
		if w.free == 0 {
			w.bytes, w.free = append(w.bytes, 0), 8
		}
		k := min(n, w.free)
		n -= k
		w.free -= k
		w.bytes[len(w.bytes)-1] |= byte(v>>n&(1<<k-1)) << w.free
	}
}

// ue appends an unsigned Exp-Golomb code (H.264 §9.1).
func (w *bitWriter) ue(v uint32) {
	n := bits.Len32(v + 1)
	w.u(n-1, 0)
	w.u(n, v+1)
}

// align fills the last byte with zero bits.
func (w *bitWriter) align() { w.free = 0 }

// trailing appends rbsp_trailing_bits (H.264 §7.3.2.11).
func (w *bitWriter) trailing() {
	w.u(1, 1)
	w.align()
}

// raw appends whole bytes; the writer must be aligned.
func (w *bitWriter) raw(b []byte) { w.bytes = append(w.bytes, b...) }
