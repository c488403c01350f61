package codec

import (
	"bytes"
	"errors"
	"fmt"
	"math"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"livego/internal/bits"
	"livego/internal/media"
)

// NAL unit types in decoder configuration records: ITU-T H.265 table 7-1, H.266 table 5.
const (
	hevcVPS = 32
	hevcSPS = 33
	hevcPPS = 34

	vvcOPI = 12
	vvcDCI = 13
	vvcVPS = 14
	vvcSPS = 15
	vvcPPS = 16
)

// Why a header did not parse. These reach the log through Track.Err only.
var (
	errVersion    = errors.New("configuration record of another version")
	errCutOff     = errors.New("configuration record is cut off")
	errNoSPS      = errors.New("configuration record without sequence parameter set")
	errNoSequence = errors.New("no sequence header among the OBUs")
	errNoObject   = errors.New("no audio object type")
	errNoSize     = errors.New("picture size comes with the first key frame")
)

// parseAVC reads an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1). The extension at the
// end, which High profiles should have and many lack, is not needed.
func parseAVC(t *media.Track) error {
	r := bits.NewReader(t.Config)
	if r.Bits(8) != 1 && !r.Bad {
		return errVersion
	}
	r.Skip(24 + 6) // profile, compatibility, level
	t.NALLengthSize = int(r.Bits(2)) + 1
	r.Skip(3)
	sps := readNALs(&r, r.Bits(5))
	pps := readNALs(&r, r.Bits(8))
	if err := checkRecord(t, &r, sps); err != nil {
		return err
	}
	t.ParameterSets = append(sps, pps...)
	var parsed h264.SPS
	if err := parsed.Unmarshal(sps[0]); err != nil {
		return fmt.Errorf("SPS: %w", err)
	}
	t.Width, t.Height, t.FrameRate = parsed.Width(), parsed.Height(), frameRate(parsed.FPS())
	return nil
}

// parseHEVC reads an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.2.1).
func parseHEVC(t *media.Track) error {
	r := bits.NewReader(t.Config)
	if version := r.Bits(8); version > 1 { // 0 in records of encoders from before the standard was done
		return errVersion
	}
	r.Skip(20*8 + 6) // profile, tier, level, chroma, depth, frame rate
	t.NALLengthSize = int(r.Bits(2)) + 1
	var vps, sps, pps [][]byte
	for range r.Bits(8) {
		r.Skip(2) // array_completeness, reserved
		nalType := r.Bits(6)
		nals := readNALs(&r, r.Bits(16))
		switch nalType {
		case hevcVPS:
			vps = append(vps, nals...)
		case hevcSPS:
			sps = append(sps, nals...)
		case hevcPPS:
			pps = append(pps, nals...)
		}
	}
	if err := checkRecord(t, &r, sps); err != nil {
		return err
	}
	t.ParameterSets = append(append(vps, sps...), pps...)
	var parsed h265.SPS
	if err := parsed.Unmarshal(sps[0]); err != nil {
		return fmt.Errorf("SPS: %w", err)
	}
	t.Width, t.Height, t.FrameRate = parsed.Width(), parsed.Height(), frameRate(parsed.FPS())
	return nil
}

// parseVVC reads a VvcDecoderConfigurationRecord (ISO/IEC 14496-15:2022 §11.2.4.2), with or without
// the version and flags of the box that holds it. Config becomes the record, which also has the
// picture size.
func parseVVC(t *media.Track) error {
	t.Config = bytes.TrimPrefix(t.Config, []byte{0, 0, 0, 0}) // a record begins with five bits set
	r := bits.NewReader(t.Config)
	r.Skip(5)
	t.NALLengthSize = int(r.Bits(2)) + 1
	if r.Flag() {
		readVVCProfile(t, &r)
	}
	var vps, sps, pps [][]byte
	for range r.Bits(8) {
		r.Skip(3) // array_completeness, reserved
		nalType := r.Bits(5)
		count := uint32(1)
		if nalType != vvcDCI && nalType != vvcOPI {
			count = r.Bits(16)
		}
		nals := readNALs(&r, count)
		switch nalType {
		case vvcVPS:
			vps = append(vps, nals...)
		case vvcSPS:
			sps = append(sps, nals...)
		case vvcPPS:
			pps = append(pps, nals...)
		}
	}
	t.ParameterSets = append(append(vps, sps...), pps...)
	return checkRecord(t, &r, sps)
}

// readVVCProfile reads the part of the record that ptl_present_flag announces.
func readVVCProfile(t *media.Track, r *bits.Reader) {
	r.Skip(9) // ols_idx
	sublayers := int(r.Bits(3))
	r.Skip(2 + 2 + 3 + 5 + 2) // frame rate, chroma, depth, reserved
	constraint := int(r.Bits(6))
	r.Skip(8 + 8 + 8*constraint) // profile and tier, level, flags and constraints
	levels := 0
	for i := sublayers - 2; i >= 0; i-- {
		levels += int(r.Bits(1))
	}
	r.Align()
	r.Skip(8 * levels)
	r.Skip(32 * int(r.Bits(8))) // general_sub_profile_idc
	t.Width, t.Height = int(r.Bits(16)), int(r.Bits(16))
	t.FrameRate = float64(r.Bits(16)) / 256
}

// readNALs reads NAL units with 16-bit lengths. They alias the record.
func readNALs(r *bits.Reader, count uint32) [][]byte {
	var nals [][]byte
	for range count {
		nal := r.Bytes(int(r.Bits(16)))
		if r.Bad {
			return nil
		}
		if len(nal) > 0 {
			nals = append(nals, nal)
		}
	}
	return nals
}

func checkRecord(t *media.Track, r *bits.Reader, sps [][]byte) error {
	switch {
	case r.Bad:
		return errCutOff
	case len(sps) == 0:
		return errNoSPS
	}
	return nil
}

// parseAV1 reads an AV1CodecConfigurationRecord (AV1 in ISOBMFF §2.3), whose OBUs must hold the
// sequence header.
func parseAV1(t *media.Track) error {
	if len(t.Config) < 4 {
		return errCutOff
	}
	if t.Config[0] != 0x81 { // marker and version 1
		return errVersion
	}
	var obus av1.Bitstream
	if err := obus.Unmarshal(t.Config[4:]); err != nil {
		return fmt.Errorf("OBUs: %w", err)
	}
	for _, obu := range obus {
		var parsed av1.SequenceHeader
		if obu[0]>>3 != byte(av1.OBUTypeSequenceHeader) {
			continue
		}
		if err := parsed.Unmarshal(obu); err != nil {
			return fmt.Errorf("sequence header: %w", err)
		}
		t.Width, t.Height = parsed.Width(), parsed.Height()
		return nil
	}
	return errNoSequence
}

// parseVPC reads a VPCodecConfigurationRecord (VP Codec ISO Media File Format Binding §2.2), before
// which some encoders leave the version and flags of the vpcC box. Config becomes the record. It
// does not hold the picture size, without which no packager can begin, so the track counts as
// parsed only from the first key frame on.
func parseVPC(t *media.Track) error {
	if boxed := []byte{1, 0, 0, 0}; len(t.Config) >= 12 && bytes.HasPrefix(t.Config, boxed) { // as a record: 0 bits deep
		t.Config = t.Config[4:]
	}
	if len(t.Config) < 8 {
		return errCutOff
	}
	return errNoSize
}

// frameRate returns fps if it is one: a picture rate of the bitstream is what the encoder wrote,
// and may be 0/0.
func frameRate(fps float64) float64 {
	if math.IsNaN(fps) || math.IsInf(fps, 0) {
		return 0
	}
	return fps
}
