package fmp4

import (
	"bytes"

	"livego/internal/media"
)

// AppendInit adds the init segment of a track to dst, which it may move, and returns it. AC-3 and
// E-AC-3 have no header, so theirs is made from the data of any sample of the track; other codecs
// do not look at it. With an error, which is ErrUnsupported or ErrData, dst comes back as it was.
//
//	ftyp
//	moov
//	├ mvhd
//	├ trak
//	│ ├ tkhd
//	│ └ mdia
//	│   ├ mdhd
//	│   ├ hdlr
//	│   └ minf
//	│     ├ vmhd or smhd
//	│     ├ dinf ─ dref ─ url
//	│     └ stbl
//	│       ├ stsd ─ sample entry
//	│       └ stts stsc stsz stco    empty: samples are in fragments
//	└ mvex ─ trex
func AppendInit(dst []byte, t *media.Track, sample []byte) ([]byte, error) {
	d, err := describe(t)
	if err != nil {
		return dst, err
	}
	i := initSegment{t: t, description: d}
	switch t.Codec {
	case media.AC3:
		i.frame, err = dac3(sample)
	case media.EAC3:
		i.frame, err = dec3(t, sample)
	}
	if err != nil {
		return dst, err
	}
	i.b = dst
	i.write()
	return i.b, nil
}

// initSegment writes the init segment of one track.
type initSegment struct {
	boxes
	description
	t *media.Track
	// frame is the payload of dac3 or dec3.
	frame []byte
}

// SameInit says whether the sequence headers of a and b are the same, and what is known beside them
// changes nothing for players: not the init segment, nor what a playlist says.
func SameInit(a, b *media.Track) bool {
	if a == b {
		return true
	}
	if a.Kind != b.Kind || a.Codec != b.Codec || len(a.Config) == 0 || !bytes.Equal(a.Config, b.Config) || a.SamplesPerFrame != b.SamplesPerFrame {
		return false
	}
	first, err := AppendInit(nil, a, nil)
	second, err2 := AppendInit(nil, b, nil)
	return err == nil && err2 == nil && bytes.Equal(first, second) && VideoRange(a) == VideoRange(b)
}

// timescale returns the ticks per second of a track's media times: an audio frame has a whole
// number of them.
func timescale(t *media.Track) uint32 {
	if t.Kind == media.Audio {
		return uint32(t.SampleRate)
	}
	return videoTimescale
}

func (w *initSegment) write() {
	w.box("ftyp", func() {
		w.text("cmfc")
		w.u32(0)
		w.text("cmfc")
		w.text("iso6")
		if w.t.Codec == media.AV1 && !w.dolby.alone() { // AV1 in ISOBMFF §2.1: one who knows the brand can read a track
			w.text("av01")
		}
		if w.dolby != (dolbyVision{}) {
			w.text("dby1")
			w.text(w.dolby.brand)
		}
	})
	w.box("moov", func() {
		w.mvhd()
		w.box("trak", func() {
			w.tkhd()
			w.mdia()
		})
		w.box("mvex", w.trex)
	})
}

const (
	matrixSize = 36
	one        = 1 << 16 // of 16.16 fixed point
)

// unityMatrix is the transformation matrix of mvhd and tkhd that changes nothing.
var unityMatrix = [matrixSize]byte{1: 1, 17: 1, 32: 0x40}

func (w *initSegment) mvhd() {
	w.full("mvhd", 0, 0, func() {
		w.zeros(4 + 4) // creation and modification time
		w.u32(timescale(w.t))
		w.u32(0) // duration: that of the fragments is not known
		w.u32(one)
		w.u16(0x0100) // volume
		w.zeros(2 + 8)
		w.bytes(unityMatrix[:])
		w.zeros(6 * 4)
		w.u32(trackID(w.t) + 1) // next_track_ID
	})
}

func (w *initSegment) tkhd() {
	const enabled, inMovie = 1, 2
	w.full("tkhd", 0, enabled|inMovie, func() {
		w.zeros(4 + 4)
		w.u32(trackID(w.t))
		w.zeros(4 + 4 + 8) // reserved, duration, reserved
		w.zeros(2 + 2)     // layer, alternate group
		if w.t.Kind == media.Audio {
			w.u16(0x0100) // volume
		} else {
			w.u16(0)
		}
		w.zeros(2)
		w.bytes(unityMatrix[:])
		var width, height int
		if w.t.Kind == media.Video {
			width, height = w.display(w.t)
		}
		w.u32(uint32(width) << 16)
		w.u32(uint32(height) << 16)
	})
}

func (w *initSegment) mdia() {
	w.box("mdia", func() {
		w.full("mdhd", 0, 0, func() {
			w.zeros(4 + 4)
			w.u32(timescale(w.t))
			w.u32(0)
			w.u16(0x55C4) // language: "und"
			w.u16(0)
		})
		w.full("hdlr", 0, 0, func() {
			w.u32(0)
			if w.t.Kind == media.Audio {
				w.text("soun")
			} else {
				w.text("vide")
			}
			w.zeros(3*4 + 1) // reserved, empty name
		})
		w.box("minf", w.minf)
	})
}

func (w *initSegment) minf() {
	if w.t.Kind == media.Audio {
		w.full("smhd", 0, 0, func() { w.zeros(2 + 2) })
	} else {
		w.full("vmhd", 0, 1, func() { w.zeros(2 + 6) })
	}
	w.box("dinf", func() {
		w.full("dref", 0, 0, func() {
			w.u32(1)
			const sameFile = 1
			w.full("url ", 0, sameFile, func() {})
		})
	})
	w.box("stbl", func() {
		w.full("stsd", 0, 0, func() {
			w.u32(1)
			w.sampleEntry()
		})
		w.full("stts", 0, 0, func() { w.u32(0) })
		w.full("stsc", 0, 0, func() { w.u32(0) })
		w.full("stsz", 0, 0, func() { w.zeros(4 + 4) })
		w.full("stco", 0, 0, func() { w.u32(0) })
	})
}

func (w *initSegment) trex() {
	w.full("trex", 0, 0, func() {
		w.u32(trackID(w.t))
		w.u32(1) // default_sample_description_index
		w.u32(0) // duration and size stand in each fragment
		w.u32(0)
		if w.t.Kind == media.Audio {
			w.u32(flagsSync)
		} else {
			w.u32(flagsNonSync)
		}
	})
}
