package codec

import (
	"bytes"
	"encoding/binary"
	"errors"
	"fmt"
	"slices"

	"github.com/bluenviron/mediacommon/v2/pkg/codecs/av1"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h264"
	"github.com/bluenviron/mediacommon/v2/pkg/codecs/h265"

	"livego/internal/bits"
	"livego/internal/media"
	"livego/internal/nal"
)

const (
	// maxSetSize is the longest parameter set that a record holds: its length has 16 bits.
	maxSetSize = 1<<16 - 1
	// maxSets bounds the parameter sets of one type. A record holds at most 31 SPS of H.264;
	// streams have one or two.
	maxSets = 31
	// maxSetID is the largest number of a parameter set, of a PPS in H.264.
	maxSetID = 255
	// maxSublayers bounds sps_max_sublayers (ITU-T H.265 §7.4.3.2.1, H.266 §7.4.3.4).
	maxSublayers = 7
	// recordLengths is the lengthSizeMinusOne of records made here: lengths have 4 bytes.
	recordLengths = 3
)

var (
	errNoParameterSets = errors.New("no SPS and PPS")
	errSublayers       = errors.New("SPS: more than 7 temporal sublayers")
	errManySets        = errors.New("too many or too long parameter sets")
)

// Record makes the decoder configuration record of a codec of NAL units, for pictures whose NAL
// units have lengths of 4 bytes: of parameter sets, among which must be an SPS and a PPS. Of
// several SPS the first says what the record says beside them. Units that are no parameter sets are
// left out.
func Record(c media.Codec, sets [][]byte) ([]byte, error) {
	var vps, sps, pps [][]byte
	for _, set := range sets {
		if len(set) > maxSetSize {
			return nil, errManySets
		}
		switch kind, _ := nal.KindOf(c, set); kind {
		case nal.VPS:
			vps = append(vps, set)
		case nal.SPS:
			sps = append(sps, set)
		case nal.PPS:
			pps = append(pps, set)
		}
	}
	switch {
	case len(sps) == 0 || len(pps) == 0:
		return nil, errNoParameterSets
	case max(len(vps), len(sps), len(pps)) > maxSets:
		return nil, errManySets
	}
	switch c {
	case media.H264:
		return avcRecord(sps, pps)
	case media.HEVC:
		return hevcRecord(vps, sps, pps)
	default:
		return vvcRecord(vps, sps, pps)
	}
}

// avcRecord makes an AVCDecoderConfigurationRecord (ISO/IEC 14496-15 §5.3.3.1).
//
//	version 1 | profile, compatibility, level 3 x 8 | 111111 lengths 2 | 111 count 5 { size 16 | SPS } |
//	count 8 { size 16 | PPS }, and of High profiles 111111 chroma 2 | 11111 depth 3 | 11111 depth 3 | 0
func avcRecord(sps, pps [][]byte) ([]byte, error) {
	var parsed h264.SPS
	if err := parsed.Unmarshal(sps[0]); err != nil {
		return nil, fmt.Errorf("SPS: %w", err)
	}
	b := []byte{1, sps[0][1], sps[0][2], sps[0][3], 0xFC | recordLengths, 0xE0 | byte(len(sps))}
	b = appendSets(b, sps)
	b = appendSets(append(b, byte(len(pps))), pps)
	switch parsed.ProfileIdc {
	case 66, 77, 88: // Baseline, Main, Extended
		return b, nil
	}
	return append(b, 0xFC|byte(parsed.ChromaFormatIdc&3), 0xF8|byte(parsed.BitDepthLumaMinus8&7),
		0xF8|byte(parsed.BitDepthChromaMinus8&7), 0), nil
}

// hevcRecord makes an HEVCDecoderConfigurationRecord (ISO/IEC 14496-15 §8.3.2.1).
//
//	version 1 | profile, tier, level as in the SPS 96 | 1111 segmentation 12 | 111111 parallelism 2 |
//	111111 chroma 2 | 11111 depth 3 | 11111 depth 3 | frame rate 16 | constant 2 | sublayers 3 |
//	nested 1 | lengths 2 | count 8 { complete 1 | 0 | type 6 | count 16 { size 16 | unit } }
func hevcRecord(vps, sps, pps [][]byte) ([]byte, error) {
	const headerAndIDs, profile = 2 + 1, 12
	var parsed h265.SPS
	if err := parsed.Unmarshal(sps[0]); err != nil {
		return nil, fmt.Errorf("SPS: %w", err)
	}
	if parsed.MaxSubLayersMinus1 >= maxSublayers {
		return nil, errSublayers
	}
	var room [headerAndIDs + profile]byte
	head := unescape(room[:0], sps[0])
	if len(head) < len(room) {
		return nil, fmt.Errorf("SPS: %w", errCutOff)
	}
	b := append([]byte{1}, head[headerAndIDs:]...)
	b = append(b, 0xF0, 0, 0xFC, 0xFC|byte(parsed.ChromaFormatIdc&3), 0xF8|byte(parsed.BitDepthLumaMinus8&7),
		0xF8|byte(parsed.BitDepthChromaMinus8&7), 0, 0)
	nested := byte(0)
	if parsed.TemporalIDNestingFlag {
		nested = 1
	}
	b = append(b, (parsed.MaxSubLayersMinus1+1)&7<<3|nested<<2|recordLengths)
	return appendArrays(b, []byte{hevcVPS, hevcSPS, hevcPPS}, vps, sps, pps), nil
}

// vvcRecord makes a VvcDecoderConfigurationRecord (ISO/IEC 14496-15:2022 §11.2.4.2), without the
// profile if that stands in the VPS alone.
//
//	11111 | lengths 2 | profile present 1, then ols_idx 9 | sublayers 3 | constant 2 | chroma 2 | depth 3 |
//	11111 | profile, tier, level | width 16 | height 16 | frame rate 16, if so |
//	count 8 { complete 1 | 00 | type 5 | count 16 { size 16 | unit } }
func vvcRecord(vps, sps, pps [][]byte) ([]byte, error) {
	s, err := readVVCSPS(sps[0])
	if err != nil {
		return nil, fmt.Errorf("SPS: %w", err)
	}
	b := []byte{0xF8 | recordLengths<<1}
	if s.profile != nil {
		b[0] |= 1
		b = append(b, 0, s.sublayers<<4|s.chroma, s.depth<<5|0x1F)
		b = append(b, s.profile...)
		b = binary.BigEndian.AppendUint16(b, s.width)
		b = binary.BigEndian.AppendUint16(b, s.height)
		b = append(b, 0, 0)
	}
	return appendArrays(b, []byte{vvcVPS, vvcSPS, vvcPPS}, vps, sps, pps), nil
}

// WithLengths returns the decoder configuration record of a track of a codec of NAL units with
// lengths of another size.
func WithLengths(t *media.Track, size int) []byte {
	config := bytes.Clone(t.Config)
	at, shift := 4, 0
	switch t.Codec {
	case media.HEVC:
		at = 21
	case media.VVC:
		at, shift = 0, 1
	}
	if len(config) > at {
		config[at] = config[at]&^(3<<shift) | byte(size-1)<<shift
	}
	return config
}

// appendArrays appends the arrays of parameter sets that are not empty. They are not marked as
// complete, as samples may hold sets too (ISO/IEC 14496-15 §8.3.2.1, §11.2.4.2).
func appendArrays(b, types []byte, arrays ...[][]byte) []byte {
	count := len(b)
	b = append(b, 0)
	for i, sets := range arrays {
		if len(sets) == 0 {
			continue
		}
		b[count]++
		b = append(b, types[i])
		b = appendSets(binary.BigEndian.AppendUint16(b, uint16(len(sets))), sets)
	}
	return b
}

func appendSets(b []byte, sets [][]byte) []byte {
	for _, set := range sets {
		b = append(binary.BigEndian.AppendUint16(b, uint16(len(set))), set...)
	}
	return b
}

// SetID returns the number of a parameter set, by which others name it: a set takes the place of
// the one with its number. It is false for what cannot be read.
func SetID(c media.Codec, k nal.Kind, set []byte) (id uint32, ok bool) {
	var room [128]byte
	header := min(nal.HeaderSize(c), len(set))
	r := bits.NewReader(unescape(room[:0], set[header:]))
	switch {
	case c == media.H264 && k == nal.SPS:
		r.Skip(24) // profile, constraints, level
		id = r.Exponential()
	case c == media.HEVC && k == nal.SPS:
		r.Skip(4)
		sublayers := int(r.Bits(3))
		r.Skip(1)
		skipHEVCProfile(&r, sublayers)
		id = r.Exponential()
	case c == media.HEVC && k == nal.VPS, c == media.VVC && k != nal.PPS:
		id = r.Bits(4)
	case c == media.VVC:
		id = r.Bits(6)
	default:
		id = r.Exponential()
	}
	return id, !r.Bad && id <= maxSetID
}

// skipHEVCProfile passes over profile_tier_level (ITU-T H.265 §7.3.3) of so many sublayers beside
// the highest.
func skipHEVCProfile(r *bits.Reader, sublayers int) {
	const general, profile, level = 88 + 8, 88, 8
	r.Skip(general)
	if sublayers == 0 {
		return
	}
	bits := 0
	for range sublayers {
		bits += profile*int(r.Bits(1)) + level*int(r.Bits(1))
	}
	r.Skip(2*(8-sublayers) + bits)
}

// vvcSummary is what a record says of an SPS.
type vvcSummary struct {
	sublayers, chroma, depth byte
	width, height            uint16
	// profile is a VvcPTLRecord, nil if the SPS has no profile.
	profile []byte
}

// readVVCSPS reads a sequence parameter set up to its bit depth (ITU-T H.266 §7.3.2.4).
func readVVCSPS(set []byte) (s vvcSummary, err error) {
	const header, longest = 2, 4096
	r := bits.NewReader(unescape(make([]byte, 0, min(len(set), longest)), set))
	r.Skip(8*header + 4 + 4)
	if s.sublayers = byte(r.Bits(3)) + 1; s.sublayers > maxSublayers {
		return s, errSublayers
	}
	s.chroma = byte(r.Bits(2))
	ctu := 1 << (5 + r.Bits(2))
	if r.Flag() {
		s.profile = readVVCPTL(&r, int(s.sublayers))
	}
	r.Skip(1) // sps_gdr_enabled_flag
	if r.Flag() {
		r.Skip(1) // sps_res_change_in_clvs_allowed_flag
	}
	width, height := r.Exponential(), r.Exponential()
	if r.Flag() {
		for range 4 { // conformance window
			r.Exponential()
		}
	}
	if r.Flag() {
		skipSubpictures(&r, int(width) > ctu, int(height) > ctu, (int(width)+ctu-1)/ctu, (int(height)+ctu-1)/ctu)
	}
	depth := r.Exponential()
	switch {
	case r.Bad:
		return s, errCutOff
	case width > 1<<16-1 || height > 1<<16-1 || depth > 7:
		return s, errors.New("impossible size or depth")
	}
	s.width, s.height, s.depth = uint16(width), uint16(height), byte(depth)
	return s, nil
}

// skipSubpictures passes over the layout of subpictures. A picture is columns by rows of coding
// tree units; wide and high say that it is more than one.
func skipSubpictures(r *bits.Reader, wide, high bool, columns, rows int) {
	const most = 600 // MaxSlicesPerAu of level 6.2 (ITU-T H.266 table A.2)
	last := r.Exponential()
	if last >= most {
		r.Skip(r.Left() + 1)
		return
	}
	independent, sameSize := true, false
	if last > 0 {
		independent, sameSize = r.Flag(), r.Flag()
	}
	across, down := bitLength(wide, columns), bitLength(high, rows)
	for i := uint32(0); last > 0 && i <= last; i++ {
		if !sameSize || i == 0 {
			if i > 0 {
				r.Skip(across + down)
			}
			if i < last {
				r.Skip(across + down)
			}
		}
		if !independent {
			r.Skip(2)
		}
	}
	length := int(r.Exponential()) + 1
	first, second := r.Flag(), false
	if first {
		second = r.Flag()
	}
	if first && second && length <= 16 {
		r.Skip(length * int(last+1))
	}
}

// bitLength is Ceil(Log2(n)), of fields that are there.
func bitLength(there bool, n int) (length int) {
	for there && 1<<length < n {
		length++
	}
	return length
}

// readVVCPTL reads profile_tier_level (ITU-T H.266 §7.3.3.1) and returns it as a record has it:
//
//	00 | bytes of constraints 6 | profile 7 | tier 1 | level 8 | frame only 1 | multilayer 1 | constraints |
//	{ sublayer has a level 1 } and zeros up to a byte, if there are sublayers | levels | count 8 { 32 }
func readVVCPTL(r *bits.Reader, sublayers int) []byte {
	const fixed = 71 // flags of general_constraints_info (§7.3.3.2)
	profileAndTier, level := byte(r.Bits(8)), byte(r.Bits(8))
	constraints := writer{}
	constraints.put(2, r.Bits(2)) // frame only, multilayer
	present := r.Bits(1)
	if constraints.put(1, present); present == 1 {
		for range fixed {
			constraints.put(1, r.Bits(1))
		}
		reserved := r.Bits(8)
		constraints.put(8, reserved)
		for range reserved {
			constraints.put(1, r.Bits(1))
		}
	}
	r.Align()
	b := append([]byte{byte(len(constraints.b)), profileAndTier, level}, constraints.b...)
	if sublayers > 1 {
		flags, levels := byte(0), 0
		for i := range sublayers - 1 {
			there := r.Bits(1)
			flags |= byte(there) << (7 - i)
			levels += int(there)
		}
		r.Align()
		b = append(append(b, flags), r.Bytes(levels)...)
	}
	count := r.Bits(8)
	return append(append(b, byte(count)), r.Bytes(4*int(count))...)
}

// writer writes big-endian fields in a row, and fills the last byte with zeros.
type writer struct {
	b   []byte
	pos int
}

func (w *writer) put(n int, v uint32) {
	for ; n > 0; n-- {
		if w.pos&7 == 0 {
			w.b = append(w.b, 0)
		}
		w.b[w.pos>>3] |= byte(v>>(n-1)&1) << (7 - w.pos&7)
		w.pos++
	}
}

// AV1Record makes an AV1CodecConfigurationRecord (AV1 in ISOBMFF §2.3.3) of a sequence header OBU,
// which must have its size.
//
//	1 | version 7 = 1 | profile 3 | level 5 | tier 1 | high 1 | twelve 1 | monochrome 1 | subsampling 2 |
//	position 2 | 000 | 0 0000 | sequence header
func AV1Record(sequenceHeader []byte) ([]byte, error) {
	var h av1.SequenceHeader
	if err := h.Unmarshal(sequenceHeader); err != nil {
		return nil, fmt.Errorf("sequence header: %w", err)
	}
	w := writer{b: []byte{0x81}, pos: 8}
	w.put(3, uint32(h.SeqProfile))
	w.put(5, uint32(h.SeqLevelIdx[0]))
	c := &h.ColorConfig
	for _, flag := range []bool{h.SeqTier[0], c.HighBitDepth, c.TwelveBit, c.MonoChrome, c.SubsamplingX, c.SubsamplingY} {
		if flag {
			w.put(1, 1)
		} else {
			w.put(1, 0)
		}
	}
	w.put(2, uint32(c.ChromaSamplePosition))
	w.put(8, 0)
	return slices.Concat(w.b, sequenceHeader), nil
}
