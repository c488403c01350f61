package record

import (
	"bufio"
	"encoding/binary"
	"io"
	"math"
	"time"

	"livego/internal/amf"
	"livego/internal/flv"
	"livego/internal/media"
)

const (
	// writeBuffer is what is collected for one write, in bytes, and maxUnwritten for how long.
	writeBuffer  = 128 << 10
	maxUnwritten = time.Second
	// scriptRoom is the length of the onMetaData body at the head of a file. It is written anew at
	// the end, with what is known then, so that its length is fixed: 20 KiB are an index of 1,000
	// key frames.
	scriptRoom = 20 << 10
	// maxDescription bounds what the encoder's metadata may take of it, in bytes.
	maxDescription = 2 << 10
	// keyFrameSize is what one key frame takes in the index: a time and a position.
	keyFrameSize = 2 * 9
	// maxDuration is the longest file: FLV time is signed (FLV E.4.1).
	maxDuration = math.MaxInt32 * time.Millisecond
	// flagsAt is where the header says which kinds of tag there are (FLV E.2).
	flagsAt  = 4
	hasVideo = 1
	hasAudio = 4
)

// file is what an os.File can do that a recording needs.
type file interface {
	io.WriteCloser
	io.WriterAt
	io.ReaderAt
	Truncate(size int64) error
}

// flvFile is an FLV file that is written.
//
//	| FLV header, PreviousTagSize0 | onMetaData of scriptRoom bytes | tags |
type flvFile struct {
	file  file
	w     *bufio.Writer
	first time.Duration // stream time of time 0
	// size is that of the file with what is buffered, good that up to the last whole tag on disk.
	size, good int64
	flags      byte
	// last and step are the time and the length of the newest unit, by kind, in the file's time.
	last, step [media.Data + 1]time.Duration
	flushed    time.Time
	keys       index
	described  amf.Object // by the encoder
	tag        []byte
}

func newFLVFile(f file, first time.Duration) (*flvFile, error) {
	v := &flvFile{file: f, w: bufio.NewWriterSize(f, writeBuffer), first: first, flushed: time.Now()}
	head := v.head()
	v.size = int64(len(head))
	_, err := v.w.Write(head)
	if err == nil {
		err = v.flush()
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return v, nil
}

// describe takes the encoder's onMetaData: its plain values are in the file's own.
func (v *flvFile) describe(body []byte) {
	values, err := amf.DecodeAll(body)
	if err != nil || len(values) < 2 {
		return
	}
	var kept amf.Object
	for _, p := range amf.Properties(values[1]) {
		switch p.Name {
		case "duration", "filesize", "keyframes", "hasKeyframes", "spacer", "lasttimestamp":
			continue
		}
		switch p.Value.(type) {
		case float64, bool, string:
			if len(amf.Append(nil, append(kept, p))) <= maxDescription {
				kept = append(kept, p)
			}
		}
	}
	v.described = kept
}

// head returns the file's head as it is known now.
func (v *flvFile) head() []byte {
	properties := append(amf.ECMAArray{
		{Name: "duration", Value: v.duration().Seconds()},
		{Name: "filesize", Value: float64(v.size)},
		{Name: "hasVideo", Value: v.flags&hasVideo != 0},
		{Name: "hasAudio", Value: v.flags&hasAudio != 0},
	}, v.described...)
	times, positions := v.keys.lists()
	if len(times) > 0 {
		properties = append(properties,
			amf.Property{Name: "hasKeyframes", Value: true},
			amf.Property{Name: "keyframes", Value: amf.Object{{Name: "times", Value: times}, {Name: "filepositions", Value: positions}}})
	}
	blank := scriptRoom - len(amf.Append(nil, "onMetaData", properties))
	properties = append(properties, spacers(blank)...)
	head := flv.AppendFileHeader(nil, v.flags&hasVideo != 0, v.flags&hasAudio != 0)
	return flv.AppendTag(head, flv.TypeData, 0, amf.Append(nil, "onMetaData", properties))
}

const (
	// spacerText is the longest text of a spacer, in bytes: FFmpeg reads strings of less than
	// 1,024.
	spacerText = 900
	spacerName = "spacer"
	// spacerSize is what a property with an empty text takes: two lengths, name and marker.
	spacerSize = 2 + len(spacerName) + 1 + 2
)

// spacers returns properties of so many bytes together that say nothing.
func spacers(size int) (all amf.ECMAArray) {
	for size >= spacerSize {
		text := min(size-spacerSize, spacerText)
		if rest := size - spacerSize - text; rest > 0 && rest < spacerSize {
			text -= spacerSize // leave enough for the last one
		}
		all = append(all, amf.Property{Name: spacerName, Value: string(make([]byte, text))})
		size -= spacerSize + text
	}
	return all
}

// full says that a unit is too late for this file.
func (v *flvFile) full(u *media.AccessUnit) bool {
	late := u.DTS - v.first
	return late >= maxDuration || u.Join && late >= maxDuration-time.Hour
}

// append adds the message of a unit.
func (v *flvFile) append(u *media.AccessUnit, body []byte) error {
	at := max(u.DTS-v.first, 0)
	if u.Header == media.Sample {
		v.note(u, at)
	}
	messageType := u.MessageType
	if messageType == 0 {
		messageType = typeOf(u.Track.Kind)
	}
	v.tag = flv.AppendTag(v.tag[:0], messageType, uint32(at.Milliseconds()), body)
	v.size += int64(len(v.tag))
	_, err := v.w.Write(v.tag)
	return err
}

// note looks at what a sample tells about the file.
func (v *flvFile) note(u *media.AccessUnit, at time.Duration) {
	kind := u.Track.Kind
	switch kind {
	case media.Video:
		v.flags |= hasVideo
		if u.RandomAccess {
			v.keys.add(at, v.size)
		}
	case media.Audio:
		v.flags |= hasAudio
	default:
		return
	}
	if step := at - v.last[kind]; step > 0 && step < time.Second {
		v.step[kind] = step
	}
	v.last[kind] = at
}

// typeOf is the type of tag of a kind of track.
func typeOf(k media.Kind) uint8 {
	switch k {
	case media.Video:
		return flv.TypeVideo
	case media.Audio:
		return flv.TypeAudio
	}
	return flv.TypeData
}

// duration is where the last unit ends, as far as can be told.
func (v *flvFile) duration() time.Duration {
	return max(v.last[media.Video]+v.step[media.Video], v.last[media.Audio]+v.step[media.Audio])
}

// old says that what is buffered waits for long.
func (v *flvFile) old(now time.Time) bool {
	return v.w.Buffered() > 0 && now.Sub(v.flushed) >= maxUnwritten
}

func (v *flvFile) flush() error {
	if err := v.w.Flush(); err != nil {
		return err
	}
	v.good, v.flushed = v.size, time.Now()
	return nil
}

// finish writes what is left and the head anew, and closes the file.
func (v *flvFile) finish() error {
	err := v.flush()
	if err == nil {
		_, err = v.file.WriteAt(v.head(), 0)
	}
	if closed := v.file.Close(); err == nil {
		err = closed
	}
	return err
}

// salvage leaves of a file that cannot be written on what is whole, for which it needs no further
// room, and closes it. It is false if that fails too.
func (v *flvFile) salvage() bool {
	v.size = lastTagEnd(v.file, v.good)
	err := v.file.Truncate(v.size)
	if err == nil {
		_, err = v.file.WriteAt(v.head(), 0)
	}
	return v.file.Close() == nil && err == nil && v.good > 0
}

// lastTagEnd returns where the last whole tag ends, from one that ends at good on.
func lastTagEnd(f io.ReaderAt, good int64) int64 {
	for {
		var h [11]byte
		if _, err := f.ReadAt(h[:], good); err != nil {
			return good
		}
		next := good + 11 + int64(h[1])<<16 + int64(h[2])<<8 + int64(h[3]) + 4
		var size [4]byte
		if _, err := f.ReadAt(size[:], next-4); err != nil || int64(binary.BigEndian.Uint32(size[:])) != next-4-good {
			return good
		}
		good = next
	}
}

// index is the key frames of a file, each n-th of them so that they fit into its head.
type index struct {
	times, positions []float64
	every, skip      int
}

// maxKeys is how many key frames an index takes: an even number, so that the next one is in step
// when each second one was left out.
const maxKeys = (scriptRoom - maxDescription - 512) / keyFrameSize / 2 * 2

func (x *index) add(at time.Duration, position int64) {
	if x.skip > 0 {
		x.skip--
		return
	}
	x.every = max(x.every, 1)
	if len(x.times) == maxKeys {
		n := 0
		for i := 0; i < len(x.times); i += 2 {
			x.times[n], x.positions[n] = x.times[i], x.positions[i]
			n++
		}
		x.times, x.positions = x.times[:n], x.positions[:n]
		x.every *= 2
	}
	x.times, x.positions = append(x.times, at.Seconds()), append(x.positions, float64(position))
	x.skip = x.every - 1
}

func (x *index) lists() (times, positions amf.StrictArray) {
	for i := range x.times {
		times, positions = append(times, x.times[i]), append(positions, x.positions[i])
	}
	return times, positions
}
