package mpegts

const (
	adtsHeaderSize = 7
	// maxADTSFrame is what the 13 bits of aac_frame_length can say, its header included.
	maxADTSFrame = 1<<13 - 1
	// idPCE is the id_syn_ele of a program config element (ISO/IEC 14496-3 table 4.85).
	idPCE = 5
)

// Audio object types, ISO/IEC 14496-3 table 1.17.
const (
	objectTypeLTP    = 4
	objectTypeSBR    = 5
	objectTypePS     = 29
	objectTypeEscape = 31
)

// adtsFormat frames the raw AAC frames of one track.
type adtsFormat struct {
	// profile is the audio object type of the core minus one, rate the index of the core's sample
	// rate: ADTS knows nothing of SBR and PS, which a decoder finds in the frames (ISO/IEC 14496-3
	// 1.6.5).
	profile, rate, channels byte
	// pce is a program config element, as raw_data_block begins with it, for layouts that have no
	// number.
	pce []byte
}

// parseAudioSpecificConfig reads what ADTS needs from an AudioSpecificConfig (ISO/IEC 14496-3
// 1.6.2.1). It is false where ADTS cannot say it: other object types than the first four, odd
// sample rates.
func parseAudioSpecificConfig(config []byte) (*adtsFormat, bool) {
	r := bitReader{b: config}
	object := r.objectType()
	rate, ok := r.rateIndex()
	channels := r.bits(4)
	if object == objectTypeSBR || object == objectTypePS {
		r.rateIndex()
		object = r.objectType()
	}
	if r.short || !ok || object < 1 || object > objectTypeLTP || channels > 7 {
		return nil, false
	}
	f := &adtsFormat{profile: byte(object - 1), rate: byte(rate), channels: byte(channels)}
	if channels == 0 {
		f.pce = r.programConfig()
	}
	return f, true
}

func (r *bitReader) objectType() uint {
	if t := r.bits(5); t != objectTypeEscape {
		return t
	}
	return 32 + r.bits(6)
}

// rateIndex reads a sample rate and returns its index in ISO/IEC 14496-3 table 1.18; false for
// rates that are not in it.
func (r *bitReader) rateIndex() (uint, bool) {
	const explicit = 15
	i := r.bits(4)
	if i != explicit {
		return i, i < 13
	}
	hz := r.bits(24)
	for i, v := range [...]uint{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350} {
		if v == hz {
			return uint(i), true
		}
	}
	return 0, false
}

// programConfig reads GASpecificConfig (ISO/IEC 14496-3 4.4.1) and returns its program config
// element in the form that a raw data block begins with: element id, fields, alignment, no comment.
// Nil if there is none: then the frames bring it.
func (r *bitReader) programConfig() []byte {
	r.bits(1) // frameLengthFlag
	if r.bits(1) == 1 {
		r.bits(14) // coreCoderDelay
	}
	r.bits(1) // extensionFlag
	w := bitWriter{}
	w.bits(idPCE, 3)
	copyBits := func(n uint) uint {
		v := r.bits(n)
		w.bits(v, n)
		return v
	}
	copyBits(4 + 2 + 4) // element_instance_tag, object_type, sampling_frequency_index
	front, side, back := copyBits(4), copyBits(4), copyBits(4)
	lfe, assoc, coupling := copyBits(2), copyBits(3), copyBits(4)
	for _, n := range [...]uint{4, 4, 3} { // mono, stereo and matrix mixdown
		if copyBits(1) == 1 {
			copyBits(n)
		}
	}
	for range front + side + back + coupling { // is_cpe or cc_element_is_ind_sw, tag_select
		copyBits(1 + 4)
	}
	for range lfe + assoc {
		copyBits(4)
	}
	if r.short {
		return nil
	}
	return append(w.b, 0) // comment_field_bytes
}

// overhead is what ADTS adds to a frame.
func (f *adtsFormat) overhead(data []byte) int {
	if len(data) > 0 && data[0]>>5 == idPCE {
		return adtsHeaderSize
	}
	return adtsHeaderSize + len(f.pce)
}

// appendHeader adds the fixed and variable header of ISO/IEC 14496-3 1.A.2.2, without CRC, and the
// program config element where the frame needs one.
func (f *adtsFormat) appendHeader(b, data []byte) []byte {
	overhead := f.overhead(data)
	size := overhead + len(data)
	b = append(b,
		0xff, 0xf1, // syncword, MPEG-4, layer 0, no CRC
		f.profile<<6|f.rate<<2|f.channels>>2,
		f.channels<<6|byte(size>>11),
		byte(size>>3),
		byte(size<<5)|0x1f, 0xfc) // buffer fullness 0x7ff: variable rate; one raw data block
	return append(b, f.pce[:overhead-adtsHeaderSize]...)
}

// bitReader reads bits, most significant first. Beyond the end it returns zeros and remembers that
// it was short.
type bitReader struct {
	b     []byte
	pos   uint
	short bool
}

func (r *bitReader) bits(n uint) uint {
	v := uint(0)
	for range n {
		v <<= 1
		if i := r.pos / 8; i < uint(len(r.b)) {
			v |= uint(r.b[i]>>(7-r.pos%8)) & 1
		} else {
			r.short = true
		}
		r.pos++
	}
	return v
}

// bitWriter writes bits, most significant first, and fills the last byte with zeros.
type bitWriter struct {
	b   []byte
	pos uint
}

func (w *bitWriter) bits(v, n uint) {
	for i := n; i > 0; i-- {
		if w.pos%8 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[len(w.b)-1] |= byte(v>>(i-1)&1) << (7 - w.pos%8)
		w.pos++
	}
}
