package fmp4

import (
	"encoding/binary"
	"fmt"
	"iter"
)

// JoinInits makes one init segment of those that AppendInit made of a video and of sound. What
// follows are fragments of both, each as its Writer wrote it. That is no CMAF any more, whose files
// have one track, but what HLS allows (RFC 8216 3.3). The error is ErrData.
//
//	ftyp
//	moov
//	├ mvhd    of the video
//	├ trak    of the video
//	├ trak    of the sound
//	└ mvex
//	  ├ trex  of the video
//	  └ trex  of the sound
func JoinInits(video, sound []byte) ([]byte, error) {
	v, err := takeApart(video)
	if err != nil {
		return nil, err
	}
	s, err := takeApart(sound)
	if err != nil {
		return nil, err
	}
	w := boxes{b: make([]byte, 0, len(video)+len(sound))}
	w.box("ftyp", func() {
		w.text("iso6")
		w.u32(0)
		for brand := range brands(v["ftyp"]) {
			if string(brand) != "cmfc" {
				w.bytes(brand)
			}
		}
	})
	w.box("moov", func() {
		w.bytes(v["mvhd"])
		binary.BigEndian.PutUint32(w.b[len(w.b)-4:], max(videoID, soundID)+1) // next_track_ID
		w.bytes(v["trak"])
		w.bytes(s["trak"])
		w.box("mvex", func() {
			w.bytes(v["trex"])
			w.bytes(s["trex"])
		})
	})
	return w.b, nil
}

// takeApart returns the boxes of an init segment with one track that JoinInits needs.
func takeApart(init []byte) (map[string][]byte, error) {
	found := make(map[string][]byte)
	for outer := range boxesIn(init) {
		found[kindOf(outer)] = outer
		if kindOf(outer) != "moov" {
			continue
		}
		for inner := range boxesIn(outer[boxHeader:]) {
			found[kindOf(inner)] = inner
			if kindOf(inner) == "mvex" {
				for trex := range boxesIn(inner[boxHeader:]) {
					found[kindOf(trex)] = trex
				}
			}
		}
	}
	for _, kind := range []string{"ftyp", "mvhd", "trak", "trex"} {
		if len(found[kind]) <= boxHeader {
			return nil, fmt.Errorf("init segment without %s: %w", kind, ErrData)
		}
	}
	return found, nil
}

// boxesIn yields the boxes of b, with their headers, as far as they are whole.
func boxesIn(b []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for len(b) >= boxHeader {
			size := binary.BigEndian.Uint32(b)
			if size < boxHeader || uint64(size) > uint64(len(b)) || !yield(b[:size]) {
				return
			}
			b = b[size:]
		}
	}
}

func kindOf(box []byte) string { return string(box[4:boxHeader]) }

// brands yields the compatible brands of an ftyp.
func brands(ftyp []byte) iter.Seq[[]byte] {
	return func(yield func([]byte) bool) {
		for b := ftyp[min(len(ftyp), boxHeader+8):]; len(b) >= 4 && yield(b[:4]); b = b[4:] {
		}
	}
}
