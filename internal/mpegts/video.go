package mpegts

import (
	"fmt"

	"livego/internal/media"
	"livego/internal/nal"
)

// maxNALUnits bounds the NAL units of one access unit, and with it how much longer start codes make
// it. HEVC level 6.2 allows 600 slices a picture; a few more units are parameter sets and SEI.
const maxNALUnits = 1024

// nalFormat converts access units of one H.264 or HEVC track from length-prefixed form to the byte
// stream format (ITU-T H.264 and H.265, annex B).
type nalFormat struct {
	codec      media.Codec
	lengthSize int
	// delimiter is an access unit delimiter for any picture type, with start code.
	delimiter []byte
	// sets are all parameter sets with start codes; setCount says how many there are of each type.
	sets     []byte
	setCount setCount
}

// setCount counts parameter sets by type: VPS, SPS, PPS.
type setCount [3]int

func newNALFormat(t *media.Track) nalFormat {
	f := nalFormat{codec: t.Codec, lengthSize: t.NALLengthSize}
	f.delimiter = []byte{0, 0, 0, 1, 0x09, 0xf0}
	if t.Codec == media.HEVC {
		f.delimiter = []byte{0, 0, 0, 1, 0x46, 0x01, 0x50}
	}
	for _, set := range t.ParameterSets {
		if len(set) == 0 {
			continue
		}
		f.sets = append(append(f.sets, 0, 0, 0, 1), set...)
		f.setCount.add(setType(f.kind(set)))
	}
	return f
}

func validLengthSize(n int) bool { return n == 1 || n == 2 || n == 4 }

// add counts one NAL unit of an index that setType returned.
func (c *setCount) add(set int) {
	if set >= 0 {
		c[set]++
	}
}

// setType says which parameter set a NAL unit is, as an index of setCount, or -1.
func setType(k nal.Kind) int {
	switch k {
	case nal.VPS:
		return 0
	case nal.SPS:
		return 1
	case nal.PPS:
		return 2
	}
	return -1
}

func (f *nalFormat) kind(unit []byte) nal.Kind {
	k, _ := nal.KindOf(f.codec, unit)
	return k
}

// measure checks an access unit and returns its size as byte stream. withSets says that the track's
// parameter sets must precede it: it is a random access point, or the first of a segment, and does
// not bring as many of each type itself.
func (f *nalFormat) measure(u *media.AccessUnit, first bool) (size int, withSets bool, err error) {
	var inBand setCount
	count := 0
	for rest := u.Data; len(rest) > 0; {
		unit, tail, ok := nal.Next(rest, f.lengthSize)
		if !ok {
			return 0, false, fmt.Errorf("NAL unit longer than the %d bytes left: %w", len(rest), ErrData)
		}
		rest = tail
		kind := f.kind(unit)
		if len(unit) == 0 || kind == nal.Delimiter {
			continue
		}
		inBand.add(setType(kind))
		size += 4 + len(unit)
		if count++; count > maxNALUnits {
			return 0, false, fmt.Errorf("more than %d NAL units: %w", maxNALUnits, ErrData)
		}
	}
	if count == 0 {
		return 0, false, fmt.Errorf("no NAL unit: %w", ErrData)
	}
	size += len(f.delimiter)
	for i, n := range f.setCount {
		withSets = withSets || (first || u.RandomAccess) && inBand[i] < n
	}
	if withSets {
		size += len(f.sets)
	}
	return size, withSets, nil
}

// write puts an access unit that measure accepted. The encoder's own delimiters are replaced.
func (f *nalFormat) write(w *pesWriter, u *media.AccessUnit, withSets bool) {
	w.put(f.delimiter)
	if withSets {
		w.put(f.sets)
	}
	for rest := u.Data; len(rest) > 0; {
		unit, tail, ok := nal.Next(rest, f.lengthSize)
		if !ok {
			return // measure saw to that
		}
		rest = tail
		if len(unit) == 0 || f.kind(unit) == nal.Delimiter {
			continue
		}
		w.put(f.delimiter[:4]) // its start code
		w.put(unit)
	}
}

func (m *Muxer) appendVideo(dst []byte, u *media.AccessUnit) ([]byte, error) {
	if err := m.video.accept(u); err != nil {
		return dst, err
	}
	size, withSets, err := m.nal.measure(u, m.firstPicture)
	if err != nil {
		return dst, err
	}
	if m.group.waitsAt(u.DTS) {
		dst = m.flushAudio(dst)
	}
	pts, dts := m.videoTimes(u)
	m.video.lastDTS, m.video.started, m.firstPicture = u.DTS, true, false

	dst = m.keepClock(dst, dts)
	w := startPES(dst, &m.video, pts, dts, m.clock.reference(dts), u.RandomAccess, size)
	m.nal.write(&w, u, withSets)
	return w.dst, nil
}

// videoTimes returns the times to write, in ticks. Decode times lie at or before presentation times
// (ISO/IEC 13818-1 2.4.3.7), so for an encoder with negative composition times they are all moved
// back by the largest one seen.
func (m *Muxer) videoTimes(u *media.AccessUnit) (pts, dts int64) {
	m.reorder = max(m.reorder, u.DTS-u.PTS)
	pts = ticks(u.PTS)
	dts = ticks(u.DTS - m.reorder)
	if m.video.started {
		dts = max(dts, m.video.lastTicks)
	}
	dts = min(dts, pts)
	m.video.lastTicks = dts
	return pts, dts
}
