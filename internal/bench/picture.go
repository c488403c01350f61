package bench

import (
	"encoding/binary"
	"math/rand/v2"
)

// This file makes an H.264 video without an encoder: macroblocks are either stored as plain samples
// (I_PCM), which gives each picture any size wanted, or skipped. Every decoder can show it.

// The shape of the built-in video. The size of key frames decides on its height.
const (
	frameRate   = 30
	gopPictures = 60
	// columns and rows are the picture's size in macroblocks of 16 x 16.
	columns = 20
	minRows = 2
	maxRows = 68 // 1088 lines, the most that the level below is meant for
	// macroblockSize is what an I_PCM macroblock takes: samples, mb_type and mb_skip_run.
	macroblockSize = 384 + 2
	// keyShare: a key frame is this part of its GOP. At 2.5 Mbit/s that is 85 kB, what encoders
	// make at a constant bit rate.
	keyShare = 0.135
	// spread: other pictures vary by up to this much around their mean size.
	spread = 0.4
)

// H.264 Table 7-1 and §7.4.3: types of NAL units with their nal_ref_idc, and of slices.
const (
	nalSlice = 3<<5 | 1
	nalIDR   = 3<<5 | 5
	nalSEI   = 6
	nalSPS   = 3<<5 | 7
	nalPPS   = 3<<5 | 8

	sliceP = 5
	sliceI = 7

	mbPCM  = 25 // I_PCM in an I slice (Table 7-11)
	mbInP  = 5  // what is added to that in a P slice (Table 7-13)
	level4 = 40
)

// frameNumBits is the length of frame_num; a GOP is shorter than what it counts.
const frameNumBits = 8

// video makes the pictures of one GOP.
type video struct {
	rows  int
	bytes float64 // of a GOP
	noise *rand.Rand
}

func newVideo(bitsPerSecond int) *video {
	gop := float64(bitsPerSecond) / 8 * gopPictures / frameRate
	rows := int(gop*keyShare/(columns*macroblockSize) + 0.5)
	return &video{rows: min(max(rows, minRows), maxRows), bytes: gop, noise: rand.New(rand.NewPCG(1, 2))}
}

// pictures returns the NAL units of a GOP, one for each picture. They are all of a size that keeps
// the bit rate constant.
func (v *video) pictures() [][]byte {
	pictures := [][]byte{v.picture(0, v.rows*columns)}
	used := float64(len(pictures[0]))
	mean := (v.bytes - used) / (gopPictures - 1)
	for i := 1; i < gopPictures; i++ {
		due := v.bytes - mean*float64(gopPictures-1-i)
		if i < gopPictures-1 {
			due += mean * spread * (2*v.noise.Float64() - 1)
		}
		stored := int((due-used)/macroblockSize + 0.5)
		picture := v.picture(i, min(max(stored, 0), v.rows*columns))
		used += float64(len(picture))
		pictures = append(pictures, picture)
	}
	return pictures
}

// parameterSets returns the SPS and the PPS (§7.3.2.1.1, §7.3.2.2).
func (v *video) parameterSets() (sps, pps []byte) {
	var s bitWriter
	s.u(8, 66) // Baseline
	s.u(8, 0xC0)
	s.u(8, level4)
	s.ue(0)
	s.ue(frameNumBits - 4)
	s.ue(2) // pic_order_cnt_type: shown in the order of decoding
	s.ue(1) // reference frames
	s.u(1, 0)
	s.ue(columns - 1)
	s.ue(uint32(v.rows - 1))
	s.u(1, 1)  // frame_mbs_only_flag
	s.u(1, 1)  // direct_8x8_inference_flag
	s.u(1, 0)  // no cropping
	s.u(1, 1)  // VUI (Annex E), of which only the frame rate is given
	s.u(4, 0)  // aspect ratio, overscan, video signal type, chroma location
	s.u(1, 1)  // timing: two ticks a frame, fixed
	s.u(32, 1) //
	s.u(32, 2*frameRate)
	s.u(1, 1)
	s.u(4, 0) // HRD (twice), pic_struct, bitstream restriction
	s.trailing()

	var p bitWriter
	p.ue(0)
	p.ue(0)
	p.u(2, 0) // CAVLC, no field order
	p.ue(0)   // one slice group
	p.ue(0)
	p.ue(0)
	p.u(3, 0) // no weighted prediction
	p.ue(0)
	p.ue(0)
	p.ue(0)
	p.u(3, 0b100) // deblocking is controlled by the slices
	p.trailing()
	return nalUnit(nalSPS, s.bytes), nalUnit(nalPPS, p.bytes)
}

// picture returns a picture of one slice that stores so many of its macroblocks. The first one of a
// GOP must store all.
func (v *video) picture(number, stored int) []byte {
	var w bitWriter
	key := number == 0
	v.sliceHeader(&w, number)
	skipped := uint32(0)
	for address, left := 0, stored; address < v.rows*columns; address++ {
		// Each remaining macroblock is as likely as the others to be stored.
		if v.noise.IntN(v.rows*columns-address) >= left {
			skipped++
			continue
		}
		left--
		if key {
			w.ue(mbPCM)
		} else {
			w.ue(skipped)
			w.ue(mbPCM + mbInP)
			skipped = 0
		}
		w.align()
		w.raw(v.samples(address, number))
	}
	if skipped > 0 {
		w.ue(skipped)
	}
	w.trailing()
	if key {
		return nalUnit(nalIDR, w.bytes)
	}
	return nalUnit(nalSlice, w.bytes)
}

// sliceHeader writes §7.3.3.
func (v *video) sliceHeader(w *bitWriter, number int) {
	w.ue(0)
	if number == 0 {
		w.ue(sliceI)
	} else {
		w.ue(sliceP)
	}
	w.ue(0)
	w.u(frameNumBits, uint32(number))
	if number == 0 {
		w.ue(0)   // idr_pic_id
		w.u(2, 0) // no_output_of_prior_pics_flag, long_term_reference_flag
	} else {
		w.u(2, 0) // as many references as the PPS says, in their usual order
		w.u(1, 0) // adaptive_ref_pic_marking_mode_flag
	}
	w.ue(0) // slice_qp_delta
	w.ue(1) // no deblocking
}

// samples returns the 256 luma and 128 chroma samples of a macroblock: a slope from the top left
// corner that moves, in colours that change over the picture. Values are those of studio range (16
// to 235), among which there are no zeros to escape.
func (v *video) samples(address, number int) []byte {
	x, y := address%columns, address/columns
	b := make([]byte, 0, 384)
	for i := range 256 {
		b = append(b, byte(32+(16*x+i%16+16*y+i/16+4*number)%192))
	}
	for i := range 128 {
		b = append(b, byte(64+(8*x+8*y*(i/64)+number)%128))
	}
	return b
}

// nalUnit puts the header in front of a payload and the emulation prevention bytes into it
// (§7.3.1).
func nalUnit(header byte, rbsp []byte) []byte {
	unit := append(make([]byte, 0, len(rbsp)+16), header)
	zeros := 0
	for _, b := range rbsp {
		if zeros == 2 && b <= 3 {
			unit, zeros = append(unit, 3), 0
		}
		unit = append(unit, b)
		if b != 0 {
			zeros = 0
		} else {
			zeros++
		}
	}
	return unit
}

// appendNAL appends a NAL unit with its length in four bytes, as FLV has it.
func appendNAL(dst, unit []byte) []byte {
	return append(binary.BigEndian.AppendUint32(dst, uint32(len(unit))), unit...)
}
