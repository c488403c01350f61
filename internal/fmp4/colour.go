package fmp4

import (
	"fmt"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"livego/internal/media"
)

// Code points of ITU-T H.273: tables 2 to 4.
const (
	unspecified = 2
	bt709       = 1
	transferPQ  = 16
	transferHLG = 18
)

// colour is a colour description (ITU-T H.273). The zero value is one that the header does not
// have.
type colour struct {
	primaries, transfer, matrix uint8
	fullRange                   bool
}

func (c colour) known() bool { return c.primaries != 0 || c.transfer != 0 }

// orDefault returns what codecs strings say of a colour that the header does not have.
func (c colour) orDefault() colour {
	if !c.known() {
		c.primaries, c.transfer, c.matrix = bt709, bt709, bt709
	}
	return c
}

// fields writes the last fields of a codecs string, the range in the given format.
func (c colour) fields(rangeFormat string) string {
	return fmt.Sprintf(".%02d.%02d.%02d."+rangeFormat, c.primaries, c.transfer, c.matrix, number(c.fullRange))
}

// sampleAspects are the pixel shapes that aspect_ratio_idc names (ITU-T H.273 table 7), from 1 on.
var sampleAspects = [...]ratio{
	{1, 1}, {12, 11}, {10, 11}, {16, 11}, {40, 33}, {24, 11}, {20, 11}, {32, 11},
	{80, 33}, {18, 11}, {15, 11}, {64, 33}, {160, 99}, {4, 3}, {3, 2}, {2, 1},
}

// sampleAspect returns the shape of a pixel, zero where it is square or not told.
func sampleAspect(idc uint8, width, height uint16) ratio {
	const extended = 255
	switch {
	case idc == extended && width > 0 && height > 0 && width != height:
		return ratio{int(width), int(height)}
	case idc > 1 && int(idc) <= len(sampleAspects):
		return sampleAspects[idc-1]
	}
	return ratio{}
}

// readAVC reads the video usability information of the first SPS that has one.
func (d *description) readAVC(sets [][]byte) {
	for _, set := range sets {
		var sps h264.SPS
		if len(set) == 0 || h264.NALUType(set[0]&0x1F) != h264.NALUTypeSPS || sps.Unmarshal(set) != nil || sps.VUI == nil {
			continue
		}
		v := sps.VUI
		if v.AspectRatioInfoPresentFlag {
			d.aspect = sampleAspect(v.AspectRatioIdc, v.SarWidth, v.SarHeight)
		}
		d.colour.fullRange = v.VideoFullRangeFlag
		if v.ColourDescriptionPresentFlag {
			d.colour = colour{v.ColourPrimaries, v.TransferCharacteristics, v.MatrixCoefficients, v.VideoFullRangeFlag}
		}
		return
	}
}

// readHEVC does the same.
func (d *description) readHEVC(sets [][]byte) {
	for _, set := range sets {
		var sps h265.SPS
		if len(set) == 0 || h265.NALUType(set[0]>>1&0x3F) != h265.NALUType_SPS_NUT || sps.Unmarshal(set) != nil || sps.VUI == nil {
			continue
		}
		v := sps.VUI
		if v.AspectRatioInfoPresentFlag {
			d.aspect = sampleAspect(v.AspectRatioIdc, v.SarWidth, v.SarHeight)
		}
		d.colour.fullRange = v.VideoFullRangeFlag
		if v.ColourDescriptionPresentFlag {
			d.colour = colour{v.ColourPrimaries, v.TransferCharacteristics, v.MatrixCoefficients, v.VideoFullRangeFlag}
		}
		return
	}
}

// readSequenceHeader finds the sequence header in an AV1CodecConfigurationRecord.
func readSequenceHeader(config []byte) (*av1.SequenceHeader, bool) {
	const recordHeader, version1 = 4, 0x81
	var obus av1.Bitstream
	if len(config) < recordHeader || config[0] != version1 || obus.Unmarshal(config[recordHeader:]) != nil {
		return nil, false
	}
	for _, obu := range obus {
		var h av1.SequenceHeader
		if len(obu) == 0 || obu[0]>>3&0x0F != byte(av1.OBUTypeSequenceHeader) {
			continue
		}
		ok := h.Unmarshal(obu) == nil && len(h.SeqTier) > 0 && len(h.SeqLevelIdx) > 0
		return &h, ok
	}
	return nil, false
}

func (d *description) readAV1(h *av1.SequenceHeader) {
	c := &h.ColorConfig
	d.colour.fullRange = c.ColorRange
	if c.ColorDescriptionPresentFlag {
		d.colour = colour{uint8(c.ColorPrimaries), uint8(c.TransferCharacteristics), uint8(c.MatrixCoefficients), c.ColorRange}
	}
	t := h.TimingInfo
	if d.frameRate == 0 && t != nil && t.EqualPictureInterval && t.NumUnitsInDisplayTick > 0 {
		d.frameRate = float64(t.TimeScale) / float64(t.NumUnitsInDisplayTick) / (float64(t.NumTicksPerPictureMinus1) + 1)
	}
}

// vpcRecord is the length of a VPCodecConfigurationRecord without initialization data, which VP9
// does not have.
//
//	profile 8 | level 8 | bit depth 4 | chroma subsampling 3 | full range 1 | primaries 8 | transfer 8 | matrix 8 | size of init data 16
const vpcRecord = 8

// readVP9 takes the colour of a record. Encoders that know none write that it is unspecified.
func (d *description) readVP9(c []byte) {
	d.colour = colour{c[3], c[4], c[5], c[2]&1 != 0}
	if c[3] == unspecified && c[4] == unspecified && c[5] == unspecified {
		d.colour = colour{fullRange: d.colour.fullRange}
	}
}

// vp9Levels are the levels of VP9: ten times their number, the luma samples they allow per second
// and per picture.
var vp9Levels = [...]struct {
	level         uint8
	rate, picture int
}{
	{10, 829440, 36864}, {11, 2764800, 73728}, {20, 4608000, 122880}, {21, 9216000, 245760}, {30, 20736000, 552960},
	{31, 36864000, 983040}, {40, 83558400, 2228224}, {41, 160432128, 2228224}, {50, 311951360, 8912896}, {51, 588251136, 8912896},
	{52, 1176502272, 8912896}, {60, 1176502272, 35651584}, {61, 2353004544, 35651584}, {62, 4706009088, 35651584},
}

// vp9Level returns the level that the record names. Encoders that do not know the picture rate
// write 0, which browsers refuse: then it is the lowest that holds the pictures at 60 a second.
func vp9Level(t *media.Track) uint8 {
	const assumedRate = 60
	named := t.Config[1]
	for _, l := range vp9Levels {
		if l.level == named {
			return named
		}
	}
	size := t.Width * t.Height
	for _, l := range vp9Levels {
		if size <= l.picture && size*assumedRate <= l.rate {
			return l.level
		}
	}
	return vp9Levels[len(vp9Levels)-1].level
}
