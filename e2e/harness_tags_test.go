package e2e

import (
	"bufio"
	"bytes"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"testing"
)

// tag is an FLV tag or RTMP message: its type (8, 9 or 18), time in milliseconds, and body.
type tag struct {
	kind byte
	time uint32
	body []byte
}

func (t tag) String() string {
	return fmt.Sprintf("type %d, %d ms, %d bytes", t.kind, t.time, len(t.body))
}

// isHeader says whether the tag carries codec headers and no picture or sound.
func (t tag) isHeader() bool {
	switch {
	case len(t.body) < 2:
		return false
	case t.kind == typeVideo && t.body[0]&0x80 != 0:
		packetType := t.body[0] & 15
		if packetType == 6 { // Multitrack
			packetType = t.body[1] & 15
		}
		return packetType == 0 || packetType == 2 || packetType == 4 // SequenceStart, SequenceEnd, Metadata
	case t.kind == typeVideo:
		return (t.body[0]&15 == 7 || t.body[0]&15 == 12) && t.body[1] != 1
	case t.kind == typeAudio && t.body[0]>>4 == 9:
		packetType := t.body[0] & 15
		if packetType == 5 { // Multitrack
			packetType = t.body[1] & 15
		}
		return packetType != 1 && packetType != 7 // CodedFrames, ModEx
	case t.kind == typeAudio:
		return t.body[0]>>4 == 10 && t.body[1] == 0
	}
	return false
}

// endsSequence says whether the tag is an end of sequence message of video, which no later player
// needs.
func (t tag) endsSequence() bool {
	return t.kind == typeVideo && len(t.body) > 1 && (t.body[0]&0x80 != 0 && t.body[0]&15 == 2 || t.body[0]&0x8F == 7 && t.body[1] == 2)
}

// isKey says whether the tag is a key frame.
func (t tag) isKey() bool {
	return t.kind == typeVideo && len(t.body) > 0 && t.body[0]>>4&7 == 1 && !t.isHeader()
}

// sample cuts the composition time and the coded data out of the tag.
func (t tag) sample() (composition int32, data []byte) {
	at := 1
	switch first := t.body[0]; {
	case t.kind == typeVideo && first&0x80 != 0:
		fourCC := string(t.body[1:5])
		if at = 5; first&15 == 1 && (fourCC == "hvc1" || fourCC == "avc1") {
			composition, at = signed24(t.body[5:]), 8
		}
	case t.kind == typeVideo && (first&15 == 7 || first&15 == 12):
		composition, at = signed24(t.body[2:]), 5
	case t.kind == typeAudio && first>>4 == 9:
		at = 5
	case t.kind == typeAudio && first>>4 == 10:
		at = 2
	}
	return composition, t.body[at:]
}

func signed24(b []byte) int32 { return int32(uint32(b[0])<<24|uint32(b[1])<<16|uint32(b[2])<<8) >> 8 }

// readFLVHeader reads the file header and the first PreviousTagSize, and returns the flags.
func readFLVHeader(r io.Reader) (flags byte, err error) {
	header := make([]byte, 13)
	if _, err := io.ReadFull(r, header); err != nil {
		return 0, err
	}
	if want := []byte{'F', 'L', 'V', 1, header[4], 0, 0, 0, 9, 0, 0, 0, 0}; !bytes.Equal(header, want) {
		return 0, fmt.Errorf("FLV header % x", header)
	}
	return header[4], nil
}

// readTag reads a tag and checks the PreviousTagSize after it. FLV times are signed; the tests only
// see times below 2^31.
func readTag(r io.Reader) (tag, error) {
	header := make([]byte, 11)
	if _, err := io.ReadFull(r, header); err != nil {
		return tag{}, err
	}
	size := int(header[1])<<16 | int(header[2])<<8 | int(header[3])
	body := make([]byte, size+4)
	if _, err := io.ReadFull(r, body); err != nil {
		return tag{}, errors.Join(io.ErrUnexpectedEOF, err)
	}
	if previous := binary.BigEndian.Uint32(body[size:]); int(previous) != size+11 {
		return tag{}, fmt.Errorf("PreviousTagSize %d after a tag of %d", previous, size+11)
	}
	time := uint32(header[7])<<24 | uint32(header[4])<<16 | uint32(header[5])<<8 | uint32(header[6])
	return tag{header[0], time, body[:size]}, nil
}

// readFLV reads a whole file.
func readFLV(t testing.TB, path string) (tags []tag) {
	t.Helper()
	file, err := os.Open(path)
	if err != nil {
		t.Fatal(err)
	}
	defer file.Close()
	r := bufio.NewReader(file)
	if _, err := readFLVHeader(r); err != nil {
		t.Fatal(err)
	}
	for {
		next, err := readTag(r)
		if errors.Is(err, io.EOF) {
			return tags
		}
		if err != nil {
			t.Fatalf("%s: %v", path, err)
		}
		tags = append(tags, next)
	}
}

// unit is an access unit in a form that all containers can be brought to. Times are milliseconds.
type unit struct {
	kind     byte
	dts, pts int64
	key      bool
	hash     string // of the coded data; for H.264 and HEVC of all NAL units but delimiters and parameter sets
}

// nalCodec is a codec whose samples are NAL units.
type nalCodec int

const (
	noNAL nalCodec = iota
	h264NAL
	hevcNAL
)

// unitsOf turns tags into units. The codec says how to take samples of video apart.
func unitsOf(tags []tag, codec nalCodec) (units []unit) {
	for _, tag := range tags {
		if tag.kind != typeAudio && tag.kind != typeVideo || tag.isHeader() || len(tag.body) == 0 {
			continue
		}
		composition, data := tag.sample()
		hash := hashOf(data)
		if tag.kind == typeVideo && codec != noNAL {
			hash = hashNALs(splitNALs(data), codec)
		}
		dts := int64(tag.time)
		units = append(units, unit{tag.kind, dts, dts + int64(composition), tag.isKey(), hash})
	}
	return units
}

// splitNALs takes NAL units with four-byte lengths apart.
func splitNALs(data []byte) (nals [][]byte) {
	for len(data) >= 4 {
		n := min(int(binary.BigEndian.Uint32(data)), len(data)-4)
		nals, data = append(nals, data[4:4+n]), data[4+n:]
	}
	return nals
}

// hashNALs leaves out what a packager may add, move or drop: access unit delimiters and parameter
// sets.
func hashNALs(nals [][]byte, codec nalCodec) string {
	var all []byte
	for _, nal := range nals {
		if len(nal) == 0 {
			continue
		}
		h264, hevc := nal[0]&31, nal[0]>>1&63
		if codec == h264NAL && h264 >= 7 && h264 <= 9 || codec == hevcNAL && hevc >= 32 && hevc <= 35 {
			continue
		}
		all = append(binary.BigEndian.AppendUint32(all, uint32(len(nal))), nal...)
	}
	return hashOf(all)
}

func hashOf(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:8])
}

func only(units []unit, kind byte) (some []unit) {
	for _, u := range units {
		if u.kind == kind {
			some = append(some, u)
		}
	}
	return some
}

// comparison says how strictly check compares.
type comparison struct {
	// tolerance is what a container's clock may lose, in milliseconds.
	tolerance int64
	// whole demands that out begins with the first key frame of in and goes on to its end.
	whole bool
	// begins demands that out has all the sound of in from its first picture on.
	begins bool
	// after is for how long, in milliseconds of the first units, times are not compared.
	after int64
}

// check fails the test unless out is a row of in without a gap: the same data, key flags, decode
// intervals and composition times, with one offset of time for all tracks.
func (c comparison) check(t testing.TB, what string, in, out []unit) {
	t.Helper()
	offset, known, begun := int64(0), false, int64(0)
	for _, kind := range []byte{typeVideo, typeAudio} {
		from, to := only(in, kind), only(out, kind)
		if len(from) == 0 {
			if len(to) > 0 {
				t.Errorf("%s: %d units of type %d from nowhere", what, len(to), kind)
			}
			continue
		}
		if len(to) == 0 {
			t.Errorf("%s: no unit of type %d, there were %d", what, kind, len(from))
			continue
		}
		start := -1
		for i := range from {
			if from[i].hash == to[0].hash && (!known || near(to[0].dts-from[i].dts, offset, c.tolerance+c.after)) {
				start = i
				break
			}
		}
		if start < 0 {
			t.Errorf("%s: the first unit of type %d was never sent", what, kind)
			continue
		}
		if kind == typeVideo && !to[0].key {
			t.Errorf("%s: begins with a picture that is no key frame", what)
		}
		if kind == typeVideo {
			begun = from[start].dts
		} else if c.begins && start > 0 && from[start-1].dts >= begun {
			t.Errorf("%s: begins with a picture sent as of %d ms, and has sound from %d ms on", what, begun, from[start].dts)
		}
		for i := range to {
			if start+i >= len(from) {
				t.Errorf("%s: type %d has %d units more than were sent", what, kind, len(to)-i)
				break
			}
			a, b := from[start+i], to[i]
			timed := a.dts-from[0].dts >= c.after
			if timed && !known {
				offset, known = b.dts-a.dts, true
			}
			if a.hash != b.hash || a.key != b.key || timed && (!near(b.dts-a.dts, offset, c.tolerance) || !near(b.pts-a.pts, offset, c.tolerance)) {
				t.Errorf("%s: unit %d of type %d differs, sent as %d: %+v, came as %+v (time offset %d)", what, i, kind, start+i, a, b, offset)
				break
			}
		}
		if c.whole {
			if kind == typeVideo && start != firstKey(from) {
				t.Errorf("%s: begins with picture %d", what, start)
			}
			if missing := len(from) - start - len(to); missing > 0 {
				t.Errorf("%s: the last %d units of type %d are missing (%d came)", what, missing, kind, len(to))
			}
		}
	}
}

func near(a, b, tolerance int64) bool { return a-b <= tolerance && b-a <= tolerance }

func firstKey(units []unit) int {
	for i, u := range units {
		if u.key {
			return i
		}
	}
	return -1
}

// rising checks that the times of each track never fall.
func rising(t testing.TB, what string, tags []tag) {
	t.Helper()
	last := map[byte]uint32{}
	for i, tag := range tags {
		if before, ok := last[tag.kind]; ok && tag.time < before && tag.kind != typeData {
			t.Errorf("%s: time falls at tag %d from %d ms to %v", what, i, before, tag)
			return
		}
		last[tag.kind] = tag.time
	}
}

// gapless checks that no two units of a track are further apart than the limit, in milliseconds.
func gapless(t testing.TB, what string, tags []tag, limit uint32) {
	t.Helper()
	last := map[byte]uint32{}
	for i, tag := range tags {
		if tag.isHeader() || tag.kind == typeData {
			continue
		}
		if before, ok := last[tag.kind]; ok && tag.time > before+limit {
			t.Errorf("%s: gap of %d ms before tag %d: %v", what, tag.time-before, i, tag)
			return
		}
		last[tag.kind] = tag.time
	}
}

// headersFirst checks that each track's codec header comes before its first unit, and that the
// first picture is a key frame.
func headersFirst(t testing.TB, what string, tags []tag, kinds ...byte) {
	t.Helper()
	for _, kind := range kinds {
		seen := false
		for _, tag := range tags {
			if tag.kind != kind {
				continue
			}
			if tag.isHeader() {
				seen = true
				continue
			}
			if !seen {
				t.Errorf("%s: type %d begins without its codec header", what, kind)
			}
			if kind == typeVideo && !tag.isKey() {
				t.Errorf("%s: the first picture is no key frame", what)
			}
			break
		}
	}
}
