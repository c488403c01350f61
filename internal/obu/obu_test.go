package obu

import (
	"bytes"
	"encoding/hex"
	"fmt"
	"slices"
	"strings"
	"testing"
	"unsafe"
)

func unhex(t testing.TB, s string) []byte {
	t.Helper()
	b, err := hex.DecodeString(strings.ReplaceAll(s, " ", ""))
	if err != nil {
		t.Fatal(err)
	}
	return b
}

func TestT35(t *testing.T) {
	const delimiter, sequence, frame = "1200 ", "0a03000000 ", "320412345678 "
	for _, c := range []struct{ name, unit, want string }{
		{"nothing", "", "[]"},
		{"pictures only", delimiter + sequence + frame, "[]"},
		{"before the picture", delimiter + "2a0404b50180 " + frame, "[b50180]"},
		{"behind the picture", delimiter + frame + "2a0404b50180", "[b50180]"},
		{"several", "2a0304b501 " + frame + "2a0304b502" + frame, "[b501 b502]"},
		{"with an extension", "2e280304b501", "[b501]"},
		{"last and without a size", frame + "2804b501", "[b501]"},
		{"last, without a size, with an extension", "2c0804b501", "[b501]"},
		{"size of two bytes", "2a830004b501 2a0304b502", "[b501 b502]"},
		{"metadata type of two bytes", "2a048400b501", "[b501]"},
		{"other metadata", "2a0501000a0064 2a0304b501", "[b501]"},
		{"without content", "2a0104 2a0304b501", "[b501]"},
		{"empty", "2a00 2a0304b501", "[b501]"},
		{"only padding", "7a02ffff", "[]"},
		{"size beyond the end", "2a0304b501 2a0404b502", "[b501]"},
		{"size of 32 bits", "2affffffff0f04b501", "[]"},
		{"size of 33 bits", "2affffffff1f04b501", "[]"},
		{"size of 64 bits", "2affffffffffffff7f04b501", "[]"},
		{"size without end", "2affffffffffffffff01", "[]"},
		{"size cut off", "2a80", "[]"},
		{"size missing", "2a", "[]"},
		{"extension missing", "2e", "[]"},
		{"metadata type without end", "2a038080b5", "[]"},
		{"forbidden bit", "2a0304b501 aa0304b502", "[b501]"},
	} {
		var got []string
		for m := range T35(unhex(t, c.unit)) {
			got = append(got, hex.EncodeToString(m))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%s: %v, want %s", c.name, got, c.want)
		}
	}
}

// TestT35Bounds: a unit of nothing but tiny OBUs costs no more than one that a level allows.
func TestT35Bounds(t *testing.T) {
	message := []byte{0x2a, 2, 4, 0xb5}
	for _, c := range []struct {
		filler  string
		fillers int
		want    int
	}{
		{"\x32\x00", maxOBUs - 1, 1}, {"\x32\x00", maxOBUs, 0}, {"\x2a\x00", maxMetadata - 1, 1}, {"\x2a\x00", maxMetadata, 0},
	} {
		got := len(slices.Collect(T35(append([]byte(strings.Repeat(c.filler, c.fillers)), message...))))
		if got != c.want {
			t.Errorf("behind %d of %x: %d messages, want %d", c.fillers, c.filler, got, c.want)
		}
	}
}

// TestT35Stops when the caller does.
func TestT35Stops(t *testing.T) {
	for m := range T35(bytes.Repeat([]byte{0x2a, 2, 4, 0xb5}, 2)) {
		if len(m) != 1 {
			t.Errorf("%x", m)
		}
		break
	}
}

func TestAllocations(t *testing.T) {
	unit := bytes.Repeat([]byte{0x2a, 2, 4, 0xb5}, 10)
	sum := 0
	if n := testing.AllocsPerRun(100, func() {
		for m := range T35(unit) {
			sum += len(m)
		}
	}); n > 0 || sum == 0 {
		t.Errorf("%v allocations", n)
	}
}

// FuzzT35: messages lie within the unit and do not overlap, and what follows the last OBU does not
// change them.
func FuzzT35(f *testing.F) {
	for _, s := range []string{"1200 2a0404b50180 320412345678", "2e280304b501 2804b501", "2affffffff0f04b501", "2a830004b501 2a038080b5"} {
		f.Add(unhex(f, s))
	}
	f.Fuzz(func(t *testing.T, unit []byte) {
		before := string(unit)
		at := uintptr(unsafe.Pointer(unsafe.SliceData(unit)))
		end := at + uintptr(len(unit))
		count := 0
		for m := range T35(unit) {
			begin := uintptr(unsafe.Pointer(unsafe.SliceData(m)))
			if count++; len(m) == 0 || begin < at || begin+uintptr(len(m)) > end || count > maxMetadata {
				t.Fatalf("message %d of %d bytes", count, len(m))
			}
			at = begin + uintptr(len(m))
		}
		if string(unit) != before {
			t.Fatal("the unit was changed")
		}
		wrapped := append([]byte{0x2a, 3, 4, 0xb5, 1}, unit...)
		if n := len(slices.Collect(T35(wrapped))); n != count+1 && len(unit) < 2*(maxMetadata-1) { // below all bounds
			t.Fatalf("%d messages behind another one, else %d", n, count)
		}
	})
}
