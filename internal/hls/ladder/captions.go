package ladder

import (
	"livego/internal/hls/playlist"
	"livego/internal/media"
	"livego/internal/nal"
	"livego/internal/obu"
)

const (
	// maxSEI bounds one SEI message that is looked at: 31 triplets of caption data, with what may
	// stand around them.
	maxSEI = 256
	// maxNALUnits bounds the work for one picture: HEVC level 6.2 allows 600 slices.
	maxNALUnits = 1024
	// maxPacket is the longest DTVCC packet (CTA-708 §5).
	maxPacket = 128
)

// captionReader notices closed captions in the pictures of one track: CEA-608 channels and CEA-708
// services, by the user data of ATSC A/53 part 4 §6.2.3 in SEI messages, and in metadata OBUs of
// AV1. It has one user. The zero value is ready.
type captionReader struct {
	set playlist.Captions
	// packet is a DTVCC packet under way, of size bytes.
	packet  [maxPacket]byte
	n, size int
	scratch [maxSEI]byte
}

// scan looks at a picture.
func (c *captionReader) scan(u *media.AccessUnit) {
	switch u.Track.Codec {
	case media.H264, media.HEVC:
		c.scanNALUnits(u)
	case media.AV1:
		for message := range obu.T35(u.Data) {
			c.userData(message)
		}
	}
}

// scanNALUnits looks at all NAL units, though an SEI message that speaks of a picture stands before
// its first slice: OBS appends captions.
func (c *captionReader) scanNALUnits(u *media.AccessUnit) {
	codec, b := u.Track.Codec, u.Data
	for range maxNALUnits {
		unit, rest, ok := nal.Next(b, u.Track.NALLengthSize)
		if !ok || len(unit) == 0 {
			return
		}
		kind, _ := nal.KindOf(codec, unit)
		if header := nal.HeaderSize(codec); (kind == nal.SEI || kind == nal.SuffixSEI) && len(unit) > header {
			c.messages(unit[header:])
		}
		b = rest
	}
}

// messages walks the SEI messages of a NAL unit (H.264 §7.3.2.3.1): type and size are each a sum of
// bytes up to one that is not 255.
func (c *captionReader) messages(b []byte) {
	const registered = 4 // user_data_registered_itu_t_t35
	for len(b) > 2 {
		kind, n := sum(b)
		b = b[n:]
		size, n := sum(b)
		b = b[n:]
		if len(b) == 0 {
			return
		}
		payload, used := c.unescape(b, size)
		if kind == registered {
			c.userData(payload)
		}
		b = b[used:]
	}
}

func sum(b []byte) (value, n int) {
	for n < len(b) {
		v := b[n]
		n++
		value += int(v)
		if v != 0xFF {
			break
		}
	}
	return value, n
}

// unescape returns the first size bytes of b without its emulation prevention (H.264 §7.4.1), as
// far as they are of interest, and how many bytes of b they take.
func (c *captionReader) unescape(b []byte, size int) (payload []byte, used int) {
	payload, zeros := c.scratch[:0], 0
	for used < len(b) && size > 0 {
		v := b[used]
		used++
		if zeros >= 2 && v == 3 {
			zeros = 0
			continue
		}
		if v == 0 {
			zeros++
		} else {
			zeros = 0
		}
		size--
		if len(payload) < maxSEI {
			payload = append(payload, v)
		}
	}
	return payload, used
}

// userData reads cc_data (ATSC A/53 part 4 tables 6.8 to 6.10).
//
//	country 0xB5 | provider 0x0031 | "GA94" | type 3 | flags 3, count 5 | 8 | count times: marker 5, valid 1, type 2, data 16
func (c *captionReader) userData(b []byte) {
	const head, triplet = "\xB5\x00\x31GA94\x03", 3
	if len(b) < len(head)+2 || string(b[:len(head)]) != head || b[len(head)]&0x40 == 0 {
		return
	}
	count := int(b[len(head)] & 0x1F)
	b = b[len(head)+2:]
	for ; count > 0 && len(b) >= triplet; count-- {
		if b[0]&4 != 0 {
			c.pair(b[0]&3, b[1], b[2])
		}
		b = b[triplet:]
	}
}

// pair takes two bytes: of line 21 field 1 or 2, of a DTVCC packet, or of the start of one.
func (c *captionReader) pair(kind, first, second byte) {
	switch kind {
	case 0, 1:
		c.line21(kind, first&0x7F)
		return
	case 3:
		c.n, c.size = 0, 2*int(first&0x3F)
		if c.size == 0 {
			c.size = maxPacket
		}
	}
	if c.n+2 > c.size {
		return
	}
	c.packet[c.n], c.packet[c.n+1] = first, second
	if c.n += 2; c.n == c.size {
		c.services(c.packet[1:c.size])
		c.size = 0
	}
}

// line21 notes the channel of a control code (CTA-608 §8.4): the first byte says which of the
// field's two it is.
func (c *captionReader) line21(field, first byte) {
	if first < 0x10 || first > 0x1F {
		return
	}
	c.set.Channels |= 1 << (2*field + first>>3&1)
}

// services walks the service blocks of a DTVCC packet (CTA-708 §6.2). They count only if they fill
// it.
func (c *captionReader) services(b []byte) {
	const extended = 7
	var found uint64
	for len(b) > 0 {
		number, size := b[0]>>5, int(b[0]&0x1F)
		b = b[1:]
		if number == 0 {
			break // padding
		}
		if number == extended && size > 0 {
			if len(b) == 0 {
				return
			}
			number = b[0] & 0x3F
			b = b[1:]
		}
		if size > len(b) {
			return
		}
		if size > 0 && number > 0 {
			found |= 1 << number
		}
		b = b[size:]
	}
	c.set.Services |= found
}
