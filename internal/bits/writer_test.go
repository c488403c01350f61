package bits

import (
	"testing"

	"pgregory.net/rapid"
)

// TestWriter: what was written is read again, and zeros behind it up to a byte.
func TestWriter(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		widths := rapid.SliceOf(rapid.IntRange(0, 32)).Draw(t, "widths")
		var w Writer
		var values []uint32
		for _, n := range widths {
			v := rapid.Uint32().Draw(t, "value")
			w.Bits(n, v)
			values = append(values, uint32(uint64(v)&(1<<n-1)))
		}
		if len(w.Bytes()) != (w.Pos()+7)/8 {
			t.Fatalf("%d bytes of %d bits", len(w.Bytes()), w.Pos())
		}
		r := NewReader(w.Bytes())
		for i, n := range widths {
			if v := r.Bits(n); v != values[i] {
				t.Fatalf("field %d of %d bits: %x, want %x", i, n, v, values[i])
			}
		}
		if rest := r.Bits(r.Left()); rest != 0 || r.Bad {
			t.Errorf("%x behind the fields", rest)
		}
	})
}
