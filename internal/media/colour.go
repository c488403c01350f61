package media

// ColourDescription is what a sender says of colour and light beside the bitstream (Enhanced RTMP
// v2, colorInfo). The zero value says nothing.
type ColourDescription struct {
	// Primaries, Transfer and Matrix are code points of ITU-T H.273, tables 2 to 4: 2 if only
	// others are told, all 0 if none is.
	Primaries, Transfer, Matrix uint8
	Mastering                   MasteringDisplay
	Light                       ContentLight
}

// MasteringDisplay is the colour volume of the display on which the pictures were made (SMPTE ST
// 2086), in the units of ITU-T H.265 §D.3.28. The zero value says nothing.
type MasteringDisplay struct {
	// Green, Blue, Red and White are x and y in the CIE 1931 colour space, in steps of 0.00002.
	Green, Blue, Red, White [2]uint16
	// MaxLuminance and MinLuminance are in steps of 0.0001 cd/m². The latter is 0 if it is not
	// known.
	MaxLuminance, MinLuminance uint32
}

// ContentLight is the light of the pictures (CTA-861.3) in cd/m²: of the brightest pixel, and of
// the brightest picture on average. 0 is not known.
type ContentLight struct{ Max, Average uint16 }
