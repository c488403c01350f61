package playlist

import (
	"errors"
	"io"
)

// pieceReader reads pieces as if they were one file.
type pieceReader struct {
	pieces Document
	size   int64
	// at is the place in the file, piece and offset the same in the pieces.
	at            int64
	piece, offset int
}

var _ io.ReadSeeker = (*pieceReader)(nil)

var errNegativeOffset = errors.New("seeking before the beginning")

// Read gives bytes of one piece.
func (r *pieceReader) Read(b []byte) (int, error) {
	for r.piece < len(r.pieces) && r.offset == r.pieces[r.piece].Data.Size() {
		r.piece, r.offset = r.piece+1, 0
	}
	if r.piece >= len(r.pieces) {
		return 0, io.EOF
	}
	n := copy(b, r.pieces[r.piece].Data.Bytes()[r.offset:])
	r.offset += n
	r.at += int64(n)
	return n, nil
}

// Seek moves to a place in the file. A place beyond the end is the end.
func (r *pieceReader) Seek(offset int64, whence int) (int64, error) {
	switch whence {
	case io.SeekCurrent:
		offset += r.at
	case io.SeekEnd:
		offset += r.size
	}
	if offset < 0 {
		return 0, errNegativeOffset
	}
	r.at = min(offset, r.size)
	rest := r.at
	for r.piece = 0; r.piece < len(r.pieces) && rest >= int64(r.pieces[r.piece].Data.Size()); r.piece++ {
		rest -= int64(r.pieces[r.piece].Data.Size())
	}
	r.offset = int(rest)
	return r.at, nil
}

// Reader reads the pieces as if they were one file.
func (d Document) Reader() io.ReadSeeker { return &pieceReader{pieces: d, size: int64(d.Size())} }
