package flv

import (
	"math"

	"livego/internal/amf"
	"livego/internal/media"
)

// readColour reads the content of a video metadata message (E-RTMP v2, "Metadata Frame"): pairs of
// a name and a value, of which the last "colorInfo" counts. It is false if there is none. What is
// out of its range is taken as not told.
func readColour(content []byte) (c media.ColourDescription, ok bool) {
	if len(content) > maxColour {
		return c, false
	}
	pairs, err := amf.DecodeAll(content)
	if err != nil {
		return c, false
	}
	for ; len(pairs) >= 2; pairs = pairs[2:] {
		if pairs[0] == "colorInfo" {
			c, ok = colourDescription(amf.Properties(pairs[1])), true
		}
	}
	return c, ok
}

func colourDescription(o amf.Object) (c media.ColourDescription) {
	config := amf.Properties(o.Get("colorConfig"))
	c.Primaries = codePoint(config, "colorPrimaries", 1)
	c.Transfer = codePoint(config, "transferCharacteristics", 1)
	c.Matrix = codePoint(config, "matrixCoefficients", 0)
	if c.Primaries == unspecified && c.Transfer == unspecified && c.Matrix == unspecified {
		c = media.ColourDescription{}
	}
	c.Mastering = masteringDisplay(amf.Properties(o.Get("hdrMdcv")))
	c.Light = contentLight(amf.Properties(o.Get("hdrCll")))
	return c
}

// unspecified is the code point of ITU-T H.273 that says nothing.
const unspecified = 2

// codePoint returns a code point of ITU-T H.273, the lowest of which differs from table to table.
func codePoint(o amf.Object, name string, lowest float64) uint8 {
	v, ok := o.Get(name).(float64)
	if !ok || v != math.Trunc(v) || v < lowest || v > 255 {
		return unspecified
	}
	return uint8(v)
}

// masteringDisplay returns nothing if any value is out of the range that E-RTMP v2 gives it, but
// for the lowest luminance: senders that do not know it write 0.
func masteringDisplay(o amf.Object) (d media.MasteringDisplay) {
	const step, luminanceStep = 0.00002, 0.0001
	valid := true
	number := func(name string, least, most, step float64) uint32 {
		v, ok := o.Get(name).(float64)
		if !ok || !(v >= least && v <= most) { // so that it is false for what is not a number
			valid = false
			return 0
		}
		return uint32(math.Round(v / step))
	}
	point := func(name string) [2]uint16 {
		const least, mostX, mostY = 0.0001, 0.74, 0.84
		return [2]uint16{uint16(number(name+"X", least, mostX, step)), uint16(number(name+"Y", least, mostY, step))}
	}
	d.Green, d.Blue, d.Red, d.White = point("green"), point("blue"), point("red"), point("whitePoint")
	d.MaxLuminance = number("maxLuminance", 5, 10000, luminanceStep)
	if v, told := o.Lookup("minLuminance"); told && v != 0.0 {
		d.MinLuminance = number("minLuminance", luminanceStep/2, 5, luminanceStep)
	}
	if !valid || d.MinLuminance >= d.MaxLuminance {
		return media.MasteringDisplay{}
	}
	return d
}

// contentLight returns nothing if one of the values is out of the range that E-RTMP v2 gives it.
// One that is absent or 0 is not known.
func contentLight(o amf.Object) media.ContentLight {
	valid := true
	number := func(name string) uint16 {
		v, told := o.Lookup(name)
		n, ok := v.(float64)
		switch {
		case !told || n == 0 && ok:
			return 0
		case !ok || !(n > 0 && n <= 10000):
			valid = false
			return 0
		}
		return uint16(max(math.Round(n), 1)) // 0 would be a light that is not known
	}
	l := media.ContentLight{Max: number("maxCLL"), Average: number("maxFall")}
	if !valid {
		return media.ContentLight{}
	}
	return l
}
