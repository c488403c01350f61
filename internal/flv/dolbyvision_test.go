package flv

import (
	"fmt"
	"testing"
)

// TestDolbyVisionOfTrack: the key frames tell, whatever stands in other pictures.
func TestDolbyVisionOfTrack(t *testing.T) {
	const ( // heads of reference processing units
		rpu5 = " 0000000b 7c01 19 0809 0040 61b6 5060"
		rpu8 = " 0000000b 7c01 19 0809 0840 6136 5060"
	)
	intra, inter, inter5 := unhex(t, "00000002 2601"), unhex(t, "00000002 0201"), unhex(t, "00000002 0201"+rpu5)
	dolby5, dolby8 := unhex(t, "00000002 2601"+rpu5), unhex(t, "00000002 2601"+rpu8)
	var d Demuxer
	for i, c := range []struct {
		start string
		data  []byte
		want  uint8
	}{
		{"90 'hvc1'" + hvcC, nil, 0}, {"93 'hvc1'", dolby8, 8}, {"a3 'hvc1'", inter, 8}, {"a3 'hvc1'", inter5, 8},
		{"93 'hvc1'", dolby8, 8}, {"93 'hvc1'", intra, 0}, {"a3 'hvc1'", inter5, 0}, {"93 'hvc1'", dolby5, 5},
	} {
		units, err := d.Append(nil, TypeVideo, uint32(40*i), append(unhex(t, c.start), c.data...))
		if err != nil || len(units) != 1 || units[0].Track.DolbyVision != c.want {
			t.Errorf("message %d: %v, want %d: %s", i, err, c.want, fmt.Sprint(units))
		}
	}
}
