package fmp4

import "encoding/binary"

// boxes appends boxes to a buffer (ISO/IEC 14496-12 §4.2). For init segments, of which there are
// few: the size of a box is filled in when it ends.
type boxes struct{ b []byte }

// box writes a box around what body writes.
func (w *boxes) box(kind string, body func()) {
	at := len(w.b)
	w.u32(0)
	w.text(kind)
	body()
	binary.BigEndian.PutUint32(w.b[at:], uint32(len(w.b)-at))
}

// full writes a FullBox.
func (w *boxes) full(kind string, version uint8, flags uint32, body func()) {
	w.box(kind, func() {
		w.u32(uint32(version)<<24 | flags)
		body()
	})
}

// descriptor writes a descriptor around what body writes (ISO/IEC 14496-1 §8.3.3), its length in
// four bytes.
func (w *boxes) descriptor(tag uint8, body func()) {
	w.u8(tag)
	at := len(w.b)
	w.u32(0)
	body()
	n := uint32(len(w.b) - at - 4)
	binary.BigEndian.PutUint32(w.b[at:], 0x80808000|n&0x7F|n<<1&0x7F00|n<<2&0x7F0000|n<<3&0x7F000000)
}

func (w *boxes) u8(v uint8)     { w.b = append(w.b, v) }
func (w *boxes) u16(v uint16)   { w.b = binary.BigEndian.AppendUint16(w.b, v) }
func (w *boxes) u32(v uint32)   { w.b = binary.BigEndian.AppendUint32(w.b, v) }
func (w *boxes) text(s string)  { w.b = append(w.b, s...) }
func (w *boxes) bytes(b []byte) { w.b = append(w.b, b...) }
func (w *boxes) zeros(n int)    { w.b = append(w.b, make([]byte, n)...) }
