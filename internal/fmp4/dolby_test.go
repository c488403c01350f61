package fmp4

import (
	"encoding/hex"
	"testing"

	"livego/internal/media"
)

// field is a value of some bits.
type field struct{ width, value int }

// pack puts fields in a row, filled up to n bytes.
func pack(n int, fields ...field) []byte {
	b, at := make([]byte, n), 0
	for _, f := range fields {
		for i := f.width - 1; i >= 0; i-- {
			b[at/8] |= byte(f.value>>i&1) << (7 - at%8)
			at++
		}
	}
	return b
}

// eac3Head are the fields of ETSI TS 102 366 §E.1.2.2 from the sync word to bsid, of a frame of
// size bytes and six blocks at 48 kHz.
func eac3Head(kind, number, size, channels, lfe int) []field {
	return []field{{16, 0x0B77}, {2, kind}, {3, number}, {11, size/2 - 1}, {2, 0}, {2, 3}, {3, channels}, {1, lfe}, {5, 16}}
}

func eac3Unit(frames ...[]byte) (unit []byte) {
	for _, f := range frames {
		unit = append(unit, f...)
	}
	return unit
}

func TestDec3(t *testing.T) {
	plain := func(kind, number, channels, lfe int) []byte {
		return pack(64, append(eac3Head(kind, number, 64, channels, lfe), field{5, 31}, field{1, 0}, field{1, 0}, field{1, 0})...)
	}
	// with a channel map, after dialnorm and compr
	mapped := func(channelMap int) []byte {
		return pack(64, append(eac3Head(1, 0, 64, 2, 0), field{5, 31}, field{1, 0}, field{1, 1}, field{16, channelMap}, field{1, 0}, field{1, 0})...)
	}
	service := []field{{1, 1}, {3, 5}} // infomdate, bsmod
	// 3/2 and LFE, everything in the mixing metadata present, the longest kind
	mixing := []field{
		{5, 31}, {1, 1}, {8, 0xA5}, {1, 1}, {2, 1}, {3, 4}, {3, 4}, {3, 4}, {3, 4}, {1, 1}, {5, 17}, {1, 1}, {6, 33}, {1, 1}, {6, 33}, {2, 3}, {5, 2}, {32, 0x55AA55AA},
		{1, 1}, {1, 1}, {5, 1}, {1, 0}, {1, 1}, {5, 1}, {1, 0}, {1, 0}, {1, 0},
	}
	// 1+1: two of dialnorm, compr, program scale and pan; premix fields; no frame mixing
	dual := []field{
		{5, 31}, {1, 1}, {8, 1}, {5, 31}, {1, 0}, {1, 1}, {1, 0}, {1, 1}, {6, 1}, {1, 0}, {2, 1}, {5, 7}, {1, 1}, {14, 9}, {1, 1}, {14, 9}, {1, 0},
	}
	mixdata := []field{{5, 31}, {1, 0}, {1, 1}, {1, 0}, {1, 0}, {2, 2}, {12, 0xABC}, {1, 0}} // 2/0
	mono := []field{{5, 31}, {1, 0}, {1, 1}, {1, 0}, {1, 0}, {2, 0}, {1, 1}, {14, 3}, {1, 0}}
	with := func(channels, lfe int, mixing []field) []byte {
		return pack(64, append(append(eac3Head(0, 0, 64, channels, lfe), mixing...), service...)...)
	}
	for _, c := range []struct {
		name string
		unit []byte
		want string
	}{
		// data_rate 16: 64 bytes in 32 ms
		{"stereo", plain(0, 0, 2, 0), "0080 200400"},
		{"5.1", plain(0, 0, 7, 1), "0080 200f00"},
		{"two programs", eac3Unit(plain(0, 0, 2, 0), plain(0, 1, 1, 0)), "0101 200400 200200"},
		{"7.1: rear surround depends", eac3Unit(plain(0, 0, 7, 1), mapped(0x1200)), "0100 200f02 02"},
		{"Lc/Rc and LFE2 depend", eac3Unit(plain(0, 0, 7, 1), mapped(0x0402)), "0100 200f03 01"},
		{"a dependent substream without map", eac3Unit(plain(0, 0, 7, 1), plain(1, 0, 2, 0)), "0100 200f02 00"},
		{"two dependent substreams", eac3Unit(plain(0, 0, 7, 1), mapped(0x0200), plain(1, 1, 2, 0)), "0180 200f04 02"},
		{"short frames of one substream", eac3Unit(plain(0, 0, 2, 0), plain(0, 0, 2, 0)), "0100 200400"},
		{"a dependent substream with nothing to depend on", eac3Unit(plain(1, 0, 2, 0), plain(0, 0, 2, 0)), "0100 200400"},
		{"rubbish behind the first frame", eac3Unit(plain(0, 0, 2, 0), make([]byte, 64)), "0100 200400"},
		{"service type behind mixing metadata, 5.1", with(7, 1, mixing), "0080 205f00"},
		{"service type behind mixing metadata, 1+1", with(0, 0, dual), "0080 205000"},
		{"service type behind mixing metadata, stereo", with(2, 0, mixdata), "0080 205400"},
		{"service type behind mixing metadata, mono", with(1, 0, mono), "0080 205200"},
	} {
		track := audioTrack(t, media.EAC3, "", 48000, 6, 1536)
		got, err := dec3(track, c.unit)
		if want := hex.EncodeToString(unhex(t, c.want)); err != nil || hex.EncodeToString(got) != want {
			t.Errorf("%s: %x, %v, want %s", c.name, got, err, want)
		}
	}
}

// TestDec3Bounds: no unit makes more substreams than the box can count.
func TestDec3Bounds(t *testing.T) {
	var unit []byte
	for i := range 8 {
		unit = append(unit, pack(16, eac3Head(0, i, 16, 2, 0)...)...)
		for j := range 8 {
			unit = append(unit, pack(16, eac3Head(1, j, 16, 2, 0)...)...)
		}
	}
	got, err := dec3(audioTrack(t, media.EAC3, "", 48000, 6, 1536), append(unit, unit...))
	if err != nil || len(got) != 2+8*4 || got[1]&7 != 7 || got[4]>>1 != 8 {
		t.Errorf("%x, %v", got, err)
	}
}
