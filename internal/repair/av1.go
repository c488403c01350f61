package repair

import (
	"bytes"
	"time"

	"livego/internal/codec"
	"livego/internal/media"
	"livego/internal/obu"
)

// The faults of AV1.
const (
	faultOBUSizes     = "OBUs without sizes; they were given such"
	faultOBULengths   = "OBUs in the length-delimited form; they were converted"
	faultOBUBroken    = "an OBU that is longer than its temporal unit; what is whole before it was kept"
	faultOBUZeros     = "zeros behind OBUs; they were left out"
	faultOBUDelimiter = "temporal delimiters in the middle of messages; what they delimit was taken apart"
	faultOBUNothing   = "messages without a whole OBU; they were left out"
)

// temporalUnits is the form of a track of AV1: temporal units of OBUs with their sizes, the
// low-overhead format (AV1 §5.2). A delimiter in front is left there, as it harms nobody.
type temporalUnits struct {
	track *track
	// sequence is the payload of the sequence header in force, nil if none is known.
	sequence []byte
	// known: a temporal unit of the track could be read.
	known   bool
	units   []obu.Unit
	scratch []byte
	last    time.Duration
	step    time.Duration
	started bool
}

func (*temporalUnits) flush(dst []media.AccessUnit) []media.AccessUnit { return dst }

func (*temporalUnits) release(dst []media.AccessUnit, _ *media.AccessUnit) []media.AccessUnit {
	return dst
}

func (*temporalUnits) waits() time.Duration { return 0 }

func (p *temporalUnits) begin(t *media.Track) {
	p.sequence, p.known = nil, false
	if len(t.Config) > recordHead {
		p.sequence = sequencePayload(t.Config[recordHead:])
	}
}

// recordHead is what an AV1CodecConfigurationRecord has before its OBUs.
const recordHead = 4

func sequencePayload(obus []byte) []byte {
	for {
		u, rest, ok := obu.Next(obus)
		if !ok {
			return nil
		}
		if u.Type == obu.SequenceHeader {
			return u.Payload
		}
		obus = rest
	}
}

// record makes a configuration record of OBUs that stand in its place.
func (p *temporalUnits) record(t *media.Track) ([]byte, bool) {
	if t.Parsed {
		return nil, false
	}
	payload := sequencePayload(t.Config)
	if payload == nil {
		return nil, false
	}
	config, err := codec.AV1Record(sequenceHeader(payload))
	if err == nil {
		p.sequence = bytes.Clone(payload)
	}
	return config, err == nil
}

// sequenceHeader returns a sequence header OBU with its size.
func sequenceHeader(payload []byte) []byte {
	return append(obu.AppendLEB128([]byte{obu.SequenceHeader<<3 | 2}, len(payload)), payload...)
}

func (p *temporalUnits) append(dst []media.AccessUnit, u *media.AccessUnit) []media.AccessUnit {
	if step := u.DTS - p.last; p.started && step > 0 && step <= time.Second {
		p.step = step
	}
	p.last, p.started = u.DTS, true
	if p.known && p.right(u) {
		return p.track.pass(dst, u)
	}
	p.units = p.units[:0]
	asIs := p.read(u.Data)
	dst = p.appendUnits(dst, u, asIs)
	clear(p.units)
	return dst
}

// right says whether a sample is one temporal unit in the right form, with nothing in it that its
// header does not have.
func (p *temporalUnits) right(u *media.AccessUnit) bool {
	count, content := 0, false
	for rest := u.Data; len(rest) > 0; {
		o, tail, ok := obu.Next(rest)
		if !ok || !o.Sized || !known(&o) || o.Type == obu.TemporalDelimiter && count > 0 {
			return false
		}
		if o.Type == obu.SequenceHeader && u.RandomAccess && !bytes.Equal(o.Payload, p.sequence) {
			return false
		}
		count++
		content = content || o.Type != obu.TemporalDelimiter
		rest = tail
	}
	return content
}

// known says whether an OBU is of a type that there is (AV1 §6.2.2), and its reserved bit is not
// set.
func known(o *obu.Unit) bool {
	const reserved, padding = 1, 15
	return o.Header[0]&reserved == 0 && (o.Type >= obu.SequenceHeader && o.Type <= 8 || o.Type == padding)
}

// read finds the OBUs of a message. It says whether they came in the right form.
func (p *temporalUnits) read(data []byte) (asIs bool) {
	if !p.walks(data) && p.readDelimited(data) {
		p.track.report(faultOBULengths)
		return false
	}
	p.units, asIs = p.units[:0], true
	for rest := data; len(rest) > 0; {
		o, tail, ok := obu.Next(rest)
		if ok && !o.Sized && o.Type == obu.TemporalDelimiter { // it has no payload: what follows is not its own
			tail, o.Payload = o.Payload, nil
		}
		switch {
		case len(bytes.TrimLeft(rest, "\x00")) == 0:
			p.track.report(faultOBUZeros)
			return false
		case !ok || len(p.units) >= maxUnits:
			p.track.report(faultOBUBroken)
			return false
		case !o.Sized:
			p.track.report(faultOBUSizes)
			asIs = false
		}
		p.units = append(p.units, o)
		rest = tail
	}
	return asIs
}

// walks says whether data are OBUs of known types, all but the last with sizes.
func (p *temporalUnits) walks(data []byte) bool {
	for len(data) > 0 {
		o, rest, ok := obu.Next(data)
		if !ok || !known(&o) || !o.Sized && o.Type == obu.TemporalDelimiter {
			return false
		}
		data = rest
	}
	return true
}

// readDelimited finds the OBUs of temporal units in the length-delimited bitstream format (AV1
// annex B). It is false if data are something else.
//
//	{ temporal unit size | { frame unit size | { OBU length | OBU } } }, all leb128
func (p *temporalUnits) readDelimited(data []byte) bool {
	for len(data) > 0 {
		unit, rest, ok := delimited(data)
		if !ok {
			return false
		}
		data = rest
		for len(unit) > 0 {
			var frame []byte
			if frame, unit, ok = delimited(unit); !ok {
				return false
			}
			for len(frame) > 0 {
				var b []byte
				if b, frame, ok = delimited(frame); !ok {
					return false
				}
				o, after, ok := obu.Next(b)
				if !ok || !known(&o) || len(after) > 0 || len(p.units) >= maxUnits {
					return false
				}
				p.units = append(p.units, o)
			}
		}
	}
	return len(p.units) > 0
}

// delimited splits off what a length is before. It is false for nothing and where the length lies.
func delimited(b []byte) (part, rest []byte, ok bool) {
	n, digits := obu.LEB128(b)
	if digits == 0 || n == 0 || n > uint64(len(b)-digits) {
		return nil, nil, false
	}
	b = b[digits:]
	return b[:n:n], b[n:], true
}

// appendUnits appends the temporal units that a message holds: one, as a rule.
func (p *temporalUnits) appendUnits(dst []media.AccessUnit, u *media.AccessUnit, asIs bool) []media.AccessUnit {
	units := p.units
	for len(units) > 0 && units[0].Type == obu.TemporalDelimiter {
		units = units[1:]
	}
	if len(units) == 0 && !p.known { // it may be that others know what this is
		p.track.report(faultUnreadable)
		p.track.headers.refuse(faultUnreadable)
		return p.track.pass(dst, u)
	}
	if len(units) == 0 {
		p.track.changed = true
		p.track.report(faultOBUNothing)
		return dst
	}
	if !p.known {
		p.known = true
		p.track.headers.refuse("")
	}
	several := p.end(units) < len(units)
	if several {
		p.track.report(faultOBUDelimiter)
	}
	like := *u
	for n := 0; len(units) > 0 && n < maxPieces; n++ {
		end := p.end(units)
		v := like
		v.RandomAccess = u.RandomAccess && n == 0
		if v.RandomAccess {
			dst = p.settle(dst, &like, units[:end])
		}
		if asIs && !several {
			return p.track.pass(dst, u)
		}
		b := p.scratch[:0]
		for i := range units[:end] {
			o := &units[i]
			b = append(b, o.Header[0]|2)
			b = append(b, o.Header[1:]...)
			b = append(obu.AppendLEB128(b, len(o.Payload)), o.Payload...)
		}
		p.scratch, v.Data = b, b
		dst = p.track.replace(dst, &like, &v)
		for units = units[end:]; len(units) > 0 && units[0].Type == obu.TemporalDelimiter; {
			units = units[1:]
		}
		step := p.interval()
		like.DTS, like.PTS = like.DTS+step, like.PTS+step
	}
	return dst
}

// end returns where the first temporal unit ends: at the next delimiter.
func (p *temporalUnits) end(units []obu.Unit) int {
	for i := range units {
		if units[i].Type == obu.TemporalDelimiter {
			return i
		}
	}
	return len(units)
}

func (p *temporalUnits) interval() time.Duration {
	if p.step > 0 {
		return p.step
	}
	return usualStep
}

// settle appends a sequence header made of that of the bitstream, if it says something else than
// the one in force of what a record has beside it, or of the size. Other differences do not matter:
// decoders go by that of the bitstream, and some encoders write another one into their record
// (SVT-AV1 1.4).
func (p *temporalUnits) settle(dst []media.AccessUnit, like *media.AccessUnit, units []obu.Unit) []media.AccessUnit {
	h := &p.track.headers
	for i := range units {
		o := &units[i]
		if o.Type != obu.SequenceHeader || bytes.Equal(o.Payload, p.sequence) {
			continue
		}
		config, err := codec.AV1Record(sequenceHeader(o.Payload))
		if err != nil {
			return dst
		}
		p.sequence = bytes.Clone(o.Payload)
		if alike(h.out, config) {
			return dst
		}
		fault := faultContradicts
		if !h.out.Parsed {
			fault = faultNoHeader
		}
		if !h.adopt(config) {
			return dst
		}
		p.track.report(fault)
		return p.track.appendOwnHeader(dst, like)
	}
	return dst
}

// alike says whether a record says the same as that of a track, but for how pictures are coded.
func alike(t *media.Track, config []byte) bool {
	if !t.Parsed || len(t.Config) < recordHead || !bytes.Equal(t.Config[:recordHead], config[:recordHead]) {
		return false
	}
	other := &media.Track{Kind: t.Kind, Codec: t.Codec}
	codec.Configure(other, config)
	return other.Width == t.Width && other.Height == t.Height
}
