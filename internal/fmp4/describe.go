package fmp4

import (
	"encoding/base32"
	"fmt"
	"math"
	mathbits "math/bits"
	"strings"

	"livego/internal/bits"
	"livego/internal/media"
)

// description is what the header of a track says.
type description struct {
	// codecs is the track's element of the CODECS attribute (RFC 6381).
	codecs string
	colour colour
	// aspect is the width of a pixel to its height, zero where the header does not say.
	aspect    ratio
	frameRate float64
	dolby     dolbyVision
}

type ratio struct{ width, height int }

// Codecs returns the track's element of the CODECS attribute of a multivariant playlist (RFC 6381
// and the codecs' own bindings), exact to the bits of its header. It is empty for a track that is
// not supported.
func Codecs(t *media.Track) string {
	d, _ := describe(t)
	return d.codecs
}

// SupplementalCodecs returns the track's element of the SUPPLEMENTAL-CODECS attribute (RFC 8216bis
// 4.4.6.2): what a player may take it for that knows more than Codecs asks for. It is empty for
// most tracks.
func SupplementalCodecs(t *media.Track) string {
	d, err := describe(t)
	if err != nil || d.dolby.brand == "" {
		return ""
	}
	return d.dolby.codecs() + "/" + d.dolby.brand
}

// VideoRange returns the VIDEO-RANGE attribute: SDR, HLG or PQ, by the transfer characteristics
// that the track's header names, or if it names none those that the sender said beside it. It is
// empty for audio, and if neither is known of a codec whose header is not read that far.
func VideoRange(t *media.Track) string {
	d, err := describe(t)
	switch {
	case err != nil || t.Kind != media.Video || t.Codec == media.VVC && !d.colour.known():
		return ""
	case d.colour.transfer == transferPQ || d.dolby.alone():
		return "PQ"
	case d.colour.transfer == transferHLG:
		return "HLG"
	}
	return "SDR"
}

// Resolution returns the size in which a player shows the pictures, for the RESOLUTION attribute:
// their coded size, stretched where pixels are not square. It is zero for audio.
func Resolution(t *media.Track) (width, height int) {
	d, err := describe(t)
	if err != nil || t.Kind != media.Video {
		return 0, 0
	}
	return d.display(t)
}

func (d *description) display(t *media.Track) (width, height int) {
	if d.aspect.width == 0 {
		return t.Width, t.Height
	}
	return int(math.Round(float64(t.Width) * float64(d.aspect.width) / float64(d.aspect.height))), t.Height
}

// FrameRate returns pictures per second for the FRAME-RATE attribute, 0 where the header does not
// say: VP9 never does, AV1 seldom.
func FrameRate(t *media.Track) float64 {
	d, err := describe(t)
	if err != nil || t.Kind != media.Video {
		return 0
	}
	return d.frameRate
}

// describe reads the header of a track, or says why it cannot be carried.
func describe(t *media.Track) (description, error) {
	if t == nil || !t.Parsed {
		return description{}, ErrUnsupported
	}
	if len(t.Config) > maxConfig {
		return description{}, fmt.Errorf("configuration of %d bytes: %w", len(t.Config), ErrUnsupported)
	}
	d, ok := description{}, false
	switch t.Kind {
	case media.Video:
		d, ok = describeVideo(t)
	case media.Audio:
		d, ok = describeAudio(t)
	}
	if !ok {
		return description{}, fmt.Errorf("%s %s: %w", t.Codec, t.Kind, ErrUnsupported)
	}
	return d, nil
}

func describeVideo(t *media.Track) (description, bool) {
	if t.Width <= 0 || t.Width > maxPicture || t.Height <= 0 || t.Height > maxPicture {
		return description{}, false
	}
	d, ok := description{frameRate: t.FrameRate}, false
	switch t.Codec {
	case media.H264:
		ok = d.avc(t)
	case media.HEVC:
		ok = d.hevc(t)
	case media.VVC:
		ok = d.vvc(t)
	case media.AV1:
		ok = d.av1(t)
	case media.VP9:
		ok = d.vp9(t)
	}
	d.colour = d.colour.fill(t.Colour)
	d.describeDolbyVision(t)
	if width, _ := d.display(t); width <= 0 || width > maxPicture { // a pixel of absurd shape
		d.aspect = ratio{}
	}
	return d, ok
}

func validLengthSize(n int) bool { return n == 1 || n == 2 || n == 4 }

// avc: RFC 6381 §3.3, profile, constraints and level in hexadecimal.
func (d *description) avc(t *media.Track) bool {
	c := t.Config
	if len(c) < 7 || c[0] != 1 || !validLengthSize(t.NALLengthSize) {
		return false
	}
	d.codecs = fmt.Sprintf("avc1.%02x%02x%02x", c[1], c[2], c[3])
	d.readAVC(t.ParameterSets)
	return true
}

// hevc: ISO/IEC 14496-15 §E.3.
//
//	hvc1 . profile space and idc . compatibility flags, reversed, hexadecimal . tier and level . constraint bytes to the last that is not 0
func (d *description) hevc(t *media.Track) bool {
	c := t.Config
	if len(c) < 23 || !validLengthSize(t.NALLengthSize) {
		return false
	}
	space := [...]string{"", "A", "B", "C"}[c[1]>>6]
	tier := [...]string{"L", "H"}[c[1]>>5&1]
	compatibility := uint32(c[2])<<24 | uint32(c[3])<<16 | uint32(c[4])<<8 | uint32(c[5])
	d.codecs = fmt.Sprintf("hvc1.%s%d.%X.%s%d", space, c[1]&0x1F, mathbits.Reverse32(compatibility), tier, c[12])
	for _, v := range trimZeros(c[6:12]) {
		d.codecs += fmt.Sprintf(".%X", v)
	}
	d.readHEVC(t.ParameterSets)
	return true
}

// vvc: ISO/IEC 14496-15 §E.6, without what has a default. Only a record with the profile has the
// picture size too.
//
//	vvc1 . profile . tier and level . C and the constraint bytes in base32
func (d *description) vvc(t *media.Track) bool {
	r := bits.NewReader(t.Config)
	r.Skip(5 + 2) // reserved, length size
	if !r.Flag() || !validLengthSize(t.NALLengthSize) {
		return false
	}
	r.Skip(9 + 3 + 2 + 2 + 3 + 5 + 2) // ols_idx, sublayers, constant frame rate, chroma, depth, reserved
	constraints := make([]byte, r.Bits(6))
	profile := r.Bits(7)
	tier := [...]string{"L", "H"}[r.Bits(1)]
	level := r.Bits(8)
	for i := range constraints {
		constraints[i] = byte(r.Bits(8))
	}
	d.codecs = fmt.Sprintf("vvc1.%d.%s%d", profile, tier, level)
	if constraints = trimZeros(constraints); len(constraints) > 0 {
		d.codecs += ".C" + strings.TrimRight(base32.StdEncoding.EncodeToString(constraints), "=")
	}
	return !r.Bad
}

func trimZeros(b []byte) []byte {
	for len(b) > 0 && b[len(b)-1] == 0 {
		b = b[:len(b)-1]
	}
	return b
}

// av1: AV1 in ISOBMFF §5. The fields from monochrome on are left out where all have their defaults.
func (d *description) av1(t *media.Track) bool {
	h, ok := readSequenceHeader(t.Config)
	if !ok {
		return false
	}
	c, tier := &h.ColorConfig, "M"
	if h.SeqTier[0] {
		tier = "H"
	}
	mono, position := 0, 0
	if c.MonoChrome {
		mono = 1
	}
	if c.SubsamplingX && c.SubsamplingY {
		position = int(c.ChromaSamplePosition)
	}
	d.readAV1(h)
	d.codecs = fmt.Sprintf("av01.%d.%02d%s.%02d", h.SeqProfile, h.SeqLevelIdx[0], tier, c.BitDepth)
	const defaults = ".0.110.01.01.01.0"
	rest := fmt.Sprintf(".%d.%d%d%d%s", mono, number(c.SubsamplingX), number(c.SubsamplingY), position, d.colour.orDefault().fields("%d"))
	if rest != defaults {
		d.codecs += rest
	}
	return true
}

// vp9: VP Codec ISO Media File Format Binding, §Codecs Parameter String. The fields from the
// subsampling on are left out where all have their defaults; a colour that is not specified counts
// as that.
func (d *description) vp9(t *media.Track) bool {
	c := t.Config
	if len(c) < vpcRecord {
		return false
	}
	d.readVP9(c)
	d.codecs = fmt.Sprintf("vp09.%02d.%02d.%02d", c[0], vp9Level(t), c[2]>>4)
	const defaults = ".01.01.01.01.00"
	rest := fmt.Sprintf(".%02d%s", c[2]>>1&7, d.colour.orDefault().fields("%02d"))
	if rest != defaults {
		d.codecs += rest
	}
	return true
}

func number(b bool) int {
	if b {
		return 1
	}
	return 0
}
