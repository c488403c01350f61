package amf

import (
	"encoding/binary"
	"fmt"
	"math"
)

// Decode reads the first value of b and returns it with the number of bytes it took. The value
// shares no memory with b.
//
// An object or ECMA array may lack its end marker where the bytes end right after a property: old
// encoders leave it out at the end of a message.
func Decode(b []byte) (value any, n int, err error) {
	d := decoder{b: b, values: MaxValues}
	value, err = d.value(0)
	if err != nil {
		return nil, 0, fmt.Errorf("at byte %d: %w", d.pos, err)
	}
	return value, d.pos, nil
}

// DecodeAll reads all values of b, such as the name and arguments of a command. No bytes give no
// values. Limits hold for all values together.
func DecodeAll(b []byte) ([]any, error) {
	d := decoder{b: b, values: MaxValues}
	var all []any
	for d.pos < len(b) {
		value, err := d.value(0)
		if err != nil {
			return nil, fmt.Errorf("at byte %d: %w", d.pos, err)
		}
		all = append(all, value)
	}
	return all, nil
}

// TrimFormat returns the AMF0 values of the body of a message of type 15, 16 or 17, which starts
// with a format selector byte of 0 (Enhanced RTMP v2, "Action Message Format"). A body that starts
// with a string is returned as it is: some senders leave the selector out. It returns ErrAMF3 for
// other selectors. AMF3 may still follow inside the values.
func TrimFormat(body []byte) ([]byte, error) {
	switch {
	case len(body) == 0:
		return nil, ErrTruncated
	case body[0] == 0:
		return body[1:], nil
	case body[0] == markerString:
		return body, nil
	}
	return nil, fmt.Errorf("format selector %d: %w", body[0], ErrAMF3)
}

// decoder is a position in b and what is left of MaxValues.
type decoder struct {
	b      []byte
	pos    int
	values int
}

// take returns the next n bytes.
func (d *decoder) take(n int) ([]byte, error) {
	if n > len(d.b)-d.pos {
		return nil, ErrTruncated
	}
	p := d.b[d.pos : d.pos+n]
	d.pos += n
	return p, nil
}

func (d *decoder) uint8() (uint8, error) {
	p, err := d.take(1)
	if err != nil {
		return 0, err
	}
	return p[0], nil
}

func (d *decoder) uint16() (uint16, error) {
	p, err := d.take(2)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint16(p), nil
}

func (d *decoder) uint32() (uint32, error) {
	p, err := d.take(4)
	if err != nil {
		return 0, err
	}
	return binary.BigEndian.Uint32(p), nil
}

func (d *decoder) number() (float64, error) {
	p, err := d.take(8)
	if err != nil {
		return 0, err
	}
	return math.Float64frombits(binary.BigEndian.Uint64(p)), nil
}

// value reads a marker and what it announces.
func (d *decoder) value(depth int) (any, error) {
	if d.values == 0 {
		return nil, fmt.Errorf("more than %d values: %w", MaxValues, ErrLimit)
	}
	d.values--
	if depth >= MaxDepth {
		return nil, fmt.Errorf("nested deeper than %d: %w", MaxDepth, ErrLimit)
	}
	marker, err := d.uint8()
	if err != nil {
		return nil, err
	}
	switch marker {
	case markerObject, markerECMAArray, markerStrictArray, markerTypedObject:
		return d.complex(marker, depth+1)
	}
	return d.simple(marker)
}

func (d *decoder) simple(marker uint8) (any, error) {
	switch marker {
	case markerNumber:
		return d.number()
	case markerBoolean:
		b, err := d.uint8()
		return b != 0, err
	case markerString:
		return d.shortString()
	case markerLongString:
		return d.longString()
	case markerXML:
		s, err := d.longString()
		return XML(s), err
	case markerNull:
		return nil, nil
	case markerUndefined:
		return Undefined{}, nil
	case markerUnsupported:
		return Unsupported{}, nil
	case markerReference:
		index, err := d.uint16()
		return Reference(index), err
	case markerDate:
		return d.date()
	case markerAVMPlus:
		return nil, ErrAMF3
	}
	return nil, fmt.Errorf("0x%02x: %w", marker, ErrMarker)
}

func (d *decoder) complex(marker uint8, depth int) (any, error) {
	switch marker {
	case markerStrictArray:
		return d.strictArray(depth)
	case markerECMAArray:
		if _, err := d.uint32(); err != nil { // associative-count, only a hint
			return nil, err
		}
		properties, err := d.properties(depth)
		return ECMAArray(properties), err
	case markerTypedObject:
		class, err := d.shortString()
		if err != nil {
			return nil, err
		}
		properties, err := d.properties(depth)
		return TypedObject{Class: class, Properties: properties}, err
	}
	properties, err := d.properties(depth)
	return Object(properties), err
}

// properties reads name and value pairs up to the end marker: an empty name followed by 0x09
// (§2.11).
func (d *decoder) properties(depth int) ([]Property, error) {
	var properties []Property
	for d.pos < len(d.b) {
		name, err := d.shortString()
		if err != nil {
			return nil, err
		}
		if name == "" && d.pos < len(d.b) && d.b[d.pos] == markerObjectEnd {
			d.pos++
			return properties, nil
		}
		if len(properties) == MaxProperties {
			return nil, fmt.Errorf("more than %d properties: %w", MaxProperties, ErrLimit)
		}
		value, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		properties = append(properties, Property{name, value})
	}
	return properties, nil
}

func (d *decoder) strictArray(depth int) (any, error) {
	count, err := d.uint32()
	if err != nil {
		return nil, err
	}
	if count > MaxValues {
		return nil, fmt.Errorf("array of %d: %w", count, ErrLimit)
	}
	if int(count) > len(d.b)-d.pos { // each value takes a byte or more
		return nil, ErrTruncated
	}
	array := make(StrictArray, 0, min(int(count), d.values))
	for range count {
		value, err := d.value(depth)
		if err != nil {
			return nil, err
		}
		array = append(array, value)
	}
	return array, nil
}

func (d *decoder) shortString() (string, error) {
	n, err := d.uint16()
	if err != nil {
		return "", err
	}
	p, err := d.take(int(n))
	return string(p), err
}

func (d *decoder) longString() (string, error) {
	n, err := d.uint32()
	if err != nil {
		return "", err
	}
	if n > MaxString {
		return "", fmt.Errorf("string of %d bytes: %w", n, ErrLimit)
	}
	p, err := d.take(int(n))
	return string(p), err
}

func (d *decoder) date() (any, error) {
	ms, err := d.number()
	if err != nil {
		return nil, err
	}
	zone, err := d.uint16()
	return Date{UnixMS: ms, Zone: int16(zone)}, err
}
