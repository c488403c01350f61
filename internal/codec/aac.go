package codec

import "livego/internal/bits"

// AACConfig is what an AudioSpecificConfig begins with (ISO/IEC 14496-3 §1.6.2.1).
type AACConfig struct {
	// Signalled is the first audio object type, Object that of the core: another one where the
	// first is SBR or parametric stereo (table 1.17).
	Signalled, Object uint32
	// Rate is the core's sampling frequency in Hz, ExtensionRate that with SBR if Signalled says
	// so. They are 0 for an index that is reserved (table 1.18). Written says that one of them is
	// written out instead of an index.
	Rate, ExtensionRate int
	Written             bool
	// Layout is channelConfiguration (table 1.19).
	Layout uint32
}

// Audio object types that others extend (ISO/IEC 14496-3 table 1.17).
const (
	ObjectSBR = 5
	ObjectPS  = 29
)

// ReadAACConfig reads it, and leaves r in front of what depends on the core's type, which is a
// GASpecificConfig for most. r remembers whether the bytes ran out.
func ReadAACConfig(r *bits.Reader) (c AACConfig) {
	c.Signalled = readObject(r)
	c.Object = c.Signalled
	c.Rate = c.readRate(r)
	c.Layout = r.Bits(4)
	if c.Object == ObjectSBR || c.Object == ObjectPS {
		c.ExtensionRate = c.readRate(r)
		c.Object = readObject(r)
		if c.Object == objectERBSAC {
			r.Skip(4)
		}
	}
	return c
}

func (c *AACConfig) readRate(r *bits.Reader) int {
	rate, written := readRate(r)
	c.Written = c.Written || written
	return rate
}

func readObject(r *bits.Reader) uint32 {
	object := r.Bits(5)
	if object == objectEscape {
		object = 32 + r.Bits(6)
	}
	return object
}

// readRate returns a sampling frequency, 0 for one that is reserved, and whether it is written out.
func readRate(r *bits.Reader) (rate int, written bool) {
	index := r.Bits(4)
	if index == writtenRate {
		return int(r.Bits(24)), true
	}
	return sampleRates[index], false
}

// writtenRate is the index that stands for a sampling frequency that is written out.
const writtenRate = 15

// sampleRates are by their index (table 1.18).
var sampleRates = [15]int{96000, 88200, 64000, 48000, 44100, 32000, 24000, 22050, 16000, 12000, 11025, 8000, 7350}

// AACRateIndex returns the index of a sampling frequency, false for one that has none.
func AACRateIndex(rate int) (int, bool) {
	for i, hz := range sampleRates {
		if hz == rate && hz > 0 {
			return i, true
		}
	}
	return 0, false
}
