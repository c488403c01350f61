package amf

import (
	"encoding/binary"
	"math"
)

// maxShort is the longest string with a 16-bit length (§1.3.1).
const maxShort = 1<<16 - 1

// Append appends the values to dst, as AMF0, and returns the extended slice. It allocates nothing
// but the room for dst.
//
// Besides the types of this package it takes int, uint16 and uint32 as numbers. A value of any
// other type becomes the unsupported marker. A property whose name is longer than 65,535 bytes
// cannot be written and is left out.
func Append(dst []byte, values ...any) []byte {
	for _, value := range values {
		dst = appendValue(dst, value)
	}
	return dst
}

func appendValue(dst []byte, value any) []byte {
	switch v := value.(type) {
	case nil:
		return append(dst, markerNull)
	case float64:
		return appendNumber(dst, v)
	case int:
		return appendNumber(dst, float64(v))
	case uint16:
		return appendNumber(dst, float64(v))
	case uint32:
		return appendNumber(dst, float64(v))
	case bool:
		if v {
			return append(dst, markerBoolean, 1)
		}
		return append(dst, markerBoolean, 0)
	case string:
		return appendString(dst, v)
	case Undefined:
		return append(dst, markerUndefined)
	case Reference:
		return binary.BigEndian.AppendUint16(append(dst, markerReference), uint16(v))
	case XML:
		return appendLong(append(dst, markerXML), string(v))
	case Date:
		dst = binary.BigEndian.AppendUint64(append(dst, markerDate), math.Float64bits(v.UnixMS))
		return binary.BigEndian.AppendUint16(dst, uint16(v.Zone))
	}
	return appendComplex(dst, value)
}

func appendComplex(dst []byte, value any) []byte {
	switch v := value.(type) {
	case Object:
		return appendProperties(append(dst, markerObject), v)
	case ECMAArray:
		dst = binary.BigEndian.AppendUint32(append(dst, markerECMAArray), uint32(len(v)))
		return appendProperties(dst, v)
	case StrictArray:
		dst = binary.BigEndian.AppendUint32(append(dst, markerStrictArray), uint32(len(v)))
		return Append(dst, v...)
	case TypedObject:
		if len(v.Class) > maxShort {
			return append(dst, markerUnsupported)
		}
		dst = appendShort(append(dst, markerTypedObject), v.Class)
		return appendProperties(dst, v.Properties)
	}
	return append(dst, markerUnsupported)
}

func appendNumber(dst []byte, v float64) []byte {
	return binary.BigEndian.AppendUint64(append(dst, markerNumber), math.Float64bits(v))
}

// appendString writes a string, or a long string where 16 bits do not hold the length.
func appendString(dst []byte, s string) []byte {
	if len(s) > maxShort {
		return appendLong(append(dst, markerLongString), s)
	}
	return appendShort(append(dst, markerString), s)
}

func appendShort(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint16(dst, uint16(len(s))), s...)
}

func appendLong(dst []byte, s string) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(s))), s...)
}

func appendProperties(dst []byte, properties []Property) []byte {
	for _, p := range properties {
		if len(p.Name) <= maxShort {
			dst = appendValue(appendShort(dst, p.Name), p.Value)
		}
	}
	return append(dst, 0, 0, markerObjectEnd)
}
