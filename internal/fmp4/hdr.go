package fmp4

import (
	"fmt"

	"livego/internal/media"
)

// fill completes the colour of the bitstream with what the sender says beside it. If that
// contradicts the bitstream, it is not used.
func (c colour) fill(d media.ColourDescription) colour {
	filled := c
	if !c.known() {
		filled.primaries, filled.transfer, filled.matrix = unspecified, unspecified, unspecified
	}
	for _, f := range []struct {
		have *uint8
		said uint8
	}{{&filled.primaries, d.Primaries}, {&filled.transfer, d.Transfer}, {&filled.matrix, d.Matrix}} {
		switch {
		case d.Primaries == 0 || f.said == unspecified || *f.have == f.said:
		case *f.have != unspecified:
			return c
		default:
			*f.have = f.said
		}
	}
	if filled.primaries == unspecified && filled.transfer == unspecified && filled.matrix == unspecified {
		return c
	}
	return filled
}

// mdcv writes a MasteringDisplayColourVolumeBox (ISO/IEC 14496-12 §12.1.7), its primaries in the
// order green, blue, red.
func (w *initSegment) mdcv() {
	m := w.t.Colour.Mastering
	if m == (media.MasteringDisplay{}) {
		return
	}
	w.box("mdcv", func() {
		for _, p := range [...][2]uint16{m.Green, m.Blue, m.Red, m.White} {
			w.u16(p[0])
			w.u16(p[1])
		}
		w.u32(m.MaxLuminance)
		w.u32(m.MinLuminance)
	})
}

// clli writes a ContentLightLevelBox (ISO/IEC 14496-12 §12.1.6).
func (w *initSegment) clli() {
	l := w.t.Colour.Light
	if l == (media.ContentLight{}) {
		return
	}
	w.box("clli", func() {
		w.u16(l.Max)
		w.u16(l.Average)
	})
}

// dolbyVision is what a file and a playlist say of Dolby Vision metadata in its pictures. The zero
// value is none.
type dolbyVision struct {
	// entry is the sample entry of pictures that nobody else can show.
	entry          string
	profile, level uint8
	// compatibility says how the pictures look without the metadata (Dolby Vision Streams within
	// the ISO Base Media File Format), and brand names that.
	compatibility uint8
	brand         string
}

// dolbyLevels are the levels of Dolby Vision from 1 on (Dolby Vision Streams within the HTTP Live
// Streaming format §2.2): the pixels a second and the width that each allows.
var dolbyLevels = [...]struct{ rate, width int }{
	{1280 * 720 * 24, 1280}, {1280 * 720 * 30, 1280}, {1920 * 1080 * 24, 1920}, {1920 * 1080 * 30, 2560}, {1920 * 1080 * 60, 3840},
	{3840 * 2160 * 24, 3840}, {3840 * 2160 * 30, 3840}, {3840 * 2160 * 48, 3840}, {3840 * 2160 * 60, 3840},
	{3840 * 2160 * 120, 3840}, {3840 * 2160 * 120, 7680}, {7680 * 4320 * 60, 7680}, {7680 * 4320 * 120, 7680},
}

// dolbyLevel returns the lowest level that holds the pictures, 0 if none does. Where it is not
// known how many there are in a second, they are taken for 60.
func dolbyLevel(width, height int, rate float64) uint8 {
	if rate <= 0 {
		const assumed = 60
		rate = assumed
	}
	const slack = 1.001 // headers round
	for i, l := range dolbyLevels {
		if width <= l.width && float64(width)*float64(height)*rate <= float64(l.rate)*slack {
			return uint8(i + 1)
		}
	}
	return 0
}

// describeDolbyVision looks for a kind of Dolby Vision that HLS has a name for: profile 5, and of
// profile 8 what plays as HDR10 or HLG too. In AV1 both are profile 10.
func (d *description) describeDolbyVision(t *media.Track) {
	const bt2020, bt2020NonConstant, alone, ofAV1 = 9, 9, 5, 10
	v := dolbyVision{entry: "dvh1", profile: t.DolbyVision, level: dolbyLevel(t.Width, t.Height, d.frameRate)}
	if t.Codec == media.AV1 {
		v.entry, v.profile = "dav1", ofAV1
	}
	switch hdr := d.colour.primaries == bt2020 && d.colour.matrix == bt2020NonConstant; {
	case t.Codec != media.HEVC && t.Codec != media.AV1 || v.level == 0:
		return
	case t.DolbyVision == alone:
		d.codecs = v.codecs()
	case t.DolbyVision == 8 && hdr && d.colour.transfer == transferPQ:
		v.compatibility, v.brand = 1, "db1p"
	case t.DolbyVision == 8 && hdr && d.colour.transfer == transferHLG:
		v.compatibility, v.brand = 4, "db4h"
	default:
		return
	}
	d.dolby = v
}

// codecs is a codecs string (Dolby Vision Streams within the HTTP Live Streaming format §4.2).
func (v dolbyVision) codecs() string { return fmt.Sprintf("%s.%02d.%02d", v.entry, v.profile, v.level) }

// alone says that nobody else can show the pictures.
func (v dolbyVision) alone() bool { return v.profile > 0 && v.compatibility == 0 }

// dovi writes a DOVIConfigurationBox (Dolby Vision Streams within the ISO Base Media File Format):
//
//	version 1.0 16 | dv_profile 7 | dv_level 6 | rpu_present 1 | el_present 1 | bl_present 1 | dv_bl_signal_compatibility_id 4 | reserved 28 and 4 times 32
func (w *initSegment) dovi() {
	v := w.dolby
	if v == (dolbyVision{}) {
		return
	}
	kind := "dvvC"
	if v.profile < 8 {
		kind = "dvcC"
	}
	const metadata, base = 1 << 2, 1
	w.box(kind, func() {
		w.u16(0x0100)
		w.u16(uint16(v.profile)<<9 | uint16(v.level)<<3 | metadata | base)
		w.u32(uint32(v.compatibility) << 28)
		w.zeros(4 * 4)
	})
}
