package bench

import "bytes"

// The built-in audio is silence in AAC-LC, filled up to the bit rate.
const (
	sampleRate      = 44_100
	samplesPerFrame = 1024
	// maxFill is the most that one fill element holds after its length: esc_count is 8 bits (ISO
	// 14496-3 §4.4.2.7).
	maxFill = 15 + 255 - 1
)

// Syntactic elements (ISO 14496-3 Table 4.85).
const (
	elementSCE = 0
	elementDSE = 4
	elementFIL = 6
	elementEND = 7
)

// audioSpecificConfig is AAC-LC, 44.1 kHz, mono (ISO 14496-3 §1.6.2.1).
func audioSpecificConfig() []byte {
	var w bitWriter
	w.u(5, 2)
	w.u(4, 4)
	w.u(4, 1)
	w.u(3, 0) // frames of 1,024 samples, no core coder, no extension
	return w.bytes
}

// silence returns a raw_data_block of the size that the bit rate asks for, as far as its elements
// allow (ISO 14496-3 Table 4.3). With a stamp it begins with a data stream element (Table 4.10)
// that holds one as pictures have it; where its digits are is returned too.
func silence(bitsPerSecond int, stamped bool) (frame []byte, digits int) {
	size := bitsPerSecond * samplesPerFrame / sampleRate / 8
	var w bitWriter
	if stamped {
		w.u(3, elementDSE)
		w.u(4, 0) // element_instance_tag
		w.u(1, 1) // data_byte_align_flag
		w.u(8, uint32(len(stampUUID)+stampDigits))
		w.raw([]byte(stampUUID))
		digits = len(w.bytes)
		w.raw(bytes.Repeat([]byte{'0'}, stampDigits))
	}
	w.u(3, elementSCE)
	w.u(4, 0)     // element_instance_tag
	w.u(8, 100)   // global_gain
	w.u(1+2+1, 0) // long window
	w.u(6, 0)     // max_sfb: no spectrum
	w.u(4, 0)     // no prediction, pulses, noise shaping, gain control
	for {
		n := min(size-len(w.bytes)-2, maxFill)
		if n < 15 { // would be another form of the element
			break
		}
		w.u(3, elementFIL)
		w.u(4, 15)
		w.u(8, uint32(n-15+1))
		w.u(8, 0) // EXT_FILL and its nibble
		for range n - 1 {
			w.u(8, 0b10100101)
		}
	}
	w.u(3, elementEND)
	return w.bytes, digits
}
