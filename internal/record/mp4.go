package record

import (
	"encoding/binary"
	"errors"
	"fmt"
	"time"
)

// errMP4 says that a file is not as the packager writes it.
var errMP4 = errors.New("not a CMAF file")

const boxHeader = 8

// boxes calls visit with the type of each box in data, its place and its payload, which it may
// change. Sizes of 32 bits only, as the packager writes them.
func boxes(data []byte, visit func(kind string, at int, payload []byte) error) error {
	for at := 0; at < len(data); {
		if len(data)-at < boxHeader {
			return errMP4
		}
		size := int(binary.BigEndian.Uint32(data[at:]))
		if size < boxHeader || size > len(data)-at {
			return errMP4
		}
		if err := visit(string(data[at+4:at+8]), at, data[at+boxHeader:at+size]); err != nil {
			return err
		}
		at += size
	}
	return nil
}

// containers are the boxes that walk looks into.
func container(kind string) bool {
	switch kind {
	case "moov", "trak", "mdia", "mvex", "moof", "traf":
		return true
	}
	return false
}

// walk calls visit with all boxes, also those in others, with the least size of the payloads that
// are looked into.
func walk(data []byte, visit func(kind string, payload []byte) error) error {
	return boxes(data, func(kind string, _ int, payload []byte) error {
		if err := visit(kind, payload); err != nil || !container(kind) {
			return err
		}
		return walk(payload, visit)
	})
}

// field returns bytes of a box from an offset on, or errMP4.
func field(payload []byte, offset, size int) ([]byte, error) {
	if len(payload) < offset+size {
		return nil, errMP4
	}
	return payload[offset : offset+size], nil
}

// initOf is an initialization section of one track.
type initOf struct {
	data      []byte
	timescale uint32
}

// readInit reads an initialization section. data is changed later.
func readInit(data []byte) (s initOf, err error) {
	s.data = data
	err = walk(data, func(kind string, payload []byte) error {
		if kind != "mdhd" {
			return nil
		}
		b, err := field(payload, 12, 4) // version 0 (ISO/IEC 14496-12 §8.4.2)
		if err == nil {
			s.timescale = binary.BigEndian.Uint32(b)
		}
		return err
	})
	if err == nil && s.timescale == 0 {
		err = errMP4
	}
	return s, err
}

// joinInits makes one initialization section of those of several tracks, which get the numbers 1, 2
// and so on:
//
//	ftyp        of the first
//	moov
//	  mvhd      of the first
//	  trak      of each
//	  mvex
//	    mehd    how long all is
//	    trex    of each
func joinInits(inits []initOf, length time.Duration) ([]byte, error) {
	var ftyp, mvhd, traks, trexs []byte
	for i := range inits {
		id := uint32(i + 1)
		err := walk(inits[i].data, func(kind string, payload []byte) error {
			switch kind {
			case "tkhd": // version 0 (§8.3.2)
				return number32(payload, 12, id)
			case "trex": // §8.8.3
				return number32(payload, 4, id)
			case "mvhd": // version 0 (§8.2.2): next_track_ID is the last field
				return number32(payload, len(payload)-4, uint32(len(inits)+1))
			}
			return nil
		})
		if err != nil {
			return nil, err
		}
		collect := func(to *[]byte, data []byte, want string, all bool) error {
			return boxes(data, func(kind string, at int, payload []byte) error {
				if kind == want && (all || *to == nil) {
					*to = append(*to, data[at:at+boxHeader+len(payload)]...)
				}
				return nil
			})
		}
		err = boxes(inits[i].data, func(kind string, at int, payload []byte) error {
			if kind == "ftyp" && ftyp == nil {
				ftyp = inits[i].data[at : at+boxHeader+len(payload)]
			}
			if kind != "moov" {
				return nil
			}
			return errors.Join(collect(&mvhd, payload, "mvhd", false), collect(&traks, payload, "trak", true),
				boxes(payload, func(kind string, _ int, mvex []byte) error {
					if kind != "mvex" {
						return nil
					}
					return collect(&trexs, mvex, "trex", true)
				}))
		})
		if err != nil {
			return nil, err
		}
	}
	if len(mvhd) < boxHeader+16 || traks == nil || trexs == nil {
		return nil, errMP4
	}
	scale := binary.BigEndian.Uint32(mvhd[boxHeader+12:])
	mehd := box("mehd", binary.BigEndian.AppendUint64([]byte{1, 0, 0, 0}, uint64(ticks(length, scale)))) // §8.8.2
	return append(ftyp[:len(ftyp):len(ftyp)], box("moov", mvhd, traks, box("mvex", mehd, trexs))...), nil
}

// number32 puts a number into a box.
func number32(payload []byte, offset int, n uint32) error {
	if offset < 0 {
		return errMP4
	}
	b, err := field(payload, offset, 4)
	if err == nil {
		binary.BigEndian.PutUint32(b, n)
	}
	return err
}

// box makes one of its payload.
func box(kind string, pieces ...[]byte) []byte {
	size := boxHeader
	for _, p := range pieces {
		size += len(p)
	}
	b := append(binary.BigEndian.AppendUint32(make([]byte, 0, size), uint32(size)), kind...)
	for _, p := range pieces {
		b = append(b, p...)
	}
	return b
}

func ticks(d time.Duration, scale uint32) int64 {
	return int64(d/time.Second)*int64(scale) + int64(d%time.Second)*int64(scale)/int64(time.Second)
}

// timeOf is what ticks are as a time.
func timeOf(ticks int64, scale uint32) time.Duration {
	s := int64(scale)
	return time.Duration(ticks/s)*time.Second + time.Duration(ticks%s)*time.Second/time.Duration(s)
}

// begins returns the first decode time in a segment.
func begins(data []byte, scale uint32) (at time.Duration, err error) {
	found := false
	err = walk(data, func(kind string, payload []byte) error {
		if kind != "tfdt" || found {
			return nil
		}
		t, err := decodeTime(payload)
		at, found = timeOf(t, scale), true
		return err
	})
	if err == nil && !found {
		err = errMP4
	}
	return at, err
}

// decodeTime reads a tfdt of version 1 (§8.8.12).
func decodeTime(payload []byte) (int64, error) {
	b, err := field(payload, 4, 8)
	if err != nil || payload[0] != 1 {
		return 0, errMP4
	}
	return int64(binary.BigEndian.Uint64(b)), nil
}

// lasts returns how long the samples of a segment last, by their run boxes with a duration for each
// (§8.8.8).
func lasts(data []byte, scale uint32) (time.Duration, error) {
	sum, usual := int64(0), int64(0)
	err := walk(data, func(kind string, payload []byte) error {
		switch kind {
		case "tfhd":
			usual = 0
			return tfhdDuration(payload, &usual)
		case "trun":
			n, err := trunDuration(payload, usual)
			sum += n
			return err
		}
		return nil
	})
	return timeOf(sum, scale), err
}

// tfhdDuration reads default_sample_duration, if it is there (§8.8.7).
func tfhdDuration(payload []byte, usual *int64) error {
	head, err := field(payload, 0, 8)
	if err != nil {
		return err
	}
	flags, at := binary.BigEndian.Uint32(head)&0xFFFFFF, 8
	if flags&1 != 0 {
		at += 8
	}
	if flags&2 != 0 {
		at += 4
	}
	if flags&8 == 0 {
		return nil
	}
	b, err := field(payload, at, 4)
	if err == nil {
		*usual = int64(binary.BigEndian.Uint32(b))
	}
	return err
}

func trunDuration(payload []byte, usual int64) (sum int64, err error) {
	head, err := field(payload, 0, 8)
	if err != nil {
		return 0, err
	}
	flags, count := binary.BigEndian.Uint32(head)&0xFFFFFF, int64(binary.BigEndian.Uint32(head[4:]))
	at, step := 8, 0
	for _, flag := range []uint32{1, 4} {
		if flags&flag != 0 {
			at += 4
		}
	}
	for _, flag := range []uint32{0x100, 0x200, 0x400, 0x800} {
		if flags&flag != 0 {
			step += 4
		}
	}
	if flags&0x100 == 0 {
		return count * usual, nil
	}
	if count*int64(step) > int64(len(payload)-at) {
		return 0, errMP4
	}
	for range count {
		sum += int64(binary.BigEndian.Uint32(payload[at:]))
		at += step
	}
	return sum, nil
}

// retrack makes the fragments of a segment those of a track in another file: with its number, and
// times that are less by shift. sequence counts the fragments of the file.
func retrack(data []byte, id uint32, shift int64, sequence *uint32) error {
	return walk(data, func(kind string, payload []byte) error {
		switch kind {
		case "mfhd": // §8.8.5
			*sequence++
			return number32(payload, 4, *sequence)
		case "tfhd", "prft": // §8.8.7, §8.16.5
			return number32(payload, 4, id)
		case "tfdt":
			t, err := decodeTime(payload)
			if err != nil {
				return err
			}
			if t -= shift; t < 0 {
				return fmt.Errorf("%w: a time before the beginning", errMP4)
			}
			binary.BigEndian.PutUint64(payload[4:], uint64(t))
		}
		return nil
	})
}
