package flv

import (
	"bufio"
	"encoding/binary"
	"errors"
	"fmt"
	"io"
)

const (
	// MaxTagSize bounds the body of a tag, like that of an RTMP message: a 4K key frame at a high
	// rate is 2 MiB.
	MaxTagSize = 8 << 20
	// maxFileHeader bounds DataOffset, by which a header of a later version may be longer.
	maxFileHeader = 1 << 10
)

// Tag is an FLV tag. TimestampMS has all 32 bits. StreamID, of 24 bits, is 0 in files.
type Tag struct {
	Type        uint8
	TimestampMS uint32
	Body        []byte
	StreamID    uint32
}

// Reader reads an FLV file or a live FLV stream (FLV E.2 to E.4.1). It buffers, so that it may read
// more than it returned. It has one user at a time.
type Reader struct {
	// Video and Audio are the flags of the header, set by ReadHeader.
	Video, Audio bool

	r         *bufio.Reader
	hasHeader bool
	err       error
}

// NewReader returns a Reader that reads from r.
func NewReader(r io.Reader) *Reader {
	return &Reader{r: bufio.NewReader(r)}
}

// ReadHeader reads the file header, once. The first ReadTag calls it.
func (r *Reader) ReadHeader() error {
	if r.hasHeader || r.err != nil {
		return r.err
	}
	var h [9]byte
	if _, err := io.ReadFull(r.r, h[:]); err != nil {
		return r.fail("header", unexpected(err))
	}
	offset := binary.BigEndian.Uint32(h[5:])
	if string(h[:3]) != "FLV" || h[3] != 1 || offset < 9 {
		return r.fail("header", ErrUnsupported)
	}
	if offset > maxFileHeader {
		return r.fail("header", ErrLimit)
	}
	if _, err := r.r.Discard(int(offset) - 9); err != nil {
		return r.fail("header", unexpected(err))
	}
	r.Audio, r.Video = h[4]&0x04 != 0, h[4]&0x01 != 0
	r.hasHeader = true
	return nil
}

// ReadTag reads the next tag. Its body is the caller's. It returns io.EOF at the end, and after any
// error the same error again. The size of the tag before, which stands in front of each tag, is not
// looked at: many writers get it wrong.
func (r *Reader) ReadTag() (Tag, error) { return r.ReadTagInto(nil) }

// ReadTagInto reads the next tag as ReadTag does, with buf's memory for its body where that is
// large enough.
func (r *Reader) ReadTagInto(buf []byte) (Tag, error) {
	if err := r.ReadHeader(); err != nil {
		return Tag{}, err
	}
	header, err := r.readTagHeader()
	if err != nil {
		return Tag{}, err
	}
	h := header[4:]
	n := int(ui24(h[1:]))
	if n > MaxTagSize {
		return Tag{}, r.fail("tag", fmt.Errorf("%d bytes: %w", n, ErrLimit))
	}
	if h[0]&0x20 != 0 {
		return Tag{}, r.fail("tag", fmt.Errorf("encryption: %w", ErrUnsupported))
	}
	if buf == nil || cap(buf) < n {
		buf = make([]byte, n)
	}
	buf = buf[:n]
	if _, err := io.ReadFull(r.r, buf); err != nil {
		return Tag{}, r.fail("tag", unexpected(err))
	}
	return Tag{Type: h[0] & 0x1F, TimestampMS: ui24(h[4:]) | uint32(h[7])<<24, Body: buf, StreamID: ui24(h[8:])}, nil
}

// readTagHeader reads a PreviousTagSize and the header of the tag behind it: in one go, so that a
// tag of a live stream comes out before the bytes that follow it. The end may stand before or
// behind a PreviousTagSize.
func (r *Reader) readTagHeader() (h [4 + tagHeaderSize]byte, err error) {
	n, err := io.ReadFull(r.r, h[:])
	if errors.Is(err, io.ErrUnexpectedEOF) && n == 4 {
		err = io.EOF
	}
	if err == io.EOF {
		r.err = io.EOF
		return h, err
	}
	if err != nil {
		return h, r.fail("tag header", err)
	}
	return h, nil
}

func (r *Reader) fail(what string, err error) error {
	r.err = fmt.Errorf("reading flv %s: %w", what, err)
	return r.err
}

// unexpected turns an end of the input where bytes must follow into io.ErrUnexpectedEOF.
func unexpected(err error) error {
	if errors.Is(err, io.EOF) {
		return io.ErrUnexpectedEOF
	}
	return err
}
