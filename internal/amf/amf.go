// Package amf reads and writes AMF0, the format of RTMP commands and FLV script data.
//
// The clauses in its comments are those of "Action Message Format -- AMF 0" (Adobe, 2007). A value
// is one of
//
//	float64, bool, string, nil (null)
//	Undefined, Unsupported, Reference, Date, XML
//	Object, ECMAArray, StrictArray, TypedObject
//
// A long string is a string: the writer picks the type by length. References stay as they are,
// nothing in RTMP uses them.
package amf

import "errors"

// Errors of the reader. They are wrapped with what was being read.
var (
	// ErrTruncated: the bytes end inside a value.
	ErrTruncated = errors.New("amf value is cut off")
	// ErrMarker: a type marker that is reserved, unknown, or out of place.
	ErrMarker = errors.New("bad amf type marker")
	// ErrAMF3: the value is, or holds, an AMF3 value (§3.1), which this package does not read.
	ErrAMF3 = errors.New("amf3 value")
	// ErrLimit: a value is deeper, longer or larger than the limits below.
	ErrLimit = errors.New("amf limit exceeded")
)

// Limits of what the reader takes, whatever the peer announces. What a length announces is never
// allocated before that many bytes are there.
const (
	// MaxDepth bounds nesting. Metadata and commands nest three or four deep; the reader calls
	// itself once per level.
	MaxDepth = 32
	// MaxString bounds a string in bytes. The longest seen are tcUrls with tokens and captions, of
	// a few KiB.
	MaxString = 1 << 20
	// MaxProperties bounds the properties of one object. onMetaData has 20 to 60.
	MaxProperties = 1 << 12
	// MaxValues bounds the values read by one call, nested ones included. Recorded files list each
	// key frame's time and position: 65,536 hold nine hours of a key frame a second. It keeps a
	// call to a few MiB of memory.
	MaxValues = 1 << 16
)

// Type markers (§2.1). 0x04 (movie clip) and 0x0E (record set) are reserved and never valid.
const (
	markerNumber      = 0x00
	markerBoolean     = 0x01
	markerString      = 0x02
	markerObject      = 0x03
	markerNull        = 0x05
	markerUndefined   = 0x06
	markerReference   = 0x07
	markerECMAArray   = 0x08
	markerObjectEnd   = 0x09
	markerStrictArray = 0x0A
	markerDate        = 0x0B
	markerLongString  = 0x0C
	markerUnsupported = 0x0D
	markerXML         = 0x0F
	markerTypedObject = 0x10
	markerAVMPlus     = 0x11
)

type (
	// Object is an anonymous object (§2.5). Its properties keep the order of the wire.
	Object []Property
	// ECMAArray is an associative array (§2.10). Its count on the wire is a hint that many writers
	// get wrong: the reader skips it, and the writer puts the number of properties.
	ECMAArray []Property
	// StrictArray is an array with ordinal indices only (§2.12).
	StrictArray []any
	// XML is an XML document as text (§2.17).
	XML string
	// Reference is an index into the objects already sent (§2.9), unresolved.
	Reference uint16
	// Undefined is ActionScript's undefined (§2.8).
	Undefined struct{}
	// Unsupported stands for a value that its writer could not serialize (§2.15).
	Unsupported struct{}
)

// Property is a named value of an object or ECMA array.
type Property struct {
	Name  string
	Value any
}

// TypedObject is an object with the alias of its class (§2.18).
type TypedObject struct {
	Class      string
	Properties Object
}

// Date is a point in time (§2.13).
type Date struct {
	// UnixMS is milliseconds since 1970, UTC.
	UnixMS float64
	// Zone is reserved and should be 0. Some writers put minutes.
	Zone int16
}

// Properties returns the properties of an Object, ECMAArray or TypedObject, which writers use one
// for the other, and nil for any other value.
func Properties(value any) Object {
	switch v := value.(type) {
	case Object:
		return v
	case ECMAArray:
		return Object(v)
	case TypedObject:
		return v.Properties
	}
	return nil
}

// Lookup returns the named property. Of several with one name the last counts, as in ActionScript.
func (o Object) Lookup(name string) (value any, ok bool) {
	for i := len(o) - 1; i >= 0; i-- {
		if o[i].Name == name {
			return o[i].Value, true
		}
	}
	return nil, false
}

// Get returns the named property, nil if there is none.
func (o Object) Get(name string) any {
	value, _ := o.Lookup(name)
	return value
}

// String returns the named property if it is a string, else "".
func (o Object) String(name string) string {
	s, _ := o.Get(name).(string)
	return s
}

// Number returns the named property if it is a number, else 0.
func (o Object) Number(name string) float64 {
	n, _ := o.Get(name).(float64)
	return n
}

// Bool returns the named property if it is a boolean, else false.
func (o Object) Bool(name string) bool {
	b, _ := o.Get(name).(bool)
	return b
}
