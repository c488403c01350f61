package e2e

import (
	"encoding/binary"
	"errors"
	"fmt"
	"math"
)

// cmafTrack is what an init segment says of its track (ISO/IEC 14496-12 §8).
type cmafTrack struct {
	kind      byte
	entry     string // of the sample description: avc1, mp4a, …
	timescale uint32
	// size and flags of samples that neither fragment nor sample name (trex), duration likewise.
	duration, size, flags uint32
}

// cmafSample is one sample with its times in the units of the track.
type cmafSample struct {
	dts         int64
	composition int32
	duration    uint32
	flags       uint32
	data        []byte
}

// nonSync is sample_is_non_sync_sample of the sample flags (ISO/IEC 14496-12 §8.8.3.1).
const nonSync = 1 << 16

var errBox = errors.New("malformed box")

// eachBox calls visit with the type and payload of each box in a row of them.
func eachBox(data []byte, visit func(kind string, payload []byte) error) error {
	for len(data) > 0 {
		if len(data) < 8 {
			return fmt.Errorf("%w: %d bytes are left", errBox, len(data))
		}
		size, header := uint64(binary.BigEndian.Uint32(data)), uint64(8)
		if size == 1 && len(data) >= 16 {
			size, header = binary.BigEndian.Uint64(data[8:]), 16
		}
		if size < header || size > uint64(len(data)) {
			return fmt.Errorf("%w: %q of %d bytes, there are %d", errBox, data[4:8], size, len(data))
		}
		if err := visit(string(data[4:8]), data[header:size]); err != nil {
			return err
		}
		data = data[size:]
	}
	return nil
}

// readInit reads an init segment of one track.
func readInit(data []byte) (track cmafTrack, err error) {
	var visit func(kind string, b []byte) error
	visit = func(kind string, b []byte) error {
		switch kind {
		case "moov", "trak", "mdia", "minf", "stbl", "mvex":
			return eachBox(b, visit)
		case "mdhd":
			track.timescale = binary.BigEndian.Uint32(b[12+8*int(b[0]):])
		case "hdlr":
			track.kind = map[string]byte{"vide": typeVideo, "soun": typeAudio}[string(b[8:12])]
		case "stsd":
			track.entry = string(b[12:16])
		case "trex":
			track.duration, track.size, track.flags = binary.BigEndian.Uint32(b[12:]), binary.BigEndian.Uint32(b[16:]), binary.BigEndian.Uint32(b[20:])
		}
		return nil
	}
	if err := eachBox(data, visit); err != nil {
		return track, err
	}
	if track.timescale == 0 || track.kind == 0 || track.entry == "" {
		return track, fmt.Errorf("%w: no init segment of a track: %+v", errBox, track)
	}
	return track, nil
}

// readFragments reads the samples of a segment or part: pairs of moof and mdat with anything
// between the pairs.
func (track cmafTrack) readFragments(data []byte) (samples []cmafSample, err error) {
	var pending []cmafSample
	moof, at := 0, 0 // where the last moof began, and where the box at hand does
	err = eachBox(data, func(kind string, b []byte) error {
		begin := at
		at += len(b) + 8
		switch kind {
		case "moof":
			moof = begin
			return eachBox(b, func(kind string, b []byte) error {
				if kind != "traf" {
					return nil
				}
				found, err := track.readRun(b, data, moof)
				pending = append(pending, found...)
				return err
			})
		case "mdat":
			for _, sample := range pending {
				from := cap(data) - cap(sample.data)
				if from < begin+8 || from+len(sample.data) > at {
					return fmt.Errorf("%w: a sample lies outside of its mdat", errBox)
				}
			}
			samples, pending = append(samples, pending...), nil
		}
		return nil
	})
	if len(pending) > 0 {
		err = errors.Join(err, fmt.Errorf("%w: %d samples without mdat", errBox, len(pending)))
	}
	return samples, err
}

// fields takes numbers of 32 bits one after the other. Beyond the end it gives zeros and remembers.
type fields struct {
	b     []byte
	short bool
}

func (f *fields) next() uint32 {
	if len(f.b) < 4 {
		f.short = true
		return 0
	}
	v := binary.BigEndian.Uint32(f.b)
	f.b = f.b[4:]
	return v
}

// or takes a number if its flag is set, else it gives what is the default.
func (f *fields) or(set bool, missing uint32) uint32 {
	if set {
		return f.next()
	}
	return missing
}

// readRun reads a traf box (§8.8.6 to §8.8.8 and §8.8.12). Offsets count from the moof box.
func (track cmafTrack) readRun(traf, data []byte, moof int) (samples []cmafSample, err error) {
	var dts int64
	err = eachBox(traf, func(kind string, b []byte) error {
		f := &fields{b: b}
		flags := f.next() & 0xFFFFFF
		switch kind {
		case "tfhd":
			f.next() // track_ID
			if flags&1 != 0 {
				return fmt.Errorf("%w: base_data_offset, which CMAF forbids", errBox)
			}
			f.or(flags&2 != 0, 0) // sample_description_index
			track.duration = f.or(flags&8 != 0, track.duration)
			track.size = f.or(flags&0x10 != 0, track.size)
			track.flags = f.or(flags&0x20 != 0, track.flags)
		case "tfdt":
			if dts = int64(f.next()); b[0] == 1 {
				dts = dts<<32 | int64(f.next())
			}
		case "trun":
			count := f.next()
			offset := moof + int(int32(f.or(flags&1 != 0, 0)))
			first := f.or(flags&4 != 0, 0)
			for i := uint32(0); i < count && !f.short; i++ {
				s := cmafSample{dts: dts, flags: track.flags}
				if i == 0 && flags&4 != 0 {
					s.flags = first
				}
				s.duration = f.or(flags&0x100 != 0, track.duration)
				size := int(f.or(flags&0x200 != 0, track.size))
				s.flags = f.or(flags&0x400 != 0, s.flags)
				s.composition = int32(f.or(flags&0x800 != 0, 0))
				if offset < 0 || offset+size > len(data) {
					return fmt.Errorf("%w: a sample ends at %d of %d", errBox, offset+size, len(data))
				}
				s.data = data[offset : offset+size]
				offset, dts = offset+size, dts+int64(s.duration)
				samples = append(samples, s)
			}
		}
		if f.short {
			return fmt.Errorf("%w: %q is too short", errBox, kind)
		}
		return nil
	})
	return samples, err
}

// units brings samples to the form in which all containers are compared.
func (track cmafTrack) units(samples []cmafSample) (units []unit) {
	codec := map[string]nalCodec{"avc1": h264NAL, "avc3": h264NAL, "hvc1": hevcNAL, "hev1": hevcNAL}[track.entry]
	milliseconds := func(ticks int64) int64 {
		return int64(math.Round(float64(ticks) * 1000 / float64(track.timescale)))
	}
	for _, s := range samples {
		hash := hashOf(s.data)
		if codec != noNAL {
			hash = hashNALs(splitNALs(s.data), codec)
		}
		key := track.kind == typeVideo && s.flags&nonSync == 0
		units = append(units, unit{track.kind, milliseconds(s.dts), milliseconds(s.dts + int64(s.composition)), key, hash})
	}
	return units
}
