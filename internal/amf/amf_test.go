package amf

import (
	"bytes"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"math"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// unhex turns "02 0003 'abc'" into bytes: hex digits, spaces for reading, and quoted text as it is.
func unhex(t testing.TB, s string) []byte {
	t.Helper()
	var out []byte
	for i, part := range strings.Split(s, "'") {
		if i%2 == 1 {
			out = append(out, part...)
			continue
		}
		b, err := hex.DecodeString(strings.Join(strings.Fields(part), ""))
		if err != nil {
			t.Fatal(err)
		}
		out = append(out, b...)
	}
	return out
}

// cases hold one value each in the only form in which it is written.
var cases = []struct {
	name  string
	value any
	wire  string
}{
	{"number", 1.0, "00 3ff0000000000000"},
	{"number, negative", -2.5, "00 c004000000000000"},
	{"number, infinite", math.Inf(1), "00 7ff0000000000000"},
	{"true", true, "01 01"},
	{"false", false, "01 00"},
	{"string", "connect", "02 0007 'connect'"},
	{"string, empty", "", "02 0000"},
	{"string, two-byte character", "é", "02 0002 c3a9"},
	{"object, empty", Object(nil), "03 000009"},
	{"object", Object{{"app", "live"}, {"fpad", false}}, "03 0003 'app' 02 0004 'live' 0004 'fpad' 01 00 000009"},
	{"object in object", Object{{"a", Object{{"b", nil}}}}, "03 0001 'a' 03 0001 'b' 05 000009 000009"},
	{"object, property with an empty name", Object{{"", true}}, "03 0000 01 01 000009"},
	{"null", nil, "05"},
	{"undefined", Undefined{}, "06"},
	{"reference", Reference(258), "07 0102"},
	{"ECMA array", ECMAArray{{"width", 1280.0}}, "08 00000001 0005 'width' 00 4094000000000000 000009"},
	{"strict array", StrictArray{true, nil, "x"}, "0a 00000003 01 01 05 02 0001 'x'"},
	{"strict array, empty", StrictArray{}, "0a 00000000"},
	{"date", Date{UnixMS: 1000, Zone: -60}, "0b 408f400000000000 ffc4"},
	{"unsupported", Unsupported{}, "0d"},
	{"XML document", XML("<a/>"), "0f 00000004 '<a/>'"},
	{"typed object", TypedObject{"C", Object{{"x", 0.0}}}, "10 0001 'C' 0001 'x' 00 0000000000000000 000009"},
}

func TestDecode(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			wire := unhex(t, c.wire)
			got, n, err := Decode(append(wire, 0xFF))
			if err != nil || n != len(wire) {
				t.Fatalf("took %d of %d bytes, error %v", n, len(wire), err)
			}
			if diff := cmp.Diff(c.value, got); diff != "" {
				t.Fatal(diff)
			}
		})
	}
}

func TestAppend(t *testing.T) {
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			want := append([]byte("before"), unhex(t, c.wire)...)
			if got := Append([]byte("before"), c.value); !bytes.Equal(got, want) {
				t.Fatalf("got %x, want %x", got, want)
			}
		})
	}
}

func TestAppendIntegers(t *testing.T) {
	want := unhex(t, "00 4000000000000000 00 4000000000000000 00 4000000000000000 0d")
	if got := Append(nil, 2, uint16(2), uint32(2), struct{}{}); !bytes.Equal(got, want) {
		t.Fatalf("got %x, want %x", got, want)
	}
}

func TestLongString(t *testing.T) {
	for _, n := range []int{maxShort, maxShort + 1, MaxString} {
		s := strings.Repeat("x", n)
		wire := Append(nil, s)
		if long := wire[0] == markerLongString; long != (n > maxShort) {
			t.Fatalf("%d bytes: marker 0x%02x", n, wire[0])
		}
		if got, _, err := Decode(wire); err != nil || got != s {
			t.Fatalf("%d bytes do not come back: %v", n, err)
		}
	}
	tooLong := strings.Repeat("n", maxShort+1)
	want := unhex(t, "03 0001 'a' 05 000009 0d")
	got := Append(nil, Object{{tooLong, true}, {"a", nil}}, TypedObject{Class: tooLong})
	if !bytes.Equal(got, want) {
		t.Fatalf("names too long to write: got %x, want %x", got, want)
	}
}

// TestDecodeTolerance holds what real peers send although the specification does not have it so.
func TestDecodeTolerance(t *testing.T) {
	for _, c := range []struct {
		name, wire string
		want       any
	}{
		{"ECMA array, count too low", "08 00000000 0001 'a' 01 01 000009", ECMAArray{{"a", true}}},
		{"ECMA array, count too high", "08 ffffffff 0001 'a' 01 01 000009", ECMAArray{{"a", true}}},
		{"object without end marker", "03 0001 'a' 01 01", Object{{"a", true}}},
		{"ECMA array without end marker", "08 00000001 0001 'a' 05", ECMAArray{{"a", nil}}},
		{"nested, both without end marker", "03 0001 'a' 03 0001 'b' 05", Object{{"a", Object{{"b", nil}}}}},
		{"true that is not 1", "01 ff", true},
		{"short text as long string", "0c 00000002 'ab'", "ab"},
		{"text that is not UTF-8", "02 0001 ff", "\xff"},
	} {
		got, _, err := Decode(unhex(t, c.wire))
		if diff := cmp.Diff(c.want, got); err != nil || diff != "" {
			t.Errorf("%s: %v %s", c.name, err, diff)
		}
	}
}

func TestDecodeErrors(t *testing.T) {
	deep := strings.Repeat("0a 00000001 ", MaxDepth)
	for _, c := range []struct {
		name, wire string
		want       error
	}{
		{"nothing", "", ErrTruncated},
		{"number cut off", "00 3ff0", ErrTruncated},
		{"boolean cut off", "01", ErrTruncated},
		{"string cut off", "02 0003 'ab'", ErrTruncated},
		{"string length cut off", "02 00", ErrTruncated},
		{"property name cut off", "03 0005 'ab'", ErrTruncated},
		{"property value missing", "03 0001 'a'", ErrTruncated},
		{"end marker cut off", "03 0001 'a' 05 0000", ErrTruncated},
		{"ECMA array count cut off", "08 0000", ErrTruncated},
		{"class name cut off", "10 00", ErrTruncated},
		{"strict array cut off", "0a 00000002 05", ErrTruncated},
		{"strict array count cut off", "0a 000000", ErrTruncated},
		{"date cut off", "0b 0000000000000000 00", ErrTruncated},
		{"reference cut off", "07 00", ErrTruncated},
		{"long string that announces 4 GiB", "0c ffffffff", ErrLimit},
		{"XML that announces 4 GiB", "0f ffffffff", ErrLimit},
		{"strict array that announces 4 Gi values", "0a ffffffff", ErrLimit},
		{"one level too deep", deep + "05", ErrLimit},
		{"movie clip", "04", ErrMarker},
		{"end marker alone", "09", ErrMarker},
		{"record set", "0e", ErrMarker},
		{"unknown marker", "12", ErrMarker},
		{"AMF3", "11 06 03 'a'", ErrAMF3},
		{"AMF3 in an object", "03 0001 'a' 11 01 000009", ErrAMF3},
	} {
		if value, n, err := Decode(unhex(t, c.wire)); !errors.Is(err, c.want) || value != nil || n != 0 {
			t.Errorf("%s: got %v, %d, %v; want %v", c.name, value, n, err, c.want)
		}
	}
}

func TestLimits(t *testing.T) {
	nested := unhex(t, strings.Repeat("0a 00000001 ", MaxDepth-1)+"05")
	if _, _, err := Decode(nested); err != nil {
		t.Errorf("depth at the limit: %v", err)
	}
	nulls := bytes.Repeat([]byte{markerNull}, MaxValues)
	if all, err := DecodeAll(nulls); err != nil || len(all) != MaxValues {
		t.Errorf("%d values at the limit: %v", len(all), err)
	}
	if _, err := DecodeAll(append(nulls, markerNull)); !errors.Is(err, ErrLimit) {
		t.Errorf("values over the limit: %v", err)
	}
	object := func(n int) []byte {
		return append([]byte{markerObject}, bytes.Repeat([]byte{0, 1, 'a', markerNull}, n)...)
	}
	if _, _, err := Decode(object(MaxProperties)); err != nil {
		t.Errorf("properties at the limit: %v", err)
	}
	if _, _, err := Decode(object(MaxProperties + 1)); !errors.Is(err, ErrLimit) {
		t.Errorf("properties over the limit: %v", err)
	}
}

// TestAnnouncedLength checks that memory follows the bytes that are there and not the length that
// they announce.
func TestAnnouncedLength(t *testing.T) {
	for _, wire := range []string{"0a 00010000", "0c 00100000", "08 00010000", "02 ffff"} {
		b := unhex(t, wire)
		result := testing.Benchmark(func(b2 *testing.B) {
			b2.ReportAllocs()
			for range 100 {
				_, _, _ = Decode(b)
			}
		})
		if perDecode := result.AllocedBytesPerOp() / 100; perDecode > 1024 {
			t.Errorf("%s: %d bytes allocated", wire, perDecode)
		}
	}
}

func TestDecodeAll(t *testing.T) {
	command := unhex(t, "02 0007 'connect' 00 3ff0000000000000 03 0003 'app' 02 0004 'live' 000009")
	got, err := DecodeAll(command)
	want := []any{"connect", 1.0, Object{{"app", "live"}}}
	if diff := cmp.Diff(want, got); err != nil || diff != "" {
		t.Fatal(err, diff)
	}
	if got, err := DecodeAll(nil); err != nil || len(got) != 0 {
		t.Fatalf("nothing: %v, %v", got, err)
	}
	if _, err := DecodeAll(append(command, 2)); !errors.Is(err, ErrTruncated) {
		t.Fatalf("cut off: %v", err)
	}
}

func TestTrimFormat(t *testing.T) {
	for _, c := range []struct {
		name, body, want string
		err              error
	}{
		{"selector 0", "00 02 0001 'a'", "02 0001 'a'", nil},
		{"selector 0 and nothing", "00", "", nil},
		{"selector left out", "02 0001 'a'", "02 0001 'a'", nil},
		{"selector 3", "03 06 03 'a'", "", ErrAMF3},
		{"empty", "", "", ErrTruncated},
	} {
		got, err := TrimFormat(unhex(t, c.body))
		if !errors.Is(err, c.err) || !bytes.Equal(got, unhex(t, c.want)) {
			t.Errorf("%s: got %x, %v", c.name, got, err)
		}
	}
}

func TestAccessors(t *testing.T) {
	o := Object{{"app", "old"}, {"n", 2.0}, {"b", true}, {"null", nil}, {"app", "live"}}
	if got := o.String("app"); got != "live" {
		t.Errorf("the last of two properties counts, got %q", got)
	}
	if o.Number("n") != 2 || !o.Bool("b") {
		t.Error("number or boolean is wrong")
	}
	if o.String("n") != "" || o.Number("app") != 0 || o.Bool("app") || o.Get("absent") != nil {
		t.Error("a property of another type, or none, must give the zero value")
	}
	if _, ok := o.Lookup("null"); !ok {
		t.Error("a property that is null is there")
	}
	if _, ok := o.Lookup("absent"); ok {
		t.Error("absent property found")
	}
}

func TestProperties(t *testing.T) {
	p := Object{{"app", "live"}}
	for _, value := range []any{p, ECMAArray(p), TypedObject{"C", p}} {
		if got := Properties(value).String("app"); got != "live" {
			t.Errorf("%T: got %q", value, got)
		}
	}
	for _, value := range []any{nil, 1.0, "x", StrictArray{p}} {
		if got := Properties(value).String("app"); got != "" {
			t.Errorf("%T: got %q", value, got)
		}
	}
}

// TestDecodeCopies checks that values outlive the message they were read from.
func TestDecodeCopies(t *testing.T) {
	wire := Append(nil, Object{{"app", "live"}}, XML("<a/>"))
	all, err := DecodeAll(wire)
	if err != nil {
		t.Fatal(err)
	}
	clear(wire)
	if diff := cmp.Diff([]any{Object{{"app", "live"}}, XML("<a/>")}, all); diff != "" {
		t.Fatal(diff)
	}
}

func TestAppendAllocatesNothing(t *testing.T) {
	values := []any{"onStatus", 0.0, nil, Object{{"level", "status"}, {"code", "NetStream.Play.Start"}}}
	dst := make([]byte, 0, 256)
	if n := testing.AllocsPerRun(100, func() { dst = Append(dst[:0], values...) }); n != 0 {
		t.Fatalf("%v allocations", n)
	}
}

// FuzzDecode checks that what was read and written again reads as the same values, and that reading
// stays within the bytes.
func FuzzDecode(f *testing.F) {
	for _, c := range cases {
		f.Add(unhex(f, c.wire))
	}
	f.Add(unhex(f, "08 ffffffff 0001 'a' 03 0001 'b' 05"))
	f.Fuzz(func(t *testing.T, b []byte) {
		value, n, err := Decode(b)
		if err != nil {
			return
		}
		if n < 1 || n > len(b) {
			t.Fatalf("took %d of %d bytes", n, len(b))
		}
		wire := Append(nil, value)
		again, n, err := Decode(wire)
		if err != nil || n != len(wire) {
			t.Fatalf("%x reads to %d of %d bytes: %v", wire, n, len(wire), err)
		}
		if twice := Append(nil, again); !bytes.Equal(wire, twice) { // by bytes, for NaN differs from itself
			t.Fatalf("%x became %x", wire, twice)
		}
		all, err := DecodeAll(b)
		if err == nil && len(all) == 0 {
			t.Fatal("one value was there, all are none")
		}
	})
}

// FuzzAppendString checks strings of any content, whose length chooses between two types.
func FuzzAppendString(f *testing.F) {
	f.Add("a", uint32(1))
	f.Add("é", uint32(40000))
	f.Fuzz(func(t *testing.T, s string, repeat uint32) {
		if len(s) > 0 {
			s = strings.Repeat(s, min(int(repeat%70000)+1, MaxString/len(s)))
		}
		if len(s) > MaxString {
			return
		}
		wire := Append(nil, s)
		if len(s) <= maxShort && int(binary.BigEndian.Uint16(wire[1:])) != len(s) {
			t.Fatal("wrong length")
		}
		if got, n, err := Decode(wire); err != nil || n != len(wire) || got != s {
			t.Fatalf("%d bytes do not come back: %v", len(s), err)
		}
	})
}
