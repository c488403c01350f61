package hlsclient

import (
	"encoding/binary"
	"fmt"
	"slices"
	"time"

	"livego/internal/codec"
	"livego/internal/media"
)

const (
	// maxSamples bounds the samples of a segment: a minute of 120 pictures and 400 audio frames a
	// second.
	maxSamples = 32 << 10
	// maxTracks bounds those of an initialization section.
	maxTracks = 16
	// videoEntry and audioEntry are the bytes of a sample entry before its boxes (ISO/IEC 14496-12
	// §12.1.3, 12.2.3).
	videoEntry = 78
	audioEntry = 28
	// notSync is sample_is_non_sync_sample (§8.8.3.1).
	notSync = 1 << 16
)

var errBox = fmt.Errorf("%w: a box that is not whole", ErrNotHLS)

// cmaf reads fragments by an initialization section. The first track of each kind is played.
type cmaf struct {
	tracks []cmafTrack
}

type cmafTrack struct {
	id    uint32
	scale uint64 // of times, in Hz
	media *media.Track
	// What trex says where a fragment says nothing (§8.8.3).
	duration, size, flags uint32
}

// boxes calls f for each box, with what is in it, and stops at an error (§4.2).
func boxes(b []byte, f func(kind string, content []byte) error) error {
	for len(b) > 0 {
		if len(b) < 8 {
			return errBox
		}
		size, header := uint64(binary.BigEndian.Uint32(b)), uint64(8)
		switch {
		case size == 0:
			size = uint64(len(b))
		case size == 1 && len(b) >= 16:
			size, header = binary.BigEndian.Uint64(b[8:]), 16
		}
		if size < header || size > uint64(len(b)) {
			return errBox
		}
		if err := f(string(b[4:8]), b[header:size]); err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// within returns the first box of a path, nil if there is none.
func within(b []byte, path ...string) (found []byte) {
	for i, name := range path {
		found = nil
		err := boxes(b, func(kind string, content []byte) error {
			if kind == name && found == nil {
				found = content
			}
			return nil
		})
		if err != nil || found == nil {
			return nil
		}
		if i == len(path)-1 {
			return found
		}
		b = found
	}
	return nil
}

// parseInit reads an initialization section.
func parseInit(text []byte) (*cmaf, error) {
	c := new(cmaf)
	moov := within(text, "moov")
	err := boxes(moov, func(kind string, content []byte) error {
		if kind != "trak" || len(c.tracks) == maxTracks {
			return nil
		}
		t, ok := parseTrack(content)
		same := func(o cmafTrack) bool { return o.media.Kind == t.media.Kind }
		if ok && !slices.ContainsFunc(c.tracks, same) {
			c.tracks = append(c.tracks, t)
		}
		return nil
	})
	if err != nil {
		return nil, err
	}
	if len(c.tracks) == 0 {
		return nil, fmt.Errorf("%w: no track of a codec that is known", ErrNotHLS)
	}
	_ = boxes(within(moov, "mvex"), func(kind string, content []byte) error {
		f := fields{b: content}
		f.skip(4)
		id := f.u32()
		f.skip(4)
		for i := range c.tracks {
			if t := &c.tracks[i]; kind == "trex" && t.id == id {
				t.duration, t.size, t.flags = f.u32(), f.u32(), f.u32()
			}
		}
		return nil
	})
	return c, nil
}

// parseTrack reads a trak. It is false if its codec is not known.
func parseTrack(trak []byte) (t cmafTrack, ok bool) {
	header := fields{b: within(trak, "tkhd")}
	header.skipTimes()
	t.id = header.u32()
	clock := fields{b: within(trak, "mdia", "mdhd")}
	clock.skipTimes()
	t.scale = uint64(clock.u32())
	entries := within(trak, "mdia", "minf", "stbl", "stsd")
	if header.short || clock.short || t.scale == 0 || len(entries) < 8 {
		return t, false
	}
	err := boxes(entries[8:], func(kind string, content []byte) error {
		if t.media == nil {
			t.media = parseEntry(kind, content)
		}
		return nil
	})
	return t, err == nil && t.media != nil
}

// parseEntry makes the track of a sample entry, nil if its codec is not known.
func parseEntry(kind string, content []byte) *media.Track {
	known, ok := entries[kind]
	t := &media.Track{Kind: media.Video, Codec: known.codec}
	skip := videoEntry
	if known.audio {
		t.Kind, skip = media.Audio, audioEntry
	}
	if !ok || len(content) < skip {
		return nil
	}
	config := within(content[skip:], known.config)
	switch kind {
	case "mp4a":
		if t.Codec, config = parseESDS(config); t.Codec == media.Unknown {
			return nil
		}
	case "Opus":
		config = opusHead(config)
	case "fLaC":
		if len(config) < 4 {
			return nil
		}
		config = append([]byte("fLaC"), config[4:]...)
	}
	codec.Configure(t, slices.Clone(config))
	return t
}

// entries are sample entries by their names, with the box that configures the decoder.
var entries = map[string]struct {
	codec  media.Codec
	audio  bool
	config string
}{
	"avc1": {media.H264, false, "avcC"}, "avc3": {media.H264, false, "avcC"},
	"hvc1": {media.HEVC, false, "hvcC"}, "hev1": {media.HEVC, false, "hvcC"},
	"av01": {media.AV1, false, "av1C"}, "vp09": {media.VP9, false, "vpcC"},
	"mp4a": {media.AAC, true, "esds"}, "Opus": {media.Opus, true, "dOps"}, "fLaC": {media.FLAC, true, "dfLa"},
	"ac-3": {media.AC3, true, "dac3"}, "ec-3": {media.EAC3, true, "dec3"}, ".mp3": {media.MP3, true, ""},
}

// parseESDS finds the codec and the AudioSpecificConfig in an ES_Descriptor (ISO/IEC 14496-1
// §7.2.6.5).
func parseESDS(esds []byte) (media.Codec, []byte) {
	const esTag, decoderTag, specificTag = 3, 4, 5
	if len(esds) < 4 {
		return media.Unknown, nil
	}
	es := descriptor(esds[4:], esTag)
	if len(es) < 3 || es[2] != 0 { // with flags that nobody uses in CMAF
		return media.Unknown, nil
	}
	decoder := descriptor(es[3:], decoderTag)
	if len(decoder) < 13 {
		return media.Unknown, nil
	}
	switch decoder[0] { // objectTypeIndication
	case 0x69, 0x6B:
		return media.MP3, nil
	case 0x40, 0x66, 0x67, 0x68:
		return media.AAC, descriptor(decoder[13:], specificTag)
	}
	return media.Unknown, nil
}

// descriptor returns what is in a descriptor, nil if it is not the one of the tag.
func descriptor(b []byte, tag byte) []byte {
	if len(b) < 2 || b[0] != tag {
		return nil
	}
	n := 0
	for i, v := range b[1:min(len(b), 5)] {
		n = n<<7 | int(v&0x7F)
		if v&0x80 == 0 {
			if n > len(b)-2-i {
				return nil
			}
			return b[2+i:][:n]
		}
	}
	return nil
}

// opusHead makes the OpusHead (RFC 7845 §5.1) of a dOps box, whose numbers are big-endian.
func opusHead(dops []byte) []byte {
	if len(dops) < 11 {
		return nil
	}
	head := append([]byte("OpusHead\x01"), dops[1])
	head = binary.LittleEndian.AppendUint16(head, binary.BigEndian.Uint16(dops[2:]))
	head = binary.LittleEndian.AppendUint32(head, binary.BigEndian.Uint32(dops[4:]))
	head = binary.LittleEndian.AppendUint16(head, binary.BigEndian.Uint16(dops[8:]))
	return append(head, dops[10:]...)
}

// segment returns the units of a segment.
func (c *cmaf) segment(text []byte) (units []unit, err error) {
	rest := text
	err = boxes(text, func(kind string, content []byte) error {
		from := rest
		rest = after(rest)
		if kind != "moof" {
			return nil
		}
		return boxes(content, func(kind string, traf []byte) error {
			if kind != "traf" {
				return nil
			}
			units, err = c.fragment(units, from, traf)
			return err
		})
	})
	return units, err
}

// after is what follows the first box, which is whole.
func after(b []byte) []byte {
	size := uint64(binary.BigEndian.Uint32(b))
	switch size {
	case 0:
		return nil
	case 1:
		size = binary.BigEndian.Uint64(b[8:])
	}
	return b[size:]
}

// fragment appends the samples of one traf. moof is what begins with the box that it is in.
func (c *cmaf) fragment(units []unit, moof, traf []byte) ([]unit, error) {
	head := fields{b: within(traf, "tfhd")} // §8.8.7
	has := head.u32()
	id := head.u32()
	i := slices.IndexFunc(c.tracks, func(t cmafTrack) bool { return t.id == id })
	if i < 0 || head.short {
		return units, nil
	}
	t := c.tracks[i]
	head.skipIf(has&1 != 0, 8)
	head.skipIf(has&2 != 0, 4)
	t.duration, t.size, t.flags = head.u32If(has&8 != 0, t.duration), head.u32If(has&0x10 != 0, t.size), head.u32If(has&0x20 != 0, t.flags)
	time := fields{b: within(traf, "tfdt")} // §8.8.12
	version := time.u32() >> 24
	at := uint64(time.u32())
	if version == 1 {
		at = at<<32 | uint64(time.u32())
	}
	if head.short || time.short {
		return units, errBox
	}
	err := boxes(traf, func(kind string, content []byte) (err error) {
		if kind == "trun" {
			units, at, err = t.run(units, moof, content, at)
		}
		return err
	})
	return units, err
}

// run appends the samples of one trun (§8.8.8), and returns the time behind them.
func (t *cmafTrack) run(units []unit, moof, trun []byte, at uint64) ([]unit, uint64, error) {
	f := fields{b: trun}
	has, count := f.u32(), f.u32()
	offset := uint64(f.u32If(has&1 != 0, 0))
	first := f.u32If(has&4 != 0, t.flags)
	for i := range count {
		duration, size := f.u32If(has&0x100 != 0, t.duration), uint64(f.u32If(has&0x200 != 0, t.size))
		flags := t.flags
		if i == 0 {
			flags = first
		}
		flags = f.u32If(has&0x400 != 0, flags)
		shift := int64(int32(f.u32If(has&0x800 != 0, 0)))
		// An empty sample would let the count run on without any data behind it.
		if f.short || size == 0 || offset+size > uint64(len(moof)) || len(units) >= maxSamples {
			return units, at, errBox
		}
		units = append(units, t.unit(int64(at), shift, flags&notSync == 0, moof[offset:offset+size:offset+size]))
		at += uint64(duration)
		offset += size
	}
	if f.short {
		return units, at, errBox
	}
	return units, at, nil
}

// unit is one sample.
func (t *cmafTrack) unit(at, shift int64, sync bool, data []byte) unit {
	u := media.AccessUnit{Track: t.media, RandomAccess: sync, DTS: rounded(at, t.scale), Data: data}
	u.PTS = u.DTS
	if t.media.Kind == media.Video {
		u.PTS += rounded(shift, t.scale)
	}
	u.PTS = u.PTS.Round(time.Millisecond)
	return unit{AccessUnit: u}
}

// fields reads big-endian numbers; the first that is not there is remembered.
type fields struct {
	b     []byte
	short bool
}

func (f *fields) u32() uint32 {
	if len(f.b) < 4 {
		f.short = true
		return 0
	}
	v := binary.BigEndian.Uint32(f.b)
	f.b = f.b[4:]
	return v
}

func (f *fields) u32If(there bool, otherwise uint32) uint32 {
	if !there {
		return otherwise
	}
	return f.u32()
}

func (f *fields) skip(n int) {
	if len(f.b) < n {
		f.short = true
		n = len(f.b)
	}
	f.b = f.b[n:]
}

func (f *fields) skipIf(there bool, n int) {
	if there {
		f.skip(n)
	}
}

// skipTimes skips version, flags, and the times of creation and change, whose length depends on the
// version.
func (f *fields) skipTimes() {
	if f.u32()>>24 == 1 {
		f.skip(16)
		return
	}
	f.skip(8)
}
