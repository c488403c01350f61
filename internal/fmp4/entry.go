package fmp4

import (
	"encoding/binary"
	"slices"

	"livego/internal/media"
)

// sampleEntry writes the sample entry of the track's codec, with its decoder configuration:
//
//	avc1 ─ avcC      ISO/IEC 14496-15 §5.4.2     mp4a ─ esds    ISO/IEC 14496-14 §6.7
//	hvc1 ─ hvcC      ISO/IEC 14496-15 §8.4       Opus ─ dOps    Encapsulation of Opus in ISOBMFF §4.3
//	vvc1 ─ vvcC      ISO/IEC 14496-15 §11.3      fLaC ─ dfLa    Encapsulation of FLAC in ISOBMFF §3.3
//	av01 ─ av1C      AV1 in ISOBMFF §2.2         ac-3 ─ dac3    ETSI TS 102 366 §F.2
//	vp09 ─ vpcC      VP in ISOBMFF §2.1          ec-3 ─ dec3    ETSI TS 102 366 §F.5
//	└ colr, pasp where the header has them; mdcv, clli, and colr too, where the sender said it beside the header; dvvC with Dolby Vision,
//	  or dvcC in dvh1, which stands for hvc1 if nobody else can show the pictures, as dav1 for av01
//
// Decoder configuration records go in as the encoder wrote them, but for what their sample entry
// demands.
func (w *initSegment) sampleEntry() {
	config := w.t.Config
	switch w.t.Codec {
	case media.H264:
		w.visual("avc1", func() { w.box("avcC", func() { w.bytes(config) }) })
	case media.HEVC:
		w.visual(w.entryOr("hvc1"), func() { w.box("hvcC", func() { w.bytes(completeArrays(config)) }) })
	case media.VVC:
		w.visual("vvc1", func() { w.full("vvcC", 0, 0, func() { w.bytes(config) }) })
	case media.AV1:
		w.visual(w.entryOr("av01"), func() { w.box("av1C", func() { w.bytes(config) }) })
	case media.VP9:
		w.visual("vp09", w.vpcC)
	case media.AAC, media.MP3:
		w.audio("mp4a", 16, w.esds)
	case media.Opus:
		w.audio("Opus", 16, func() { w.dOps(config) })
	case media.FLAC:
		w.audio("fLaC", flacDepth(config), func() { w.dfLa(config) })
	case media.AC3:
		w.audio("ac-3", 16, func() { w.box("dac3", func() { w.bytes(w.frame) }) })
	case media.EAC3:
		w.audio("ec-3", 16, func() { w.box("dec3", func() { w.bytes(w.frame) }) })
	}
}

// entryOr returns the sample entry of Dolby Vision if nobody else can show the pictures, else the
// codec's own.
func (w *initSegment) entryOr(own string) string {
	if w.dolby.alone() {
		return w.dolby.entry
	}
	return own
}

// visual writes a VisualSampleEntry (ISO/IEC 14496-12 §12.1.3).
func (w *initSegment) visual(kind string, config func()) {
	w.box(kind, func() {
		w.zeros(6)
		w.u16(1) // data_reference_index
		w.zeros(2 + 2 + 12)
		w.u16(uint16(w.t.Width))
		w.u16(uint16(w.t.Height))
		w.u32(72 * one) // dots per inch
		w.u32(72 * one)
		w.u32(0)
		w.u16(1)    // frame_count
		w.zeros(32) // compressorname
		w.u16(0x0018)
		w.u16(0xFFFF)
		config()
		w.dovi()
		w.colr()
		w.mdcv()
		w.clli()
		w.pasp()
	})
}

func (w *initSegment) colr() {
	c := w.colour
	if !c.known() {
		return
	}
	w.box("colr", func() {
		w.text("nclx")
		w.u16(uint16(c.primaries))
		w.u16(uint16(c.transfer))
		w.u16(uint16(c.matrix))
		w.u8(uint8(number(c.fullRange)) << 7)
	})
}

func (w *initSegment) pasp() {
	if w.aspect.width == 0 {
		return
	}
	w.box("pasp", func() {
		w.u32(uint32(w.aspect.width))
		w.u32(uint32(w.aspect.height))
	})
}

// completeArrays returns the record with version 1, which encoders from before the standard did not
// write, and with the arrays of parameter sets marked as complete, which "hvc1" demands (ISO/IEC
// 14496-15 §8.4.1.1).
func completeArrays(config []byte) []byte {
	const arrays, complete, vps, pps = 22, 0x80, 32, 34
	c := slices.Clone(config)
	c[0] = 1
	at := arrays + 1
	for range c[arrays] {
		if at+3 > len(c) {
			break
		}
		if kind := c[at] & 0x3F; kind >= vps && kind <= pps {
			c[at] |= complete
		}
		count := int(binary.BigEndian.Uint16(c[at+1:]))
		at += 3
		for ; count > 0 && at+2 <= len(c); count-- {
			at += 2 + int(binary.BigEndian.Uint16(c[at:]))
		}
	}
	return c
}

func (w *initSegment) vpcC() {
	w.full("vpcC", 1, 0, func() {
		c := w.t.Config
		w.u8(c[0])
		w.u8(vp9Level(w.t))
		w.bytes(c[2:6])
		w.u16(0) // VP9 has no initialization data
	})
}

// audio writes an AudioSampleEntry (ISO/IEC 14496-12 §12.2.3).
func (w *initSegment) audio(kind string, depth uint16, config func()) {
	w.box(kind, func() {
		w.zeros(6)
		w.u16(1) // data_reference_index
		w.zeros(8)
		w.u16(uint16(w.t.Channels))
		w.u16(depth)
		w.zeros(2 + 2)
		w.u32(entryRate(w.t.SampleRate) << 16)
		config()
	})
}

// entryRate returns the sampling rate as 16 bits can hold it: halved until it fits, as the
// encapsulation of FLAC asks. Decoders have it from their configuration.
func entryRate(rate int) uint32 {
	const most = 1<<16 - 1
	for rate > most {
		rate /= 2
	}
	return uint32(rate)
}

// esds writes the elementary stream descriptor of AAC or MP3 (ISO/IEC 14496-1 §7.2.6.5).
func (w *initSegment) esds() {
	const (
		esDescriptor, decoderConfig, decoderSpecific, syncLayer = 3, 4, 5, 6
		audioStream                                             = 5<<2 | 1
		predefinedMP4                                           = 2
	)
	w.full("esds", 0, 0, func() {
		w.descriptor(esDescriptor, func() {
			w.u16(0) // ES_ID: 0 in a file
			w.u8(0)
			w.descriptor(decoderConfig, func() {
				w.u8(objectType(w.t))
				w.u8(audioStream)
				w.zeros(3 + 4 + 4) // buffer size and bit rates: not known
				if w.t.Codec == media.AAC {
					w.descriptor(decoderSpecific, func() { w.bytes(w.t.Config) })
				}
			})
			w.descriptor(syncLayer, func() { w.u8(predefinedMP4) })
		})
	})
}

// objectType returns the objectTypeIndication (ISO/IEC 14496-1 table 5).
func objectType(t *media.Track) uint8 {
	const (
		mpeg4Audio, mpeg1Audio, mpeg2Audio = 0x40, 0x6B, 0x69
		lowestOfMPEG1                      = 32000
	)
	switch {
	case t.Codec == media.AAC:
		return mpeg4Audio
	case t.SampleRate >= lowestOfMPEG1:
		return mpeg1Audio
	}
	return mpeg2Audio
}

// dOps writes an OpusSpecificBox: the fields of the OpusHead, big-endian.
func (w *initSegment) dOps(head []byte) {
	w.box("dOps", func() {
		w.u8(0)
		w.u8(head[9])
		w.u16(binary.LittleEndian.Uint16(head[10:]))
		w.u32(binary.LittleEndian.Uint32(head[12:]))
		w.u16(binary.LittleEndian.Uint16(head[16:]))
		w.u8(head[18])
		if head[18] != 0 {
			w.bytes(head[opusHead : opusHead+2+int(head[9])])
		}
	})
}

// dfLa writes a FLACSpecificBox with the STREAMINFO block alone: no decoder needs the others, and
// pictures are large.
func (w *initSegment) dfLa(config []byte) {
	const lastBlock = 0x80
	w.full("dfLa", 0, 0, func() {
		w.u32(lastBlock<<24 | flacStreamInfoEnd - flacStreamInfo)
		w.bytes(config[flacStreamInfo:flacStreamInfoEnd])
	})
}

// flacDepth returns the bits per sample of a STREAMINFO block (RFC 9639 §8.2).
func flacDepth(config []byte) uint16 {
	info := config[flacStreamInfo:]
	return uint16(info[12]&1)<<4 | uint16(info[13]>>4) + 1
}
