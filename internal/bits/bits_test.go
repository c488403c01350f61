package bits

import "testing"

func TestReader(t *testing.T) {
	r := NewReader([]byte{0b1010_0110, 0b0100_0000, 0xAB, 0xCD, 0xFF})
	if a, b := r.Bits(3), r.Flag(); a != 0b101 || b {
		t.Errorf("%b %v", a, b)
	}
	// ue(v), ITU-T H.265 table 9-2: 011 is 2, 00100 is 3.
	if a, b := r.Exponential(), r.Exponential(); a != 2 || b != 3 {
		t.Errorf("%d %d", a, b)
	}
	r.Align()
	if b := r.Bytes(2); len(b) != 2 || b[0] != 0xAB || b[1] != 0xCD || r.Pos() != 32 || r.Left() != 8 {
		t.Errorf("%x at %d, %d left", b, r.Pos(), r.Left())
	}
	if r.Skip(9); !r.Bad || r.Bits(1) != 0 || r.Left() != 0 {
		t.Error("more was read than there is")
	}
}

func TestReaderAtTheEnd(t *testing.T) {
	for what, read := range map[string]func(*Reader){
		"bits":        func(r *Reader) { r.Bits(9) },
		"bytes":       func(r *Reader) { r.Bytes(2) },
		"exponential": func(r *Reader) { r.Exponential() },
		"variable":    func(r *Reader) { r.Variable(8) },
	} {
		r := NewReader([]byte{0})
		if read(&r); !r.Bad {
			t.Errorf("%s: not noticed", what)
		}
	}
	// A number of 32 zeros before its first bit is longer than any that is read here.
	if r := NewReader(make([]byte, 64)); r.Exponential() != 0 || !r.Bad {
		t.Error("an endless number was read")
	}
	// variable_bits(8): 0x01 and more, 0x02 and no more: ((1 + 1) << 8) + 2.
	if r := NewReader([]byte{1, 0x81, 0}); r.Variable(8) != 2<<8|2 || r.Bad {
		t.Error("two groups")
	}
}
