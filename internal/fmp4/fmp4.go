// Package fmp4 writes CMAF (ISO/IEC 23000-19): init segments and fragments of ISO base media files
// (ISO/IEC 14496-12), for HLS.
//
// Each track has files of its own. AppendInit writes its init segment; a Writer turns access units
// into fragments at the end of a caller's buffer. A part of Low-Latency HLS is one fragment, and a
// segment is the concatenation of its parts. Nothing is allocated per access unit, no clock is read
// and no media kept. Samples go in as they came: lengths of NAL units keep their size, and what a
// decoder alone understands is not looked at.
package fmp4

import (
	"errors"
	"fmt"
	"time"

	"livego/internal/media"
	"livego/internal/nal"
)

// What the package says of tracks and access units that it does not take. The texts that wrap them
// hold the numbers.
var (
	// ErrUnsupported: CMAF has no way to carry the track, or its header lacks what an init segment
	// needs.
	ErrUnsupported = errors.New("track that CMAF cannot carry")
	// ErrTrack: the unit is no sample of the track.
	ErrTrack = errors.New("not a sample of this track")
	// ErrTime: decode time falls within the track, or a time lies outside of what the format can
	// say.
	ErrTime = errors.New("time out of range")
	// ErrData: the sample is empty, too long, or of a structure at which players give up.
	ErrData = errors.New("malformed data")
)

const (
	// maxAhead and maxBehind bound presentation minus decode time: sixteen pictures, the most that
	// H.264 and HEVC reorder, at two pictures a second, and at eight for encoders that write
	// negative composition times.
	maxAhead  = 8 * time.Second
	maxBehind = 2 * time.Second
	// maxTime keeps sums of times far away from overflow: 146 years.
	maxTime = time.Duration(1) << 62
	// maxGap is the longest time from one unit to the next in a fragment, so that no sample
	// duration overflows. A stream's timeline has no gap over ten seconds.
	maxGap = time.Minute
	// maxUnit and maxUnits bound a fragment: more than an RTMP message holds, more than a segment
	// of a minute has.
	maxUnit  = 16 << 20
	maxUnits = 1 << 16
	// maxFragment keeps the sizes of boxes within 32 bits.
	maxFragment = 1 << 30
	// maxRate and maxPicture bound what a sample entry is made for: more than any codec has, and 16
	// bits.
	maxRate    = 768_000
	maxPicture = 1<<16 - 1
	// maxConfig bounds a decoder configuration record, which is copied into the init segment.
	maxConfig = 1 << 20
)

const (
	// videoID and soundID are the numbers of the only track of a file: not the same, so that files
	// of both can be put together (JoinInits).
	videoID, soundID = 1, 2
	// videoTimescale is a multiple of every usual picture rate, and of milliseconds.
	videoTimescale = 90_000
)

// trackID is the number of a track in its file.
func trackID(t *media.Track) uint32 {
	if t.Kind == media.Audio {
		return soundID
	}
	return videoID
}

// Supports says whether CMAF can carry the track, with what its header tells.
func Supports(t *media.Track) bool {
	_, err := describe(t)
	return err == nil
}

// Check says whether a fragment may hold the unit, as far as that can be seen without its
// neighbours: nil, ErrTrack, ErrTime or ErrData. What it refuses would make a player give up on the
// whole stream, so the unit is to be left out. A picture's slices and an audio frame's bits are not
// looked at: they concern only the decoder, which recovers.
func Check(u *media.AccessUnit) error {
	if u.Track == nil || u.Header != media.Sample {
		return ErrTrack
	}
	if err := checkTime(u); err != nil {
		return err
	}
	if len(u.Data) > maxUnit {
		return fmt.Errorf("sample of %d bytes: %w", len(u.Data), ErrData)
	}
	switch u.Track.Codec {
	case media.H264, media.HEVC, media.VVC:
		return checkNALUnits(u.Data, u.Track.NALLengthSize)
	case media.AV1:
		return checkOBUs(Payload(u))
	}
	if len(u.Data) == 0 {
		return fmt.Errorf("empty sample: %w", ErrData)
	}
	return nil
}

func checkTime(u *media.AccessUnit) error {
	switch {
	case u.DTS < 0 || u.DTS > maxTime:
		return fmt.Errorf("decode time %v: %w", u.DTS, ErrTime)
	case u.PTS < u.DTS-maxBehind || u.PTS > u.DTS+maxAhead:
		return fmt.Errorf("presentation time %v at decode time %v: %w", u.PTS, u.DTS, ErrTime)
	}
	return nil
}

// checkNALUnits checks that NAL units with their lengths fill a sample (ISO/IEC 14496-15
// §5.3.4.2).
func checkNALUnits(b []byte, lengthSize int) error {
	if len(b) == 0 {
		return fmt.Errorf("no NAL unit: %w", ErrData)
	}
	for len(b) > 0 {
		unit, rest, ok := nal.Next(b, lengthSize)
		if !ok || len(unit) == 0 {
			return fmt.Errorf("NAL unit that is empty or longer than the %d bytes left: %w", len(b), ErrData)
		}
		b = rest
	}
	return nil
}

// checkOBUs checks that open bitstream units fill a sample. Only the last may lack its size (AV1 in
// ISOBMFF §2.4).
func checkOBUs(b []byte) error {
	if len(b) == 0 {
		return fmt.Errorf("no OBU: %w", ErrData)
	}
	for len(b) > 0 {
		size, err := obuSize(b)
		if err != nil {
			return err
		}
		b = b[size:]
	}
	return nil
}

// obuSize returns the size of the first OBU with its header (AV1 §5.3.1).
func obuSize(b []byte) (int, error) {
	const forbidden, hasExtension, hasSize = 0x80, 0x04, 0x02
	if b[0]&forbidden != 0 {
		return 0, fmt.Errorf("OBU header %#02x: %w", b[0], ErrData)
	}
	at := 1
	if b[0]&hasExtension != 0 {
		at++
	}
	if b[0]&hasSize == 0 {
		return len(b), nil
	}
	size := 0
	for shift := 0; shift < 35; shift += 7 { // leb128: 5 bytes hold more than a sample may have
		if at >= len(b) {
			break
		}
		v := b[at]
		at++
		size |= int(v&0x7F) << shift
		if v&0x80 == 0 && size <= len(b)-at {
			return at + size, nil
		}
	}
	return 0, fmt.Errorf("OBU longer than the %d bytes left: %w", len(b), ErrData)
}

// Payload returns the bytes of a unit's sample, which are the unit's own. AV1 samples have no
// temporal delimiter (AV1 in ISOBMFF §2.4), which encoders may leave at the start.
func Payload(u *media.AccessUnit) []byte {
	const delimiter, size = 0x12, 0
	if u.Track.Codec == media.AV1 && len(u.Data) >= 2 && u.Data[0] == delimiter && u.Data[1] == size {
		return u.Data[2:]
	}
	return u.Data
}
