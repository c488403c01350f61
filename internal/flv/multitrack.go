package flv

import (
	"encoding/binary"
	"fmt"

	"livego/internal/bits"
)

// modEx reads the packet type in the first byte of an E-RTMP body and the ModEx packets before the
// one that counts. It returns that one's type and what follows.
//
//	| ... 4 | packet type 4 | { size-1 8 | (255: size-1 16) | data | ModEx type 4 | packet type 4 } | rest
func (m *message) modEx() (packetType uint8, rest []byte, err error) {
	packetType, rest = m.body[0]&0x0F, m.body[1:]
	for packetType == packetModEx {
		if len(rest) < 1 {
			return 0, nil, ErrTruncated
		}
		size, at := int(rest[0])+1, 1
		if size == 256 {
			if len(rest) < 3 {
				return 0, nil, ErrTruncated
			}
			size, at = int(binary.BigEndian.Uint16(rest[1:]))+1, 3
		}
		if len(rest) < at+size+1 {
			return 0, nil, ErrTruncated
		}
		data, types := rest[at:at+size], rest[at+size]
		m.modify(types>>4, data)
		packetType, rest = types&0x0F, rest[at+size+1:]
	}
	return packetType, rest, nil
}

// modify applies a ModEx packet. Values that the specification forbids are ignored like types that
// it does not define.
func (m *message) modify(modExType uint8, data []byte) {
	if modExType != modExTimestampOffsetNano || len(data) < 3 {
		return
	}
	if nanos := ui24(data); nanos < 1e6 {
		m.nanos = nanos
	}
}

// tracks walks the tracks of an E-RTMP body, of which there is one unless its packet type is
// Multitrack.
//
//	single                | FourCC 32 | payload
//	OneTrack              | 0 (4) | packet type 4 | FourCC 32 | track id 8 | payload
//	ManyTracks            | 1 (4) | packet type 4 | FourCC 32 | { track id 8 | size 24 | payload }
//	ManyTracksManyCodecs  | 2 (4) | packet type 4 | { FourCC 32 | track id 8 | size 24 | payload }
type tracks struct {
	packetType uint8
	multitrack bool
	mode       uint8
	unknown    bool // a mode of the future: nothing more can be read
	r          bits.Reader
	count      int
	err        error

	// The track in hand, after next.
	id      uint8
	format  format
	payload []byte
}

func parseTracks(packetType, multitrack uint8, rest []byte) (tracks, error) {
	t := tracks{packetType: packetType, multitrack: packetType == multitrack, r: bits.NewReader(rest)}
	if t.multitrack {
		t.mode, t.packetType = uint8(t.r.Bits(4)), uint8(t.r.Bits(4))
		if t.packetType == multitrack {
			return t, fmt.Errorf("multitrack within multitrack: %w", ErrUnsupported)
		}
		t.unknown = t.mode > manyTracksManyCodecs
	}
	if t.mode < manyTracksManyCodecs {
		t.format = format(t.r.Bits(32))
	}
	if t.r.Bad {
		return t, ErrTruncated
	}
	return t, nil
}

// next steps to the next track. It returns false at the end, and with err set where the body is
// wrong.
func (t *tracks) next() bool {
	many := t.multitrack && t.mode != oneTrack
	if t.count > 0 && (!many || t.r.Left() == 0) {
		return false
	}
	if t.count == maxTracks {
		t.err = fmt.Errorf("more than %d tracks in a message: %w", maxTracks, ErrLimit)
		return false
	}
	t.count++
	if t.mode == manyTracksManyCodecs {
		t.format = format(t.r.Bits(32))
	}
	if t.multitrack {
		t.id = uint8(t.r.Bits(8))
	}
	size := t.r.Left() / 8
	if many {
		size = int(t.r.Bits(24))
	}
	t.payload = t.r.Bytes(size)
	if t.r.Bad {
		t.err = ErrTruncated
	}
	return t.err == nil
}
