package repair

import (
	"testing"

	"livego/internal/media"
)

// OBUs by AV1 §5.3 with sizes: temporal delimiter, frames (of type 6), metadata, padding.
const (
	obuDelimiter = "1200"
	obuFrame     = "3204 10a1b2c3"
	obuOther     = "3203 30d4e5"
	obuMetadata  = "2a03 01aa80"
)

func TestTemporalUnits(t *testing.T) {
	key := av1Sequence + obuFrame
	for _, c := range []struct{ name, data, want, fault string }{
		{"right", key, key, ""},
		{"with a delimiter", obuDelimiter + key, obuDelimiter + key, ""},
		{"with metadata", av1Sequence + obuMetadata + obuFrame, av1Sequence + obuMetadata + obuFrame, ""},
		{"with an extension", av1Sequence + "3608 04 10a1b2c3", av1Sequence + "3608 04 10a1b2c3", ""},
		{"the last without a size", av1Sequence + "30 10a1b2c3", key, faultOBUSizes},
		{"the only one without a size", "30 10a1b2c3", obuFrame, faultOBUSizes},
		{"a delimiter without a size", "10" + key, key, faultOBUSizes},
		{"a zero at the end", key + "00", key, faultOBUZeros},
		{"zeros at the end", key + "000000", key, faultOBUZeros},
		{"an OBU that is too long", key + "3209 30d4e5", key, faultOBUBroken},
		{"a size without end", key + "32ffffffffffffffffff", key, faultOBUBroken},
		{"the forbidden bit", key + "b200", key, faultOBUBroken},
		// temporal unit of 21 bytes, frame unit of 20; OBUs of 13 (with a size) and 5 bytes
		// (without)
		{"length-delimited", "15 14 0d" + av1Sequence + "05 30 10a1b2c3", key, faultOBULengths},
		{"length-delimited, two frame units", "16 0e 0d" + av1Sequence + "06 05 30 10a1b2c3", key, faultOBULengths},
	} {
		r, tr := begin(t), trackOf(t, media.AV1, av1C)
		r.header(tr)
		r.send(tr, message{0, true, key}, message{40, true, c.data}, message{80, false, obuOther})
		r.check(c.name, "header "+av1C, "0* "+key, "40* "+c.want, "80 "+obuOther)
		if c.fault == "" {
			r.reported(c.name)
		} else {
			r.reported(c.name, c.fault)
		}
	}
}

func TestSeveralTemporalUnits(t *testing.T) {
	r, tr := begin(t), trackOf(t, media.AV1, av1C)
	r.header(tr)
	key := av1Sequence + obuFrame
	r.send(tr, message{0, true, obuDelimiter + key + obuDelimiter + obuOther}, message{80, false, obuOther + obuDelimiter + obuOther})
	r.check("several", "header "+av1C, "0* "+key, "40 "+obuOther, "80 "+obuOther, "160 "+obuOther)
	r.reported("several", faultOBUDelimiter)
}

// TestAV1Headers: no header, one that is an OBU, one without an OBU, and pictures that say
// something else.
func TestAV1Headers(t *testing.T) {
	key := av1Sequence + obuFrame
	r, tr := begin(t), trackOf(t, media.AV1, "")
	r.send(tr, message{0, true, key}, message{40, false, obuOther}, message{80, true, key})
	r.check("none", "header "+av1C, "0* "+key, "40 "+obuOther, "80* "+key)
	r.reported("none", faultNoHeader)

	r, tr = begin(t), trackOf(t, media.AV1, av1Sequence)
	r.header(tr)
	r.send(tr, message{0, true, key})
	r.check("an OBU", "header "+av1C, "0* "+key)
	r.reported("an OBU", faultHeader)

	r, tr = begin(t), trackOf(t, media.AV1, "81000c00")
	r.header(tr)
	r.send(tr, message{0, true, key})
	r.check("without an OBU", "header 81000c00", "header "+av1C, "0* "+key)

	// The same of profile 1, without subsampling.
	other := "0a0b200000043cffbc02f80040"
	r, tr = begin(t), trackOf(t, media.AV1, av1C)
	r.header(tr)
	r.send(tr, message{0, true, key}, message{40, true, other + obuFrame}, message{80, true, other + obuFrame})
	r.check("another", "header "+av1C, "0* "+key, "header 81200000"+other, "40* "+other+obuFrame, "80* "+other+obuFrame)
	r.reported("another", faultContradicts)
}

// TestAV1RecordOfOtherTools: SVT-AV1 1.4 names other coding tools in its record than it uses.
func TestAV1RecordOfOtherTools(t *testing.T) {
	const record, inBand = "81000c000a0b000000043cfecc02f80040", "0a0b000000043cfeccfbf90040"
	r, tr := begin(t), trackOf(t, media.AV1, record)
	r.header(tr)
	key := inBand + obuFrame
	r.send(tr, message{0, true, key}, message{40, false, obuOther}, message{80, true, key})
	r.check("other tools", "header "+record, "0* "+key, "40 "+obuOther, "80* "+key)
	r.reported("other tools")
}

func TestAV1Unreadable(t *testing.T) {
	r, tr := begin(t), trackOf(t, media.AV1, av1C)
	r.header(tr)
	r.send(tr, message{0, true, "ffffff"})
	if r.check("unreadable", "header "+av1C, "0* ffffff"); r.out[1].Track.Parsed {
		t.Error("it can be packaged")
	}
	r.send(tr, message{40, true, av1Sequence + obuFrame}, message{80, false, "ffff"}, message{120, false, obuDelimiter})
	r.check("then good", "header "+av1C, "0* ffffff", "40* "+av1Sequence+obuFrame)
}
