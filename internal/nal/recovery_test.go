package nal

import (
	"strings"
	"testing"

	"livego/internal/media"
)

// TestRecoveryPoint reads SEI units: those that x264 and x265 write, and others by the syntax of
// H.264 §7.3.2.3.1.
func TestRecoveryPoint(t *testing.T) {
	for _, c := range []struct {
		name     string
		codec    media.Codec
		unit     string
		pictures int
		ok       bool
	}{
		{"x264, after 18 pictures", media.H264, "06 06 03 09 c1 00 80", 18, true}, // ue(18) = 000010011
		{"at once, open GOP", media.H264, "06 06 01 c4 80", 0, true},              // ue(0) = 1
		{"after 65,535 pictures", media.H264, "06 06 05 00 00 80 00 40 80", 65535, true},
		{"after too many", media.H264, "06 06 05 00 00 80 00 c0 80", 0, false},
		{"behind others", media.H264, "06 00 02 aa bb 01 01 cc 06 01 c4 80", 0, true},
		{"behind one of 300 bytes", media.H264, "06 05 ff 2d" + strings.Repeat("aa", 300) + "06 01 c4 80", 0, true},
		{"behind one with emulation prevention", media.H264, "06 05 04 00 00 03 01 02 06 01 c4 80", 0, true},
		{"a type of 261", media.H264, "06 ff 06 01 c4 80", 0, false},
		{"none", media.H264, "06 05 01 aa 80", 0, false},
		{"cut off", media.H264, "06 06 03 09", 0, false},
		{"a code that is cut off", media.H264, "06 06 01 01 80", 0, false},
		{"no payload", media.H264, "06 06 00 80", 0, false},
		{"nothing", media.H264, "06", 0, false},
		{"a size beyond the end", media.H264, "06 05 ff ff ff ff", 0, false},
		{"HEVC, at once", media.HEVC, "4e 01 06 01 d0 80", 0, true},
		{"HEVC, after 2", media.HEVC, "4e 01 06 01 24 80", 2, true},            // se(2) = 00100
		{"HEVC, before the picture", media.HEVC, "4e 01 06 01 2c 80", 0, true}, // se(-2) = 00101
		{"VVC", media.VVC, "00 b9 06 01 c4 80", 0, false},
	} {
		n, ok := RecoveryPoint(c.codec, unhex(t, c.unit))
		if ok != c.ok || ok && n != c.pictures {
			t.Errorf("%s: %d %v, want %d %v", c.name, n, ok, c.pictures, c.ok)
		}
	}
}

// FuzzRecoveryPoint: whatever stands in a unit, what comes out is within its bounds.
func FuzzRecoveryPoint(f *testing.F) {
	f.Add([]byte{6, 6, 3, 9, 0xc1, 0, 0x80})
	f.Fuzz(func(t *testing.T, unit []byte) {
		for _, c := range []media.Codec{media.H264, media.HEVC, media.VVC} {
			if n, ok := RecoveryPoint(c, unit); n < 0 || ok && n >= maxRecovery {
				t.Errorf("%s %x: %d", c, unit, n)
			}
		}
	})
}
