package repair

import (
	"livego/internal/media"
	"livego/internal/nal"
)

// unit is a NAL unit.
type unit struct {
	b    []byte
	kind nal.Kind
}

// unitReader finds the NAL units of a message, in whatever form they come.
type unitReader struct {
	track *track
	// size is that of the lengths that come, 0 while there is no header that says it.
	size int
	// stream: the last picture that was not right came as a byte stream.
	stream bool
	// nested: start codes stand within what the lengths say are NAL units. looked says that the
	// first picture told.
	nested, looked bool

	// units are those of the message in hand. rewrite: they came in another form.
	units   []unit
	rewrite bool
}

// begin takes notice of a header, which says the size of lengths.
func (r *unitReader) begin(t *track, size int) {
	r.track, r.size, r.stream, r.nested, r.looked = t, size, false, false, false
}

// plain says that NAL units come in the form in which they are handed on.
func (r *unitReader) plain() bool { return r.size == lengthSize && !r.nested }

// done lets go of the message in hand.
func (r *unitReader) done() { clear(r.units) }

// read finds the NAL units of a sample, in whatever form they are.
func (r *unitReader) read(data []byte) {
	r.units, r.rewrite = r.units[:0], false
	c := r.track.codec
	size := r.size
	if size == 0 {
		size = lengthSize
	}
	fits := walks(c, data, size)
	if stream := r.isStream(data, size, fits); stream {
		r.stream = true
		r.track.report(faultStream)
		r.readStream(data)
		return
	}
	if !fits {
		r.stream = false
		if first, _, ok := nal.Next(data, size); !ok || !valid(c, first) {
			size = r.guess(data, size)
		}
	}
	if size != lengthSize {
		r.rewrite = true
		r.track.report(faultLengths)
	}
	r.size = size
	rest := data
	for n := 0; len(rest) > 0; n++ {
		b, tail, ok := nal.Next(rest, size)
		if !ok {
			break
		}
		if n == maxRead {
			r.track.report(faultMany)
			return
		}
		rest = tail
		r.add(b)
	}
	switch {
	case len(rest) == 0:
	case len(nal.TrimZeros(rest)) == 0:
		r.track.report(faultZeros)
	case len(rest) < size:
		r.track.report(faultStray)
	default:
		r.track.report(faultBroken)
	}
}

// isStream says whether data are a byte stream. That a start code stands in front does not tell
// alone: it may be a length of 256 to 511 bytes, or one behind empty units. Where both can be, data
// that lengths take up (fits) have lengths, and others the form of the one before.
func (r *unitReader) isStream(data []byte, size int, fits bool) bool {
	if !nal.HasStartCode(data) {
		return false
	}
	first, _, _ := nal.NextInStream(data)
	stream, lengths := r.plausible(first), false
	for rest := data; ; {
		b, tail, ok := nal.Next(rest, size)
		if !ok {
			break
		}
		if rest = tail; len(b) > 0 {
			lengths = r.plausible(b) && !nal.HoldsStartCode(b)
			break
		}
	}
	if stream == lengths {
		return r.stream && !fits
	}
	return stream
}

// plausible says whether b looks like a NAL unit of a kind that is known. In H.264 some kinds are
// referred to by others and some are not (nal_ref_idc, §7.4.1).
func (r *unitReader) plausible(b []byte) bool {
	kind, ok := nal.KindOf(r.track.codec, b)
	if !ok || kind == nal.Other || len(b) <= nal.HeaderSize(r.track.codec) && kind != nal.End {
		return false
	}
	if r.track.codec == media.H264 && kind != nal.Slice { // H.264 has no other slices
		const referred = 0x60
		return (kind == nal.SyncSlice || kind.IsParameterSet()) == (b[0]&referred != 0)
	}
	return true
}

// guess returns the size of the lengths in data if another one than size is evident.
func (r *unitReader) guess(data []byte, size int) int {
	for _, other := range [...]int{4, 3, 2, 1} {
		if other != size && walks(r.track.codec, data, other) {
			return other
		}
	}
	return size
}

// walks says whether data are NAL units with lengths of that size and nothing else.
func walks(c media.Codec, data []byte, size int) bool {
	if len(data) == 0 {
		return false
	}
	for len(data) > 0 {
		b, rest, ok := nal.Next(data, size)
		if !ok || !valid(c, b) {
			return false
		}
		data = rest
	}
	return true
}

func valid(c media.Codec, b []byte) bool {
	_, ok := nal.KindOf(c, b)
	return ok
}

// readStream finds the NAL units of a byte stream.
func (r *unitReader) readStream(b []byte) {
	r.rewrite = true
	for range maxRead {
		unit, rest, ok := nal.NextInStream(b)
		if !ok {
			return
		}
		b = rest
		if len(unit) > 0 { // empty ones are zeros between start codes
			r.addUnit(unit)
		}
	}
}

// add takes what a length says is a NAL unit.
func (r *unitReader) add(b []byte) {
	switch trimmed := nal.TrimZeros(b); {
	case len(b) == 0:
		r.track.report(faultEmpty)
	case len(trimmed) == 0:
		r.track.report(faultZeros)
	case nal.HasStartCode(b) || (!r.looked || r.nested) && nal.HoldsStartCode(b):
		r.nested = r.nested || !r.looked
		r.track.report(faultStream)
		r.readStream(b)
	default:
		r.addUnit(b)
	}
}

// addUnit takes a NAL unit, which is not empty.
func (r *unitReader) addUnit(b []byte) {
	kind, ok := nal.KindOf(r.track.codec, b)
	switch {
	case !ok:
		r.track.report(faultNoise)
		return
	case len(r.units) >= maxUnits:
		r.track.report(faultMany)
		return
	}
	if trimmed := nal.TrimZeros(b); kind != nal.Other && len(trimmed) < len(b) {
		r.track.report(faultZeros)
		if b = trimmed; !valid(r.track.codec, b) {
			return
		}
	}
	r.units = append(r.units, unit{b, kind})
}
